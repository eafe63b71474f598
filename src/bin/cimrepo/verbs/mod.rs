//! The verbs of the command, one file each.

use cimrepo::base::error::ExitCode as Outcome;
use clap::Subcommand;

use crate::ui::output::Failure;

/// Declares the verbs, each with its file and its name, in the order of the help text.
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
