//! The targets `query_text` and `query`.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use cimrepo::Error;
use cimrepo::base::progress::Progress;
use cimrepo::base::site::FileRole;
use cimrepo::catalog::Catalog;
use cimrepo::catalog::create;
use cimrepo::query::{self, QueryOptions};
use cimrepo::storage::{Directory, MemStorage};
use cimrepo::store::OpenOptions;
use cimrepo::text::wql;

use super::{Files, Input, edit, lay_out, repair};

/// Separates the text of a query from the edits of the repository.
const END_OF_TEXT: u8 = 0;

/// Keys that one query reads before it is ended.
const MAX_STEPS: u64 = 20_000;

/// Queries that are run on every repository.
const ALWAYS: [&str; 5] = [
    "SELECT * FROM __SystemClass WHERE NOT __PATH LIKE '%x%'",
    "SELECT * FROM __NAMESPACE WHERE Name = 'default' OR Name = 'CIMV2'",
    "SELECT COUNT(*) FROM meta_class WHERE __this ISA '__SystemClass' AND __SUPERCLASS <> 'x'",
    "REFERENCES OF {__NAMESPACE='default'}",
    "ASSOCIATORS OF {__EventFilter} WHERE SchemaOnly",
];

/// Runs the target `query_text` on an input: the text of a query.
pub(crate) fn query_text(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match wql::parse(&text) {
        Ok(tree) => {
            let printed = tree.to_string();
            // Escapes and quotes may take more room than before.
            if printed.len() <= wql::MAX_QUERY_BYTES {
                assert_eq!(wql::parse(&printed).as_ref(), Ok(&tree), "{printed}");
            }
        }
        Err(refused) => {
            assert!(
                refused.at.start <= refused.at.end && refused.at.end <= text.len(),
                "{refused}"
            );
            assert!(
                text.is_char_boundary(refused.at.start) && text.is_char_boundary(refused.at.end),
                "{refused}"
            );
        }
    }
}

/// Runs the target `query` on an input: the text of a query, a zero byte, and edits of a new
/// repository.
pub(crate) fn query(input: &[u8]) {
    let end = input
        .iter()
        .position(|byte| *byte == END_OF_TEXT)
        .unwrap_or(input.len());
    let (text, edits) = input.split_at(end);
    let text = String::from_utf8_lossy(text);
    let mut files = new_repository().clone();
    let mut edits = Input(edits.get(1..).unwrap_or_default());
    let repairs = edits.byte().is_some_and(|flags| flags & 1 == 1);
    while edit(&mut files, &mut edits).is_some() {}
    if repairs {
        repair(&mut files);
    }
    let Ok(repository) = OpenOptions::new().open_in(&lay_out(files, false)) else {
        return;
    };
    for text in ALWAYS.into_iter().chain([&*text]) {
        let stop = |progress: Progress| match progress.done < MAX_STEPS {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let catalog = Catalog::new(repository.snapshot()).observed(Arc::new(stop));
        let options = QueryOptions::default().limit(1_000);
        let Ok(mut rows) = query::run(&catalog, "ROOT", text, options) else {
            continue;
        };
        let mut given = 0;
        for row in rows.by_ref() {
            given += u64::from(row.is_ok());
            assert!(row.is_ok() || !matches!(row, Err(Error::Bug(_))), "{row:?}");
        }
        assert!(given <= 1_000 && rows.next().is_none());
    }
}

/// The files of a new repository.
fn new_repository() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let storage = MemStorage::new();
        create(&Directory::new(Arc::new(storage.clone()), ".")).expect("nothing in memory fails");
        FileRole::REPOSITORY.map(|role| storage.get(format!("./{}", role.file_name())))
    })
}
