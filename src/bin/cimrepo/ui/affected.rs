//! The end of the output of `verify` for a damaged repository: the affected objects, and ways to
//! recover.

use std::path::Path;

use cimrepo::base::escape::escape;
use cimrepo::verify::{AffectedNamespace, Report, Touched, affected};

use super::output::{Failure, Output, argument, count};
use super::progress::Bar;
use super::source::Source;

/// Prints the objects that damage affects, by namespace, and ways to recover.
pub fn show(
    source: &Source,
    report: &Report,
    path: &Path,
    output: &mut Output,
) -> Result<(), Failure> {
    let Some(current) = report.generations.first() else {
        return Ok(());
    };
    if !current.is_consistent() {
        let namespaces = affected(&source.snapshot(), current, &Bar::new())?;
        for namespace in &namespaces {
            match output.is_json() {
                true => output.row("affected", namespace)?,
                false => show_namespace(namespace, output)?,
            }
        }
        if namespaces.is_empty() && !output.is_json() {
            output.line("No class or instance that a key names is affected.")?;
        }
    }
    if output.is_json() {
        Ok(())
    } else {
        show_ways_out(source, path, output)
    }
}

fn show_namespace(namespace: &AffectedNamespace, output: &mut Output) -> Result<(), Failure> {
    let of = |touched: &Touched, one, many| count(touched.count, one, many);
    output.line(format_args!(
        "affected in {}: {}, {}",
        escape(&namespace.namespace),
        of(&namespace.classes, "class", "classes"),
        of(&namespace.instances, "instance", "instances"),
    ))?;
    for (word, touched) in [
        ("class    ", &namespace.classes),
        ("instance ", &namespace.instances),
    ] {
        for name in &touched.names {
            output.line(format_args!("  {word} {}", escape(name)))?;
        }
        let more = touched.count.saturating_sub(touched.names.len() as u64);
        if more > 0 {
            output.line(format_args!("  {word} … and {more} more"))?;
        }
    }
    Ok(())
}

fn show_ways_out(source: &Source, path: &Path, output: &mut Output) -> Result<(), Failure> {
    let path = argument(path);
    output.line("Ways out:")?;
    if matches!(source, Source::Backup(_)) {
        return output.line("  take another copy of this backup, or another backup");
    }
    output.line(format_args!(
        "  keep it as it is:         cimrepo backup {path} FILE --forensic"
    ))?;
    output.line(format_args!(
        "  replace it by a backup:   cimrepo restore FILE {path}"
    ))?;
    output.line(format_args!(
        "  save what can be read:    cimrepo convert {path} DIR"
    ))
}
