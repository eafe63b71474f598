//! Days and dates of the Gregorian calendar.

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: u64 = 719_468;

/// Number of days in 400 years.
const ERA: u64 = 146_097;

/// Number of days from 1970-01-01 to a date. Returns `None` if `month` or `day` is out of range, or
/// `year` is not in 1970 to 9999. A day beyond the end of its month counts on into the next one.
pub const fn day_number(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31 {
        return None;
    }
    // Years begin in March, so that leap days come last.
    let (year, month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    days.checked_sub(EPOCH)
}

/// Year, month and day of the date that lies `days` days after 1970-01-01.
pub const fn date(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(EPOCH);
    let (era, day_of_era) = (days / ERA, days % ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year_of_era + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_eight_millennia_comes_back_and_follows_the_one_before() {
        let mut before = (1969, 12, 31);
        for days in 0..2_932_897 {
            let today = date(days);
            assert_eq!(day_number(today.0, today.1, today.2), Some(days));
            let next_day = today.2 == before.2 + 1 && (today.0, today.1) == (before.0, before.1);
            let next_month =
                today.2 == 1 && (today.0 * 12 + today.1) == before.0 * 12 + before.1 + 1;
            assert!(next_day || next_month, "{before:?} {today:?}");
            before = today;
        }
        assert_eq!(before, (9999, 12, 31));
        for (year, month, day) in [
            (1969, 12, 31),
            (10_000, 1, 1),
            (2000, 0, 1),
            (2000, 13, 1),
            (2000, 1, 0),
            (2000, 1, 32),
        ] {
            assert_eq!(day_number(year, month, day), None);
        }
    }
}
