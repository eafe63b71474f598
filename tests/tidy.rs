//! The house rules that a program can check: imports point down, files and functions stay small,
//! unsafe code stays put.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// The folders of `src`, from the ground up. A folder imports only from itself and from those
/// before it.
const LAYERS: [&str; 22] = [
    "base",
    "cim",
    "storage",
    "gate",
    "text",
    "format",
    "security",
    "pager",
    "btree",
    "heap",
    "store",
    "catalog",
    "verify",
    "backup",
    "restore",
    "export",
    "compile",
    "query",
    "forensics",
    "collection",
    "service",
    "com",
];

/// Neighbours that stand side by side: neither imports the other.
const SIBLINGS: [(&str, &str); 4] = [
    ("storage", "gate"),
    ("format", "storage"),
    ("storage", "security"),
    ("btree", "heap"),
];

/// The files that may hold unsafe code: those that map files, those that COM and Windows call,
/// or are called by, and the one that asks Windows for rights.
const UNSAFE: [&str; 12] = [
    "com/cancel.rs",
    "com/error_info.rs",
    "com/exports.rs",
    "com/factory.rs",
    "com/interfaces.rs",
    "com/object.rs",
    "com/module.rs",
    "com/token.rs",
    "com/wide.rs",
    "storage/mmap.rs",
    "storage/file_id.rs",
    "storage/rights_windows.rs",
];

const MAX_FILE_LINES: usize = 700;
const MAX_FUNCTION_LINES: usize = 70;

fn source_files() -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, files: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    let mut files: Vec<_> = files
        .into_iter()
        .map(|(path, text)| (path.strip_prefix(&root).unwrap().to_owned(), text))
        .collect();
    files.sort();
    assert!(files.len() > 30, "the source tree was found");
    files
}

/// The text without comments and without inline tests.
fn code(text: &str) -> String {
    let tests = ["mod tests", "pub(crate) mod tests"].map(|head| format!("#[cfg(test)]\n{head}"));
    let end = tests
        .iter()
        .filter_map(|head| text.find(head.as_str()))
        .min()
        .unwrap_or(text.len());
    let text = &text[..end];
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

fn folder(path: &Path) -> Option<String> {
    let mut components = path.components();
    let first = components.next()?.as_os_str().to_str()?.to_owned();
    components.next().map(|_| first)
}

/// The folders named after `crate::` in a file.
fn imports(code: &str) -> Vec<String> {
    let names = code.split("crate::").skip(1).map(|rest| {
        rest.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    });
    names
        .filter(|name| LAYERS.contains(&name.as_str()))
        .collect()
}

#[test]
fn imports_point_down() {
    let position = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let mut checked = 0;
    for (path, text) in source_files() {
        let Some(own) = folder(&path).filter(|folder| folder != "bin" && folder != "docs") else {
            continue;
        };
        let level =
            position(&own).unwrap_or_else(|| panic!("src/{own} is a folder that no layer names"));
        for other in imports(&code(&text)) {
            checked += 1;
            let path = path.display();
            assert!(
                position(&other).unwrap() <= level,
                "{path} imports {other}, which is above {own}"
            );
            let are_siblings = SIBLINGS
                .iter()
                .any(|&(a, b)| [(a, b), (b, a)].contains(&(&*own, &*other)));
            assert!(
                !are_siblings,
                "{path} imports {other}, which stands beside {own}"
            );
        }
    }
    assert!(checked > 100, "imports were found");
}

#[test]
fn files_and_functions_stay_small() {
    for (path, text) in source_files() {
        let code = code(&text);
        let lines = code.lines().count();
        assert!(
            lines <= MAX_FILE_LINES,
            "{} has {lines} lines",
            path.display()
        );
        let mut start: Option<(usize, usize)> = None;
        for (number, line) in code.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let is_function = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "const fn ",
                "pub const fn ",
                "pub(crate) const fn ",
            ]
            .iter()
            .any(|head| line.trim_start().starts_with(head));
            if is_function {
                start = Some((number, indent));
            }
            if let Some((first, depth)) = start
                && line.trim_end() == format!("{}}}", " ".repeat(depth))
            {
                let length = number - first + 1;
                assert!(
                    length <= MAX_FUNCTION_LINES,
                    "{}:{} has {length} lines",
                    path.display(),
                    first + 1
                );
                start = None;
            }
        }
    }
}

#[test]
fn unsafe_code_and_file_access_stay_where_they_belong() {
    for (path, text) in source_files() {
        let code = code(&text);
        let name = path.to_str().unwrap().replace('\\', "/");
        let uses = |word: &str| code.contains(word);
        assert_eq!(
            uses("unsafe "),
            UNSAFE.contains(&&*name),
            "{name} has unsafe code, or is said to have some"
        );
        let is_storage = name.starts_with("storage/");
        if !is_storage && !name.starts_with("bin/") {
            assert!(
                !uses("std::fs") && !uses("File::"),
                "{name} opens files past the storage seam"
            );
        }
        for mark in ["todo!", "unimplemented!", "dbg!", ".unwrap()"] {
            assert!(!uses(mark), "{name} has {mark}");
        }
    }
}

/// A module that links the library, and is a COM server of its own, exports functions of the same
/// names.
#[test]
fn only_the_feature_dll_exports_functions() {
    let files = source_files();
    let (_, module) = files
        .iter()
        .find(|(path, _)| path == Path::new("com/mod.rs"))
        .unwrap();
    let mut found = 0;
    for (path, text) in &files {
        let code = code(text);
        if ["no_mangle", "export_name"]
            .iter()
            .all(|word| !code.contains(word))
        {
            continue;
        }
        found += 1;
        let name = path.file_stem().unwrap().to_str().unwrap();
        let gates = [
            "#[cfg(feature = \"dll\")]",
            "#[cfg(all(feature = \"dll\", windows))]",
        ];
        let is_gated = gates
            .iter()
            .any(|gate| module.contains(&format!("{gate}\nmod {name};")));
        assert!(
            is_gated && path.starts_with("com"),
            "{} exports without feature dll",
            path.display()
        );
    }
    assert!(found > 0, "the exports were found");
}

#[test]
fn only_the_printer_reaches_the_terminal() {
    const PRINTER: &str = "bin/cimrepo/ui/output.rs";
    // A test with a file of its own.
    const TESTS: [&str; 1] = ["gate/state/explore.rs"];
    let mut found = false;
    for (path, text) in source_files() {
        let name = path.to_str().unwrap().replace('\\', "/");
        if TESTS.contains(&&*name) {
            continue;
        }
        // The tests inside a file are no part of the command.
        let code = text
            .split("#[cfg(test)]")
            .next()
            .unwrap_or_default()
            .lines();
        let code: String = code
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n");
        for way in [
            "print!(",
            "println!(",
            "stdout()",
            "stderr()",
            ".exit()",
            "/dev/tty",
        ] {
            let is_there = code.contains(way);
            found |= is_there && name == PRINTER;
            assert!(
                !code.contains(".display()") || name.starts_with("bin/"),
                "{name}: print paths by escape_path"
            );
            let is_bar = name == "bin/cimrepo/ui/progress.rs" && way == "stderr()";
            assert!(
                !is_there || name == PRINTER || is_bar,
                "{name} has {way}: print through {PRINTER}"
            );
        }
    }
    assert!(found, "the printer was found");
}
