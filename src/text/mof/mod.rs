//! MOF, the language that people write and read CIM objects in. Sources: DSP0004 (CIM
//! infrastructure specification) and the WMI SDK; the grammar and what is decided where they are
//! silent stand in `docs::mof`.
//!
//! [`decode`] makes text of bytes, [`parse`] a [syntax tree](tree) of text, [`file_text`] text of a
//! tree. Objects are printed by [`class_text`] and its neighbours. None of these knows a
//! repository: the meaning of a text is given to it by `compile`.

pub mod code;
mod decode;
mod lexer;
mod literal;
mod parser;
mod print;
pub mod tree;
mod tree_text;

pub(crate) use literal::{integer_text, real_text};

pub use decode::{BINARY_MARK, Decoded, Encoding, decode};
pub use parser::{ParseOptions, Parsed, parse};
pub use print::{
    Printed, Unsaid, UnsaidKind, class_text, instance_text, literal_text, method_text,
    print_aliased_instance, print_class, print_declaration, print_instance, property_text,
    qualifiers_text, value_text,
};
pub(crate) use tree_text::{class_text_with, file_items_text};
pub use tree_text::{file_text, item_text};
