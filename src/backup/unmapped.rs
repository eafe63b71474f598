//! Forensic backups of files without a readable mapping.

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

/// Backs up, byte for byte, repository files without a readable mapping, as far as they exist.
/// `options` must request a forensic backup. The backup has no base.
///
/// # Errors
/// The errors of [`backup`](super::backup), and [`Error::InvalidArgument`] if a mapping can be
/// read.
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

/// Backs up files without a readable mapping to a file in any storage, like [`backup_unmapped`].
///
/// # Errors
/// The errors of [`backup_unmapped`].
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

/// Why no mapping can be read. Fails if one can, because then more should be kept.
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

/// The empty snapshot of files without a mapping, with the access rights of the files.
fn snapshot_of_nothing(files: &UnmappedFiles) -> Result<Snapshot> {
    let data = files.files().open_data()?;
    Ok(Snapshot::new(Arc::new(Image::new(
        Mapping::none(),
        FileRole::Mapping(1),
        Box::new(data),
        0,
    ))))
}
