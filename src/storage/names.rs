//! Names that Windows takes for others: a rule about text alone, the same on every platform.
//!
//! Win32 removes dots and blanks from the end of a name, routes device names to the device, and
//! opens a stream of a file after a colon. So `OBJECTS.DATA.` is `OBJECTS.DATA`, but the companion
//! file `OBJECTS.DATA..cimrepo.lock` is unrelated to it. A caller that wants such a name must say
//! so: after `\\?\`, dots, blanks and device names have no special meaning. Source: Microsoft
//! Learn, "Naming Files, Paths, and Namespaces" and "File path formats on Windows systems".
//!
//! Short names (8.3), differences of case, and links are invisible in the text. Files are therefore
//! compared by identity ([`FileId`](super::FileId)).

use std::fmt;

use crate::base::escape::escape;

/// Why Windows takes a path for another file than its text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameFault {
    /// A name ends with a dot or a blank, which Windows removes.
    Trailing(Box<str>),
    /// A name has a colon, after which Windows opens a stream of the file.
    Stream(Box<str>),
    /// A name is that of a device, whatever its extension.
    Device(Box<str>),
    /// The path lies in the device namespace (`\\.\`).
    DevicePath,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameFault::Trailing(name) => write!(
                f,
                "Windows takes the dots and blanks from the end of `{}`; give the name without \
                    them, or the path behind \\\\?\\",
                escape(name)
            ),
            NameFault::Stream(name) => {
                write!(
                    f,
                    "the colon in `{}` names a stream of a file; give the name of a file",
                    escape(name)
                )
            }
            NameFault::Device(name) => {
                write!(
                    f,
                    "`{}` is the name of a device; give another, or the path behind \\\\?\\",
                    escape(name)
                )
            }
            NameFault::DevicePath => {
                f.write_str("it names a device and no file; give the path of a file")
            }
        }
    }
}

/// Names of devices without a number; see [`NUMBERED`] for the others.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];

/// Devices numbered from 1 to 9. Windows treats superscript digits as digits too.
const NUMBERED: [&str; 2] = ["COM", "LPT"];
const DIGITS: &str = "123456789¹²³";

/// The first fault of a path, one that makes Windows take it for another file; `None` if there is
/// none.
pub fn windows_fault(path: &str) -> Option<NameFault> {
    if let Some(rest) = path.strip_prefix(r"\\?\") {
        // After this prefix only a backslash separates and nothing is removed, but a stream is
        // still one.
        let mut names = rest.split('\\').enumerate();
        return names.find_map(|(at, name)| {
            if at == 0 && is_drive(name) {
                None
            } else {
                stream(name)
            }
        });
    }
    let is_separator = |byte: u8| matches!(byte, b'\\' | b'/');
    match path.as_bytes() {
        [first, second, b'.' | b'?', rest @ ..]
            if is_separator(*first)
                && is_separator(*second)
                && rest.first().is_none_or(|&byte| is_separator(byte)) =>
        {
            return Some(NameFault::DevicePath);
        }
        [b'\\', b'?', b'?', b'\\', ..] => return Some(NameFault::DevicePath),
        _ => {}
    }
    let rest = match path.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => path.get(2..).unwrap_or_default(),
        _ => path,
    };
    rest.split(['\\', '/']).find_map(fault_of_name)
}

fn is_drive(name: &str) -> bool {
    matches!(name.as_bytes(), [letter, b':'] if letter.is_ascii_alphabetic())
}

fn fault_of_name(name: &str) -> Option<NameFault> {
    if matches!(name, "" | "." | "..") {
        None
    } else if is_device(name) {
        Some(NameFault::Device(name.into()))
    } else if name.ends_with(['.', ' ']) {
        Some(NameFault::Trailing(name.into()))
    } else {
        stream(name)
    }
}

fn stream(name: &str) -> Option<NameFault> {
    name.contains(':').then(|| NameFault::Stream(name.into()))
}

/// True if a name is that of a device. Only the part before the first dot or colon counts, without
/// blanks at its end.
fn is_device(name: &str) -> bool {
    let stem = name
        .split(['.', ':'])
        .next()
        .unwrap_or_default()
        .trim_end_matches(' ');
    DEVICES
        .iter()
        .any(|device| stem.eq_ignore_ascii_case(device))
        || NUMBERED.iter().any(|device| is_numbered(stem, device))
}

fn is_numbered(stem: &str, device: &str) -> bool {
    let Some((begin, end)) = stem.split_at_checked(device.len()) else {
        return false;
    };
    let mut end = end.chars();
    begin.eq_ignore_ascii_case(device)
        && end.next().is_some_and(|c| DIGITS.contains(c))
        && end.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_spelling_means_itself_or_is_told() {
        let trailing = |name: &str| Some(NameFault::Trailing(name.into()));
        let stream = |name: &str| Some(NameFault::Stream(name.into()));
        let device = |name: &str| Some(NameFault::Device(name.into()));
        let table = [
            (r"C:\wbem\OBJECTS.DATA", None),
            (r"C:\wbem\OBJECTS.DATA.", trailing("OBJECTS.DATA.")),
            (r"C:\wbem\INDEX.BTR ", trailing("INDEX.BTR ")),
            (r"C:\wbem\MAPPING1.MAP. .", trailing("MAPPING1.MAP. .")),
            ("OBJECTS.DATA. . .", trailing("OBJECTS.DATA. . .")),
            (r"C:\wbem.\x.cimbak", trailing("wbem.")),
            ("wbem /x.cimbak", trailing("wbem ")),
            (r"\\server\share\x.cimbak.", trailing("x.cimbak.")),
            ("...", trailing("...")),
            (r"..\x", None),
            (r".\..\x\.", None),
            ("", None),
            (r"C:x.cimbak", None),
            (r"C:", None),
            (r"C:\wbem\OBJE~1.DAT", None),
            (
                r"C:\wbem\OBJECTS.DATA:stream",
                stream("OBJECTS.DATA:stream"),
            ),
            (
                r"C:\wbem\OBJECTS.DATA::$DATA",
                stream("OBJECTS.DATA::$DATA"),
            ),
            ("x:yz", None),
            ("xx:yz", stream("xx:yz")),
            (r"C:\wbem\C:", stream("C:")),
            (r"\\?\C:\wbem\OBJECTS.DATA.", None),
            (r"\\?\C:\wbem\nul", None),
            (r"\\?\C:\wbem\x/y.", None),
            (r"\\?\UNC\server\share\x. ", None),
            (r"\\?\Volume{0}\x", None),
            (r"\\?\C:\wbem\OBJECTS.DATA:s", stream("OBJECTS.DATA:s")),
            // Not verbatim, although it looks like it.
            ("//?/C:/wbem/OBJECTS.DATA.", Some(NameFault::DevicePath)),
            (r"\\.\C:\wbem\x", Some(NameFault::DevicePath)),
            (r"\\.\pipe\x", Some(NameFault::DevicePath)),
            ("//./nul", Some(NameFault::DevicePath)),
            (r"\\.", Some(NameFault::DevicePath)),
            (r"\??\C:\x", Some(NameFault::DevicePath)),
            ("nul", device("nul")),
            (r"C:\x\NUL.cimbak", device("NUL.cimbak")),
            (r"C:\x\aux .cimbak", device("aux .cimbak")),
            ("Com1", device("Com1")),
            ("COM¹.txt", device("COM¹.txt")),
            ("lpt9.a.b", device("lpt9.a.b")),
            ("conin$", device("conin$")),
            ("nul:", device("nul:")),
            ("COM0", None),
            ("COM10", None),
            ("COM", None),
            ("COMé", None),
            ("console", None),
            (".nul", None),
        ];
        for (path, expected) in table {
            assert_eq!(windows_fault(path), expected, "{path}");
        }
        // Text from evidence is printed escaped.
        let text = NameFault::Trailing("a\u{202e}.".into()).to_string();
        assert!(!text.contains('\u{202e}'), "{text}");
    }

    /// The name that Win32 opens for one in a path that is not verbatim, derived from the
    /// documentation independently of the rule.
    fn opened(name: &str) -> String {
        let mut name = name.to_owned();
        while name.ends_with('.') || name.ends_with(' ') {
            name.pop();
        }
        match name.find(':') {
            Some(at) => name[..at].to_owned(),
            None => name,
        }
    }

    proptest! {
        #[test]
        fn a_path_that_is_let_through_means_what_it_says(
            names in prop::collection::vec("[a-cA-Z~1:. é\u{202e}$]{0,8}|OBJECTS\\.DATA[. \
                :]{0,4}|(?i)(nul|com[0-9¹])[. ]{0,2}[a-z]?", 1..5),
            drive in any::<bool>(),
        ) {
            let path = format!("{}{}", if drive { r"Q:\" } else { "" }, names.join(r"\"));
            if windows_fault(&path).is_none() {
                let whole = path.strip_prefix("Q:").unwrap_or(&path);
                // If no directory precedes it, one letter and a colon are a drive.
                let whole = match whole.as_bytes() {
                    [letter, b':', ..] if !drive && letter.is_ascii_alphabetic() => &whole[2..],
                    _ => whole,
                };
                for name in whole.split('\\').filter(|name| !matches!(*name, "." | "..")) {
                    prop_assert_eq!(opened(name), name);
                }
            }
        }

        #[test]
        fn every_spelling_of_a_file_with_an_end_that_is_taken_away_is_told(end in "[. \
            ]{1,6}", verbatim in any::<bool>()) {
            let path = format!(r"{}C:\wbem\OBJECTS.DATA{end}", if verbatim { r"\\?\" } else { "" });
            prop_assert_eq!(windows_fault(&path).is_some(), !verbatim);
        }

        #[test]
        fn no_text_makes_it_panic(path in any::<String>()) {
            windows_fault(&path);
        }
    }
}
