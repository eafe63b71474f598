//! MOF into a repository: what a text means, stored in one transaction. Source: `docs::mof`,
//! "Meaning".
//!
//! [`compile`] goes in three phases, as Windows' compiler does. First everything is read, included
//! files too; then names and aliases are checked that no repository is needed for; then objects are
//! stored in the order of the text. An error in the first two stores nothing; one in the third
//! takes everything back.

mod aliases;
mod amendment;
mod awaited;
mod binary;
mod classes;
mod code;
mod compiler;
mod include;
mod instances;
mod methods;
mod namespaces;
mod options;
mod places;
mod qualifiers;
mod report;
mod source;
mod values;

use crate::base::error::Result;
use crate::catalog::CatalogWriter;
use crate::restore::in_memory;
use crate::storage::Directory;
use crate::store::{Engine, EngineOptions};
use crate::text::diagnostic::{Diagnostic, Severity, Sources};
use crate::text::mof::code as syntax;

pub use amendment::Locale;
pub use include::{FileIncludes, IncludeError, Includes, NoIncludes};
pub use options::{CompileOptions, KeyMaker};
pub use report::{CompileReport, CompileStatus, Operation, OperationKind, Outcome, Phase};
pub use source::MofSource;

use compiler::Compiler;
use source::{Loader, Texts, Unit};

/// Compiles texts into a repository, in one transaction. Objects that are refused are in the
/// report; nothing is stored then, but with [`CompileOptions::keep_going`] the others are.
///
/// ```
/// use cimrepo::compile::{CompileOptions, MofSource, NoIncludes, compile};
/// use cimrepo::{Directory, EngineOptions, MemStorage, create};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let directory = Directory::new(std::sync::Arc::new(MemStorage::new()), ".");
/// create(&directory)?;
/// let engine = EngineOptions::new().open_in(&directory)?;
///
/// let mof = r#"class Shelf { [key] string Name; uint32 Boards = 3; };
/// instance of Shelf { Name = "left"; };"#;
/// let sources = [MofSource::new("shelves.mof", mof)];
/// let report = compile(&engine, &sources, &mut NoIncludes, &CompileOptions::default())?;
/// assert!(report.is_stored());
/// assert_eq!(report.operations.len(), 2);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Engine::begin_catalog_write`] and [`CatalogWriter::commit`]. What is wrong with the texts
/// is no error of this function, but in the report.
pub fn compile(
    engine: &Engine,
    sources: &[MofSource],
    includes: &mut dyn Includes,
    options: &CompileOptions,
) -> Result<CompileReport> {
    let mut writer = engine.begin_catalog_write()?;
    let report = compile_in(&mut writer, sources, includes, options)?;
    if report.is_stored() {
        writer.commit()?;
    }
    Ok(report)
}

/// Compiles texts in a transaction, which it does not commit. Where the report has errors and
/// [`CompileOptions::keep_going`] is off, the transaction holds what was stored before the first
/// one: drop it.
///
/// # Errors
/// As [`CatalogWriter::put_class`], but for rules that an object breaks: these are in the report.
pub fn compile_in(
    writer: &mut CatalogWriter<'_>,
    sources: &[MofSource],
    includes: &mut dyn Includes,
    options: &CompileOptions,
) -> Result<CompileReport> {
    run(Some(writer), sources, includes, options)
}

/// Reads texts, and checks what can be told without a repository.
///
/// # Errors
/// None so far; what is wrong with the texts is in the report.
pub fn check(
    sources: &[MofSource],
    includes: &mut dyn Includes,
    options: &CompileOptions,
) -> Result<CompileReport> {
    run(None, sources, includes, options)
}

/// Compiles texts into the repository in a directory, as [`compile`] does, but into a copy in
/// memory: nothing on disk changes, and nobody is locked out.
///
/// # Errors
/// As [`compile`], and what keeps the repository from being read.
pub fn check_in(
    directory: &Directory,
    sources: &[MofSource],
    includes: &mut dyn Includes,
    options: &CompileOptions,
) -> Result<CompileReport> {
    let copy = in_memory(directory)?;
    let engine = EngineOptions::new().background(false).open_in(&copy)?;
    let mut writer = engine.begin_catalog_write()?;
    compile_in(&mut writer, sources, includes, options)
}

/// A master file taken apart.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Split {
    /// Errors and warnings. With an error there are no texts.
    pub report: CompileReport,
    /// The neutral MOF: everything but what is amended.
    pub neutral: String,
    /// The localised MOF: what is amended, for the namespaces of a locale.
    pub localised: String,
}

/// Splits master files into neutral and localised MOF, and stores nothing. `locale` is the language
/// of what is amended; without it the first `#pragma amendment` says it.
pub fn split(
    sources: &[MofSource],
    includes: &mut dyn Includes,
    options: &CompileOptions,
    locale: Option<&Locale>,
) -> Split {
    let texts = Texts::new();
    let mut report = CompileReport::default();
    let units = read(&texts, sources, includes, options, &mut report);
    let is_well = check_units(&units, options, &mut report);

    let declared = units.iter().find_map(Unit::locale);
    let locale = locale.cloned().or(declared);
    let (mut neutral, mut localised) = (String::new(), String::new());
    match locale {
        Some(locale) if is_well => {
            neutral = amendment::neutral_text(&units);
            localised = amendment::localised_text(&units, &options.namespace, &locale);
        }
        Some(_) => {}
        None if is_well => {
            let text = "no text says what language its amended qualifiers are in";
            let code = syntax::INVALID_AMENDMENT_SYNTAX;
            let error = Diagnostic::new(Severity::Error, code, None, text);
            let help = "write `#pragma amendment(\"MS_409\")`, or give the locale";
            report.diagnostics.push(error.help(help));
            report.fail(Phase::Argument, None);
        }
        None => {}
    }
    drop(units);
    report.sources = texts.into_sources();
    Split {
        report,
        neutral,
        localised,
    }
}

fn run(
    writer: Option<&mut CatalogWriter<'_>>,
    sources: &[MofSource],
    includes: &mut dyn Includes,
    options: &CompileOptions,
) -> Result<CompileReport> {
    let texts = Texts::new();
    let mut report = CompileReport::default();
    let units = read(&texts, sources, includes, options, &mut report);
    let is_well = check_units(&units, options, &mut report);
    if let Some(writer) = writer.filter(|_| is_well) {
        let mut compiler = Compiler::new(options, &mut report);
        for unit in &units {
            if !compiler.store(writer, unit)? {
                break;
            }
        }
    }
    drop(units);
    report.sources = texts.into_sources();
    Ok(report)
}

/// The first phase: reads texts and what they include.
fn read<'t>(
    texts: &'t Texts,
    sources: &[MofSource],
    includes: &mut dyn Includes,
    options: &CompileOptions,
    report: &mut CompileReport,
) -> Vec<Unit<'t>> {
    let mut loader = Loader::new(texts, includes, options);
    let units = loader.load(sources);
    report.diagnostics = loader.into_diagnostics();
    if report.has_errors() {
        report.fail(Phase::Parse, None);
    }
    units
}

/// The second phase: names and aliases. Returns whether the third one may follow.
fn check_units(units: &[Unit<'_>], options: &CompileOptions, report: &mut CompileReport) -> bool {
    if report.has_errors() {
        return false;
    }
    let mut compiler = Compiler::new(options, report);
    units.iter().all(|unit| compiler.fold(unit))
}

impl Texts {
    fn into_sources(self) -> Sources {
        let mut sources = Sources::new();
        for text in self.into_texts() {
            let id = sources.add(text.name, text.text);
            sources.renumber(id, text.renumbered.into_inner().unwrap_or_default());
        }
        sources
    }
}
