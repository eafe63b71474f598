//! How the time and the memory of each verb grow with the files, for shapes that hostile files
//! have: each shape is made at a size and at twice that size, and the exponent is printed: 1 is
//! linear, 2 is what must not be.
//!
//! `cargo bench --all-features --bench linear` takes minutes; `-- --quick` a tenth; other words
//! choose shapes and verbs by their names.

#![allow(missing_docs, reason = "a program of its own")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a bench that cannot measure stops"
)]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

#[path = "../tests/support/counting.rs"]
mod counting;
#[path = "../tests/support/mod.rs"]
mod support;
#[path = "../tests/support/verbs.rs"]
mod verbs;

use std::time::{Duration, Instant};

use counting::memory_of;
use support::Files;
use support::crafted::{SHAPES, nothing};
use verbs::{VERBS, Verb};

/// Of several runs the fastest counts: everything else is other work on the machine.
const RUNS: usize = 3;

/// What a run takes, without what an empty repository takes as well.
#[derive(Clone, Copy)]
struct Cost {
    time: Duration,
    held: usize,
}

/// True without the `--bench` of `cargo bench`: each verb runs once on the smallest shapes.
fn is_quick() -> bool {
    !std::env::args().any(|word| word == "--bench")
}

fn cost(verb: &Verb, files: &Files) -> Cost {
    let runs = if is_quick() { 1 } else { RUNS };
    let runs = (0..runs).map(|_| {
        let started = Instant::now();
        let (_, memory) = memory_of(|| (verb.run)(files));
        Cost {
            time: started.elapsed(),
            held: memory.held,
        }
    });
    runs.min_by_key(|cost| cost.time).unwrap()
}

impl Cost {
    fn above(self, empty: Cost) -> Cost {
        Cost {
            time: self.time.saturating_sub(empty.time),
            held: self.held.saturating_sub(empty.held),
        }
    }
}

/// The exponent for a growth; nothing where there is too little to tell.
fn exponent(once: f64, twice: f64, files: f64, least: f64) -> String {
    if twice < least {
        "-".to_owned()
    } else {
        format!(
            "{:.2}",
            (twice / once.max(least / 8.0)).log2() / files.log2()
        )
    }
}

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let scale = if is_quick() || words.iter().any(|word| word == "--quick") {
        1
    } else {
        8
    };
    let wanted: Vec<&String> = words
        .iter()
        .filter(|word| !word.starts_with("--"))
        .collect();
    let is_wanted =
        |text: &str| wanted.is_empty() || wanted.iter().any(|word| text.contains(word.as_str()));
    let empty = nothing();
    let base: Vec<Cost> = VERBS.iter().map(|verb| cost(verb, &empty)).collect();
    println!(
        "| shape | verb | MiB | ms | time | MiB at once | memory \
            |\n|---|---|---:|---:|---:|---:|---:|"
    );
    for shape in SHAPES {
        if !VERBS
            .iter()
            .any(|verb| is_wanted(&format!("{} {}", shape.name, verb.name)))
        {
            continue;
        }
        let [once, twice] =
            [scale * shape.size, 2 * scale * shape.size].map(|size| (shape.make)(size));
        let bytes = |files: &Files| files.values().map(Vec::len).sum::<usize>() as f64;
        let own = |files: &Files| (bytes(files) - bytes(&empty)).max(1.0);
        let grown = own(&twice) / own(&once);
        for (verb, &base) in VERBS.iter().zip(&base) {
            if !is_wanted(&format!("{} {}", shape.name, verb.name)) {
                continue;
            }
            let (a, b) = (
                cost(verb, &once).above(base),
                cost(verb, &twice).above(base),
            );
            let (ms, mib) = (
                b.time.as_secs_f64() * 1e3,
                b.held as f64 / f64::from(1 << 20),
            );
            println!(
                "| {} | {} | {:.1} | {ms:.1} | {} | {mib:.1} | {} |",
                shape.name,
                verb.name,
                bytes(&twice) / f64::from(1 << 20),
                exponent(a.time.as_secs_f64() * 1e3, ms, grown, 1.0),
                exponent(a.held as f64, b.held as f64, grown, 1e6),
            );
        }
    }
}
