//! What the system refuses at a chosen place, and what others do at a chosen moment.

use std::io;
use std::path::Path;

use cimrepo::base::error::Error;
use cimrepo::repository::OpenOptions;

use crate::support::hooked::Hooked;
use crate::support::small::small_v22;
use crate::support::{PLACE, in_memory};

/// Refuses these calls on paths that end like this.
fn refusing(call: &'static str, end: &'static str) -> impl Fn(&str, &Path) -> io::Result<()> + Send + Sync {
    move |asked, path| match asked == call && path.ends_with(end) {
        true => Err(io::Error::other("refused")),
        false => Ok(()),
    }
}

#[test]
fn a_page_that_the_system_does_not_read_is_no_reason_to_take_an_older_generation() {
    for file in ["OBJECTS.DATA", "INDEX.BTR"] {
        let storage = Hooked::new(in_memory(&small_v22()).0, refusing("read", file));
        let error = OpenOptions::new().open_in(&storage.directory(PLACE)).unwrap_err();
        assert!(matches!(error, Error::Io { .. }) && error.path().unwrap().ends_with(file), "{error}");
    }
}
