//! Remains of earlier states in the files of a repository, and findings about its live objects.
//!
//! Everything here reads: the files of a repository stay as they are.

pub mod carve;
pub mod people;
pub mod persistence;
mod place;
pub mod runs;

pub use carve::{CarveOptions, Carver, Remnant};
pub use persistence::Persistence;
pub use place::Place;
