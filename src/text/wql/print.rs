//! The printer: a tree as the text that is read back as the same tree. Its text is for machines;
//! what a person gets to see passes the printer of evidence.

use std::fmt::{self, Display, Write};

use super::lexer::{begins_name, is_of_name};
use super::number::Number;
use super::tree::{
    Association, AssociationKind, At, Column, Columns, Condition, Constant, Event, Query, Relation,
    Select, Term, Test,
};
use crate::cim::name::Name;

impl Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Query::Select(select) => {
                write_head(f, select)?;
                write_where(f, select.condition.as_ref())
            }
            Query::Event(event) => write_event(f, event),
            Query::Association(association) => write_association(f, association),
        }
    }
}

fn write_head(f: &mut impl Write, select: &Select) -> fmt::Result {
    f.write_str("SELECT ")?;
    match &select.columns.value {
        Columns::All => f.write_str("*")?,
        Columns::Count => f.write_str("COUNT(*)")?,
        Columns::Named(columns) => write_columns(f, columns)?,
    }
    write!(f, " FROM {}", select.class.value.as_str())
}

fn write_columns(f: &mut impl Write, columns: &[Column]) -> fmt::Result {
    for (number, column) in columns.iter().enumerate() {
        f.write_str(if number == 0 { "" } else { ", " })?;
        f.write_str(&column_text(column))?;
    }
    Ok(())
}

/// The names of a column with points between them.
pub(super) fn column_text(column: &Column) -> String {
    let names: Vec<&str> = column
        .names
        .iter()
        .map(|name| name.value.as_str())
        .collect();
    names.join(".")
}

fn write_where(f: &mut impl Write, condition: Option<&Condition>) -> fmt::Result {
    match condition {
        None => Ok(()),
        Some(condition) => {
            f.write_str(" WHERE ")?;
            f.write_str(&condition.to_string())
        }
    }
}

fn write_event(f: &mut impl Write, event: &Event) -> fmt::Result {
    write_head(f, &event.select)?;
    if let Some(within) = &event.within {
        write!(f, " WITHIN {}", within.value.text())?;
    }
    write_where(f, event.select.condition.as_ref())?;
    let Some(group) = &event.group else {
        return Ok(());
    };
    write!(f, " GROUP WITHIN {}", group.within.value.text())?;
    if !group.by.is_empty() {
        f.write_str(" BY ")?;
        write_columns(f, &group.by)?;
    }
    match &group.having {
        None => Ok(()),
        Some(having) => write!(f, " HAVING {having}"),
    }
}

impl Display for Condition {
    /// As it stands after WHERE. Recursion is bounded, as the depth of conditions is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Term(term) => term.fmt(f),
            Condition::Not(inner) => {
                f.write_str("NOT ")?;
                write_part(
                    f,
                    inner,
                    matches!(**inner, Condition::All(_) | Condition::Any(_)),
                )
            }
            Condition::All(parts) => write_parts(f, parts, " AND ", |part| !is_simple(part)),
            Condition::Any(parts) => {
                write_parts(f, parts, " OR ", |part| matches!(part, Condition::Any(_)))
            }
        }
    }
}

const fn is_simple(condition: &Condition) -> bool {
    matches!(condition, Condition::Term(_) | Condition::Not(_))
}

fn write_parts(
    f: &mut fmt::Formatter<'_>,
    parts: &[Condition],
    between: &str,
    needs_parentheses: fn(&Condition) -> bool,
) -> fmt::Result {
    for (number, part) in parts.iter().enumerate() {
        f.write_str(if number == 0 { "" } else { between })?;
        write_part(f, part, needs_parentheses(part))?;
    }
    Ok(())
}

fn write_part(f: &mut fmt::Formatter<'_>, part: &Condition, in_parentheses: bool) -> fmt::Result {
    if in_parentheses {
        write!(f, "({part})")
    } else {
        part.fmt(f)
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&column_text(&self.column))?;
        match &self.test {
            Test::Compare(relation, constant) => {
                write!(f, " {} {}", relation.value, constant.value)
            }
            Test::Null(false) => f.write_str(" IS NULL"),
            Test::Null(true) => f.write_str(" IS NOT NULL"),
            Test::Isa(class) => write!(f, " ISA {}", Quoted(class.value.as_str())),
            Test::Like(_, pattern) => write!(f, " LIKE {}", Quoted(&pattern.value)),
        }
    }
}

impl Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Relation::Equal => "=",
            Relation::NotEqual => "<>",
            Relation::Less => "<",
            Relation::Greater => ">",
            Relation::AtMost => "<=",
            Relation::AtLeast => ">=",
        })
    }
}

impl Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constant::Text(text) => Quoted(text).fmt(f),
            Constant::Number(Number::Integer { text, .. } | Number::Real { text, .. }) => {
                f.write_str(text)
            }
            Constant::Boolean(value) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
            Constant::Null => f.write_str("NULL"),
        }
    }
}

/// A text in quotes; in a pattern a backslash may be doubled too.
struct Quoted<'t>(&'t str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

fn write_association(f: &mut impl Write, association: &Association) -> fmt::Result {
    let statement = match association.kind {
        AssociationKind::Associators => "ASSOCIATORS OF",
        AssociationKind::References => "REFERENCES OF",
    };
    write!(f, "{statement} {{{}}}", association.path.value.text())?;
    let named = [
        ("AssocClass", &association.assoc_class),
        ("ResultClass", &association.result_class),
        ("Role", &association.role),
        ("ResultRole", &association.result_role),
        ("RequiredQualifier", &association.required_qualifier),
        (
            "RequiredAssocQualifier",
            &association.required_assoc_qualifier,
        ),
    ];
    let flags = [
        ("ClassDefsOnly", association.class_defs_only),
        ("SchemaOnly", association.schema_only),
        ("KeysOnly", association.keys_only),
    ];
    let mut before = " WHERE ";
    for (keyword, value) in named {
        if let Some(At { value, .. }) = value {
            write!(f, "{before}{keyword} = {}", bare_or_quoted(value))?;
            before = " ";
        }
    }
    for (keyword, _) in flags.iter().filter(|(_, is_given)| *is_given) {
        write!(f, "{before}{keyword}")?;
        before = " ";
    }
    Ok(())
}

/// A name as it stands after a clause: in quotes where it is no name.
fn bare_or_quoted(name: &Name) -> String {
    let text = name.as_str();
    let is_bare = text.starts_with(begins_name)
        && text.chars().all(is_of_name)
        && !super::parser::is_reserved(text);
    if is_bare {
        text.to_owned()
    } else {
        Quoted(text).to_string()
    }
}
