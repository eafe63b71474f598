//! The newest whole generation is found, whatever the newest one says of how it was closed; and
//! what an interrupted write of the engine left is told from damage.

use cimrepo::base::page_no::{PAGE_SIZE, Space};
use cimrepo::base::site::FileRole;
use cimrepo::format::mapping::{Mapping, UNFINISHED};
use cimrepo::store::OpenOptions;
use cimrepo::{Direction, Error, KeyRange};

use crate::support::edit::edit_mapping;
use crate::support::small::{current_file, data_mut, mapping_in, small_v21, small_v22};
use crate::support::{Files, check, in_memory};

/// A repository whose newest generation has a torn page in `space`, and this shutdown flag.
fn torn(space: Space, flag: u32) -> (Files, Mapping) {
    let mut files = small_v22();
    let current = current_file(&files);
    edit_mapping(&mut files, &current, |mapping| mapping.shutdown_flag = flag);
    let mapping = mapping_in(&files, &current);
    let entries = &mapping.section(space).entries;
    let written = entries
        .iter()
        .find(|entry| entry.last_write == mapping.generation())
        .unwrap();
    data_mut(&mut files, space)[written.physical.unwrap().index() * PAGE_SIZE] ^= 1;
    (files, mapping)
}

#[test]
fn the_newest_whole_generation_is_found_whatever_the_flag() {
    for space in Space::ALL {
        for flag in [0, 1] {
            let (files, newest) = torn(space, flag);
            let (_, directory) = in_memory(&files);
            let repository = OpenOptions::new()
                .check_written_pages()
                .open_in(&directory)
                .unwrap();
            assert_eq!(
                repository.snapshot().mapping().generation(),
                newest.generation() - 1
            );
            let [refusal] = repository.refused() else {
                panic!("{:?}", repository.refused())
            };
            assert!(
                refusal.may_be_newer && refusal.generation == Some(newest.generation()),
                "{refusal:?}"
            );
            let report = check(&repository, false);
            assert!(report.has_sound_generations() && !report.is_consistent());
            // Asked for by its number it is read as it is.
            let asked = OpenOptions::new()
                .generation(newest.generation())
                .open_in(&directory)
                .unwrap();
            assert_eq!(asked.snapshot().mapping().generation(), newest.generation());
        }
    }
}

/// The library checks each page where it is first used, and says which generation wrote it.
#[test]
fn without_the_check_the_error_names_the_generation() {
    let (files, newest) = torn(Space::Index, 1);
    let repository = OpenOptions::new().open_in(&in_memory(&files).1).unwrap();
    assert_eq!(
        repository.snapshot().mapping().generation(),
        newest.generation()
    );
    let mut keys = repository
        .snapshot()
        .keys(KeyRange::all(), Direction::Forward);
    let error = keys.find_map(Result::err).unwrap();
    assert!(matches!(error, Error::Corrupt(_)));
    let said = format!("generation {}", newest.generation());
    assert!(error.to_string().contains(&said), "{error}");
}

/// Dialect 2.1 has one number that says which mapping counts, and no checksums of pages in it.
#[test]
fn dialect_2_1_is_read_as_before() {
    let (_, directory) = in_memory(&small_v21());
    let repository = OpenOptions::new()
        .check_written_pages()
        .open_in(&directory)
        .unwrap();
    assert!(repository.is_whole() && repository.refused().is_empty());
}

/// The file that the next generation goes to, and its bytes.
fn next_file(files: &Files) -> (String, Vec<u8>) {
    let generation = mapping_in(files, &current_file(files)).generation();
    let name = FileRole::Mapping(Mapping::slot_of(generation + 1))
        .file_name()
        .to_owned();
    let bytes = files[&name].clone();
    (name, bytes)
}

fn may_be_lost(files: &Files) -> bool {
    let repository = OpenOptions::new().open_in(&in_memory(files).1).unwrap();
    let report = check(&repository, false);
    assert_eq!(report.refused.len(), 1, "{:?}", report.refused);
    assert_eq!(report.is_consistent(), !report.refused[0].may_be_newer);
    report.refused[0].may_be_newer
}

/// A file of the next generation in the making, over that of the oldest: what a cut leaves of it.
#[test]
fn an_interrupted_write_is_told_from_a_generation_that_was_lost() {
    let files = small_v22();
    let (name, old) = next_file(&files);
    let mut new = mapping_in(&files, &current_file(&files));
    let generation = new.generation() + 1;
    for space in Space::ALL {
        let section = new.section_mut(space);
        (section.generation, section.previous) = (generation, generation - 1);
        section
            .entries
            .iter_mut()
            .for_each(|entry| entry.stamp = generation);
    }
    let new = new.to_bytes();
    let with =
        |bytes: Vec<u8>| Files::from_iter(files.clone().into_iter().chain([(name.clone(), bytes)]));
    let mut marked = new.clone();
    marked[0] = UNFINISHED;
    let mixed =
        |front: &[u8], rest: &[u8], at: usize| [&front[..at], &rest[at.min(rest.len())..]].concat();
    // The mark, with as much of the new file after it as you like; and the front of the old one.
    for at in [1, 24, 256, 512, 1000, new.len()] {
        assert!(!may_be_lost(&with(mixed(&marked, &old, at))), "{at}");
    }
    for at in [256, 512, 1000] {
        assert!(!may_be_lost(&with(mixed(&old, &marked, at))), "{at}");
    }
    assert!(
        !may_be_lost(&with(old[..old.len() - 4].to_vec())),
        "the oldest, cut"
    );
    // The front of the new one, or nothing that says what it was: then it may have counted.
    assert!(may_be_lost(&with(mixed(&new, &old, 512))));
    for flipped in 0..8 {
        let mut bytes = new.clone();
        bytes[0] ^= 1 << flipped;
        assert!(may_be_lost(&with(bytes)), "bit {flipped}");
    }
    assert!(may_be_lost(&with(vec![0; new.len()])));
    assert!(may_be_lost(&with(Vec::new())));
    let mut renumbered = new.clone();
    renumbered[8..16].copy_from_slice(&old[8..16]);
    assert!(
        may_be_lost(&with(renumbered)),
        "the stamps of its first entries are new"
    );
}
