//! `ASSOCIATORS OF` and `REFERENCES OF`.

use super::lexer::{Token, is_white};
use super::parser::{Parser, unexpected};
use super::tree::{Association, AssociationKind, At, Query, Relation};
use crate::base::query_error::{QueryCode, QueryError, quote};
use crate::cim::name::Name;
use crate::cim::path::ObjectPath;
use crate::text::span::Span;

/// The clauses of both statements, and of `ASSOCIATORS OF` alone.
const OF_BOTH: [&str; 6] = [
    "ClassDefsOnly",
    "RequiredQualifier",
    "ResultClass",
    "Role",
    "SchemaOnly",
    "KeysOnly",
];
const OF_ASSOCIATORS: [&str; 3] = ["AssocClass", "RequiredAssocQualifier", "ResultRole"];

/// Pairs of clauses that exclude each other.
const EXCLUSIVE: [[&str; 2]; 4] = [
    ["ClassDefsOnly", "ResultClass"],
    ["ClassDefsOnly", "SchemaOnly"],
    ["ClassDefsOnly", "KeysOnly"],
    ["SchemaOnly", "KeysOnly"],
];

/// A clause: its keyword as the language spells it, where that stood, and its value.
struct Clause {
    keyword: &'static str,
    span: Span,
    value: Option<At<Name>>,
}

/// A statement whose first word comes next.
pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Query, QueryError> {
    let (first, _) = parser.next()?;
    let kind = if first.is("ASSOCIATORS") {
        AssociationKind::Associators
    } else {
        AssociationKind::References
    };
    parser.expect("OF")?;
    let path = path(parser)?;
    let clauses = match parser.next()? {
        (Token::End, _) => Vec::new(),
        (token, _) if token.is("WHERE") => clauses(parser, kind)?,
        (token, span) => return Err(unexpected(&token, span, "WHERE or the end")),
    };
    check_source(&path, &clauses)?;
    Ok(Query::Association(association(kind, path, clauses)))
}

fn path(parser: &mut Parser<'_>) -> Result<At<ObjectPath>, QueryError> {
    let (inside, span) = match parser.next()? {
        (Token::Path(inside), span) => (
            inside,
            Span::new(span.start.saturating_add(1), span.end.saturating_sub(1)),
        ),
        (token, span) => return Err(unexpected(&token, span, "an object path in braces")),
    };
    let refuse = |text: String| QueryError::new(QueryCode::Path, span.range(), text);
    // A backslash before the namespace means nothing, and white space after it is still before it.
    let begins = inside.trim_start_matches(['\\', '/']);
    if begins.starts_with(is_white) || inside.ends_with(is_white) {
        return Err(refuse(
            "white space around the path is not allowed".to_owned(),
        ));
    }
    match inside.parse() {
        Ok(path) => Ok(At::new(path, span)),
        Err(error) => Err(refuse(format!("{} is {error}", quote(inside)))),
    }
}

fn clauses(parser: &mut Parser<'_>, kind: AssociationKind) -> Result<Vec<Clause>, QueryError> {
    let mut found: Vec<Clause> = Vec::new();
    loop {
        match parser.next()? {
            (Token::End, _) if !found.is_empty() => return Ok(found),
            (Token::Name(word), span) => {
                let keyword = keyword(kind, word).ok_or_else(|| unknown(kind, word, span))?;
                check_others(keyword, span, &found)?;
                let value = if keyword.ends_with("Only") {
                    None
                } else {
                    Some(value(parser)?)
                };
                found.push(Clause {
                    keyword,
                    span,
                    value,
                });
            }
            (Token::Comma, span) => return Err(unknown(kind, ",", span)),
            (token, span) => return Err(unexpected(&token, span, "a clause")),
        }
    }
}

fn keyword(kind: AssociationKind, word: &str) -> Option<&'static str> {
    let more: &[&str] = if kind == AssociationKind::Associators {
        &OF_ASSOCIATORS
    } else {
        &[]
    };
    OF_BOTH
        .iter()
        .chain(more)
        .copied()
        .find(|keyword| keyword.eq_ignore_ascii_case(word))
}

fn unknown(kind: AssociationKind, word: &str, span: Span) -> QueryError {
    let statement = match kind {
        AssociationKind::Associators => "ASSOCIATORS OF",
        AssociationKind::References => "REFERENCES OF",
    };
    let error = QueryError::new(
        QueryCode::ClauseUnknown,
        span.range(),
        format!("{statement} has no clause {}", quote(word)),
    );
    if word == "," || word.eq_ignore_ascii_case("AND") {
        return error.help("clauses follow each other with nothing but blanks between them");
    }
    let mut known = OF_BOTH.to_vec();
    if kind == AssociationKind::Associators {
        known.extend(OF_ASSOCIATORS);
    }
    known.sort_unstable();
    error.help(format!("its clauses are {}", known.join(", ")))
}

fn value(parser: &mut Parser<'_>) -> Result<At<Name>, QueryError> {
    match parser.next()? {
        (Token::Relation(Relation::Equal), _) => parser.name_or_text("a name"),
        (token, span) => Err(unexpected(&token, span, "=")),
    }
}

fn check_others(keyword: &'static str, span: Span, before: &[Clause]) -> Result<(), QueryError> {
    if before.iter().any(|other| other.keyword == keyword) {
        let text = format!("{keyword} is given twice");
        return Err(QueryError::new(
            QueryCode::ClauseRepeated,
            span.range(),
            text,
        ));
    }
    for other in before {
        let excludes = |pair: &[&str; 2]| pair.contains(&keyword) && pair.contains(&other.keyword);
        if EXCLUSIVE.iter().any(excludes) {
            let text = format!("{keyword} and {} exclude each other", other.keyword);
            return Err(QueryError::new(
                QueryCode::ClauseConflict,
                span.range(),
                text,
            ));
        }
    }
    Ok(())
}

/// The path of a class goes with SchemaOnly, and no other path does.
fn check_source(path: &At<ObjectPath>, clauses: &[Clause]) -> Result<(), QueryError> {
    let schema_only = clauses.iter().find(|clause| clause.keyword == "SchemaOnly");
    match (path.value.is_instance(), schema_only) {
        (false, None) => {
            let class = path.value.class.as_str();
            let text = format!(
                "{} is the path of a class, and those of instances have keys",
                quote(class)
            );
            let error = QueryError::new(QueryCode::NeedsSchemaOnly, path.span.range(), text);
            Err(error.help("WHERE SchemaOnly asks for the associations of the class"))
        }
        (true, Some(clause)) => {
            let text =
                "SchemaOnly goes with the path of a class, and this one is that of an instance";
            Err(QueryError::new(
                QueryCode::ClauseConflict,
                clause.span.range(),
                text,
            ))
        }
        _ => Ok(()),
    }
}

fn association(kind: AssociationKind, path: At<ObjectPath>, clauses: Vec<Clause>) -> Association {
    let is_given = |keyword: &str| clauses.iter().any(|clause| clause.keyword == keyword);
    let value = |keyword: &str| {
        let clause = clauses.iter().find(|clause| clause.keyword == keyword);
        clause.and_then(|clause| clause.value.clone())
    };
    Association {
        kind,
        path,
        assoc_class: value("AssocClass"),
        result_class: value("ResultClass"),
        role: value("Role"),
        result_role: value("ResultRole"),
        required_qualifier: value("RequiredQualifier"),
        required_assoc_qualifier: value("RequiredAssocQualifier"),
        class_defs_only: is_given("ClassDefsOnly"),
        schema_only: is_given("SchemaOnly"),
        keys_only: is_given("KeysOnly"),
    }
}
