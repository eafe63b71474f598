//! Results to standard output, everything else to standard error, and no other way to either.
//!
//! Names, values, paths and arguments come from evidence and may hold what a terminal obeys.
//! Whatever is printed here is escaped, however it was formatted; a line ends only where this
//! module ends it, and in JSON every string is printed in characters that show.
//!
//! A reader of standard output that goes away (`| head`) has seen enough: the verb ends there,
//! quietly, without totals and with exit code 0. Where standard error cannot be written nobody is
//! told; that is no reason to fail.
//!
//! While one of several sources is read, each line says which one it is about ([`Label`]).

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

/// Why a verb ended early.
#[derive(Debug)]
pub enum Failure {
    /// The library failed.
    Engine(cimrepo::Error),
    /// The same, and what on the command line helps.
    Hinted(cimrepo::Error, String),
    /// Standard output cannot be written.
    Output(io::Error),
    /// The reader of standard output went away: the verb ends there, and nobody is told.
    Closed,
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
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Output(error),
        }
    }
}

impl Failure {
    /// A call that makes no sense.
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

    /// True if nothing more is to be read for it: the user ended the run, or nobody reads what is
    /// printed.
    pub const fn ends_the_run(&self) -> bool {
        self.is_cancelled() || matches!(self, Failure::Closed | Failure::Output(_))
    }

    /// Says it on standard error; gives the exit code.
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

/// What helps against some errors of the operating system, whatever was done.
fn general_hint(error: &cimrepo::Error) -> Option<&'static str> {
    let source = match error {
        // Not where the new state is in place, and only unconfirmed.
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

/// True if standard error is a terminal, so that progress can be shown there.
pub fn has_terminal() -> bool {
    io::stderr().is_terminal()
}

thread_local! {
    /// The source that is read now, when there are several.
    static SOURCE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// While it lives, whatever is printed says that it is about one of several sources: in text before
/// each line, in JSON by the field `source` after `kind`.
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

/// The label of a line of text.
fn before_line(source: Option<&str>) -> String {
    source
        .map(|source| format!("{}: ", escape(source)))
        .unwrap_or_default()
}

/// Prints `text` as a line on standard error, as far as it can be written.
pub fn complain(text: impl Display) {
    let label = SOURCE.with_borrow(|source| before_line(source.as_deref()));
    writeln!(io::stderr().lock(), "cimrepo: {label}{}", guard(text)).ok();
}

/// Says that the program itself is at fault.
pub fn complain_of_bug() -> Outcome {
    complain("this is a fault of the program; please report the message above with what you did");
    Outcome::Bug
}

/// Reads the command line. Help, and the reason why the arguments make no sense, are printed; then
/// the exit code is returned.
pub fn read_arguments<C: Parser>() -> Result<C, u8> {
    let error = match C::try_parse() {
        Ok(command) => return Ok(command),
        Err(error) => error,
    };

    // The message has several lines and repeats arguments, so it cannot be escaped as a whole: it
    // is made again from arguments that are escaped already.
    let escaped =
        std::env::args_os().map(|argument| escape(&argument.to_string_lossy()).to_string());
    match C::try_parse_from(escaped)
        .err()
        .filter(|again| again.kind() == error.kind())
    {
        // Nobody is told when nothing can be written.
        Some(again) => again.print().unwrap_or_default(),
        None => complain(error.kind()),
    }
    Err(u8::try_from(error.exit_code()).unwrap_or(Outcome::Usage as u8))
}

/// Prints every panic from now on as [`complain`] prints: its message may repeat evidence.
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

/// Standard output, as text or as JSON, one object a line.
pub struct Output {
    out: BufWriter<StdoutLock<'static>>,
    /// The line being put together; kept for its memory.
    line: String,
    is_json: bool,
    source: Option<String>,
    /// What stands before each line of text.
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

    /// True if a person reads it as it comes.
    pub fn is_terminal(&self) -> bool {
        self.out.get_ref().is_terminal()
    }

    /// True if each line says which of several sources it is about.
    pub const fn has_label(&self) -> bool {
        self.source.is_some()
    }

    /// Prints `text` as one line, whatever it holds.
    pub fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        self.line.clear();
        self.line.push_str(&self.label);
        // Nothing can fail that writes into a string, and a `Display` that fails has written what
        // there is to see.
        write!(EscapingWriter::new(&mut self.line), "{text}").ok();
        self.line.push('\n');
        Ok(self.out.write_all(self.line.as_bytes())?)
    }

    /// Prints a labelled line of text.
    pub fn field(&mut self, label: &str, text: impl Display) -> Result<(), Failure> {
        self.line(format_args!("{label:<13}{text}"))
    }

    /// Prints a text of several lines, such as MOF, in which evidence is escaped already: its own
    /// line ends are kept.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| self.line(line))
    }

    /// Prints a JSON object that says itself what it is.
    pub fn json(&mut self, row: &impl Serialize) -> Result<(), Failure> {
        let formatter = VisibleJson::of(self.source.as_deref());
        let mut serializer = serde_json::Serializer::with_formatter(&mut self.out, formatter);
        row.serialize(&mut serializer).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// Prints a JSON object of a kind.
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

    /// Writes bytes as they are, for another program: never to a terminal.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.pipe()?.write_all(bytes)?)
    }

    /// Where bytes go as they are.
    pub fn pipe(&mut self) -> Result<&mut dyn Write, Failure> {
        if self.out.get_ref().is_terminal() {
            return Err(Failure::usage(
                "these bytes are not for a terminal; send them to a file or another program",
            ));
        }
        Ok(&mut self.out)
    }

    /// Hands on what was printed so far.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// Ends the output. Totals on standard error come after it: of an output that nobody read to
    /// its end there are none.
    pub fn finish(mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}

/// What became of the output of a verb whose outcome is not in the output alone: that nobody reads
/// it changes nothing.
pub fn even_if_closed(result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(Failure::Closed) => Ok(()),
        other => other,
    }
}

/// JSON in characters that show: the others stand in strings by their numbers (`\u001b`), which
/// means the same. In the outermost object a source, if there is one, comes after the first two
/// fields, which are `schema` and `kind`.
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
        // A fragment follows a quote or an escape, none of which a mark of the evidence may change.
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

/// A path as it is written after a verb in a shell: in quotes where the shell would take it apart,
/// or do what it says.
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
