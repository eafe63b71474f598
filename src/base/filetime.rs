//! Points in time as Windows stores them.

use std::fmt;

/// A point in time: 100 nanoseconds since the beginning of 1601, UTC (`FILETIME`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileTime(pub u64);

impl fmt::Display for FileTime {
    /// The time as `2022-03-10T12:34:56.1234567Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, fraction) = (self.0 / 10_000_000, self.0 % 10_000_000);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:07}Z"
        )
    }
}

/// Year, month and day of the date that lies `days` days after 1601-01-01, in the Gregorian
/// calendar.
const fn date(days: u64) -> (u64, u64, u64) {
    // Years are counted from March, so that the leap day comes last. 1601-01-01 is 306 days after
    // 1600-03-01, the beginning of a cycle of 400 years.
    let days = days + 306;
    let (cycles, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (1600 + 400 * cycles + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (filetime, expected) in [
            (0, "1601-01-01T00:00:00.0000000Z"),
            (116_444_736_000_000_000, "1970-01-01T00:00:00.0000000Z"),
            (125_963_423_999_999_999, "2000-02-29T23:59:59.9999999Z"),
            (132_914_757_611_234_567, "2022-03-11T12:36:01.1234567Z"),
            (u64::MAX, "60056-05-28T05:36:10.9551615Z"),
        ] {
            assert_eq!(FileTime(filetime).to_string(), expected);
        }
    }
}
