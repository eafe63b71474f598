//! The order of CIM datetimes: points in time as instants, intervals by length, everything else by
//! characters and without order.

use std::cmp::Ordering;

use crate::cim::datetime::DateTime;

/// Microseconds of a datetime whose fields are all given; points in time and intervals are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Since a day before the year 0.
    Instant(i64),
    Interval(u64),
}

impl Moment {
    /// The moment that a text means; `None` for asterisks, and for what is no datetime.
    pub(super) fn of(text: &str) -> Option<Self> {
        let read: DateTime = text.parse().ok()?;
        match read {
            DateTime::Interval { .. } => read.interval_microseconds().map(Moment::Interval),
            DateTime::Timestamp {
                year,
                month,
                day,
                hour,
                minute,
                second,
                microsecond,
                offset,
            } => {
                let days = days(i64::from(year?), i64::from(month?), i64::from(day?));
                let minutes =
                    (days * 24 + i64::from(hour?)) * 60 + i64::from(minute?) - i64::from(offset?);
                let seconds = minutes * 60 + i64::from(second?);
                Some(Moment::Instant(
                    seconds * 1_000_000 + i64::from(microsecond?),
                ))
            }
        }
    }
}

/// Days up to a date of the Gregorian calendar, from a day before the year 0.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that leap days come last. The calendar repeats after 400 years: with
    // so many more no number is negative.
    let (year, month) = if month < 3 {
        (year + 399, month + 9)
    } else {
        (year + 400, month - 3)
    };
    year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day
}

/// The order of a datetime to a moment; `None` where there is none.
pub(super) fn order(text: &str, moment: Option<Moment>) -> Option<Ordering> {
    match (Moment::of(text), moment) {
        (Some(Moment::Instant(a)), Some(Moment::Instant(b))) => Some(a.cmp(&b)),
        (Some(Moment::Interval(a)), Some(Moment::Interval(b))) => Some(a.cmp(&b)),
        _ => None,
    }
}

/// A date that people write, in the form of CIM; in universal time where it says no other.
pub(super) fn in_form(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches(['Z', 'z']);
    let (date, time) = text
        .split_once(['T', 't', ' '])
        .unwrap_or((text, "00:00:00"));
    let [year, month, day] = fields(date, ['-', '/', '.'])?;
    let [hour, minute, second] = fields(time, [':', ':', ':'])?;
    let form = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}.000000+000");
    form.parse::<DateTime>().ok().map(|_| form)
}

fn fields(text: &str, between: [char; 3]) -> Option<[u16; 3]> {
    let parts: Vec<u16> = text
        .split(between)
        .map(|part| part.trim().parse().ok())
        .collect::<Option<_>>()?;
    match parts.as_slice() {
        [a, b] => Some([*a, *b, 0]),
        [a, b, c] => Some([*a, *b, *c]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order_of(a: &str, b: &str) -> Option<Ordering> {
        order(a, Moment::of(b))
    }

    #[test]
    fn offsets_are_applied() {
        let noon = "20220310120000.000000+000";
        for (same, is_less) in [
            ("20220310130000.000000+060", "20220310130000.000000+061"),
            ("20220310040000.000000-480", "20220310035959.999999-480"),
            ("20220310120000.000000-000", "20220228235959.999999+000"),
            ("20220310120000.000000+000", "20220309235959.999999+000"),
        ] {
            assert_eq!(order_of(noon, same), Some(Ordering::Equal), "{same}");
            assert_eq!(
                order_of(noon, is_less),
                Some(Ordering::Greater),
                "{is_less}"
            );
        }
        assert_eq!(
            order_of("20200229235959.000000+000", "20200301000000.000000+000"),
            Some(Ordering::Less)
        );
        assert_eq!(
            order_of("20000229235959.000000+000", "20000301000000.000000+000"),
            Some(Ordering::Less)
        );
        assert_eq!(
            order_of("21000228235959.000000+000", "21000301000000.000000+000"),
            Some(Ordering::Less)
        );
        assert_eq!(
            order_of("19991231235959.000000+000", "20000101000000.000000+000"),
            Some(Ordering::Less)
        );
        assert_eq!(
            order_of("00000101000000.000000+999", "00000102000000.000000-999"),
            Some(Ordering::Less)
        );
    }

    #[test]
    fn intervals_have_their_length_and_the_rest_has_no_order() {
        assert_eq!(
            order_of("00000001000000.000000:000", "00000000235959.999999:000"),
            Some(Ordering::Greater)
        );
        assert_eq!(
            order_of("00000001000000.000000:000", "20220310120000.000000+000"),
            None
        );
        assert_eq!(
            order_of("20220310******.******+***", "20220310******.******+***"),
            None
        );
        assert_eq!(order_of("soon", "20220310120000.000000+000"), None);
    }

    #[test]
    fn dates_of_people_are_put_into_form() {
        for text in ["2022-03-10", "2022/03/10 00:00", "2022-03-10T00:00:00Z"] {
            assert_eq!(
                in_form(text).as_deref(),
                Some("20220310000000.000000+000"),
                "{text}"
            );
        }
        for text in ["soon", "10", "2022-13-10", "2022-03-10 25:00"] {
            assert_eq!(in_form(text), None, "{text}");
        }
    }
}
