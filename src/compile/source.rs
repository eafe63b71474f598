//! Texts, and the texts that they include: read once, kept until the trees are gone.

use std::path::Path;
use std::sync::{Mutex, OnceLock};

use super::amendment::Locale;
use super::binary;
use super::include::Includes;
use super::options::CompileOptions;
use crate::base::limits::MAX_MOF_INCLUDES;
use crate::text::diagnostic::{Diagnostic, Place, Renumbered, SourceId};
use crate::text::mof::tree::{At, DirectiveKind, Item, Text};
use crate::text::mof::{ParseOptions, code, decode, parse};
use crate::text::span::Span;

/// A MOF file.
#[derive(Debug, Clone)]
pub struct MofSource {
    /// Its name in messages, and the path that its includes are looked up from.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl MofSource {
    /// A file with this name and content.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            bytes: bytes.into(),
        }
    }
}

/// Files that one compile reads.
const MAX_FILES: usize = 8_192;

/// A text that was read.
pub(super) struct Loaded {
    pub name: String,
    pub text: String,
    pub renumbered: Mutex<Vec<Renumbered>>,
}

/// The texts of a compile. They stay in place, so that trees can borrow from them while more are
/// added.
pub(super) struct Texts(Vec<OnceLock<Loaded>>);

impl Texts {
    pub(super) fn new() -> Self {
        Self((0..MAX_FILES).map(|_| OnceLock::new()).collect())
    }

    /// The number that the next text gets, as far as there is room.
    fn next(&self) -> Option<SourceId> {
        let free = self.0.partition_point(|slot| slot.get().is_some());
        (free < self.0.len()).then(|| SourceId(crate::base::narrow(free)))
    }

    fn add(&self, id: SourceId, loaded: Loaded) -> Option<&Loaded> {
        let slot = self.0.get(crate::base::widen(id.0))?;
        Some(slot.get_or_init(|| loaded))
    }

    fn name(&self, id: SourceId) -> &str {
        let slot = self.0.get(crate::base::widen(id.0)).and_then(OnceLock::get);
        slot.map(|loaded| &*loaded.name).unwrap_or_default()
    }

    pub(super) fn into_texts(self) -> impl Iterator<Item = Loaded> {
        self.0.into_iter().filter_map(OnceLock::into_inner)
    }
}

/// A part of a unit and the text that it stands in.
#[derive(Debug)]
pub(super) struct Step<'t> {
    pub source: SourceId,
    /// True if it comes from binary MOF, which says of each qualifier whether it is amended.
    pub is_binary: bool,
    pub item: Item<'t>,
}

/// A file with what it includes, in the order in which it is compiled.
#[derive(Debug, Default)]
pub(super) struct Unit<'t> {
    pub steps: Vec<Step<'t>>,
}

impl Unit<'_> {
    /// The locale that it says its amended qualifiers are in.
    pub(super) fn locale(&self) -> Option<Locale> {
        self.steps.iter().find_map(|step| match &step.item {
            Item::Directive(directive) => match &directive.kind {
                DirectiveKind::Amendment(locale) => Locale::parse(&locale.value),
                _ => None,
            },
            _ => None,
        })
    }
}

/// Reads files and what they include.
pub(super) struct Loader<'t, 'i> {
    texts: &'t Texts,
    includes: &'i mut dyn Includes,
    options: &'i CompileOptions,
    diagnostics: Vec<Diagnostic>,
    /// The files that are open here, each included by the one before, with the place of the
    /// include.
    chain: Vec<(String, Place)>,
}

impl<'t, 'i> Loader<'t, 'i> {
    pub(super) fn new(
        texts: &'t Texts,
        includes: &'i mut dyn Includes,
        options: &'i CompileOptions,
    ) -> Self {
        Self {
            texts,
            includes,
            options,
            diagnostics: Vec::new(),
            chain: Vec::new(),
        }
    }

    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.diagnostics
    }

    pub(super) fn load(&mut self, sources: &[MofSource]) -> Vec<Unit<'t>> {
        let one = |source: &MofSource| {
            let mut unit = Unit::default();
            self.includes.begin(Path::new(&source.name));
            self.read(source, Place::default(), &mut unit);
            unit
        };
        sources.iter().map(one).collect()
    }

    fn read(&mut self, source: &MofSource, from: Place, unit: &mut Unit<'t>) {
        let Some(id) = self.texts.next() else {
            let text = format!("more than {MAX_FILES} files are read");
            self.diagnostics.push(Diagnostic::error(
                code::ERROR_INVALID_INCLUDE_FILE,
                from,
                text,
            ));
            return;
        };
        let is_binary = binary::is_binary(&source.bytes);
        let Some(loaded) = self.decoded(id, source, is_binary) else {
            return;
        };
        let options = ParseOptions::of(id).strict(self.options.strict);
        let parsed = parse(&loaded.text, options);
        if let Ok(mut renumbered) = loaded.renumbered.lock() {
            *renumbered = parsed.renumbered;
        }
        self.diagnostics.extend(parsed.diagnostics);
        self.chain.push((source.name.clone(), from));
        for item in parsed.file.items {
            if let Item::Directive(directive) = &item
                && let DirectiveKind::Include(name) = &directive.kind
            {
                self.include(id, directive.at, name, unit);
                continue;
            }
            unit.steps.push(Step {
                source: id,
                is_binary,
                item,
            });
        }
        self.chain.pop();
    }

    /// The text of a file; `None` where there is none.
    fn decoded(&mut self, id: SourceId, source: &MofSource, is_binary: bool) -> Option<&'t Loaded> {
        if is_binary {
            let printed = binary::text(&source.bytes, id, &self.options.namespace);
            self.diagnostics.extend(printed.diagnostics);
            // Lines and columns are those of what is printed of it.
            let name = format!("{} (as MOF)", source.name);
            return self.add(id, &name, printed.text);
        }
        match decode(&source.bytes, id) {
            Ok(decoded) => {
                self.diagnostics.extend(decoded.diagnostics);
                self.add(id, &source.name, decoded.text.into_owned())
            }
            Err(diagnostic) => {
                self.add(id, &source.name, String::new());
                self.diagnostics.push(*diagnostic);
                None
            }
        }
    }

    fn add(&self, id: SourceId, name: &str, text: String) -> Option<&'t Loaded> {
        self.texts.add(
            id,
            Loaded {
                name: name.to_owned(),
                text,
                renumbered: Mutex::default(),
            },
        )
    }

    fn include(&mut self, from: SourceId, at: At, name: &Text<'_>, unit: &mut Unit<'t>) {
        let place = Place::new(from, at.0);
        let refuse = |text: String| {
            let place = Place::new(
                from,
                if name.at.0.is_empty() {
                    at.0
                } else {
                    name.at.0
                },
            );
            Diagnostic::error(code::ERROR_INVALID_INCLUDE_FILE, place, text)
        };
        if self.chain.len() > MAX_MOF_INCLUDES {
            self.diagnostics.push(refuse(format!(
                "files include each other more than {MAX_MOF_INCLUDES} deep"
            )));
            return;
        }
        let includer = self.texts.name(from).to_owned();
        let source = match self.includes.load(Path::new(&includer), &name.value) {
            Ok(source) => source,
            Err(error) => {
                self.diagnostics
                    .push(refuse(format!("cannot include `{}`: {error}", name.value)));
                return;
            }
        };
        if self.chain.iter().any(|(open, _)| *open == source.name) {
            let mut diagnostic = refuse(format!("`{}` includes itself", source.name));
            for (name, from) in self
                .chain
                .iter()
                .filter(|(_, from)| from.span != Span::default())
            {
                diagnostic = diagnostic.label(*from, format!("`{name}` is included here"));
            }
            self.diagnostics.push(diagnostic);
            return;
        }
        self.read(&source, place, unit);
    }
}
