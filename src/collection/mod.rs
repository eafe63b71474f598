//! Many repositories at once: finding those that lie in a collected tree.

mod find;

pub use find::{Finder, Found, PassedOver, Reason};
