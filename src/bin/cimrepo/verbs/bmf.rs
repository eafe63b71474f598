//! `bmf`: binary MOF in any file, printed as MOF.

use std::path::PathBuf;

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::{escape, escape_path};
use cimrepo::format::bmf::{BmfContent, BmfObject, BmfPrinter, Resource, resources};
use cimrepo::text::mof::Unsaid;
use clap::Args;
use serde::Serialize;

use crate::ui::file::read;
use crate::ui::output::{Failure, Output, complain, count};

/// Print the binary MOF in a file as MOF
///
/// FILE is compiled MOF (.bmf), or any file that contains some: a driver or another Windows binary,
/// or a firmware table. Everything found in it is printed in order, each with a comment that gives
/// its place. An object that cannot be read is reported on standard error, and the others follow.
/// Content that MOF cannot express is reported as well.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 everything was printed, 1 no binary MOF in the file, or something could not be
read or has no words in MOF, 3 I/O, 4 nothing could be read.

Examples:
  cimrepo bmf C:\\Windows\\System32\\drivers\\en-US\\battc.sys.mui
  cimrepo bmf firmware.bmf > firmware.mof
  cimrepo bmf driver.sys --list")]
pub struct Arguments {
    /// A file of binary MOF, or one that contains some
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print only the places, and the objects by name
    #[arg(long)]
    list: bool,

    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ResourceRow {
    offset: usize,
    bytes: usize,
    body_bytes: Option<usize>,
    objects: Option<usize>,
    error: Option<String>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct ObjectRow<'o> {
    /// Offset of the container in the file.
    resource: usize,
    /// Offset of the object in the body.
    offset: usize,
    object: &'static str,
    class: &'o str,
    superclass: Option<&'o str>,
    namespace: Option<&'o str>,
    flags: i32,
    alias: Option<&'o str>,
    mof: &'o str,
    unsaid: Vec<String>,
    notes: Vec<String>,
}

/// Prints and counts what is found.
struct Printing {
    output: Output,
    list: bool,
    objects: usize,
    /// True if something was lost or cannot be expressed.
    has_findings: bool,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let bytes = read(&self.file)?;
        let output = Output::new(self.json);
        let mut printing = Printing {
            output,
            list: self.list,
            objects: 0,
            has_findings: false,
        };
        let mut found = 0;
        for resource in resources(&bytes) {
            found += 1;
            printing.resource(resource)?;
        }
        if found == 0 {
            let text = format!("{} holds no binary MOF", escape_path(&self.file));
            return Err(Failure::Command(text, Outcome::Findings));
        }
        printing.output.finish()?;
        Ok(match (printing.has_findings, printing.objects) {
            (true, 0) => Outcome::Corrupt,
            (true, _) => Outcome::Findings,
            (false, _) => Outcome::Done,
        })
    }
}

impl Printing {
    fn resource(&mut self, resource: Resource) -> Result<(), Failure> {
        let Resource {
            offset,
            bytes,
            body,
        } = resource;
        let error = body.as_ref().err().map(ToString::to_string);
        let notes = body.as_ref().map(|body| body.notes()).unwrap_or_default();
        let row = ResourceRow {
            offset,
            bytes,
            body_bytes: body.as_ref().ok().map(|body| body.bytes().len()),
            objects: body.as_ref().ok().map(cimrepo::format::bmf::Body::count),
            notes: notes.iter().map(ToString::to_string).collect(),
            error,
        };
        self.head(&row)?;
        let Ok(body) = body else {
            self.has_findings = true;
            return Ok(());
        };

        let mut printer = BmfPrinter::new();
        for object in body.objects() {
            match object {
                Ok(object) => self.object(offset, &object, &mut printer)?,
                Err(error) => {
                    self.has_findings = true;
                    complain(format_args!("binary MOF at {offset:#x}: {error}"));
                }
            }
        }
        Ok(())
    }

    fn head(&mut self, row: &ResourceRow) -> Result<(), Failure> {
        let offset = row.offset;
        if let Some(error) = &row.error {
            complain(format_args!("binary MOF at {offset:#x}: {error}"));
        }
        for note in &row.notes {
            complain(format_args!("binary MOF at {offset:#x}: {note}"));
        }
        if self.output.is_json() {
            return self.output.row("bmf", row);
        }
        let comment = if self.list { "" } else { "// " };
        let objects = row
            .objects
            .map(|objects| count(objects as u64, "object", "objects"));
        let objects = objects.unwrap_or_else(|| "cannot be read".to_owned());
        let bytes = row.bytes;
        self.output.line(format_args!(
            "{comment}Binary MOF at {offset:#x}, {bytes} bytes: {objects}"
        ))
    }

    fn object(
        &mut self,
        resource: usize,
        object: &BmfObject,
        printer: &mut BmfPrinter,
    ) -> Result<(), Failure> {
        self.objects += 1;
        let printed = printer.object(object);
        let name = object.content.class_name();
        for unsaid in &printed.unsaid {
            self.has_findings = true;
            complain(format_args!("{name}: {unsaid}"));
        }
        for note in &object.notes {
            complain(format_args!("{name}: {note}"));
        }

        if self.output.is_json() {
            return self.output.row(
                "bmf-object",
                &row(resource, object, &printed.text, &printed.unsaid),
            );
        }
        if !self.list {
            self.output.text(&printed.text)?;
            return self.output.line("");
        }
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let kind = kind_of(&object.content);
        self.output
            .line(format_args!("{kind:<9} {}:{name}", escape(namespace)))
    }
}

const fn kind_of(content: &BmfContent) -> &'static str {
    match content {
        BmfContent::Class(_) => "class",
        BmfContent::Instance(_) => "instance",
    }
}

fn row<'o>(
    resource: usize,
    object: &'o BmfObject,
    mof: &'o str,
    unsaid: &[Unsaid],
) -> ObjectRow<'o> {
    let superclass = match &object.content {
        BmfContent::Class(class) => class.superclass.as_ref().map(|name| name.as_str()),
        BmfContent::Instance(_) => None,
    };
    ObjectRow {
        resource,
        offset: object.offset,
        object: kind_of(&object.content),
        class: object.content.class_name().as_str(),
        superclass,
        namespace: object.namespace.as_deref(),
        flags: object.flags,
        alias: object.alias.as_deref(),
        mof,
        unsaid: unsaid.iter().map(ToString::to_string).collect(),
        notes: object.notes.iter().map(ToString::to_string).collect(),
    }
}
