//! Restoring over a healthy repository of dialect 2.2: its next generation.

use std::collections::BTreeMap;
use std::path::Path;

use cimrepo::Error;
use cimrepo::backup::BackupOptions;
use cimrepo::base::page_no::{PAGE_SIZE, Space};
use cimrepo::base::site::FileRole;
use cimrepo::format::Dialect;
use cimrepo::format::mapping::Mapping;
use cimrepo::restore::Installed;
use cimrepo::storage::MemStorage;
use cimrepo::store::OpenOptions;

use crate::support::edit::{edit_mapping, mapping_files};
use crate::support::hooked::Hooked;
use crate::support::small::{mapping_in, page_at, small_v22};
use crate::support::{Files, assert_clean, check, corpus, load, name_of, open};
use crate::tiny::{
    REPLACE, assert_same_pages, checked, content, directory, listing, load_into, opened, save,
    single, sound, tiny,
};
use crate::{BACKUP, TARGET, content_of, keep, storage};

fn restore(storage: &MemStorage, backup: &str) -> u32 {
    match load_into(storage, backup, TARGET, REPLACE)
        .unwrap()
        .installed
    {
        Installed::NextGeneration { generation } => generation,
        other => panic!("{other:?}"),
    }
}

fn version(version: u8) -> (Dialect, u8) {
    (Dialect::V22, version)
}

#[test]
fn the_content_of_the_backup_becomes_the_next_generation() {
    let storage = storage(version(1), &tiny(Dialect::V22, 0));
    let before = opened(&storage, TARGET)
        .unwrap()
        .snapshot()
        .mapping()
        .generation();
    assert_eq!(restore(&storage, BACKUP), before + 1);
    let repository = opened(&storage, TARGET).unwrap();
    assert_clean(&repository, "next generation");
    assert!(content(&repository.snapshot()) == content_of(version(1)));
    assert_same_pages(
        &repository.snapshot(),
        &checked(&storage, BACKUP).unwrap().snapshot(),
        "next generation",
    );
    assert_eq!(repository.generations(), [before + 1, before, before - 1]);
}

#[test]
fn the_generations_before_it_still_open_and_verify_clean() {
    let storage = storage(version(1), &tiny(Dialect::V22, 0));
    keep(&storage, "kept/2", version(2));
    let contents = [
        content_of(version(0)),
        content_of(version(1)),
        content_of(version(2)),
    ];
    let first = opened(&storage, TARGET)
        .unwrap()
        .snapshot()
        .mapping()
        .generation();
    restore(&storage, BACKUP);
    restore(&storage, "kept/2");
    for (generation, content) in (first..).zip(&contents) {
        let open = OpenOptions::new().generation(generation);
        let repository = open.open_in(&directory(&storage, TARGET)).unwrap();
        assert!(
            repository.is_whole() && check(&repository, false).is_consistent(),
            "generation {generation}"
        );
        assert!(
            crate::tiny::content(&repository.snapshot()) == *content,
            "generation {generation}"
        );
    }
}

#[test]
fn a_snapshot_from_before_reads_what_it_saw() {
    let storage = storage(version(1), &tiny(Dialect::V22, 0));
    keep(&storage, "kept/2", version(2));
    let snapshot = OpenOptions::new()
        .cache_pages(0)
        .open_in(&directory(&storage, TARGET))
        .unwrap()
        .snapshot();
    for backup in [BACKUP, "kept/2"] {
        restore(&storage, backup);
        assert!(
            content(&snapshot) == content_of(version(0)),
            "after {backup}"
        );
    }
}

/// Every page that a mapping file maps, by file, space and logical page.
fn mapped_pages(files: &Files) -> BTreeMap<(String, Space, u32), Vec<u8>> {
    let mut pages = BTreeMap::new();
    for name in mapping_files(files) {
        let mapping = mapping_in(files, &name);
        for space in Space::ALL {
            let data = &files[FileRole::data(space).file_name()];
            for (page, physical, _) in mapping.section(space).mapped() {
                pages.insert(
                    (name.clone(), space, page.get()),
                    page_at(data, physical).to_vec(),
                );
            }
        }
    }
    pages
}

#[test]
fn no_page_that_any_generation_maps_is_overwritten() {
    let storage = storage(version(1), &small_v22());
    for number in 2..6 {
        keep(&storage, &format!("kept/{number}"), version(number));
    }
    for number in 0..12 {
        let before = listing(&storage, TARGET);
        let backup = if number % 5 == 0 {
            BACKUP.to_owned()
        } else {
            format!("kept/{}", number % 5 + 1)
        };
        let generation = restore(&storage, &backup);
        let after = listing(&storage, TARGET);
        let written = FileRole::Mapping(Mapping::slot_of(generation)).file_name();
        // The pages as the old mappings name them, looked up in the new files: the one that was
        // written over counts as well.
        let old_mappings: Files = mapping_files(&before)
            .into_iter()
            .map(|name| (name.clone(), before[&name].clone()))
            .collect();
        let mut mixed = after.clone();
        mixed.extend(old_mappings);
        assert!(
            mapped_pages(&mixed) == mapped_pages(&before),
            "restore {number}: a mapped page was overwritten"
        );
        let changed: Vec<&str> = mapping_files(&after)
            .iter()
            .filter(|name| after[*name] != before[*name])
            .map(|_| written)
            .collect();
        assert_eq!(
            changed,
            [written],
            "restore {number}: mapping files that changed"
        );
    }
}

#[test]
fn a_dozen_restores_over_each_other_stay_small_and_clean() {
    let storage = storage(version(0), &tiny(Dialect::V22, 0));
    for number in 1..4 {
        keep(&storage, &format!("kept/{number}"), version(number));
    }
    let size = |name: &str| storage.get(format!("{TARGET}/{name}")).unwrap().len() / PAGE_SIZE;
    let sizes = || ["OBJECTS.DATA", "INDEX.BTR"].map(size);
    let first = sizes();
    let mut history = Vec::new();
    for number in 0..12u8 {
        let next = (number + 1) % 4;
        let backup = if next == 0 {
            BACKUP.to_owned()
        } else {
            format!("kept/{next}")
        };
        restore(&storage, &backup);
        let repository = opened(&storage, TARGET).unwrap();
        assert_clean(&repository, &format!("restore {number}"));
        assert!(
            content(&repository.snapshot()) == content_of(version(next)),
            "restore {number}"
        );
        history.push(sizes());
    }
    println!("pages at first {first:?}, then {history:?}");
    // Three generations on disk, and one being written: four times the content is enough for ever.
    for (space, first) in first.iter().enumerate() {
        assert!(
            history.iter().all(|sizes| sizes[space] <= 4 * first + 8),
            "{history:?}"
        );
        assert_eq!(
            history[11][space], history[7][space],
            "it still grows: {history:?}"
        );
    }
}

#[test]
fn restoring_what_is_there_writes_no_page() {
    let storage = storage(version(1), &tiny(Dialect::V22, 1));
    let summary = load_into(&storage, BACKUP, TARGET, REPLACE).unwrap();
    assert_eq!(summary.pages_written, 0);
    assert!(summary.pages_kept > 0 && sound(&storage, TARGET).unwrap() == content_of(version(1)));
}

#[test]
fn logical_pages_come_and_go() {
    // From many logical pages to few, with gaps, and back.
    let storage = storage(version(1), &small_v22());
    save(&storage, TARGET, "kept/large", &single()).unwrap();
    let large = sound(&storage, TARGET).unwrap();
    restore(&storage, BACKUP);
    assert!(sound(&storage, TARGET).unwrap() == content_of(version(1)));
    restore(&storage, "kept/large");
    assert!(sound(&storage, TARGET).unwrap() == large);
    assert_clean(&opened(&storage, TARGET).unwrap(), "back again");
    let full = save(&storage, TARGET, "kept/again", &single()).unwrap();
    assert_eq!(
        full.content_identity,
        checked(&storage, "kept/large")
            .unwrap()
            .manifest()
            .content_identity
    );
}

#[test]
fn refused_generations_do_not_cost_the_one_that_counts() {
    // How many of the newer generations were refused, by a wrong stamp or by being unreadable.
    for (refused, is_readable) in [(1, true), (2, true), (1, false), (2, false)] {
        let mut files = small_v22();
        let mut generations: Vec<(u32, String)> = mapping_files(&files)
            .into_iter()
            .map(|name| (mapping_in(&files, &name).generation(), name))
            .collect();
        generations.sort_by(|a, b| b.cmp(a));
        for (_, name) in &generations[..refused] {
            if is_readable {
                edit_mapping(&mut files, name, |mapping| {
                    mapping.index.entries[0].stamp ^= 0x100
                });
            } else {
                files.get_mut(name).unwrap()[..4].fill(0);
            }
        }
        let (counts, name) = generations[refused].clone();
        let storage = storage(version(1), &files);
        assert_eq!(
            opened(&storage, TARGET)
                .unwrap()
                .snapshot()
                .mapping()
                .generation(),
            counts
        );
        let before = storage.get(format!("{TARGET}/{name}"));
        let generation = restore(&storage, BACKUP);
        assert!(generation > counts);
        assert_eq!(
            storage.get(format!("{TARGET}/{name}")),
            before,
            "the generation that counted is written over"
        );
        assert!(sound(&storage, TARGET).unwrap() == content_of(version(1)));
        assert_eq!(
            opened(&storage, TARGET)
                .unwrap()
                .snapshot()
                .mapping()
                .generation(),
            generation
        );
    }
}

#[test]
fn a_number_in_a_refused_file_does_not_stand_in_the_way() {
    for (number, back) in [(0xFFFF_FFFE, 1), (0xFFFF_FFFF, 2), (0x8000_0000, 1)] {
        let mut files = small_v22();
        let counts = open(&files).unwrap().snapshot().mapping().generation();
        let name = FileRole::Mapping(Mapping::slot_of(counts - back)).file_name();
        edit_mapping(&mut files, name, |mapping| {
            (mapping.objects.generation, mapping.index.generation) = (number, number);
        });
        let storage = storage(version(1), &files);
        for next in 1..=4 {
            assert_eq!(restore(&storage, BACKUP), counts + next, "{number:#X}");
            let repository = opened(&storage, TARGET).unwrap();
            assert_eq!(repository.snapshot().mapping().generation(), counts + next);
            assert!(sound(&storage, TARGET).unwrap() == content_of(version(1)));
        }
        assert_clean(
            &opened(&storage, TARGET).unwrap(),
            "the damaged file was written over",
        );
    }
}

/// A repository whose newest generation is refused because the end of the data files, which it
/// maps, is missing.
fn with_short_files() -> Files {
    let mut files = small_v22();
    for name in ["OBJECTS.DATA", "INDEX.BTR"] {
        // A page without content, and the one that the newest generation wrote.
        let file = files.get_mut(name).unwrap();
        file.truncate(file.len() - 2 * PAGE_SIZE);
    }
    files
}

#[test]
fn a_generation_that_lacks_the_end_of_a_file_does_not_count_when_the_file_grows() {
    let files = with_short_files();
    let storage = storage(version(1), &files);
    let newest = open(&small_v22())
        .unwrap()
        .snapshot()
        .mapping()
        .generation();
    assert_eq!(
        opened(&storage, TARGET)
            .unwrap()
            .snapshot()
            .mapping()
            .generation(),
        newest - 1
    );
    assert!(restore(&storage, BACKUP) > newest);
    let grown =
        |name: &str| storage.get(format!("{TARGET}/{name}")).unwrap().len() > files[name].len();
    assert!(grown("OBJECTS.DATA") && sound(&storage, TARGET).unwrap() == content_of(version(1)));
}

#[test]
fn no_page_behind_the_end_that_a_refused_generation_maps_is_written() {
    let mut stamped = small_v22();
    let newest = crate::support::small::current_file(&stamped);
    edit_mapping(&mut stamped, &newest, |mapping| {
        mapping.index.entries[0].stamp ^= 0x100
    });
    for files in [stamped, with_short_files()] {
        let storage = storage(version(1), &files);
        restore(&storage, BACKUP);
        let after = listing(&storage, TARGET);
        let mapping = mapping_in(&files, &newest);
        for space in Space::ALL {
            let name = FileRole::data(space).file_name();
            for (page, physical, _) in mapping.section(space).mapped() {
                let place = physical.index() * PAGE_SIZE..(physical.index() + 1) * PAGE_SIZE;
                let (before, after) = (files[name].get(place.clone()), after[name].get(place));
                let zeros = [0; PAGE_SIZE];
                // Where the file was too short for the page it may be longer now; nothing is
                // written there.
                assert!(
                    after == before || before.is_none() && after == Some(&zeros),
                    "{space} page {page}"
                );
            }
        }
        assert!(sound(&storage, TARGET).unwrap() == content_of(version(1)));
    }
}

#[test]
fn a_longer_mapping_that_cannot_be_cut_is_an_error_before_the_switch() {
    let storage = storage(version(1), &small_v22());
    let counts = opened(&storage, TARGET)
        .unwrap()
        .snapshot()
        .mapping()
        .generation();
    let oldest = FileRole::Mapping(Mapping::slot_of(counts + 1)).file_name();
    let refuse = move |call: &str, path: &Path| match call == "set_len" && path.ends_with(oldest) {
        true => Err(std::io::Error::other("refused")),
        false => Ok(()),
    };
    let hooked = Hooked::new(storage.clone(), refuse);
    let error = load_into(&hooked, BACKUP, TARGET, REPLACE).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert_eq!(
        opened(&storage, TARGET)
            .unwrap()
            .snapshot()
            .mapping()
            .generation(),
        counts
    );
    assert_eq!(restore(&storage, BACKUP), counts + 1);
}

#[test]
fn a_missing_mapping_file_is_made_again() {
    for missing in ["MAPPING1.MAP", "MAPPING2.MAP", "MAPPING3.MAP"] {
        let mut files = tiny(Dialect::V22, 0);
        files.remove(missing);
        let storage = storage(version(1), &files);
        for _ in 0..3 {
            restore(&storage, BACKUP);
        }
        assert_clean(&opened(&storage, TARGET).unwrap(), missing);
        assert_eq!(opened(&storage, TARGET).unwrap().generations().len(), 3);
        assert!(sound(&storage, TARGET).unwrap() == content_of(version(1)));
    }
}

#[test]
fn real_repositories_take_each_others_place() {
    let files: Vec<(String, Files)> = corpus("real_repositories_take_each_others_place")
        .iter()
        .map(|path| (name_of(path), load(path)))
        .filter(|(_, files)| !files.contains_key("MAPPING.VER"))
        .collect();
    for (what, files) in files {
        let storage = storage(version(1), &files);
        let options = BackupOptions {
            scrub: true,
            ..single()
        };
        let original = save(&storage, TARGET, "kept/real", &single()).unwrap();
        save(&storage, TARGET, "kept/scrubbed", &options).unwrap();
        let size =
            |storage: &MemStorage| storage.get(format!("{TARGET}/OBJECTS.DATA")).unwrap().len();
        let mut sizes = vec![size(&storage)];
        for backup in ["kept/scrubbed", "kept/real", BACKUP, "kept/real"] {
            restore(&storage, backup);
            assert!(
                check(&opened(&storage, TARGET).unwrap(), false).is_consistent(),
                "{what}, {backup}"
            );
            sizes.push(size(&storage));
        }
        assert_clean(&opened(&storage, TARGET).unwrap(), &what);
        let again = save(&storage, TARGET, "kept/again", &single()).unwrap();
        assert_eq!(again.content_identity, original.content_identity, "{what}");
        println!("{what}: OBJECTS.DATA {sizes:?}");
        assert!(
            storage
                .get(Path::new("place/target.001").join("OBJECTS.DATA"))
                .is_none()
        );
    }
}
