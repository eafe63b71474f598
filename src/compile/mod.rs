//! MOF into a repository: what a text means, stored in one transaction. Source: `docs::mof`,
//! "Meaning".
//!
//! [`compile`] goes in three phases, as Windows' compiler does. First everything is read, included
//! files too; then names and aliases are checked that no repository is needed for; then objects are
//! stored in the order of the text. An error in the first two stores nothing; one in the third
//! takes everything back.

mod aliases;
mod awaited;
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
use crate::store::Engine;
use crate::text::diagnostic::Sources;

pub use include::{FileIncludes, IncludeError, Includes, NoIncludes};
pub use options::{CompileOptions, KeyMaker};
pub use report::{CompileReport, CompileStatus, Operation, OperationKind, Outcome, Phase};
pub use source::MofSource;

use compiler::Compiler;
use source::{Loader, Texts};

/// Compiles texts into a repository, in one transaction. Objects that are refused are in the
/// report; nothing is stored then, but with [`CompileOptions::keep_going`] the others are.
///
/// ```
/// use cimrepo::catalog::create;
/// use cimrepo::compile::{CompileOptions, MofSource, NoIncludes, compile};
/// use cimrepo::store::EngineOptions;
/// use cimrepo::storage::{Directory, MemStorage};
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

fn run(
    writer: Option<&mut CatalogWriter<'_>>,
    sources: &[MofSource],
    includes: &mut dyn Includes,
    options: &CompileOptions,
) -> Result<CompileReport> {
    let texts = Texts::new();
    let mut report = CompileReport::default();
    let mut loader = Loader::new(&texts, includes, options.strict);
    let units = loader.load(sources);
    report.diagnostics = loader.into_diagnostics();
    if report.has_errors() {
        report.fail(Phase::Parse, None);
    } else {
        let mut compiler = Compiler::new(options, &mut report);
        let is_well = units.iter().all(|unit| compiler.fold(unit));
        if let Some(writer) = writer.filter(|_| is_well) {
            for unit in &units {
                if !compiler.store(writer, unit)? {
                    break;
                }
            }
        }
    }
    drop(units);
    report.sources = texts.into_sources();
    Ok(report)
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
