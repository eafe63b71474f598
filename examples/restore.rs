//! Restores a backup over what is there.
//!
//! `cargo run --example restore -- monday.cimbak new/Repository`

use std::path::Path;

use cimrepo::{Backup, Existing, RestoreOptions, RestoreSummary, Result, Unobserved};

/// Restores a backup; a repository that is there is replaced.
pub fn restore(backup: &Path, repository: &Path) -> Result<RestoreSummary> {
    let options = RestoreOptions {
        existing: Existing::Replace,
        ..RestoreOptions::default()
    };
    // The backup is checked before anything that is there is touched, and a loss of power leaves
    // the old state or the new.
    cimrepo::restore(&Backup::open(backup)?, repository, options, &Unobserved)
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let backup = arguments.next().unwrap_or_else(|| "monday.cimbak".into());
    let repository = arguments.next().unwrap_or_else(|| "Repository".into());
    let summary = restore(backup.as_ref(), repository.as_ref())?;
    println!(
        "{:?}: {} pages written",
        summary.installed, summary.pages_written
    );
    Ok(())
}
