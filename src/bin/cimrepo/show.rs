//! `show`: one class or instance.

use cimrepo::base::error::ExitCode as Outcome;
use cimrepo::catalog::json::{ClassRow, InstanceRow};
use cimrepo::catalog::{Catalog, ROOT};
use cimrepo::cim::ObjectPath;
use cimrepo::format::object_key::SYSTEM_NAMESPACE;
use cimrepo::mof;
use clap::{Args, ValueEnum};

use super::listing::{Listing, missing};
use super::output::{Failure, Output};
use super::source::SourceArguments;

/// Show a class or an instance as MOF or JSON
///
/// A class is shown as it is declared; --inherited adds what it inherits, in comments. An instance is shown with every property
/// that has a value. In JSON both are whole, as `export` prints them. A path without namespace is looked up in ROOT, and a
/// class also among the system classes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cimrepo show /evidence/wbem/Repository 'root\\cimv2:Win32_Service'
  cimrepo show /evidence/wbem/Repository 'root\\subscription:__EventFilter.Name=\"SCM Event Log Filter\"'
  cimrepo show monday.cimbak 'root:__SystemSecurity=@' --json")]
pub struct Arguments {
    #[command(flatten)]
    source: SourceArguments,

    /// Path of the object: NAMESPACE:CLASS, NAMESPACE:CLASS.KEY=VALUE,… or NAMESPACE:CLASS=@
    #[arg(value_name = "OBJECTPATH")]
    object: String,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Mof)]
    format: Format,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// Of a class, also what it inherits
    #[arg(long)]
    inherited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// MOF
    Mof,
    /// JSON
    Json,
}

impl Arguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let path: ObjectPath =
            self.object.parse().map_err(|error| Failure::usage(format!("{}: {error}", self.object)))?;
        let catalog = Catalog::new(self.source.open()?.snapshot());
        let mut output = Output::new(self.json || self.format == Format::Json);
        let namespace = Listing::new(catalog.clone(), &mut output).find(path.namespace.as_deref().unwrap_or(ROOT))?;
        let none = || missing(format!("there is no {}", self.object));
        if path.is_instance() {
            let path = ObjectPath { namespace: None, ..path };
            let stored = catalog.instance(&namespace, &path)?.ok_or_else(none)?;
            match output.is_json() {
                true => output.json(&InstanceRow { namespace: &namespace, instance: &stored })?,
                false => output.text(&mof::instance_text(&stored.instance))?,
            }
        } else {
            let stored = catalog.class(&namespace, path.class.as_str())?.ok_or_else(none)?;
            let lies_in = if stored.is_system { SYSTEM_NAMESPACE } else { &namespace };
            match output.is_json() {
                true => output.json(&ClassRow { namespace: lies_in, class: &stored })?,
                false => output.text(&mof::class_text(&stored.class, self.inherited))?,
            }
        }
        output.finish()?;
        Ok(Outcome::Done)
    }
}
