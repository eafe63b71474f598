//! Comparison of the records that keys name with those in the heap (invariants 18 and 19).

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::page_no::{RecordRef, Space};
use crate::pager::state::image::Image;

use super::index::{KeyPlace, Tree};
use super::objects::Heap;
use crate::base::findings::Findings;

/// Checks both directions. Orphans are reported only if the whole index could be read.
pub(crate) fn check(image: &Image, heap: &Heap, tree: &Tree, findings: &mut Findings) {
    let mut named = vec![false; heap.records.len()];
    for (reference, place) in &tree.references {
        match heap.records.binary_search(reference) {
            Ok(position) => {
                if let Some(named) = named.get_mut(position) {
                    *named = true;
                }
            }
            Err(_) => dangling(image, heap, *reference, *place, findings),
        }
    }
    if !tree.is_complete {
        return;
    }
    for (record, _) in heap.records.iter().zip(named).filter(|(_, named)| !named) {
        findings.push_with(CorruptionCode::RecordOrphan, || {
            let site = image.site(Space::Objects, record.page);
            Corruption::new(
                CorruptionCode::RecordOrphan,
                site,
                format!("record {record}"),
            )
        });
    }
}

/// The finding for a key that names no record.
fn dangling(
    image: &Image,
    heap: &Heap,
    reference: RecordRef,
    place: KeyPlace,
    findings: &mut Findings,
) {
    let first = heap
        .records
        .partition_point(|record| (record.page, record.id) < (reference.page, reference.id));
    let same_id = heap
        .records
        .get(first)
        .filter(|record| (record.page, record.id) == (reference.page, reference.id));
    let (code, size) = match same_id {
        Some(record) => (
            CorruptionCode::ReferenceSize,
            format!(", the record has {} bytes", record.size),
        ),
        None if image.mapping().objects.resolve(reference.page).is_none() => {
            (CorruptionCode::ReferencePage, String::new())
        }
        None => (CorruptionCode::ReferenceRecord, String::new()),
    };
    findings.push_with(code, || {
        let detail = format!(
            "key number {} on index page {} names {reference}{size}",
            place.number, place.page
        );
        Corruption::new(code, image.site(Space::Objects, reference.page), detail)
    });
}
