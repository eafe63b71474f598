//! The rules that were counted against what Windows stored, each with a text and what is stored of
//! it.

use cimrepo::cim::{Array, Setting, Value};
use cimrepo::compile::{CompileOptions, CompileReport, Outcome};
use cimrepo::store::Engine;

use super::meaning::{HERE, class, pairs, qualifiers};
use super::{catalog, engine, options, run, stored};

/// The codes of the errors of a report.
fn errors(report: &CompileReport) -> Vec<&'static str> {
    let all = report.diagnostics.iter();
    all.filter(|one| one.is_error())
        .map(|one| one.code.name)
        .collect()
}

/// The codes of its warnings.
fn warnings(report: &CompileReport) -> Vec<&'static str> {
    let all = report.diagnostics.iter();
    all.filter(|one| !one.is_error())
        .map(|one| one.code.name)
        .collect()
}

fn instance(engine: &Engine, namespace: &str, path: &str) -> cimrepo::cim::Instance {
    let found = catalog(engine).instance(namespace, &path.parse().unwrap());
    found.unwrap().unwrap().instance
}

/// A value that an instance has.
fn value(instance: &cimrepo::cim::Instance, name: &str) -> Value {
    instance.get(name).unwrap().unwrap().clone()
}

/// A text that an instance has.
fn text_of(instance: &cimrepo::cim::Instance, name: &str) -> String {
    value(instance, name).as_text().unwrap().to_owned()
}

#[test]
fn a_relative_namespace_goes_on_from_the_current_one() {
    let engine = engine();
    let text = r#"#pragma namespace("ms_409")
        class A { };
        #pragma namespace("\\\\.\\Root\\sub\\deeper")
        #pragma namespace("ms_409")
        class B { };
        #pragma namespace("//localhost/root/Slash")
        class C { };"#;
    let report = stored(&engine, text);
    let catalog = catalog(&engine);
    for (namespace, class) in [
        (r"root\default\ms_409", "A"),
        (r"root\sub\deeper\ms_409", "B"),
        (r"root\slash", "C"),
    ] {
        assert!(
            catalog.class(namespace, class).unwrap().is_some(),
            "{class}"
        );
    }
    // Those above are made too, and each is spelled as the pragma has it.
    let made = report.operations.iter();
    let made: Vec<&str> = made
        .filter(|one| one.kind == cimrepo::compile::OperationKind::Namespace)
        .map(|one| one.name.as_str())
        .collect();
    let expected = [
        r"root\default\ms_409",
        r"Root\sub",
        r"Root\sub\deeper",
        r"Root\sub\deeper\ms_409",
        r"root\Slash",
    ];
    assert_eq!(made, expected);
    let spelled = instance(&engine, "ROOT", r#"__NAMESPACE.Name="slash""#);
    assert_eq!(text_of(&spelled, "Name"), "Slash");

    let mut strict = options();
    strict.require_namespaces = true;
    let report = run(&engine, "#pragma namespace(\"none\") class D { };", &strict);
    assert_eq!(errors(&report), ["WBEM_E_INVALID_NAMESPACE"]);
}

#[test]
fn a_namespace_is_made_by_its_instance_with_its_own_two() {
    let engine = engine();
    let text = r#"[Locale(1033), NamespaceSecuritySDDL("O:BAG:BAD:P(A;CI;CCDC;;;SY)")]
        instance of __NAMESPACE { Name = "Shop"; };
        #pragma namespace("Shop")
        class C { [key] uint8 K; };
        [RequiresEncryption] instance of __SystemSecurity { };
        #pragma namespace("\\\\.\\root\\default")
        instance of __NAMESPACE { Name = "SHOP"; };"#;
    let report = stored(&engine, text);
    assert_eq!(report.operations.last().unwrap().outcome, Outcome::Updated);
    let named = instance(&engine, HERE, r#"__NAMESPACE.Name="shop""#);
    assert_eq!(
        named.qualifiers.iter().count(),
        0,
        "it was rewritten as a whole"
    );
    let shop = r"root\default\shop";
    assert!(catalog(&engine).class(shop, "C").unwrap().is_some());
    let security = instance(&engine, shop, "__SystemSecurity=@");
    let found: Vec<_> = security
        .qualifiers
        .iter()
        .map(|one| (one.name.as_str(), one.flavor.bits(), one.is_true()))
        .collect();
    assert_eq!(found, [("RequiresEncryption", 0, true)]);
    let descriptor = catalog(&engine).security_of(shop).unwrap().descriptor;
    let text = cimrepo::security::sddl::print(&descriptor).unwrap();
    assert_eq!(text, "O:BAG:BAD:P(A;CI;CCDC;;;SY)");
}

#[test]
fn what_makes_a_descriptor_is_carried_out_and_not_stored() {
    let engine = engine();
    let text = r#"[Locale(1033), NamespaceSecuritySDDL("D:(A;CI;CC;;;BU)")]
        instance of __NAMESPACE { Name = "Open"; };
        instance of __NAMESPACE { Name = "Plain"; };"#;
    stored(&engine, text);
    let open = instance(&engine, HERE, r#"__NAMESPACE.Name="Open""#);
    let names: Vec<&str> = open
        .qualifiers
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(names, ["Locale"]);

    // Its own entries, then those that the parent hands down, marked as inherited.
    let print = |namespace: &str| {
        let found = catalog(&engine).security_of(namespace).unwrap().descriptor;
        cimrepo::security::sddl::print(&found).unwrap()
    };
    let plain = print(r"root\default\plain");
    let inherited = plain.strip_prefix("O:BAG:BAD:").unwrap();
    assert!(inherited.starts_with("(A;CIID;"), "{inherited}");
    assert_eq!(
        print(r"root\default\open"),
        format!("O:BAG:BAD:(A;CI;CC;;;BU){inherited}")
    );
    let lower =
        "[NamespaceSecuritySDDL(\"d:(a;ci;cc;;;bu)\")] instance of __NAMESPACE { Name = \"x\"; };";
    assert_eq!(
        errors(&run(&engine, lower, &options())),
        ["WBEM_E_INVALID_PARAMETER"]
    );
}

#[test]
fn names_of_the_superclass_and_of_what_it_declares_stay_as_they_are() {
    let engine = engine();
    let text = r#"class Parent { [key] string Name; uint32 Size; void Do([in] uint8 a); };
        class CHILD : PARENT { string NAME; uint8 More; void DO([in] uint8 a); };
        class Grand : child { uint32 SIZE; uint8 Last; };"#;
    stored(&engine, text);
    let child = class(&engine, "child");
    let own = child.declaration();
    assert_eq!(own.name.as_str(), "CHILD");
    assert_eq!(own.superclass.as_ref().unwrap().as_str(), "Parent");
    let names: Vec<&str> = own.properties.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["Name", "More"]);
    assert_eq!(own.methods[0].name.as_str(), "Do");

    // An override is stored though it adds nothing; new properties come after inherited ones.
    let grand = class(&engine, "Grand");
    let placed: Vec<_> = grand
        .properties()
        .iter()
        .map(|one| (one.order, one.name.as_str(), one.origin.as_str()))
        .collect();
    let expected = [
        (0, "Name", "Parent"),
        (1, "Size", "Parent"),
        (2, "More", "CHILD"),
        (3, "Last", "Grand"),
    ];
    assert_eq!(placed, expected);
    assert_eq!(qualifiers(&grand, "Size"), pairs(&[("CIMTYPE", 3)]));
    assert_eq!(
        grand.declaration().properties[0].qualifiers.text("CIMTYPE"),
        Some("uint32")
    );
}

#[test]
fn flavors_are_implied_by_name_written_or_declared() {
    let engine = engine();
    let text = r#"Qualifier Declared : ToInstance ToSubclass;
        Qualifier KEY : ToInstance;
        Qualifier CIMTYPE : ToInstance;
        [dynamic : ToInstance ToSubclass, Declared, Other, Amended("a") : Amended]
        class A { [KEY : DisableOverride, Declared : EnableOverride] string Id;
            [declared : DisableOverride] uint8 B;
            void M([in : ToSubclass, ID(0)] uint8 a, [OUT : ToInstance, ID(1) : ToSubclass] uint8 b,
                [in, out] uint8 c);
        };
        [dynamic : ToInstance ToSubclass DisableOverride] class B { };
        [dynamic] class C { }; [singleton : ToSubclass] class D { };"#;
    stored(&engine, text);
    let flavors = |name: &str| -> Vec<u8> {
        let class = class(&engine, name);
        let own = class.declaration().qualifiers.iter();
        own.map(|one| one.flavor.bits()).collect()
    };
    assert_eq!(flavors("A"), [0x03, 0x03, 0, 0]);
    assert_eq!((flavors("B"), flavors("C")), (vec![0x13], vec![0x01]));
    assert_eq!(flavors("D"), [0x13]);
    let first = class(&engine, "A");
    assert_eq!(
        qualifiers(&first, "Id"),
        pairs(&[("CIMTYPE", 3), ("key", 0x13), ("Declared", 0)])
    );
    assert_eq!(
        qualifiers(&first, "B"),
        pairs(&[("CIMTYPE", 3), ("declared", 0x10)])
    );
    let method = first.declaration().method("M").unwrap();
    let of = |name: &str, signature: &cimrepo::cim::Class| {
        let parameter = signature.property(name).unwrap().qualifiers.iter();
        let parts = parameter.map(|one| format!("{} {:02x}", one.name.as_str(), one.flavor.bits()));
        parts.collect::<Vec<_>>().join(", ")
    };
    let (input, output) = (
        method.input.as_ref().unwrap(),
        method.output.as_ref().unwrap(),
    );
    // A written number has what is written; a generated one stands last, with 11.
    assert_eq!(of("a", input), "CIMTYPE 03, in 00, ID 00");
    assert_eq!(of("b", output), "CIMTYPE 03, OUT 00, ID 02");
    assert_eq!(of("c", input), "CIMTYPE 03, in 00, ID 11");
    assert_eq!(of("c", output), "CIMTYPE 03, out 00, ID 11");
}

#[test]
fn what_cannot_be_overridden_stays_inherited_and_else_all_is_stored() {
    let engine = engine();
    let text = r#"[fixed(1) : ToSubclass DisableOverride, same("s") : ToSubclass]
        class A { [key, read : ToSubclass] string Name; [fixed("f") : ToSubclass DisableOverride]
            void M([in] uint8 a); };
        [z, same("s"), fixed(1)] class B : A {
            [override("Name"), key, read] string Name;
            [fixed("f"), more] void M([in] uint8 a); };
        class C : B { [read] string Name; };"#;
    stored(&engine, text);
    let names = |set: &cimrepo::cim::QualifierSet| -> Vec<String> {
        set.iter().map(|one| one.name.as_str().to_owned()).collect()
    };
    let second = class(&engine, "B");
    assert_eq!(names(&second.declaration().qualifiers), ["same", "z"]);
    assert_eq!(
        names(&second.declaration().properties[0].qualifiers),
        ["CIMTYPE", "read", "override"],
        "key is fixed and stays inherited"
    );
    assert_eq!(names(&second.declaration().methods[0].qualifiers), ["more"]);
    // What was written again without its flavor goes no further down: nothing comes before others.
    let third = class(&engine, "C");
    assert_eq!(
        names(&third.declaration().properties[0].qualifiers),
        ["CIMTYPE", "read"]
    );

    let refused = "[fixed(2)] class D : A { };";
    let report = run(&engine, refused, &options());
    assert_eq!(errors(&report), ["WBEM_E_OVERRIDE_NOT_ALLOWED"]);
    let diagnostic = report.diagnostics.first().unwrap();
    let place = diagnostic.place.unwrap();
    assert_eq!(
        refused.get(place.span.start as usize..).unwrap().get(..5),
        Some("fixed")
    );
    assert!(diagnostic.help.as_ref().unwrap().contains("class A"));
}

#[test]
fn types_are_spelled_as_they_are_written() {
    let engine = engine();
    let text = r#"class X { [key] String K; };
        class T { [key] UINT16 A; Boolean B[]; object C; X D; x E[3]; X ref F; OBJECT REF G;
            T H; DateTime I; Char16 J[2]; };"#;
    stored(&engine, text);
    let class = class(&engine, "T");
    let texts: Vec<&str> = class
        .declaration()
        .properties
        .iter()
        .map(|one| one.qualifiers.text("CIMTYPE").unwrap())
        .collect();
    let expected = [
        "UINT16", "Boolean", "object", "object:X", "object:x", "ref:X", "ref", "object:T",
        "DateTime", "Char16",
    ];
    assert_eq!(texts, expected);
    assert_eq!(
        qualifiers(&class, "E"),
        pairs(&[("CIMTYPE", 3), ("MAX", 0)])
    );
    assert_eq!(qualifiers(&class, "B"), pairs(&[("CIMTYPE", 3)]));
    let report = stored(&engine, "class W { [Max(9)] uint8 A[4]; };");
    assert_eq!(warnings(&report), ["WBEMMOF_E_ILLEGAL_CONSTANT_VALUE"]);
    let own = super::meaning::class(&engine, "W");
    assert_eq!(qualifiers(&own, "A"), pairs(&[("CIMTYPE", 3), ("Max", 0)]));
}

#[test]
fn numbers_of_parameters_are_over_all_and_each_once() {
    let engine = engine();
    let rows = [
        (
            "[in, ID(0)] uint8 a, [in, ID(0)] uint8 b",
            "WBEM_E_INVALID_PARAMETER_ID",
        ),
        ("[in, ID(1)] uint8 a", "WBEM_E_NONCONSECUTIVE_PARAMETER_IDS"),
        (
            "[in] uint8 a, [out, x] uint8 a",
            "WBEMMOF_E_DUPLICATE_PROPERTY",
        ),
        (
            "[in] uint8 a, [out] uint16 a",
            "WBEMMOF_E_DUPLICATE_PROPERTY",
        ),
    ];
    for (parameters, code) in rows {
        let text = format!("class M {{ void Do({parameters}); }};");
        assert_eq!(
            errors(&run(&engine, &text, &options())),
            [code],
            "{parameters}"
        );
    }
    // One parameter, declared once for each direction, and numbers that fill the gaps.
    let text = "class M { uint32 Do([out, d(1)] uint8 x, [in, d(1)] uint8 x,\n\
        [in, ID(0)] string y, [in] uint8 z); };";
    stored(&engine, text);
    let class = class(&engine, "M");
    let method = class.declaration().method("Do").unwrap();
    let ids = |signature: &cimrepo::cim::Class| -> Vec<(String, Option<i128>)> {
        let all = signature.properties.iter();
        all.map(|one| {
            let id = one
                .qualifiers
                .get("ID")
                .and_then(|id| id.value.as_ref()?.as_integer());
            (one.name.as_str().to_owned(), id)
        })
        .collect()
    };
    let found = |expected: &[(&str, Option<i128>)]| -> Vec<(String, Option<i128>)> {
        expected
            .iter()
            .map(|(name, id)| ((*name).to_owned(), *id))
            .collect()
    };
    assert_eq!(
        ids(method.input.as_ref().unwrap()),
        found(&[("x", Some(1)), ("y", Some(0)), ("z", Some(2))])
    );
    assert_eq!(
        ids(method.output.as_ref().unwrap()),
        found(&[("x", Some(1)), ("ReturnValue", None)])
    );
}

#[test]
fn parameters_without_direction_are_in() {
    let engine = engine();
    let report = stored(
        &engine,
        "class A { void M(uint8 a, [In(FALSE), Out] uint8 b); };",
    );
    assert_eq!(warnings(&report), ["WBEMMOF_E_MUST_BE_IN_OR_OUT"]);
    let silent = "Qualifier In : boolean = true, Scope(parameter); class B { void M(uint8 a); };";
    assert_eq!(warnings(&stored(&engine, silent)), [""; 0]);
    let class = class(&engine, "A");
    let method = class.declaration().method("M").unwrap();
    let names = |signature: &cimrepo::cim::Class, name: &str| {
        let set = signature.property(name).unwrap().qualifiers.iter();
        set.map(|one| one.name.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(method.input.as_ref().unwrap(), "a"),
        ["CIMTYPE", "in", "ID"]
    );
    assert_eq!(
        names(method.output.as_ref().unwrap(), "b"),
        ["CIMTYPE", "Out", "ID"]
    );
    let abstracts = &method.input.as_ref().unwrap().qualifiers;
    assert!(abstracts.is_true("abstract"));
}

#[test]
fn classes_of_parameters_need_not_be_there() {
    let engine = engine();
    // Windows stored `unint32 SetProgramList(…)`, and properties of such in localised namespaces.
    let report = stored(&engine, "class A { unint32 M([in] Gone a); };");
    assert_eq!(warnings(&report), ["WBEM_E_INVALID_CLASS"; 2]);
    assert!(
        report
            .diagnostics
            .iter()
            .any(|one| one.help.as_deref() == Some("did you mean `uint32`?"))
    );
    let localised = "#pragma namespace(\"MS_409\") class B { Gone P; Gone Q[]; };";
    assert_eq!(warnings(&stored(&engine, localised)).len(), 3);
    for text in [
        "class C { Gone P; };",
        "#pragma namespace(\"ms_x\") class C { Gone P; };",
    ] {
        assert_eq!(
            errors(&run(&engine, text, &options())),
            ["WBEM_E_INVALID_CLASS"]
        );
    }
    let mut strict = options();
    strict.strict = true;
    let report = run(&engine, "class D { void M([in] Gone a); };", &strict);
    assert_eq!(errors(&report), ["WBEM_E_INVALID_CLASS"]);
    assert!(!stored(&engine, "class E { E Inner; E ref Next; Nowhere ref N; };").has_errors());
}

#[test]
fn classes_have_at_most_1024_properties() {
    let engine = engine();
    let declared = |name: &str, from: usize, to: usize| {
        let all: Vec<String> = (from..to)
            .map(|number| format!("uint8 P{number};"))
            .collect();
        format!("class {name} {{ {} }};", all.concat())
    };
    stored(&engine, &declared("A", 0, 1024));
    let again = "class B : A { uint8 P7; };";
    stored(&engine, again);
    let more = "class C : A { uint8 More; };";
    for text in [declared("D", 0, 1025), more.to_owned()] {
        let report = run(&engine, &text, &options());
        assert_eq!(errors(&report), ["WBEM_E_QUOTA_VIOLATION"]);
    }
    let long = format!("class {} {{ }};", "L".repeat(256));
    assert_eq!(errors(&run(&engine, &long, &options())).len(), 1);
}

#[test]
fn instances_store_what_is_assigned_and_nothing_else() {
    let engine = engine();
    let text = r#"class C { [key] uint8 K; string S = "d"; boolean B; boolean D; uint32 N = 4;
            C Ref; };
        instance of C { K = 1; S = "d"; B = "TRUE"; D = "fAlSe"; N = NULL; };
        [q(1), r : ToInstance] instance of C { K = 2; [p] S; };"#;
    stored(&engine, text);
    let first = instance(&engine, HERE, "C.K=1");
    let settings = first.settings();
    let expected = [
        Setting::Value(Value::Uint8(1)),
        Setting::Value(Value::String("d".into())),
        Setting::Value(Value::Boolean(true)),
        Setting::Value(Value::Boolean(false)),
        Setting::Null,
        Setting::Inherited,
    ];
    assert_eq!(settings, expected);
    assert!(first.property_qualifiers.is_none() && first.qualifiers.is_empty());
    let second = instance(&engine, HERE, "C.K=2");
    assert_eq!(second.settings()[1], Setting::Inherited);
    let sets = second.property_qualifiers.as_ref().unwrap();
    let counts: Vec<usize> = sets.iter().map(|set| set.iter().count()).collect();
    assert_eq!(counts, [0, 1, 0, 0, 0, 0]);
    assert_eq!(second.qualifiers.iter().count(), 2);

    // The same key again replaces the whole.
    stored(&engine, "instance of C { K = 1; N = 9; };");
    let again = instance(&engine, HERE, "C.K=1");
    assert_eq!(again.settings()[1], Setting::Inherited);
}

#[test]
fn subscriptions_name_the_caller_where_they_name_no_one() {
    let engine = engine();
    let text = r#"instance of __EventFilter { Name = "a"; QueryLanguage = "WQL"; Query = "q"; };
        instance of __EventFilter { Name = "b"; QueryLanguage = "WQL"; Query = "q";
            CreatorSID = {1, 1, 0, 0, 0, 0, 0, 5, 19, 0, 0, 0}; };"#;
    let creator = |options: &CompileOptions| -> Vec<Value> {
        let report = run(&engine, text, options);
        assert!(report.is_stored());
        let of = |name: &str| {
            let path = format!("__EventFilter.Name=\"{name}\"");
            value(&instance(&engine, HERE, &path), "CreatorSID")
        };
        vec![of("a"), of("b")]
    };
    let sid = |last: u8| Value::Array(Array::Uint8(vec![1, 1, 0, 0, 0, 0, 0, 5, last, 0, 0, 0]));
    assert_eq!(creator(&options()), [sid(18), sid(19)]);
    let mut other = options();
    other.creator = "S-1-5-20".parse().unwrap();
    assert_eq!(creator(&other), [sid(20), sid(19)]);
}

#[test]
fn aliases_are_full_paths_with_keys_by_name() {
    let engine = engine();
    let text = r#"#pragma namespace("\\\\.\\Root\\Cimv2x")
        class Two { [key] string Z; [key] boolean A; [key] sint64 M; };
        [singleton] class One { uint8 V; };
        class R { [key] uint8 K; object ref To; };
        instance of R { K = 1; To = $two; }; instance of R { K = 2; To = $one; };
        instance of R { K = 3; To = $class; }; instance of R { K = 4; To = "r.k=9"; };
        instance of TWO as $Two { Z = "q\"\\"; A = TRUE; M = -5; };
        instance of One as $One { V = 1; };
        class Late as $Class { };"#;
    stored(&engine, text);
    let to = |key: u8| {
        let found = instance(&engine, r"root\cimv2x", &format!("R.K={key}"));
        text_of(&found, "To")
    };
    assert_eq!(to(1), r#"\\.\Root\Cimv2x:TWO.A=TRUE,M=-5,Z="q\"\\""#);
    assert_eq!(to(2), r"\\.\Root\Cimv2x:One=@");
    assert_eq!(to(3), r"\\.\Root\Cimv2x:Late");
    assert_eq!(to(4), "r.k=9", "a written path is stored as it is");
}

#[test]
fn each_open_string_key_gets_a_guid_of_its_own() {
    let engine = engine();
    let text = "class G { [key] string A; [key] string B; [key] uint8 C = 3; }; instance of G { };";
    let report = run(&engine, text, &CompileOptions::default());
    assert!(report.is_stored());
    let found = catalog(&engine)
        .instances(HERE, "G")
        .next()
        .unwrap()
        .unwrap();
    let keys = ["A", "B"].map(|name| text_of(&found.instance, name));
    assert_ne!(keys[0], keys[1]);
    for key in keys {
        let is_guid = key.len() == 38
            && key.starts_with('{')
            && key.ends_with('}')
            && key == key.to_uppercase()
            && key.matches('-').count() == 4;
        assert!(is_guid, "{key}");
    }
    let mut strict = options();
    strict.strict = true;
    let report = run(&engine, "instance of G { A = \"a\"; };", &strict);
    assert_eq!(errors(&report), ["WBEM_E_ILLEGAL_NULL"]);
}

#[test]
fn flags_say_what_may_be_there() {
    let engine = engine();
    let base = "class P { [key] uint8 K; }; class Q : P { }; class R : P { };\n\
        instance of Q { K = 1; }; class S { [key] uint8 K; }; class T : S { };";
    stored(&engine, base);
    let rows = [
        (
            "#pragma classflags(\"createonly\") class P { [key] uint8 K; };",
            "WBEM_E_ALREADY_EXISTS",
        ),
        ("#pragma classflags(1) class New { };", "WBEM_E_NOT_FOUND"),
        (
            "#pragma instanceflags(\"createonly\") instance of Q { K = 1; };",
            "WBEM_E_ALREADY_EXISTS",
        ),
        (
            "#pragma instanceflags(1) instance of Q { K = 2; };",
            "WBEM_E_NOT_FOUND",
        ),
        ("instance of R { K = 1; };", "WBEM_E_ALREADY_EXISTS"),
        ("class S { [key] uint16 K; };", "WBEM_E_CLASS_HAS_CHILDREN"),
        ("class Q : P { uint8 More; };", "WBEM_E_CLASS_HAS_INSTANCES"),
        (
            "#pragma classflags(64) class P { [key] uint8 K; uint8 More; };",
            "WBEM_E_CLASS_HAS_INSTANCES",
        ),
        (
            "#pragma deleteclass(\"__EventFilter\", FAIL)",
            "WBEM_E_READ_ONLY",
        ),
        (
            "#pragma classflags(3) class X { };",
            "WBEMMOF_E_INVALID_FLAGS_SYNTAX",
        ),
        (
            "[amendment] class A { [key] uint8 K; }; instance of A { K = 1; };",
            "WBEM_E_INVALID_OPERATION",
        ),
    ];
    for (text, code) in rows {
        assert_eq!(errors(&run(&engine, text, &options())), [code], "{text}");
    }
    // A second pragma replaces the first.
    let text = "#pragma classflags(\"createonly\")\n#pragma classflags(0)\n\
        class R : P { [d(1)] uint8 K; };";
    assert_eq!(
        stored(&engine, text).operations[0].outcome,
        Outcome::Updated
    );
    let mut forced = options();
    forced.delete_instances = true;
    let text = "#pragma classflags(\"forceupdate\") class P { [key] uint16 K; };";
    let report = run(&engine, text, &forced);
    assert!(report.is_stored(), "{:?}", errors(&report));
    assert_eq!(report.count(Outcome::Deleted), 1);
}
