//! The result of a search for persistence: a finding, with the objects that it is about.

use std::fmt;

use crate::base::filetime::FileTime;
use crate::base::page_no::RecordRef;
use crate::cim::name::Name;
use crate::cim::value::Value;
use crate::format::security::sid::Sid;

use super::super::place::Place;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Known good, or reported as common.
    Info,
    /// Unusual: a person should look at it.
    Medium,
    /// It would run code, or hides a payload.
    High,
}

impl Level {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Medium => "medium",
            Level::High => "high",
        }
    }

    pub(super) const fn raised(self) -> Self {
        match self {
            Level::Info => Level::Medium,
            Level::Medium | Level::High => Level::High,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident $text:literal),+ $(,)?) => {
        /// A rule that a finding matches. Source: `docs::forensics`, "Rules".
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $name,)+
        }

        impl Rule {
            /// Every rule, in order.
            pub const ALL: &'static [Rule] = &[$(Rule::$name),+];

            /// Its identifier: `P01`.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Rule::$name => stringify!($name),)+
                }
            }

            /// A few words on it.
            pub const fn words(self) -> &'static str {
                match self {
                    $(Rule::$name => $text,)+
                }
            }
        }
    };
}

rules! {
    /// Binding to a consumer that runs code.
    P01 "binding to a consumer that runs code",
    /// Binding to any other consumer.
    P02 "binding that is not known as good",
    /// Consumer class that Windows does not bring, or not there.
    P03 "consumer class that Windows does not bring there",
    /// Half a chain.
    P04 "half a chain: an end or a binding is missing, or they lie in different namespaces",
    /// Outside ROOT\subscription.
    P05 "lies outside ROOT\\subscription",
    /// Creators that differ or are unusual.
    P06 "creators differ, or are not those of the system",
    /// Typical trigger of persistence.
    P07 "trigger that is typical of persistence",
    /// Timer instruction.
    P08 "timer instruction",
    /// Signs in a command or script.
    P09 "signs in a command or script",
    /// Provider that is not in the baseline.
    P10 "provider that the baseline does not have",
    /// Text or default that looks like a payload.
    P11 "looks like a payload",
    /// Class that is used as a drawer.
    P12 "class without qualifiers and superclass that keeps values",
    /// Put in a late run.
    P13 "put in a late run",
    /// Unusual descriptor of a namespace.
    P14 "descriptor of a namespace that lets others in",
    /// Namespace that Windows does not bring.
    P15 "namespace that Windows does not bring",
    /// Only in remains.
    P16 "only in remains",
    /// A known good name with other content.
    Imitation "name of a known good object, with other content",
}

/// Kind of the object that a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A binding with its ends.
    Binding,
    /// A filter without a binding.
    Filter,
    /// A consumer without a binding.
    Consumer,
    /// A timer instruction.
    Timer,
    /// A provider.
    Provider,
    /// The registration of a consumer provider.
    Registration,
    /// A class.
    Class,
    /// Any other instance.
    Instance,
    /// A namespace.
    Namespace,
}

impl Kind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Binding => "binding",
            Kind::Filter => "filter",
            Kind::Consumer => "consumer",
            Kind::Timer => "timer",
            Kind::Provider => "provider",
            Kind::Registration => "registration",
            Kind::Class => "class",
            Kind::Instance => "instance",
            Kind::Namespace => "namespace",
        }
    }
}

/// An object that a finding shows, whole.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its role in the finding.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its class; of a class its own name.
    pub class: Name,
    /// Its path, with the namespace.
    pub path: String,
    /// The reference to it as the binding stores it.
    pub reference: Option<String>,
    /// When it was put: the order of puts, no clock.
    pub stamp: FileTime,
    /// The run of the service in which it was put.
    pub run: Option<usize>,
    /// Its record.
    pub record: RecordRef,
    /// Where its record lies, as far as that can be told.
    pub place: Option<Place>,
    /// Its creator.
    pub creator: Option<Sid>,
    /// The name of the creator.
    pub creator_name: Option<String>,
    /// Its values in order of declaration, `None` for NULL; of a class those that matter.
    pub properties: Vec<(Name, Option<Value>)>,
}

impl Subject {
    /// The value of a property.
    pub fn get(&self, property: &str) -> Option<&Value> {
        let found = self.properties.iter().find(|(name, _)| *name == *property);
        found.and_then(|(_, value)| value.as_ref())
    }

    /// The text of a property; empty where it has none.
    pub fn text(&self, property: &str) -> &str {
        self.get(property)
            .and_then(Value::as_text)
            .unwrap_or_default()
    }
}

/// The generation in which an object first appears, of those on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstSeen {
    /// The generation.
    pub generation: u32,
    /// True if no older generation is on disk: the object may have been there before.
    pub or_earlier: bool,
}

/// A finding.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How much it weighs.
    pub level: Level,
    /// Its objects.
    pub kind: Kind,
    /// The rules that it matches, in order.
    pub rules: Vec<Rule>,
    /// Signs: the rule that each belongs to, and its words.
    pub tags: Vec<(Rule, String)>,
    /// The finding in a sentence: what runs, when, and as whom. Evidence in it is escaped.
    pub words: String,
    /// The namespace.
    pub namespace: String,
    /// The path of the main object.
    pub path: String,
    /// True if it is known good.
    pub is_known_good: bool,
    /// True if an object of it was put in a late run.
    pub is_late: bool,
    /// When the objects first appear.
    pub first_seen: Option<FirstSeen>,
    /// The objects: of a binding itself, its filter and its consumer, as far as they are there.
    pub subjects: Vec<Subject>,
}

impl Finding {
    /// The object of a kind, if the finding has one.
    pub fn subject(&self, kind: Kind) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.kind == kind)
    }
}
