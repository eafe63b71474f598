//! Numbers of the objects in a repository, in total and by namespace: the part of the manifest for
//! people.

use crate::base::error::{Error, Result};
use crate::base::narrow;
use crate::btree::scan::{Direction, KeyRange};
use crate::format::index::key;
use crate::format::index::key::KeyFamily;
use crate::format::own::manifest::{NamespaceSummary, Summary};
use crate::store::Snapshot;

/// Largest number of namespaces that a summary lists; further ones count only in the totals.
const MAX_NAMESPACES: usize = 100_000;

/// Longest first token that is listed as a namespace, in bytes. Those of Windows have 67.
const MAX_TOKEN: usize = 256;

/// Counts the objects that the index names. Damage is counted as such; a refusal of the system ends
/// the count.
pub(crate) fn summarise(snapshot: &Snapshot) -> Result<Summary> {
    let mut summary = Summary::default();
    let mut references = Vec::new();
    let mut keys = snapshot.keys(KeyRange::all(), Direction::Forward);
    while let Some(key) = keys.next_text() {
        let text = match key {
            Ok(text) => text,
            Err(error @ Error::Io { .. }) => return Err(error),
            Err(_) => {
                summary.unreadable += 1;
                continue;
            }
        };
        references.extend(key::reference(text).ok().flatten());
        count(&mut summary, text);
    }
    references.sort_unstable();
    references.dedup();
    summary.records = narrow(references.len()).into();
    Ok(summary)
}

fn count(summary: &mut Summary, text: &[u8]) {
    let (first, family) = key::family(text);
    let class = u64::from(family == KeyFamily::ClassDefinition);
    let instance = u64::from(family == KeyFamily::Instance);
    summary.keys += 1;
    summary.class_definitions += class;
    summary.instances += instance;
    let is_new = summary
        .namespaces
        .last()
        .is_none_or(|last| last.token.as_bytes() != first);
    if is_new
        && summary.namespaces.len() < MAX_NAMESPACES
        && first.len() <= MAX_TOKEN
        && first.is_ascii()
    {
        let token = String::from_utf8_lossy(first).into_owned();
        summary.namespaces.push(NamespaceSummary {
            token,
            ..NamespaceSummary::default()
        });
    }
    if let Some(namespace) = summary
        .namespaces
        .last_mut()
        .filter(|last| last.token.as_bytes() == first)
    {
        namespace.keys += 1;
        namespace.class_definitions += class;
        namespace.instances += instance;
    }
}
