//! Signs in texts: what a command or script does that an intruder's would (rule P09), what a filter
//! waits for (P07), and what looks like a payload (P11).

use crate::cim::value::{Array, Value};

/// Characters of base64 or hexadecimal digits in a row that make a payload.
const PAYLOAD_RUN: usize = 256;

/// Characters of a text that make a payload whatever it holds.
const PAYLOAD_TEXT: usize = 2_000;

/// Numbers in an array that make a payload. No class of a real repository has more in a default.
const PAYLOAD_NUMBERS: usize = 64;

/// Characters of base64 or hexadecimal digits in a row that count as a sign in a command.
const LONG_RUN: usize = 100;

/// Words of a command in lower case, and the sign that each is.
const WORDS: [(&str, &str); 12] = [
    ("mshta", "mshta"),
    ("regsvr32", "regsvr32"),
    ("rundll32", "rundll32"),
    ("wscript", "wscript"),
    ("certutil", "certutil"),
    ("bitsadmin", "bitsadmin"),
    ("stdregprov", "StdRegProv"),
    ("msxml2.xmlhttp", "MSXML2.XMLHTTP"),
    ("msxml2.serverxmlhttp", "MSXML2.XMLHTTP"),
    ("http://", "URL"),
    ("https://", "URL"),
    ("ftp://", "URL"),
];

/// Parts of paths where every user may write, in lower case.
const WRITABLE: [&str; 9] = [
    r"\users\",
    r"\temp\",
    r"\appdata\",
    r"\programdata\",
    r"\documents and settings\",
    r"\windows\tasks\",
    "%temp%",
    "%appdata%",
    "%public%",
];

/// Signs in the text of a command or script, each once.
pub(super) fn of_command(text: &str) -> Vec<&'static str> {
    let text = text.to_ascii_lowercase();
    let mut signs: Vec<&'static str> = Vec::new();
    if hides_powershell(&text) {
        signs.push("powershell, encoded or hidden");
    }
    let words = WORDS.iter().filter(|(word, _)| text.contains(word));
    for (_, sign) in words {
        if !signs.contains(sign) {
            signs.push(sign);
        }
    }
    if has_unc_path(&text) {
        signs.push("UNC path");
    }
    if WRITABLE.iter().any(|part| text.contains(part)) {
        signs.push("path that users can write to");
    }
    if longest_run(&text) >= LONG_RUN {
        signs.push("long base64 or hexadecimal text");
    }
    if reads_class_property(&text) {
        signs.push("reads a class property: a payload kept in the repository");
    }
    signs
}

fn hides_powershell(text: &str) -> bool {
    const FLAGS: [&str; 8] = [
        " -e ",
        " -ec ",
        " -en",
        " /e ",
        " /en",
        "hidden",
        "-w 1 ",
        "frombase64string",
    ];
    let is_powershell = text.contains("powershell") || text.contains("pwsh");
    is_powershell && FLAGS.iter().any(|flag| text.contains(flag))
}

/// True if two backslashes stand before the name of a server. A dot there means this machine.
fn has_unc_path(text: &str) -> bool {
    text.match_indices(r"\\").any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().last());
        let rest = text.get(at + 2..).unwrap_or_default();
        let server = rest.split('\\').next().unwrap_or_default();
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
        let is_server = server.starts_with(|c: char| c.is_ascii_alphanumeric())
            && server.chars().all(is_name)
            && rest.len() > server.len();
        // A path with doubled backslashes, as scripts escape them, has a letter before them.
        let begins = before.is_none_or(|c| !c.is_ascii_alphanumeric() && c != ':' && c != '\\');
        begins && is_server
    })
}

fn reads_class_property(text: &str) -> bool {
    let names_class = text.contains("winmgmts:") || text.contains("[wmiclass]");
    names_class && (text.contains("properties_") || text.contains(".properties["))
        || text.contains("[wmiclass]") && text.contains(".value")
}

/// Tags of the events that a filter waits for and that are typical of persistence.
pub(super) fn of_query(query: &str) -> Vec<&'static str> {
    let query = query.to_ascii_lowercase();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let words: Vec<&str> = query.split(|c| !is_word(c)).collect();
    let has = |word: &str| words.contains(&word);
    let mut tags = Vec::new();
    let mut tag_if = |is_there: bool, tag: &'static str| {
        if is_there {
            tags.push(tag);
        }
    };
    tag_if(has("__timerevent"), "timer");
    tag_if(has("win32_localtime") || has("win32_utctime"), "clock");
    let is_uptime = words.iter().any(|word| word.contains("uptime"));
    tag_if(is_uptime, "time since start-up");
    let starts = [
        "win32_processstarttrace",
        "win32_processtrace",
        "win32_process",
    ];
    tag_if(starts.iter().any(|class| has(class)), "start of a process");
    let logons = ["win32_logonsession", "win32_loggedonuser"];
    tag_if(logons.iter().any(|class| has(class)), "logon");
    let registry = [
        "registrykeychangeevent",
        "registryvaluechangeevent",
        "registrytreechangeevent",
    ];
    tag_if(registry.iter().any(|class| has(class)), "registry");
    tags
}

/// Why a value looks like a payload, if it does.
pub(super) fn of_payload(value: &Value) -> Option<String> {
    match value {
        Value::Array(Array::String(texts)) => {
            texts.iter().flatten().find_map(|text| payload_text(text))
        }
        Value::Array(_) => None,
        other => payload_text(other.as_text()?),
    }
}

/// The same for the default of a property of a class, where long arrays of numbers count too.
pub(super) fn of_default(value: &Value) -> Option<String> {
    match value {
        Value::Array(array) if !is_text(array) && array.len() > PAYLOAD_NUMBERS => {
            Some(format!("{} numbers", array.len()))
        }
        other => of_payload(other),
    }
}

const fn is_text(array: &Array) -> bool {
    matches!(
        array,
        Array::String(_) | Array::DateTime(_) | Array::Reference(_) | Array::Object(_)
    )
}

fn payload_text(text: &str) -> Option<String> {
    let run = longest_run(text);
    if run >= PAYLOAD_RUN {
        return Some(format!("{run} base64 or hexadecimal characters in a row"));
    }
    if text.len() <= PAYLOAD_TEXT {
        return None;
    }
    let length = text.chars().count();
    (length > PAYLOAD_TEXT).then(|| format!("a text of {length} characters"))
}

/// The length of the longest row of characters of base64 or hexadecimal digits.
fn longest_run(text: &str) -> usize {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let rows = text.split(|c| !is_digit(c)).map(str::len);
    rows.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_their_signs() {
        let encoded = "powershell.exe -NoP -W Hidden -Enc SQBFAFgA";
        assert_eq!(of_command(encoded), ["powershell, encoded or hidden"]);
        let two = r"mshta http://a/b & copy \\server\share\x C:\Users\Public\x";
        let found = of_command(two);
        assert_eq!(
            found,
            ["mshta", "URL", "UNC path", "path that users can write to"]
        );
        for plain in [
            "",
            "powershell -File C:\\Windows\\a.ps1",
            r#"GetObject("winmgmts:\\.\root\cimv2")"#,
            r"C:\\Windows\\System32\\a.exe",
        ] {
            assert!(
                of_command(plain).is_empty(),
                "{plain}: {:?}",
                of_command(plain)
            );
        }
        let kept = "x = GetObject(\"winmgmts:root\\default:A\").Properties_(\"P\").Value";
        assert_eq!(of_command(kept).len(), 1);
    }

    #[test]
    fn queries_have_their_tags() {
        let query = "SELECT * FROM Win32_ProcessStartTrace WHERE ProcessName = 'a'";
        assert_eq!(of_query(query), ["start of a process"]);
        let uptime = "SELECT * FROM __InstanceModificationEvent WITHIN 60 WHERE TargetInstance ISA \
            'Win32_PerfFormattedData_PerfOS_System' AND TargetInstance.SystemUpTime >= 240";
        assert_eq!(of_query(uptime), ["time since start-up"]);
        assert!(of_query("SELECT * FROM Win32_ProcessX").is_empty());
    }

    #[test]
    fn payloads_are_told_by_their_length_and_alphabet() {
        let text = |length: usize, c: &str| Value::String(c.repeat(length));
        assert!(of_payload(&text(255, "A")).is_none() && of_payload(&text(256, "A")).is_some());
        assert!(of_payload(&text(1000, "a ")).is_none() && of_payload(&text(1001, "a ")).is_some());
        let numbers = |count| Value::Array(Array::Uint8(vec![1; count]));
        assert!(of_default(&numbers(64)).is_none() && of_default(&numbers(65)).is_some());
        assert!(of_payload(&numbers(65)).is_none());
    }
}
