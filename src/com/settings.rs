//! Settings of the DLL that the administrator of the machine chose.

use std::path::PathBuf;
use std::time::Duration;

use super::failure::Failure;
use crate::base::escape::escape;
use crate::security::backup_rights::BackupPolicy;
use crate::service::{FlagZero, ObjectOptions};

/// Names of the values, as the registry has them.
const REPOSITORY: &str = "Repository";
const POLICY: &str = "PrivilegePolicy";
const FLAG_ZERO: &str = "FlagZero";
const LEASE: &str = "LeaseSeconds";
const LIMIT: &str = "WaitSeconds";

/// Named values: the registry's, or those of a test.
pub(super) trait Values {
    /// A text; `None` where there is none.
    fn text(&self, name: &str) -> Result<Option<std::ffi::OsString>, Failure>;

    /// A number; `None` where there is none.
    fn number(&self, name: &str) -> Result<Option<u32>, Failure>;
}

/// The choices. What is not said is as in the library.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Settings {
    pub(super) repository: Option<PathBuf>,
    pub(super) policy: BackupPolicy,
    pub(super) objects: ObjectOptions,
}

impl Settings {
    /// Reads all values. One that means nothing fails: a policy must not be another than the
    /// administrator believes.
    pub(super) fn read(values: &dyn Values) -> Result<Self, Failure> {
        let repository = values
            .text(REPOSITORY)?
            .filter(|text| !text.is_empty())
            .map(PathBuf::from);
        let policies = [
            ("either", BackupPolicy::Either),
            ("strict", BackupPolicy::Strict),
            ("literal", BackupPolicy::Literal),
        ];
        let meanings = [("refuse", FlagZero::Refuse), ("break", FlagZero::Break)];
        let mut objects = ObjectOptions::new();
        if let Some(lease) = seconds(values, LEASE)? {
            objects = objects.lease(lease);
        }
        if let Some(limit) = seconds(values, LIMIT)? {
            // What the administrator asks for covers a process that holds the lock, too.
            objects = objects.limit(limit).lock_limit(limit);
        }
        if let Some(meaning) = word(values, FLAG_ZERO, &meanings)? {
            objects = objects.flag_zero(meaning);
        }
        let policy = word(values, POLICY, &policies)?.unwrap_or_default();
        Ok(Self {
            repository,
            policy,
            objects,
        })
    }
}

/// One of some words, in any case.
fn word<T: Copy>(
    values: &dyn Values,
    name: &str,
    words: &[(&str, T)],
) -> Result<Option<T>, Failure> {
    let Some(text) = values.text(name)? else {
        return Ok(None);
    };
    let text = text.to_string_lossy();
    let meant = words
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(&text));
    if let Some(&(_, meaning)) = meant {
        return Ok(Some(meaning));
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let known = known.join(", ");
    Err(Failure::not_ready(format!(
        "the value {name} is {}; it may be {known}",
        escape(&text)
    )))
}

/// A time in seconds. None at all would end each pause, or each wait, before it began.
fn seconds(values: &dyn Values, name: &str) -> Result<Option<Duration>, Failure> {
    match values.number(name)? {
        None => Ok(None),
        Some(0) => Err(Failure::not_ready(format!(
            "the value {name} is 0; it takes at least one second"
        ))),
        Some(seconds) => Ok(Some(Duration::from_secs(seconds.into()))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use super::*;
    use crate::base::error::HResult;

    #[derive(Clone, Copy)]
    enum Value {
        Text(&'static str),
        Number(u32),
    }

    impl Values for BTreeMap<&str, Value> {
        fn text(&self, name: &str) -> Result<Option<OsString>, Failure> {
            match self.get(name) {
                None => Ok(None),
                Some(Value::Text(text)) => Ok(Some((*text).into())),
                Some(Value::Number(_)) => Err(Failure::not_ready(format!("{name} is no text"))),
            }
        }

        fn number(&self, name: &str) -> Result<Option<u32>, Failure> {
            match self.get(name) {
                None => Ok(None),
                Some(Value::Number(number)) => Ok(Some(*number)),
                Some(Value::Text(_)) => Err(Failure::not_ready(format!("{name} is no number"))),
            }
        }
    }

    fn read<const N: usize>(values: [(&'static str, Value); N]) -> Result<Settings, Failure> {
        Settings::read(&BTreeMap::from(values))
    }

    #[test]
    fn nothing_said_is_as_in_the_library() {
        assert_eq!(read([]).unwrap(), Settings::default());
        assert_eq!(
            read([("Repository", Value::Text(""))]).unwrap(),
            Settings::default()
        );
    }

    #[test]
    fn each_value_is_taken() {
        let all = [
            ("Repository", Value::Text("C:\\r")),
            ("PrivilegePolicy", Value::Text("Strict")),
            ("FlagZero", Value::Text("break")),
            ("LeaseSeconds", Value::Number(60)),
            ("WaitSeconds", Value::Number(2)),
        ];
        let objects = ObjectOptions::new()
            .lease(Duration::from_secs(60))
            .limit(Duration::from_secs(2))
            .lock_limit(Duration::from_secs(2));
        let objects = objects.flag_zero(FlagZero::Break);
        let expected = Settings {
            repository: Some("C:\\r".into()),
            policy: BackupPolicy::Strict,
            objects,
        };
        assert_eq!(read(all).unwrap(), expected);
        for (text, policy) in [
            ("either", BackupPolicy::Either),
            ("LITERAL", BackupPolicy::Literal),
        ] {
            assert_eq!(
                read([("PrivilegePolicy", Value::Text(text))])
                    .unwrap()
                    .policy,
                policy
            );
        }
        let refusing = read([("FlagZero", Value::Text("refuse"))]).unwrap();
        assert_eq!(refusing, Settings::default());
    }

    #[test]
    fn a_value_that_means_nothing_is_refused_by_name() {
        let wrong = [
            ("PrivilegePolicy", Value::Text("strictly")),
            ("PrivilegePolicy", Value::Text("")),
            ("PrivilegePolicy", Value::Number(1)),
            ("FlagZero", Value::Text("0")),
            ("LeaseSeconds", Value::Number(0)),
            ("LeaseSeconds", Value::Text("60")),
            ("WaitSeconds", Value::Number(0)),
        ];
        for (name, value) in wrong {
            let failure = read([(name, value)]).unwrap_err();
            assert_eq!(failure.code, HResult::INITIALIZATION_FAILURE);
            assert!(failure.text.contains(name), "{}", failure.text);
        }
    }
}
