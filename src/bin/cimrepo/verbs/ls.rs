//! `ls`: lists namespaces, classes and instances.

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::catalog::Catalog;
use clap::Args;

use crate::ui::listing::{Listing, TOP, split_class};
use crate::ui::output::{Failure, Output};
use crate::ui::source::SourceArguments;

/// List the namespaces, classes and instances of a namespace
///
/// Lists the namespaces directly below, then the classes by name, then the instances by class
/// and path. The system classes have a namespace of their own, __SystemClass. An object that
/// cannot be read is reported on standard error, and the list goes on. With --json, objects are
/// printed in full, as `export` prints them.
///
/// Given a class, as NAMESPACE:CLASS, lists the class, the classes derived directly from it and its
/// own instances; with -r everything derived from it, and all their instances.
///
/// The repository may be named by a directory above it. Every repository below that directory
/// is listed; if there are several, each line begins with the one it is about.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 listed, 1 nothing is there, no such namespace, or a part could not be read, 3
I/O, 4 no object could be read, or not a repository or backup.

Examples:
  cimrepo ls /evidence/wbem/Repository
  cimrepo ls monday.cimbak 'root\\subscription'
  cimrepo ls monday.cimbak 'root\\subscription:__EventConsumer' -r
  cimrepo ls /evidence/wbem/Repository -r | grep -c ^instance")]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,

    /// Path of the namespace, or of a class: NAMESPACE:CLASS
    #[arg(default_value = TOP, value_name = "NAMESPACE[:CLASS]")]
    namespace: String,

    /// Also everything below it
    #[arg(short, long)]
    recursive: bool,

    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        self.source.each(|source| self.list(source))
    }

    fn list(&self, source: &SourceArguments) -> Result<Outcome, Failure> {
        let mut output = Output::new(self.json);
        let mut list = Listing::new(Catalog::new(source.open()?.snapshot()), &mut output);
        let (namespace, class) = split_class(&self.namespace);
        let top = list.find(namespace)?;
        if let Some(class) = class {
            if !list.of_class(&top, class, self.recursive)? {
                return Err(list.no_class(&top, class));
            }
        } else if self.recursive {
            for namespace in list.tree(Some(&top), true) {
                list.namespace(&namespace)?;
                list.objects(&namespace)?;
            }
        } else {
            list.children(&top)?;
            list.objects(&top)?;
        }
        list.finish(false)?;
        let outcome = list.outcome();
        output.finish()?;
        Ok(outcome)
    }
}
