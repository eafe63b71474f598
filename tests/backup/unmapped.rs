//! Forensic backups of files of which no mapping can be read: what is there, byte for byte, and
//! nothing that is not known.

use std::path::Path;

use cimrepo::Error;
use cimrepo::backup::{
    Backup, BackupOptions, BackupSummary, Compression, OpenBackup, backup_unmapped_in, hex,
    uuid_text,
};
use cimrepo::base::error::BackupFault;
use cimrepo::base::page_no::{PAGE_SIZE, Space};
use cimrepo::base::progress::Unobserved;
use cimrepo::base::site::FileRole;
use cimrepo::format::checksum::crc32;
use cimrepo::format::own::backup_file::{
    BackupFlags, ChunkKind, HEADER_SIZE, Header, VERSION_UNMAPPED,
};
use cimrepo::format::own::manifest::{PageState, Summary};
use cimrepo::restore::{Installed, RestoreOptions};
use cimrepo::storage::{MemStorage, Storage};
use cimrepo::store::UnmappedFiles;
use cimrepo::verify::Unchecked;

use crate::forge::Parts;
use crate::support::small::{small_v21, small_v22};
use crate::support::{Files, PLACE, in_memory};
use crate::tiny::{
    NEW, REPLACE, VERIFY, bytes_of, directory, fault_of, listing, load_into, save, shared, single,
    stored_at, tiny_v22,
};

const DAMAGED: RestoreOptions = RestoreOptions {
    damaged: true,
    ..NEW
};

fn forensic() -> BackupOptions {
    BackupOptions {
        forensic: true,
        compression: Compression::None,
        ..single()
    }
}

fn save_files(storage: &MemStorage, options: &BackupOptions) -> cimrepo::Result<BackupSummary> {
    let files = UnmappedFiles::open_in(&directory(storage, PLACE))?;
    backup_unmapped_in(&files, &shared(storage), "it", options, &Unobserved)
}

fn open(storage: &MemStorage) -> cimrepo::Result<Backup> {
    OpenBackup::new().open_in(&shared(storage), "it")
}

/// Sets of files without a mapping that can be read.
fn sets() -> Vec<(String, Files)> {
    let mut sets = Vec::new();
    for (dialect, whole) in [("2.2", small_v22()), ("2.1", small_v21())] {
        let only = |names: &[&str]| -> Files {
            let is_kept = |name: &str| names.contains(&name);
            whole
                .clone()
                .into_iter()
                .filter(|(name, _)| is_kept(name))
                .collect()
        };
        let both = || only(&["OBJECTS.DATA", "INDEX.BTR"]);
        let mut cut = both();
        cut.get_mut("OBJECTS.DATA")
            .unwrap()
            .truncate(5 * PAGE_SIZE + 77);
        cut.get_mut("INDEX.BTR").unwrap().clear();
        let mut torn = whole.clone();
        for (name, bytes) in &mut torn {
            if name.contains("MAP") {
                bytes.truncate(60);
                bytes.fill(0x55);
            }
        }
        let mut pending = both();
        pending.insert("cimrepo-0000000007.journal".to_owned(), vec![9; 5_000]);
        let small = |what: &str, files: Files| (format!("{dialect}, {what}"), files);
        sets.extend([
            small("the heap alone", only(&["OBJECTS.DATA"])),
            small("the index alone", only(&["INDEX.BTR"])),
            small("both", both()),
            small("cut", cut),
            small("torn mappings", torn),
            small("a journal", pending),
        ]);
    }
    sets
}

#[test]
fn whatever_is_there_comes_back_byte_for_byte() {
    for (what, files) in sets() {
        let (storage, _) = in_memory(&files);
        let summary =
            save_files(&storage, &forensic()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let damage = summary.damage.unwrap();
        assert!(
            damage.first.starts_with("no mapping can be read"),
            "{what}: {}",
            damage.first
        );
        let backup = open(&storage).unwrap();
        assert!(
            backup.is_unmapped() && backup.header().version() == VERSION_UNMAPPED,
            "{what}"
        );
        let info = backup.info();
        let whole = |name: &str| files.get(name).map_or(0, |bytes| bytes.len() / PAGE_SIZE) as u64;
        assert_eq!(
            info.pages,
            whole("OBJECTS.DATA") + whole("INDEX.BTR"),
            "{what}"
        );
        assert_eq!(
            (info.pages, info.pages_in_base),
            (summary.pages, 0),
            "{what}"
        );
        assert_eq!(info.identity, uuid_text(&summary.identity));
        assert_eq!(info.content_identity, hex(&summary.content_identity));
        let report = backup
            .verify(VERIFY, &Unobserved)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(
            report.repository.unchecked,
            [Unchecked::NoMapping],
            "{what}"
        );
        assert!(
            !report.is_consistent() && report.repository.findings.is_empty(),
            "{what}"
        );

        let error = load_into(&storage, "it", "restored", NEW).unwrap_err();
        assert!(
            matches!(fault_of(&error), Some(BackupFault::Structure(_))),
            "{what}: {error}"
        );
        assert!(
            storage.kind(Path::new("restored")).unwrap().is_none(),
            "{what}"
        );
        let summary = load_into(&storage, "it", "restored", DAMAGED)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(
            (summary.installed, summary.findings),
            (Installed::New, 1),
            "{what}"
        );
        assert!(
            listing(&storage, "restored") == files,
            "{what}: {:?}",
            listing(&storage, "restored").keys()
        );
    }
}

#[test]
fn equal_files_have_one_content_identity_and_others_another() {
    let mut identities = Vec::new();
    for (_, files) in sets() {
        let (storage, _) = in_memory(&files);
        let packed = BackupOptions {
            compression: Compression::default(),
            ..forensic()
        };
        let one = save_files(&storage, &forensic()).unwrap().content_identity;
        assert_eq!(one, save_files(&storage, &packed).unwrap().content_identity);
        identities.push(one);
    }
    let count = identities.len();
    identities.sort_unstable();
    identities.dedup();
    assert_eq!(identities.len(), count);
}

#[test]
fn it_is_taken_of_nothing_else_and_takes_the_place_of_nothing() {
    let (storage, _) = in_memory(&small_v22());
    let error = save_files(&storage, &forensic()).unwrap_err();
    assert!(
        matches!(error, Error::InvalidArgument(_)),
        "a mapping can be read: {error}"
    );

    let (_, files) = sets().swap_remove(0);
    let (storage, _) = in_memory(&files);
    save(&storage, PLACE, "it", &forensic()).unwrap_err();
    let plain = BackupOptions {
        forensic: false,
        ..forensic()
    };
    let based = BackupOptions {
        base: Some("it".into()),
        ..forensic()
    };
    for options in [
        plain,
        based,
        BackupOptions {
            scrub: true,
            ..forensic()
        },
    ] {
        let error = save_files(&storage, &options).unwrap_err();
        assert!(
            matches!(error, Error::InvalidArgument(_)),
            "{options:?}: {error}"
        );
    }
    assert!(storage.get("it").is_none());

    save_files(&storage, &forensic()).unwrap();
    stored_at(&storage, "whole", &tiny_v22(0));
    let error = load_into(
        &storage,
        "it",
        "whole",
        RestoreOptions {
            damaged: true,
            ..REPLACE
        },
    )
    .unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    assert!(listing(&storage, "whole") == tiny_v22(0));
    // Nor is anything based on it.
    let based = BackupOptions {
        base: Some("it".into()),
        ..single()
    };
    let error = save(&storage, "whole", "next", &based).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidArgument(_)) && error.to_string().contains("no generation"),
        "{error}"
    );
}

#[test]
fn what_reads_older_versions_alone_refuses_it_by_its_version() {
    let (_, files) = sets().swap_remove(2);
    let (storage, _) = in_memory(&files);
    save_files(&storage, &forensic()).unwrap();
    let bytes = bytes_of(&storage, Path::new("it"));
    assert_eq!(bytes[8..12], 3u32.to_le_bytes());
    // As a reader of today does with the version after this.
    let mut newer = bytes[..HEADER_SIZE].to_vec();
    newer[8] = 4;
    let crc = crc32(&newer[..HEADER_SIZE - 4]);
    newer[HEADER_SIZE - 4..].copy_from_slice(&crc.to_le_bytes());
    let fault = Header::parse(&newer).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "backup format version 4 is unknown; use a newer cimrepo"
    );
}

#[test]
fn headers_and_manifests_that_lie_are_refused() {
    type Lie = (&'static str, fn(&mut Parts));
    let lies: &[Lie] = &[
        ("a generation", |parts| parts.header.generation = 1),
        ("a transaction", |parts| parts.header.transaction = 1),
        ("not forensic", |parts| {
            parts.header.flags = BackupFlags::UNMAPPED
        }),
        ("scrubbed", |parts| {
            parts.header.flags |= BackupFlags::SCRUBBED
        }),
        ("incremental", |parts| {
            parts.header.flags |= BackupFlags::INCREMENTAL;
            parts.header.base = Some(([1; 16], [1; 32]));
        }),
        ("journals that are not there", |parts| {
            parts.header.flags |= BackupFlags::JOURNALS
        }),
        ("a mapping that is not there", |parts| {
            parts.header.flags = BackupFlags::FORENSIC
        }),
        ("logical pages", |parts| {
            parts.manifest.spaces[0].pages.push(PageState::Unmapped)
        }),
        ("a count", |parts| {
            parts.manifest.summary = Summary {
                keys: 1,
                ..Summary::default()
            }
        }),
        ("another identity", |parts| {
            parts.manifest.content_identity[0] ^= 1
        }),
        ("a length", |parts| {
            parts.manifest.spaces[0].file_length += PAGE_SIZE as u64
        }),
        ("no such file", |parts| {
            parts.manifest.spaces[1].file_length = u64::MAX
        }),
        ("pages of a generation", |parts| {
            parts.manifest.chunks[0].header.kind = ChunkKind::Pages(Space::Objects);
        }),
        ("a chunk less", |parts| {
            parts.manifest.chunks.remove(0);
            parts.payloads.remove(0);
            parts.settle();
            identify(parts);
        }),
        ("a mapping that can be read", |parts| {
            let (storage, _) = in_memory(&small_v22());
            save(&storage, PLACE, "whole", &forensic()).unwrap();
            let whole = Parts::of(&bytes_of(&storage, Path::new("whole")));
            let kinds = || whole.manifest.chunks.iter().zip(&whole.payloads);
            let is_mapping = |kind| matches!(kind, ChunkKind::File(FileRole::Mapping(_)));
            let (chunk, payload) = kinds()
                .find(|(chunk, _)| is_mapping(chunk.header.kind))
                .unwrap();
            parts.manifest.chunks.push(*chunk);
            parts.payloads.push(payload.clone());
            parts.settle();
            identify(parts);
        }),
    ];
    let (_, files) = sets().swap_remove(2);
    let (storage, _) = in_memory(&files);
    save_files(&storage, &forensic()).unwrap();
    let honest = bytes_of(&storage, Path::new("it"));
    for (what, lie) in lies {
        let mut parts = Parts::of(&honest);
        lie(&mut parts);
        storage.put("it", parts.to_bytes());
        let verified = open(&storage)
            .and_then(|backup| backup.verify(VERIFY, &Unobserved))
            .map(drop);
        for error in [
            verified.unwrap_err(),
            load_into(&storage, "it", "restored", DAMAGED).unwrap_err(),
        ] {
            let fault = fault_of(&error).unwrap_or_else(|| panic!("{what}: {error}"));
            assert!(
                matches!(
                    fault,
                    BackupFault::Structure(_) | BackupFault::UnknownVersion(_)
                ),
                "{what}: {fault}"
            );
        }
        assert!(
            storage.kind(Path::new("restored")).unwrap().is_none(),
            "{what}"
        );
    }
    // A backup with a generation that says it has none.
    let (whole, _) = in_memory(&small_v22());
    save(&whole, PLACE, "it", &forensic()).unwrap();
    let mut parts = Parts::of(&bytes_of(&whole, Path::new("it")));
    parts.header.flags |= BackupFlags::UNMAPPED;
    (parts.header.generation, parts.header.transaction) = (0, 0);
    whole.put("it", parts.to_bytes());
    assert!(matches!(
        fault_of(&open(&whole).unwrap_err()),
        Some(BackupFault::Structure(_))
    ));
}

/// Makes the content identity fit the chunks, as `docs::backup` defines it.
fn identify(parts: &mut Parts) {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for chunk in &parts.manifest.chunks {
        hash.update([chunk.header.kind.number()]);
        hash.update(chunk.digest);
    }
    parts.manifest.content_identity = hash.finalize().into();
}

#[test]
fn a_cut_or_changed_one_is_refused() {
    let (_, files) = sets().swap_remove(3);
    let (storage, _) = in_memory(&files);
    save_files(&storage, &forensic()).unwrap();
    let honest = bytes_of(&storage, Path::new("it"));
    for at in (0..honest.len()).step_by(honest.len() / 40) {
        storage.put("it", honest[..at].to_vec());
        assert!(open(&storage).is_err(), "cut at {at}");
        let mut changed = honest.clone();
        changed[at] ^= 0x10;
        storage.put("it", changed);
        let verified = open(&storage).and_then(|backup| backup.verify(VERIFY, &Unobserved));
        let error = verified.expect_err("every byte is covered");
        assert!(matches!(error, Error::Backup { .. }), "{at}: {error}");
        load_into(&storage, "it", "restored", DAMAGED).unwrap_err();
        assert!(
            storage.kind(Path::new("restored")).unwrap().is_none(),
            "{at}"
        );
    }
}
