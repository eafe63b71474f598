//! What damage leaves is shown: partial classes, hidden namespaces, second objects of one path.

use std::time::{Duration, Instant};

use cimrepo::base::page_no::Space;
use cimrepo::catalog::diff::{Change, Compared, diff};
use cimrepo::catalog::{Catalog, Census, Counted};
use cimrepo::format::index::object_key::KeyShape;

use crate::lab::catalog;
use crate::shapes::{self, NAMESPACES};
use crate::support::{Files, corpus, load, name_of};

/// What differs between two sets of files, and what could be compared.
fn compared(a: &Files, b: &Files) -> (Vec<String>, [Census; 2]) {
    let mut found = Vec::new();
    let census = diff(&catalog(a), &catalog(b), &mut |compared| {
        if let Compared::Difference(difference) = compared {
            let sign = match difference.change {
                Change::Removed => '-',
                Change::Added => '+',
                Change::Changed(_) => '~',
            };
            found.push(format!("{sign}{}", difference.path));
        }
        true
    });
    (found, census.unwrap())
}

/// `Mid`, in the middle of a chain, loses its record; `Leaf` below it is partial, and its instances
/// have what it declares.
#[test]
fn a_class_whose_superclass_is_lost_has_what_it_declares() {
    let namespace = NAMESPACES[2];
    let files = shapes::tampered(&shapes::populated(), |writer| {
        let record = writer.catalog().class(namespace, "Mid")?.unwrap().record;
        writer.transaction().remove_record(record)
    });
    let catalog = catalog(&files);
    assert!(catalog.class(namespace, "Mid").is_err());
    let leaf = catalog.class(namespace, "Leaf").unwrap().unwrap();
    assert!(leaf.class.is_partial() && leaf.damage.is_some());
    assert_eq!(leaf.class.missing_ancestor().unwrap().as_str(), "Mid");
    let names: Vec<&str> = leaf
        .class
        .properties()
        .iter()
        .map(|property| property.name.as_str())
        .collect();
    assert_eq!(names, ["LeafNote"]);
    assert!(
        !catalog
            .class(namespace, "Base")
            .unwrap()
            .unwrap()
            .class
            .is_partial()
    );

    // A whole repository says what the values must be.
    let whole = crate::lab::catalog(&shapes::populated());
    let note = |catalog: &Catalog| -> Vec<String> {
        let stored = catalog.instances(namespace, "Leaf").map(Result::unwrap);
        stored
            .map(|stored| {
                stored
                    .instance
                    .get("LeafNote")
                    .unwrap()
                    .unwrap()
                    .as_text()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    };
    assert_eq!(note(&catalog), note(&whole));
    assert_eq!(note(&whole).len(), 6);
    assert!(
        catalog.whole_only().class(namespace, "Leaf").is_err(),
        "those that want whole classes get none"
    );
}

/// Superclasses that are one another's: every class is shown, none inherits, and nothing runs for
/// ever.
#[test]
fn classes_in_a_circle_are_shown() {
    let files = shapes::tampered(&shapes::headless_chain(5), |writer| {
        // Chain0, which is not there, is made of Chain4's record under its own name: its superclass
        // is Chain3.
        let keys = writer.catalog().keys().clone();
        let record = writer
            .catalog()
            .snapshot()
            .reference(keys.class("ROOT", "Chain4").as_bytes())?
            .unwrap();
        writer
            .transaction()
            .insert_key(format!("{}.{record}", keys.class("ROOT", "Chain0")).as_bytes())
            .map(drop)
    });
    for order in [[1, 2, 3, 4], [4, 3, 2, 1], [3, 1, 4, 2]] {
        let catalog = catalog(&files);
        for number in order {
            let class = catalog
                .class("ROOT", &format!("Chain{number}"))
                .unwrap()
                .unwrap();
            assert!(class.class.is_partial(), "Chain{number}");
        }
    }
}

/// A chain that is far deeper than a class may be, without its top: each class costs the same, in
/// whatever order they come.
#[test]
fn a_deep_chain_without_its_top_costs_each_class_the_same() {
    let mut last = Vec::new();
    for length in [500, 2_000] {
        let files = shapes::headless_chain(length);
        let catalog = catalog(&files);
        let before = Instant::now();
        let keys: Vec<_> = catalog
            .object_keys("ROOT", Counted::Classes)
            .map(Result::unwrap)
            .collect();
        let classes: Vec<_> = keys
            .iter()
            .map(|key| catalog.class_of_key("ROOT", key).unwrap())
            .collect();
        assert!(
            before.elapsed() < Duration::from_secs(60),
            "{length} classes took {:?}",
            before.elapsed()
        );
        let chain = classes
            .iter()
            .filter(|class| class.class.name().as_str().starts_with("Chain"));
        assert_eq!(chain.clone().count(), length - 1);
        assert!(
            chain
                .clone()
                .all(|class| class.class.is_partial() && class.class.level() < 128)
        );

        // The same whatever was asked for first.
        let levels =
            |classes: &mut dyn Iterator<Item = &std::sync::Arc<cimrepo::catalog::StoredClass>>| {
                let mut levels: Vec<_> = classes
                    .map(|class| (class.class.name().as_str().to_owned(), class.class.level()))
                    .collect();
                levels.sort();
                levels
            };
        let other = crate::lab::catalog(&files);
        let again: Vec<_> = keys
            .iter()
            .rev()
            .map(|key| other.class_of_key("ROOT", key).unwrap())
            .collect();
        assert_eq!(levels(&mut classes.iter()), levels(&mut again.iter()));
        last = classes;
    }
    drop(last);
}

/// Namespaces that nothing leads to are found by their keys, and named where their name stands
/// anywhere.
#[test]
fn hidden_namespaces_are_listed_by_name_or_hash() {
    let whole = shapes::populated();
    let files = shapes::tampered(&whole, |writer| {
        shapes::hide_children(writer, "ROOT")?;
        // A text that names one of them, as a method or a reference might.
        let class = crate::lab::keyed("Hint").property(
            cimrepo::cim::Property::new("Text", cimrepo::cim::ScalarType::String)
                .default(r"see root\shop\back now"),
        );
        writer
            .put_class("ROOT", &class.build(), cimrepo::catalog::PutClass::CREATE)
            .map(drop)
    });
    let catalog = catalog(&files);
    let all = catalog.all_namespaces();
    assert_eq!(all.tree.len(), 1);
    assert_eq!(
        all.count, 6,
        "ROOT, DEFAULT, SECURITY and three of ours: {all:?}"
    );
    let named: Vec<&str> = all
        .hidden
        .iter()
        .filter(|hidden| hidden.is_named)
        .map(|hidden| &*hidden.path)
        .collect();
    for expected in [
        r"ROOT\DEFAULT",
        r"ROOT\SECURITY",
        r"ROOT\shop",
        r"ROOT\shop\back",
    ] {
        assert!(named.contains(&expected), "{expected} in {named:?}");
    }
    let unnamed: Vec<_> = all
        .hidden
        .iter()
        .filter(|hidden| !hidden.is_named)
        .collect();
    assert_eq!(unnamed.len(), 1, "{unnamed:?}");
    assert_eq!(
        unnamed[0].path,
        format!("NS_{}", catalog.keys().hash(r"ROOT\Yard"))
    );

    // The hash stands for the path everywhere.
    for place in [
        &*unnamed[0].path,
        &unnamed[0].path.to_ascii_lowercase(),
        r"ROOT\Yard",
        r"root\SHOP\back",
    ] {
        assert!(catalog.has_namespace(place).unwrap(), "{place}");
        assert!(catalog.class(place, "Leaf").unwrap().is_some(), "{place}");
        assert!(shapes::finds(&catalog, place, "Leaf.Id=500"), "{place}");
        assert_eq!(catalog.instances(place, "Leaf").count(), 6, "{place}");
        assert!(catalog.find_namespace(place).unwrap().is_some());
    }
    assert!(!catalog.has_namespace(r"ROOT\Nowhere").unwrap());
    let (differences, [_, hidden]) = compared(&whole, &files);
    assert!(!hidden.is_whole() && hidden.hidden == 5, "{hidden}");
    // One is the other by its hash, and what lies in it is the same.
    assert!(
        differences
            .iter()
            .any(|path| path == r#"-ROOT:__NAMESPACE.Name="Yard""#),
        "{differences:?}"
    );
    assert!(
        !differences
            .iter()
            .any(|path| path.contains("NS_") || path.contains("Yard:")),
        "{differences:?}"
    );
}

#[test]
fn a_second_object_of_one_path_is_compared() {
    let (files, other) = (shapes::doubled(b'Y'), shapes::doubled(b'Z'));
    assert_eq!(compared(&files, &files).0, [""; 0]);
    assert_eq!(compared(&files, &other).0, [r"~ROOT\Yard:Base.Id=400"]);
    assert_eq!(
        compared(&shapes::populated(), &files).0,
        [r"+ROOT\Yard:Base.Id=400"]
    );
}

#[cfg(feature = "cli")]
mod by_command {
    use super::*;
    use crate::lab::{cimrepo, on_disk};

    fn totals(out: &str) -> Option<serde_json::Value> {
        let mut rows = out
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        rows.rfind(|row| row["kind"] == "totals")
    }

    #[test]
    fn hidden_namespaces_and_second_objects_are_said_by_every_verb() {
        let hidden = shapes::tampered(&shapes::populated(), |writer| {
            shapes::hide_children(writer, "ROOT")
        });
        let doubled = shapes::doubled(b'Y');
        for (files, shown) in [(&hidden, "NS_"), (&doubled, r"ROOT\Yard:Base.Id=400")] {
            let place = on_disk(files);
            let ran = cimrepo(&[&"ls", &place.path(), &"-r"]);
            assert!(ran.code == 1 && ran.out.contains(shown), "{ran:?}");
            let ran = cimrepo(&[&"export", &place.path()]);
            assert_eq!(ran.code, 1, "{}", ran.err);
            let target = tempfile::tempdir().unwrap();
            let into = target.path().join("new");
            let ran = cimrepo(&[&"convert", &place.path(), &into]);
            assert!(ran.code == 1 && ran.out.contains("left out: "), "{ran:?}");
            assert!(
                !ran.out.contains("the same content")
                    && ran.out.contains("what could be read is the same"),
                "{ran:?}"
            );
            assert_eq!(cimrepo(&[&"verify", &into]).code, 0);
            let ran = cimrepo(&[&"diff", &place.path(), &into]);
            assert_eq!(ran.code, 1, "{ran:?}");
        }
        let place = on_disk(&hidden);
        let ran = cimrepo(&[&"verify", &place.path(), &"--level", &"references"]);
        assert!(
            ran.code == 1 && ran.out.contains("[namespace.hidden]"),
            "{ran:?}"
        );
        assert!(
            ran.out.contains("reached: ") && ran.out.contains("; 5 hidden"),
            "{ran:?}"
        );
        let place = on_disk(&doubled);
        let ran = cimrepo(&[&"ls", &place.path(), &r"root\yard"]);
        assert_eq!(ran.out.matches("Base.Id=400").count(), 2, "{ran:?}");
    }

    /// The numbers of a damaged repository are said by `verify` and `backup` too.
    #[test]
    fn verify_and_backup_say_what_can_be_read() {
        let mut files = shapes::populated();
        // A page of an older generation: otherwise that one would be read, which is whole.
        let pages = shapes::older(&files, Space::Objects);
        shapes::zero_page(&mut files, Space::Objects, pages[pages.len() / 2]);
        let place = on_disk(&files);
        let ran = cimrepo(&[&"verify", &place.path()]);
        assert!(
            ran.code == 1 && ran.out.contains("reached: ") && ran.out.contains("lost: "),
            "{ran:?}"
        );
        let target = tempfile::tempdir().unwrap();
        let ran = cimrepo(&[
            &"backup",
            &place.path(),
            &target.path().join("b.cimbak"),
            &"--forensic",
            &"--json",
        ]);
        let row: serde_json::Value = serde_json::from_str(ran.out.trim()).unwrap();
        let census = &row["census"];
        let lost: u64 = census["lost"]
            .as_object()
            .unwrap()
            .values()
            .map(|number| number.as_u64().unwrap())
            .sum();
        let gap = |kind: &str| {
            census[kind]["has"].as_u64().unwrap() - census[kind]["reached"].as_u64().unwrap()
        };
        assert!(
            lost > 0 && gap("classes") + gap("instances") == lost,
            "{row}"
        );
        assert!(ran.err.contains("what can be read: "), "{ran:?}");
    }

    /// Real repositories with half of their objects cut off: what is left is taken over, and the
    /// rest named and counted.
    #[test]
    fn half_of_a_real_repository_is_converted_and_the_rest_is_named() {
        for path in corpus("half_of_a_real_repository_is_converted_and_the_rest_is_named") {
            let mut files = load(&path);
            let name = files
                .keys()
                .find(|name| name.eq_ignore_ascii_case("OBJECTS.DATA"))
                .unwrap()
                .clone();
            let data = files.get_mut(&name).unwrap();
            data.truncate(data.len() / 8192 / 2 * 8192);
            let place = on_disk(&files);
            let target = tempfile::tempdir().unwrap();
            let ran = cimrepo(&[
                &"convert",
                &place.path(),
                &target.path().join("new"),
                &"--json",
            ]);
            let rows: Vec<serde_json::Value> = ran
                .out
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            let (last, left_out) = rows.split_last().unwrap();
            println!("{}: {}", name_of(&path), last["census"]);
            assert_eq!(
                (ran.code, &last["differences"]),
                (1, &0.into()),
                "{}: {last}\n{}",
                name_of(&path),
                ran.err
            );
            let census = &last["census"];
            let gap = |kind: &str| {
                census[kind]["has"].as_u64().unwrap() - census[kind]["reached"].as_u64().unwrap()
            };
            let counted: u64 = census["lost"]
                .as_object()
                .unwrap()
                .values()
                .map(|number| number.as_u64().unwrap())
                .sum();
            assert_eq!(gap("classes") + gap("instances"), counted, "{last}");
            assert_eq!(
                left_out.len() as u64,
                counted + gap("namespaces"),
                "each loss is named"
            );

            let ran = cimrepo(&[&"convert", &place.path(), &target.path().join("again")]);
            let verdict = ran.out.lines().last().unwrap();
            assert!(
                ran.code == 1 && verdict.ends_with("; what could be read is the same"),
                "{verdict}"
            );
            assert_eq!(cimrepo(&[&"verify", &target.path().join("new")]).code, 0);
        }
    }

    /// Without the index nothing is known, and so it is said.
    #[test]
    fn without_an_index_numbers_are_unknown() {
        let mut files = shapes::populated();
        files.remove("INDEX.BTR");
        let place = on_disk(&files);
        let ran = cimrepo(&[&"export", &place.path()]);
        assert_eq!(ran.code, 4, "{ran:?}");
        let totals = totals(&ran.out).unwrap();
        assert!(
            totals["classes"]["has"].is_null() && totals["index"] == "missing",
            "{totals}"
        );
        assert!(
            ran.err.contains("of an unknown number of classes"),
            "{}",
            ran.err
        );
        let target = tempfile::tempdir().unwrap();
        let into = target.path().join("new");
        for arguments in [
            vec!["convert".into(), place.path().to_owned(), into.clone()],
            vec![
                "diff".into(),
                place.path().to_owned(),
                place.path().to_owned(),
            ],
            vec![
                "show".into(),
                place.path().to_owned(),
                r"root:__SystemSecurity=@".into(),
            ],
            vec!["ls".into(), place.path().to_owned(), r"root\Yard".into()],
        ] {
            let arguments: Vec<&dyn AsRef<std::path::Path>> = arguments
                .iter()
                .map(|argument| argument as &dyn AsRef<std::path::Path>)
                .collect();
            let ran = cimrepo(&arguments);
            assert!(ran.code == 4 && ran.err.contains("INDEX.BTR"), "{ran:?}");
            assert!(
                !ran.err.contains("last key") && !ran.err.contains("the same"),
                "{ran:?}"
            );
        }
        assert!(!into.exists());
    }
}

/// Real repositories, cut: nothing that lies on pages still there is lost, but what hangs on
/// records that are gone.
#[test]
fn cut_real_repositories_show_all_that_is_left() {
    for path in corpus("cut_real_repositories_show_all_that_is_left") {
        let name = name_of(&path);
        let mut files = load(&path);
        let data = files.get_mut("OBJECTS.DATA").unwrap();
        let length = data.len() / 8192 * 85 / 100 * 8192;
        data.truncate(length);
        let catalog = catalog(&files);
        let snapshot = catalog.snapshot().clone();
        let (mut has, mut readable, mut shown) = (0u64, 0u64, 0u64);
        for key in snapshot.keys(cimrepo::KeyRange::all(), cimrepo::Direction::Forward) {
            let key = key.unwrap();
            let Some((_, KeyShape::Class(_) | KeyShape::Instance(..))) =
                KeyShape::parse(key.as_bytes())
            else {
                continue;
            };
            has += 1;
            readable += u64::from(
                key.reference()
                    .is_some_and(|record| snapshot.record_view(record).is_ok()),
            );
        }
        let mut namespaces: Vec<String> = catalog
            .namespaces()
            .into_iter()
            .filter_map(Result::ok)
            .collect();
        namespaces.push(cimrepo::format::index::object_key::SYSTEM_NAMESPACE.to_owned());
        for namespace in &namespaces {
            let classes = catalog
                .object_keys(namespace, Counted::Classes)
                .map(Result::unwrap);
            shown += classes
                .filter(|key| catalog.class_of_key(namespace, key).is_ok())
                .count() as u64;
            let instances = catalog
                .object_keys(namespace, Counted::Instances)
                .map(Result::unwrap);
            shown += instances
                .filter(|key| catalog.instance_of_key(namespace, key).is_ok())
                .count() as u64;
        }
        println!("{name}: {has} objects, {readable} whole records, {shown} shown");
        assert!(
            shown <= readable && readable < has,
            "{name}: {shown} of {readable} of {has}"
        );
        // Of whole records only instances whose own class is lost, or whose layout, are not shown.
        assert!(
            shown * 100 >= readable * 90,
            "{name}: {shown} of {readable}"
        );
        let (_, [census, _]) = compared(&files, &files);
        let reached = census.classes.reached + census.instances.reached;
        assert_eq!(
            (census.classes.has + census.instances.has, reached),
            (has, shown),
            "{name}: {census}"
        );
        assert_eq!(
            census.lost.values().sum::<u64>() + reached,
            has,
            "{name}: {census}"
        );
        assert_eq!(Space::ALL.len(), 2);
    }
}
