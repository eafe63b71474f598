//! `demo`: shows the main job on a repository made for the purpose.

use std::fs;
use std::path::{Path, PathBuf};

use cimrepo::backup::{Backup, BackupOptions, backup};
use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape_path;
use cimrepo::base::page_no::{LogicalPage, PAGE_SIZE, PhysicalPage, RecordRef, Space};
use cimrepo::base::progress::Unobserved;
use cimrepo::catalog::create;
use cimrepo::compile::{CompileOptions, MofSource, NoIncludes, compile};
use cimrepo::restore::{Existing, Installed, RestoreOptions, restore};
use cimrepo::storage::Directory;
use cimrepo::store::{EngineOptions, Repository};
use cimrepo::verify::{VerifyOptions, verify};
use cimrepo::{Direction, KeyRange};
use cimrepo::{Invalid, IoOp, Misuse};
use clap::Args;
use serde::Serialize;

use crate::ui::output::{Failure, Output, argument, human_bytes};

/// The sample objects, next to the system classes.
const SAMPLE: &str = include_str!("../../../../testdata/demo.mof");

/// The MOF that changes a copy of the repository.
const CHANGE: &str = r#"#pragma namespace("\\\\.\\root\\shop")
#pragma deleteinstance("Article.Number=1", FAIL)
#pragma deleteclass("Cupboard", FAIL)
"#;

/// Show the main job on a repository made for the purpose
///
/// Creates a repository from the system classes and a sample MOF, verifies it, backs it up and
/// verifies the backup. Then it deletes objects from a copy and damages it, to show that the damage
/// is found, restores the backup over that copy, and compares every object with the original.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 everything is as it was, 2 DIR is not empty, 3 I/O, 70 something was lost.

Example:
  cimrepo demo /tmp/cimrepo-demo")]
pub struct Arguments {
    /// Directory for everything the demo creates; must be new or empty
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

/// Fails unless the directory is new or empty, since the demo writes nowhere else.
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
        self.change(&original, &copy)?;
        self.damage(&copy)?;
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
            let shown = format!("  cimrepo ls {} root/shop", argument(&copy));
            self.output.line(shown)?;
        }
        Ok(())
    }

    fn build(&mut self, to: &Path) -> Result<(), Failure> {
        fs::create_dir(to).map_err(|source| cimrepo::Error::Io {
            op: IoOp::CreateDirectory,
            path: to.into(),
            source,
        })?;
        create(&Directory::real(to))?;
        let objects = compile_into(to, "demo.mof", SAMPLE)?;
        let path = escape_path(to);
        let built = format!("the system classes, and {objects} objects of a sample MOF, in {path}");
        self.say("build", built)
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

    /// Takes objects away from a copy.
    fn change(&mut self, from: &Path, to: &Path) -> Result<(), Failure> {
        copy(from, to)?;
        let objects = compile_into(to, "change.mof", CHANGE)?;
        let changed = format!(
            "{objects} objects are deleted from a copy in {}",
            escape_path(to)
        );
        self.say("change", changed)
    }

    /// Changes one byte of an index page: as little as a failing disk may.
    fn damage(&mut self, to: &Path) -> Result<(), Failure> {
        let failed = |source| cimrepo::Error::Io {
            op: IoOp::Copy,
            path: to.into(),
            source,
        };
        let snapshot = Repository::open_read_only(to)?.snapshot();
        let index = snapshot.mapping().section(Space::Index);
        // Entry 0 names the logical page of the root.
        let root = index.entries.first().map_or(0, |entry| entry.user_data);
        let page = LogicalPage::new(root).and_then(|root| index.resolve(root));
        let page = page.map_or(0, PhysicalPage::get);
        let offset = usize::try_from(page).unwrap_or(0) * PAGE_SIZE + 16;
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

/// Compiles a text into a repository, and gives the number of objects that it concerned.
fn compile_into(to: &Path, name: &str, text: &str) -> Result<usize, Failure> {
    let engine = EngineOptions::new().background(false).open(to)?;
    let sources = [MofSource::new(name, text)];
    let report = compile(
        &engine,
        &sources,
        &mut NoIncludes,
        &CompileOptions::default(),
    )?;
    engine.close()?;
    expect(report.is_stored(), "the sample MOF was refused")?;
    Ok(report.operations.len())
}

/// Copies the files of a repository into a new directory.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
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
    Ok(())
}
