//! Records of classes, instances and references, down to single values.

pub mod cim_value;
pub mod class_part;
pub mod class_record;
pub mod encoded_string;
pub mod heap;
pub mod instance_part;
pub mod instance_record;
pub mod methods_part;
pub mod object_block;
pub mod qualifier_set;
pub mod reader;
pub mod reference_record;
pub mod value_table;
