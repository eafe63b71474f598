//! Detached signatures of backups in the format of minisign: a file next to the backup that signs
//! the 32 bytes of its seal.
//!
//! The seal is the SHA-256 of header and manifest, stored in the trailer
//! ([`docs::backup`](crate::docs::backup)). The manifest has a digest of every page and chunk, and
//! the header has the seal of the base. So the signature covers the whole chain and is checked
//! without reading it. [`Backup::verify`] checks that every byte matches its digest.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ct_codecs::{Base64, Decoder};

use super::link::{ChunkCache, Link};
use super::{Backup, hex, signature_path, uuid_text};
use crate::base::error::{BackupFault, Error, Result};
use crate::base::escape::escape_path;
use crate::base::io_op::IoOp;
use crate::base::misuse::Misuse;
use crate::base::random::random_u64;
use crate::format::own::backup_file::Digest;
use crate::pager::targets::ensure_plain_name;
use crate::storage::{EntryKind, OpenMode, Storage, Ties, parent_of, read_whole, write_all_at};

/// The beginning of every file of minisign.
const BEGIN: &[u8] = b"untrusted comment:";

/// Size of the longest key or signature that is read, in bytes. Comments are lines of text.
const MAX_BYTES: u64 = 64 << 10;

/// Size of a secret key, and offset of the name of the key derivation in it, in bytes.
const SECRET_BYTES: usize = 158;
const DERIVATION: std::ops::Range<usize> = 2..4;

/// A decrypted secret key of minisign.
pub struct SigningKey(minisign::SecretKey);

impl fmt::Debug for SigningKey {
    /// Leaves out the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// Parses the text of a secret key: one without a password (`minisign -G -W`), or an encrypted
    /// one with its password. Decryption takes the time and memory that the key itself demands:
    /// seconds, and 1 GiB for keys made by minisign.
    ///
    /// # Errors
    /// Returns [`Error::InvalidArgument`] with [`Misuse::SigningKey`] if the text is not a key, the
    /// password is missing or wrong, or a password is given but not needed.
    pub fn read(text: &str, password: Option<&str>) -> Result<Self> {
        let bytes =
            secret_bytes(text).ok_or_else(|| refused("this is not a secret key of minisign"))?;
        let is_encrypted = bytes.get(DERIVATION) != Some(&[0, 0]);
        let key = match password {
            None if is_encrypted => {
                return Err(refused("the secret key is encrypted; give its password"));
            }
            Some(_) if !is_encrypted => return Err(refused("the secret key has no password")),
            // minisign itself leaves the checksum of such a key empty.
            None => minisign::SecretKey::from_bytes(&bytes),
            Some(password) => minisign::SecretKeyBox::from_string(text)
                .and_then(|key| key.into_secret_key(Some(password.to_owned()))),
        };
        key.map(Self)
            .map_err(|error| refused(&format!("the secret key cannot be used: {error}")))
    }

    /// Signs the seal of a backup. Returns the text of the signature. `comment` is one line, which
    /// the signature covers too.
    ///
    /// # Errors
    /// Returns [`Error::InvalidArgument`] with [`Misuse::SigningKey`] if the key contradicts itself
    /// or the comment has several lines.
    pub fn sign(&self, seal: &Digest, comment: &str) -> Result<String> {
        if comment.contains(char::is_control) || comment.trim() != comment {
            return Err(refused(
                "the comment of a signature is one line, without blanks around it",
            ));
        }
        let failed = |error| refused(&format!("the secret key cannot be used: {error}"));
        let public = minisign::PublicKey::from_secret_key(&self.0).map_err(failed)?;
        let words = "signature of the seal of a cimrepo backup";
        let signed = minisign::sign(
            Some(&public),
            &self.0,
            &seal[..],
            Some(comment),
            Some(words),
        );
        Ok(signed.map_err(failed)?.into_string())
    }
}

/// The bytes of a secret key, encrypted or not.
fn secret_bytes(text: &str) -> Option<Vec<u8>> {
    let bytes = Base64::decode_to_vec(text.lines().nth(1)?.trim(), None).ok()?;
    (bytes.len() == SECRET_BYTES && bytes.starts_with(b"Ed")).then_some(bytes)
}

fn refused(text: &str) -> Error {
    Error::invalid(Misuse::SigningKey, text)
}

/// A public key of minisign.
#[derive(Debug, Clone)]
pub struct VerifyingKey(minisign_verify::PublicKey);

impl VerifyingKey {
    /// Parses the text of a public key: the file that minisign writes, or only its second line.
    ///
    /// # Errors
    /// Returns [`Error::InvalidArgument`] with [`Misuse::SigningKey`].
    pub fn read(text: &str) -> Result<Self> {
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.as_bytes().starts_with(BEGIN));
        let key = line.and_then(|line| minisign_verify::PublicKey::from_base64(line).ok());
        key.map(Self)
            .ok_or_else(|| refused("this is not a public key of minisign"))
    }

    /// Checks the text of a signature over a seal. Returns its trusted comment.
    ///
    /// # Errors
    /// Returns a sentence that explains why it is not the signature of this seal by this key.
    pub fn check(&self, seal: &Digest, signature: &str) -> std::result::Result<String, String> {
        use minisign_verify::{Error, Signature};
        let signature = Signature::decode(signature)
            .map_err(|_| "the signature cannot be read: it has no form of minisign's")?;
        match self.0.verify(seal, &signature, false) {
            Ok(()) => Ok(signature.trusted_comment().to_owned()),
            Err(Error::UnexpectedKeyId) => Err("it is signed by another key".to_owned()),
            Err(Error::UnexpectedAlgorithm) => Err(
                "the signature is of the old form that is not accepted; sign again without -l"
                    .to_owned(),
            ),
            Err(_) => Err(
                "the signature is of something else: the backup or the signature was changed"
                    .to_owned(),
            ),
        }
    }
}

impl Backup {
    /// Signs the backup. Returns the text of the signature, whose comment names the backup.
    ///
    /// # Errors
    /// The errors of [`SigningKey::sign`].
    pub fn sign(&self, key: &SigningKey) -> Result<String> {
        sign_link(&self.chain().top, key)
    }

    /// Checks the text of a signature. Returns its trusted comment.
    ///
    /// # Errors
    /// Returns [`BackupFault::Signature`].
    pub fn check_signature(&self, key: &VerifyingKey, signature: &str) -> Result<String> {
        let checked = key.check(self.seal(), signature);
        checked.map_err(|text| Error::backup(self.path(), BackupFault::Signature(text)))
    }

    /// Checks the signature next to the backup ([`signature_path`]). Returns its trusted comment.
    ///
    /// # Errors
    /// Returns [`BackupFault::Signature`], also if there is none, and [`Error::Io`] if the system
    /// refuses.
    pub fn check_signature_beside(
        &self,
        storage: &Arc<dyn Storage>,
        key: &VerifyingKey,
    ) -> Result<String> {
        let path = signature_path(self.path());
        let fault = |text: String| Error::backup(self.path(), BackupFault::Signature(text));
        match read_text(storage.as_ref(), &path) {
            Ok(Some(text)) => self.check_signature(key, &text),
            Ok(None) => Err(fault(format!("{} is no signature", escape_path(&path)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(fault(format!(
                "there is no signature {}",
                escape_path(&path)
            ))),
            Err(error) => Err(Error::io(IoOp::Read, &path, error)),
        }
    }
}

fn sign_link(link: &Link, key: &SigningKey) -> Result<String> {
    let (identity, seal) = (uuid_text(&link.header.identity), hex(&link.seal));
    let created = link.header.created / 1_000_000_000;
    key.sign(
        &link.seal,
        &format!("backup {identity}, created {created}, seal {seal}"),
    )
}

/// A text of bounded length; `None` if it is longer or not a text.
fn read_text(storage: &dyn Storage, path: &Path) -> io::Result<Option<String>> {
    let file = storage.open(path, OpenMode::Read)?;
    if file.len()? > MAX_BYTES {
        return Ok(None);
    }
    Ok(String::from_utf8(read_whole(file.as_ref(), MAX_BYTES)?).ok())
}

/// Signs the backup in a file and stores the signature next to it. The signature is written under
/// another name, made durable and then renamed. An older signature is replaced. The base of an
/// incremental backup is not needed.
///
/// # Errors
/// Returns [`Error::Backup`] if the file is not a backup or its seal is wrong,
/// [`Error::InvalidArgument`] if something other than a signature occupies the path of the
/// signature, and [`Error::Io`] if the system refuses. The backup is never changed.
pub fn sign_backup(storage: &Arc<dyn Storage>, backup: &Path, key: &SigningKey) -> Result<PathBuf> {
    let link = Link::open(storage, backup, &ChunkCache::new())?;
    let text = sign_link(&link, key)?;
    let path = signature_path(backup);
    ensure_signature_place(storage.as_ref(), &path)?;
    let mut name = path.clone().into_os_string();
    name.push(format!(".partial-{:08x}", random_u64() >> 32));
    let temporary = PathBuf::from(name);
    let written = write_durably(storage.as_ref(), &temporary, &link, &text).and_then(|()| {
        storage
            .rename(&temporary, &path)
            .map_err(|error| Error::io(IoOp::RenameTo, &path, error))
    });
    if written.is_err() {
        storage.remove_file(&temporary).ok();
    }
    written?;
    let parent = parent_of(&path);
    storage
        .sync_dir(parent)
        .map_err(|error| Error::unconfirmed(IoOp::SyncDirectory, parent, error))?;
    Ok(path)
}

fn write_durably(storage: &dyn Storage, path: &Path, link: &Link, text: &str) -> Result<()> {
    let file = storage
        .create(path, &link.protection)
        .map_err(|error| Error::io(IoOp::Create, path, error))?;
    write_all_at(file.as_ref(), 0, text.as_bytes())
        .map_err(|error| Error::io(IoOp::Write, path, error))?;
    file.sync()
        .map_err(|error| Error::io(IoOp::Sync, path, error))
}

/// Fails if something other than a signature occupies the path of the signature.
fn ensure_signature_place(storage: &dyn Storage, path: &Path) -> Result<()> {
    ensure_plain_name(storage, path)?;
    let failed = |error| Error::io(IoOp::Metadata, path, error);
    let is_free = match storage.kind(path).map_err(failed)? {
        None => true,
        Some(EntryKind::File) if storage.ties(path).map_err(failed)? != Ties::Link => {
            let file = storage
                .open(path, OpenMode::Read)
                .map_err(|error| Error::io(IoOp::Open, path, error))?;
            let mut begin = vec![0; BEGIN.len()];
            let read = crate::storage::read_exact_at(file.as_ref(), 0, &mut begin);
            file.len().map_err(failed)? == 0 || (read.is_ok() && begin == BEGIN)
        }
        Some(_) => false,
    };
    if is_free {
        return Ok(());
    }
    let text = "is there and is no signature, which would be put there; move it away";
    Err(Error::invalid(
        Misuse::Overwrite,
        format!("{} {text}", escape_path(path)),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any text in place of a key or signature is either rejected or accepted, without a panic.
        #[test]
        fn any_text_is_refused_or_taken(text in "(untrusted comment: \
            .*\n)?[A-Za-z0-9+/=]{0,240}\n(trusted comment: .*\n[A-Za-z0-9+/=]{0,100})?") {
            SigningKey::read(&text, None).ok();
            VerifyingKey::read(&text).ok();
            let key = VerifyingKey::read("RWTRYfGHGl4do6USIo/s9sQPnKZyTBOloOEf6GJtSYCYUQLhkVbbM8Ti").unwrap();
            prop_assert!(key.check(&[0; 32], &text).is_err());
        }
    }
}
