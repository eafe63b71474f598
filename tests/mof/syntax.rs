//! One text for each code that reading can raise, and what is read without one.

use cimrepo::text::diagnostic::{Diagnostic, Severity, SourceId, Sources};
use cimrepo::text::mof::tree::{DirectiveKind, Feature, Initializer, Item, TypeKind, ValueKind};
use cimrepo::text::mof::{ParseOptions, parse};

fn diagnostics(text: &str, strict: bool) -> Vec<Diagnostic> {
    parse(text, ParseOptions::of(SourceId(0)).strict(strict)).diagnostics
}

/// The name of each error without its prefix, and its line and column.
fn errors(text: &str, strict: bool) -> Vec<(String, u32, u32)> {
    let mut sources = Sources::new();
    sources.add("test.mof", text);
    let errors = diagnostics(text, strict)
        .into_iter()
        .filter(|diagnostic| diagnostic.is_error());
    let place = |diagnostic: Diagnostic| {
        let start = sources.locate(diagnostic.place.unwrap()).unwrap().start;
        let name = diagnostic.code.name.strip_prefix("WBEMMOF_E_").unwrap();
        (name.to_owned(), start.line, start.column)
    };
    errors.map(place).collect()
}

#[test]
fn every_code_of_reading_is_raised_at_its_place() {
    let rows = [
        ("[, a] class C {};", "EXPECTED_QUALIFIER_NAME", 1, 2),
        ("class C { uint32 A\n uint32 B; };", "EXPECTED_SEMI", 1, 19),
        ("class C {} class D {};", "EXPECTED_SEMI", 1, 11),
        ("class C uint32", "EXPECTED_OPEN_BRACE", 1, 9),
        (
            "class C { uint32 A;\nclass D {};",
            "EXPECTED_CLOSE_BRACE",
            2,
            1,
        ),
        (
            "class C { uint32 A[] = {1 2}; };",
            "EXPECTED_CLOSE_BRACE",
            1,
            27,
        ),
        (
            "class C { uint32 A[] = {{1}}; };",
            "EXPECTED_CLOSE_BRACE",
            1,
            25,
        ),
        ("[a b] class C {};", "EXPECTED_CLOSE_BRACKET", 1, 4),
        ("class C { uint32 A[x]; };", "EXPECTED_CLOSE_BRACKET", 1, 20),
        ("[a(1 2)] class C {};", "EXPECTED_CLOSE_PAREN", 1, 6),
        (
            "class C { uint32 A = 08; };",
            "ILLEGAL_CONSTANT_VALUE",
            1,
            22,
        ),
        (
            "class C { uint32 A = 12ab; };",
            "ILLEGAL_CONSTANT_VALUE",
            1,
            22,
        ),
        (
            "class C { uint32 A = x; };",
            "ILLEGAL_CONSTANT_VALUE",
            1,
            22,
        ),
        (
            "class C { string A = \"\\x0\"; };",
            "ILLEGAL_CONSTANT_VALUE",
            1,
            23,
        ),
        (
            "class C { char16 A = 'ab'; };",
            "ILLEGAL_CONSTANT_VALUE",
            1,
            22,
        ),
        (
            "class C { string A = \"abc; };\n",
            "ILLEGAL_CONSTANT_VALUE",
            1,
            22,
        ),
        ("class C { = 1; };", "EXPECTED_TYPE_IDENTIFIER", 1, 11),
        ("class C { void A; };", "EXPECTED_TYPE_IDENTIFIER", 1, 16),
        ("#pragma namespace \"root\"", "EXPECTED_OPEN_PAREN", 1, 19),
        ("class C {}; @", "UNRECOGNIZED_TOKEN", 1, 13),
        ("/* never ends", "UNRECOGNIZED_TOKEN", 1, 1),
        (
            "class C {}; #pragma autorecover",
            "UNRECOGNIZED_TOKEN",
            1,
            13,
        ),
        ("#define X\n#ifdef Y\nclass (", "UNRECOGNIZED_TOKEN", 1, 1),
        ("// \0\nclass C {};", "UNRECOGNIZED_TOKEN", 1, 4),
        ("Qualifier Q : octets;", "UNRECOGNIZED_TYPE", 1, 15),
        ("class C { uint32; };", "EXPECTED_PROPERTY_NAME", 1, 17),
        ("instance of C { = 1; };", "EXPECTED_PROPERTY_NAME", 1, 17),
        (
            "enumeration E : uint8 { A };",
            "TYPEDEF_NOT_SUPPORTED",
            1,
            1,
        ),
        ("typedef x;", "TYPEDEF_NOT_SUPPORTED", 1, 1),
        (
            "class C { structure S { uint8 A; }; };",
            "TYPEDEF_NOT_SUPPORTED",
            1,
            11,
        ),
        (
            "#pragma amendment(\"409\")",
            "INVALID_AMENDMENT_SYNTAX",
            1,
            19,
        ),
        ("#pragma amendment()", "INVALID_AMENDMENT_SYNTAX", 1, 19),
        (
            "#pragma amendment(\"MS_409\")\n#pragma amendment(\"MS_409\")",
            "INVALID_DUPLICATE_AMENDMENT",
            2,
            9,
        ),
        ("#pragma nonsense(1)", "INVALID_PRAGMA", 1, 9),
        ("#pragma namespace(5)", "INVALID_NAMESPACE_SYNTAX", 1, 19),
        ("class {};", "EXPECTED_CLASS_NAME", 1, 7),
        ("class C : {};", "EXPECTED_CLASS_NAME", 1, 11),
        ("instance of C as $ {};", "EXPECTED_ALIAS_NAME", 1, 18),
        ("instance of C as x {};", "EXPECTED_DOLLAR", 1, 18),
        ("class C as $a : D as $b {};", "MULTIPLE_ALIASES", 1, 22),
        ("instance C {};", "INVALID_INSTANCE_DECLARATION", 1, 10),
        ("instance of {};", "INVALID_INSTANCE_DECLARATION", 1, 13),
        (
            "class C { [CIMTYPE(\"string\")] string A; };",
            "CIMTYPE_QUALIFIER",
            1,
            12,
        ),
        (
            "class C { [Syntax(\"sint32\")] string A; };",
            "CIMTYPE_QUALIFIER",
            1,
            12,
        ),
        ("[a, A] class C {};", "DUPLICATE_QUALIFIER", 1, 5),
        ("[a : Never] class C {};", "EXPECTED_FLAVOR_TYPE", 1, 6),
        (
            "[a : EnableOverride DisableOverride] class C {};",
            "INCOMPATIBLE_FLAVOR_TYPES",
            1,
            6,
        ),
        (
            "[a : Restricted ToSubclass] class C {};",
            "INCOMPATIBLE_FLAVOR_TYPES2",
            1,
            6,
        ),
        ("class C { uint32 M[](); };", "NO_ARRAYS_RETURNED", 1, 19),
        ("class C { uint32[] M(); };", "NO_ARRAYS_RETURNED", 1, 17),
        ("#pragma classflags(3)", "INVALID_FLAGS_SYNTAX", 1, 20),
        (
            "#pragma classflags(\"never\")",
            "INVALID_FLAGS_SYNTAX",
            1,
            20,
        ),
        ("#pragma instanceflags(64)", "INVALID_FLAGS_SYNTAX", 1, 23),
        ("class C { uint32 A;", "EXPECTED_BRACE_OR_BAD_TYPE", 1, 20),
        (
            "[a(value of X)] class C {};",
            "UNSUPPORTED_CIMV22_QUAL_VALUE",
            1,
            4,
        ),
        (
            "[a(\"x\" + \"y\")] class C {};",
            "UNSUPPORTED_CIMV22_QUAL_VALUE",
            1,
            8,
        ),
        (
            "Qualifier Q : enumeration E;",
            "UNSUPPORTED_CIMV22_DATA_TYPE",
            1,
            15,
        ),
        (
            "#pragma deleteinstance(\"C=1\")",
            "INVALID_DELETEINSTANCE_SYNTAX",
            1,
            29,
        ),
        (
            "#pragma deleteclass(\"C\")",
            "INVALID_DELETECLASS_SYNTAX",
            1,
            24,
        ),
        (
            "#pragma deleteclass(\"C\", MAYBE)",
            "INVALID_DELETECLASS_SYNTAX",
            1,
            26,
        ),
        (
            "Qualifier Q : string, Scope(any), Scope(any);",
            "INVALID_QUALIFIER_SYNTAX",
            1,
            35,
        ),
        ("#include 5", "ERROR_INVALID_INCLUDE_FILE", 1, 10),
        ("class C { real64 A = 1e999; };", "OUT_OF_RANGE", 1, 22),
    ];
    let mut wrong = Vec::new();
    for (text, code, line, column) in rows {
        let found = errors(text, false);
        if found != [(code.to_owned(), line, column)] {
            wrong.push((text, code, line, column, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn several_errors_of_one_text_are_found() {
    let text = "class A {\n  uint32;\n  string B;\n  = ;\n};\nclass B { uint8 X = ; };\nclass \
        {};\ninstance of C { A = 1 };\n";
    let names: Vec<_> = errors(text, false)
        .into_iter()
        .map(|(name, line, _)| (name, line))
        .collect();
    let expected = [
        ("EXPECTED_PROPERTY_NAME", 2),
        ("EXPECTED_TYPE_IDENTIFIER", 4),
        ("ILLEGAL_CONSTANT_VALUE", 6),
        ("EXPECTED_CLASS_NAME", 7),
        ("EXPECTED_SEMI", 8),
    ];
    assert_eq!(names, expected.map(|(name, line)| (name.to_owned(), line)));
    let parsed = parse(text, ParseOptions::default());
    assert_eq!(parsed.file.items.len(), 3, "what is whole is kept");
}

#[test]
fn what_is_doubtful_is_refused_in_strict_mode_alone() {
    let rows = [
        ("[a,] class C {};", "EXPECTED_QUALIFIER_NAME"),
        ("class C { uint8 A[] = {1,}; };", "EXPECTED_CLOSE_BRACE"),
        (
            "class C { string A = \"a\\qb\"; };",
            "ILLEGAL_CONSTANT_VALUE",
        ),
        (
            "class C { string A = \"\\xD800\"; };",
            "ILLEGAL_CONSTANT_VALUE",
        ),
    ];
    for (text, code) in rows {
        assert_eq!(errors(text, false), [], "{text}");
        let names: Vec<_> = errors(text, true)
            .into_iter()
            .map(|(name, _, _)| name)
            .collect();
        assert_eq!(names, [code], "{text}");
    }
    let warned = [
        "class C {};;",
        "class C {}",
        "class C { string A = \"a\nb\"; };",
        "class\u{a0}C {};",
    ];
    for text in warned {
        let all = diagnostics(text, true);
        assert_eq!(all.len(), 1, "{text}: {all:?}");
        assert_eq!(all[0].severity, Severity::Warning, "{text}");
    }
}

#[test]
fn hostile_texts_end_soon() {
    let braces = "{".repeat(1_000_000);
    assert_eq!(errors(&braces, false).len(), 1);
    let objects = "instance of C { A = ".repeat(100_000);
    assert!(!errors(&objects, false).is_empty());
    let quotes = "class C { string A = \"\\\"".to_owned() + &"\\\"\n".repeat(300_000);
    assert_eq!(errors(&quotes, false).len(), 1);
    let chars = "class C { char16 A = '".to_owned() + &"\\'".repeat(300_000);
    assert!(!errors(&chars, false).is_empty());
    let comments = "/* ".repeat(500_000);
    assert_eq!(errors(&comments, false).len(), 1);
    let many = "class {};\n".repeat(10_000);
    assert_eq!(errors(&many, false).len(), 50);
    let qualifiers = "[".to_owned() + &"a,".repeat(100_000) + "a] class C {};";
    assert_eq!(errors(&qualifiers, false).len(), 50);
}

#[test]
fn all_forms_are_read() {
    let text = r#"
        #pragma namespace("\\\\.\\root\\x")
        # PRAGMA ClassFlags("updateonly, forceupdate")
        #pragma classflags ("updateonly", "safeupdate")
        #pragma instanceflags(2)
        #pragma deleteclass("C", nofail)
        #pragma deleteinstance("C.K=\"v\"", "FAIL")
        #pragma AutoRecover
        #include "%windir%\sub\"
        #pragma include ("a.mof")
        #pragma locale("en_US")
        Qualifier Key : ToInstance DisableOverride;
        Qualifier Deprecated : string[], Scope(class, property), Flavor(Restricted);
        Qualifier Max : uint32 = NULL, Scope(any), DisableOverride;
        [Association, Description("a" "b" /* c */ "c"): ToSubclass Amended]
        [Locale(0x409)]
        class C : P as $c {
            [key] string Instance;
            C REF ref;
            object ref Any;
            Other Embedded;
            uint8 Data[16] = { 0x1, 02, 101b, 'c' };
            datetime Class = "20000101000000.000000+000";
            [Static] uint32 M([in] string A, [out] object B[]);
            void N(void);
        };
        instance of C as $x { Instance = "a"; Class; Embedded = instance of Other { N = -1; }; Any = $x; };
    "#;
    let parsed = parse(text, ParseOptions::default());
    assert_eq!(parsed.diagnostics, [], "{:?}", parsed.diagnostics);
    let include = |item: &Item<'_>| match item {
        Item::Directive(directive) => match &directive.kind {
            DirectiveKind::Include(name) => Some(name.value.to_string()),
            _ => None,
        },
        _ => None,
    };
    let includes: Vec<_> = parsed.file.items.iter().filter_map(include).collect();
    assert_eq!(includes, ["%windir%\\sub\\", "a.mof"]);
    let class = parsed.file.items.iter().find_map(|item| match item {
        Item::Class(class) => Some(class),
        _ => None,
    });
    let class = class.unwrap();
    assert_eq!((class.qualifiers.len(), class.features.len()), (3, 8));
    let kinds = class.features.iter().filter_map(|feature| match feature {
        Feature::Property(property) => Some((
            &*property.name.text,
            property.kind.kind == TypeKind::Reference,
        )),
        Feature::Method(_) => None,
    });
    let expected = [
        ("Instance", false),
        ("ref", true),
        ("Any", true),
        ("Embedded", false),
        ("Data", false),
        ("Class", false),
    ];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    match &class.qualifiers[1].value {
        Some(Initializer::One(value)) => assert_eq!(value.kind, ValueKind::Text("abc".into())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_of_preprocessed_texts_are_those_of_their_source() {
    let text = "class A {};\n#line 7 \"c:\\\\src\\\\a.mof\"\nclass {};\n";
    let parsed = parse(text, ParseOptions::default());
    let mut sources = Sources::new();
    let source = sources.add("stored.mof", text);
    sources.renumber(source, parsed.renumbered);
    let rendered = sources.render(&parsed.diagnostics[0]);
    assert!(
        rendered.starts_with("c:\\src\\a.mof:7:7: error: expected the name of a class"),
        "{rendered}"
    );
}
