//! WQL over what a repository stores: names bound, access planned over the index, rows one at a
//! time. Source: `docs::query`.
//!
//! ```no_run
//! use cimrepo::query::{self, QueryOptions, Row};
//! # fn main() -> cimrepo::Result<()> {
//! # let repository = cimrepo::Repository::open_read_only("Repository")?;
//! let catalog = repository.catalog();
//! let text = "SELECT Name, Query FROM __EventFilter WHERE Query LIKE '%Win32_Process%'";
//! let mut rows = query::run(&catalog, r"ROOT\subscription", text, QueryOptions::default())?;
//! for row in &mut rows {
//!     if let Row::Instance(row) = row? {
//!         println!("{:?}", row.cells());
//!     }
//! }
//! for note in rows.notes() {
//!     println!("{note}");
//! }
//! # Ok(())
//! # }
//! ```

mod assoc;
mod assoc_classes;
mod bind;
mod column;
mod compare;
mod data;
mod explain;
mod family;
mod filter;
#[cfg(feature = "serde")]
mod grouped;
mod isa;
#[cfg(feature = "serde")]
mod json;
pub mod like;
mod lookups;
mod moment;
mod near;
mod notes;
mod options;
mod plan;
mod row;
mod rows;
mod schema;
mod schema_plan;

pub use explain::{AccessPath, Explanation, explain};
pub use notes::{Note, NoteCode};
pub use options::{QueryOptions, Rights};
pub use row::{Cell, ClassRow, InstanceRow, Projection, Row, RowCount};
pub use rows::{Counters, Rows, run};
