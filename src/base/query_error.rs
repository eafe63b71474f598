//! Rejections of WQL queries: a stable code, the place in the text, and advice. Source:
//! `docs::query`, "Errors".

use std::fmt;
use std::ops::Range;

use super::escape::{escape, guard};
use super::hresult::HResult;

macro_rules! codes {
    ($($name:ident $text:literal $result:ident $meaning:literal;)*) => {
        /// Why a query is rejected, for programs to match. The sentence in [`QueryError`] is for
        /// people.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum QueryCode {
            $(#[doc = concat!("`", $text, "`: ", $meaning, ".")] $name,)*
        }

        impl QueryCode {
            /// Every code.
            pub const ALL: &[QueryCode] = &[$(QueryCode::$name),*];

            /// The printed form of the code.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(QueryCode::$name => $text,)*
                }
            }

            const fn result(self) -> (&'static str, HResult) {
                match self {
                    $(QueryCode::$name => $result,)*
                }
            }
        }
    };
}

const PARAMETER: (&str, HResult) = ("WBEM_E_INVALID_PARAMETER", HResult::INVALID_PARAMETER);
const QUERY: (&str, HResult) = ("WBEM_E_INVALID_QUERY", HResult(0x8004_1017));
const CLASS: (&str, HResult) = ("WBEM_E_INVALID_CLASS", HResult(0x8004_1010));
const NAMESPACE: (&str, HResult) = ("WBEM_E_INVALID_NAMESPACE", HResult(0x8004_100E));
const TYPE: (&str, HResult) = ("WBEM_E_TYPE_MISMATCH", HResult(0x8004_1005));
const OPERATOR: (&str, HResult) = ("WBEM_E_INVALID_OPERATOR", HResult(0x8004_1063));
const OBJECT: (&str, HResult) = ("WBEM_E_PROPERTY_NOT_AN_OBJECT", HResult(0x8004_105C));
const PATH: (&str, HResult) = ("WBEM_E_INVALID_OBJECT_PATH", HResult(0x8004_103A));
const MISSING: (&str, HResult) = ("WBEM_E_NOT_FOUND", HResult::NOT_FOUND);
const QUOTA: (&str, HResult) = ("WBEM_E_QUOTA_VIOLATION", HResult(0x8004_106C));

codes! {
    Empty "empty" PARAMETER "the text holds nothing but white space";
    Syntax "syntax" QUERY "a word or sign is misplaced, or the text ends too early";
    UnterminatedText "unterminated-text" QUERY "the closing quote of a text is missing";
    UnclosedBrace "unclosed-brace" QUERY "the closing brace of an object path is missing";
    BadEscape "bad-escape" QUERY "a backslash in a text stands before something else than a \
        backslash or a quote";
    BadNumber "bad-number" QUERY "a letter follows a number directly";
    NumberRange "number-range" QUERY "a number is larger or smaller than any that is stored";
    UnexpectedCharacter "unexpected-character" QUERY "a character is part of no token";
    TwoProperties "two-properties" QUERY "two properties are compared with each other";
    TwoConstants "two-constants" QUERY "two constants are compared with each other";
    NullOrder "null-order" QUERY "NULL is compared by order";
    IsNeedsNull "is-needs-null" QUERY "IS is followed by something else than NULL or NOT NULL";
    LikeNeedsText "like-needs-text" QUERY "LIKE is followed by something else than a text";
    NotPlacement "not-placement" QUERY "NOT stands after the property and not before it";
    EventQuery "event-query" QUERY "the query asks for events, which are not stored";
    UnknownProperty "unknown-property" QUERY "the class neither declares nor inherits the property";
    ArrayProperty "array-property" QUERY "an array is compared";
    ThisOutsideSchema "this-outside-schema" QUERY "__this stands in a query that is not for \
        classes";
    ThisNeedsIsa "this-needs-isa" QUERY "__this has another operator than ISA";
    SchemaStar "schema-star" QUERY "a query for classes selects something else than * or COUNT(*)";
    SchemaProperty "schema-property" QUERY "a query for classes has a condition on a property that \
        is not a system property";
    ClauseUnknown "clause-unknown" QUERY "a word is not a clause of the statement";
    ClauseRepeated "clause-repeated" QUERY "a clause is given twice";
    ClauseConflict "clause-conflict" QUERY "two clauses, or a clause and the path, exclude each \
        other";
    NeedsSchemaOnly "needs-schemaonly" QUERY "the path is that of a class and SchemaOnly is \
        missing";
    UnknownClass "unknown-class" CLASS "the class is not there";
    UnknownNamespace "unknown-namespace" NAMESPACE "the namespace is not there";
    ConstantType "constant-type" TYPE "a constant cannot be converted to the type of the property";
    DatetimeForm "datetime-form" TYPE "a text that is compared with a datetime is not a datetime";
    OperatorType "operator-type" OPERATOR "the type of the property does not have the operator";
    NotAnObject "not-an-object" OBJECT "a property that should hold an object does not";
    Path "path" PATH "the text in braces is not an object path";
    PathKeys "path-keys" PATH "the keys of the path are not those of its class";
    SourceMissing "source-missing" MISSING "the object in braces is not stored, and nothing refers \
        to it";
    Limit "limit" QUOTA "the query is larger than the engine accepts";
}

impl QueryCode {
    /// The result code that a COM caller receives.
    pub const fn hresult(self) -> HResult {
        self.result().1
    }

    /// The name of the result code.
    pub const fn constant(self) -> &'static str {
        self.result().0
    }
}

impl fmt::Display for QueryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rejection of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// The reason.
    pub code: QueryCode,
    /// The range of the text that is at fault, in bytes.
    pub at: Range<usize>,
    /// A sentence that describes the error.
    pub text: Box<str>,
    /// Advice on what would be right, if known.
    pub help: Option<Box<str>>,
}

impl QueryError {
    /// A rejection without advice.
    pub(crate) fn new(
        code: QueryCode,
        at: impl Into<Range<usize>>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            code,
            at: at.into(),
            text: text.into().into(),
            help: None,
        }
    }

    /// Adds advice on what would be right.
    #[must_use]
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into().into()),
            ..self
        }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            at,
            text,
            help,
        } = self;
        let (constant, HResult(value)) = code.result();
        write!(
            f,
            "{code}: {} at byte {} ({constant}, 0x{value:08X})",
            guard(text),
            at.start
        )?;
        match help {
            Some(help) => write!(f, "; {}", guard(help)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for QueryError {}

/// The largest number of bytes of a text that a message repeats.
const QUOTED: usize = 200;

/// Quotes text from a query or a repository in a message: escaped, and cut if it is long.
pub(crate) fn quote(text: &str) -> String {
    let end = text
        .char_indices()
        .map(|(at, _)| at)
        .find(|at| *at >= QUOTED);
    let front = end.and_then(|end| text.get(..end));
    front.map_or_else(
        || escape(text).to_string(),
        |front| format!("{}…", escape(front)),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own_and_a_result() {
        let names: BTreeSet<&str> = QueryCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), QueryCode::ALL.len());
        for code in QueryCode::ALL {
            assert!(
                code.constant().starts_with("WBEM_E_") && code.hresult().0 >> 16 == 0x8004,
                "{code}"
            );
        }
    }

    #[test]
    fn a_refusal_says_all_in_one_line() {
        let error = QueryError::new(QueryCode::BadEscape, 3..4, "a\u{1b}b").help("c");
        let text = "bad-escape: a\\u{1b}b at byte 3 (WBEM_E_INVALID_QUERY, 0x80041017); c";
        assert_eq!(error.to_string(), text);
        assert_eq!(quote(&"é".repeat(200)).chars().count(), 101);
    }
}
