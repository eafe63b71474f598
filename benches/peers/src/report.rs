//! Figures of all rounds, and tables of their medians.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::clock::median;
use crate::stores::{NAMES, Outcome};

/// Values by stage, store and name, one a round.
#[derive(Default)]
pub struct Figures(BTreeMap<(String, String, String), Vec<f64>>);

/// A column: heading, stage, figure, and whether its ratio to the least of the peers stands behind
/// it.
struct Column(&'static str, &'static str, &'static str, bool);

const TABLES: [(&str, &[Column]); 5] = [
    (
        "Sorted bulk load, size on disk",
        &[
            Column("processor µs an object", "load", "processor_us", true),
            Column("wall µs an object", "load", "wall_us", true),
            Column("allocated / payload", "load", "size", true),
        ],
    ),
    (
        "Reading, all in memory",
        &[
            Column("point read, processor µs", "read-1", "processor_us", true),
            Column("a second, 1 thread", "read-1", "per_second", false),
            Column("a second, 2 threads", "read-2", "per_second", false),
            Column(
                "scan of classes, processor µs an object",
                "scan",
                "processor_us",
                true,
            ),
        ],
    ),
    (
        "Durable commits, half overwrites and half new",
        &[
            Column("1 object / append + sync", "commit-1", "ratio", true),
            Column("p50 ms", "commit-1", "wall_ms", false),
            Column("processor µs", "commit-1", "processor_us", true),
            Column("bytes written", "commit-1", "written", true),
            Column("100 objects, p50 ms", "commit-100", "wall_ms", true),
            Column("processor µs", "commit-100", "processor_us", true),
            Column("written / payload", "commit-100", "amplification", false),
        ],
    ),
    (
        "Durable commits of 1 object while the store is copied",
        &[
            Column("p50 ms without", "copy", "without_p50_ms", false),
            Column("with", "copy", "with_p50_ms", false),
            Column("p99 ms without", "copy", "without_p99_ms", false),
            Column("with", "copy", "with_p99_ms", true),
            Column("p99, with / without", "copy", "p99_ratio", true),
            Column("copy, ms", "copy", "copy_ms", true),
            Column("commits meanwhile", "copy", "commits", false),
        ],
    ),
    (
        "Open to the first object",
        &[
            Column("closed, ms", "open", "wall_ms", false),
            Column("processor ms", "open", "processor_ms", false),
            Column(
                "killed after 1,000 commits, ms",
                "open-killed",
                "wall_ms",
                false,
            ),
            Column("processor ms", "open-killed", "processor_ms", false),
        ],
    ),
];

impl Figures {
    /// Takes what a measurement printed.
    pub fn take(&mut self, stage: &str, store: &str, text: &str) -> Outcome<()> {
        for line in text.lines() {
            let (name, value) = line.split_once(' ').ok_or("a line without a value")?;
            let place = (stage.to_owned(), store.to_owned(), name.to_owned());
            self.0.entry(place).or_default().push(value.parse()?);
        }
        Ok(())
    }

    /// The median of a figure; not a number where nothing was measured.
    fn get(&self, stage: &str, store: &str, name: &str) -> f64 {
        let place = (stage.to_owned(), store.to_owned(), name.to_owned());
        self.0
            .get(&place)
            .map_or(f64::NAN, |values| median(&mut values.clone()))
    }

    /// The tables.
    pub fn report(&self, objects: u64, rounds: usize) -> String {
        let mut text = format!(
            "{objects} objects, medians of {rounds} rounds; in brackets: times the least of the \
                peers\n"
        );
        for (title, columns) in TABLES {
            self.table(title, columns, &mut text);
        }
        self.limits(&mut text);
        text
    }

    fn table(&self, title: &str, columns: &[Column], text: &mut String) {
        let cells = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let headings = columns.iter().map(|column| column.0.to_owned());
        let _ = writeln!(text, "\n**{title}**\n");
        text.push_str(&cells(
            std::iter::once(String::new()).chain(headings).collect(),
        ));
        text.push_str(&"|---".repeat(columns.len() + 1));
        text.push_str("|\n");
        for store in NAMES {
            let values: Vec<String> = columns
                .iter()
                .map(|column| self.cell(column, store))
                .collect();
            if values.iter().any(|value| value != "-") {
                text.push_str(&cells(
                    std::iter::once(store.to_owned()).chain(values).collect(),
                ));
            }
        }
    }

    fn cell(&self, Column(_, stage, name, has_ratio): &Column, store: &str) -> String {
        let value = self.get(stage, store, name);
        if value.is_nan() {
            return "-".to_owned();
        }
        let peers = NAMES
            .iter()
            .filter(|&&peer| peer != "cimrepo")
            .map(|peer| self.get(stage, peer, name));
        let least = peers
            .filter(|value| !value.is_nan())
            .fold(f64::INFINITY, f64::min);
        if *has_ratio && least.is_finite() {
            format!("{} ({:.2})", short(value), value / least)
        } else {
            short(value)
        }
    }

    /// What no store can do better, and how threads and disk did.
    fn limits(&self, text: &mut String) {
        let _ = writeln!(text, "\n**Limits**\n");
        for (what, name) in [
            ("in random order", "random_us"),
            ("in key order", "sorted_us"),
        ] {
            let value = self.get("limit", "limit", name);
            if !value.is_nan() {
                let _ = writeln!(text, "- a value in memory, {what}: {} µs", short(value));
            }
        }
        for (what, stage) in [
            ("of 4 KiB", "commit-1"),
            ("of the bytes of 100 objects", "commit-100"),
        ] {
            let middle = |name| {
                let mut values: Vec<f64> = NAMES
                    .iter()
                    .map(|store| self.get(stage, store, name))
                    .collect();
                values.retain(|value| !value.is_nan());
                median(&mut values)
            };
            let (wall, processor) = (middle("append_ms"), middle("append_processor_us"));
            if !wall.is_nan() {
                let (wall, processor) = (short(wall), short(processor));
                let _ = writeln!(
                    text,
                    "- append {what} and sync: p50 {wall} ms, processor {processor} µs"
                );
            }
        }
        for (what, stage) in [
            ("a mapping file", "open"),
            ("a mapping file and the journal", "open-killed"),
        ] {
            let value = self.get(stage, "cimrepo", "reading_ms");
            if !value.is_nan() {
                let _ = writeln!(
                    text,
                    "- cimrepo, {what} read, and the CRC-32: {} ms",
                    short(value)
                );
            }
        }
        for store in NAMES {
            let ratio =
                self.get("read-2", store, "per_second") / self.get("read-1", store, "per_second");
            if !ratio.is_nan() {
                let _ = writeln!(text, "- two readers over one, {store}: {ratio:.2}");
            }
        }
    }
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
