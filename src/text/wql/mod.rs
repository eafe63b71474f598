//! WQL: the text of a query to a tree and back. Source: `docs::query`.
//!
//! A query that is not understood has one refusal, the leftmost: the lexer runs only as far as the
//! parser has come. Trees are bounded ([`MAX_QUERY_BYTES`] and its neighbours), so that nothing
//! that walks them runs out of stack.
//!
//! ```
//! use cimrepo::text::wql::{self, Query};
//!
//! let query = wql::parse("SELECT Name FROM Win32_Service WHERE NOT State = 'Running'").unwrap();
//! let Query::Select(select) = &query else { panic!("it selects") };
//! assert_eq!(select.class.value, "win32_service");
//! assert_eq!(query.to_string(), "SELECT Name FROM Win32_Service WHERE NOT State = \"Running\"");
//!
//! let refused = wql::parse("SELECT * FROM C WHERE Name = \"C:\\Windows\"").unwrap_err();
//! assert_eq!((refused.code.as_str(), refused.at.start), ("bad-escape", 32));
//! ```

mod assoc;
mod condition;
mod lexer;
mod number;
mod parser;
mod print;
mod tree;

pub use crate::base::limits::{
    MAX_CONDITION_DEPTH, MAX_CONDITION_TERMS, MAX_PATTERN_CHARS, MAX_QUERY_BYTES,
    MAX_QUERY_COLUMNS, MAX_QUERY_NAMES,
};
pub use crate::base::query_error::{QueryCode, QueryError};
pub use lexer::is_white;
pub use number::{Number, number_in};
pub use parser::parse;
pub use tree::{
    Association, AssociationKind, At, Column, Columns, Condition, Constant, Event, Group, Query,
    Relation, Select, Term, Test,
};
