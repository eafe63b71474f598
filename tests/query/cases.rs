//! Queries with expected answers from a file that is not part of the project: `$CIMREPO_WQL`, else
//! `target/corpus/wql/cases.jsonl`. Its first line is a schema as MOF and as rows of `export`, each
//! other line a query over it or over a real repository, with its answer or its refusal.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use cimrepo::Error;
use cimrepo::catalog::Catalog;
use cimrepo::query::{self, NoteCode, QueryOptions, Row};
use cimrepo::store::Repository;
use cimrepo::text::wql::{self, QueryCode};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::schema;
use crate::support::{corpus, name_of};

/// The lines of the file. Without it, says so past the capture of test output.
pub fn lines(test: &str) -> Vec<Value> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpus/wql/cases.jsonl");
    let place = std::env::var_os("CIMREPO_WQL").map_or_else(default, PathBuf::from);
    let Ok(text) = fs::read_to_string(&place) else {
        let line = format!(
            "*** {test}: NOT TESTED, no queries in {}; set CIMREPO_WQL ***",
            place.display()
        );
        #[expect(
            clippy::explicit_write,
            reason = "what eprintln prints is kept back when a test passes"
        )]
        writeln!(std::io::stderr(), "{line}").unwrap();
        return Vec::new();
    };
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Codes that only the names of a repository decide, or the wish to run an event query.
const BOUND: [QueryCode; 15] = [
    QueryCode::EventQuery,
    QueryCode::UnknownProperty,
    QueryCode::ArrayProperty,
    QueryCode::ThisOutsideSchema,
    QueryCode::ThisNeedsIsa,
    QueryCode::SchemaStar,
    QueryCode::SchemaProperty,
    QueryCode::UnknownClass,
    QueryCode::UnknownNamespace,
    QueryCode::ConstantType,
    QueryCode::DatetimeForm,
    QueryCode::OperatorType,
    QueryCode::NotAnObject,
    QueryCode::PathKeys,
    QueryCode::SourceMissing,
];

#[test]
fn every_case_is_read_or_refused_where_it_says() {
    for case in lines("cases").iter().skip(1) {
        let (id, text) = (&case["id"], case["query"].as_str().unwrap());
        let code = case["expect"]["code"].as_str();
        let is_bound = |code: &str| BOUND.iter().any(|bound| bound.as_str() == code);
        let parsed = wql::parse(text);
        match code {
            Some(code) if !is_bound(code) => {
                let refused = parsed.unwrap_err();
                assert_eq!(refused.code.as_str(), code, "{id} {text}");
                if let Some(at) = case["expect"]["at"].as_u64() {
                    assert_eq!(refused.at.start as u64, at, "{id} {text}: {refused}");
                }
            }
            _ => {
                let tree = parsed.unwrap_or_else(|error| panic!("{id} {text}: {error}"));
                let printed = tree.to_string();
                assert_eq!(
                    wql::parse(&printed).unwrap(),
                    tree,
                    "{id} {text}: {printed}"
                );
            }
        }
    }
}

/// An answer in the form in which the file has it.
#[derive(Debug)]
pub struct Answer {
    pub kind: &'static str,
    /// `NAMESPACE⇥CLASS` or `NAMESPACE⇥CLASS⇥KEYTEXT` of each row, in capitals, sorted.
    pub lines: Vec<String>,
    /// The paths of the rows.
    pub paths: Vec<String>,
    pub count: Option<u64>,
    pub rows: Vec<Row>,
    pub notes: Vec<NoteCode>,
}

impl Answer {
    /// Runs a query to its end.
    pub fn of(
        catalog: &Catalog,
        namespace: &str,
        text: &str,
        options: QueryOptions,
    ) -> cimrepo::Result<Self> {
        let mut rows = query::run(catalog, namespace, text, options)?;
        let found = rows.by_ref().collect::<cimrepo::Result<Vec<Row>>>()?;
        let notes = rows.notes().iter().map(|note| note.code).collect();
        let mut answer = Answer {
            kind: "instance",
            lines: Vec::new(),
            paths: Vec::new(),
            count: None,
            rows: Vec::new(),
            notes,
        };
        for row in &found {
            match row {
                Row::Count(count) => (answer.kind, answer.count) = ("count", count.total()),
                Row::Class(row) => {
                    answer.kind = "class";
                    let name = row.class.class.name().as_str();
                    answer
                        .lines
                        .push(upper(&format!("{}\t{name}", row.namespace)));
                    answer.paths.push(format!("{}:{name}", row.namespace));
                }
                Row::Instance(row) => {
                    let class = row.stored.instance.class().name().as_str();
                    let key = row.stored.instance.key_text().unwrap();
                    answer
                        .lines
                        .push(upper(&format!("{}\t{class}\t{key}", row.namespace)));
                    answer.paths.push(row.path().unwrap());
                }
            }
        }
        answer.lines.sort();
        answer.rows = found;
        Ok(answer)
    }

    fn sha256(&self) -> String {
        let digest = Sha256::digest(self.lines.join("\n"));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn upper(text: &str) -> String {
    text.chars().map(cimrepo::cim::name::upper).collect()
}

/// The cases of a repository.
fn check_cases(cases: &[Value], repository: &str, catalog: &Catalog) {
    let mut failed = Vec::new();
    let of_it: Vec<&Value> = cases
        .iter()
        .filter(|case| case["repo"] == repository)
        .collect();
    for case in &of_it {
        if let Err(text) = check_case(case, catalog) {
            failed.push(format!("{} {}: {text}", case["id"], case["query"]));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} cases:\n{}",
        failed.len(),
        of_it.len(),
        failed.join("\n")
    );
}

fn check_case(case: &Value, catalog: &Catalog) -> Result<(), String> {
    let (namespace, text) = (
        case["namespace"].as_str().unwrap(),
        case["query"].as_str().unwrap(),
    );
    let expected = &case["expect"];
    for options in [
        QueryOptions::default(),
        QueryOptions::default().full_scan(true),
    ] {
        let answer = Answer::of(catalog, namespace, text, options);
        match (expected["code"].as_str(), answer) {
            (Some(code), Err(Error::Query(refused))) => {
                let (at, result) = (
                    refused.at.start as u64,
                    format!("0x{:08X}", refused.code.hresult().0),
                );
                let is_there = expected["at"]
                    .as_u64()
                    .is_none_or(|expected| expected == at);
                if refused.code.as_str() != code
                    || !is_there
                    || expected["hresult"] != result.as_str()
                {
                    return Err(format!("{refused}, and not {code} at {}", expected["at"]));
                }
            }
            (None, Ok(answer)) => check_answer(case, &answer)?,
            (_, other) => return Err(format!("{other:?}")),
        }
    }
    Ok(())
}

fn check_answer(case: &Value, answer: &Answer) -> Result<(), String> {
    let expected = &case["expect"];
    let differ = |what: &str, found: &dyn std::fmt::Debug| {
        Err(format!("{what} {found:?}, and not {expected}"))
    };
    if let Some(count) = expected["count"].as_u64() {
        return if answer.count == Some(count) {
            Ok(())
        } else {
            differ("count", &answer.count)
        };
    }
    // The rows of the file's own schema have no system classes; a repository has.
    let without_system = ["T146", "T151"].iter().any(|id| case["id"] == *id);
    let mut answer = Answer {
        rows: answer.rows.clone(),
        paths: answer.paths.clone(),
        lines: answer.lines.clone(),
        notes: answer.notes.clone(),
        ..*answer
    };
    if without_system {
        answer
            .lines
            .retain(|line| !line.starts_with("__SYSTEMCLASS\t"));
        answer
            .paths
            .retain(|path| !path.starts_with("__SystemClass:"));
    }
    if answer.lines.len() as u64 != expected["rows"].as_u64().unwrap() {
        return differ("rows", &answer.paths);
    }
    if answer.sha256() != expected["sha256"].as_str().unwrap() {
        return differ("digest of", &answer.lines);
    }
    if !answer.lines.is_empty() && answer.kind != expected["kind"] {
        return differ("kind", &answer.kind);
    }
    let mut notes: Vec<&str> = answer.notes.iter().map(|note| note.as_str()).collect();
    notes.retain(|note| ["dangling", "missing-class"].contains(note));
    notes.dedup();
    let wanted: Vec<&str> = expected["notes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if notes != wanted {
        return differ("notes", &notes);
    }
    check_values(expected, &answer)
}

/// The values of the columns, in the order of the paths.
fn check_values(expected: &Value, answer: &Answer) -> Result<(), String> {
    let (Some(values), Some(paths)) = (expected["values"].as_array(), expected["paths"].as_array())
    else {
        return Ok(());
    };
    let mut found = BTreeMap::new();
    for (row, path) in answer.rows.iter().zip(&answer.paths) {
        let Row::Instance(row) = row else {
            return Err(format!("{row:?} has no values"));
        };
        let cell = |cell: query::Cell| {
            (
                upper(&cell.name),
                serde_json::to_value(&cell.value).unwrap(),
            )
        };
        found.insert(
            upper(path),
            row.cells()
                .into_iter()
                .map(cell)
                .collect::<BTreeMap<_, _>>(),
        );
    }
    for (path, values) in paths.iter().zip(values) {
        let Some(cells) = found.get(&upper(path.as_str().unwrap())) else {
            return Err(format!("no {path}: {found:?}"));
        };
        let wanted: BTreeMap<_, _> = values
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (upper(name), value.clone()))
            .collect();
        if *cells != wanted {
            return Err(format!("{cells:?}, and not {wanted:?}"));
        }
    }
    Ok(())
}

#[test]
fn every_case_over_its_own_schema_has_its_answer() {
    let lines = lines("cases over their own schema");
    let Some((setup, cases)) = lines.split_first() else {
        return;
    };
    let engine = schema::repository(setup["rows"].as_array().unwrap());
    check_cases(cases, "tiny", &Catalog::new(engine.snapshot()));
}

#[test]
fn every_case_over_a_real_repository_has_its_answer() {
    let lines = lines("cases over real repositories");
    let Some((_, cases)) = lines.split_first() else {
        return;
    };
    for path in corpus("cases over real repositories") {
        let repository = Repository::open_read_only(&path).unwrap();
        check_cases(cases, &name_of(&path), &Catalog::new(repository.snapshot()));
    }
}
