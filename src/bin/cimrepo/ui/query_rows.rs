//! Rows of a query as lists, comma-separated values, MOF or JSON.

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape;
use cimrepo::cim::{Name, Value};
use cimrepo::query::{Cell, InstanceRow, Row, RowCount};
use cimrepo::text::mof;

use super::output::{Failure, Output};

/// The form in which rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    List,
    Csv,
    Mof,
    Json,
}

/// Prints rows.
pub struct Printer {
    shape: Shape,
    output: Output,
    /// True if a row was printed.
    has_row: bool,
    /// The class of the rows, for a table without a list of columns.
    class: Option<Name>,
}

impl Printer {
    pub const fn new(shape: Shape, output: Output) -> Self {
        Self {
            shape,
            output,
            has_row: false,
            class: None,
        }
    }

    pub fn row(&mut self, row: &Row) -> Result<(), Failure> {
        let printed = match self.shape {
            Shape::Json => self.output.json(row),
            Shape::List => self.list(row),
            Shape::Csv => self.table(row),
            Shape::Mof => self.mof(row),
        };
        self.has_row = true;
        printed
    }

    pub fn finish(self) -> Result<(), Failure> {
        self.output.finish()
    }

    fn list(&mut self, row: &Row) -> Result<(), Failure> {
        if self.has_row {
            self.output.line("")?;
        }
        for cell in cells(row) {
            let value = cell.value.as_ref().map(text).unwrap_or_default();
            self.output
                .line(format_args!("{} : {}", escape(&cell.name), escape(&value)))?;
        }
        Ok(())
    }

    fn table(&mut self, row: &Row) -> Result<(), Failure> {
        let cells = cells(row);
        self.ensure_one_class(row)?;
        if !self.has_row {
            let names: Vec<String> = cells.iter().map(|cell| field(&cell.name)).collect();
            self.output.line(names.join(","))?;
        }
        let values = cells
            .iter()
            .map(|cell| cell.value.as_ref().map(text).unwrap_or_default());
        let values: Vec<String> = values.map(|value| field(&value)).collect();
        self.output.line(values.join(","))
    }

    /// Without a list of columns, a table has the columns of one class.
    fn ensure_one_class(&mut self, row: &Row) -> Result<(), Failure> {
        let Row::Instance(row) = row else {
            return Ok(());
        };
        if row.projection.is_some() && !row.has_keys_alone() {
            return Ok(());
        }
        let name = row.stored.instance.class().name();
        match &self.class {
            None => self.class = Some(name.clone()),
            Some(first) if first == name => {}
            Some(first) => {
                let text = format!(
                    "rows of {first} and of {name} have different columns; select the columns by \
                        name"
                );
                return Err(Failure::Command(text, Outcome::Usage));
            }
        }
        Ok(())
    }

    fn mof(&mut self, row: &Row) -> Result<(), Failure> {
        if self.has_row {
            self.output.line("")?;
        }
        match row {
            Row::Count(RowCount {
                read,
                unreadable: 0,
            }) => self.output.line(format_args!("// {read}")),
            Row::Count(RowCount { read, unreadable }) => self
                .output
                .line(format_args!("// {read} read, {unreadable} unreadable")),
            Row::Class(row) => self.output.text(&mof::class_text(&row.class.class, false)),
            Row::Instance(row) if row.projection.is_none() => {
                self.output.text(&mof::instance_text(&row.stored.instance))
            }
            Row::Instance(row) => self.projected(row),
        }
    }

    /// Prints an instance with the requested columns. Those that are not its own properties appear
    /// in comments.
    fn projected(&mut self, row: &InstanceRow) -> Result<(), Failure> {
        let class = row.stored.instance.class();
        self.output
            .line(format_args!("instance of {}", class.name()))?;
        self.output.line("{")?;
        for cell in row.cells() {
            let Some(value) = &cell.value else { continue };
            let is_own = class.property(&cell.name).is_some();
            let value = mof::value_text(value);
            let mark = if is_own { "" } else { "// " };
            let mut lines = value.lines();
            let first = lines.next().unwrap_or_default();
            let end = if lines.clone().next().is_none() {
                ";"
            } else {
                ""
            };
            self.output.line(format_args!(
                "    {mark}{} = {first}{end}",
                escape(&cell.name)
            ))?;
            let mut lines = lines.peekable();
            while let Some(line) = lines.next() {
                let end = if lines.peek().is_none() { ";" } else { "" };
                self.output.line(format_args!("    {mark}{line}{end}"))?;
            }
        }
        self.output.line("};")
    }
}

fn cells(row: &Row) -> Vec<Cell> {
    let cell = |name: &str, value: Option<Value>| Cell {
        name: name.to_owned(),
        value,
    };
    match row {
        Row::Instance(row) => row.cells(),
        Row::Count(RowCount {
            read,
            unreadable: 0,
        }) => {
            vec![cell("COUNT", Some(Value::Uint64(*read)))]
        }
        // No column of this name holds less than all.
        Row::Count(RowCount { read, unreadable }) => vec![
            cell("READ", Some(Value::Uint64(*read))),
            cell("UNREADABLE", Some(Value::Uint64(*unreadable))),
        ],
        Row::Class(row) => {
            let superclass = row.class.class.declaration().superclass.as_ref();
            vec![
                cell("__NAMESPACE", Some(Value::from(&*row.namespace))),
                cell(
                    "__CLASS",
                    Some(Value::from(row.class.class.name().as_str())),
                ),
                cell(
                    "__SUPERCLASS",
                    superclass.map(|name| Value::from(name.as_str())),
                ),
            ]
        }
    }
}

/// Formats a value: a text unchanged, everything else as in JSON.
fn text(value: &Value) -> String {
    match value.as_text() {
        Some(text) => text.to_owned(),
        // A value can always be serialized.
        None => serde_json::to_string(value).unwrap_or_default(),
    }
}

/// Formats a field of a table, quoted if it has a comma, a quote or a line end, or blanks at its
/// ends.
fn field(text: &str) -> String {
    let needs_quotes = text.contains([',', '"', '\r', '\n']) || text.trim() != text;
    if needs_quotes {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
