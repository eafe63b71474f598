//! In-place changes of a page of whole records, as in Windows (`docs::format`, "Packing of a single
//! page"): records keep their order, there are no gaps between them, and bytes after the end stay.

use zerocopy::little_endian::U32;

use super::page::{DESCRIPTOR_SIZE, DescriptorRaw, ObjectPage};
use crate::base::page_no::{PAGE_SIZE, PageBytes};
use crate::base::{narrow, widen};

/// Appends a record to a packed page. Returns `false`, without a change, if it does not fit.
pub fn append(page: &mut PageBytes, id: u32, record: &[u8]) -> bool {
    let view = ObjectPage::new(page);
    let (count, end) = (view.descriptors().count(), view.end());
    let new_end = end
        .saturating_add(DESCRIPTOR_SIZE)
        .saturating_add(record.len());
    if new_end > PAGE_SIZE {
        return false;
    }
    let table = DESCRIPTOR_SIZE * (count + 1);
    page.copy_within(table..end, table + DESCRIPTOR_SIZE);
    for number in 0..count {
        change(page, number, |raw| {
            raw.offset += U32::new(narrow(DESCRIPTOR_SIZE))
        });
    }
    let offset = end + DESCRIPTOR_SIZE;
    let (at, size) = (U32::new(narrow(offset)), U32::new(narrow(record.len())));
    change(page, count, |raw| {
        *raw = DescriptorRaw {
            id: U32::new(id),
            offset: at,
            size,
            check: U32::new(0),
        }
    });
    change(page, count + 1, |raw| *raw = DescriptorRaw::default());
    if let Some(target) = page.get_mut(offset..new_end) {
        target.copy_from_slice(record);
    }
    true
}

/// Removes a record from a packed page. Returns `false`, without a change, if it does not exist.
pub fn remove(page: &mut PageBytes, id: u32) -> bool {
    let view = ObjectPage::new(page);
    let (count, end) = (view.descriptors().count(), view.end());
    let found = view
        .descriptors()
        .enumerate()
        .find(|(_, descriptor)| descriptor.id == id);
    let Some((position, gone)) = found.filter(|_| end <= PAGE_SIZE) else {
        return false;
    };
    let (start, size) = (widen(gone.offset), widen(gone.size));
    let (table, behind) = (DESCRIPTOR_SIZE * (count + 1), start.saturating_add(size));
    if start < table || behind > end {
        return false;
    }
    for number in position..count {
        let next = DESCRIPTOR_SIZE * (number + 1);
        page.copy_within(next..next + DESCRIPTOR_SIZE, DESCRIPTOR_SIZE * number);
    }
    page.copy_within(table..start, table - DESCRIPTOR_SIZE);
    page.copy_within(behind..end, start - DESCRIPTOR_SIZE);
    for number in 0..count - 1 {
        let shift = narrow(if number < position {
            DESCRIPTOR_SIZE
        } else {
            DESCRIPTOR_SIZE + size
        });
        change(page, number, |raw| raw.offset -= U32::new(shift));
    }
    true
}

/// Changes a descriptor.
fn change(page: &mut PageBytes, number: usize, change: impl FnOnce(&mut DescriptorRaw)) {
    let table: &mut [DescriptorRaw; PAGE_SIZE / DESCRIPTOR_SIZE] = zerocopy::transmute_mut!(page);
    if let Some(raw) = table.get_mut(number) {
        change(raw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::site::{FileRole, Site};
    use crate::format::heap::page::ObjectPageBuilder;
    use proptest::prelude::*;

    const SITE: Site = Site::file(FileRole::Objects);

    proptest! {
        #[test]
        fn an_edited_page_is_packed_and_holds_its_records(
            steps in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..900), any::<Option<prop::sample::Index>>()), 1..60),
        ) {
            let mut page = ObjectPageBuilder::new().build();
            let mut model: Vec<(u32, Vec<u8>)> = Vec::new();
            for (number, (record, victim)) in (2..).zip(steps) {
                if let Some(victim) = victim.filter(|_| !model.is_empty()) {
                    let (id, _) = model.remove(victim.index(model.len()));
                    prop_assert!(remove(&mut page, id));
                    prop_assert!(!remove(&mut page, id));
                } else {
                    let fits = ObjectPage::new(&page).free_bytes() >= narrow(record.len()) + 16;
                    prop_assert_eq!(append(&mut page, number, &record), fits);
                    if fits {
                        model.push((number, record));
                    }
                }
                let view = ObjectPage::new(&page);
                prop_assert_eq!(view.check_single(SITE), vec![]);
                let found: Vec<_> = view.descriptors().map(|d| (d.id, view.record(&d).unwrap().to_vec())).collect();
                prop_assert_eq!(&found, &model);
            }
        }

        #[test]
        fn damaged_pages_do_not_panic(bytes in prop::collection::vec(any::<u8>(), PAGE_SIZE), few in 0..3000usize, id in 0..5u32) {
            let mut page: PageBytes = bytes.try_into().unwrap();
            page[few..].fill(0);
            page[..4].copy_from_slice(&id.to_le_bytes());
            let _ = (remove(&mut page, id), append(&mut page, 9, b"record"));
        }
    }

    #[test]
    fn bytes_behind_the_end_stay() {
        let mut page = ObjectPageBuilder::new().build();
        assert!(append(&mut page, 5, b"first") && append(&mut page, 6, b"second"));
        assert!(remove(&mut page, 5));
        assert_eq!(page[..48], {
            let mut expected = [0; 48];
            expected[..12].copy_from_slice(&[6, 0, 0, 0, 32, 0, 0, 0, 6, 0, 0, 0]);
            expected[32..38].copy_from_slice(b"second");
            expected[38..48].copy_from_slice(&page[38..48]);
            expected
        });
        assert_eq!(
            &page[48..59],
            b"firstsecond",
            "what was there before the removal"
        );
    }
}
