//! Forensic backups of files of which no mapping can be read.

use std::path::Path;
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::base::misuse::Misuse;
use crate::base::pace::Paced;
use crate::base::page_no::Space;
use crate::base::parallel::thread_count;
use crate::base::progress::{Monitor, Observer, Phase};
use crate::base::site::FileRole;
use crate::format::mapping::Mapping;
use crate::format::own::backup_file::BackupFlags;
use crate::pager::lock::LockWait;
use crate::pager::state::image::Image;
use crate::storage::{RealStorage, Storage};
use crate::store::{OpenOptions, Snapshot, UnmappedFiles};
use crate::verify::Unchecked;

use super::BackupOptions;
use super::write::{BackupSummary, Damage, flags_of, need_room, open_target};
use super::writer::Writer;

/// Backs up, byte for byte, files of which no mapping can be read: whatever of a repository is
/// there. `options` must ask for a forensic backup, which such a one is; it is based on no other.
///
/// # Errors
/// As [`backup`](super::backup); [`Error::InvalidArgument`] too where a mapping can be read.
pub fn backup_unmapped(
    files: &UnmappedFiles,
    target: impl AsRef<Path>,
    options: &BackupOptions,
    observer: &dyn Observer,
) -> Result<BackupSummary> {
    backup_unmapped_in(
        files,
        &(Arc::new(RealStorage) as Arc<dyn Storage>),
        target,
        options,
        observer,
    )
}

/// As [`backup_unmapped`], to a file of any storage.
///
/// # Errors
/// As [`backup_unmapped`].
pub fn backup_unmapped_in(
    files: &UnmappedFiles,
    storage: &Arc<dyn Storage>,
    target: impl AsRef<Path>,
    options: &BackupOptions,
    observer: &dyn Observer,
) -> Result<BackupSummary> {
    let reason = need_unmapped(files, options)?;
    let observer = &Paced::new(observer, options.rate);
    let data = files.data();
    let snapshot = snapshot_of_nothing(files)?;
    let total = Space::ALL
        .into_iter()
        .filter_map(|space| files.pages(space))
        .sum();
    need_room(total)?;
    let monitor = Monitor::new(observer, Phase::Backup, total);
    monitor.check()?;
    let flags = flags_of(files.files()) | BackupFlags::UNMAPPED;
    let threads = thread_count(options.threads);
    let may_go_on = || monitor.check();
    let wait = LockWait::new(options.wait, &may_go_on);
    let target = open_target(
        (storage, target.as_ref()),
        &snapshot,
        None,
        options,
        threads,
        wait,
    )?;
    let mut writer = Writer::begin(target, &snapshot, None, options, flags)?;
    writer.forensic(files.files(), &snapshot, data, &monitor)?;
    need_unmapped(files, options)?;
    let damage = Damage {
        first: format!("{}: {reason}", Unchecked::NoMapping),
        findings: 1,
    };
    Ok(BackupSummary {
        damage: Some(damage),
        ..writer.finish(storage, snapshot.mapping(), None)?
    })
}

/// Why no mapping can be read; fails where one can, of which there is more to keep.
fn need_unmapped(files: &UnmappedFiles, options: &BackupOptions) -> Result<Box<str>> {
    let refuse = |text: String| Err(Error::invalid(Misuse::Options, text));
    if !options.forensic || options.scrub || options.base.is_some() {
        return refuse(
            "files without a readable mapping are backed up forensically, and based on no other"
                .to_owned(),
        );
    }
    match OpenOptions::new()
        .without_journal()
        .open_in(&files.files().directory)
    {
        Err(Error::NotARepository { reason, .. }) => Ok(reason),
        Ok(_) => {
            let path = escape_path(&files.files().directory.path);
            refuse(format!(
                "{path} has a mapping that can be read; open it and back that up"
            ))
        }
        Err(error) => Err(error),
    }
}

/// What can be read without a mapping, with the rights of the files.
fn snapshot_of_nothing(files: &UnmappedFiles) -> Result<Snapshot> {
    let data = files.files().open_data()?;
    Ok(Snapshot::new(Arc::new(Image::new(
        Mapping::none(),
        FileRole::Mapping(1),
        Box::new(data),
        0,
    ))))
}
