//! Results to standard output, everything else to standard error.

use std::error::Error as _;
use std::io::{self, BufWriter, StdoutLock, Write};

use cimrepo::base::error::ExitCode as Outcome;
use serde::Serialize;

/// Version of the JSON rows.
pub const SCHEMA: u32 = 1;

/// Why a verb ended early.
#[derive(Debug)]
pub enum Failure {
    /// The library failed.
    Engine(cimrepo::Error),
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
    /// Says it on standard error; gives the exit code.
    pub fn report(self) -> Outcome {
        match self {
            Failure::Engine(error) => {
                let mut text = error.to_string();
                let mut cause = error.source();
                while let Some(error) = cause {
                    text.push_str(&format!(": {error}"));
                    cause = error.source();
                }
                eprintln!("cimrepo: {text}");
                error.exit_code()
            }
            // The reader of a pipe has seen enough.
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Outcome::Done,
            Failure::Output(error) => {
                eprintln!("cimrepo: cannot write the output: {error}");
                Outcome::Io
            }
            Failure::Mismatch(text) => {
                eprintln!("cimrepo: {text}");
                Outcome::Bug
            }
            Failure::Command(text, outcome) => {
                eprintln!("cimrepo: {text}");
                outcome
            }
        }
    }
}

/// Standard output, as text or as JSON, one object a line.
pub struct Output {
    out: BufWriter<StdoutLock<'static>>,
    is_json: bool,
}

impl Output {
    pub fn new(is_json: bool) -> Self {
        Self { out: BufWriter::new(io::stdout().lock()), is_json }
    }

    pub const fn is_json(&self) -> bool {
        self.is_json
    }

    /// A line of text.
    pub fn line(&mut self, text: impl std::fmt::Display) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// A labelled line of text.
    pub fn field(&mut self, label: &str, text: impl std::fmt::Display) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{label:<13}{text}")?)
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
        serde_json::to_writer(&mut self.out, &Row { schema: SCHEMA, kind, row }).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.out.write_all(bytes)?)
    }

    /// Ends the output.
    pub fn finish(mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
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
