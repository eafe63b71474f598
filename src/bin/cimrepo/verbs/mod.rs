//! The verbs of the command, one file each.

use cimrepo::base::error::ExitCode as Outcome;
use clap::Subcommand;

use crate::ui::output::Failure;

/// Declares the verbs, in the order in which the help lists them: the file of each, and its name.
macro_rules! verbs {
    ($($file:ident $name:ident),+ $(,)?) => {
        $(pub mod $file;)+

        #[derive(Debug, Subcommand)]
        pub enum Verb {
            $($name($file::Arguments),)+
        }

        impl Verb {
            pub fn run(self) -> Result<Outcome, Failure> {
                match self {
                    $(Verb::$name(arguments) => arguments.run(),)+
                }
            }
        }
    };
}

verbs! {
    demo Demo,
    create Create,
    info Info,
    verify Verify,
    backup Backup,
    backups Backups,
    restore Restore,
    compact Compact,
    ls Ls,
    show Show,
    export Export,
    diff Diff,
    convert Convert,
    delete Delete,
    recover Recover,
    usage Usage,
    keys Keys,
    page Page,
    pause Pause,
    completions Completions,
    man Man,
    bmf Bmf,
    query Query,
    compile Compile,
    persistence Persistence,
}
