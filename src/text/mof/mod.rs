//! MOF, the language that people write and read CIM objects in. Source: DSP0004 (CIM infrastructure specification), and for
//! flavors the WMI SDK.

mod print;

pub use print::{class_text, instance_text, method_text, property_text, qualifiers_text, value_text};
