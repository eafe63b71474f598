//! `page`: shows one decoded page, or lists the pages of objects.

use cimrepo::base::corruption::Corruption;
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape_path;
use cimrepo::base::limits::MAX_CARVED_PAGES;
use cimrepo::base::page_no::{LogicalPage, PAGE_SIZE, PageBytes, PhysicalPage, Space};
use cimrepo::base::site::{FileRole, Site};
use cimrepo::format::heap::page::{Descriptor, ObjectPage};
use cimrepo::format::index::key::Key;
use cimrepo::format::index::page::{IndexPage, SIGNATURE};
use cimrepo::store::{Snapshot, UnmappedFiles};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::ui::output::{Failure, Output, complain};
use crate::ui::source::{SourceArguments, warn_of_size};

/// Show a page: its structure and its bytes
///
/// Without a number, lists the records of OBJECTS.DATA, found page by page without the index.
/// With --physical, pages are numbered as they lie in the file: for files without a usable
/// mapping, and for free pages.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 shown, 1 there is no record, 2 no such page, 3 I/O, 4 damaged, or not a
repository or backup.

Examples:
  cimrepo page /evidence/Repository index 61
  cimrepo page /evidence/Repository objects 12 --hex
  cimrepo page /evidence/Repository objects --physical --json
  cimrepo page monday.cimbak objects 12 --raw > page.bin")]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,

    /// The data file
    #[arg(value_enum)]
    space: SpaceName,

    /// Number of the page
    number: Option<u32>,

    /// Treat NUMBER as the number of a physical page; no mapping is needed
    #[arg(long)]
    physical: bool,

    /// Also show the bytes
    #[arg(long, requires = "number", conflicts_with = "raw")]
    hex: bool,

    /// Write only the 8,192 bytes, unchanged
    #[arg(long, requires = "number", conflicts_with = "json")]
    raw: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SpaceName {
    /// OBJECTS.DATA
    Objects,
    /// INDEX.BTR
    Index,
}

#[derive(Serialize)]
struct RecordRow {
    page: Option<u32>,
    physical_page: Option<u32>,
    id: u32,
    size: u32,
    offset: Option<u32>,
    check: Option<u32>,
}

#[derive(Serialize)]
struct NodeRow {
    page: u32,
    keys: Vec<String>,
    children: Vec<u32>,
    used: usize,
}

#[derive(Serialize)]
struct PageRow<'p> {
    space: Space,
    page: u32,
    physical_page: Option<u32>,
    checksum: u32,
    free_bytes: u32,
    last_write: u32,
    finding: Option<&'p Corruption>,
}

#[derive(Serialize)]
struct BytesRow {
    bytes: String,
}

impl Arguments {
    pub fn run(mut self) -> Result<Outcome, Failure> {
        self.source = self.source.the_one()?;
        let mut output = Output::new(self.json);
        let outcome = match self.number {
            Some(number) => self.show(number, &mut output)?,
            None => self.list(&mut output)?,
        };
        output.finish()?;
        Ok(outcome)
    }

    fn space(&self) -> Space {
        match self.space {
            SpaceName::Objects => Space::Objects,
            SpaceName::Index => Space::Index,
        }
    }

    /// The files without their mapping. Fails for a backup, whose pages are found only by its
    /// mapping.
    fn unmapped(&self) -> Result<UnmappedFiles, Failure> {
        if self.source.path.is_file() {
            let path = escape_path(&self.source.path);
            return Err(Failure::usage(format!(
                "{path} is a file; --physical reads the data files in a directory"
            )));
        }
        Ok(UnmappedFiles::open(&self.source.path)?)
    }

    /// The failure for a number past the last page.
    fn no_page(&self, number: u32, count: u64, kind: &str) -> Failure {
        let file = FileRole::data(self.space());
        let there = match count.checked_sub(1) {
            Some(last) => format!("its {kind} pages are 0 to {last}"),
            None => format!("it has no {kind} page"),
        };
        Failure::usage(format!("{file} has no {kind} page {number}; {there}"))
    }

    fn show(&self, number: u32, output: &mut Output) -> Result<Outcome, Failure> {
        let (bytes, mapped) = if self.physical {
            let files = self.unmapped()?;
            let count = files.pages(self.space()).unwrap_or(0);
            let physical = PhysicalPage::new(number).filter(|page| u64::from(page.get()) < count);
            let physical = physical.ok_or_else(|| self.no_page(number, count, "physical"))?;
            (files.page(self.space(), physical)?, None)
        } else {
            let snapshot = self.source.open()?.snapshot();
            let count = snapshot.mapping().section(self.space()).logical_pages();
            let page = LogicalPage::new(number).filter(|page| page.get() < count);
            let page = page.ok_or_else(|| self.no_page(number, count.into(), "logical"))?;
            (snapshot.page(self.space(), page)?, Some((snapshot, page)))
        };
        if self.raw {
            output.bytes(&bytes[..])?;
            return Ok(Outcome::Done);
        }
        if let Some((snapshot, page)) = &mapped {
            self.describe(snapshot, *page, output)?;
        }
        match self.space() {
            Space::Index => show_node(&bytes, output)?,
            Space::Objects => {
                let page = mapped.map(|(_, page)| page.get());
                show_records(&bytes, page, self.physical.then_some(number), output)?;
            }
        }
        if self.hex {
            show_bytes(&bytes, output)?;
        }
        Ok(Outcome::Done)
    }

    /// Describes the place of the page and its mapping entry.
    fn describe(
        &self,
        snapshot: &Snapshot,
        page: LogicalPage,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let Some(entry) = snapshot.mapping().section(self.space()).entry(page) else {
            return Ok(());
        };
        let finding = snapshot.check_page(self.space(), page);
        if output.is_json() {
            let row = PageRow {
                space: self.space(),
                page: page.get(),
                physical_page: entry.physical.map(PhysicalPage::get),
                checksum: entry.checksum,
                free_bytes: entry.free_bytes,
                last_write: entry.last_write,
                finding: finding.as_ref(),
            };
            return output.row("page", &row);
        }
        let physical = entry
            .physical
            .map_or_else(|| "none".to_owned(), |physical| physical.to_string());
        output.line(format!(
            "{} page {page}: physical page {physical}, checksum {:#010X}, {} free bytes, last \
                written in generation {}",
            self.space(),
            entry.checksum,
            entry.free_bytes,
            entry.last_write
        ))?;
        if let Some(finding) = finding {
            output.line(finding)?;
        }
        Ok(())
    }

    fn list(&self, output: &mut Output) -> Result<Outcome, Failure> {
        if let SpaceName::Index = self.space {
            let text = "give the number of an index page; `cimrepo keys` lists the keys";
            return Err(Failure::usage(text));
        }
        if self.physical {
            self.list_physical(output)
        } else {
            self.list_mapped(output)
        }
    }

    fn list_mapped(&self, output: &mut Output) -> Result<Outcome, Failure> {
        let (mut outcome, mut failed) = (Outcome::Findings, None);
        for record in self.source.open()?.snapshot().records() {
            match record {
                Ok(record) => {
                    outcome = Outcome::Done;
                    let page = Some(record.page.get());
                    let (id, size) = (record.id, record.size);
                    let row = RecordRow {
                        page,
                        physical_page: None,
                        id,
                        size,
                        offset: None,
                        check: None,
                    };
                    if output.is_json() {
                        output.row("record", &row)?
                    } else {
                        output.line(record)?
                    }
                }
                Err(error) => {
                    complain(error.full_text());
                    failed = Some(error.exit_code());
                }
            }
        }
        Ok(failed.unwrap_or(outcome))
    }

    fn list_physical(&self, output: &mut Output) -> Result<Outcome, Failure> {
        let files = self.unmapped()?;
        warn_of_size(&files, MAX_CARVED_PAGES);
        let mut outcome = Outcome::Findings;
        for page in files.object_pages()? {
            let page = page?;
            for descriptor in page.descriptors {
                outcome = Outcome::Done;
                show_descriptor(&descriptor, None, Some(page.physical.get()), output)?;
            }
        }
        Ok(outcome)
    }
}

fn show_descriptor(
    descriptor: &Descriptor,
    page: Option<u32>,
    physical: Option<u32>,
    output: &mut Output,
) -> Result<(), Failure> {
    let Descriptor {
        id,
        offset,
        size,
        check,
    } = *descriptor;
    if output.is_json() {
        let row = RecordRow {
            page,
            physical_page: physical,
            id,
            size,
            offset: Some(offset),
            check: Some(check),
        };
        return output.row("record", &row);
    }
    let place = match (page, physical) {
        (None, Some(physical)) => format!("physical page {physical}: "),
        _ => String::new(),
    };
    let multi = if descriptor.is_multi_page() {
        " (goes on over the following pages)"
    } else {
        ""
    };
    output.line(format!(
        "{place}record {id}: {size} bytes at {offset}, check {check:#010X}{multi}"
    ))
}

fn show_records(
    bytes: &PageBytes,
    page: Option<u32>,
    physical: Option<u32>,
    output: &mut Output,
) -> Result<(), Failure> {
    let view = ObjectPage::new(bytes);
    let site = Site::file(cimrepo::base::site::FileRole::Objects);
    let is_sound = view.multi_page_head().is_some() || view.check_single(site).is_empty();
    if !is_sound {
        return if output.is_json() {
            Ok(())
        } else {
            output.line(
                "no table of contents: it continues a record, is an admin page, or is damaged",
            )
        };
    }
    for descriptor in view.descriptors() {
        show_descriptor(&descriptor, page, physical, output)?;
    }
    if !output.is_json() && view.multi_page_head().is_none() {
        output.line(format!("{} bytes free", view.free_bytes()))?;
    }
    Ok(())
}

fn show_node(bytes: &PageBytes, output: &mut Output) -> Result<(), Failure> {
    let word = |offset: usize| {
        let word = bytes
            .get(offset..offset + 4)
            .and_then(|word| word.try_into().ok());
        word.map_or(0, u32::from_le_bytes)
    };
    let own = LogicalPage::new(word(4));
    let site = Site::file(cimrepo::base::site::FileRole::Index);
    let node = own
        .filter(|_| word(0) == SIGNATURE)
        .and_then(|own| IndexPage::parse(bytes, own, site).ok());
    let (Some(node), Some(own)) = (node, own) else {
        return if output.is_json() {
            Ok(())
        } else {
            output.line(format!("no node: it begins with {:#010X}", word(0)))
        };
    };
    let text = |number: usize| {
        let mut text = Vec::new();
        match node.append_key(number, &mut text) {
            Some(()) => Key::new(text).to_string(),
            None => "(damaged)".to_owned(),
        }
    };
    if output.is_json() {
        let keys = (0..node.key_count()).map(text).collect();
        let row = NodeRow {
            page: own.get(),
            keys,
            children: node.children().collect(),
            used: node.used(),
        };
        return output.row("node", &row);
    }
    output.line(format!(
        "node {own}: {} keys, {} tokens, {} bytes used",
        node.key_count(),
        node.token_count(),
        node.used()
    ))?;
    // A leaf marks every child: with 0 in dialect 2.1, and with the value for no page in 2.2, where
    // 0 is a page.
    let is_leaf = [0, u32::MAX]
        .into_iter()
        .any(|none| node.children().all(|child| child == none));
    for (number, child) in node.children().enumerate() {
        if !is_leaf {
            output.line(format!(
                "  child {}",
                if child == u32::MAX {
                    "none".to_owned()
                } else {
                    child.to_string()
                }
            ))?;
        }
        if number < node.key_count() {
            output.line(format!("  {}", text(number)))?;
        }
    }
    Ok(())
}

fn show_bytes(bytes: &PageBytes, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.row(
            "bytes",
            &BytesRow {
                bytes: cimrepo::backup::hex(&bytes[..]),
            },
        );
    }
    for (row, line) in bytes.chunks(16).enumerate().take(PAGE_SIZE / 16) {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let plain = |byte: &u8| {
            if byte.is_ascii_graphic() || *byte == b' ' {
                char::from(*byte)
            } else {
                '.'
            }
        };
        let text: String = line.iter().map(plain).collect();
        output.line(format!("{:04x}  {}  {text}", row * 16, hex.join(" ")))?;
    }
    Ok(())
}
