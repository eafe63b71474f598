//! How MOF is compiled.

use std::fmt::Write;
use std::sync::Arc;

use crate::format::security::sid::Sid;
use crate::text::mof::tree::Flags;

/// Makes the texts of new keys.
pub type KeyMaker = Arc<dyn Fn() -> String + Send + Sync>;

/// How MOF is compiled.
#[derive(Clone)]
#[non_exhaustive]
pub struct CompileOptions {
    /// The namespace of what stands before the first `#pragma namespace`.
    pub namespace: String,
    /// Flags of classes where no `#pragma classflags` stands before them.
    pub class_flags: Flags,
    /// Flags of instances where no `#pragma instanceflags` stands before them.
    pub instance_flags: Flags,
    /// Doubtful text is refused.
    pub strict: bool,
    /// An object that is refused is passed over, and the others are stored.
    pub keep_going: bool,
    /// Stores what a printed repository says and nothing else: amended qualifiers stay marked,
    /// names may begin with two low lines, no key and no `CreatorSID` is filled in.
    pub exact: bool,
    /// Instances give way to a class whose layout or keys change by force.
    pub delete_instances: bool,
    /// Namespaces that are not there are refused.
    pub require_namespaces: bool,
    /// The user whom `CreatorSID` names where an instance does not give one.
    pub creator: Sid,
    /// Makes the keys of instances that leave a string key open: GUIDs in braces, in capitals.
    pub new_key: KeyMaker,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self {
            namespace: r"root\default".to_owned(),
            class_flags: Flags::default(),
            instance_flags: Flags::default(),
            strict: false,
            keep_going: false,
            exact: false,
            delete_instances: false,
            require_namespaces: false,
            creator: Sid::LOCAL_SYSTEM,
            new_key: Arc::new(random_guid),
        }
    }
}

impl std::fmt::Debug for CompileOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompileOptions")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// A random GUID as Windows writes keys that it makes: in braces, in capitals.
fn random_guid() -> String {
    let bytes = crate::base::random::random_uuid();
    let mut text = String::from("{");
    for (number, byte) in bytes.iter().enumerate() {
        if matches!(number, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Nothing can fail that writes into a string.
        write!(text, "{byte:02X}").ok();
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::random_guid;

    #[test]
    fn keys_are_guids_of_their_own() {
        let [a, b] = [random_guid(), random_guid()];
        assert_ne!(a, b);
        assert_eq!((a.len(), a.as_bytes()[15]), (38, b'4'));
        assert!(matches!(a.as_bytes()[20], b'8' | b'9' | b'A' | b'B'), "{a}");
        assert_eq!(a, a.to_uppercase());
    }
}
