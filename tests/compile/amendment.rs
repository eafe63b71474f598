//! Master files are split into neutral and localised MOF, as Windows splits its own.

use cimrepo::compile::{CompileOptions, Locale, MofSource, NoIncludes, Split, split};
use cimrepo::text::mof::{ParseOptions, file_text, parse};

use super::{catalog, engine, stored};

fn split_text(text: &str, locale: Option<&str>) -> Split {
    let sources = [MofSource::new("master.mof", text)];
    let locale = locale.map(|name| Locale::parse(name).unwrap());
    let options = CompileOptions::default();
    split(&sources, &mut NoIncludes, &options, locale.as_ref())
}

/// A text in the one form that the printer gives it.
fn normal(text: &str) -> String {
    let parsed = parse(text, ParseOptions::default());
    assert!(!parsed.has_errors(), "{text}: {:?}", parsed.diagnostics);
    file_text(&parsed.file)
}

const MASTER: &str = r#"
#pragma amendment("MS_409")
#pragma namespace("\\\\.\\root\\shop")
class P { [key] string Id; };
class Other { [key] string X; };
[Description("d") : Amended ToSubclass, Locale(0x409), UUID("{1}")]
class C : P {
    [key] string Id;
    [key, Description("n") : Amended ToSubclass] string Name = "none";
    [read, Units("s") : Amended] uint32 T[];
    uint32 Z;
    [Implemented] uint32 M([in, Description("x") : Amended] string a, [out] string b);
    [Implemented] uint32 N([in] string a);
};
[Description("i") : Amended] instance of Other { X = "1"; };
"#;

#[test]
fn neutral_text_lacks_what_is_amended() {
    let split = split_text(MASTER, None);
    assert!(!split.report.has_errors());
    let expected = r#"
#pragma namespace("\\\\.\\root\\shop")
class P { [key] string Id; };
class Other { [key] string X; };
[Locale(1033), UUID("{1}")]
class C : P {
    [key] string Id;
    [key] string Name = "none";
    [read] uint32 T[];
    uint32 Z;
    [Implemented] uint32 M([in] string a, [out] string b);
    [Implemented] uint32 N([in] string a);
};
instance of Other { X = "1"; };
"#;
    assert_eq!(split.neutral, normal(expected));
}

#[test]
fn localised_text_has_the_amended_alone() {
    let split = split_text(MASTER, None);
    let expected = r#"
#pragma namespace("\\\\.\\root\\shop")
instance of __namespace { name = "ms_409"; };
#pragma namespace("\\\\.\\root\\shop\\ms_409")
[AMENDMENT, LOCALE(0x409)] class P { };
[Description("d") : Amended ToSubclass, AMENDMENT, LOCALE(0x409)]
class C : P {
    [key, Description("n") : Amended ToSubclass] string Name;
    [Units("s") : Amended] uint32 T[];
    uint32 M([in, Description("x") : Amended] string a, [out] string b);
};
"#;
    assert_eq!(normal(&split.localised), normal(expected));
    assert!(split.localised.contains("AMENDMENT, LOCALE(0x409)]"));
}

#[test]
fn both_parts_compile_into_their_namespaces() {
    // No class below one with keys has another key.
    let master = MASTER.replace("[key, Description", "[Description");
    let split = split_text(&master, Some("MS_409"));
    let engine = engine();
    stored(&engine, &split.neutral);
    stored(&engine, &split.localised);
    let catalog = catalog(&engine);
    let names = |namespace: &str| {
        let class = catalog.class(namespace, "C").unwrap().unwrap();
        let own = class.class.declaration();
        let properties = own.properties.iter();
        properties
            .map(|one| one.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(r"root\shop"), ["Id", "Name", "T", "Z"]);
    assert_eq!(names(r"root\shop\ms_409"), ["Name", "T"]);
    let localised = catalog.class(r"root\shop\ms_409", "C").unwrap().unwrap();
    let own = &localised.class.declaration().qualifiers;
    let stored: Vec<&str> = own.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(stored, ["Description", "AMENDMENT", "LOCALE"]);
    assert!(
        catalog
            .class(r"root\shop\ms_409", "Other")
            .unwrap()
            .is_none()
    );
}

#[test]
fn declared_flavors_amend_too() {
    let text = "Qualifier Words : Amended ToSubclass;\n\
        class A { [Words(\"w\")] string X; [Words(\"v\") : ToInstance] string Y; };";
    let split = split_text(text, Some("ms_40C"));
    assert!(
        split.neutral.contains("\n    string X;"),
        "{}",
        split.neutral
    );
    assert!(
        split
            .neutral
            .contains("[Words(\"v\"): ToInstance] string Y;")
    );
    let words = "[Words(\"w\"): ToSubclass Amended] string X;";
    assert!(split.localised.contains(words), "{}", split.localised);
    assert!(split.localised.contains("LOCALE(0x40C)") && !split.localised.contains(" Y;"));
    assert!(split.localised.contains("\"ms_40c\""));
}

#[test]
fn a_split_needs_a_locale_and_a_text_without_errors() {
    let split = split_text("class A { string X; };", None);
    assert_eq!(
        split.report.diagnostics[0].code.name,
        "WBEMMOF_E_INVALID_AMENDMENT_SYNTAX"
    );
    assert_eq!((&*split.neutral, &*split.localised), ("", ""));
    let split = split_text("class A { string; };", Some("MS_409"));
    assert!(split.report.has_errors() && split.neutral.is_empty());
    for name in ["", "MS_", "MS_x", "409", "XY_409", "é409"] {
        assert_eq!(Locale::parse(name), None, "{name}");
    }
}
