//! Operations that a file system can refuse.

use std::fmt;

macro_rules! operations {
    ($($name:ident $verb:literal $meaning:literal;)*) => {
        /// An operation that the operating system refused, for callers to match.
        ///
        /// Its `Display` is the verb that stands between "cannot" and the path.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum IoOp {
            $(#[doc = concat!($meaning, ".")] $name,)*
        }

        impl IoOp {
            /// Every operation.
            pub const ALL: &[IoOp] = &[$(IoOp::$name),*];

            const fn verb(self) -> &'static str {
                match self {
                    $(IoOp::$name => $verb,)*
                }
            }
        }
    };
}

operations! {
    Open "open" "A file that exists is opened";
    Create "create" "A file is created";
    CreateDirectory "create directory" "A directory is created";
    CreateBeside "make a file next to" "A file is made next to a directory, for its lock";
    FindDirectory "find directory" "The directory in which something is to be made is looked for";
    List "read directory" "The entries of a directory are read";
    Metadata "look at" "The kind, the length or the links of a file are asked for";
    Read "read" "Bytes of a file are read";
    Write "write" "Bytes of a file are written";
    Extend "extend" "Space is allocated for the next write";
    Truncate "cut" "The end of a file is cut off";
    Copy "copy to" "A file or directory is copied";
    Sync "sync" "What was written to a file is made durable";
    SyncFiles "sync the files in" "What was written to several files of a directory is made \
        durable";
    SyncDirectory "sync directory" "Creations, renames and removals in a directory are made \
        durable";
    Rename "rename" "A file or directory gets another name";
    RenameTo "rename a new file to" "A new file takes the name of the one that it replaces";
    SetAside "set aside" "A repository that is to be replaced is renamed";
    Remove "remove" "A file or directory is removed";
    Lock "lock" "A lock file is taken";
    SpawnThread "start a thread for" "A thread is started that looks after a repository";
}

impl fmt::Display for IoOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_operations_read_alike() {
        let verbs: BTreeSet<String> = IoOp::ALL.iter().map(IoOp::to_string).collect();
        assert_eq!(verbs.len(), IoOp::ALL.len());
    }
}
