//! An evaluator for these tests alone: it reads every instance, knows no index, and has its own
//! LIKE. Generated queries must have the same rows by every way.

use std::cmp::Ordering;

use cimrepo::catalog::{Catalog, StoredInstance};
use cimrepo::cim::{Instance, Value};

/// A condition as the generator makes it.
#[derive(Debug, Clone)]
pub enum Asked {
    And(Box<Asked>, Box<Asked>),
    Or(Box<Asked>, Box<Asked>),
    Not(Box<Asked>),
    Compare {
        column: &'static str,
        operator: &'static str,
        constant: Constant,
        turned: bool,
    },
    Null {
        column: &'static str,
        negated: bool,
    },
    Like {
        column: &'static str,
        pattern: String,
    },
}

#[derive(Debug, Clone)]
pub enum Constant {
    Text(String),
    Integer(i64),
    /// Tenths.
    Real(i64),
    Boolean(bool),
    Null,
}

impl Asked {
    /// The condition as WQL.
    pub fn text(&self) -> String {
        match self {
            Asked::And(a, b) => format!("({}) AND ({})", a.text(), b.text()),
            Asked::Or(a, b) => format!("({}) OR ({})", a.text(), b.text()),
            Asked::Not(inner) => format!("NOT ({})", inner.text()),
            Asked::Compare {
                column,
                operator,
                constant,
                turned: false,
            } => {
                format!("{column} {operator} {}", constant.text())
            }
            Asked::Compare {
                column,
                operator,
                constant,
                turned: true,
            } => {
                let operator = match *operator {
                    "<" => ">",
                    ">" => "<",
                    "<=" => ">=",
                    ">=" => "<=",
                    same => same,
                };
                format!("{} {operator} {column}", constant.text())
            }
            Asked::Null { column, negated } => {
                format!("{column} IS {}NULL", if *negated { "NOT " } else { "" })
            }
            Asked::Like { column, pattern } => format!("{column} LIKE '{pattern}'"),
        }
    }

    /// Whether an instance fulfils it.
    pub fn holds(&self, instance: &Instance) -> bool {
        match self {
            Asked::And(a, b) => a.holds(instance) && b.holds(instance),
            Asked::Or(a, b) => a.holds(instance) || b.holds(instance),
            Asked::Not(inner) => !inner.holds(instance),
            Asked::Null { column, negated } => value(instance, column).is_none() != *negated,
            Asked::Like { column, pattern } => match value(instance, column) {
                Some(Value::String(text)) => like(&folded(pattern), &folded(&text)),
                _ => false,
            },
            Asked::Compare {
                column,
                operator,
                constant,
                ..
            } => {
                let value = value(instance, column);
                match (value, constant) {
                    (value, Constant::Null) => value.is_none() == (*operator == "="),
                    (None, _) => *operator == "<>",
                    (Some(value), constant) => {
                        let order = order(&value, constant);
                        match *operator {
                            "=" => order == Ordering::Equal,
                            "<>" => order != Ordering::Equal,
                            "<" => order == Ordering::Less,
                            ">" => order == Ordering::Greater,
                            "<=" => order != Ordering::Greater,
                            _ => order != Ordering::Less,
                        }
                    }
                }
            }
        }
    }
}

impl Constant {
    fn text(&self) -> String {
        match self {
            Constant::Text(text) => format!("'{text}'"),
            Constant::Integer(value) => value.to_string(),
            Constant::Real(tenths) => {
                let sign = if *tenths < 0 { "-" } else { "" };
                format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10)
            }
            Constant::Boolean(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
            Constant::Null => "NULL".to_owned(),
        }
    }
}

fn value(instance: &Instance, column: &str) -> Option<Value> {
    let text = |name: &cimrepo::cim::Name| Value::String(name.as_str().to_owned());
    match column {
        "__CLASS" => Some(text(instance.class().name())),
        "__SUPERCLASS" => instance.class().derivation().first().map(text),
        _ => instance.get(column).ok()?.cloned(),
    }
}

fn folded(text: &str) -> String {
    text.to_ascii_lowercase()
}

fn order(value: &Value, constant: &Constant) -> Ordering {
    match (value, constant) {
        (Value::String(value), Constant::Text(constant)) => folded(value).cmp(&folded(constant)),
        (Value::String(value), other) => folded(value).cmp(&folded(&other.text())),
        (Value::Boolean(value), Constant::Boolean(constant)) => value.cmp(constant),
        // Halves and tenths are exact enough apart to be told from each other.
        (value, constant) => {
            let own = match value {
                Value::Real64(value) => *value,
                value => f64::from(i32::try_from(value.as_integer().unwrap()).unwrap()),
            };
            let small = |value: i64| f64::from(i32::try_from(value).unwrap());
            let other = match constant {
                Constant::Integer(value) => small(*value),
                Constant::Real(tenths) => small(*tenths) / 10.0,
                Constant::Boolean(value) => f64::from(u8::from(*value)),
                Constant::Text(text) => text.parse().unwrap(),
                Constant::Null => unreachable!("NULL has no order"),
            };
            own.partial_cmp(&other).unwrap()
        }
    }
}

/// LIKE by trying everything; sets as the generator makes them: closed, and without ranges.
fn like(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return text.is_empty();
    };
    let after = &pattern[first.len_utf8()..];
    let rest = text.chars().next().map(|c| (c, &text[c.len_utf8()..]));
    match (first, rest) {
        ('%', None) => like(after, text),
        ('%', Some((_, shorter))) => like(after, text) || like(pattern, shorter),
        (_, None) => false,
        ('_', Some((_, shorter))) => like(after, shorter),
        ('[', Some((c, shorter))) => {
            let (inside, behind) = after.split_once(']').unwrap();
            let is_in = match inside.strip_prefix('^') {
                Some(others) => !others.contains(c),
                None => inside.contains(c),
            };
            is_in && like(behind, shorter)
        }
        (wanted, Some((c, shorter))) => c == wanted && like(after, shorter),
    }
}

/// The paths of the instances of a class and of those below that fulfil a condition.
pub fn paths(
    catalog: &Catalog,
    namespace: &str,
    class: &str,
    asked: Option<&Asked>,
) -> Vec<String> {
    let all = catalog.all_instances(namespace).map(Result::unwrap);
    let is_wanted = |stored: &StoredInstance| {
        stored.instance.class().is_a(class)
            && asked.is_none_or(|asked| asked.holds(&stored.instance))
    };
    let mut paths: Vec<String> = all
        .filter(is_wanted)
        .map(|stored| {
            stored
                .instance
                .path()
                .unwrap()
                .in_namespace(namespace)
                .text()
        })
        .collect();
    paths.sort();
    paths
}
