//! `export`: prints all objects as JSON lines or MOF.

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::catalog::Catalog;
use clap::{Args, ValueEnum};

use crate::ui::listing::{Listing, TOP};
use crate::ui::mof_text::Encoding;
use crate::ui::output::{Failure, Output};
use crate::ui::source::{SourceArguments, SourcesArguments};

/// Print every namespace, class and instance, as JSON lines or MOF
///
/// The system classes come first (their namespace is called __SystemClass), then the namespaces
/// in the order of their tree, each with its classes by name and its instances by class and
/// path. A class has all its properties and methods, inherited ones too; an instance has a
/// value for each property of its class.
///
/// An object that cannot be read is reported on standard error, and the others follow. The
/// numbers of objects printed come last, on standard error, and whether the index has more.
///
/// A PATH may be a directory above repositories, such as the root of a collected tree. Every
/// repository below it is read; if there are several, each object says in `source` which one it
/// is from.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 everything was printed, 1 no such namespace, a directory was passed
over, or MOF has no words for something, 3
I/O, 4 something could not be read, or not a repository or backup. Of several sources the
most telling code counts: 70, 130, 2, 6, 3, 4, 5, 1, 0, in this order.

Examples:
  cimrepo export /evidence/wbem/Repository > objects.jsonl
  cimrepo export monday.cimbak --namespace 'root\\subscription' -r | jq 'select(.kind == \
  \"instance\") | .path'
  cimrepo export monday.cimbak --class __EventConsumer
  cimrepo export monday.cimbak --namespace 'root\\subscription' --format mof > subscription.mof")]
pub struct Arguments {
    #[command(flatten)]
    sources: SourcesArguments,

    /// Only this namespace
    #[arg(long, value_name = "NS")]
    namespace: Option<String>,

    /// With --namespace, also everything below it
    #[arg(short, long, requires = "namespace")]
    recursive: bool,

    /// Only this class, the classes derived from it and their instances, without the namespaces
    #[arg(long, value_name = "C")]
    class: Option<String>,

    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,

    /// The encoding of --format mof
    #[arg(long, value_enum, default_value_t = Encoding::Utf8, value_name = "E")]
    encoding: Encoding,

    /// The same as --format jsonl
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON, one object a line
    Jsonl,
    /// MOF that compiles to equal content, superclasses first; for one source only. Content that
    /// MOF cannot express is reported on standard error
    Mof,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        self.sources.each(|source| self.export(source))
    }

    fn export(&self, source: &SourceArguments) -> Result<Outcome, Failure> {
        let is_mof = self.format == Format::Mof;
        let mut output = Output::new(!is_mof);
        if is_mof && output.has_label() {
            return Err(Failure::usage(
                "MOF of several repositories makes no sense in one file; give one",
            ));
        }
        let mut list = Listing::new(Catalog::new(source.open()?.snapshot()), &mut output);
        let top = self
            .namespace
            .as_deref()
            .map(|namespace| list.find(namespace))
            .transpose()?;
        let namespaces = list.tree(top.as_deref(), self.recursive);
        match &self.class {
            class if is_mof => export_mof(&mut list, &namespaces, class.as_deref(), self.encoding)?,
            Some(class) => export_class(&mut list, &namespaces, class)?,
            None => {
                for namespace in &namespaces {
                    list.namespace(namespace)?;
                    list.objects(namespace)?;
                }
            }
        }
        list.finish(true)?;
        Ok(list.outcome())
    }
}

fn export_mof(
    list: &mut Listing<'_>,
    namespaces: &[String],
    class: Option<&str>,
    encoding: Encoding,
) -> Result<(), Failure> {
    match (list.mof(namespaces, class, encoding)?, class, namespaces) {
        (false, Some(class), [only]) => Err(list.no_class(only, class)),
        (false, Some(class), _) => Err(list.no_class(TOP, class)),
        _ => Ok(()),
    }
}

/// Prints a class, its subclasses and their instances in all namespaces.
fn export_class(list: &mut Listing<'_>, namespaces: &[String], class: &str) -> Result<(), Failure> {
    let mut is_there = false;
    for namespace in namespaces {
        list.look_into(namespace);
        is_there |= list.of_class(namespace, class, true)?;
    }
    match (is_there, namespaces) {
        (true, _) => Ok(()),
        (false, [only]) => Err(list.no_class(only, class)),
        (false, _) => Err(list.no_class(TOP, class)),
    }
}
