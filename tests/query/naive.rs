//! An evaluator for these tests alone: it reads every instance, knows no index, and has its own
//! folding, its own calendar and its own LIKE. Generated queries must have the same rows by every
//! way.

use std::cmp::Ordering;

use cimrepo::catalog::{Catalog, StoredInstance};
use cimrepo::cim::{Instance, Name, Value};

/// A condition as the generator makes it.
#[derive(Debug, Clone)]
pub enum Asked {
    And(Box<Asked>, Box<Asked>),
    Or(Box<Asked>, Box<Asked>),
    Not(Box<Asked>),
    Compare {
        column: String,
        operator: &'static str,
        constant: Constant,
        turned: bool,
    },
    Null {
        column: String,
        negated: bool,
    },
    Like {
        column: String,
        pattern: String,
    },
}

#[derive(Debug, Clone)]
pub enum Constant {
    Text(String),
    Integer(i128),
    /// Tenths.
    Real(i128),
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
            Asked::Like { column, pattern } => format!("{column} LIKE {}", quoted(pattern)),
        }
    }

    /// Whether an instance of a namespace fulfils it.
    pub fn holds(&self, namespace: &str, instance: &Instance) -> bool {
        match self {
            Asked::And(a, b) => a.holds(namespace, instance) && b.holds(namespace, instance),
            Asked::Or(a, b) => a.holds(namespace, instance) || b.holds(namespace, instance),
            Asked::Not(inner) => !inner.holds(namespace, instance),
            Asked::Null { column, negated } => {
                value(namespace, instance, column).is_none() != *negated
            }
            Asked::Like { column, pattern } => match value(namespace, instance, column) {
                Some(value) => value.as_text().is_some_and(|text| like(pattern, text)),
                None => false,
            },
            Asked::Compare {
                column,
                operator,
                constant,
                ..
            } => match (value(namespace, instance, column), constant) {
                (value, Constant::Null) => value.is_none() == (*operator == "="),
                (None, _) => *operator == "<>",
                (Some(value), constant) => {
                    let order = order(&value, constant);
                    match *operator {
                        "=" => order == Some(Ordering::Equal),
                        "<>" => order != Some(Ordering::Equal),
                        "<" => order == Some(Ordering::Less),
                        ">" => order == Some(Ordering::Greater),
                        "<=" => order.is_some_and(Ordering::is_le),
                        _ => order.is_some_and(Ordering::is_ge),
                    }
                }
            },
        }
    }
}

impl Constant {
    fn text(&self) -> String {
        match self {
            Constant::Text(text) => quoted(text),
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

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

fn value(namespace: &str, instance: &Instance, column: &str) -> Option<Value> {
    let text = |name: &Name| Value::String(name.as_str().to_owned());
    let class = instance.class();
    let path = || instance.path().unwrap();
    match column {
        "__GENUS" => Some(Value::Sint32(2)),
        "__CLASS" => Some(text(class.name())),
        "__SUPERCLASS" => class.derivation().first().map(text),
        "__DYNASTY" => Some(text(class.derivation().last().unwrap_or(class.name()))),
        "__PROPERTY_COUNT" => {
            let count = class.properties().iter().count();
            Some(Value::Sint32(i32::try_from(count).unwrap()))
        }
        "__NAMESPACE" => Some(Value::from(namespace)),
        "__SERVER" => Some(Value::from(".")),
        "__RELPATH" => Some(Value::from(path().text())),
        "__PATH" => {
            let path = path().in_namespace(namespace).text();
            Some(Value::from(format!(r"\\.\{path}")))
        }
        _ => instance.get(column).unwrap().cloned(),
    }
}

/// A character as names fold it: first to upper case, then to lower, where each is one of the
/// same length.
fn folded(text: &str) -> Vec<u16> {
    let one = |c: char, mut changed: Box<dyn Iterator<Item = char>>| {
        let first = changed.next().unwrap();
        let is_one = changed.next().is_none() && c.len_utf16() == 1 && first.len_utf16() == 1;
        if is_one { first } else { c }
    };
    let upper = |c: char| one(c, Box::new(c.to_uppercase()));
    let both = |c: char| one(upper(c), Box::new(upper(c).to_lowercase()));
    let folded: String = text.chars().map(both).collect();
    folded.encode_utf16().collect()
}

fn order(value: &Value, constant: &Constant) -> Option<Ordering> {
    match (value, constant) {
        (Value::DateTime(value), Constant::Text(constant)) => moments(value, constant),
        (Value::String(value) | Value::Reference(value), Constant::Text(constant)) => {
            Some(folded(value).cmp(&folded(constant)))
        }
        (Value::String(value), other) => Some(folded(value).cmp(&folded(&other.text()))),
        (Value::Boolean(value), Constant::Boolean(constant)) => Some(value.cmp(constant)),
        (Value::Real64(value), constant) => of_real(*value, constant),
        (Value::Real32(value), constant) => of_real((*value).into(), constant),
        (value, constant) => {
            let tenths = match constant {
                Constant::Integer(value) => value * 10,
                Constant::Real(tenths) => *tenths,
                Constant::Boolean(value) => i128::from(*value) * 10,
                Constant::Text(text) => text.parse::<i128>().unwrap() * 10,
                Constant::Null => unreachable!("NULL has no order"),
            };
            Some((value.as_integer().unwrap() * 10).cmp(&tenths))
        }
    }
}

/// Halves and tenths are exact enough apart to be told from each other.
fn of_real(value: f64, constant: &Constant) -> Option<Ordering> {
    let small = |value: i128| f64::from(i32::try_from(value).unwrap());
    let other = match constant {
        Constant::Integer(value) => small(*value),
        Constant::Real(tenths) => small(*tenths) / 10.0,
        Constant::Boolean(value) => f64::from(u8::from(*value)),
        Constant::Text(text) => text.parse().unwrap(),
        Constant::Null => unreachable!("NULL has no order"),
    };
    value.partial_cmp(&other)
}

/// Two datetimes: as points in time or as intervals, else equal or without order.
fn moments(a: &str, b: &str) -> Option<Ordering> {
    let is_interval = |text: &str| text.as_bytes()[21] == b':';
    let are_whole = !a.contains('*') && !b.contains('*');
    if !are_whole || is_interval(a) != is_interval(b) {
        return (a == b).then_some(Ordering::Equal);
    }
    if is_interval(a) {
        return Some(a.cmp(b));
    }
    Some(microseconds(a).cmp(&microseconds(b)))
}

/// Microseconds since the year 0, counted month by month.
fn microseconds(text: &str) -> i128 {
    let field = |from: usize, to: usize| text[from..to].parse::<i128>().unwrap();
    let (year, month) = (field(0, 4), field(4, 6));
    let is_leap = |year: i128| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_year = |year: i128| 365 + i128::from(is_leap(year));
    let days_of_month = |month: i128| match month {
        2 => 28 + i128::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let years: i128 = (0..year).map(days_of_year).sum();
    let months: i128 = (1..month).map(days_of_month).sum();
    let hours = (years + months + field(6, 8)) * 24 + field(8, 10);
    let minutes = hours * 60 + field(10, 12) - field(21, 25);
    (minutes * 60 + field(12, 14)) * 1_000_000 + field(15, 21)
}

/// LIKE by the set of all places that a pattern can have reached. Sets are those that the
/// generator makes: closed, and without ranges.
fn like(pattern: &str, text: &str) -> bool {
    let lower = |text: &str| text.chars().map(single_lower).collect::<Vec<char>>();
    let (pattern, text) = (lower(pattern), lower(text));
    // Whether what was read of the pattern so far can match so many characters of the text.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut rest = &pattern[..];
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == '%' {
            let from = reached.iter().position(|is| *is).unwrap_or(reached.len());
            reached[from..].fill(true);
            continue;
        }
        let set: Option<(bool, &[char])> = (*first == '[').then(|| {
            let end = after.iter().position(|c| *c == ']').unwrap();
            rest = &after[end + 1..];
            match after[..end].strip_prefix(&['^']) {
                Some(others) => (false, others),
                None => (true, &after[..end]),
            }
        });
        let takes = |c: char| match set {
            Some((is_in, chars)) => chars.contains(&c) == is_in,
            None => *first == '_' || c == *first,
        };
        let mut next = vec![false; reached.len()];
        for (at, c) in text.iter().enumerate() {
            next[at + 1] = reached[at] && takes(*c);
        }
        reached = next;
    }
    reached[text.len()]
}

fn single_lower(c: char) -> char {
    char::from_u32(u32::from(*folded(&c.to_string()).first().unwrap())).unwrap_or(c)
}

/// The paths of those instances of a class and of those below that fulfil a condition.
pub fn paths_among(
    all: &[StoredInstance],
    namespace: &str,
    class: &str,
    asked: Option<&Asked>,
) -> Vec<String> {
    let is_wanted = |stored: &&StoredInstance| {
        stored.instance.class().is_a(class)
            && asked.is_none_or(|asked| asked.holds(namespace, &stored.instance))
    };
    let path = |stored: &StoredInstance| {
        let path = stored.instance.path().unwrap();
        path.in_namespace(namespace).text()
    };
    let mut paths: Vec<String> = all.iter().filter(is_wanted).map(path).collect();
    paths.sort();
    paths
}

/// The instances of a namespace, read one after the other.
pub fn everything(catalog: &Catalog, namespace: &str) -> Vec<StoredInstance> {
    catalog
        .all_instances(namespace)
        .map(Result::unwrap)
        .collect()
}
