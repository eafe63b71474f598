//! A second reader that shares nothing with the crate. It trusts every byte, knows as little of the
//! format as possible, and serves only to count.

use super::Files;

const PAGE: usize = 8192;
const NIL: u32 = u32::MAX;

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn index(value: u32) -> usize {
    usize::try_from(value).unwrap()
}

/// The index of a repository as a table of physical pages and a root.
pub struct RawIndex<'f> {
    pages: &'f [u8],
    places: Vec<u32>,
    root: u32,
    none: u32,
}

impl<'f> RawIndex<'f> {
    /// Reads the current mapping: of three the one with the greatest generation, otherwise the one
    /// that MAPPING.VER names.
    pub fn new(files: &'f Files) -> Self {
        let file = |wanted: &str| {
            files
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, b)| &b[..])
        };
        let pages = file("INDEX.BTR").unwrap();
        if let Some(version) = file("MAPPING.VER") {
            let map = file(&format!("MAPPING{}.MAP", word(version, 0))).unwrap();
            let (_, next) = section(map, 0, 12, 4, 0);
            let (places, _) = section(map, next, 12, 4, 0);
            let root = word(pages, index(places[0]) * PAGE + 12);
            return Self {
                pages,
                places,
                root,
                none: 0,
            };
        }
        let maps = (1..=3).filter_map(|number| file(&format!("MAPPING{number}.MAP")));
        let map = maps.max_by_key(|map| word(map, 8)).unwrap();
        let (_, next) = section(map, 0, 20, 24, 0);
        let (places, _) = section(map, next, 20, 24, 0);
        let (users, _) = section(map, next, 20, 24, 12);
        Self {
            pages,
            places,
            root: users[0],
            none: NIL,
        }
    }

    /// Counts the keys below the root.
    pub fn count_keys(&self) -> u64 {
        self.count_below(self.root)
    }

    fn count_below(&self, page: u32) -> u64 {
        let at = index(self.places[index(page)]) * PAGE;
        let keys = index(word(self.pages, at + 16));
        let child = |number| word(self.pages, at + 20 + 4 * keys + 4 * number);
        let children = (0..=keys).map(child).filter(|&child| child != self.none);
        u64::from(word(self.pages, at + 16))
            + children.map(|child| self.count_below(child)).sum::<u64>()
    }
}

/// One word of each entry of the section at `at`, and the end of the section.
fn section(
    map: &[u8],
    at: usize,
    count_at: usize,
    entry: usize,
    field: usize,
) -> (Vec<u32>, usize) {
    let count = index(word(map, at + count_at));
    let first = at + count_at + 4;
    let words = (0..count)
        .map(|number| word(map, first + number * entry + field))
        .collect();
    let free = first + count * entry;
    (words, free + 4 + 4 * index(word(map, free)) + 4)
}
