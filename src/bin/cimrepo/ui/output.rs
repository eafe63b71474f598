//! The only access to standard output, for results, and standard error, for everything else.
//!
//! Names, values, paths and arguments come from evidence and may hold control sequences for a
//! terminal. Whatever is printed here is escaped, however it was formatted. Only this module ends a
//! line, and JSON strings are printed in visible characters.
//!
//! If the reader of standard output leaves (`
//! head`), the verb ends quietly, without totals and with exit code 0. Failure to write to standard
//! error is ignored.
//!
//! While one of several sources is read, each line names its source ([`Label`]).

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::fmt::{Display, Write as _};
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::panic::{self, PanicHookInfo};
use std::path::{MAIN_SEPARATOR, Path};

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::{EscapingWriter, Visible, escape, escape_path, guard};
use cimrepo::{Invalid, Misuse};
use clap::Parser;
use serde::Serialize;
use serde_json::ser::Formatter;

/// Version of the JSON rows.
pub const SCHEMA: u32 = 1;

/// The reason why a verb ended early.
#[derive(Debug)]
pub enum Failure {
    /// The library failed.
    Engine(cimrepo::Error),
    /// The library failed, and a hint for the command line is available.
    Hinted(cimrepo::Error, String),
    /// Standard output cannot be written.
    Output(io::Error),
    /// The reader of standard output left; the verb ends silently.
    Closed,
    /// The result is not as it must be.
    Mismatch(String),
    /// A command could not be run, or failed.
    Command(String, Outcome),
}

impl From<cimrepo::Error> for Failure {
    fn from(error: cimrepo::Error) -> Self {
        Failure::Engine(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Output(error),
        }
    }
}

impl Failure {
    /// The failure for an invalid call.
    pub fn usage(text: impl Into<String>) -> Self {
        cimrepo::Error::InvalidArgument(Invalid::new(Misuse::Use, text)).into()
    }

    /// True if the user ended it.
    pub const fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Failure::Engine(cimrepo::Error::Cancelled)
                | Failure::Hinted(cimrepo::Error::Cancelled, _)
        )
    }

    /// True if no further source should be read, because the user ended the run or nobody reads the
    /// output.
    pub const fn ends_the_run(&self) -> bool {
        self.is_cancelled() || matches!(self, Failure::Closed | Failure::Output(_))
    }

    /// Reports the failure on standard error. Returns the exit code.
    pub fn report(self) -> Outcome {
        match self {
            Failure::Engine(error) => {
                match general_hint(&error) {
                    Some(hint) => complain(format_args!("{}; {hint}", error.full_text())),
                    None => complain(error.full_text()),
                }
                error.exit_code()
            }
            Failure::Hinted(error, hint) => {
                complain(format_args!("{}; {hint}", error.full_text()));
                error.exit_code()
            }
            Failure::Output(error) => {
                complain(format_args!("cannot write the output: {error}"));
                Outcome::Io
            }
            Failure::Closed => Outcome::Done,
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

/// A hint for some errors of the operating system, independent of the operation.
fn general_hint(error: &cimrepo::Error) -> Option<&'static str> {
    let source = match error {
        // Does not apply if the new state is in place and only unconfirmed.
        cimrepo::Error::Io { .. } if error.is_disk_full() => {
            return Some("make room and try again; what was there before is still there");
        }
        cimrepo::Error::Io { source, .. } => source,
        cimrepo::Error::Cancelled => return Some("what was there before is still there"),
        _ => return None,
    };
    match source.kind() {
        io::ErrorKind::FileTooLarge => {
            Some("the limit of the file system or of the shell is in the way")
        }
        io::ErrorKind::InvalidFilename => {
            Some("give a shorter name: temporary files with longer names are made next to it")
        }
        _ => None,
    }
}

/// True if standard error is a terminal that can show progress.
pub fn has_terminal() -> bool {
    io::stderr().is_terminal()
}

thread_local! {
    /// The current source, if there are several.
    static SOURCE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// While this exists, all output names one of several sources: text before each line, JSON in the
/// field `source` after `kind`.
pub struct Label(());

impl Label {
    pub fn new(source: &Path) -> Self {
        SOURCE.set(Some(source.to_string_lossy().into_owned()));
        Self(())
    }
}

impl Drop for Label {
    fn drop(&mut self) {
        SOURCE.take();
    }
}

/// The label before a line of text.
fn before_line(source: Option<&str>) -> String {
    source
        .map(|source| format!("{}: ", escape(source)))
        .unwrap_or_default()
}

/// Prints `text` as a line on standard error, ignoring failure.
pub fn complain(text: impl Display) {
    let label = SOURCE.with_borrow(|source| before_line(source.as_deref()));
    writeln!(io::stderr().lock(), "cimrepo: {label}{}", guard(text)).ok();
}

/// Reports a fault of the program itself.
pub fn complain_of_bug() -> Outcome {
    complain("this is a fault of the program; please report the message above with what you did");
    Outcome::Bug
}

/// Parses the command line. If help was requested or the arguments are invalid, prints the text and
/// returns the exit code.
pub fn read_arguments<C: Parser>() -> Result<C, u8> {
    let error = match C::try_parse() {
        Ok(command) => return Ok(command),
        Err(error) => error,
    };

    // The message has several lines and repeats arguments, so it cannot be escaped as a whole. It
    // is produced again from escaped arguments.
    let escaped =
        std::env::args_os().map(|argument| escape(&argument.to_string_lossy()).to_string());
    match C::try_parse_from(escaped)
        .err()
        .filter(|again| again.kind() == error.kind())
    {
        // Failure to write cannot be reported.
        Some(again) => again.print().unwrap_or_default(),
        None => complain(error.kind()),
    }
    Err(u8::try_from(error.exit_code()).unwrap_or(Outcome::Usage as u8))
}

/// Prints every later panic like [`complain`], because its message may repeat evidence.
pub fn guard_panics() {
    panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("panic");
        let place = panic
            .location()
            .map(|place| format!(" at {place}"))
            .unwrap_or_default();
        complain(format_args!("panicked{place}: {text}"));

        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            trace.to_string().lines().for_each(complain);
        }
    }));
}

/// Standard output, as text or as JSON with one object per line.
pub struct Output {
    out: BufWriter<StdoutLock<'static>>,
    /// The current line; kept for its memory.
    line: String,
    is_json: bool,
    source: Option<String>,
    /// The label before each line of text.
    label: String,
}

impl Output {
    pub fn new(is_json: bool) -> Self {
        let source = SOURCE.with_borrow(Clone::clone);
        let label = before_line(source.as_deref());
        Self {
            out: BufWriter::new(io::stdout().lock()),
            line: String::new(),
            is_json,
            source,
            label,
        }
    }

    pub const fn is_json(&self) -> bool {
        self.is_json
    }

    /// True if standard output is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.out.get_ref().is_terminal()
    }

    /// True if each line names one of several sources.
    pub const fn has_label(&self) -> bool {
        self.source.is_some()
    }

    /// Prints `text` as one line, whatever it contains.
    pub fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        self.line.clear();
        self.line.push_str(&self.label);
        // Writing to a string cannot fail, and a `Display` that fails has written what there is to
        // print.
        write!(EscapingWriter::new(&mut self.line), "{text}").ok();
        self.line.push('\n');
        Ok(self.out.write_all(self.line.as_bytes())?)
    }

    /// Prints a labelled line of text.
    pub fn field(&mut self, label: &str, text: impl Display) -> Result<(), Failure> {
        self.line(format_args!("{label:<13}{text}"))
    }

    /// Prints a text of several lines, such as MOF, in which evidence is already escaped. Its own
    /// line ends are kept.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| self.line(line))
    }

    /// Prints a JSON object that states its own kind.
    pub fn json(&mut self, row: &impl Serialize) -> Result<(), Failure> {
        let formatter = VisibleJson::of(self.source.as_deref());
        let mut serializer = serde_json::Serializer::with_formatter(&mut self.out, formatter);
        row.serialize(&mut serializer).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// Prints a JSON object of the given kind.
    pub fn row(&mut self, kind: &str, row: &impl Serialize) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Row<'r, T> {
            schema: u32,
            kind: &'r str,
            #[serde(flatten)]
            row: &'r T,
        }
        self.json(&Row {
            schema: SCHEMA,
            kind,
            row,
        })
    }

    /// Writes bytes unchanged for another program, but never to a terminal.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.pipe()?.write_all(bytes)?)
    }

    /// The destination for unchanged bytes. Fails for a terminal.
    pub fn pipe(&mut self) -> Result<&mut dyn Write, Failure> {
        if self.out.get_ref().is_terminal() {
            return Err(Failure::usage(
                "these bytes are not for a terminal; send them to a file or another program",
            ));
        }
        Ok(&mut self.out)
    }

    /// Writes out everything printed so far.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// Ends the output. Totals on standard error come after it, and are omitted if its reader left
    /// early.
    pub fn finish(mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}

/// Ignores a closed output, for verbs whose outcome is not only in the output.
pub fn even_if_closed(result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(Failure::Closed) => Ok(()),
        other => other,
    }
}

/// JSON in visible characters: others are written in strings by their numbers (`\u001b`), which
/// means the same. In the outermost object the source, if there is one, follows the first two
/// fields, `schema` and `kind`.
struct VisibleJson<'s> {
    source: Option<&'s str>,
    depth: usize,
    fields: usize,
}

impl<'s> VisibleJson<'s> {
    const fn of(source: Option<&'s str>) -> Self {
        Self {
            source,
            depth: 0,
            fields: 0,
        }
    }
}

impl Formatter for VisibleJson<'_> {
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        writer.write_all(b"}")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, mut writer: &mut W) -> io::Result<()> {
        if self.depth != 1 {
            return Ok(());
        }
        self.fields += 1;
        let Some(source) = self.source.filter(|_| self.fields == 2) else {
            return Ok(());
        };
        writer.write_all(b",\"source\":")?;
        let mut serializer =
            serde_json::Serializer::with_formatter(&mut writer, VisibleJson::of(None));
        Ok(source.serialize(&mut serializer)?)
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // A fragment follows a quote or an escape, with which no mark of the evidence may combine.
        let mut visible = Visible::new();
        if visible.shows_all(fragment) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut shown = 0;
        for (at, c) in fragment.char_indices() {
            if visible.shows(c) {
                continue;
            }
            writer.write_all(fragment.get(shown..at).unwrap_or_default().as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            shown = at + c.len_utf8();
        }
        writer.write_all(fragment.get(shown..).unwrap_or_default().as_bytes())
    }
}

/// A path as an argument for a shell, quoted if the shell would split or interpret it.
pub fn argument(path: &Path) -> String {
    let text = escape_path(path);
    let text = if text.starts_with('-') {
        format!(".{MAIN_SEPARATOR}{text}")
    } else {
        text
    };
    let separators = if cfg!(windows) { "/\\" } else { "/" };
    let is_plain = |c: char| c.is_alphanumeric() || separators.contains(c) || ":._-+,@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else if cfg!(windows) {
        format!("\"{text}\"") // no name of Windows has a quote
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Formats a number of bytes for people.
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

/// Formats a count with its noun.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
