//! The verbs that look for, measure and delete objects, as a user calls them.
#![cfg(feature = "cli")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cimrepo::catalog::{Put, PutClass, create};
use cimrepo::cim::value::{Array, Value};
use cimrepo::cim::{Class, Instance, Property, ScalarType, types::CimType};
use cimrepo::storage::{Directory, RealStorage, Storage};
use cimrepo::store::EngineOptions;
use tempfile::TempDir;

/// A repository with a shop in it: two namespaces, a class and one derived from it, three
/// instances.
struct Shop {
    place: TempDir,
}

impl Shop {
    fn open() -> Self {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("repository");
        std::fs::create_dir(&directory).unwrap();
        let directory = Directory::real(&directory);
        create(&directory).unwrap();
        let engine = EngineOptions::new()
            .background(false)
            .open_in(&directory)
            .unwrap();
        let mut writer = engine.begin_catalog_write().unwrap();
        for namespace in [r"ROOT\Shop", r"ROOT\Shop\Cellar", r"ROOT\Other"] {
            writer.create_namespace(namespace).unwrap();
        }
        let shelf = Class::builder("Shop_Shelf")
            .property(Property::new("Name", ScalarType::String).key())
            .property(Property::new("Owner", CimType::array(ScalarType::Uint8)))
            .property(Property::new("Note", ScalarType::String))
            .build();
        let tall = Class::builder("Shop_TallShelf")
            .superclass("Shop_Shelf")
            .build();
        let shelf = writer
            .put_class(r"ROOT\Shop", &shelf, PutClass::CREATE)
            .unwrap();
        let tall = writer
            .put_class(r"ROOT\Shop", &tall, PutClass::CREATE)
            .unwrap();
        // S-1-5-32-544
        let owner = vec![1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0];
        for (class, name) in [(&shelf, "left"), (&shelf, "right"), (&tall, "high")] {
            let instance = Instance::new(class.class.clone())
                .with("Name", name)
                .unwrap();
            let instance = instance
                .with("Owner", Value::Array(Array::Uint8(owner.clone())))
                .unwrap();
            let instance = instance.with("Note", "one\ntwo").unwrap();
            writer
                .put_instance(r"ROOT\Shop", &instance, Put::CreateOnly)
                .unwrap();
        }
        writer.commit().unwrap();
        engine.close().unwrap();
        Self { place }
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("repository")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let (verb, rest) = arguments.split_first().unwrap();
        Command::new(env!("CARGO_BIN_EXE_cimrepo"))
            .arg(verb)
            .arg(self.path())
            .args(rest)
            .output()
            .unwrap()
    }

    /// Exit code, standard output and standard error.
    fn said(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.run(arguments);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_name_that_is_not_there_brings_those_like_it() {
    let shop = Shop::open();
    let (code, out, error) = shop.said(&["show", r"root\shop:Shop_Shelve"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("did you mean Shop_Shelf?"), "{error}");
    let (code, _, error) = shop.said(&["show", r"root\other:Shop_Shelf"]);
    assert!(
        code == 1 && error.contains(r"it lies in ROOT\Shop"),
        "{error}"
    );
    let (code, _, error) = shop.said(&["show", r#"root\shop:Shop_Shelf.Name="lef""#]);
    assert!(
        code == 1 && error.contains(r#"did you mean Shop_Shelf.Name="left"?"#),
        "{error}"
    );
    let (code, _, error) = shop.said(&["ls", "cellar"]);
    assert!(
        code == 1 && error.contains(r"did you mean ROOT\Shop\Cellar?"),
        "{error}"
    );
    let (code, _, error) = shop.said(&[
        "show",
        r#"root\shop:Shop_Shelf.Name="left""#,
        "--property",
        "Noet",
    ]);
    assert!(code == 1 && error.contains("did you mean Note?"), "{error}");
}

#[test]
fn a_namespace_given_to_show_is_named_as_one() {
    let shop = Shop::open();
    for spelling in [
        r"root\shop",
        "root/shop",
        r"\\.\root\shop",
        r"root\shop:",
        r"\\HOST\ROOT\SHOP",
    ] {
        let (code, _, error) = shop.said(&["show", spelling]);
        assert!(
            code == 2 && error.contains("is a namespace") && error.contains("cimrepo ls"),
            "{spelling}: {error}"
        );
    }
    for spelling in [r"\\.\root\shop", "//host/ROOT/shop", r"\root\shop\"] {
        assert_eq!(shop.said(&["ls", spelling]).0, 0, "{spelling}");
    }
}

#[test]
fn one_property_is_shown_as_text_json_or_bytes() {
    let shop = Shop::open();
    let left = r#"root\shop:Shop_Shelf.Name="left""#;
    assert_eq!(
        shop.said(&["show", left, "--property", "owner"]).1,
        "S-1-5-32-544\n"
    );
    assert_eq!(
        shop.run(&["show", left, "--property", "Note", "--raw"])
            .stdout,
        b"one\ntwo"
    );
    assert_eq!(
        shop.run(&["show", left, "--property", "Owner", "--raw"])
            .stdout
            .len(),
        16
    );
    let (_, json, _) = shop.said(&["show", left, "--property", "Note", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["kind"], &json["name"], &json["value"]),
        (&"property".into(), &"Note".into(), &"one\ntwo".into())
    );
    // Text for a person stays on its line.
    assert_eq!(
        shop.said(&["show", left, "--property", "Note"])
            .1
            .lines()
            .count(),
        1
    );
    assert!(
        shop.said(&["show", left])
            .1
            .contains("// Owner: S-1-5-32-544\n")
    );
}

#[test]
fn usage_counts_what_the_keys_name() {
    let shop = Shop::open();
    let (code, text, _) = shop.said(&["usage", "--json"]);
    assert_eq!(code, 0);
    let rows: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str, name: &str| {
        let field = if kind == "class" {
            "class"
        } else {
            "namespace"
        };
        rows.iter()
            .find(|row| row["kind"] == kind && row[field] == name)
            .cloned()
            .unwrap()
    };
    let namespace = of("namespace", r"ROOT\Shop");
    assert_eq!(
        (&namespace["classes"], &namespace["instances"]),
        (&2.into(), &6.into())
    );
    let shelf = of("class", "Shop_Shelf");
    assert_eq!(shelf["instances"], 2);
    let sum = |field: &str| -> u64 {
        let classes = rows
            .iter()
            .filter(|row| row["kind"] == "class" && row["namespace"] == r"ROOT\Shop");
        classes.map(|row| row[field].as_u64().unwrap()).sum()
    };
    assert_eq!(
        sum("bytes"),
        namespace["bytes"].as_u64().unwrap() - namespace["reference_bytes"].as_u64().unwrap()
    );
    assert_eq!(sum("instances"), 6);
    let (_, text, _) = shop.said(&["usage", "--namespace", "root/shop"]);
    assert!(
        text.lines().any(|line| line.ends_with("    Shop_Shelf")),
        "{text}"
    );
}

#[test]
fn delete_says_what_goes_and_takes_it() {
    let shop = Shop::open();
    let before = files(&shop.path());
    let (code, text, _) = shop.said(&["delete", r"root\shop:Shop_Shelf", "--dry-run"]);
    assert_eq!(code, 0);
    assert!(
        text.contains("would delete 0 namespaces, 2 classes, 3 instances"),
        "{text}"
    );
    let data = |files: &[(String, Vec<u8>)]| -> Vec<(String, Vec<u8>)> {
        files
            .iter()
            .filter(|(name, _)| name.ends_with("DATA") || name.ends_with("BTR"))
            .cloned()
            .collect()
    };
    assert_eq!(
        data(&before),
        data(&files(&shop.path())),
        "a dry run changes nothing"
    );

    let (code, text, _) = shop.said(&["delete", r#"root\shop:Shop_Shelf.Name="left""#, "--json"]);
    let row: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &row["kind"], &row["instances"]),
        (0, &"deletion".into(), &1.into())
    );
    assert_eq!(
        shop.said(&["show", r#"root\shop:Shop_Shelf.Name="left""#])
            .0,
        1
    );
    assert_eq!(
        shop.said(&["show", r#"root\shop:Shop_Shelf.Name="right""#])
            .0,
        0
    );

    assert_eq!(shop.said(&["delete", "root/shop"]).0, 0);
    assert_eq!(shop.said(&["ls", r"root\shop\cellar"]).0, 1);
    assert_eq!(shop.said(&["verify", "--level", "schema"]).0, 0);
}

#[test]
fn what_may_not_be_deleted_is_refused_without_a_word_of_deleting() {
    let shop = Shop::open();
    for (object, code) in [
        ("root", 2),
        ("root:__EventFilter", 2),
        (r"root\none", 1),
        (r"root\shop:None", 1),
        (r#"root\shop:Shop_Shelf.Nam="left""#, 2),
        (r#"root\shop:Shop_Shelf.Name="none""#, 1),
    ] {
        let (found, out, error) = shop.said(&["delete", object]);
        assert_eq!((found, out.as_str()), (code, ""), "{object}: {error}");
    }
}

/// The shop with a later generation in which one note is another, one shelf is gone and one new.
fn later() -> (Shop, u32, u32) {
    let shop = Shop::open();
    let generation = |shop: &Shop| -> u32 {
        let (_, text, _) = shop.said(&["info", "--json"]);
        let row: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        u32::try_from(row["generation"].as_u64().unwrap()).unwrap()
    };
    let before = generation(&shop);
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&Directory::real(shop.path()))
        .unwrap();
    let mut writer = engine.begin_catalog_write().unwrap();
    let class = writer
        .catalog()
        .class(r"ROOT\Shop", "Shop_Shelf")
        .unwrap()
        .unwrap();
    for (name, note) in [("left", "three"), ("new", "four")] {
        let instance = Instance::new(class.class.clone())
            .with("Name", name)
            .unwrap()
            .with("Note", note)
            .unwrap();
        writer
            .put_instance(r"ROOT\Shop", &instance, Put::CreateOrUpdate)
            .unwrap();
    }
    writer
        .delete_instance(r"ROOT\Shop", &r#"Shop_Shelf.Name="right""#.parse().unwrap())
        .unwrap();
    writer.commit().unwrap();
    engine.checkpoint().unwrap();
    engine.close().unwrap();
    let after = generation(&shop);
    assert!(after > before);
    (shop, before, after)
}

#[test]
fn two_generations_are_compared_with_both_values() {
    let (shop, before, after) = later();
    let (before, after) = (before.to_string(), after.to_string());
    let generations = ["--generation-a", &before, "--generation-b", &after];
    let (code, text, error) = shop.said(&[&["diff"], &generations[..]].concat());
    assert_eq!(code, 1, "{error}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            r#"~ instance  ROOT\Shop:Shop_Shelf.Name="left""#,
            "    property Owner",
            "      - S-1-5-32-544",
            "      + NULL",
            "    property Note",
            r#"      - "one\ntwo""#,
            r#"      + "three""#,
            r#"+ instance  ROOT\Shop:Shop_Shelf.Name="new""#,
            r#"- instance  ROOT\Shop:Shop_Shelf.Name="right""#,
        ]
    );
    assert!(error.contains("3 differences"), "{error}");

    let (_, json, _) = shop.said(&[&["diff", "--json"], &generations[..]].concat());
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["details"][0]["b"], serde_json::Value::Null);
    assert_eq!(
        first["details"][1],
        serde_json::json!({"what": "property Note", "a": "one\ntwo", "b": "three"})
    );

    let (_, stat, _) = shop.said(&[&["diff", "--stat"], &generations[..]].concat());
    assert_eq!(
        stat,
        "     1 removed       1 added       1 changed  ROOT\\Shop\n"
    );
    let other = [&["diff", "--namespace", "root/other"], &generations[..]].concat();
    assert_eq!(shop.said(&other), (0, String::new(), String::new()));
    let (code, text, _) =
        shop.said(&[&["diff", "--namespace", r"\\.\root\SHOP"], &generations[..]].concat());
    assert_eq!((code, text.lines().count()), (1, 9));
    assert_eq!(
        shop.said(&["diff"]).0,
        2,
        "one state cannot be compared with itself"
    );
}

#[test]
fn one_class_is_listed_and_exported_with_what_is_derived_from_it() {
    let shop = Shop::open();
    let lines = |arguments: &[&str]| -> Vec<String> {
        let (code, text, error) = shop.said(arguments);
        assert_eq!(code, 0, "{error}");
        text.lines().map(str::to_owned).collect()
    };
    assert_eq!(
        lines(&["ls", r"root\shop:shop_shelf"]),
        [
            r"class     ROOT\Shop:Shop_Shelf",
            r"class     ROOT\Shop:Shop_TallShelf : Shop_Shelf",
            r#"instance  ROOT\Shop:Shop_Shelf.Name="left""#,
            r#"instance  ROOT\Shop:Shop_Shelf.Name="right""#,
        ]
    );
    assert_eq!(lines(&["ls", "-r", r"root\shop:Shop_Shelf"]).len(), 5);
    let rows = lines(&["export", "--class", "Shop_Shelf"]);
    let kinds: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    let count = |kind: &str| kinds.iter().filter(|row| row["kind"] == kind).count();
    assert_eq!(
        (count("namespace"), count("class"), count("instance")),
        (0, 2, 3)
    );
    let (_, _, error) = shop.said(&["export", "--class", "Shop_Shelf"]);
    assert!(error.contains("2 classes, 3 instances"), "{error}");
    // A system class has its definition in one place and its instances in others.
    let rows = lines(&["export", "--class", "__NAMESPACE"]);
    assert!(
        rows.iter()
            .any(|row| row.contains(r#""kind":"class","namespace":"__SystemClass""#))
    );
    assert!(rows.iter().any(|row| row.contains("Cellar")));
    let (code, _, error) = shop.said(&["export", "--class", "Shop_Shel"]);
    assert!(code == 1 && error.contains("there is no"), "{error}");
    assert_eq!(shop.said(&["ls", r"root\other:Shop_Shelf"]).0, 1);
}

#[test]
fn a_part_of_a_backup_comes_back_and_a_dry_run_says_what_would() {
    let shop = Shop::open();
    let backup = shop.path().with_file_name("shop.cimbak");
    let backup = backup.to_str().unwrap();
    let said = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cimrepo"))
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let repo = shop.path();
    let repo = repo.to_str().unwrap();
    assert_eq!(said(&["backup", repo, backup]).0, 0);
    let whole = said(&["export", repo]).1;
    assert_eq!(said(&["delete", repo, r"root\shop:Shop_Shelf"]).0, 0);
    let restore = |more: &[&str]| said(&[&["restore", backup, repo], more].concat());

    let (code, plan, _) = restore(&["--force", "--dry-run"]);
    let expected = format!(
        "would restore to {repo} as the next generation of the repository that is there\n\
             no process has it open for writing: no connection would be cut\n"
    );
    assert_eq!(
        (code, plan),
        (
            0,
            format!("{expected}     0 removed       5 added       0 changed  ROOT\\Shop\n")
        )
    );
    let (_, plan, _) = restore(&["--force", "--dry-run", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(plan.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&plan["way"], &plan["findings"]),
        (&"next-generation".into(), &0.into())
    );
    assert!(plan["writer"].is_null());
    // The clients of a repository are those of the process that has it open for writing.
    let engine = EngineOptions::new().background(false).open(repo).unwrap();
    let writer = format!("process {}", std::process::id());
    let (code, _, error) = restore(&["--force", "--dry-run"]);
    assert!(
        code == 0 && error.contains(&format!("{writer} ")) && error.contains("--wait"),
        "{error}"
    );
    let (_, plan, _) = restore(&["--force", "--dry-run", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(plan.lines().next().unwrap()).unwrap();
    assert!(
        plan["writer"].as_str().unwrap().starts_with(&writer),
        "{plan}"
    );
    engine.close().unwrap();
    let lost = files(&shop.path());
    assert_eq!(files(&shop.path()), lost, "a dry run writes nothing");

    let part = ["--namespace", "root/shop", "--class", "shop_shelf"];
    let (code, text, error) = restore(&[&part[..], &["--dry-run"]].concat());
    assert_eq!(
        (code, text.as_str()),
        (0, "would restore 2 classes and 3 instances\n"),
        "{error}"
    );
    assert_eq!(files(&shop.path()), lost, "a dry run writes nothing");
    let (code, text, error) = restore(&part);
    assert_eq!(
        (code, text.as_str()),
        (0, "restored 2 classes and 3 instances\n"),
        "{error}"
    );
    let without_places = |text: &str| -> Vec<serde_json::Value> {
        let mut rows: Vec<serde_json::Value> = text
            .lines()
            .map(|row| serde_json::from_str(row).unwrap())
            .collect();
        rows.iter_mut()
            .for_each(|row| drop(row.as_object_mut().unwrap().remove("record")));
        rows
    };
    assert_eq!(
        without_places(&said(&["export", repo]).1),
        without_places(&whole)
    );

    let one = [
        "--namespace",
        "root/shop",
        "--instance",
        r#"Shop_Shelf.Name="left""#,
    ];
    assert_eq!(
        restore(&one).1,
        "replaces 0 classes and 1 instance\nrestored 0 classes and 1 instance\n"
    );
    assert_eq!(restore(&["--namespace", "root/nowhere"]).0, 2);
    assert_eq!(restore(&["--namespace", "root"]).0, 2, "ROOT is everything");
    assert_eq!(
        restore(&["--namespace", "root/shop", "--instance", "Shop_Shelf"]).0,
        2,
        "no instance"
    );
    assert_eq!(
        restore(&["--class", "Shop_Shelf"]).0,
        2,
        "a class of which namespace?"
    );
}

/// A dry run of a part neither writes a journal that waits into the files nor asks for the lock; a
/// restore waits for the lock as long as it is told to.
#[test]
fn a_dry_run_of_a_part_leaves_a_waiting_journal_and_a_lock_alone() {
    let shop = Shop::open();
    let (repo, backup) = (shop.path(), shop.path().with_file_name("shop.cimbak"));
    let waiting = repo.with_file_name("waiting");
    let run = |more: &[&std::ffi::OsStr]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cimrepo"))
            .args(more)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(text).unwrap(),
        )
    };
    assert_eq!(
        run(&["backup".as_ref(), repo.as_ref(), backup.as_ref()]).0,
        0
    );
    let engine = EngineOptions::new().background(false).open(&repo).unwrap();
    let mut transaction = engine.begin_write().unwrap();
    transaction.insert_key(b"NS_0\\WAITS").unwrap();
    transaction.commit().unwrap();
    std::fs::create_dir(&waiting).unwrap();
    for entry in std::fs::read_dir(&repo).unwrap().map(Result::unwrap) {
        if entry.file_name() != "cimrepo.lock" {
            std::fs::copy(entry.path(), waiting.join(entry.file_name())).unwrap();
        }
    }
    drop(engine);
    let before = files(&waiting);
    assert!(before.iter().any(|(name, _)| name.ends_with(".journal")));

    let part = |more: &[&'static str]| {
        let mut arguments: Vec<&std::ffi::OsStr> =
            vec!["restore".as_ref(), backup.as_ref(), waiting.as_ref()];
        arguments.extend(
            ["--namespace", "root/shop", "--class", "Shop_Shelf"]
                .map(AsRef::<std::ffi::OsStr>::as_ref),
        );
        arguments.extend(more.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
        run(&arguments)
    };
    let lock = || {
        let beside = format!("{}.cimrepo.lock", waiting.display());
        RealStorage
            .lock(Path::new(&beside), "process 1 (a test)")
            .unwrap()
    };
    let held = lock();
    let (code, text) = part(&["--dry-run"]);
    assert!(
        code == 0 && text.contains("would restore 2 classes and 3 instances"),
        "{text}"
    );
    assert!(
        text.contains("process 1 (a test) has the repository open"),
        "{text}"
    );
    assert!(files(&waiting) == before, "a dry run writes nothing");
    assert_eq!(part(&[]).0, 5);
    assert_eq!(part(&["--wait", "0"]).0, 5);
    assert!(files(&waiting) == before);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(300));
            drop(held);
        });
        let (code, text) = part(&["--wait", "60"]);
        assert!(
            code == 0 && text.contains("\nrestored 2 classes and 3 instances"),
            "{text}"
        );
    });
    assert!(files(&waiting) != before);
}

#[cfg(unix)]
#[test]
fn a_backup_goes_through_pipes_and_a_broken_one_is_told() {
    let shop = Shop::open();
    let (repo, program) = (shop.path(), env!("CARGO_BIN_EXE_cimrepo"));
    let temporary = tempfile::tempdir().unwrap();
    let shell = |line: &str| {
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(shop.path().parent().unwrap())
            .env("TMPDIR", temporary.path());
        command
            .env("REPO", &repo)
            .env("CIMREPO", program)
            .output()
            .unwrap()
    };
    let done = shell(r#""$CIMREPO" backup "$REPO" - | cat | "$CIMREPO" restore - restored"#);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let differs = Command::new(program)
        .arg("diff")
        .arg(&repo)
        .arg(repo.with_file_name("restored"))
        .status()
        .unwrap();
    assert_eq!(differs.code(), Some(0));

    let cut = shell(r#""$CIMREPO" backup "$REPO" - | head -c 3000 | "$CIMREPO" restore - cut"#);
    assert_eq!(
        cut.status.code(),
        Some(4),
        "{}",
        String::from_utf8_lossy(&cut.stderr)
    );
    assert!(!repo.with_file_name("cut").exists());
    let broken = shell(
        r#"{ "$CIMREPO" backup "$REPO" --no-compress -; echo "rc $?" >&2; } | head -c 1 >/dev/null"#,
    );
    let text = String::from_utf8_lossy(&broken.stderr);
    assert!(text.contains("rc 3"), "{text}");
    assert_eq!(
        std::fs::read_dir(temporary.path()).unwrap().count(),
        0,
        "nothing stays behind"
    );
}
