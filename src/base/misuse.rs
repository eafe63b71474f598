//! Kinds of misuse by a caller.

use std::fmt;

use super::escape::guard;

macro_rules! misuses {
    ($($name:ident $meaning:literal;)*) => {
        /// A request that makes no sense, for programs to match. The sentence in [`Invalid`] is for
        /// people.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Misuse {
            $(#[doc = concat!($meaning, ".")] $name,)*
        }
    };
}

misuses! {
    EmptyPath "A path is empty";
    UnnamedPath "A path does not end with a name, so nothing can be put next to it";
    PathKind "A path leads to something else than is needed: a directory for a file, a file for a \
        directory, a pipe";
    Link "A path is a symbolic link, or a file has other names, and what is written would show \
        elsewhere";
    ReservedName "A path has the name of a repository file";
    AmbiguousName "A path has a name that the system takes for another, or for a stream or a \
        device";
    Overwrite "A file of another kind would be replaced";
    NotEmpty "A directory that should be empty holds something";
    RepositoryExists "A directory holds a repository that must not be replaced";
    NoNameLeft "All names for setting a repository aside are taken";
    BackupInside "A backup is in the directory that would be replaced";
    Flags "A flag is given that the method does not support";
    Options "Options contradict each other";
    Generation "There is no generation with that number";
    Base "A backup cannot be the base of this one";
    Key "A key cannot be stored, or is out of order";
    LastKey "No key would be left";
    UnnamedRecord "A record would be named by no key";
    Value "A text is not a value of its type";
    SecurityDescriptor "A security descriptor breaks a rule of those of namespaces";
    SigningKey "A text is not a minisign key, or its password is missing or wrong";
    Token "A text is not the token of a pause";
    Use "A command is used in a way that it does not support";
}

/// A misuse, with a sentence that explains it and says what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The kind of misuse.
    pub misuse: Misuse,
    /// The sentence.
    pub text: Box<str>,
}

impl Invalid {
    /// A misuse with its sentence.
    pub fn new(misuse: Misuse, text: impl Into<String>) -> Self {
        Self {
            misuse,
            text: text.into().into_boxed_str(),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", guard(&self.text))
    }
}
