//! Names for security identifiers: the well-known ones, and those of users whose policy the
//! repository holds.

use std::collections::HashMap;

use crate::catalog::Catalog;
use crate::cim::path::{KeyBinding, ObjectPath, PathKeys, PathValue};
use crate::cim::value::{Array, Value};
use crate::format::security::sid::Sid;

/// Where the policy of a user lies: a namespace by the identifier with underscores.
const USERS: &str = r"ROOT\RSOP\User";

/// Where the policy of the machine lies.
const COMPUTER: &str = r"ROOT\RSOP\Computer";

/// Names of identifiers that are the same on every machine. Source: the list of well-known security
/// identifiers of the Windows documentation.
const WELL_KNOWN: [(&str, &str); 17] = [
    ("S-1-1-0", "Everyone"),
    ("S-1-5-4", "Interactive"),
    ("S-1-5-6", "Service"),
    ("S-1-5-7", "Anonymous"),
    ("S-1-5-11", "Authenticated Users"),
    ("S-1-5-18", "Local System"),
    ("S-1-5-19", "Local Service"),
    ("S-1-5-20", "Network Service"),
    ("S-1-5-32-544", "Administrators"),
    ("S-1-5-32-545", "Users"),
    ("S-1-5-32-546", "Guests"),
    ("S-1-5-32-547", "Power Users"),
    ("S-1-5-32-551", "Backup Operators"),
    ("S-1-5-32-555", "Remote Desktop Users"),
    ("S-1-5-32-577", "RDS Management Servers"),
    ("S-1-5-32-580", "Remote Management Users"),
    ("S-1-3-4", "Owner Rights"),
];

/// Names of the users of a machine, as far as the repository tells them.
#[derive(Debug, Clone, Default)]
pub struct People {
    by_sid: HashMap<String, String>,
    machine: Option<String>,
}

impl People {
    /// Reads the names from the policies of a repository. `namespaces` are the paths of all.
    pub fn of(catalog: &Catalog, namespaces: &[String]) -> Self {
        let mut people = Self {
            machine: target_name(catalog, COMPUTER),
            ..Self::default()
        };
        for namespace in namespaces {
            let Some(name) = below(namespace, USERS) else {
                continue;
            };
            let sid = name.to_ascii_uppercase().replace('_', "-");
            if sid.parse::<Sid>().is_ok()
                && let Some(user) = target_name(catalog, namespace)
            {
                people.by_sid.insert(sid, user);
            }
        }
        people
    }

    /// The name of an identifier.
    pub fn name_of(&self, sid: &Sid) -> Option<&str> {
        let text = sid.to_string();
        let known = WELL_KNOWN.iter().find(|(known, _)| *known == text);
        known
            .map(|(_, name)| *name)
            .or_else(|| self.by_sid.get(&text).map(String::as_str))
    }

    /// The name of the machine.
    pub fn machine(&self) -> Option<&str> {
        self.machine.as_deref()
    }

    /// The users that have a name: identifier and name, in order.
    pub fn users(&self) -> Vec<(&str, &str)> {
        let users = self.by_sid.iter();
        let mut users: Vec<_> = users.map(|(sid, name)| (&**sid, &**name)).collect();
        users.sort_unstable();
        users
    }
}

/// The one part of a path below another.
fn below<'n>(namespace: &'n str, top: &str) -> Option<&'n str> {
    let (head, rest) = namespace.split_at_checked(top.len())?;
    let name = rest.strip_prefix('\\')?;
    (head.eq_ignore_ascii_case(top) && !name.contains('\\')).then_some(name)
}

fn target_name(catalog: &Catalog, namespace: &str) -> Option<String> {
    let id = KeyBinding {
        name: Some("id".into()),
        value: PathValue::Text("Session1".to_owned()),
    };
    let path = ObjectPath {
        keys: PathKeys::Keys(vec![id]),
        ..ObjectPath::of_class("RSOP_Session")
    };
    let session = catalog.instance(namespace, &path).ok().flatten()?;
    let name = session.instance.text("targetName")?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// The security identifier that a property holds as bytes.
pub(super) fn sid_in(value: Option<&Value>) -> Option<Sid> {
    match value {
        Some(Value::Array(Array::Uint8(bytes))) => Sid::from_bytes(bytes),
        _ => None,
    }
}
