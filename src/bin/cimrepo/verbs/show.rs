//! `show`: prints one class or instance.

use std::path::Path;
use std::sync::Arc;

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::base::escape::escape;
use cimrepo::catalog::json::{ClassRow, InstanceRow};
use cimrepo::catalog::{Catalog, ROOT, StoredClass, StoredInstance};
use cimrepo::cim::value::{Array, Value};
use cimrepo::cim::{Instance, ObjectPath};
use cimrepo::format::index::object_key::SYSTEM_NAMESPACE;
use cimrepo::security::readable;
use cimrepo::text::mof;
use clap::{Args, ValueEnum};

use crate::ui::listing::{Listing, missing};
use crate::ui::near;
use crate::ui::output::{Failure, Output, argument};
use crate::ui::source::SourceArguments;

/// Show a class or an instance as MOF or JSON
///
/// A class is shown with its own declarations; --inherited adds what it inherits, in comments. An
/// instance is shown with every property that has a value; security identifiers and descriptors
/// follow as text, in comments. In JSON both are complete, as `export` prints them. A path without
/// a namespace is looked up in ROOT, and a class also among the system classes.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 shown, 1 there is no such object, 2 not an object path, 4 it cannot be read.

Examples:
  cimrepo show /evidence/wbem/Repository 'root\\cimv2:Win32_Service'
  cimrepo show /evidence/wbem/Repository 'root\\subscription:__EventFilter.Name=\"SCM Event Log \
      Filter\"'
  cimrepo show monday.cimbak 'root:__SystemSecurity=@' --json
  cimrepo show REPO 'root\\x:ActiveScriptEventConsumer.Name=\"c\"' --property ScriptText --raw > \
      script.vbs")]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,

    /// Path of the object: NAMESPACE:CLASS, NAMESPACE:CLASS.KEY=VALUE,… or NAMESPACE:CLASS=@
    #[arg(value_name = "OBJECTPATH")]
    object: String,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Mof)]
    format: Format,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// For a class, also show what it inherits
    #[arg(long)]
    inherited: bool,

    /// Print only the value of this property; for a class, its default
    #[arg(long, value_name = "P", conflicts_with = "inherited")]
    property: Option<String>,

    /// With --property: write the stored bytes of a text or of an array of uint8 to a file or a
    /// pipe
    #[arg(long, requires = "property", conflicts_with_all = ["format", "json"])]
    raw: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// MOF
    Mof,
    /// JSON
    Json,
}

/// The object that a path denotes.
enum Found {
    Class(Arc<StoredClass>),
    Instance(Box<StoredInstance>),
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        self.source.each(|source| self.look_up(source))
    }

    fn look_up(&self, source: &SourceArguments) -> Result<Outcome, Failure> {
        let catalog = Catalog::new(source.open()?.snapshot());
        let mut output = Output::new(self.json || self.format == Format::Json);
        let path = self.path(&catalog, &source.path)?;
        let wanted = path.namespace.as_deref().unwrap_or(ROOT);
        let namespace = Listing::new(catalog.clone(), &mut output).find(wanted)?;
        let found = self.find(&catalog, &namespace, &path)?;
        match &self.property {
            Some(property) => self.show_property(&found, property, &mut output)?,
            None => self.show(&found, &namespace, &mut output)?,
        }
        output.finish()?;
        Ok(Outcome::Done)
    }

    /// The given path. Distinguishes a namespace from a class that does not exist.
    fn path(&self, catalog: &Catalog, repository: &Path) -> Result<ObjectPath, Failure> {
        let text = &self.object;
        let parsed = text.parse::<ObjectPath>();
        let names_class = parsed
            .as_ref()
            .is_ok_and(|path| path.namespace.is_some() || path.is_instance());
        let namespace = crate::ui::listing::namespace_path(text.trim_end_matches(':'));
        if !names_class
            && catalog.has_namespace(&namespace)?
            && !self.is_class(catalog, &namespace)?
        {
            let repository = argument(repository);
            let (text, namespace) = (escape(text), argument(namespace.as_ref()));
            let text =
                format!("{text} is a namespace; `cimrepo ls {repository} {namespace}` lists it");
            return Err(Failure::usage(text));
        }
        parsed.map_err(|error| Failure::usage(format!("{}: {error}", escape(text))))
    }

    /// True if a name without a namespace is that of a class of ROOT or of a system class.
    fn is_class(&self, catalog: &Catalog, name: &str) -> Result<bool, Failure> {
        Ok(catalog.class(ROOT, name)?.is_some())
    }

    fn find(
        &self,
        catalog: &Catalog,
        namespace: &str,
        path: &ObjectPath,
    ) -> Result<Found, Failure> {
        let class = path.class.as_str();
        let none = |hint: String| missing(format!("there is no {}{hint}", escape(&self.object)));
        let found = catalog.class(namespace, class)?;
        let found = found.ok_or_else(|| none(near::classes(catalog, namespace, class)))?;
        if !path.is_instance() {
            return Ok(Found::Class(found));
        }
        let path = ObjectPath {
            namespace: None,
            server: None,
            ..path.clone()
        };
        let stored = catalog.instance(namespace, &path)?;
        let near = || near::instances(catalog, namespace, class, &path.text());
        stored
            .map(|stored| Found::Instance(Box::new(stored)))
            .ok_or_else(|| none(near()))
    }

    fn show(&self, found: &Found, namespace: &str, output: &mut Output) -> Result<(), Failure> {
        match found {
            Found::Class(class) => {
                let namespace = if class.is_system {
                    SYSTEM_NAMESPACE
                } else {
                    namespace
                };
                match output.is_json() {
                    true => output.json(&ClassRow { namespace, class }),
                    false => output.text(&mof::class_text(&class.class, self.inherited)),
                }
            }
            Found::Instance(instance) if output.is_json() => output.json(&InstanceRow {
                namespace,
                instance,
            }),
            Found::Instance(stored) => {
                output.text(&mof::instance_text(&stored.instance))?;
                show_security(&stored.instance, output)
            }
        }
    }

    fn show_property(
        &self,
        found: &Found,
        property: &str,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let class = match found {
            Found::Class(class) => &class.class,
            Found::Instance(stored) => stored.instance.class(),
        };
        let Some(declared) = class.property(property) else {
            let names = class
                .properties()
                .iter()
                .map(|property| property.name.as_str().to_owned());
            let near = near::properties(property, names);
            return Err(missing(format!(
                "{} has no property {}{near}",
                class.name(),
                escape(property)
            )));
        };
        let value = match found {
            Found::Class(_) => declared.default.as_ref(),
            Found::Instance(stored) => stored.instance.value_of(declared),
        };
        if self.raw {
            return match value {
                Some(value) => output.bytes(&raw(property, value)?),
                None => Err(missing(format!("{} is NULL", escape(property)))),
            };
        }
        if output.is_json() {
            return output.row(
                "property",
                &PropertyRow {
                    name: declared.name.as_str(),
                    value,
                },
            );
        }
        match (value, value.and_then(readable::text_of)) {
            (_, Some(text)) => output.line(text),
            (Some(value), None) => output.text(&mof::value_text(value)),
            (None, None) => output.line("NULL"),
        }
    }
}

#[derive(serde::Serialize)]
struct PropertyRow<'r> {
    name: &'r str,
    value: Option<&'r Value>,
}

/// The bytes of a value that is a text or an array of bytes.
fn raw(property: &str, value: &Value) -> Result<Vec<u8>, Failure> {
    match value {
        Value::Array(Array::Uint8(bytes)) => Ok(bytes.clone()),
        Value::Array(Array::String(texts)) => {
            let lines = texts
                .iter()
                .map(|text| format!("{}\n", text.as_deref().unwrap_or_default()));
            Ok(lines.collect::<String>().into_bytes())
        }
        other => match other.as_text() {
            Some(text) => Ok(text.as_bytes().to_vec()),
            None => {
                let text =
                    format!("{property} is neither a text nor an array of uint8; leave --raw away");
                Err(Failure::usage(text))
            }
        },
    }
}

/// Prints security identifiers and descriptors of an instance as text, each in its own comment.
fn show_security(instance: &Instance, output: &mut Output) -> Result<(), Failure> {
    for (property, value) in instance.values() {
        if let Some(text) = value.and_then(readable::text_of) {
            output.line(format_args!("// {}: {text}", property.name))?;
        }
    }
    Ok(())
}
