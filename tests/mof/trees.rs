//! Any tree that is printed is read back as an equal one, without a word of complaint.

use std::borrow::Cow;

use cimrepo::cim::ScalarType;
use cimrepo::text::mof::tree::{
    ArraySize, Assignment, At, ClassDeclaration, Directive, DirectiveKind, Feature, File, Flags,
    FlavorWords, Ident, Initializer, InstanceDeclaration, Item, MethodDeclaration,
    PropertyDeclaration, Qualifier, QualifierDeclaration, QualifierType, Qualifiers, Removal, Text,
    TypeKind, TypeName, Value, ValueKind,
};
use cimrepo::text::mof::{ParseOptions, file_text, parse};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

type Tree = File<'static>;

fn ident() -> impl Strategy<Value = Ident<'static>> {
    const KNOWN: [&str; 10] = [
        "class",
        "Instance",
        "of",
        "as",
        "ref",
        "qualifier",
        "NULL",
        "void",
        "uint32",
        "object",
    ];
    prop_oneof![
        4 => "[A-Za-z_][A-Za-z0-9_]{0,9}".prop_map(Ident::new),
        1 => "[é-ż][a-zé]{0,3}".prop_map(Ident::new),
        1 => proptest::sample::select(&KNOWN[..]).prop_map(Ident::new),
    ]
}

/// Names of classes: a keyword where a type stands would be one.
fn class_name() -> impl Strategy<Value = Ident<'static>> {
    "C[A-Za-z0-9_]{1,9}".prop_map(Ident::new)
}

fn text() -> impl Strategy<Value = String> {
    let any = any::<String>().prop_map(|text| text.replace('\0', ""));
    let long = vec("[a-z \\n\\\\\"]{0,20}", 0..20).prop_map(|parts| parts.concat());
    prop_oneof![any, long]
}

fn simple() -> impl Strategy<Value = ValueKind<'static>> {
    prop_oneof![
        Just(ValueKind::Null),
        any::<bool>().prop_map(ValueKind::Boolean),
        any::<i64>().prop_map(|number| ValueKind::Integer(number.into())),
        any::<u64>().prop_map(|number| ValueKind::Integer(number.into())),
        any::<f64>()
            .prop_filter("finite", |real| real.is_finite())
            .prop_map(ValueKind::Real),
        text().prop_map(|text| ValueKind::Text(text.into())),
        any::<u16>().prop_map(ValueKind::Char),
        "[A-Za-z_][A-Za-z0-9_]{0,5}".prop_map(|alias| ValueKind::Alias(alias.into())),
    ]
}

fn at() -> At {
    At::default()
}

fn value() -> impl Strategy<Value = Value<'static>> {
    let leaf = simple().prop_map(|kind| Value { kind, at: at() });
    leaf.prop_recursive(3, 12, 4, |inner| {
        let value = option::of(initializer(inner.boxed()));
        let assignment = (ident(), value).prop_map(|(name, value)| Assignment {
            qualifiers: Vec::new(),
            name,
            value,
            at: at(),
        });
        (class_name(), vec(assignment, 0..3)).prop_map(|(class, assignments)| {
            let (qualifiers, alias) = (Vec::new(), None);
            let instance = InstanceDeclaration {
                qualifiers,
                class,
                alias,
                assignments,
                at: at(),
            };
            Value {
                kind: ValueKind::Instance(Box::new(instance)),
                at: at(),
            }
        })
    })
}

fn initializer(
    value: BoxedStrategy<Value<'static>>,
) -> impl Strategy<Value = Initializer<'static>> {
    prop_oneof![
        value.clone().prop_map(Initializer::One),
        vec(value, 0..4).prop_map(|values| Initializer::List(values, at())),
    ]
}

fn any_initializer() -> impl Strategy<Value = Initializer<'static>> {
    initializer(value().boxed())
}

fn flavors() -> impl Strategy<Value = FlavorWords> {
    let all = [
        FlavorWords::empty(),
        FlavorWords::TO_SUBCLASS | FlavorWords::AMENDED,
        FlavorWords::TO_INSTANCE | FlavorWords::DISABLE_OVERRIDE,
        FlavorWords::ENABLE_OVERRIDE | FlavorWords::NOT_TO_INSTANCE | FlavorWords::NOT_TO_SUBCLASS,
        FlavorWords::RESTRICTED,
    ];
    proptest::sample::select(all.to_vec())
}

fn qualifiers() -> impl Strategy<Value = Qualifiers<'static>> {
    btree_map("q[0-9]", (option::of(any_initializer()), flavors()), 0..3).prop_map(|all| {
        let qualifier = |(name, (value, flavors)): (String, _)| Qualifier {
            name: Ident::new(name),
            value,
            flavors,
            at: at(),
        };
        all.into_iter().map(qualifier).collect()
    })
}

fn kind() -> impl Strategy<Value = TypeName<'static>> {
    let base = proptest::sample::select(&ScalarType::ALL[..])
        .prop_filter("a type of MOF", |scalar| *scalar != ScalarType::Reference);
    prop_oneof![
        base.prop_map(|scalar| (
            Ident::new(scalar.as_str().to_uppercase()),
            TypeKind::Base(scalar)
        )),
        class_name().prop_map(|name| (name, TypeKind::Class)),
        class_name().prop_map(|name| (name, TypeKind::Reference)),
        Just((Ident::new("object"), TypeKind::Reference)),
    ]
    .prop_map(|(word, kind)| TypeName { word, kind })
}

fn array() -> impl Strategy<Value = Option<ArraySize>> {
    let size = option::of(0u32..100).prop_map(|size| ArraySize { size, at: at() });
    option::of(size)
}

fn property() -> impl Strategy<Value = PropertyDeclaration<'static>> {
    let parts = (
        qualifiers(),
        kind(),
        ident(),
        array(),
        option::of(any_initializer()),
    );
    parts.prop_map(
        |(qualifiers, kind, name, array, default)| PropertyDeclaration {
            qualifiers,
            kind,
            name,
            array,
            default,
            at: at(),
        },
    )
}

fn method() -> impl Strategy<Value = MethodDeclaration<'static>> {
    let parts = (
        qualifiers(),
        option::of(kind()),
        ident(),
        vec(property(), 0..3),
    );
    parts.prop_map(
        |(qualifiers, returns, name, parameters)| MethodDeclaration {
            qualifiers,
            returns,
            name,
            parameters,
            at: at(),
        },
    )
}

fn class() -> impl Strategy<Value = ClassDeclaration<'static>> {
    let feature = prop_oneof![
        property().prop_map(Feature::Property),
        method().prop_map(Feature::Method)
    ];
    let heads = (
        qualifiers(),
        class_name(),
        option::of(ident()),
        option::of(class_name()),
    );
    (heads, vec(feature, 0..4)).prop_map(|((qualifiers, name, alias, superclass), features)| {
        ClassDeclaration {
            qualifiers,
            name,
            alias,
            superclass,
            features,
            at: at(),
        }
    })
}

fn instance() -> impl Strategy<Value = InstanceDeclaration<'static>> {
    let assignment = (qualifiers(), ident(), option::of(any_initializer())).prop_map(
        |(qualifiers, name, value)| Assignment {
            qualifiers,
            name,
            value,
            at: at(),
        },
    );
    let parts = (
        qualifiers(),
        class_name(),
        option::of(ident()),
        vec(assignment, 0..4),
    );
    parts.prop_map(
        |(qualifiers, class, alias, assignments)| InstanceDeclaration {
            qualifiers,
            class,
            alias,
            assignments,
            at: at(),
        },
    )
}

fn declaration() -> impl Strategy<Value = QualifierDeclaration<'static>> {
    let scalar = proptest::sample::select(vec![
        ScalarType::String,
        ScalarType::Uint32,
        ScalarType::Boolean,
    ]);
    let typed = (
        scalar,
        array(),
        option::of(any_initializer()),
        vec(ident(), 0..3),
    )
        .prop_map(|(scalar, array, default, scope)| QualifierType {
            scalar,
            array,
            default,
            scope,
        });
    let parts = (ident(), option::of(typed), flavors());
    parts.prop_filter_map("a declaration says something", |(name, typed, flavors)| {
        let says = typed.is_some() || !flavors.is_empty();
        says.then(|| QualifierDeclaration {
            name,
            typed,
            flavors,
            at: at(),
        })
    })
}

fn directive() -> impl Strategy<Value = Directive<'static>> {
    let quoted = || text().prop_map(|text| Text::new(Cow::Owned(text)));
    let flags = |numbers: &'static [i128]| {
        proptest::sample::select(numbers).prop_map(|number| Flags::from_number(number).unwrap())
    };
    let removal = || {
        (quoted(), any::<bool>()).prop_map(|(target, must_exist)| Removal { target, must_exist })
    };
    let file = || "[a-z\\\\/.%]{1,12}".prop_map(Text::new);
    prop_oneof![
        quoted().prop_map(DirectiveKind::Namespace),
        flags(&[0, 1, 2, 32, 33, 64, 65]).prop_map(DirectiveKind::ClassFlags),
        flags(&[0, 1, 2]).prop_map(DirectiveKind::InstanceFlags),
        removal().prop_map(DirectiveKind::DeleteClass),
        removal().prop_map(DirectiveKind::DeleteInstance),
        Just(DirectiveKind::AutoRecover),
        file().prop_map(DirectiveKind::Include),
        (
            any::<u32>(),
            option::of(
                "[a-z\\\\.]{1,6}".prop_filter_map("single backslashes", |name| {
                    (!name.contains("\\\\")).then(|| Text::new(name))
                })
            )
        )
            .prop_map(|(number, file)| DirectiveKind::Line { number, file }),
        vec(quoted(), 0..3).prop_map(|arguments| DirectiveKind::Other {
            name: Ident::new("locale"),
            arguments
        }),
    ]
    .prop_map(|kind| Directive { kind, at: at() })
}

fn tree() -> impl Strategy<Value = Tree> {
    let item = prop_oneof![
        directive().prop_map(Item::Directive),
        declaration().prop_map(Item::Qualifier),
        class().prop_map(Item::Class),
        instance().prop_map(Item::Instance),
    ];
    vec(item, 0..4).prop_map(|items| File { items })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_printed_tree_is_read_back(tree in tree()) {
        let text = file_text(&tree);
        let parsed = parse(&text, ParseOptions::default());
        prop_assert_eq!(&parsed.diagnostics, &Vec::new(), "{}", text);
        prop_assert_eq!(parsed.file, tree, "{}", text);
    }

    #[test]
    fn any_text_is_read_to_its_end(text in "[ -~\\n]{0,200}", strict in any::<bool>()) {
        parse(&text, ParseOptions::default().strict(strict));
    }

    #[test]
    fn what_is_read_of_a_broken_text_prints_and_reads_alike(tree in tree(), cut in any::<prop::sample::Index>()) {
        let mut text = file_text(&tree);
        let mut at = cut.index(text.len().max(1)).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.truncate(at);
        let first = parse(&text, ParseOptions::default()).file;
        let printed = file_text(&first);
        let second = parse(&printed, ParseOptions::default());
        prop_assert_eq!(&second.diagnostics, &Vec::new(), "{}", printed);
        prop_assert_eq!(second.file, first, "{}", printed);
    }
}
