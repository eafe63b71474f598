//! Suggestions for a missing name: similar names, and other places where it exists.

use cimrepo::base::escape::escape;
use cimrepo::catalog::Catalog;
use cimrepo::cim::name;
use cimrepo::format::index::object_key::SYSTEM_NAMESPACE;

/// Largest number of suggested names.
const SUGGESTIONS: usize = 3;

/// Longest names that are compared, because the cost is the product of both lengths.
const MAX_COMPARED: usize = 128;

/// Shortest text that is searched for inside names; shorter ones occur in too many.
const SHORTEST_PART: usize = 4;

/// The names most similar to `wanted`, best first, without those that are too different.
fn near(wanted: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    if wanted.len() > MAX_COMPARED {
        return Vec::new();
    }
    let folded = name::to_upper(wanted);
    let most = (wanted.chars().count() / 5).max(1);
    let mut found: Vec<(usize, String)> = names
        .into_iter()
        .filter(|name| name.len() <= MAX_COMPARED)
        .map(|name| (distance(&folded, &name::to_upper(&name)), name))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    found.sort();
    found.truncate(SUGGESTIONS);
    found.into_iter().map(|(_, name)| name).collect()
}

/// The edit distance from `wanted` to a name. A name that contains `wanted` counts as one edit
/// away, since `Service` may stand for `Win32_Service`.
fn distance(wanted: &str, name: &str) -> usize {
    let is_part = wanted.len() >= SHORTEST_PART && name.contains(wanted);
    let edits = strsim::osa_distance(wanted, name);
    if is_part { edits.min(1) } else { edits }
}

/// Namespaces with a similar name, or with the same ending.
pub fn namespaces(catalog: &Catalog, wanted: &str) -> String {
    let all: Vec<String> = catalog.namespaces().into_iter().flatten().collect();
    let last = |path: &str| path.rsplit('\\').next().unwrap_or_default().to_owned();
    let mut found = near(wanted, all.iter().cloned());
    if found.is_empty() {
        let same_end = |path: &&String| name::same(&last(path), &last(wanted));
        found = all
            .iter()
            .filter(same_end)
            .take(SUGGESTIONS)
            .cloned()
            .collect();
    }
    if found.is_empty() {
        let ends = near(&last(wanted), all.iter().map(|path| last(path)));
        let has_end = |path: &&String| ends.iter().any(|end| name::same(end, &last(path)));
        found = all
            .iter()
            .filter(has_end)
            .take(SUGGESTIONS)
            .cloned()
            .collect();
    }
    suggestion(&found)
}

/// Namespaces that have a class missing from `namespace`, or else classes of `namespace` with a
/// similar name.
pub fn classes(catalog: &Catalog, namespace: &str, wanted: &str) -> String {
    let elsewhere = lies_in(catalog, wanted);
    if !elsewhere.is_empty() {
        return format!("; it lies in {}", list(&elsewhere, "and"));
    }
    let of = |namespace: &str| {
        catalog
            .class_names(namespace)
            .flatten()
            .map(|(name, _)| name.as_str().to_owned())
    };
    suggestion(&near(wanted, of(namespace).chain(of(SYSTEM_NAMESPACE))))
}

/// The namespaces that contain a class.
fn lies_in(catalog: &Catalog, class: &str) -> Vec<String> {
    let has = |namespace: &String| {
        let key = catalog.keys().class(namespace, class);
        catalog
            .snapshot()
            .reference(key.as_bytes())
            .is_ok_and(|record| record.is_some())
    };
    catalog
        .namespaces()
        .into_iter()
        .flatten()
        .filter(has)
        .collect()
}

/// Paths of instances of a class that are similar to the missing one.
pub fn instances(catalog: &Catalog, namespace: &str, class: &str, wanted: &str) -> String {
    let paths = catalog.instances(namespace, class).flatten();
    let paths = paths.filter_map(|stored| Some(stored.instance.path().ok()?.text()));
    suggestion(&near(wanted, paths))
}

/// Properties with a similar name.
pub fn properties(wanted: &str, names: impl IntoIterator<Item = String>) -> String {
    suggestion(&near(wanted, names))
}

fn suggestion(found: &[String]) -> String {
    match found {
        [] => String::new(),
        found => format!("; did you mean {}?", list(found, "or")),
    }
}

/// Joins names for a sentence, with `word` before the last. If there are many, only the first few
/// are listed.
fn list(names: &[String], word: &str) -> String {
    let (first, more) = names.split_at(names.len().min(SUGGESTIONS));
    let mut parts: Vec<String> = first.iter().map(|name| escape(name).to_string()).collect();
    if !more.is_empty() {
        parts.push(format!("{} more", more.len()));
    }
    match parts.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} {word} {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near_of(wanted: &str, names: &[&str]) -> Vec<String> {
        near(wanted, names.iter().map(|&name| name.to_owned()))
    }

    #[test]
    fn like_names_are_found_and_others_are_not() {
        let names = ["Win32_Service", "Win32_Process", "__EventFilter", "x"];
        assert_eq!(near_of("win32_servic", &names), ["Win32_Service"]);
        assert_eq!(near_of("Service", &names), ["Win32_Service"]);
        assert_eq!(near_of("Quite_Another", &names), [""; 0]);
    }

    #[test]
    fn long_names_cost_nothing() {
        let long = "a".repeat(1 << 20);
        assert_eq!(near_of(&long, &["a"]), [""; 0]);
        assert_eq!(near("a", [long]), [""; 0]);
    }
}
