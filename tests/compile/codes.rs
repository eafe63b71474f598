//! Every code that Windows documents for MOF, by a text that raises it in a compile.

use std::collections::BTreeSet;

use cimrepo::compile::{MofSource, NoIncludes, Outcome, Phase, compile};
use cimrepo::text::mof::code::ALL;

use super::{catalog, engine, options};

/// A text, and the end of the code's name.
type Row = (&'static str, &'static str);

/// What the reader refuses.
const READING: [Row; 41] = [
    ("[, a] class C {};", "EXPECTED_QUALIFIER_NAME"),
    ("class C { uint32 A };", "EXPECTED_SEMI"),
    ("class C uint32", "EXPECTED_OPEN_BRACE"),
    ("class C { uint32 A[] = {1 2}; };", "EXPECTED_CLOSE_BRACE"),
    ("[a b] class C {};", "EXPECTED_CLOSE_BRACKET"),
    ("[a(1 2)] class C {};", "EXPECTED_CLOSE_PAREN"),
    ("class C { uint32 A = 08; };", "ILLEGAL_CONSTANT_VALUE"),
    ("class C { = 1; };", "EXPECTED_TYPE_IDENTIFIER"),
    ("#pragma namespace \"root\"", "EXPECTED_OPEN_PAREN"),
    ("class C {}; @", "UNRECOGNIZED_TOKEN"),
    ("Qualifier Q : octets;", "UNRECOGNIZED_TYPE"),
    ("class C { uint32; };", "EXPECTED_PROPERTY_NAME"),
    ("typedef x;", "TYPEDEF_NOT_SUPPORTED"),
    ("#pragma amendment()", "INVALID_AMENDMENT_SYNTAX"),
    (
        "#pragma amendment(\"MS_409\")\n#pragma amendment(\"MS_409\")",
        "INVALID_DUPLICATE_AMENDMENT",
    ),
    ("#pragma nonsense(1)", "INVALID_PRAGMA"),
    ("#pragma namespace(5)", "INVALID_NAMESPACE_SYNTAX"),
    ("class {};", "EXPECTED_CLASS_NAME"),
    ("instance of C as $ {};", "EXPECTED_ALIAS_NAME"),
    ("instance of C as x {};", "EXPECTED_DOLLAR"),
    ("class C as $a : D as $b {};", "MULTIPLE_ALIASES"),
    ("instance C {};", "INVALID_INSTANCE_DECLARATION"),
    (
        "class C { [CIMTYPE(\"string\")] string A; };",
        "CIMTYPE_QUALIFIER",
    ),
    ("[a, A] class C {};", "DUPLICATE_QUALIFIER"),
    ("[a : Never] class C {};", "EXPECTED_FLAVOR_TYPE"),
    (
        "[a : EnableOverride DisableOverride] class C {};",
        "INCOMPATIBLE_FLAVOR_TYPES",
    ),
    (
        "[a : Restricted ToSubclass] class C {};",
        "INCOMPATIBLE_FLAVOR_TYPES2",
    ),
    ("class C { uint32 M[](); };", "NO_ARRAYS_RETURNED"),
    ("#pragma classflags(3)", "INVALID_FLAGS_SYNTAX"),
    ("#pragma classflags(\"never\")", "INVALID_FLAGS_SYNTAX"),
    ("#pragma instanceflags(64)", "INVALID_FLAGS_SYNTAX"),
    ("class C { uint32 A;", "EXPECTED_BRACE_OR_BAD_TYPE"),
    (
        "[a(value of X)] class C {};",
        "UNSUPPORTED_CIMV22_QUAL_VALUE",
    ),
    (
        "Qualifier Q : enumeration E;",
        "UNSUPPORTED_CIMV22_DATA_TYPE",
    ),
    (
        "#pragma deleteinstance(\"C=1\")",
        "INVALID_DELETEINSTANCE_SYNTAX",
    ),
    ("#pragma deleteclass(\"C\")", "INVALID_DELETECLASS_SYNTAX"),
    (
        "Qualifier Q : string, Scope(any), Scope(any);",
        "INVALID_QUALIFIER_SYNTAX",
    ),
    ("#include 5", "ERROR_INVALID_INCLUDE_FILE"),
    ("#include \"none.mof\"", "ERROR_INVALID_INCLUDE_FILE"),
    ("class C { real64 A = 1e999; };", "OUT_OF_RANGE"),
    ("FOMB\u{1}\0\0\0", "INVALID_FILE"),
];

/// What names and aliases break.
const NAMES: [Row; 5] = [
    ("#pragma namespace(\"a:b\")", "INVALID_NAMESPACE_SYNTAX"),
    (
        "#pragma namespace(\"//other/root\")",
        "INVALID_NAMESPACE_SPECIFICATION",
    ),
    ("class C as $a {}; class D as $A {};", "MULTIPLE_ALIASES"),
    (
        "class C { [key] uint8 K; C ref R; object O; }; instance of C as $a { K = 1; };\n\
         instance of C { K = 2; O = instance of C { R = $a; }; };",
        "ALIASES_IN_EMBEDDED",
    ),
    (
        "class C { [key] uint8 K; }; instance of C { K = $none; };",
        "WBEM_E_NOT_FOUND",
    ),
];

/// What is met while objects are stored.
const STORING: [Row; 11] = [
    ("class __C {};", "INVALID_CLASS_DECLARATION"),
    ("class C { uint8 A; string a; };", "DUPLICATE_PROPERTY"),
    ("class C { void M(); void m(); };", "DUPLICATE_PROPERTY"),
    ("class C { uint8 A = 256; };", "OUT_OF_RANGE"),
    ("class C { uint8 A = \"x\"; };", "TYPE_MISMATCH"),
    ("class C { uint8 A = {1, 2}; };", "UNEXPECTED_ARRAY_INIT"),
    ("class C { uint8 A[] = {1, NULL}; };", "NULL_ARRAY_ELEM"),
    ("class C as $a { string A = $a; };", "UNEXPECTED_ALIAS"),
    ("[x{1, \"a\"}] class C {};", "TYPE_MISMATCH"),
    ("#pragma deleteclass(\"None\", FAIL)", "WBEM_E_NOT_FOUND"),
    (
        "class C { [key] uint8 K; }; #pragma\n#pragma deleteinstance(\"a:b:c\", FAIL)",
        "UNRECOGNIZED_TOKEN",
    ),
];

/// What strict mode alone refuses.
const STRICT: [Row; 2] = [
    ("class C { void M(uint8 a); };", "MUST_BE_IN_OR_OUT"),
    (
        "Qualifier Q : string, Scope(class); class C { [Q(\"a\")] uint8 a; };",
        "QUALIFIER_USED_OUTSIDE_SCOPE",
    ),
];

/// The classes of `root\default` in a new repository.
fn of_a_new_one() -> usize {
    catalog(&engine()).classes(r"root\default").count()
}

/// The first error of a compile, with its phase; nothing was stored.
fn first_error(text: &str, strict: bool) -> (String, Phase) {
    let (engine, mut options) = (engine(), options());
    options.strict = strict;
    let sources = [MofSource::new("test.mof", text)];
    let report = compile(&engine, &sources, &mut NoIncludes, &options).unwrap();
    let error = report.diagnostics.iter().find(|one| one.is_error());
    let error = error.unwrap_or_else(|| panic!("{text}: nothing is refused"));
    assert!(!report.is_stored(), "{text}");
    assert!(error.place.is_some(), "{text}: no place");
    assert_eq!(report.status.code, Some(error.code.value), "{text}");
    let classes = catalog(&engine).classes(r"root\default").count();
    assert_eq!(classes, of_a_new_one(), "{text}");
    (error.code.name.to_owned(), report.status.phase)
}

fn check(rows: &[Row], phase: Phase, strict: bool, raised: &mut BTreeSet<String>) {
    for (text, expected) in rows {
        let (name, found) = first_error(text, strict);
        let is_store = expected.starts_with("WBEM_E_");
        let whole = match is_store {
            true => (*expected).to_owned(),
            false => format!("WBEMMOF_E_{expected}"),
        };
        assert_eq!(name, whole, "{text}");
        if *expected != "UNRECOGNIZED_TOKEN" {
            assert_eq!(found, phase, "{text}");
        }
        raised.insert(name);
    }
}

#[test]
fn every_code_of_mof_is_raised() {
    let mut raised = BTreeSet::new();
    check(&READING, Phase::Parse, false, &mut raised);
    check(&NAMES, Phase::Argument, false, &mut raised);
    check(&STORING, Phase::Store, false, &mut raised);
    check(&STRICT, Phase::Store, true, &mut raised);
    let never = "WBEMMOF_E_ERROR_CREATING_TEMP_FILE";
    let missing: Vec<&str> = ALL
        .iter()
        .map(|code| code.name)
        .filter(|name| *name != never && !raised.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_failure_names_the_object_and_its_place() {
    let text = "class A { };\nclass B { };\nclass C :\n  None { };\nclass D { };\n";
    let report = super::run(&engine(), text, &options());
    let status = report.status;
    assert_eq!((status.phase, status.object), (Phase::Store, Some(3)));
    let location = report.sources.locate(status.place.unwrap()).unwrap();
    assert_eq!((location.start.line, location.start.column), (4, 3));
    assert_eq!(report.count(Outcome::Created), 2);
    assert!(!report.is_stored());
}
