//! `demo`: the main job on a repository made for it.

use std::fs;
use std::path::{Path, PathBuf};

use cimrepo::backup::{Backup, BackupOptions, backup};
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape_path;
use cimrepo::base::page_no::{PAGE_SIZE, RecordRef, Space};
use cimrepo::base::progress::Unobserved;
use cimrepo::restore::{Existing, Installed, RestoreOptions, restore};
use cimrepo::storage::Directory;
use cimrepo::store::{BulkBuilder, Repository};
use cimrepo::verify::{VerifyOptions, verify};
use cimrepo::{Direction, KeyRange};
use cimrepo::{Invalid, IoOp, Misuse};
use clap::Args;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::ui::output::{Failure, Output, argument, human_bytes};

/// Show the main job on a repository made for it
///
/// Creates a repository from generated objects, verifies it, backs it up and verifies the
/// backup. Then it damages a copy of the repository to show that the damage is found, restores
/// the backup over that copy, and compares every object with the original.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 everything is as it was, 2 DIR is not empty, 3 I/O, 70 something was lost.

Example:
  cimrepo demo /tmp/cimrepo-demo")]
pub struct Arguments {
    /// Directory for everything the demo makes: a new or empty one
    dir: PathBuf,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    step: &'static str,
    result: String,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        prepare(&self.dir)?;
        let mut demo = Demo {
            output: Output::new(self.json),
            step: 0,
        };
        demo.all(&self.dir)?;
        demo.output.finish()?;
        Ok(Outcome::Done)
    }
}

/// The demo writes into a new or empty directory alone.
fn prepare(dir: &Path) -> Result<(), Failure> {
    let failed = |source| cimrepo::Error::Io {
        op: IoOp::CreateDirectory,
        path: dir.into(),
        source,
    };
    fs::create_dir_all(dir).map_err(failed)?;
    if fs::read_dir(dir).map_err(failed)?.next().is_some() {
        let text = format!(
            "{} is not empty; give a new or empty directory",
            escape_path(dir)
        );
        return Err(cimrepo::Error::InvalidArgument(Invalid::new(Misuse::NotEmpty, text)).into());
    }
    Ok(())
}

struct Demo {
    output: Output,
    step: u32,
}

impl Demo {
    fn say(&mut self, step: &'static str, result: String) -> Result<(), Failure> {
        self.step += 1;
        if self.output.is_json() {
            return self.output.row("demo", &Row { step, result });
        }
        self.output
            .line(format!("{}. {step:<8} {result}", self.step))
    }

    fn all(&mut self, dir: &Path) -> Result<(), Failure> {
        let (original, copy, file) = (
            dir.join("repository"),
            dir.join("damaged"),
            dir.join("demo.cimbak"),
        );
        self.build(&original)?;
        self.verify(&original)?;
        self.back_up(&original, &file)?;
        self.damage(&original, &copy)?;
        self.restore(&file, &copy)?;
        self.compare(&original, &copy)?;
        if !self.output.is_json() {
            self.output.line("")?;
            self.output.line(format!(
                "Everything is still in {}: look at it with",
                escape_path(dir)
            ))?;
            self.output
                .line(format!("  cimrepo info {}", argument(&file)))?;
            self.output
                .line(format!("  cimrepo keys {} | head", argument(&copy)))?;
        }
        Ok(())
    }

    fn build(&mut self, to: &Path) -> Result<(), Failure> {
        fs::create_dir(to).map_err(|source| cimrepo::Error::Io {
            op: IoOp::CreateDirectory,
            path: to.into(),
            source,
        })?;
        let mut builder = BulkBuilder::create(Directory::real(to))?;
        let (keys, records) = fill(&mut builder)?;
        builder.finish()?;
        self.say(
            "build",
            format!(
                "{records} objects under {keys} keys, in {}",
                escape_path(to)
            ),
        )
    }

    fn verify(&mut self, path: &Path) -> Result<(), Failure> {
        let report = verify(
            &Repository::open_read_only(path)?,
            VerifyOptions::default(),
            &Unobserved,
        )?;
        expect(
            report.is_consistent(),
            "the repository that was built is inconsistent",
        )?;
        let pages: u32 = report
            .generations
            .iter()
            .flat_map(|report| report.pages)
            .sum();
        self.say(
            "verify",
            format!("WMI repository is consistent ({pages} pages)"),
        )
    }

    fn back_up(&mut self, from: &Path, to: &Path) -> Result<(), Failure> {
        let summary = backup(
            &Repository::open_read_only(from)?,
            to,
            &BackupOptions::default(),
            &Unobserved,
        )?;
        let pages = human_bytes(summary.pages * PAGE_SIZE as u64);
        let size = human_bytes(summary.bytes);
        self.say(
            "backup",
            format!(
                "{} pages ({pages}) in one file of {size}: {}",
                summary.pages,
                escape_path(to)
            ),
        )?;
        let report = Backup::open(to)?.verify(VerifyOptions::default(), &Unobserved)?;
        expect(report.is_consistent(), "the backup is inconsistent")?;
        self.say(
            "check",
            "every byte of the backup matches its checksum; what is in it is consistent".to_owned(),
        )
    }

    /// Changes one byte of an index page of a copy: as little as a failing disk may.
    fn damage(&mut self, from: &Path, to: &Path) -> Result<(), Failure> {
        let failed = |source| cimrepo::Error::Io {
            op: IoOp::Copy,
            path: to.into(),
            source,
        };
        fs::create_dir(to).map_err(failed)?;
        for entry in fs::read_dir(from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            fs::copy(entry.path(), to.join(entry.file_name())).map_err(failed)?;
        }
        let repository = Repository::open_read_only(to)?;
        let root = repository
            .snapshot()
            .mapping()
            .section(Space::Index)
            .entries
            .first()
            .map_or(0, |entry| entry.user_data);
        let offset = usize::try_from(root).unwrap_or(0) * PAGE_SIZE + 16;
        let path = to.join("INDEX.BTR");
        let mut bytes = fs::read(&path).map_err(failed)?;
        if let Some(byte) = bytes.get_mut(offset) {
            *byte ^= 0x40;
        }
        fs::write(&path, bytes).map_err(failed)?;
        self.say(
            "damage",
            format!(
                "one bit of byte {offset} of {} is flipped",
                escape_path(&path)
            ),
        )?;
        let report = verify(
            &Repository::open_read_only(to)?,
            VerifyOptions::default(),
            &Unobserved,
        )?;
        let finding = report.findings().next().map(ToString::to_string);
        expect(
            !report.is_consistent() && finding.is_some(),
            "the damage was not seen",
        )?;
        self.say("verify", format!("seen: {}", finding.unwrap_or_default()))
    }

    fn restore(&mut self, file: &Path, to: &Path) -> Result<(), Failure> {
        let options = RestoreOptions {
            existing: Existing::Replace,
            ..RestoreOptions::default()
        };
        let summary = restore(&Backup::open(file)?, to, options, &Unobserved)?;
        let Installed::SetAside { old } = summary.installed else {
            return expect(false, "the damaged repository was not set aside");
        };
        let text = format!(
            "{} pages to {}; the damaged one is kept as {}",
            summary.pages_written,
            escape_path(to),
            escape_path(&old)
        );
        self.say("restore", text)
    }

    fn compare(&mut self, original: &Path, restored: &Path) -> Result<(), Failure> {
        let (a, b) = (
            Repository::open_read_only(original)?.snapshot(),
            Repository::open_read_only(restored)?.snapshot(),
        );
        let all = |snapshot: &cimrepo::store::Snapshot| -> Result<Vec<_>, cimrepo::Error> {
            snapshot.keys(KeyRange::all(), Direction::Forward).collect()
        };
        let (keys, restored_keys) = (all(&a)?, all(&b)?);
        expect(
            keys == restored_keys,
            "the restored repository has other keys",
        )?;
        let mut references: Vec<RecordRef> = keys
            .iter()
            .filter_map(cimrepo::format::index::key::Key::reference)
            .collect();
        references.sort_unstable();
        references.dedup();
        for &reference in &references {
            expect(
                a.record(reference)? == b.record(reference)?,
                "a restored object differs",
            )?;
        }
        let report = verify(
            &Repository::open_read_only(restored)?,
            VerifyOptions::default(),
            &Unobserved,
        )?;
        expect(
            report.is_consistent(),
            "the restored repository is inconsistent",
        )?;
        self.say(
            "compare",
            format!(
                "{} keys and {} objects are equal: nothing is lost",
                keys.len(),
                references.len()
            ),
        )
    }
}

fn expect(is_so: bool, otherwise: &str) -> Result<(), Failure> {
    if is_so {
        Ok(())
    } else {
        Err(Failure::Mismatch(otherwise.to_owned()))
    }
}

/// The hash by which a name stands in a key of dialect 2.2: SHA-256 of the upper-case name in
/// UTF-16, in hexadecimal.
fn name_hash(name: &str) -> String {
    let upper = name.to_uppercase();
    let bytes: Vec<u8> = upper.encode_utf16().flat_map(u16::to_le_bytes).collect();
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

/// Objects in the shape of a repository: namespaces, in each of them classes, of each of them
/// instances. Their bytes are text.
fn fill(builder: &mut BulkBuilder) -> Result<(usize, usize), Failure> {
    let mut keys: Vec<(String, Option<RecordRef>)> = Vec::new();
    let mut records = 0;
    for namespace in ["ROOT", "ROOT\\CIMV2", "ROOT\\DEFAULT", "ROOT\\subscription"] {
        let ns = format!("NS_{}", name_hash(namespace));
        for class in 0..60 {
            let name = format!("Demo_Class{class:02}");
            // Some definitions are longer than a page, as some of Windows are.
            let text = format!(
                "class {name} in {namespace}: {}",
                "property description, ".repeat(10 + class * 11)
            );
            let definition = builder.record(text.as_bytes())?;
            let hash = name_hash(&name);
            keys.push((format!("{ns}\\CD_{hash}"), Some(definition)));
            keys.push((format!("{ns}\\CR_{}\\C_{hash}", name_hash("")), None));
            records += 1;
            for instance in 0..class % 5 {
                let text = format!(
                    "instance {instance} of {name} in {namespace}; {}",
                    "value, ".repeat(20 + instance * 9)
                );
                let stored = builder.record(text.as_bytes())?;
                let key = name_hash(&format!("{name}={instance}"));
                keys.push((format!("{ns}\\CI_{hash}\\IL_{key}"), Some(stored)));
                keys.push((format!("{ns}\\KI_{hash}\\I_{key}"), Some(stored)));
                records += 1;
            }
        }
    }
    keys.sort();
    for (key, reference) in &keys {
        builder.key(key.as_bytes(), *reference)?;
    }
    Ok((keys.len(), records))
}
