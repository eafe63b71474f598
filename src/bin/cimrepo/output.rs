//! Results to standard output, everything else to standard error.
//!
//! A reader of standard output that goes away (`| head`) has seen enough: what follows is not written, and the exit code is
//! that of what was found. Where standard error cannot be written nobody is told; that is no reason to fail.

use std::error::Error as _;
use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::{MAIN_SEPARATOR, Path};

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::shown::shown;
use serde::Serialize;

/// Version of the JSON rows.
pub const SCHEMA: u32 = 1;

/// Why a verb ended early.
#[derive(Debug)]
pub enum Failure {
    /// The library failed.
    Engine(cimrepo::Error),
    /// The same, and what on the command line helps.
    Hinted(cimrepo::Error, String),
    /// Standard output cannot be written.
    Output(io::Error),
    /// What was to be shown did not come out as it must.
    Mismatch(String),
    /// A command that was run, or was to be run, came to no good end.
    Command(String, Outcome),
}

impl From<cimrepo::Error> for Failure {
    fn from(error: cimrepo::Error) -> Self {
        Failure::Engine(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

impl Failure {
    /// A call that makes no sense.
    pub fn usage(text: impl Into<String>) -> Self {
        cimrepo::Error::InvalidArgument(text.into().into()).into()
    }

    /// Whether the user wanted no more of it.
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Failure::Engine(cimrepo::Error::Cancelled))
    }

    /// Says it on standard error; gives the exit code.
    pub fn report(self) -> Outcome {
        match self {
            Failure::Engine(error) => {
                match general_hint(&error) {
                    Some(hint) => complain(format_args!("{}; {hint}", words(&error))),
                    None => complain(words(&error)),
                }
                error.exit_code()
            }
            Failure::Hinted(error, hint) => {
                complain(format_args!("{}; {hint}", words(&error)));
                error.exit_code()
            }
            Failure::Output(error) => {
                complain(format_args!("cannot write the output: {error}"));
                Outcome::Io
            }
            Failure::Mismatch(text) => {
                complain(text);
                Outcome::Bug
            }
            Failure::Command(text, outcome) => {
                complain(text);
                outcome
            }
        }
    }
}

/// What helps against some errors of the operating system, whatever was done.
fn general_hint(error: &cimrepo::Error) -> Option<&'static str> {
    let source = match error {
        cimrepo::Error::Io { source, .. } => source,
        cimrepo::Error::Cancelled => return Some("what was there before is still there"),
        _ => return None,
    };
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("make room and try again; what was there before is still there")
        }
        io::ErrorKind::FileTooLarge => Some("the limit of the file system or of the shell is in the way"),
        io::ErrorKind::InvalidFilename => {
            Some("give a shorter name: files with longer ones are made beside it for a time")
        }
        _ => None,
    }
}

/// A line on standard error, as far as it can be written.
pub fn complain(text: impl Display) {
    writeln!(io::stderr().lock(), "cimrepo: {text}").ok();
}

/// An error with what caused it.
pub fn words(error: &cimrepo::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Standard output, as text or as JSON, one object a line.
pub struct Output {
    out: BufWriter<StdoutLock<'static>>,
    is_json: bool,
    is_closed: bool,
}

impl Output {
    pub fn new(is_json: bool) -> Self {
        Self { out: BufWriter::new(io::stdout().lock()), is_json, is_closed: false }
    }

    pub const fn is_json(&self) -> bool {
        self.is_json
    }

    /// Whether its reader went away: nothing more need be looked for only to be shown.
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn put(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        if self.is_closed {
            return Ok(());
        }
        match write(&mut self.out) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// A line of text.
    pub fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        self.put(|out| writeln!(out, "{text}"))
    }

    /// A labelled line of text.
    pub fn field(&mut self, label: &str, text: impl Display) -> Result<(), Failure> {
        self.put(|out| writeln!(out, "{label:<13}{text}"))
    }

    /// A JSON object that says itself what it is.
    pub fn json(&mut self, row: &impl Serialize) -> Result<(), Failure> {
        self.put(|out| {
            serde_json::to_writer(&mut *out, row)?;
            out.write_all(b"\n")
        })
    }

    /// A JSON object.
    pub fn row(&mut self, kind: &str, row: &impl Serialize) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Row<'r, T> {
            schema: u32,
            kind: &'r str,
            #[serde(flatten)]
            row: &'r T,
        }
        self.put(|out| {
            serde_json::to_writer(&mut *out, &Row { schema: SCHEMA, kind, row })?;
            out.write_all(b"\n")
        })
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.put(|out| out.write_all(bytes))
    }

    /// Ends the output.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.put(|out| out.flush())
    }
}

/// A path as it is written behind a verb in a shell.
pub fn argument(path: &Path) -> String {
    let text = shown(path);
    let text = if text.starts_with('-') { format!(".{MAIN_SEPARATOR}{text}") } else { text };
    let is_plain = |c: char| c.is_alphanumeric() || "/\\:._-+,@".contains(c);
    if text.chars().all(is_plain) { text } else { format!("\"{text}\"") }
}

/// A number of bytes for people.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["bytes", "KiB", "MiB", "GiB"];
    let mut unit = 0;
    let mut divisor = 1u64;
    while unit + 1 < UNITS.len() && bytes / divisor >= 1024 {
        divisor *= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 {
        return format!("{bytes} {name}");
    }
    let tenths = bytes.saturating_mul(10) / divisor;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// A count and its noun.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
