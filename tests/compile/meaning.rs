//! The rules of what a text means, each by a text and what is stored.

use cimrepo::cim::{Setting, Value};
use cimrepo::compile::{Outcome, Phase};
use cimrepo::text::mof::class_text;

use super::{catalog, engine, options, run, stored};

pub(super) const HERE: &str = r"root\default";

/// A class as MOF shows it.
pub(super) fn class(
    engine: &cimrepo::store::Engine,
    name: &str,
) -> std::sync::Arc<cimrepo::cim::FullClass> {
    catalog(engine)
        .class(HERE, name)
        .unwrap()
        .unwrap()
        .class
        .clone()
}

/// Names and flavors of the own qualifiers of a property.
pub(super) fn qualifiers(class: &cimrepo::cim::FullClass, property: &str) -> Vec<(String, u8)> {
    let own = class.declaration().property(property).unwrap();
    own.qualifiers
        .iter()
        .map(|one| (one.name.as_str().to_owned(), one.flavor.bits()))
        .collect()
}

pub(super) fn pairs(expected: &[(&str, u8)]) -> Vec<(String, u8)> {
    expected
        .iter()
        .map(|(name, flavor)| ((*name).to_owned(), *flavor))
        .collect()
}

#[test]
fn qualifiers_have_their_types_flavors_and_order() {
    let engine = engine();
    stored(
        &engine,
        r#"Qualifier Units : ToSubclass;
        [Large(3221232480), Small(5), Real(1.5), Many{1, 2}, Big{1, 3221232480}, None{}, Flags{TRUE}, C('x')]
        class P {
            [key] string Id;
            [Units("s"), read : ToSubclass, fixed : ToSubclass DisableOverride, plain] uint32 T[4];
            [Description("d") : Amended ToSubclass] String S;
        };
        class C : P { [z, override("T"), read, Units("m"), fixed] uint32 T[]; [key] string Id; string S; };"#,
    );
    let parent = class(&engine, "p");
    assert_eq!(
        qualifiers(&parent, "Id"),
        pairs(&[("CIMTYPE", 3), ("key", 0x13)])
    );
    let expected = [
        ("CIMTYPE", 3),
        ("Units", 2),
        ("read", 2),
        ("fixed", 0x12),
        ("plain", 0),
        ("MAX", 0),
    ];
    assert_eq!(qualifiers(&parent, "T"), pairs(&expected));
    assert_eq!(
        qualifiers(&parent, "S"),
        pairs(&[("CIMTYPE", 3), ("Description", 2)])
    );
    assert_eq!(
        parent
            .declaration()
            .property("S")
            .unwrap()
            .qualifiers
            .text("CIMTYPE"),
        Some("String")
    );
    let value = |name: &str| {
        parent
            .declaration()
            .qualifiers
            .get(name)
            .unwrap()
            .value
            .clone()
            .unwrap()
    };
    assert_eq!(value("Large"), Value::String("3221232480".into()));
    assert_eq!(
        (value("Small"), value("Real")),
        (Value::Sint32(5), Value::Real64(1.5))
    );
    assert_eq!(value("Many"), vec![1i32, 2].into());
    assert_eq!(value("Big").cim_type().to_string(), "string[]");
    assert_eq!(value("None").cim_type().to_string(), "string[]");
    assert_eq!(
        (value("Flags"), value("C")),
        (vec![true].into(), Value::String("x".into()))
    );
    let child = class(&engine, "C");
    let expected = [
        ("CIMTYPE", 3),
        ("Units", 2),
        ("read", 0),
        ("z", 0),
        ("override", 0),
    ];
    assert_eq!(
        qualifiers(&child, "T"),
        pairs(&expected),
        "what is fixed stays inherited"
    );
    assert_eq!(qualifiers(&child, "Id"), pairs(&[("CIMTYPE", 3)]));
    assert_eq!(
        child.declaration().property("S").unwrap().default,
        Setting::Null
    );
}

#[test]
fn parameters_are_numbered_and_put_into_their_objects() {
    let engine = engine();
    stored(
        &engine,
        r#"class C { [key] uint8 K;
            [Static] UINT32 M([in, d("x")] string a, [out] uint8 b[2], [in, out, MaxLen(4)] string c, [IN(FALSE), OUT] C ref e);
            void N(); };"#,
    );
    let class = class(&engine, "C");
    let method = class.declaration().method("M").unwrap();
    let show = |class: &cimrepo::cim::Class| -> Vec<String> {
        let one = |property: &cimrepo::cim::Property| {
            let names = property
                .qualifiers
                .iter()
                .map(|one| one.name.as_str().to_owned())
                .collect::<Vec<_>>();
            let id = property
                .qualifiers
                .get("ID")
                .and_then(|id| id.value.as_ref()?.as_integer());
            format!("{} {} {id:?}", property.name.as_str(), names.join(" "))
        };
        class.properties.iter().map(one).collect()
    };
    let input = show(method.input.as_ref().unwrap());
    assert_eq!(
        input,
        [
            "a CIMTYPE in d ID Some(0)",
            "c CIMTYPE in MaxLen ID Some(2)"
        ]
    );
    let output = show(method.output.as_ref().unwrap());
    let expected = [
        "b CIMTYPE out MAX ID Some(1)",
        "c CIMTYPE out MaxLen ID Some(2)",
        "e CIMTYPE OUT ID Some(3)",
        "ReturnValue CIMTYPE out None",
    ];
    assert_eq!(output, expected);
    let nothing = class.declaration().method("N").unwrap();
    assert_eq!((&nothing.input, &nothing.output), (&None, &None));
}

#[test]
fn aliases_are_paths_and_open_keys_are_made() {
    let engine = engine();
    let report = stored(
        &engine,
        r#"#pragma namespace("\\\\.\\Root\\New\\deep")
        class P { [key] string Name; }; class R { [key] P ref Of; [key] sint8 N = 1; };
        instance of R { Of = $x; };
        instance of P as $x { Name = "a\"b\\c"; };
        instance of P as $y { }; instance of R { Of = $y; N = 2; };
        class H { [key] uint8 K; R Inner; };
        instance of H { K = 1; Inner = instance of R { N = 3; }; };"#,
    );
    assert_eq!(
        report.count(Outcome::Created),
        10,
        "{:?}",
        report.operations
    );
    let catalog = catalog(&engine);
    let instances = catalog
        .instances(r"root\new\deep", "R")
        .map(|one| one.unwrap().instance);
    let mut texts: Vec<String> = instances
        .map(|one| {
            one.get("Of")
                .unwrap()
                .unwrap()
                .as_text()
                .unwrap()
                .to_owned()
        })
        .collect();
    texts.sort();
    let expected = [
        r#"\\.\Root\New\deep:P.Name="a\"b\\c""#,
        r#"\\.\Root\New\deep:P.Name="{00000000-0000-4000-8000-000000000000}""#,
    ];
    assert_eq!(texts, expected);
    assert!(catalog.has_namespace(r"root\new").unwrap());
}

#[test]
fn deletion_and_flags_act_at_their_place() {
    let engine = engine();
    stored(
        &engine,
        "class C { [key] uint8 K; }; instance of C { K = 1; }; instance of C { K = 2; };",
    );
    let text = "#pragma deleteinstance(\"C.K=1\", FAIL)\n#pragma deleteinstance(\"C.K=9\", \
        NOFAIL)\n\
        #pragma deleteclass(\"None\", NOFAIL)\n#pragma deleteclass(\"C\", FAIL)\nclass C { [key] \
            string K; };";
    let report = stored(&engine, text);
    let outcomes: Vec<_> = report.operations.iter().map(|one| one.outcome).collect();
    let expected = [
        Outcome::Deleted,
        Outcome::Skipped,
        Outcome::Skipped,
        Outcome::Deleted,
        Outcome::Created,
    ];
    assert_eq!(outcomes, expected);
    let same = stored(&engine, "class C { [key] string K; };");
    assert_eq!(same.operations[0].outcome, Outcome::Unchanged);
}

#[test]
fn refusals_have_their_code_and_store_nothing() {
    let rows = [
        ("class C : None {};", "WBEM_E_INVALID_SUPERCLASS"),
        ("class C : C {};", "WBEM_E_CIRCULAR_REFERENCE"),
        ("class C { int32 X; };", "WBEM_E_INVALID_CLASS"),
        ("instance of None {};", "WBEM_E_INVALID_CLASS"),
        (
            "[abstract] class A { [key] uint8 K; }; instance of A { K = 1; };",
            "WBEM_E_INVALID_OPERATION",
        ),
        ("class __C {};", "WBEMMOF_E_INVALID_CLASS_DECLARATION"),
        (
            "class C { uint8 A; string a; };",
            "WBEMMOF_E_DUPLICATE_PROPERTY",
        ),
        ("class C { uint8 A = 256; };", "WBEMMOF_E_OUT_OF_RANGE"),
        ("class C { uint8 A = \"x\"; };", "WBEMMOF_E_TYPE_MISMATCH"),
        (
            "class C { uint8 A = {1, 2}; };",
            "WBEMMOF_E_UNEXPECTED_ARRAY_INIT",
        ),
        (
            "class C { uint8 A[] = {1, NULL}; };",
            "WBEMMOF_E_NULL_ARRAY_ELEM",
        ),
        ("class C { [key] real32 A; };", "WBEM_E_CANNOT_BE_KEY"),
        (
            "[singleton] class C { [key] uint8 A; };",
            "WBEM_E_CANNOT_BE_SINGLETON",
        ),
        (
            "class C { uint8 A; }; class D : C { string A; };",
            "WBEM_E_UPDATE_TYPE_MISMATCH",
        ),
        (
            "[x(1) : ToSubclass DisableOverride] class C {}; [x(2)] class D : C {};",
            "WBEM_E_OVERRIDE_NOT_ALLOWED",
        ),
        ("[x{1, \"a\"}] class C {};", "WBEMMOF_E_TYPE_MISMATCH"),
        (
            "[x($a)] class C {}; instance of C as $a {};",
            "WBEMMOF_E_UNEXPECTED_ALIAS",
        ),
        (
            "class C { [key] uint8 K; }; instance of C { K = $a; };",
            "WBEM_E_NOT_FOUND",
        ),
        (
            "class C { [key] uint8 K; }; instance of C { K = 1; Z = 2; };",
            "WBEM_E_NOT_FOUND",
        ),
        (
            "class C { [key] uint8 K; }; instance of C { K = 1; __CLASS = \"x\"; };",
            "WBEM_E_SYSTEM_PROPERTY",
        ),
        (
            "class C { [key] uint8 K; }; instance of C { K = 1; K = 2; };",
            "WBEMMOF_E_DUPLICATE_PROPERTY",
        ),
        (
            "class C { [key] uint8 K; }; instance of C { };",
            "WBEM_E_ILLEGAL_NULL",
        ),
        (
            "class C { [key] C ref K; }; instance of C { K = \"a:b:c\"; };",
            "WBEM_E_INVALID_OBJECT_PATH",
        ),
        (
            "class C { [key] C ref K; }; instance of C as $a { K = $b; }; instance of C as $b { K \
                = $a; };",
            "WBEM_E_CIRCULAR_REFERENCE",
        ),
        (
            "class C {}; class D as $a {}; class E as $A {};",
            "WBEMMOF_E_MULTIPLE_ALIASES",
        ),
        (
            "class C { void M([in, ID(0)] uint8 a, [in, ID(2)] uint8 b); };",
            "WBEM_E_NONCONSECUTIVE_PARAMETER_IDS",
        ),
        (
            "class C { void M([in] uint8 a, [in] uint8 a); };",
            "WBEMMOF_E_DUPLICATE_PROPERTY",
        ),
        (
            "#pragma namespace(\"\\\\\\\\other\\\\root\")",
            "WBEMMOF_E_INVALID_NAMESPACE_SPECIFICATION",
        ),
        ("#pragma deleteclass(\"None\", FAIL)", "WBEM_E_NOT_FOUND"),
        ("#include \"a.mof\"", "WBEMMOF_E_ERROR_INVALID_INCLUDE_FILE"),
        (
            "instance of __NAMESPACE { Name = \"a:b\"; };",
            "WBEM_E_INVALID_OBJECT",
        ),
        (
            "[NamespaceSecuritySDDL(\"x\")] instance of __NAMESPACE { Name = \"n\"; };",
            "WBEM_E_INVALID_PARAMETER",
        ),
    ];
    let mut wrong = Vec::new();
    let engine = engine();
    for (text, code) in rows {
        let whole = format!("class Before {{ }};\n{text}");
        let report = run(&engine, &whole, &options());
        let codes: Vec<_> = report
            .diagnostics
            .iter()
            .filter(|one| one.is_error())
            .map(|one| one.code.name)
            .collect();
        if codes != [code] || report.is_stored() || report.status.phase == Phase::None {
            wrong.push((text, code, codes));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(catalog(&engine).class(HERE, "Before").unwrap().is_none());
}

#[test]
fn strict_mode_refuses_what_is_doubtful() {
    let rows = [
        (
            "class C { void M(uint8 a); };",
            "WBEMMOF_E_MUST_BE_IN_OR_OUT",
        ),
        ("class C { [x(NULL)] uint8 a; };", "WBEMMOF_E_TYPE_MISMATCH"),
        (
            "class C { datetime a = \"x\"; };",
            "WBEMMOF_E_TYPE_MISMATCH",
        ),
        (
            "class A {}; [abstract] class B : A {};",
            "WBEM_E_CANNOT_BE_ABSTRACT",
        ),
        (
            "Qualifier Q : string, Scope(class); class C { [Q(\"a\")] uint8 a; };",
            "WBEMMOF_E_QUALIFIER_USED_OUTSIDE_SCOPE",
        ),
    ];
    for (text, code) in rows {
        stored(&engine(), text);
        let mut strict = options();
        strict.strict = true;
        let report = run(&engine(), text, &strict);
        let codes: Vec<_> = report
            .diagnostics
            .iter()
            .filter(|one| one.is_error())
            .map(|one| one.code.name)
            .collect();
        assert_eq!((codes, report.is_stored()), (vec![code], false), "{text}");
    }
}

#[test]
fn what_is_refused_is_passed_over_where_the_caller_says_so() {
    let engine = engine();
    let mut options = options();
    options.keep_going = true;
    let report = run(
        &engine,
        "class A {}; class B : None {}; class C : A {};",
        &options,
    );
    assert!(report.is_stored() && report.has_errors());
    assert_eq!(
        (
            report.count(Outcome::Created),
            report.count(Outcome::Skipped)
        ),
        (2, 1)
    );
    assert_eq!(
        class_text(&class(&engine, "C"), false),
        "class C : A\n{\n};\n"
    );
}
