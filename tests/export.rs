//! Export as MOF: what is printed is MOF to the parser, in an order that compiles, and whole.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use cimrepo::Error;
use cimrepo::catalog::{Catalog, Census};
use cimrepo::cim::name::to_upper;
use cimrepo::export::{Sink, export_mof};
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::OpenOptions;
use cimrepo::text::mof::tree::Item;
use cimrepo::text::mof::{ParseOptions, Unsaid, parse};

use support::{corpus, name_of};

/// Everything that an export gives.
#[derive(Default)]
struct Kept {
    text: String,
    unsaid: Vec<(String, Unsaid)>,
    lost: Vec<String>,
}

impl Sink for Kept {
    type Error = std::convert::Infallible;

    fn text(&mut self, text: &str) -> Result<(), Self::Error> {
        self.text.push_str(text);
        Ok(())
    }

    fn unsaid(&mut self, object: &str, unsaid: &Unsaid) -> Result<(), Self::Error> {
        self.unsaid.push((object.to_owned(), unsaid.clone()));
        Ok(())
    }

    fn lost(&mut self, object: &str, error: &Error) -> Result<(), Self::Error> {
        self.lost.push(format!("{object}: {error}"));
        Ok(())
    }
}

fn export(catalog: &Catalog, class: Option<&str>) -> (Kept, Census, bool) {
    let namespaces: Vec<String> = catalog
        .namespaces()
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let (mut kept, mut census) = (Kept::default(), Census::of(catalog));
    let is_there = export_mof(catalog, &namespaces, class, &mut census, &mut kept).unwrap();
    (kept, census, is_there)
}

/// Parses a text in which nothing may be doubtful; gives how many classes and instances it has. A
/// superclass stands before what is derived from it, or nowhere in its namespace.
fn judged(text: &str) -> [u64; 2] {
    let parsed = parse(text, ParseOptions::default().strict(true));
    let first: Vec<_> = parsed.diagnostics.iter().take(3).collect();
    assert!(first.is_empty(), "{first:#?}");
    let (mut classes, mut instances) = (0, 0);
    let mut awaited = HashSet::new();
    for item in &parsed.file.items {
        match item {
            Item::Directive(_) => awaited.clear(),
            Item::Class(class) => {
                classes += 1;
                let name = to_upper(&class.name.text);
                assert!(
                    !awaited.contains(&name),
                    "{name} comes after what is derived from it"
                );
                awaited.extend(
                    class
                        .superclass
                        .as_ref()
                        .map(|name| to_upper(&name.text))
                        .filter(|above| *above != name),
                );
                awaited.remove(&name);
            }
            Item::Instance(_) => instances += 1,
            Item::Qualifier(_) => panic!("no qualifier is declared"),
        }
    }
    [classes, instances]
}

/// The names that were declared must not be awaited any more: the check above, held against a wrong
/// order.
#[test]
#[should_panic(expected = "comes after what is derived from it")]
fn a_wrong_order_is_noticed() {
    judged("class B : A { };\nclass A { };\n");
}

#[test]
fn each_real_repository_is_mof_to_the_parser() {
    for path in corpus("export") {
        let name = name_of(&path);
        let repository = OpenOptions::new().open(&path).unwrap();
        let catalog = Catalog::new(repository.snapshot());
        let (kept, census, _) = export(&catalog, None);
        assert!(kept.lost.is_empty(), "{name}: {:?}", kept.lost);
        let [classes, instances] = judged(&kept.text);
        assert_eq!(
            (classes, census.classes.reached),
            (census.classes.has, census.classes.has),
            "{name}"
        );
        // Each namespace has two instances that are not printed, or one where the other has
        // qualifiers.
        let hidden = census.instances.has - instances;
        let namespaces = census.namespaces.reached;
        assert!(
            (namespaces..=2 * namespaces).contains(&hidden),
            "{name}: {hidden} of {namespaces} namespaces"
        );
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        kept.unsaid
            .iter()
            .for_each(|(_, unsaid)| *kinds.entry(unsaid.what.code()).or_default() += 1);
        println!(
            "{name}: {} bytes, {classes} classes, {instances} instances, unsaid {kinds:?}",
            kept.text.len()
        );
    }
}

/// A new repository, in memory.
fn new_repository() -> Catalog {
    let storage = MemStorage::new();
    storage.create_dir(Path::new("r")).unwrap();
    let directory = Directory::new(Arc::new(storage), "r");
    cimrepo::catalog::create::create(&directory).unwrap();
    Catalog::new(OpenOptions::new().open_in(&directory).unwrap().snapshot())
}

#[test]
fn a_new_repository_says_everything() {
    let (kept, census, _) = export(&new_repository(), None);
    assert_eq!((&kept.unsaid[..], &kept.lost[..]), (&[][..], &[][..]));
    let [classes, _] = judged(&kept.text);
    assert_eq!(classes, census.classes.has);
    for line in [
        r#"#pragma namespace("\\\\.\\ROOT")"#,
        r#"#pragma namespace("\\\\.\\ROOT\\SECURITY")"#,
        r#"    Name = "DEFAULT";"#,
    ] {
        assert!(kept.text.lines().any(|found| found == line), "{line}");
    }
    assert!(!kept.text.contains("__thisNAMESPACE") && !kept.text.contains("SDDL"));
}

#[test]
fn a_class_comes_with_what_is_derived_from_it_alone() {
    let catalog = new_repository();
    let (kept, _, is_there) = export(&catalog, Some("__cachecontrol"));
    let [classes, instances] = judged(&kept.text);
    assert!(
        is_there && classes > 3 && instances > 3,
        "{classes} {instances}"
    );
    assert!(!kept.text.contains("__CIMOMIdentification"));
    let (kept, _, is_there) = export(&catalog, Some("NoSuchClass"));
    assert!(!is_there && judged(&kept.text) == [0, 0]);
}
