//! What is stored cannot leave its place in MOF: an object with poison in it has the tokens of the
//! same object with plain words.

use std::collections::BTreeMap;

use cimrepo::catalog::Catalog;
use cimrepo::text::mof;

use crate::brew::{POISON, STAMP, brew};
use crate::shows::fault;
use crate::support::open;

/// A kind of token. Source of the rules: the grammar that MOF compilers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Identifier,
    Text,
    Number,
    Mark(char),
}

/// Takes MOF apart, comments and white space left out.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if c.is_ascii_whitespace() {
            1
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(comment) = rest.strip_prefix("/*") {
            2 + comment.find("*/").expect("a comment ends") + 2
        } else if c == '"' {
            // Literals that follow each other are one.
            if tokens.last() != Some(&Token::Text) {
                tokens.push(Token::Text);
            }
            literal(rest)
        } else if c == '\'' {
            // A character, which is printed as one where it shows.
            tokens.push(Token::Number);
            3
        } else if c.is_ascii_digit() || c == '-' {
            tokens.push(Token::Number);
            let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
            rest.find(|c| !is_part(c)).unwrap_or(rest.len())
        } else if is_letter(c) {
            tokens.push(Token::Identifier);
            rest.find(|c: char| !is_letter(c) && !c.is_ascii_digit())
                .unwrap_or(rest.len())
        } else {
            assert!("{}[]():;,=".contains(c), "{c:?} begins no token: {rest}");
            tokens.push(Token::Mark(c));
            1
        };
        rest = &rest[length..];
    }
    tokens
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii() && !c.is_whitespace()
}

/// The length of the string literal that a text begins with.
fn literal(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return at + 1,
            '\\' => {
                let (_, escaped) = chars.next().expect("something is escaped");
                assert!(
                    "btnfr\"'\\x".contains(escaped),
                    "{escaped:?} is no escape: {text}"
                );
            }
            '\n' => panic!("a literal has one line: {text}"),
            _ => {}
        }
    }
    panic!("a literal ends: {text}")
}

/// The objects that were brewed, as MOF, by their stamps.
fn texts(is_poison: bool) -> BTreeMap<(u64, bool), String> {
    let catalog = Catalog::new(open(&brew(is_poison)).unwrap().snapshot());
    let namespaces: Vec<String> = catalog.namespaces().into_iter().flatten().collect();
    let mut found = BTreeMap::new();
    for namespace in &namespaces {
        for class in catalog
            .classes(namespace)
            .flatten()
            .filter(|class| class.stamp.0 > STAMP)
        {
            found.insert((class.stamp.0, false), mof::class_text(&class.class, false));
            found.insert((class.stamp.0, true), mof::class_text(&class.class, true));
        }
        for stored in catalog
            .all_instances(namespace)
            .flatten()
            .filter(|stored| stored.stamp.0 > STAMP)
        {
            found.insert(
                (stored.stamp.0, false),
                mof::instance_text(&stored.instance),
            );
        }
    }
    found
}

#[test]
fn tokens_do_not_depend_on_what_is_stored() {
    let (poison, plain) = (texts(true), texts(false));
    assert!(
        poison.len() > 2 * POISON.len() && poison.keys().eq(plain.keys()),
        "{} {}",
        poison.len(),
        plain.len()
    );
    let mut strings = 0;
    for (text, plain) in poison.values().zip(plain.values()) {
        for line in text.lines() {
            assert_eq!(fault(line), None);
        }
        let (tokens, plain) = (tokens(text), tokens(plain));
        assert_eq!(tokens.len(), plain.len(), "{text}");
        for pair in tokens.into_iter().zip(plain) {
            // A name that is no identifier is a text, which no compiler takes for a name.
            strings += usize::from(pair == (Token::Text, Token::Identifier));
            assert!(
                pair.0 == pair.1 || pair == (Token::Text, Token::Identifier),
                "{pair:?}: {text}"
            );
        }
    }
    assert!(strings > 100, "{strings}");
}
