//! Work and memory follow the bytes of the files, whatever shape the files have: each shape is made
//! at a size and at twice that size, and what every call does is counted: comparisons of names,
//! bytes asked of the allocator, steps, bytes printed. Seconds count nowhere; `benches/linear.rs`
//! has the times.
//!
//! On Unix alone: paths of files are made by other allocations elsewhere.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[cfg(feature = "cli")]
mod command;
#[path = "../support/counting.rs"]
mod counting;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/verbs.rs"]
mod verbs;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cimrepo::Error;
use cimrepo::base::corruption::CorruptionCode;
use cimrepo::base::limits::{MAX_DECODED_FACTOR, MAX_NAMESPACE_DEPTH};
use cimrepo::base::progress::Progress;
use cimrepo::catalog::Catalog;
use cimrepo::cim::name;
use parking_lot::Mutex;

use counting::memory_of;
use support::crafted::{self, SHAPES, Shape};
use support::{Files, open};
use verbs::{VERBS, Verb};

/// What is counted is that of the whole process: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

/// How much more twice the size may take.
const TWICE: f64 = 2.2;

/// The same of comparisons: sorting has a logarithm.
const SORTED: f64 = 2.5;

/// Bytes that buffers and tables may grow by at once.
const STEP: u64 = 1 << 20;

/// What a call does at most for nothing, in bytes of memory: the system classes and buffers of its
/// own.
const BASE: usize = 16 << 20;

/// Memory held at once, and asked for in all, for each byte of the files.
const HELD: usize = 40;

struct Work {
    files: usize,
    compared: u64,
    allocated: usize,
    held: usize,
    printed: u64,
}

fn bytes(files: &Files) -> usize {
    files.values().map(Vec::len).sum()
}

fn measure(verb: &Verb, files: &Files) -> Work {
    let compared = name::comparisons();
    let (printed, counted) = memory_of(|| (verb.run)(files));
    let compared = name::comparisons() - compared;
    Work {
        files: bytes(files),
        compared,
        allocated: counted.allocated,
        held: counted.held,
        printed,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn ratio(twice: u64, once: u64) -> f64 {
    twice as f64 / once.max(1) as f64
}

fn check(shape: &Shape, verb: &Verb, empty: &Work, [once, twice]: [&Work; 2]) -> Vec<String> {
    let mut faults = Vec::new();
    for (what, grown, step, base, a, b) in [
        (
            "names compared",
            SORTED,
            0,
            empty.compared,
            once.compared,
            twice.compared,
        ),
        (
            "bytes allocated",
            TWICE,
            STEP,
            empty.allocated as u64,
            once.allocated as u64,
            twice.allocated as u64,
        ),
        (
            "bytes printed",
            TWICE,
            0,
            empty.printed,
            once.printed,
            twice.printed,
        ),
    ] {
        // What an empty repository takes as well does not grow, and hides nothing when it is taken
        // off.
        let (a, b) = (a.saturating_sub(base), b.saturating_sub(base));
        if b > 100_000 && ratio(b.saturating_sub(step), a) > grown {
            faults.push(format!("{}, {}: {what} {a} and {b}", shape.name, verb.name));
        }
    }
    if twice.held > HELD * twice.files + BASE {
        faults.push(format!(
            "{}, {}: {} bytes held, files of {}",
            shape.name, verb.name, twice.held, twice.files
        ));
    }
    faults
}

#[test]
fn every_call_takes_twice_as_much_for_twice_the_size() {
    let _turn = TURN.lock();
    let nothing = crafted::nothing();
    let empty: Vec<Work> = VERBS.iter().map(|verb| measure(verb, &nothing)).collect();
    let mut faults = Vec::new();
    for shape in SHAPES {
        let [once, twice] = [shape.size, 2 * shape.size].map(|size| (shape.make)(size));
        for (verb, empty) in VERBS.iter().zip(&empty) {
            let (a, b) = (measure(verb, &once), measure(verb, &twice));
            println!(
                "{:40} {:20} files {:9} {:9}  compared {:8} {:8}  allocated {:10} {:10}  held \
                    {:10} printed {:9} {:9}",
                shape.name,
                verb.name,
                a.files,
                b.files,
                a.compared,
                b.compared,
                a.allocated,
                b.allocated,
                b.held,
                a.printed,
                b.printed
            );
            faults.extend(check(shape, verb, empty, [&a, &b]));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The errors that a run over all objects gives.
fn errors(files: &Files) -> Vec<String> {
    verbs::walk(&Catalog::new(open(files).unwrap().snapshot())).errors
}

#[test]
fn a_record_under_many_keys_is_read_once_and_the_other_keys_are_reported() {
    let _turn = TURN.lock();
    for (shape, others) in [
        ("keys that name one instance", 99),
        ("namespaces that share a class", 19),
    ] {
        let shape = SHAPES.iter().find(|found| found.name == shape).unwrap();
        let errors = errors(&(shape.make)(shape.size));
        let shared = errors
            .iter()
            .filter(|error| error.contains("also named by the key"));
        let shared: Vec<_> = shared
            .filter(|error| error.contains(CorruptionCode::RecordShared.as_str()))
            .collect();
        assert_eq!(shared.len(), others, "{}", shape.name);
        assert!(
            shared
                .iter()
                .all(|error| error.contains("OBJECTS.DATA, page")),
            "{shared:?}"
        );
    }
}

#[test]
fn what_is_shared_inside_a_record_is_refused_and_the_record_named() {
    let _turn = TURN.lock();
    for name in [
        "strings that share their text",
        "embedded objects that are one",
    ] {
        let shape = SHAPES.iter().find(|found| found.name == name).unwrap();
        let errors = errors(&(shape.make)(shape.size));
        let [error] = &errors[..] else {
            panic!("{name}: {errors:?}")
        };
        assert!(
            error.contains("refers to its items too often") && error.contains("record "),
            "{error}"
        );
    }
}

#[test]
fn namespaces_deeper_than_the_limit_are_reported_and_the_others_listed() {
    let _turn = TURN.lock();
    let files = crafted::nested_namespaces(MAX_NAMESPACE_DEPTH + 50);
    let found = Catalog::new(open(&files).unwrap().snapshot()).namespaces();
    let (paths, errors): (Vec<_>, Vec<_>) = found.into_iter().partition(Result::is_ok);
    let depth = |path: &String| path.matches('\\').count();
    assert_eq!(
        paths.iter().flatten().map(depth).max(),
        Some(MAX_NAMESPACE_DEPTH)
    );
    let [Err(error)] = &errors[..] else {
        panic!("{errors:?}")
    };
    assert!(
        error.to_string().contains("too deep") && error.to_string().contains("OBJECTS.DATA"),
        "{error}"
    );
}

#[test]
fn the_content_of_a_record_takes_sixteen_times_its_length_at_most() {
    let _turn = TURN.lock();
    for record in crafted::records() {
        let (class, counted) = memory_of(|| record.decode());
        println!(
            "{}: {} bytes, {} held, {}",
            record.name,
            record.length(),
            counted.held,
            class.is_ok()
        );
        let most = MAX_DECODED_FACTOR * record.length() + 4096;
        assert!(
            counted.held <= most,
            "{}: {} of {}",
            record.name,
            counted.held,
            record.length()
        );
    }
}

/// Ends a call after so many steps; gives how many there were.
fn stopped_after(
    steps: u64,
) -> (
    Arc<AtomicU64>,
    impl Fn(Progress) -> ControlFlow<()> + Send + Sync + 'static,
) {
    let count = Arc::new(AtomicU64::new(0));
    let seen = count.clone();
    let observer = move |_: Progress| match seen.fetch_add(1, Ordering::Relaxed) + 1 >= steps {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    (count, observer)
}

#[test]
fn every_long_call_ends_soon_after_the_observer_says_so() {
    let _turn = TURN.lock();
    let made = |name: &str| {
        SHAPES
            .iter()
            .find(|shape| shape.name == name)
            .map(|shape| (shape.make)(shape.size))
            .unwrap()
    };
    let (referring, nested) = (
        made("references to one instance"),
        made("namespaces that share a class"),
    );
    for (name, run) in verbs::CANCELLABLE {
        let files = if name == "namespaces" {
            &nested
        } else {
            &referring
        };
        let (count, observer) = stopped_after(u64::MAX);
        run(files, Arc::new(observer)).ok();
        let all = count.load(Ordering::Relaxed);
        assert!(all > 20, "{name}: {all} steps");
        for steps in [1, 2, all / 4, all / 2, all - 1] {
            let (count, observer) = stopped_after(steps);
            let ended = run(files, Arc::new(observer));
            assert!(matches!(ended, Err(Error::Cancelled)), "{name}: {ended:?}");
            let more = count.load(Ordering::Relaxed) - steps;
            assert!(
                more <= 4,
                "{name}: {more} steps after the {steps}th of {all}"
            );
        }
    }
}
