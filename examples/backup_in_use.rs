//! Backs a repository up while a thread goes on writing into it.
//!
//! `cargo run --example backup_in_use -- new/Repository monday.cimbak`

use std::path::Path;
use std::thread;

use cimrepo::{BackupOptions, Engine, Put, Result, Unobserved, backup_snapshot};

/// Backs up the state of this moment, while shelves are put; returns the number of bytes written.
pub fn backup_in_use(repository: &Path, backup: &Path) -> Result<u64> {
    let engine = Engine::open(repository)?;
    // A snapshot never changes, and no writer waits for it.
    let snapshot = engine.snapshot();
    let (storage, options) = (&engine.directory().storage, BackupOptions::default());
    let summary = thread::scope(|scope| {
        let writer = scope.spawn(|| put_shelves(&engine));
        let summary = backup_snapshot(&snapshot, storage, backup, &options, &Unobserved);
        writer.join().expect("the writer does not panic")?;
        summary
    })?;
    engine.close()?;
    Ok(summary.bytes)
}

fn put_shelves(engine: &Engine) -> Result<()> {
    for number in 0..100 {
        let mut writer = engine.begin_catalog_write()?;
        let shelf = writer.new_instance(r"root\Shop", "Shelf")?;
        let instance = shelf.with("Name", format!("shelf {number}"))?;
        writer.put_instance(r"root\Shop", &instance, Put::CreateOrUpdate)?;
        writer.commit()?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let repository = arguments.next().unwrap_or_else(|| "Repository".into());
    let backup = arguments.next().unwrap_or_else(|| "monday.cimbak".into());
    let bytes = backup_in_use(repository.as_ref(), backup.as_ref())?;
    println!("{backup}: {bytes} bytes");
    Ok(())
}
