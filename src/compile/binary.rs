//! Binary MOF as the text that a compile reads: a file of it, or any binary that holds some.

use memchr::memmem;

use crate::format::bmf::{BmfPrinter, resources};
use crate::text::diagnostic::{Diagnostic, Place, SourceId};
use crate::text::mof::code;
use crate::text::span::Span;

/// The first bytes of every container of binary MOF: its signature and the number 1.
const CONTAINER: &[u8] = b"FOMB\x01\0\0\0";

/// The text of binary MOF, and what is wrong with it.
pub(super) struct BinaryText {
    pub text: String,
    pub diagnostics: Vec<Diagnostic>,
}

/// True if a file holds binary MOF. No text does: NUL is no character of MOF.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    let is_wide = bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]);
    !is_wide && memmem::find(bytes, CONTAINER).is_some()
}

/// Prints all that a file holds, as `source`. Objects whose source named no namespace are for
/// `namespace`.
pub(super) fn text(bytes: &[u8], source: SourceId, namespace: &str) -> BinaryText {
    let mut printed = BinaryText {
        text: String::new(),
        diagnostics: Vec::new(),
    };
    for resource in resources(bytes) {
        let at = resource.offset;
        match resource.body {
            Ok(body) => {
                let mut printer = BmfPrinter::in_namespace(namespace);
                // A file that holds several begins each of them where the last one left off.
                printed.text.push_str(&printer.begin());
                for object in body.objects() {
                    match object {
                        Ok(object) => printed.object(source, &printer.object(&object)),
                        Err(error) => printed.fail(source, at, &error),
                    }
                }
            }
            Err(error) => printed.fail(source, at, &error),
        }
    }
    printed
}

impl BinaryText {
    fn object(&mut self, source: SourceId, object: &crate::text::mof::Printed) {
        let start = crate::base::narrow(self.text.len());
        self.text.push_str(&object.text);
        self.text.push('\n');
        let end = crate::base::narrow(self.text.len());
        let place = Place::new(source, Span::new(start, end));
        for unsaid in &object.unsaid {
            let message = unsaid.to_string();
            let warning = Diagnostic::warning(code::INVALID_FILE, place, message);
            self.diagnostics.push(warning);
        }
    }

    fn fail(&mut self, source: SourceId, at: usize, error: &dyn std::fmt::Display) {
        let place = Place::new(source, Span::at(crate::base::narrow(self.text.len())));
        let message = format!("binary MOF at {at:#x}: {error}");
        let error = Diagnostic::error(code::INVALID_FILE, place, message);
        self.diagnostics.push(error);
    }
}
