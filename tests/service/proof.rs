//! The token of a pause, and copies that are held against it: each kind of wrong copy has its own
//! code.

use std::collections::BTreeSet;

use cimrepo::backup::{Backup, BackupOptions, OpenBackup, backup_in};
use cimrepo::format::mapping::Mapping;
use cimrepo::service::{Standby, StandbyObject, Trusted};
use cimrepo::store::{PauseToken, Repository};
use cimrepo::verify::{Proof, prove};

use super::*;

type Files = Vec<(String, Vec<u8>)>;

/// A directory with these files in a storage of its own.
fn laid(files: &Files) -> Directory {
    let storage = MemStorage::new();
    storage.create_dir(Path::new("/copy")).unwrap();
    for (name, bytes) in files {
        storage.put(Path::new("/copy").join(name), bytes.clone());
    }
    Directory::new(Arc::new(storage), "/copy")
}

fn proof(files: &Files, token: &PauseToken) -> Proof {
    let repository = OpenOptions::new().open_in(&laid(files)).unwrap();
    prove_it(&repository, token)
}

fn prove_it(repository: &Repository, token: &PauseToken) -> Proof {
    let proof = prove(repository, token, VerifyOptions::default(), &Unobserved).unwrap();
    // Each has words, and they are not those of another.
    let words: BTreeSet<String> = proof.disproofs.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), proof.disproofs.len(), "{proof:?}");
    proof
}

/// The codes of what is wrong with a copy.
fn codes(files: &Files, token: &PauseToken) -> Vec<&'static str> {
    proof(files, token)
        .disproofs
        .iter()
        .map(cimrepo::verify::Disproof::code)
        .collect()
}

fn changed(files: &Files, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Files {
    let mut files = files.clone();
    let (_, bytes) = files.iter_mut().find(|(found, _)| found == name).unwrap();
    change(bytes);
    files
}

fn with_file_of(files: &Files, name: &str, other: &Files) -> Files {
    let (_, bytes) = other.iter().find(|(found, _)| found == name).unwrap();
    changed(files, name, |there| there.clone_from(bytes))
}

/// A repository with records, paused: its storage, its token, and the files of that moment.
fn paused() -> (MemStorage, Service, PauseToken, Files) {
    let (storage, service) = service();
    let connection = service.connect().unwrap();
    for number in 0..150 {
        put(&connection, &format!("KEY{number:060}"), 6000 + number).unwrap();
    }
    let object = service.backup_restore();
    let run = object.while_paused(|_| files(&storage)).unwrap();
    assert!(run.held);
    (storage, service, run.token, run.value)
}

#[test]
fn both_twins_give_a_token_by_which_a_copy_is_proven() {
    let (storage, service) = service();
    put(&service.connect().unwrap(), "N", 700).unwrap();
    let (object, other) = (service.backup_restore(), service.backup_restore());
    assert_eq!((object.pause_token(), service.pause_token()), (None, None));
    let token = object.pause().unwrap();
    assert_eq!(
        (object.pause_token(), service.pause_token()),
        (Some(token), Some(token))
    );
    assert_eq!(other.pause_token(), None, "the pause is not its own");
    let copy = files(&storage);
    object.resume().unwrap();
    assert_eq!((object.pause_token(), service.pause_token()), (None, None));
    assert!(
        proof(&copy, &token).is_proven(),
        "{:?}",
        proof(&copy, &token)
    );
    assert_eq!(token.to_string().parse::<PauseToken>().unwrap(), token);

    // Nothing changed: the next pause names the same state, whichever twin it is of.
    service.close().unwrap();
    let directory = Directory::new(Arc::new(storage.clone()), PLACE);
    let standby = Standby::with_lease(&directory, Duration::from_secs(20));
    let object = standby.backup_restore_as(Arc::new(Trusted));
    let token = object.try_pause().unwrap();
    assert_eq!(
        (object.pause_token(), standby.pause_token()),
        (Some(token), Some(token))
    );
    let copy = files(&storage);
    object.resume().unwrap();
    assert_eq!((object.pause_token(), standby.pause_token()), (None, None));
    assert!(proof(&copy, &token).is_proven());
    assert_eq!(object.pause().unwrap(), token);
    drop::<StandbyObject>(object);
    assert_eq!(standby.pause_token(), None);
}

#[test]
fn a_lease_that_runs_out_takes_the_token_with_it() {
    let (_, service) = serve(ServiceOptions::new().lease(Duration::from_millis(20)));
    let object = service.backup_restore();
    object.pause().unwrap();
    until("the end of the lease", || {
        service.activity().paused_by.is_none()
    });
    assert_eq!((object.pause_token(), service.pause_token()), (None, None));
}

#[test]
fn a_copy_of_an_earlier_or_later_state_is_told() {
    let (storage, service, token, copy) = paused();
    let connection = service.connect().unwrap();
    put(&connection, "LATER", 500).unwrap();
    // The files of the generation are untouched, and a journal continues it.
    let beside = proof(&files(&storage), &token);
    assert_eq!(beside.disproofs[0].code(), "later-commit");
    assert!(!beside.did_pause_hold() && beside.report.as_ref().unwrap().is_consistent());
    // A lost journal leaves the state that was paused, which nothing in the copy speaks against.
    let without: Files = files(&storage)
        .into_iter()
        .filter(|(name, _)| !name.contains("cimrepo-"))
        .collect();
    assert!(proof(&without, &token).is_proven());

    let later = service
        .backup_restore()
        .while_paused(|_| files(&storage))
        .unwrap();
    assert!(later.token != token && later.token.generation > token.generation);
    assert_eq!(codes(&later.value, &token), ["later-generation"]);
    assert_eq!(codes(&copy, &later.token), ["other-generation"]);
    assert!(proof(&copy, &later.token).did_pause_hold());
    assert!(proof(&later.value, &later.token).is_proven() && proof(&copy, &token).is_proven());
    // When the generation is no more, that is still the reason.
    for number in 0..4 {
        put(&connection, &format!("AND{number}"), 500).unwrap();
        service.checkpoint().unwrap();
    }
    assert_eq!(codes(&files(&storage), &token), ["later-generation"]);
}

#[test]
fn a_copy_of_another_repository_is_told() {
    let (_, _, token, copy) = paused();
    let wrong = PauseToken {
        digest: [0; 32],
        ..token
    };
    assert_eq!(codes(&copy, &wrong), ["other-mapping"]);
    let wrong = PauseToken {
        transaction: token.transaction + 1,
        ..token
    };
    assert_eq!(codes(&copy, &wrong), ["other-mapping"]);
    let wrong = PauseToken {
        generation: token.generation + 1,
        ..token
    };
    assert_eq!(codes(&copy, &wrong), ["other-generation"]);
}

#[test]
fn a_copy_that_is_torn_cut_or_damaged_is_told() {
    let (_, _, token, copy) = paused();
    let repository = OpenOptions::new().open_in(&laid(&copy)).unwrap();
    let mapping = repository.snapshot().mapping().clone();
    for (name, section) in [
        ("OBJECTS.DATA", &mapping.objects),
        ("INDEX.BTR", &mapping.index),
    ] {
        // The last page is a full one, of records or of keys.
        let (_, physical, _) = section.mapped().last().unwrap();
        let at = usize::try_from(physical.byte_offset()).unwrap();
        for range in [16..4096, 4096..8192 - 1024] {
            let files = changed(&copy, name, |bytes| bytes[at..][range.clone()].fill(0xEE));
            assert_eq!(codes(&files, &token), ["torn-page"], "{name} {range:?}");
        }
        assert_eq!(
            codes(
                &changed(&copy, name, |bytes| bytes.truncate(at + 100)),
                &token
            )[0],
            "incomplete-copy"
        );
        let without: Files = copy
            .iter()
            .filter(|(there, _)| there != name)
            .cloned()
            .collect();
        assert_eq!(codes(&without, &token)[0], "incomplete-copy");
        // Another page of the same file: whole in itself.
        let (_, other, _) = section.mapped().nth(section.mapped().count() - 2).unwrap();
        let other = usize::try_from(other.byte_offset()).unwrap();
        let files = changed(&copy, name, |bytes| {
            bytes.copy_within(other..other + 8192, at)
        });
        assert_eq!(codes(&files, &token), ["mixed-copy"], "{name}");
    }
    // A byte of the table that the checksum of the page does not cover.
    let (_, physical, _) = mapping.objects.mapped().last().unwrap();
    let at = usize::try_from(physical.byte_offset()).unwrap();
    let files = changed(&copy, "OBJECTS.DATA", |bytes| bytes[at + 4] ^= 1);
    assert_eq!(codes(&files, &token), ["damaged"]);
    // The file that the next generation goes into.
    let next = format!("MAPPING{}.MAP", Mapping::slot_of(token.generation + 1));
    let files = changed(&copy, &next, |bytes| bytes.fill(0x5A));
    assert_eq!(codes(&files, &token), ["unreadable-mapping"]);
    assert!(!proof(&files, &token).did_pause_hold());
}

/// Files of each time with files of each other: what is proven is the state of its token to the
/// last key, and mixtures are told.
#[test]
fn a_mixture_of_copies_is_told() {
    let (storage, service) = service();
    let connection = service.connect().unwrap();
    let object = service.backup_restore();
    let mut times = Vec::new();
    for round in 0..12 {
        for number in 0..3 {
            put(&connection, &format!("R{round}N{number}"), 3000 + round).unwrap();
        }
        let run = object
            .while_paused(|_| (files(&storage), names(&read(&copy(&storage)))))
            .unwrap();
        times.push((run.token, run.value));
    }
    let mut told = BTreeSet::new();
    for (number, (token, (mine, expected))) in times.iter().enumerate() {
        for (other_number, (_, (other, _))) in times.iter().enumerate() {
            for name in ["OBJECTS.DATA", "INDEX.BTR", "MAPPING1.MAP"] {
                let mixed = with_file_of(mine, name, other);
                let repository = OpenOptions::new().open_in(&laid(&mixed)).unwrap();
                let proof = prove_it(&repository, token);
                told.extend(proof.disproofs.iter().map(cimrepo::verify::Disproof::code));
                assert!(proof.is_proven() || number != other_number, "{proof:?}");
                if proof.is_proven() {
                    assert_eq!(
                        &names(&repository.snapshot()),
                        expected,
                        "{number} with {name} of {other_number}"
                    );
                }
            }
        }
    }
    assert!(
        ["mixed-copy", "later-generation"]
            .iter()
            .all(|code| told.contains(code)),
        "{told:?}"
    );
}

#[test]
fn a_backup_is_held_against_a_token_too() {
    let (storage, service, token, copy) = paused();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let back_up = |directory: &Directory, file: &str, options: &BackupOptions| {
        let repository = OpenOptions::new().open_in(directory).unwrap();
        backup_in(&repository, &shared, file, options, &Unobserved).unwrap();
        OpenBackup::new().open_in(&shared, file).unwrap()
    };
    let prove = |backup: &Backup| {
        backup
            .prove(&token, VerifyOptions::default(), &Unobserved)
            .unwrap()
    };
    let directory = Directory::new(shared.clone(), PLACE);
    for forensic in [false, true] {
        let options = BackupOptions {
            forensic,
            ..BackupOptions::default()
        };
        let proof = prove(&back_up(&laid(&copy), "/paused", &options));
        assert!(proof.is_proven() && proof.report.is_some(), "{proof:?}");
    }
    let code = |proof: &Proof| proof.disproofs[0].code();
    put(&service.connect().unwrap(), "LATER", 500).unwrap();
    let forensic = BackupOptions {
        forensic: true,
        ..BackupOptions::default()
    };
    let proof = prove(&back_up(&directory, "/with a journal", &forensic));
    assert_eq!(code(&proof), "later-commit", "{proof:?}");
    service.checkpoint().unwrap();
    let proof = prove(&back_up(&directory, "/later", &BackupOptions::default()));
    assert_eq!(code(&proof), "later-generation");
    assert!(!proof.did_pause_hold());
}

/// A repository of dialect 2.1 has no checksums in its mapping; its token names the mapping that
/// counts all the same.
#[test]
fn the_older_dialect_has_a_token_as_well() {
    let storage = MemStorage::new();
    storage.create_dir(Path::new(PLACE)).unwrap();
    for (name, bytes) in support::small::small_v21() {
        storage.put(Path::new(PLACE).join(name), bytes);
    }
    let directory = Directory::new(Arc::new(storage.clone()), PLACE);
    let standby = Standby::with_lease(&directory, Duration::from_secs(20));
    let object = standby.backup_restore_as(Arc::new(Trusted));
    let token = object.pause().unwrap();
    assert_eq!(standby.pause_token(), Some(token));
    let copy = files(&storage);
    object.resume().unwrap();
    assert_eq!(token.to_string().split(':').nth(1), Some("2.1"));
    assert!(
        proof(&copy, &token).is_proven(),
        "{:?}",
        proof(&copy, &token)
    );
    let wrong = PauseToken {
        digest: [1; 32],
        ..token
    };
    assert_eq!(codes(&copy, &wrong), ["other-mapping"]);
}
