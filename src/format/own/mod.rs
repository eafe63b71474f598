//! Files of the engine itself: the journal, and backups with their names.

pub mod backup_file;
pub mod backup_name;
pub mod journal;
pub mod manifest;
