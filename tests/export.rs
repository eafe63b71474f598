//! Export as MOF: what is printed is MOF to the parser, in an order that compiles, and whole.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use cimrepo::Error;
use cimrepo::catalog::diff::{Compared, Difference, What, diff};
use cimrepo::catalog::{Catalog, Census};
use cimrepo::cim::name::to_upper;
use cimrepo::compile::{CompileOptions, MofSource, NoIncludes, compile};
use cimrepo::export::{Sink, export_mof};
use cimrepo::storage::{Directory, MemStorage, Storage};
use cimrepo::store::{EngineOptions, OpenOptions};
use cimrepo::text::mof::tree::Item;
use cimrepo::text::mof::{ParseOptions, Unsaid, UnsaidKind, parse};

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

/// Compiles exported MOF into a repository that has the system classes alone.
fn compiled(text: &str) -> Catalog {
    let directory = Directory::new(Arc::new(MemStorage::new()), ".");
    cimrepo::catalog::create_bare(&directory).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory)
        .unwrap();
    let mut options = CompileOptions::default();
    options.exact = true;
    let sources = [MofSource::new("exported.mof", text)];
    let report = compile(&engine, &sources, &mut NoIncludes, &options).unwrap();
    let errors = report.diagnostics.iter().filter(|one| one.is_error());
    let shown: Vec<String> = errors.map(|one| report.sources.render(one)).collect();
    assert!(report.is_stored(), "{}", shown.join("\n"));
    Catalog::new(engine.snapshot())
}

fn differences(first: &Catalog, second: &Catalog) -> Vec<Difference> {
    let mut found = Vec::new();
    diff(first, second, &mut |compared| {
        match compared {
            Compared::Difference(difference) => found.push(difference),
            Compared::Unreadable { error, .. } => panic!("{error}"),
        }
        true
    })
    .unwrap();
    found
}

/// True if an export reported what differs: the object itself, or for the descriptor of a namespace
/// the namespace.
fn is_reported(difference: &Difference, unsaid: &[(String, Unsaid)]) -> bool {
    let path = to_upper(&difference.path);
    let is_object = |object: &str| to_upper(object) == path;
    if unsaid.iter().any(|(object, _)| is_object(object)) {
        return true;
    }
    let Some(namespace) = path.strip_suffix(":__THISNAMESPACE=@") else {
        return false;
    };
    unsaid.iter().any(|(object, unsaid)| {
        let named = match object.split_once(":__NAMESPACE.Name=") {
            Some((parent, name)) => format!(r"{parent}\{}", name.trim_matches('"')),
            None => object.clone(),
        };
        unsaid.what == UnsaidKind::Descriptor && to_upper(&named) == namespace
    })
}

#[test]
fn each_real_repository_comes_back_but_for_what_was_reported() {
    for path in corpus("export") {
        let name = name_of(&path);
        let repository = OpenOptions::new().open(&path).unwrap();
        let catalog = Catalog::new(repository.snapshot());
        let (kept, ..) = export(&catalog, None);
        let again = compiled(&kept.text);
        let found = differences(&catalog, &again);
        for difference in &found {
            assert!(
                is_reported(difference, &kept.unsaid),
                "{name}: {difference:?}"
            );
        }
        let differing: BTreeSet<String> = found.iter().map(|one| to_upper(&one.path)).collect();
        let reported: BTreeSet<String> = kept
            .unsaid
            .iter()
            .map(|(object, _)| to_upper(object))
            .collect();
        println!(
            "{name}: {} objects differ, {} were reported",
            differing.len(),
            reported.len()
        );
    }
}

/// A difference that no report covers, held against the check above.
#[test]
fn a_difference_that_was_not_reported_is_noticed() {
    let difference = |path: &str| Difference {
        what: What::Instance,
        path: path.to_owned(),
        change: cimrepo::catalog::diff::Change::Removed,
    };
    let unsaid = |object: &str, what| {
        let member = String::new();
        (object.to_owned(), Unsaid { member, what })
    };
    let all = [
        unsaid(r"ROOT\A:B", UnsaidKind::Name),
        unsaid(r#"ROOT\A:__NAMESPACE.Name="b""#, UnsaidKind::Descriptor),
    ];
    assert!(is_reported(&difference(r"ROOT\a:b"), &all));
    assert!(is_reported(
        &difference(r"ROOT\a\B:__thisNAMESPACE=@"),
        &all
    ));
    for other in [r"ROOT\A:C", r"ROOT\A:__thisNAMESPACE=@", r"ROOT\A\B:X=@"] {
        assert!(!is_reported(&difference(other), &all), "{other}");
    }
}

/// What an export of a repository reports, by object and kind, after this text was compiled into a
/// new one.
fn reported(texts: &[&str], spoil: impl FnOnce(&cimrepo::store::Engine)) -> Vec<String> {
    let directory = Directory::new(Arc::new(MemStorage::new()), ".");
    cimrepo::catalog::create(&directory).unwrap();
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory)
        .unwrap();
    for text in texts {
        let mut options = CompileOptions::default();
        options.exact = true;
        let sources = [MofSource::new("test.mof", *text)];
        let report = compile(&engine, &sources, &mut NoIncludes, &options).unwrap();
        assert!(report.is_stored(), "{:?}", report.diagnostics);
    }
    spoil(&engine);
    let (kept, ..) = export(&Catalog::new(engine.snapshot()), None);
    let unsaid = kept.unsaid.iter();
    unsaid
        .map(|(object, unsaid)| format!("{object} {} {}", unsaid.member, unsaid.what.code()))
        .collect()
}

#[test]
fn what_depends_on_other_objects_is_reported() {
    let text = r#"class R { [key] uint8 K; R ref Next; };
        class H { [key] uint8 K; object Any; R Inner[]; };
        instance of R { K = 1; Next = "R.K="; };
        instance of H { K = 2; Inner = {instance of R { K = 1; }}; };
        instance of H { K = 3; Any = instance of H { K = 1; Any = instance of R { K = 1; }; }; };
        instance of H { K = 4; Any = instance of H { K = 1; }; };"#;
    let changed = r#"#pragma classflags("forceupdate")
        class R { [key] uint8 K; R ref Next; [new] string More; };"#;
    // The layout of R may change only while it has no instances.
    let gone = r#"#pragma deleteinstance("R.K=1", FAIL)"#;
    let bad = r#"instance of R { K = 1; Next = "R.K="; };"#;
    let found = reported(&[text, gone, changed, bad], |_| ());
    let expected = [
        r"ROOT\DEFAULT:H.K=2 Inner embedded-class",
        r"ROOT\DEFAULT:H.K=3 Any embedded-class",
        r"ROOT\DEFAULT:R.K=1 Next reference",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_namespace_that_nothing_names_is_reported() {
    let text = r#"#pragma namespace("\\\\.\\root\\secret") class C { [key] uint8 K; };"#;
    let found = reported(&[text], |engine| {
        let catalog = Catalog::new(engine.snapshot());
        let path = r#"__NAMESPACE.Name="secret""#.parse().unwrap();
        let stored = catalog.instance("ROOT", &path).unwrap().unwrap();
        let mut transaction = engine.begin_write().unwrap();
        let keys = engine.snapshot();
        let record = format!(".{}", stored.record);
        let all = keys.keys(cimrepo::KeyRange::all(), cimrepo::Direction::Forward);
        for key in all.map(Result::unwrap) {
            let text = std::str::from_utf8(key.as_bytes()).unwrap();
            if text.ends_with(&record) {
                transaction.remove_key(key.as_bytes()).unwrap();
            }
        }
        transaction.commit().unwrap();
    });
    assert_eq!(found, [r"ROOT\secret  hidden-namespace"]);
}
