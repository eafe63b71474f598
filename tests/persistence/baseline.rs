//! Collects the facts of the baseline from the real repositories: namespaces and providers.
//!
//! `CIMREPO_REGENERATE_BASELINE=1 cargo test --all-features --test persistence facts` writes the
//! file again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cimrepo::catalog::Catalog;
use cimrepo::cim::Instance;
use cimrepo::store::Repository;

use crate::support::{corpus, name_of};

const FILE: &str = "src/forensics/persistence/facts.txt";

fn text(instance: &Instance, property: &str) -> String {
    let value = instance.get(property).ok().flatten();
    value
        .and_then(|value| value.as_text())
        .unwrap_or_default()
        .to_uppercase()
}

/// The facts of one repository, a line each.
fn facts(repository: &Repository) -> BTreeSet<String> {
    let catalog = Catalog::new(repository.snapshot());
    let mut facts = BTreeSet::new();
    for namespace in catalog.namespaces().into_iter().flatten() {
        let namespace = namespace.to_uppercase();
        let last = namespace.rsplit('\\').next().unwrap();
        if !last.starts_with("MS_") && !last.starts_with("S_1_5_21") {
            facts.insert(format!("namespace\t{namespace}"));
        }
        for stored in catalog.all_instances(&namespace).flatten() {
            if stored.instance.class().is_a("__Provider") {
                let (name, class) = (
                    text(&stored.instance, "Name"),
                    text(&stored.instance, "CLSID"),
                );
                facts.insert(format!("provider\t{namespace}\t{name}\t{class}"));
            }
        }
    }
    facts
}

#[test]
fn the_facts_are_those_of_the_real_repositories() {
    let mut found = BTreeSet::new();
    for path in corpus("the_facts_are_those_of_the_real_repositories") {
        if ["win10", "xp"].contains(&&*name_of(&path)) {
            found.extend(facts(&Repository::open_read_only(&path).unwrap()));
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let there = fs::read_to_string(&file).unwrap();
    let (head, rows): (Vec<&str>, Vec<&str>) =
        there.lines().partition(|line| line.starts_with('#'));
    let rows: BTreeSet<String> = rows.into_iter().map(str::to_owned).collect();
    if std::env::var_os("CIMREPO_REGENERATE_BASELINE").is_some() {
        let lines = head.into_iter().chain(found.iter().map(String::as_str));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        fs::write(&file, text).unwrap();
    } else if !found.is_empty() {
        assert_eq!(rows, found);
    }
}
