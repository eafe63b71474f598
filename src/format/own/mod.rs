//! Files that are the engine's own: the journal, and backups with their names.

pub mod backup_file;
pub mod backup_name;
pub mod journal;
pub mod manifest;
