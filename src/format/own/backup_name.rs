//! The name of a backup in a directory that keeps several, made of its time and identity.
//!
//! ```text
//! 20261126T084213.123Z-1a2b3c4d.cimbak
//! |                    |
//! UTC, milliseconds    the first four bytes of its identity, in hexadecimal
//! ```
//!
//! The alphabetical order of names is their chronological order.

use crate::base::calendar::{date, day_number};

/// Suffix of such names.
pub const BACKUP_SUFFIX: &str = ".cimbak";

/// End of the time that a year of four digits can express, in milliseconds since 1970-01-01 UTC.
pub const END_OF_TIME: u64 = 253_402_300_800_000;

const DAY_MS: u64 = 86_400_000;

/// The parts of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupName {
    /// Milliseconds since 1970-01-01 UTC.
    pub time: u64,
    /// The first bytes of the identity.
    pub begin: [u8; 4],
}

impl BackupName {
    /// The name of a backup; `None` at or after [`END_OF_TIME`].
    pub fn new(time: u64, identity: &[u8; 16]) -> Option<Self> {
        let begin = *identity.first_chunk()?;
        (time < END_OF_TIME).then_some(Self { time, begin })
    }

    /// True if it is the name of the backup with this identity.
    pub fn is_of(&self, identity: &[u8; 16]) -> bool {
        identity.starts_with(&self.begin)
    }

    /// Parses a name; `None` unless it has exactly the form in which names are written.
    pub fn parse(name: &str) -> Option<Self> {
        let (time, rest) = name.split_at_checked(19)?;
        let (begin, suffix) = rest.strip_prefix("Z-")?.split_at_checked(8)?;
        if suffix != BACKUP_SUFFIX {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<u64> { time.get(from..to)?.parse().ok() };
        let day = day_number(number(0, 4)?, number(4, 6)?, number(6, 8)?)?;
        let clock = ((number(9, 11)? * 60 + number(11, 13)?) * 60 + number(13, 15)?) * 1000
            + number(16, 19)?;
        let parsed = Self {
            time: day * DAY_MS + clock,
            begin: u32::from_str_radix(begin, 16).ok()?.to_be_bytes(),
        };
        // Signs, impossible days and misplaced marks are not written in names, so such a text is
        // not a name.
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl std::fmt::Display for BackupName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, clock) = (self.time / DAY_MS, self.time % DAY_MS);
        let (year, month, day) = date(days);
        let (hour, minute, second, milli) = (
            clock / 3_600_000,
            clock / 60_000 % 60,
            clock / 1000 % 60,
            clock % 1000,
        );
        write!(
            f,
            "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{milli:03}Z-"
        )?;
        write!(f, "{:08x}{BACKUP_SUFFIX}", u32::from_be_bytes(self.begin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: [u8; 16] = [
        0x1A, 0x2B, 0x3C, 0x4D, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    ];

    #[test]
    fn a_name_tells_time_and_identity() {
        let cases = [
            (0, "19700101T000000.000Z-1a2b3c4d.cimbak"),
            (951_782_400_000, "20000229T000000.000Z-1a2b3c4d.cimbak"),
            (1_078_012_800_001, "20040229T000000.001Z-1a2b3c4d.cimbak"),
            (4_107_542_399_999, "21000228T235959.999Z-1a2b3c4d.cimbak"),
            (1_795_682_533_123, "20261126T084213.123Z-1a2b3c4d.cimbak"),
            (END_OF_TIME - 1, "99991231T235959.999Z-1a2b3c4d.cimbak"),
        ];
        for (time, text) in cases {
            let name = BackupName::new(time, &IDENTITY).unwrap();
            assert_eq!(
                (name.to_string().as_str(), BackupName::parse(text)),
                (text, Some(name))
            );
            assert!(name.is_of(&IDENTITY) && !name.is_of(&[0; 16]));
        }
        assert_eq!(BackupName::new(END_OF_TIME, &IDENTITY), None);
    }

    #[test]
    fn other_names_are_not_read() {
        for name in [
            "",
            "20261126T084213.123Z-1a2b3c4d.cimbak ",
            "20261126T084213.123Z-1A2B3C4D.cimbak",
            "20261126t084213.123Z-1a2b3c4d.cimbak",
            "20261126T084213.123Z-1a2b3c4d.bak",
            "20260230T084213.123Z-1a2b3c4d.cimbak",
            "20261131T084213.123Z-1a2b3c4d.cimbak",
            "20261126T240000.000Z-1a2b3c4d.cimbak",
            "20261126T086013.123Z-1a2b3c4d.cimbak",
            "+0261126T084213.123Z-1a2b3c4d.cimbak",
            "20261126T084213.123Z-+a2b3c4d.cimbak",
            "20261126T08421€Z-1a2b3c4d.cimbak",
            "19691231T235959.999Z-1a2b3c4d.cimbak",
            "monday.cimbak",
        ] {
            assert_eq!(BackupName::parse(name), None, "{name}");
        }
    }
}
