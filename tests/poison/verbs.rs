//! Every verb of the command over poison: in the repository, in names of files and directories, in
//! arguments.

use std::collections::{BTreeMap, BTreeSet};
#[cfg(unix)]
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use cimrepo::catalog::Catalog;
use cimrepo::cim::{Class, Flavor, Property, Qualifier, ScalarType, Value as CimValue};
use cimrepo::format::bmf::{BmfContent, BmfObject};
use cimrepo::format::index::object_key::SYSTEM_NAMESPACE;
use cimrepo::store::EngineOptions;
use cimrepo::store::Repository;
use serde_json::Value;
use tempfile::TempDir;

use crate::brew::{VERDICT, brew};
use crate::shows::fault;
use crate::support::{Files, write_to};

/// Poison as it can be an argument, and where the system allows it, the name of a file.
const EVIL: &str =
    "e\u{1b}[2J\r\nWMI repository is consistent\n\u{202e}\u{9b}31m\u{200b}'\"`$(id)`";

const FILE: &str = if cfg!(unix) {
    EVIL
} else {
    "e\u{202e}\u{200b}'`$(id)`"
};

static FILES: LazyLock<[Files; 2]> = LazyLock::new(|| [brew(true), brew(false)]);

/// The arguments of a run.
type Arguments = Vec<OsString>;

macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { Arguments::from([$(OsString::from($argument)),*]) };
}

/// Directories with names of poison, and repositories in them.
struct Lab {
    dir: TempDir,
    made: u32,
}

impl Lab {
    /// A path that is not there yet.
    fn path(&mut self) -> PathBuf {
        self.made += 1;
        self.dir.path().join(format!("{}{FILE}", self.made))
    }

    fn poison(&mut self) -> PathBuf {
        self.repository(&FILES[0])
    }

    fn plain(&mut self) -> PathBuf {
        self.repository(&FILES[1])
    }

    fn repository(&mut self, files: &Files) -> PathBuf {
        let path = self.path();
        fs::create_dir(&path).unwrap();
        write_to(files, &path, ToOwned::to_owned);
        path
    }

    /// A copy in which a byte of every page of a file is another.
    fn damaged(&mut self, name: &str) -> PathBuf {
        let path = self.poison();
        let mut bytes = fs::read(path.join(name)).unwrap();
        bytes
            .iter_mut()
            .skip(512)
            .step_by(8192)
            .for_each(|byte| *byte ^= 0x55);
        fs::write(path.join(name), bytes).unwrap();
        path
    }

    /// A directory with a file of another kind in it.
    fn foreign(&mut self) -> PathBuf {
        let path = self.path();
        fs::create_dir(&path).unwrap();
        fs::write(path.join(FILE), EVIL).unwrap();
        path
    }

    /// A backup of the poison.
    fn backup(&mut self, options: &[&str]) -> PathBuf {
        let (repository, file) = (self.poison(), self.path());
        let mut arguments = arguments!["backup", repository, &file];
        arguments.extend(options.iter().map(OsString::from));
        let output = run(&arguments);
        assert!(file.is_file(), "{output:?}");
        file
    }
}

fn run(arguments: &[OsString]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cimrepo"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the command runs")
}

/// The verbs that a help text lists, those of verbs among them.
fn verbs(of: &[&str]) -> Vec<String> {
    let arguments: Arguments = ["help"].iter().chain(of).map(OsString::from).collect();
    let help = String::from_utf8(run(&arguments).stdout).unwrap();
    let listed = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    // What a verb does may take several lines, which are indented further.
    let listed = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let mut found = Vec::new();
    for name in listed
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
    {
        let path = [of, &[name]].concat();
        let below = verbs(&path);
        if below.is_empty() {
            found.push(path.join(" "))
        } else {
            found.extend(below)
        }
    }
    found
}

/// Checks what a run printed, and returns its exit code.
fn check(arguments: &[OsString]) -> i32 {
    let output = run(arguments);
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let code = output
        .status
        .code()
        .unwrap_or_else(|| panic!("{arguments:?} ended by {}", output.status));
    assert!(code < 70, "{arguments:?}: {output:?}");

    let mut streams = vec![("stderr", &output.stderr)];
    if !has("--raw") {
        streams.push(("stdout", &output.stdout));
    }
    for (name, bytes) in streams {
        let text =
            str::from_utf8(bytes).unwrap_or_else(|error| panic!("{arguments:?}, {name}: {error}"));
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "{arguments:?}, {name}: the last line ends"
        );
        // The mark that mofcomp knows UTF-8 by stands in front of all text.
        let text = if has("mof") {
            text.strip_prefix('\u{feff}').unwrap_or(text)
        } else {
            text
        };
        let is_true = has("verify") && code == 0 && name == "stdout";
        // Not `lines`, which forgives a carriage return.
        for line in text.split_terminator('\n') {
            assert_eq!(fault(line), None, "{arguments:?}, {name}");
            assert!(
                is_true && line == VERDICT || !line.trim_start().starts_with(VERDICT),
                "{arguments:?}: {line}"
            );
            if name == "stdout" && code != 2 && (has("--json") || has("export") && !has("mof")) {
                let row: Value = serde_json::from_str(line)
                    .unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
                assert!(row.is_object(), "{arguments:?}: {line}");
            }
        }
    }
    code
}

/// A way to run each verb, or several.
fn drives(lab: &mut Lab) -> BTreeMap<&'static str, Vec<Arguments>> {
    let mut drives = BTreeMap::new();
    reading(lab, &mut drives);
    raw_views(lab, &mut drives);
    comparing(lab, &mut drives);
    keeping(lab, &mut drives);
    writing(lab, &mut drives);
    languages(lab, &mut drives);
    forensics(lab, &mut drives);
    drives
}

/// The verbs that look for traces, and files of known good findings that are none.
fn forensics(lab: &mut Lab, drives: &mut Drives) {
    let sources = sources(lab);
    let rubbish = lab.path();
    fs::write(&rubbish, EVIL).unwrap();
    let mut persistence: Vec<Arguments> = sources
        .iter()
        .map(|source| arguments!["persistence", source])
        .collect();
    let known = [rubbish, lab.path()];
    persistence.extend(
        known
            .iter()
            .map(|file| arguments!["persistence", &sources[1], "--known-good", file]),
    );
    drives.insert("persistence", persistence);
}

type Drives = BTreeMap<&'static str, Vec<Arguments>>;

/// What can be read: whole, damaged, a backup, something else, nothing.
fn sources(lab: &mut Lab) -> Vec<PathBuf> {
    let whole = lab.poison();
    let (index, heap) = (lab.damaged("INDEX.BTR"), lab.damaged("OBJECTS.DATA"));
    let map = lab.damaged("MAPPING1.MAP");
    for number in 2..=3 {
        fs::write(map.join(format!("MAPPING{number}.MAP")), EVIL).unwrap();
    }
    // Several repositories below one directory.
    let tree = lab.path();
    for name in ["Repository", FILE] {
        fs::create_dir_all(tree.join(name)).unwrap();
        write_to(&FILES[0], &tree.join(name), ToOwned::to_owned);
    }
    vec![
        tree,
        whole,
        lab.plain(),
        index,
        heap,
        map,
        lab.backup(&[]),
        lab.foreign().join(FILE),
        lab.foreign(),
        lab.path(),
    ]
}

fn reading(lab: &mut Lab, drives: &mut Drives) {
    let sources = sources(lab);
    let over = |verb: &str, options: &[&str]| -> Vec<Arguments> {
        let options = options.iter().map(OsString::from);
        sources
            .iter()
            .map(|source| {
                arguments![verb, source]
                    .into_iter()
                    .chain(options.clone())
                    .collect()
            })
            .collect()
    };
    drives.insert(
        "info",
        [over("info", &[]), over("info", &["--generation", "77"])].concat(),
    );
    let levels =
        ["structure", "references", "schema"].map(|level| over("verify", &["--level", level]));
    drives.insert(
        "verify",
        [levels.concat(), over("verify", &["--all-generations"])].concat(),
    );
    drives.insert(
        "export",
        [
            over("export", &[]),
            over("export", &["--namespace", EVIL, "-r"]),
        ]
        .concat(),
    );
    let out = lab.path();
    let mut recover = [
        over("recover", &["--json"]),
        over("recover", &[]),
        over("recover", &["--namespace", EVIL, "--class", EVIL]),
        over("recover", &["--format", "mof", "--certain"]),
    ]
    .concat();
    let mut written = arguments!["recover", &sources[1], "--out"];
    written.push(out.into());
    recover.push(written);
    recover.push(arguments!["recover", &sources[1], "--like", &sources[1]]);
    drives.insert("recover", recover);
    drives.insert(
        "usage",
        [over("usage", &[]), over("usage", &["--namespace", EVIL])].concat(),
    );
    drives.insert(
        "ls",
        [over("ls", &["-r"]), over("ls", &[]), over("ls", &[EVIL])].concat(),
    );

    let mut show = [
        over("show", &[EVIL]),
        over("show", &["ROOT:E.K=\"\u{1b}\""]),
    ]
    .concat();
    for path in paths(&sources[1]).into_iter().step_by(5) {
        let source = &sources[1];
        show.push(arguments!["show", source, &path]);
        show.push(arguments!["show", source, &path, "--json"]);
        show.push(arguments!["show", source, format!("{path}\u{1b}")]);
        if path.contains('=') {
            show.push(arguments![
                "show",
                source,
                path.replacen('=', ",\u{202e}=", 1)
            ]);
        } else {
            show.push(arguments!["show", source, &path, "--inherited"]);
            show.push(arguments!["show", source, &path, "--property", EVIL]);
        }
    }
    let (path, properties) = class_with_most(&sources[1]);
    for property in properties.iter().step_by(5) {
        show.push(arguments![
            "show",
            &sources[1],
            &path,
            "--property",
            property
        ]);
        show.push(arguments![
            "show",
            &sources[1],
            &path,
            "--property",
            property,
            "--raw"
        ]);
    }
    drives.insert("show", show);
    for namespace in namespaces(&sources[1]).iter().step_by(8) {
        drives
            .get_mut("ls")
            .unwrap()
            .push(arguments!["ls", &sources[1], namespace]);
        drives.get_mut("usage").unwrap().push(arguments![
            "usage",
            &sources[1],
            "--namespace",
            namespace
        ]);
    }
}

fn catalog(repository: &Path) -> Catalog {
    Catalog::new(Repository::open_read_only(repository).unwrap().snapshot())
}

fn namespaces(repository: &Path) -> Vec<String> {
    catalog(repository)
        .namespaces()
        .into_iter()
        .flatten()
        .collect()
}

/// The paths of all classes and instances that can be read, but for those that every repository
/// has.
fn paths(repository: &Path) -> Vec<String> {
    let catalog = catalog(repository);
    let mut found = Vec::new();
    for namespace in namespaces(repository) {
        for class in catalog.classes(&namespace).flatten() {
            found.push(format!("{namespace}:{}", class.class.name().as_str()));
        }
        for stored in catalog.all_instances(&namespace).flatten() {
            found.extend(
                stored
                    .instance
                    .path()
                    .map(|path| path.in_namespace(&*namespace).text()),
            );
        }
    }
    found.retain(|path| !path.contains(":__") && path.len() < 8000);
    assert!(found.len() > 60, "{}", found.len());
    found
}

/// The path of the class with the most properties, and their names.
fn class_with_most(repository: &Path) -> (String, Vec<String>) {
    let catalog = catalog(repository);
    let classes = catalog.classes("ROOT").flatten();
    let class = classes
        .max_by_key(|class| class.class.properties().len())
        .unwrap();
    let names = class
        .class
        .properties()
        .iter()
        .map(|property| property.name.as_str().to_owned());
    (
        format!("ROOT:{}", class.class.name().as_str()),
        names.collect(),
    )
}

fn raw_views(lab: &mut Lab, drives: &mut Drives) {
    let (whole, damaged, backup, none) = (
        lab.poison(),
        lab.damaged("INDEX.BTR"),
        lab.backup(&[]),
        lab.path(),
    );
    let (mut keys, mut page) = (Vec::new(), Vec::new());
    for source in [&whole, &damaged, &backup, &none] {
        keys.push(arguments!["keys", source]);
        keys.push(arguments!["keys", source, "--reverse"]);
        keys.push(arguments!["keys", source, EVIL]);
        keys.push(arguments!["keys", source, "\n"]);
        page.push(arguments!["page", source, "objects"]);
        page.push(arguments!["page", source, "objects", "--physical"]);
        for (space, number) in [("objects", 0..4), ("index", 0..3)] {
            for number in number.map(|number: u32| number.to_string()) {
                page.push(arguments!["page", source, space, &number]);
                page.push(arguments![
                    "page",
                    source,
                    space,
                    &number,
                    "--physical",
                    "--hex"
                ]);
                page.push(arguments!["page", source, space, &number, "--raw"]);
            }
        }
    }
    drives.insert("keys", keys);
    drives.insert("page", page);
}

fn comparing(lab: &mut Lab, drives: &mut Drives) {
    let (poison, plain, backup) = (lab.poison(), lab.plain(), lab.backup(&[]));
    let (damaged, none) = (lab.damaged("OBJECTS.DATA"), lab.path());
    let pairs = [
        (&poison, &plain),
        (&plain, &poison),
        (&backup, &plain),
        (&poison, &damaged),
        (&damaged, &backup),
    ];
    let pairs = pairs
        .into_iter()
        .chain([(&poison, &none), (&none, &poison)]);
    let mut diff: Vec<Arguments> = pairs.map(|(a, b)| arguments!["diff", a, b]).collect();
    let generations = catalog(&poison).snapshot().mapping().generation();
    let before = (generations - 1).to_string();
    diff.push(arguments![
        "diff",
        &poison,
        "--generation-a",
        &before,
        "--generation-b",
        generations.to_string()
    ]);
    diff.push(arguments![
        "diff",
        &poison,
        "--generation-a",
        &before,
        "--stat"
    ]);
    diff.push(arguments!["diff", &poison, &plain, "--namespace", EVIL]);
    drives.insert("diff", diff);
    let convert = [&poison, &plain, &damaged, &backup, &none]
        .map(|source| arguments!["convert", source, lab.path()]);
    let foreign = arguments!["convert", &poison, lab.foreign()];
    drives.insert("convert", convert.into_iter().chain([foreign]).collect());
}

fn keeping(lab: &mut Lab, drives: &mut Drives) {
    let (poison, plain, damaged) = (lab.poison(), lab.plain(), lab.damaged("OBJECTS.DATA"));
    let (set, broken) = (lab.path(), lab.path());
    let base = lab.backup(&[]);
    let mut backup = vec![
        arguments!["backup", &damaged, lab.path()],
        arguments!["backup", &damaged, lab.path(), "--forensic"],
        arguments!["backup", &poison, lab.path(), "--base", &base],
        arguments![
            "backup",
            &poison,
            lab.path(),
            "--base",
            lab.foreign().join(FILE)
        ],
        arguments!["backup", &poison, lab.path(), "--base", lab.path()],
        arguments!["backup", &poison, lab.foreign()],
        arguments!["backup", &poison, lab.foreign().join(FILE)],
        arguments!["backup", &poison, poison.join("INDEX.BTR")],
        arguments!["backup", &poison, lab.path().join("x")],
        arguments!["backup", lab.path(), lab.path()],
        arguments!["backup", &poison, lab.foreign(), "--keep", "2"],
    ];
    for directory in [&set, &broken] {
        backup.extend([1, 2, 3].map(|_| {
            arguments![
                "backup",
                &plain,
                directory,
                "--keep",
                "2",
                "--full-after",
                "1"
            ]
        }));
        backup
            .iter()
            .rev()
            .take(3)
            .for_each(|arguments| assert_eq!(check(arguments), 0));
        fs::write(directory.join(FILE), EVIL).unwrap();
    }
    for entry in fs::read_dir(&broken).unwrap().flatten() {
        let bytes = fs::read(entry.path()).unwrap();
        fs::write(entry.path(), &bytes[..bytes.len() / 2]).unwrap();
    }
    backup.push(arguments!["backup", &plain, &broken, "--keep", "2"]);
    drives.insert("backup", backup);

    let places = [set, broken, lab.foreign(), lab.path()];
    let over = |verb: &str| {
        places
            .iter()
            .map(|place| arguments!["backups", verb, place])
            .collect::<Vec<_>>()
    };
    drives.insert("backups list", over("list"));
    drives.insert("backups verify", over("verify"));
    drives.insert(
        "backups prune",
        over("prune")
            .into_iter()
            .map(|all| [all, arguments!["--keep", "1"]].concat())
            .collect(),
    );

    let increment = lab.path();
    assert!(
        check(&arguments![
            "backup",
            &plain,
            &increment,
            "--base",
            &base,
            "--no-verify"
        ]) < 70
    );
    let forensic = lab.backup(&["--forensic"]);
    let elsewhere = lab.path();
    fs::create_dir(&elsewhere).unwrap();
    let alone = elsewhere.join(FILE);
    fs::copy(&increment, &alone).unwrap();
    let mut restore = vec![
        arguments!["restore", lab.foreign().join(FILE), lab.path()],
        arguments!["restore", lab.foreign(), lab.path()],
        arguments!["restore", lab.path(), lab.path()],
        arguments!["restore", &alone, lab.path()],
        arguments!["restore", &base, lab.path().join("x")],
    ];
    for source in [&base, &increment, &forensic] {
        for target in [
            lab.path(),
            lab.foreign(),
            lab.plain(),
            lab.damaged("INDEX.BTR"),
            lab.damaged("MAPPING1.MAP"),
        ] {
            restore.push(arguments!["restore", source, &target]);
            restore.push(arguments!["restore", source, &target, "--force"]);
            restore.push(arguments![
                "restore",
                source,
                &target,
                "--force",
                "--damaged"
            ]);
        }
    }
    drives.insert("restore", restore);
}

fn writing(lab: &mut Lab, drives: &mut Drives) {
    let places = [
        lab.poison(),
        lab.plain(),
        lab.damaged("INDEX.BTR"),
        lab.damaged("OBJECTS.DATA"),
        lab.foreign(),
        lab.path(),
    ];
    drives.insert(
        "compact",
        places
            .iter()
            .map(|place| arguments!["compact", place])
            .collect(),
    );
    let pause = |place: &PathBuf, program: &str| arguments!["pause", place, "--", program];
    let pauses = places.iter().flat_map(|place| {
        [
            pause(place, "true"),
            pause(place, "false"),
            pause(place, EVIL),
        ]
    });
    drives.insert("pause", pauses.collect());
    drives.insert(
        "create",
        vec![
            arguments!["create", lab.path()],
            arguments!["create", &places[0]],
            arguments!["create", &places[4]],
        ],
    );
    drives.insert(
        "man",
        [lab.path(), places[4].join(FILE), places[4].clone()]
            .map(|place| arguments!["man", place])
            .into(),
    );
    let shells = ["bash", "zsh", "fish", "elvish", "powershell", EVIL];
    drives.insert(
        "completions",
        shells.map(|shell| arguments!["completions", shell]).into(),
    );
    drives.insert(
        "demo",
        vec![
            arguments!["demo", lab.path()],
            arguments!["demo", &places[0]],
        ],
    );

    let repository = lab.poison();
    let mut delete = vec![
        arguments!["delete", &repository, EVIL],
        arguments!["delete", &repository, "ROOT:E.K=\"\u{1b}\""],
    ];
    let paths = paths(&repository)
        .into_iter()
        .step_by(7)
        .chain(namespaces(&repository).into_iter().skip(1).step_by(5));
    for path in paths {
        delete.push(arguments!["delete", &repository, &path, "--dry-run"]);
        delete.push(arguments!["delete", &repository, &path]);
    }
    delete.extend(
        places
            .iter()
            .map(|place| arguments!["delete", place, EVIL, "--dry-run"]),
    );
    drives.insert("delete", delete);
}

/// The verbs that read and print MOF and WQL, and MOF made of the poison.
fn languages(lab: &mut Lab, drives: &mut Drives) {
    let sources = sources(lab);
    let export = drives.get_mut("export").unwrap();
    for source in &sources {
        export.push(arguments!["export", source, "--format", "mof"]);
        export.push(arguments![
            "export",
            source,
            "--format",
            "mof",
            "--namespace",
            EVIL
        ]);
    }

    let mut query = Vec::new();
    let asked = [
        "SELECT * FROM meta_class",
        "SELECT * FROM __NAMESPACE",
        "SELECT COUNT(*) FROM E WHERE K = '\u{1b}'",
        EVIL,
    ];
    for source in &sources {
        for text in asked {
            query.push(arguments!["query", source, text]);
            query.push(arguments!["query", source, text, "-r"]);
        }
        query.push(arguments!["query", source, asked[0], "--namespace", EVIL]);
    }
    for path in paths(&sources[1]).into_iter().step_by(5) {
        query.push(arguments![
            "query",
            &sources[1],
            format!("REFERENCES OF {{{path}}}")
        ]);
        query.push(arguments![
            "query",
            &sources[1],
            format!("SELECT * FROM {path}"),
            "--explain"
        ]);
    }
    drives.insert("query", query);

    let repository = lab.plain();
    let exported = run(&arguments!["export", &sources[1], "--format", "mof"]).stdout;
    let mut texts = vec![
        exported,
        EVIL.into(),
        format!("class {EVIL} {{ string {EVIL} = \"{EVIL}\"; }};").into(),
    ];
    texts.push(
        format!(
            "#pragma include(\"{}\")\n#pragma namespace(\"{EVIL}\")\n",
            EVIL.escape_default()
        )
        .into(),
    );
    texts.push(
        format!(
            "class A {{ string P = \"\\x1b[2J\"; }}; instance of {} {{}};",
            EVIL.escape_default()
        )
        .into(),
    );
    let mut compile = Vec::new();
    let mut bmf = Vec::new();
    for text in texts {
        let file = lab.path();
        fs::write(&file, &text).unwrap();
        compile.push(arguments!["compile", "--check", &file]);
        compile.push(arguments!["compile", &repository, &file]);
        compile.push(arguments![
            "compile",
            &repository,
            &file,
            "--namespace",
            EVIL
        ]);
        bmf.push(arguments!["bmf", &file]);
    }
    let binary = binary_mof(lab);
    bmf.push(arguments!["bmf", &binary]);
    bmf.push(arguments!["bmf", &binary, "--list"]);
    let (text, parts) = (lab.path(), [lab.path(), lab.path()]);
    let evil = EVIL.escape_default();
    fs::write(
        &text,
        format!("#pragma amendment(\"{evil}\")\nclass A {{}};"),
    )
    .unwrap();
    for file in [&binary, &text] {
        compile.push(arguments!["compile", "--check", file, "--in", &repository]);
        let [mof, mfl] = &parts;
        compile.push(arguments!["compile", file, "--mof", mof, "--mfl", mfl]);
    }
    compile.push(arguments!["compile", "--check", &binary]);
    compile.push(arguments!["compile", &repository, &binary, "--mofcomp"]);
    compile.push(arguments![
        "compile",
        "--check",
        &binary,
        "--in",
        lab.path()
    ]);
    for option in ["--class", "--instance", "--creator-sid", "-I"] {
        compile.push(arguments!["compile", &repository, &binary, option, EVIL]);
    }
    bmf.push(arguments!["bmf", lab.path()]);
    compile.push(arguments!["compile", &repository, lab.path()]);
    compile.push(arguments!["compile", lab.path(), lab.path()]);
    drives.insert("compile", compile);
    drives.insert("bmf", bmf);
}

/// Binary MOF whose names and values are poison.
fn binary_mof(lab: &mut Lab) -> PathBuf {
    let words = Qualifier::new(EVIL, EVIL.to_owned(), Flavor::AMENDED);
    let property = Property::new(EVIL, ScalarType::String)
        .default(CimValue::from(EVIL.to_owned()))
        .qualifier(words);
    let class = Class::builder(EVIL).superclass(EVIL).property(property);
    let object = BmfObject {
        offset: 0,
        namespace: Some(EVIL.to_owned()),
        flags: 64,
        alias: Some(EVIL.to_owned()),
        content: BmfContent::Class(class.build()),
        notes: Vec::new(),
    };
    let file = lab.path();
    fs::write(&file, crate::bmf::container(&[object])).unwrap();
    file
}

fn lab() -> Lab {
    Lab {
        dir: tempfile::tempdir().unwrap(),
        made: 0,
    }
}

/// The same run with JSON, where the verb has it: its options stand before what follows `--`.
fn with_json(arguments: &Arguments, place: usize) -> Arguments {
    let (front, rest) = arguments.split_at(place);
    [front, &arguments!["--json"], rest].concat()
}

#[test]
fn no_verb_prints_what_a_terminal_obeys() {
    let mut lab = lab();
    let drives = drives(&mut lab);
    let (driven, there): (BTreeSet<&str>, _) = (drives.keys().copied().collect(), verbs(&[]));
    let there: BTreeSet<&str> = there.iter().map(String::as_str).collect();
    assert!(
        there.contains("verify") && there.contains("backups list"),
        "the verbs were found: {there:?}"
    );
    assert_eq!(
        driven, there,
        "a verb is to be driven here when it is there"
    );

    let mut runs = 0;
    for (verb, all) in drives {
        let words: Vec<&str> = verb.split(' ').collect();
        let help = run(&words
            .iter()
            .map(OsString::from)
            .chain(arguments!["--help"])
            .collect::<Vec<_>>());
        let has_json = String::from_utf8(help.stdout).unwrap().contains("--json");
        for arguments in all {
            check(&arguments);
            runs += 1;
            if has_json
                && arguments
                    .iter()
                    .all(|argument| argument != "--raw" && argument != "--json")
            {
                check(&with_json(&arguments, words.len()));
                runs += 1;
            }
        }
    }
    assert!(runs > 300, "{runs} runs");
}

#[test]
fn the_verdict_is_printed_only_where_it_is_true() {
    let mut lab = lab();
    let (poison, whole) = (lab.poison(), lab.path());
    assert_eq!(check(&arguments!["create", &whole]), 0);
    for level in ["structure", "references", "schema"] {
        let output = run(&arguments!["verify", &whole, "--level", level]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && text.lines().any(|line| line == VERDICT),
            "{level}: {text}"
        );
    }
    let output = run(&arguments!["verify", &poison, "--level", "schema"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(VERDICT),
        "the poison that forges it was shown: {text}"
    );
    assert!(text.lines().all(|line| line != VERDICT), "{text}");
}

/// What JSON says is what is stored, after it was read.
#[test]
fn json_says_what_is_stored() {
    let mut lab = lab();
    let repository = lab.poison();
    let output = run(&arguments!["export", &repository]);
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str, field: &str| -> BTreeSet<String> {
        let rows = rows.iter().filter(|row| row["kind"] == kind);
        rows.filter_map(|row| row[field].as_str().map(ToOwned::to_owned))
            .collect()
    };
    let catalog = catalog(&repository);
    let stored: BTreeSet<String> = namespaces(&repository)
        .into_iter()
        .chain([SYSTEM_NAMESPACE.to_owned()])
        .collect();
    assert_eq!(of("namespace", "path"), stored);
    let mut classes = BTreeSet::new();
    let mut instances = BTreeSet::new();
    for namespace in &stored {
        classes.extend(
            catalog
                .classes(namespace)
                .flatten()
                .map(|class| class.class.name().as_str().to_owned()),
        );
        let paths = catalog
            .all_instances(namespace)
            .flatten()
            .filter_map(|stored| stored.instance.path().ok());
        instances.extend(paths.map(|path| path.in_namespace(&**namespace).text()));
    }
    assert_eq!(of("class", "name"), classes);
    assert_eq!(of("instance", "path"), instances);
    assert!(instances.iter().any(|path| path.contains('\u{202e}')));
}

/// Arguments that make no sense are repeated, and so is what a lock file says.
#[test]
fn what_is_repeated_is_escaped() {
    let mut lab = lab();
    for arguments in [
        arguments![EVIL],
        arguments![format!("--{EVIL}")],
        arguments!["verify", "x", format!("--{EVIL}={EVIL}")],
        arguments!["verify", "x", "--level", EVIL],
        arguments!["info", "x", "--generation", EVIL],
        arguments!["ls", "x", "y", EVIL],
        arguments!["page", "x", EVIL],
        arguments!["help", EVIL],
        arguments!["backups", EVIL],
        arguments!["verify", format!("--generation={EVIL}"), format!("-{EVIL}")],
    ] {
        assert_eq!(check(&arguments), 2, "{arguments:?}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let odd = OsStr::from_bytes(b"\xff\x1b\nWMI repository is consistent\n");
        for arguments in [
            arguments![odd],
            arguments!["ls", "x", odd],
            arguments!["ls", odd],
            arguments!["show", odd, odd],
        ] {
            assert!(check(&arguments) >= 2, "{arguments:?}");
        }
    }

    let repository = lab.poison();
    let engine = EngineOptions::new()
        .background(false)
        .open(&repository)
        .unwrap();
    for entry in fs::read_dir(&repository)
        .unwrap()
        .chain(fs::read_dir(repository.parent().unwrap()).unwrap())
        .flatten()
    {
        if entry.path().is_file() && entry.file_name().to_string_lossy().ends_with(".lock") {
            fs::write(entry.path(), EVIL).unwrap();
        }
    }
    let backup = lab.backup(&[]);
    for arguments in [
        arguments!["compact", &repository],
        arguments!["pause", &repository, "--", "true"],
        arguments!["delete", &repository, "ROOT:X"],
        arguments!["restore", &backup, &repository, "--force"],
    ] {
        assert_eq!(check(&arguments), 5, "{arguments:?}");
    }
    drop(engine);
}
