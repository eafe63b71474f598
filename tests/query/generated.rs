//! Generated queries over real repositories against the naive evaluator. Conditions are made of
//! what lies there: columns that a class has, values that its instances have or nearly have, and
//! whole keys, so that every plan comes up and answers are neither always empty nor always all.

use cimrepo::catalog::{Catalog, StoredInstance};
use cimrepo::cim::{FullClass, Instance, ScalarType, Value};
use cimrepo::query::QueryOptions;

use crate::cases::Answer;
use crate::naive::{self, Asked, Constant};
use crate::plans::rounds;
use crate::support::corpus;
use crate::support::small::Numbers;

const SEED: u64 = 17;

/// Of so many queries one is also answered by a reading of the whole namespace.
const SCANNED: u64 = 16;

/// System properties that queries ask.
const SYSTEM: [&str; 9] = [
    "__GENUS",
    "__CLASS",
    "__SUPERCLASS",
    "__DYNASTY",
    "__PROPERTY_COUNT",
    "__NAMESPACE",
    "__SERVER",
    "__RELPATH",
    "__PATH",
];

/// A namespace with all its instances.
struct Place<'c> {
    catalog: &'c Catalog,
    namespace: String,
    all: Vec<StoredInstance>,
}

impl<'c> Place<'c> {
    fn new(catalog: &'c Catalog, namespace: String) -> Self {
        let all = naive::everything(catalog, &namespace);
        Self {
            catalog,
            namespace,
            all,
        }
    }

    /// The class of an instance or one above it; those with many instances come most often.
    fn some_class(&self, numbers: &mut Numbers) -> String {
        let class = pick(numbers, &self.all).instance.class();
        let above = class.derivation();
        let name = match numbers.next() % 3 {
            0 => class.name(),
            _ => above
                .get(below(numbers, above.len() + 1))
                .unwrap_or(class.name()),
        };
        name.as_str().to_owned()
    }
}

/// Makes conditions on one class.
struct Generator<'g> {
    numbers: &'g mut Numbers,
    namespace: &'g str,
    class: &'g FullClass,
    /// Its instances, from which constants are taken.
    instances: &'g [&'g StoredInstance],
}

fn pick<'t, T>(numbers: &mut Numbers, among: &'t [T]) -> &'t T {
    &among[below(numbers, among.len())]
}

fn below(numbers: &mut Numbers, limit: usize) -> usize {
    usize::try_from(numbers.next() % u64::try_from(limit).unwrap()).unwrap()
}

impl Generator<'_> {
    fn one_in(&mut self, count: u64) -> bool {
        self.numbers.next().is_multiple_of(count)
    }

    fn instance(&mut self) -> &Instance {
        &pick(self.numbers, self.instances).instance
    }

    fn condition(&mut self, depth: u32) -> Asked {
        if depth == 0 || self.one_in(3) {
            return if self.one_in(4) {
                self.whole_key()
            } else {
                self.term()
            };
        }
        match below(self.numbers, 5) {
            0 => Asked::Not(Box::new(self.condition(depth - 1))),
            1 | 2 => self.both(depth),
            _ => Asked::Or(
                Box::new(self.condition(depth - 1)),
                Box::new(self.condition(depth - 1)),
            ),
        }
    }

    fn both(&mut self, depth: u32) -> Asked {
        let (a, b) = (self.condition(depth - 1), self.condition(depth - 1));
        Asked::And(Box::new(a), Box::new(b))
    }

    /// A value for each key of an instance, or its path: what a plan looks up.
    fn whole_key(&mut self) -> Asked {
        let number = below(self.numbers, self.instances.len());
        let instance = &self.instances[number].instance;
        let equals = |column: &str, constant| Asked::Compare {
            column: column.to_owned(),
            operator: "=",
            constant,
            turned: false,
        };
        let path = instance.path().unwrap();
        if self.one_in(4) {
            return equals("__RELPATH", Constant::Text(path.text()));
        }
        if self.one_in(4) {
            let text = path.in_namespace(self.namespace).text();
            return equals("__PATH", Constant::Text(format!(r"\\.\{text}")));
        }
        let mut keys = Vec::new();
        for key in instance.class().key_properties() {
            let name = key.name.as_str();
            let is_known = self.class.property(name).is_some();
            let constant = instance.value_of(key).and_then(constant_of);
            match constant.filter(|_| is_known) {
                Some(constant) => keys.push(equals(name, constant)),
                None => return self.term(),
            }
        }
        let all = keys
            .into_iter()
            .reduce(|a, b| Asked::And(Box::new(a), Box::new(b)));
        all.unwrap_or_else(|| self.term())
    }

    fn term(&mut self) -> Asked {
        if self.one_in(4) {
            return self.of_system();
        }
        let properties: Vec<_> = self.class.properties().iter().collect();
        if properties.is_empty() {
            return self.of_system();
        }
        let property = *pick(self.numbers, &properties);
        let (name, cim_type) = (property.name.as_str().to_owned(), property.cim_type);
        if cim_type.array || cim_type.scalar == ScalarType::Object || self.one_in(8) {
            let negated = self.one_in(2);
            return Asked::Null {
                column: name,
                negated,
            };
        }
        let value = self.instance().get(&name).unwrap().cloned();
        self.on_value(name, cim_type.scalar, value)
    }

    fn of_system(&mut self) -> Asked {
        let column = *pick(self.numbers, &SYSTEM);
        let instance = self.instance().clone();
        let (value, scalar) = match column {
            "__GENUS" | "__PROPERTY_COUNT" => {
                let some = i32::try_from(below(self.numbers, 12)).unwrap();
                (Value::Sint32(some), ScalarType::Sint32)
            }
            "__NAMESPACE" => (Value::from(self.namespace), ScalarType::String),
            "__SERVER" => (Value::from("."), ScalarType::String),
            // Paths are told apart as paths, and not as texts, unless by order or LIKE.
            "__RELPATH" | "__PATH" => {
                let path = instance.path().unwrap();
                let path = match column {
                    "__PATH" => format!(r"\\.\{}", path.in_namespace(self.namespace).text()),
                    _ => path.text(),
                };
                (Value::from(path), ScalarType::String)
            }
            _ => {
                let names = instance.class().derivation();
                let at = below(self.numbers, names.len() + 1);
                let name = names.get(at).unwrap_or(instance.class().name());
                (Value::from(name.as_str()), ScalarType::String)
            }
        };
        self.on_value(column.to_owned(), scalar, Some(value))
    }

    /// A comparison with a value that an instance has, or with one near to it.
    fn on_value(&mut self, column: String, scalar: ScalarType, value: Option<Value>) -> Asked {
        let constant = value.as_ref().and_then(constant_of);
        let Some(constant) = constant else {
            return self.with_null(column);
        };
        if let Constant::Text(text) = &constant
            && self.one_in(4)
        {
            let pattern = self.pattern(text);
            return Asked::Like { column, pattern };
        }
        let is_path = column == "__PATH" || column == "__RELPATH";
        let operator = match scalar {
            ScalarType::Boolean => *pick(self.numbers, &["=", "<>"]),
            _ => *pick(self.numbers, &["=", "=", "<>", "<", ">", "<=", ">="]),
        };
        let constant = match scalar {
            // Another spelling of a path may be the same path.
            _ if is_path => constant,
            ScalarType::DateTime | ScalarType::Boolean => constant,
            _ => self.near(constant),
        };
        let turned = self.one_in(3);
        Asked::Compare {
            column,
            operator,
            constant,
            turned,
        }
    }

    fn with_null(&mut self, column: String) -> Asked {
        let operator = *pick(self.numbers, &["=", "<>"]);
        let (constant, turned) = (Constant::Null, self.one_in(2));
        Asked::Compare {
            column,
            operator,
            constant,
            turned,
        }
    }

    /// The constant itself, in other letters, or one that is a little larger or smaller.
    fn near(&mut self, constant: Constant) -> Constant {
        match (constant, below(self.numbers, 4)) {
            (Constant::Text(text), 0) => Constant::Text(text.to_ascii_uppercase()),
            (Constant::Text(text), 1) => Constant::Text(text.to_ascii_lowercase()),
            (Constant::Text(mut text), 2) => {
                text.pop();
                Constant::Text(text)
            }
            (Constant::Integer(value), 0) => Constant::Real(value.saturating_mul(10) + 5),
            (Constant::Integer(value), 1) => Constant::Text(value.to_string()),
            (Constant::Integer(value), 2) => Constant::Integer(value + 1),
            (same, _) => same,
        }
    }

    /// A pattern that the text matches or nearly matches.
    fn pattern(&mut self, text: &str) -> String {
        let mut pattern = String::new();
        for c in text.chars().take(60) {
            match (c, below(self.numbers, 24)) {
                ('%' | '_' | '[', _) => pattern.push_str(&format!("[{c}]")),
                (_, 0) => pattern.push('_'),
                (_, 1) => pattern.push('%'),
                ('^' | ']', 2..4) => pattern.push('_'),
                (c, 2) => pattern.push_str(&format!("[{c}]")),
                (c, 3) => pattern.push_str(&format!("[^{c}]")),
                (c, _) => pattern.push(c),
            }
        }
        // A long text is cut, and the pattern is open there.
        let is_open = text.chars().count() > 60 || self.one_in(3);
        pattern + if is_open { "%" } else { "" }
    }
}

/// A value as a constant; `None` for what queries do not compare, or not by value.
fn constant_of(value: &Value) -> Option<Constant> {
    const LONGEST: usize = 2_000;
    match value {
        Value::Boolean(value) => Some(Constant::Boolean(*value)),
        Value::String(text) | Value::Reference(text) | Value::DateTime(text) => {
            (text.len() <= LONGEST).then(|| Constant::Text(text.clone()))
        }
        value => value.as_integer().map(Constant::Integer),
    }
}

fn ask(place: &Place<'_>, text: &str, options: QueryOptions) -> Answer {
    let answer = Answer::of(place.catalog, &place.namespace, text, options);
    answer.unwrap_or_else(|error| panic!("{} {text}: {error}", place.namespace))
}

fn sorted(mut paths: Vec<String>) -> Vec<String> {
    paths.sort();
    paths
}

/// What came of the queries, for people.
#[derive(Debug, Default)]
struct Tally {
    queries: u64,
    /// Of these with rows, and not with all of the class.
    some: u64,
    rows: usize,
}

/// One query in each form; the number of its rows.
fn check(place: &Place<'_>, numbers: &mut Numbers, tally: &mut Tally) {
    let name = &place.some_class(numbers);
    let class = place.catalog.class(&place.namespace, name).unwrap();
    let Some(class) = class else { return };
    let of_class = |stored: &&StoredInstance| stored.instance.class().is_a(name);
    let instances: Vec<_> = place.all.iter().filter(of_class).collect();
    let mut generator = Generator {
        numbers,
        namespace: &place.namespace,
        class: &class.class,
        instances: &instances,
    };
    let asked = generator.condition(3);
    let wanted = naive::paths_among(&place.all, &place.namespace, name, Some(&asked));
    let text = format!("SELECT * FROM {name} WHERE {}", asked.text());
    let planned = sorted(ask(place, &text, QueryOptions::default()).paths);
    assert_eq!(planned, wanted, "{} {text}", place.namespace);
    let count = text.replacen('*', "COUNT(*)", 1);
    let count = ask(place, &count, QueryOptions::default()).count;
    assert_eq!(count, Some(wanted.len() as u64), "{text}");
    if numbers.next().is_multiple_of(SCANNED) {
        let scanned = ask(place, &text, QueryOptions::default().full_scan(true));
        assert_eq!(sorted(scanned.paths), wanted, "{} {text}", place.namespace);
    }
    tally.queries += 1;
    tally.rows += wanted.len();
    tally.some += u64::from(!wanted.is_empty() && wanted.len() < instances.len());
}

#[test]
fn generated_queries_over_real_repositories_have_one_answer() {
    for path in corpus("generated queries over real repositories") {
        let repository = cimrepo::store::Repository::open_read_only(&path).unwrap();
        let catalog = Catalog::new(repository.snapshot());
        let namespaces = catalog.namespaces().into_iter().map(Result::unwrap);
        let places: Vec<Place<'_>> = namespaces
            .map(|namespace| Place::new(&catalog, namespace))
            .filter(|place| !place.all.is_empty())
            .collect();
        let (mut numbers, mut tally) = (Numbers(SEED), Tally::default());
        let crowds: Vec<&Place<'_>> = places.iter().filter(|place| place.all.len() > 20).collect();
        for round in 0..rounds() {
            let place = match round % 4 {
                0 => pick(&mut numbers, &places),
                _ => *pick(&mut numbers, &crowds),
            };
            check(place, &mut numbers, &mut tally);
        }
        println!("{}: {tally:?}", path.display());
        assert!(tally.queries >= u64::from(rounds()) / 2, "{tally:?}");
        // Answers that tell plans apart: some rows, and not all.
        assert!(tally.some * 5 > tally.queries, "{tally:?}");
    }
}
