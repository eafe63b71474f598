//! A binary MOF as MOF text.

use std::fmt::Write;

use super::object::{BmfContent, BmfObject};
use crate::text::mof::{Printed, literal_text, print_aliased_instance, print_declaration};

/// The namespace of objects whose source named none.
const UNNAMED: &str = r"root\default";

/// The flags that an instance can have.
const UPDATE_ONLY: i32 = 1;
const CREATE_ONLY: i32 = 2;

/// Prints objects of one binary MOF in their order, with the pragmas that change between them.
#[derive(Debug)]
pub struct BmfPrinter {
    /// The namespace of objects whose source named none.
    unnamed: String,
    namespace: String,
    class_flags: i32,
    instance_flags: i32,
}

impl BmfPrinter {
    /// A printer at the beginning of a text.
    pub fn new() -> Self {
        Self::in_namespace(UNNAMED)
    }

    /// A printer for a compile into `namespace`: objects whose source named none go there.
    pub fn in_namespace(namespace: &str) -> Self {
        Self {
            unnamed: namespace.to_owned(),
            namespace: namespace.to_owned(),
            class_flags: 0,
            instance_flags: 0,
        }
    }

    /// The pragmas that set a compiler to the state in which the printer begins, whatever came
    /// before.
    pub fn begin(&self) -> String {
        let namespace = self.namespace.trim_start_matches('\\');
        let path = literal_text(&format!(r"\\.\{namespace}"));
        format!("#pragma namespace({path})\n#pragma classflags(0)\n#pragma instanceflags(0)\n")
    }

    /// Prints the next object for a compiler.
    pub fn object(&mut self, object: &BmfObject) -> Printed {
        let mut pragmas = String::new();
        let named = object.namespace.as_deref();
        let named = named.filter(|namespace| *namespace != UNNAMED);
        let namespace = named.unwrap_or(&self.unnamed);
        if namespace != self.namespace {
            namespace.clone_into(&mut self.namespace);
            // Nothing can fail that writes into a string.
            writeln!(pragmas, "#pragma namespace({})", literal_text(namespace)).ok();
        }

        let (last, word, flags) = match &object.content {
            BmfContent::Class(_) => (&mut self.class_flags, "classflags", object.flags),
            BmfContent::Instance(_) => {
                // Real instances repeat the flags of the classes before them, which mean nothing to
                // instances.
                let flags = if matches!(object.flags, UPDATE_ONLY | CREATE_ONLY) {
                    object.flags
                } else {
                    0
                };
                (&mut self.instance_flags, "instanceflags", flags)
            }
        };
        if *last != flags {
            *last = flags;
            writeln!(pragmas, "#pragma {word}({flags})").ok();
        }

        let alias = object.alias.as_deref();
        let mut printed = match &object.content {
            BmfContent::Class(class) => print_declaration(class, alias),
            BmfContent::Instance(found) => {
                print_aliased_instance(&found.instance, alias, &found.aliases)
            }
        };
        printed.text.insert_str(0, &pragmas);
        printed
    }
}

impl Default for BmfPrinter {
    fn default() -> Self {
        Self::new()
    }
}
