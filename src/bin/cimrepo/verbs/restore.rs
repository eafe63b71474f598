//! `restore`: restores a repository from a backup.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, io};

use cimrepo::backup::{Backup, Spool};
use cimrepo::base::error::{BackupFault, ExitCode as Outcome};
use cimrepo::base::escape::{escape, escape_path};
use cimrepo::catalog::Catalog;
use cimrepo::catalog::Deletion;
use cimrepo::catalog::part::{Part, TakenPart};
use cimrepo::cim::ObjectPath;
use cimrepo::format::Dialect;
use cimrepo::restore::{
    Existing, Installed, PartOptions, RestoreOptions, RestorePlan, RestoreSummary, Way, plan,
    plan_part, restore, restore_part, writing_process,
};
use cimrepo::storage::Directory;
use cimrepo::store::EngineOptions;
use cimrepo::store::Repository;
use clap::Args;
use serde::Serialize;

use super::diff::show_stat;
use crate::ui::listing::namespace_path;
use crate::ui::output::{Failure, Output, complain, count};
use crate::ui::progress::Bar;
use crate::ui::source::{backup_failed, open_backup, written_failed};

/// Restore a backup to a directory
///
/// The whole backup is checked before anything is touched, and a crash at any moment leaves the
/// old repository or the new one. Over a healthy repository of dialect 2.2, the backup becomes
/// its next generation. Any other repository is first renamed to REPO.001 … REPO.009: a damaged
/// one, one of dialect 2.1, and one whose files have other names (hard links).
///
/// With --namespace, only a part is restored, into the healthy repository of dialect 2.2 in REPO: a
/// namespace with everything below it, a class with the classes derived from it and their
/// instances, or an instance. The present content of that part in REPO is replaced. Missing
/// prerequisites are also restored, and are listed. It is one change: a crash leaves all of it or
/// nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 restored, 1 a part without what could not be read, 2 REPO cannot be a target, or
FILE has no such part, 3 I/O, 4 the backup cannot be used, 5 the repository is locked.

Examples:
  cimrepo restore monday.cimbak restored
  cimrepo restore tuesday.cimbak restored --force
  cimrepo restore tuesday.cimbak restored --base /backups/monday.cimbak --force
  cimrepo restore tuesday.cimbak restored --force --dry-run
  ssh host 'cat monday.cimbak' | cimrepo restore - restored
  cimrepo restore tuesday.cimbak restored --namespace 'root\\subscription'
  cimrepo restore tuesday.cimbak restored --namespace 'root\\cimv2' --class Win32_Lost

To restore over the repository of Windows itself, stop the service winmgmt first.")]
pub struct Arguments {
    /// The backup; - reads it from standard input into a temporary file
    file: PathBuf,

    /// Directory to restore to: a new one in an existing directory, an empty one, or with --force
    /// that of a repository
    repo: PathBuf,

    /// Replace the repository in REPO
    #[arg(long)]
    force: bool,

    /// Restore a forensic backup of a damaged repository, byte for byte, to a new or empty
    /// directory
    #[arg(long)]
    damaged: bool,

    /// Allow the backup to have another dialect than the repository that it replaces
    #[arg(long, requires = "force")]
    change_dialect: bool,

    /// Wait at most this long, in seconds, for another process that writes to REPO
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,

    /// File of the base of an incremental backup, if it is not in the same directory; may be given
    /// several times
    #[arg(long, value_name = "FILE")]
    base: Vec<PathBuf>,

    /// Restore only this namespace, with everything below it, into the repository in REPO
    #[arg(long, value_name = "NS", conflicts_with = "force")]
    namespace: Option<String>,

    /// Restore only this class of the namespace, with the classes derived from it and their
    /// instances
    #[arg(long, value_name = "CLASS", requires = "namespace")]
    class: Option<String>,

    /// Restore only this instance of the namespace: CLASS.KEY=VALUE,… or CLASS=@
    #[arg(
        long,
        value_name = "PATH",
        requires = "namespace",
        conflicts_with = "class"
    )]
    instance: Option<String>,

    /// Change nothing: check the backup, and report what would be done and what would differ
    #[arg(long)]
    dry_run: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// Obstacles to a restore, and its effect on connected clients.
fn hindrance(writer: &str) -> String {
    format!(
        "{} has the repository open for writing: a restore by this command would wait for it \
         (--wait) or be refused, and cut none of its clients off",
        escape(writer)
    )
}

/// The result of a dry run.
#[derive(Serialize)]
struct PlanRow {
    directory: String,
    way: Way,
    dialect: Dialect,
    replaced_dialect: Option<Dialect>,
    discarded_commits: u64,
    findings: u64,
    /// The process that has the repository open for writing, to which its clients are connected.
    writer: Option<String>,
}

/// A part that was restored.
#[derive(Serialize)]
struct PartRow<'t> {
    dry_run: bool,
    /// As in the plan of a whole restore; in a dry run alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    writer: Option<String>,
    namespaces: &'t [String],
    classes: u64,
    instances: u64,
    brought: &'t [String],
    replaced: Option<&'t Deletion>,
    left_out: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    directory: String,
    installed: &'static str,
    generation: Option<u32>,
    set_aside: Option<String>,
    pages_written: u64,
    pages_kept: u64,
    findings: u64,
    /// Number of commits in a journal of the replaced repository.
    discarded_commits: u64,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        // Declared before the backup, which reads from it, so that it is dropped later.
        let spool = self.spool()?;
        let file = spool
            .as_ref()
            .map_or_else(|| self.file.clone(), Spool::path);
        let backup = open_backup(&file, &self.base)?;
        if let Some(namespace) = &self.namespace {
            return self.restore_part(&backup, namespace);
        }
        if self.dry_run {
            return self.tell(&backup);
        }
        let summary = {
            let bar = Bar::new();
            restore(&backup, &self.repo, self.options(), &bar)
                .map_err(|error| self.failed(error, &backup))?
        };
        if backup.is_unmapped() {
            complain("what was restored are files of which no mapping can be read, as they were");
        } else if summary.findings > 0 {
            let found = count(summary.findings, "finding", "findings");
            complain(format_args!(
                "what was restored is damaged, as it was: {found}; `cimrepo verify` lists them"
            ));
        }
        if summary.waiting_commits > 0 {
            let commits = count(summary.waiting_commits, "commit", "commits");
            let what = match &summary.installed {
                Installed::SetAside { .. } => "are set aside with it",
                _ => "are discarded",
            };
            complain(format_args!(
                "{commits} in the journal of the repository that was replaced {what}"
            ));
        }
        let mut output = Output::new(self.json);
        if output.is_json() {
            output.row("restore", &row(&summary))?;
        } else {
            output.line(sentence(&summary))?;
        }
        output.finish()?;
        Ok(Outcome::Done)
    }

    /// The temporary file for standard input.
    fn spool(&self) -> Result<Option<Spool>, Failure> {
        if self.file != Path::new("-") {
            return Ok(None);
        }
        let spool = Spool::make_in(&env::temp_dir())?;
        spool.fill(&mut io::stdin().lock())?;
        Ok(Some(spool))
    }

    fn options(&self) -> RestoreOptions {
        let existing = if self.force {
            Existing::Replace
        } else {
            Existing::Refuse
        };
        RestoreOptions {
            existing,
            damaged: self.damaged,
            change_dialect: self.change_dialect,
            wait: self.wait.map(Duration::from_secs),
            threads: None,
        }
    }

    /// Reports what a restore would do.
    fn tell(&self, backup: &Backup) -> Result<Outcome, Failure> {
        let plan = {
            let bar = Bar::new();
            let planned = plan(backup, &Directory::real(&self.repo), self.options(), &bar);
            planned.map_err(|error| self.failed(error, backup))?
        };
        let mut output = Output::new(self.json);
        self.show_plan(&plan, &mut output)?;
        if let Some(old) = &plan.replaced {
            let (old, new) = (
                Catalog::new(old.snapshot()),
                Catalog::new(backup.snapshot()),
            );
            if show_stat(&old, &new, &mut output)? == 0 {
                complain("the present content and that of the backup are the same");
            }
        }
        output.finish()?;
        Ok(Outcome::Done)
    }

    fn show_plan(&self, plan: &RestorePlan, output: &mut Output) -> Result<(), Failure> {
        let &RestorePlan {
            way,
            dialect,
            waiting_commits,
            findings,
            ..
        } = plan;
        let replaced_dialect = plan.replaced.as_ref().map(Repository::dialect);
        if output.is_json() {
            let (directory, discarded_commits) = (self.repo.display().to_string(), waiting_commits);
            let row = PlanRow {
                directory,
                way,
                dialect,
                replaced_dialect,
                discarded_commits,
                findings,
                writer: plan.writer.clone(),
            };
            return output.row("plan", &row);
        }
        let how = match way {
            Way::New => "as a new repository",
            Way::NextGeneration => "as the next generation of the repository that is there",
            Way::SetAside => "as a new repository; the one that is there would be set aside",
        };
        output.line(format_args!(
            "would restore to {} {how}",
            escape_path(&self.repo)
        ))?;
        if let Some(old) = replaced_dialect.filter(|old| *old != dialect) {
            output.line(format_args!(
                "the dialect would change from {old} to {dialect}"
            ))?;
        }
        if waiting_commits > 0 {
            let commits = count(waiting_commits, "commit", "commits");
            let fate = if way == Way::SetAside {
                "set aside with it"
            } else {
                "discarded"
            };
            output.line(format_args!(
                "{commits} in the journal of the repository that is there would be {fate}"
            ))?;
        }
        if findings > 0 {
            let found = count(findings, "finding", "findings");
            output.line(format_args!("what would be restored is damaged: {found}"))?;
        }
        match &plan.writer {
            Some(writer) => complain(hindrance(writer)),
            None if way == Way::New => {}
            None => {
                output.line("no process has it open for writing: no connection would be cut")?
            }
        }
        Ok(())
    }

    /// The selected part.
    fn part(&self, namespace: &str) -> Result<Part, Failure> {
        let namespace = namespace_path(namespace);
        if let Some(class) = &self.class {
            return Ok(Part::Class {
                namespace,
                class: class.clone(),
            });
        }
        let Some(text) = &self.instance else {
            return Ok(Part::Namespace(namespace));
        };
        let path: ObjectPath = text
            .parse()
            .map_err(|error| Failure::usage(format!("{}: {error}", escape(text))))?;
        if !path.is_instance() || path.namespace.is_some() {
            let what = "is no path of an instance; give CLASS.KEY=VALUE, and its namespace by \
                --namespace";
            return Err(Failure::usage(format!("{} {what}", escape(text))));
        }
        Ok(Part::Instance { namespace, path })
    }

    fn restore_part(&self, backup: &Backup, namespace: &str) -> Result<Outcome, Failure> {
        let part = self.part(namespace)?;
        let taken = if self.dry_run {
            self.plan_part(backup, &part)?
        } else {
            self.take_part(backup, &part)?
        };
        let mut output = Output::new(self.json);
        let writer = match self.dry_run {
            true => writing_process(&Directory::real(&self.repo))?,
            false => None,
        };
        self.show_part(&taken, writer.clone(), &mut output)?;
        output.finish()?;
        if let Some(writer) = &writer {
            complain(hindrance(writer));
        }
        for (what, why) in &taken.left_out {
            complain(format_args!(
                "left out: {}: {}",
                escape(what),
                why.full_text()
            ));
        }
        Ok(if taken.left_out.is_empty() {
            Outcome::Done
        } else {
            Outcome::Findings
        })
    }

    fn part_options(&self) -> PartOptions {
        PartOptions {
            damaged: self.damaged,
            dry_run: self.dry_run,
            threads: None,
        }
    }

    /// Plans the restore of a part; REPO is neither locked nor written.
    fn plan_part(&self, backup: &Backup, part: &Part) -> Result<TakenPart, Failure> {
        let bar = Bar::new();
        let planned = plan_part(
            backup,
            &Directory::real(&self.repo),
            part,
            self.part_options(),
            &bar,
        );
        planned.map_err(|error| self.failed(error, backup))
    }

    fn take_part(&self, backup: &Backup, part: &Part) -> Result<TakenPart, Failure> {
        let mut options = EngineOptions::new().background(false);
        if let Some(seconds) = self.wait {
            options = options.wait(Duration::from_secs(seconds));
        }
        let engine = options
            .open(&self.repo)
            .map_err(|error| written_failed(error, &self.repo))?;
        let taken = {
            let bar = Bar::new();
            let taken = restore_part(backup, &engine, part, self.part_options(), &bar);
            taken.map_err(|error| self.failed(error, backup))?
        };
        engine.close()?;
        Ok(taken)
    }

    fn show_part(
        &self,
        taken: &TakenPart,
        writer: Option<String>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let TakenPart {
            replaced,
            namespaces,
            classes,
            instances,
            brought,
            left_out,
            ..
        } = taken;
        if output.is_json() {
            let left_out = left_out
                .iter()
                .map(|(what, why)| format!("{what}: {}", why.full_text()))
                .collect();
            let (dry_run, classes, instances, replaced) =
                (self.dry_run, *classes, *instances, replaced.as_ref());
            return output.row(
                "part",
                &PartRow {
                    dry_run,
                    writer,
                    namespaces,
                    classes,
                    instances,
                    brought,
                    replaced,
                    left_out,
                },
            );
        }
        for path in brought {
            output.line(format_args!("comes along: {}", escape(path)))?;
        }
        let objects = |classes, instances| {
            format!(
                "{} and {}",
                count(classes, "class", "classes"),
                count(instances, "instance", "instances")
            )
        };
        if let Some(replaced) = replaced {
            output.line(format_args!(
                "replaces {}",
                objects(replaced.class_count, replaced.instances)
            ))?;
        }
        let word = if self.dry_run {
            "would restore"
        } else {
            "restored"
        };
        output.line(format_args!("{word} {}", objects(*classes, *instances)))
    }

    fn failed(&self, error: cimrepo::Error, backup: &Backup) -> Failure {
        let cimrepo::Error::Backup { fault, .. } = &error else {
            return written_failed(error, &self.repo);
        };
        let may_help = matches!(**fault, BackupFault::Inconsistent(_))
            || (backup.is_unmapped() && !self.damaged);
        if !may_help {
            return backup_failed(error);
        }
        let hint = match (backup.info().forensic, self.damaged) {
            (true, false) => "--damaged restores it as it is, to a new or empty directory",
            (true, true) => return error.into(),
            (false, _) => {
                "no restore takes it; `cimrepo keys` and `cimrepo page` read what it holds"
            }
        };
        Failure::Hinted(error, hint.to_owned())
    }
}

fn row(summary: &RestoreSummary) -> Row {
    let (installed, generation, set_aside) = match &summary.installed {
        Installed::NextGeneration { generation } => ("next-generation", Some(*generation), None),
        Installed::SetAside { old } => ("set-aside", None, Some(old.display().to_string())),
        _ => ("new", None, None),
    };
    Row {
        directory: summary.directory.display().to_string(),
        installed,
        generation,
        set_aside,
        pages_written: summary.pages_written,
        pages_kept: summary.pages_kept,
        findings: summary.findings,
        discarded_commits: summary.waiting_commits,
    }
}

fn sentence(summary: &RestoreSummary) -> String {
    let directory = escape_path(&summary.directory);
    let how = match &summary.installed {
        Installed::NextGeneration { generation } => {
            format!("as generation {generation} of the repository that was there")
        }
        Installed::SetAside { old } => format!(
            "as a new repository; the old one is now {}",
            escape_path(old)
        ),
        _ => "as a new repository".to_owned(),
    };
    let kept = if summary.pages_kept > 0 {
        format!(", {} were there already", summary.pages_kept)
    } else {
        String::new()
    };
    format!(
        "restored to {directory} {how}: {} pages written{kept}",
        summary.pages_written
    )
}
