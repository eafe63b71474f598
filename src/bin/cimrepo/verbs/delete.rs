//! `delete`: deletes a class, an instance or a namespace, with everything that depends on it.

use std::path::PathBuf;

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape;
use cimrepo::catalog::ROOT;
use cimrepo::catalog::{CatalogWriter, Deletion};
use cimrepo::cim::ObjectPath;
use cimrepo::store::EngineOptions;
use clap::Args;
use serde::Serialize;

use crate::ui::listing::{Listing, missing, namespace_path};
use crate::ui::near;
use crate::ui::output::{Failure, Output, count, even_if_closed};
use crate::ui::source::written_failed;

/// Delete a class, an instance or a namespace, with everything that depends on it
///
/// Deleting a class also deletes the classes derived from it and the instances of all of them;
/// deleting a namespace also deletes everything in it and below it. The objects to be deleted are
/// printed first. References to them stay, as do the objects that hold the references. All of it is
/// one change: after a crash either everything has been deleted or nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 deleted, 1 there is no such object, 2 it may not be deleted, 5 the repository is in \
use.

Examples:
  cimrepo delete copy/Repository 'root\\subscription:__EventFilter.Name=\"evil\"' --dry-run
  cimrepo delete copy/Repository 'root\\cimv2:Win32_Left'
  cimrepo delete copy/Repository 'root\\left'")]
pub struct Arguments {
    /// Directory of the repository
    repo: PathBuf,

    /// Object to delete: NAMESPACE, NAMESPACE:CLASS, NAMESPACE:CLASS.KEY=VALUE,… or
    /// NAMESPACE:CLASS=@
    #[arg(value_name = "OBJECTPATH|NAMESPACE")]
    object: String,

    /// Print what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

/// The object that a path denotes.
enum Subject {
    Namespace(String),
    Class(String, String),
    Instance(String, ObjectPath),
}

#[derive(Serialize)]
struct Row<'r> {
    object: &'r str,
    dry_run: bool,
    #[serde(flatten)]
    deletion: &'r Deletion,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let engine = EngineOptions::new().background(false).open(&self.repo);
        let engine = engine.map_err(|error| written_failed(error, &self.repo))?;
        let mut writer = engine.begin_catalog_write()?;
        let subject = self.subject(&mut writer)?;
        let deletion = count_deletion(&mut writer, &subject)?;
        // Also done in a dry run, which is never committed, so that a forbidden deletion fails
        // there too.
        delete(&mut writer, &subject)?;
        let mut output = Output::new(self.json);
        even_if_closed(self.show(&deletion, &mut output))?;
        if self.dry_run {
            drop(writer);
        } else {
            writer.commit()?;
        }
        engine.close()?;
        even_if_closed(output.finish())?;
        Ok(Outcome::Done)
    }

    /// The object that the given path denotes, in the repository's own spelling.
    fn subject(&self, writer: &mut CatalogWriter<'_>) -> Result<Subject, Failure> {
        let catalog = writer.catalog();
        let text = &self.object;
        let whole = namespace_path(text.trim_end_matches(':'));
        let mut unused = Output::new(false);
        let mut list = Listing::new(catalog.clone(), &mut unused);
        if catalog.has_namespace(&whole)? {
            return Ok(Subject::Namespace(list.find(&whole)?));
        }
        if !text.contains([':', '=', '"']) {
            let near = near::namespaces(&catalog, &whole);
            return Err(missing(format!(
                "there is no namespace {}{near}",
                escape(&whole)
            )));
        }
        let path: ObjectPath = text
            .parse()
            .map_err(|error| Failure::usage(format!("{}: {error}", escape(text))))?;
        let named = path.namespace.as_deref().unwrap_or(ROOT);
        let namespace = list.find(named)?;
        let class = path.class.as_str();
        if catalog.class(&namespace, class)?.is_none() {
            return Err(missing(format!(
                "there is no {}{}",
                escape(text),
                near::classes(&catalog, &namespace, class)
            )));
        }
        if !path.is_instance() {
            return Ok(Subject::Class(namespace, class.to_owned()));
        }
        let path = ObjectPath {
            namespace: None,
            server: None,
            ..path
        };
        if catalog
            .instance(&namespace, &path)
            .is_ok_and(|found| found.is_none())
        {
            let near = near::instances(&catalog, &namespace, path.class.as_str(), &path.text());
            return Err(missing(format!("there is no {}{near}", escape(text))));
        }
        Ok(Subject::Instance(namespace, path))
    }

    fn show(&self, deletion: &Deletion, output: &mut Output) -> Result<(), Failure> {
        if output.is_json() {
            let (object, dry_run) = (self.object.as_str(), self.dry_run);
            return output.row(
                "deletion",
                &Row {
                    object,
                    dry_run,
                    deletion,
                },
            );
        }
        for namespace in &deletion.namespaces {
            output.line(format_args!("namespace {}", escape(namespace)))?;
        }
        for class in &deletion.classes {
            output.line(format_args!("class     {}", escape(class)))?;
        }
        let word = if self.dry_run {
            "would delete"
        } else {
            "deletes"
        };
        output.line(format_args!(
            "{word} {}, {}, {}",
            count(deletion.namespaces.len() as u64, "namespace", "namespaces"),
            count(deletion.class_count, "class", "classes"),
            count(deletion.instances, "instance", "instances"),
        ))?;
        if deletion.referrers > 0 {
            let references = count(deletion.referrers, "reference", "references");
            output.line(format_args!("{references} to it will lead nowhere"))?;
        }
        Ok(())
    }
}

fn count_deletion(writer: &mut CatalogWriter<'_>, subject: &Subject) -> Result<Deletion, Failure> {
    Ok(match subject {
        Subject::Namespace(namespace) => writer.deletion_of_namespace(namespace)?,
        Subject::Class(namespace, class) => writer.deletion_of_class(namespace, class)?,
        Subject::Instance(namespace, path) => writer.deletion_of_instance(namespace, path)?,
    })
}

fn delete(writer: &mut CatalogWriter<'_>, subject: &Subject) -> Result<(), Failure> {
    match subject {
        Subject::Namespace(namespace) => writer.delete_namespace(namespace),
        Subject::Class(namespace, class) => writer.delete_class(namespace, class),
        Subject::Instance(namespace, path) => writer.delete_instance(namespace, path),
    }?;
    Ok(())
}
