//! CIM datetimes. `yyyymmddhhmmss.mmmmmmsutc` is a point in time, `ddddddddhhmmss.mmmmmm:000` an
//! interval.
//!
//! Asterisks stand for fields without a value. Source: the published CIM specification (DSP0004).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The text is not a CIM datetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a CIM datetime: {what}")]
pub struct DateTimeError {
    what: &'static str,
}

/// A CIM datetime. A field that is `None` has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DateTime {
    /// A point in time.
    Timestamp {
        /// 0 to 9999.
        year: Option<u16>,
        /// 1 to 12.
        month: Option<u8>,
        /// 1 to 31.
        day: Option<u8>,
        /// 0 to 23.
        hour: Option<u8>,
        /// 0 to 59.
        minute: Option<u8>,
        /// 0 to 59, or 60 for a leap second.
        second: Option<u8>,
        /// 0 to 999999.
        microsecond: Option<u32>,
        /// Minutes east of UTC, -999 to 999.
        offset: Option<i16>,
    },
    /// A length of time.
    Interval {
        /// 0 to 99999999.
        days: Option<u32>,
        /// 0 to 23.
        hours: Option<u8>,
        /// 0 to 59.
        minutes: Option<u8>,
        /// 0 to 59.
        seconds: Option<u8>,
        /// 0 to 999999.
        microseconds: Option<u32>,
    },
}

impl DateTime {
    /// Length of the text, in characters.
    pub const LENGTH: usize = 25;

    /// The length of an interval in microseconds, if all its fields have values.
    pub fn interval_microseconds(&self) -> Option<u64> {
        let DateTime::Interval {
            days,
            hours,
            minutes,
            seconds,
            microseconds,
        } = *self
        else {
            return None;
        };
        let hours = u64::from(days?) * 24 + u64::from(hours?);
        let seconds = (hours * 60 + u64::from(minutes?)) * 60 + u64::from(seconds?);
        Some(seconds * 1_000_000 + u64::from(microseconds?))
    }

    /// The interval of this many microseconds, or `None` if its days need more than 8 digits.
    pub fn interval(microseconds: u64) -> Option<Self> {
        let (seconds, rest) = (microseconds / 1_000_000, microseconds % 1_000_000);
        let part = |value: u64, modulus: u64| u8::try_from(value % modulus).ok();
        let days = u32::try_from(seconds / 86_400)
            .ok()
            .filter(|&days| days <= 99_999_999)?;
        Some(DateTime::Interval {
            days: Some(days),
            hours: part(seconds / 3600, 24),
            minutes: part(seconds / 60, 60),
            seconds: part(seconds, 60),
            microseconds: u32::try_from(rest).ok(),
        })
    }
}

impl FromStr for DateTime {
    type Err = DateTimeError;

    fn from_str(text: &str) -> Result<Self, DateTimeError> {
        if text.len() != Self::LENGTH || !text.is_ascii() {
            return Err(DateTimeError {
                what: "it has 25 characters",
            });
        }
        let mut fields = Fields(text.as_bytes());
        let is_interval = text.as_bytes().get(21) == Some(&b':');
        let (year, month, day) = if is_interval {
            (None, None, None)
        } else {
            fields.date()?
        };
        let days = if is_interval {
            fields.number(8, 0, 99_999_999)?
        } else {
            None
        };
        let (hour, minute) = (fields.small(0, 23)?, fields.small(0, 59)?);
        let second = fields.small(0, if is_interval { 59 } else { 60 })?;
        if fields.take(1) != b"." {
            return Err(DateTimeError {
                what: "a dot precedes the microseconds",
            });
        }
        let microsecond = fields.fraction()?;
        let sign = fields.take(1);
        if is_interval {
            if fields.take(3) != b"000" {
                return Err(DateTimeError {
                    what: "an interval ends in :000",
                });
            }
            let (hours, minutes, seconds, microseconds) = (hour, minute, second, microsecond);
            return Ok(DateTime::Interval {
                days,
                hours,
                minutes,
                seconds,
                microseconds,
            });
        }
        let offset = fields
            .number(3, 0, 999)?
            .and_then(|offset| i16::try_from(offset).ok());
        let offset = match sign {
            b"+" => offset,
            // Windows clients write `-000` and `-***` too; both are printed with a plus.
            b"-" => offset.map(|offset| -offset),
            _ => {
                return Err(DateTimeError {
                    what: "+ or - precedes the offset from UTC",
                });
            }
        };
        Ok(DateTime::Timestamp {
            year,
            month,
            day,
            hour,
            minute,
            second,
            microsecond,
            offset,
        })
    }
}

type Date = (Option<u16>, Option<u8>, Option<u8>);

struct Fields<'t>(&'t [u8]);

impl<'t> Fields<'t> {
    fn take(&mut self, length: usize) -> &'t [u8] {
        let (front, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        front
    }

    fn number(
        &mut self,
        length: usize,
        least: u32,
        most: u32,
    ) -> Result<Option<u32>, DateTimeError> {
        let field = self.take(length);
        if field.iter().all(|&byte| byte == b'*') {
            return Ok(None);
        }
        if !field.iter().all(u8::is_ascii_digit) {
            return Err(DateTimeError {
                what: "a field has digits or asterisks",
            });
        }
        let number = field
            .iter()
            .fold(0u32, |number, digit| number * 10 + u32::from(digit - b'0'));
        let in_range = (least..=most).contains(&number).then_some(Some(number));
        in_range.ok_or(DateTimeError {
            what: "a field is out of its range",
        })
    }

    fn small(&mut self, least: u32, most: u32) -> Result<Option<u8>, DateTimeError> {
        Ok(self
            .number(2, least, most)?
            .and_then(|number| u8::try_from(number).ok()))
    }

    fn date(&mut self) -> Result<Date, DateTimeError> {
        let year = self
            .number(4, 0, 9999)?
            .and_then(|year| u16::try_from(year).ok());
        Ok((year, self.small(1, 12)?, self.small(1, 31)?))
    }

    fn fraction(&mut self) -> Result<Option<u32>, DateTimeError> {
        self.number(6, 0, 999_999)
    }
}

/// A number with leading zeros, or the same number of asterisks.
struct Field<N>(Option<N>, usize);

impl<N: fmt::Display> fmt::Display for Field<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(number) => write!(f, "{number:0width$}", width = self.1),
            None => write!(f, "{:*<width$}", "", width = self.1),
        }
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
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
                write!(f, "{}{}{}", Field(year, 4), Field(month, 2), Field(day, 2))?;
                write!(
                    f,
                    "{}{}{}.{}",
                    Field(hour, 2),
                    Field(minute, 2),
                    Field(second, 2),
                    Field(microsecond, 6)
                )?;
                let sign = if offset.is_some_and(|offset| offset < 0) {
                    '-'
                } else {
                    '+'
                };
                write!(f, "{sign}{}", Field(offset.map(i16::unsigned_abs), 3))
            }
            DateTime::Interval {
                days,
                hours,
                minutes,
                seconds,
                microseconds,
            } => {
                write!(
                    f,
                    "{}{}{}",
                    Field(days, 8),
                    Field(hours, 2),
                    Field(minutes, 2)
                )?;
                write!(f, "{}.{}:000", Field(seconds, 2), Field(microseconds, 6))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written() {
        for text in [
            "20220310123456.123456+060",
            "20220310123456.123456-420",
            "00000000000030.000000:000",
            "99999999235959.999999:000",
            "2022**********.******+***",
            "********235959.******:000",
        ] {
            assert_eq!(text.parse::<DateTime>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_minus_before_nothing_is_a_plus() {
        for offset in ["000", "***"] {
            let read: DateTime = format!("20220310123456.123456-{offset}").parse().unwrap();
            assert_eq!(read.to_string(), format!("20220310123456.123456+{offset}"));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "20221310123456.123456+060",
            "20220310243456.123456+060",
            "20220310123456,123456+060",
            "20220310123456.123456 060",
            "00000000000030.000000:001",
            "0000000000003x.000000:000",
            "20220310123456.12345é+060",
        ] {
            assert!(text.parse::<DateTime>().is_err(), "{text}");
        }
    }

    #[test]
    fn intervals_are_microseconds() {
        let interval: DateTime = "00000001010203.000004:000".parse().unwrap();
        let microseconds = ((25 * 60 + 2) * 60 + 3) * 1_000_000 + 4;
        assert_eq!(interval.interval_microseconds(), Some(microseconds));
        assert_eq!(DateTime::interval(microseconds), Some(interval));
    }
}
