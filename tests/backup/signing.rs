//! Signatures in minisign's form: vectors that minisign 0.11 itself made, and what is refused.

use std::path::Path;
use std::sync::Arc;

use cimrepo::Misuse;
use cimrepo::backup::{
    BackupOptions, OpenBackup, SigningKey, VerifyingKey, backup_in, sign_backup, signature_path,
};
use cimrepo::base::error::{BackupFault, Error};
use cimrepo::base::progress::Unobserved;
use cimrepo::format::Dialect;
use cimrepo::storage::{MemStorage, Storage};

use crate::support::Files;
use crate::tiny::{bytes_of, opened, single, stored_at, tiny};

/// `minisign -G -W`.
const SECRET: &str = "untrusted comment: a test key
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA0WHxhxpeHaNs37aYEY0szJDDtVLbXzPNnDgsAJWezOqz+O6vb0XaGKUSIo/s9sQPnKZyTBOloOEf6GJtSYCYUQLhkVbbM8TiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
";

/// The same key under a password, with limits that a test can afford; minisign takes it with
/// `a password`.
const ENCRYPTED: &str = "untrusted comment: a test key with a password
RWRTY0IyZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoMAAAgAAAAAAAAAAAEAAAAAdriVspdVT5t/9iCqYBM/kvPtNtAqgyDt/o95kJHAcrcN49oZzwrwRt+/penYXNM+P1WpMJKpgfT33Up7yibniUe3xhASICfrsT/TIno5ZzNBB0DUnO16mbOGFzC9rCqLrsRMSRqFZXU=
";

const PUBLIC: &str = "untrusted comment: minisign public key A31D5E1A87F161D1
RWTRYfGHGl4do6USIo/s9sQPnKZyTBOloOEf6GJtSYCYUQLhkVbbM8Ti
";

/// Of another pair.
const OTHER: &str = "RWSAhmGbatEwPZ2hsRR64st+kgLjeXpHj4GA1rhCB3iFRPN6eeJ5xKww";

/// `minisign -S -m seal -t 'a trusted comment'` of a file with the bytes 0 to 31.
const SIGNATURE: &str = "untrusted comment: untrusted words
RUTRYfGHGl4do7gQDoaWGfYvtJeTVodVB42nvmm+ymk7N7c4Rf/KwI9EnxsY4OzjtxRxUnpSmjCA5L1rWzzNIo+Qj/yCzT2Kxwg=
trusted comment: a trusted comment
F//TKLCgCpjAfBpDzPUo0OmAuaxJeTzVhVDrtSX3kNlUv1Z8XZ/4GlMaduRHD88OYDRsCaCAKqVAbl57Vy1wDA==
";

/// The same with `-l`: of the file itself and not of its hash.
const LEGACY: &str = "untrusted comment: signature from minisign secret key
RWTRYfGHGl4do4aQBsnskQUjM18YyjC5NhbO8Ns3LYyjeK5iKjKEpkMki4AeUTeNPdQCcWuQPh29oj/sHyF/KTyTMVOBmK1hQw8=
trusted comment: legacy
RutmuaMaCkNmjI1RoLwnDbi2ck5/Z8/aU6TwjWeSeY9eXmQWZTlwx7iXd/zGieguGq71FALh0xku+qd2gKORCg==
";

fn seal() -> [u8; 32] {
    std::array::from_fn(|at| u8::try_from(at).unwrap())
}

fn key() -> VerifyingKey {
    VerifyingKey::read(PUBLIC).unwrap()
}

#[test]
fn what_minisign_signs_is_taken_and_nothing_else() {
    assert_eq!(
        key().check(&seal(), SIGNATURE).unwrap(),
        "a trusted comment"
    );
    let line = PUBLIC.lines().nth(1).unwrap();
    let windows = SIGNATURE.replace('\n', "\r\n");
    assert!(
        VerifyingKey::read(line)
            .unwrap()
            .check(&seal(), &windows)
            .is_ok()
    );
    // The first comment is the only thing that no signature covers.
    assert!(
        key()
            .check(&seal(), &SIGNATURE.replace("untrusted words", "others"))
            .is_ok()
    );

    let other = VerifyingKey::read(OTHER).unwrap();
    assert!(
        other
            .check(&seal(), SIGNATURE)
            .unwrap_err()
            .contains("another key")
    );
    assert!(
        key()
            .check(&seal(), LEGACY)
            .unwrap_err()
            .contains("old form")
    );
    let mut wrong = seal();
    wrong[31] ^= 1;
    assert!(
        key()
            .check(&wrong, SIGNATURE)
            .unwrap_err()
            .contains("something else")
    );
    let comment = SIGNATURE.replace("a trusted comment", "A trusted comment");
    assert!(key().check(&seal(), &comment).is_err());
    for length in 0..SIGNATURE.len() - 2 {
        assert!(
            key().check(&seal(), &SIGNATURE[..length]).is_err(),
            "{length}"
        );
    }
    // Each character of what is signed.
    for at in SIGNATURE.find("RUT").unwrap()..SIGNATURE.len() - 1 {
        let mut bytes = SIGNATURE.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(key().check(&seal(), &changed).is_err(), "{changed}");
    }
}

#[test]
fn what_is_signed_here_is_what_minisign_takes() {
    // Ed25519 over the hash is deterministic but for what is mixed in: so it is checked, and not
    // compared.
    for signing in [
        SigningKey::read(SECRET, None),
        SigningKey::read(ENCRYPTED, Some("a password")),
    ] {
        let text = signing.unwrap().sign(&seal(), "a comment").unwrap();
        assert_eq!(key().check(&seal(), &text).unwrap(), "a comment");
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("untrusted comment: ") && lines[1].starts_with("RUTRYfGHGl4do"),
            "{text}"
        );
        assert!(
            lines[2] == "trusted comment: a comment" && lines.len() == 4,
            "{text}"
        );
    }
}

fn is_refused<T: std::fmt::Debug>(result: cimrepo::Result<T>, words: &str) {
    let error = result.unwrap_err();
    assert!(
        matches!(&error, Error::InvalidArgument(invalid) if invalid.misuse == Misuse::SigningKey),
        "{error}"
    );
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn keys_and_passwords_that_do_not_fit_are_refused() {
    is_refused(SigningKey::read(ENCRYPTED, None), "give its password");
    is_refused(SigningKey::read(ENCRYPTED, Some("another")), "password");
    is_refused(
        SigningKey::read(SECRET, Some("a password")),
        "has no password",
    );
    for text in ["", "\n\n", PUBLIC, SIGNATURE, &SECRET[..SECRET.len() - 9]] {
        is_refused(SigningKey::read(text, None), "not a secret key");
    }
    for text in ["", "untrusted comment: x", SECRET, SIGNATURE, &OTHER[1..]] {
        is_refused(VerifyingKey::read(text), "not a public key");
    }
    let signing = SigningKey::read(SECRET, None).unwrap();
    for comment in ["two\nlines", " blanks "] {
        is_refused(signing.sign(&seal(), comment), "one line");
    }
    assert_eq!(format!("{signing:?}"), "SigningKey");
    // The half that a public key is made of is of another key.
    let mut bytes = SECRET.as_bytes().to_vec();
    let at = SECRET.find("KUSIo").unwrap();
    bytes[at..at + 5].copy_from_slice(b"KUSIp");
    let bent = SigningKey::read(&String::from_utf8(bytes).unwrap(), None).unwrap();
    assert!(bent.sign(&seal(), "x").is_err());
}

/// A backup of `version` with a signature beside it.
fn signed(storage: &MemStorage, file: &str, version: u8, base: Option<&str>) {
    stored_at(storage, "repository", &tiny(Dialect::V22, version));
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let options = BackupOptions {
        base: base.map(Into::into),
        ..single()
    };
    backup_in(
        &opened(storage, "repository").unwrap(),
        &shared,
        file,
        &options,
        &Unobserved,
    )
    .unwrap();
    let path = sign_backup(
        &shared,
        Path::new(file),
        &SigningKey::read(SECRET, None).unwrap(),
    )
    .unwrap();
    assert_eq!(path, signature_path(Path::new(file)));
}

fn check(storage: &MemStorage, file: &str) -> Result<String, String> {
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let backup = OpenBackup::new().open_in(&shared, file).unwrap();
    backup
        .check_signature_beside(&shared, &key())
        .map_err(|error| match error {
            Error::Backup { fault, .. } => match *fault {
                BackupFault::Signature(text) => text,
                other => panic!("{other}"),
            },
            other => panic!("{other}"),
        })
}

#[test]
fn a_signature_is_of_one_backup_and_of_what_it_is_based_on() {
    let storage = MemStorage::new();
    signed(&storage, "full", 0, None);
    signed(&storage, "increment", 1, Some("full"));
    for file in ["full", "increment"] {
        let comment = check(&storage, file).unwrap();
        assert!(
            comment.starts_with("backup ") && comment.contains("seal "),
            "{comment}"
        );
    }
    // Another backup under the same name, and the signature of another.
    let older = bytes_of(&storage, Path::new("full"));
    signed(&storage, "full", 1, None);
    assert!(
        check(&storage, "full").is_ok(),
        "an older signature is replaced"
    );
    storage.put("full", older);
    assert!(
        check(&storage, "full")
            .unwrap_err()
            .contains("something else")
    );
    storage.put(
        "full.minisig",
        bytes_of(&storage, Path::new("increment.minisig")),
    );
    assert!(
        check(&storage, "full")
            .unwrap_err()
            .contains("something else")
    );
    storage.put("full.minisig", vec![b'a'; 1 << 20]);
    assert!(
        check(&storage, "full")
            .unwrap_err()
            .contains("is no signature")
    );
    storage.remove_file(Path::new("full.minisig")).unwrap();
    assert!(
        check(&storage, "full")
            .unwrap_err()
            .contains("there is no signature")
    );
}

#[test]
fn nothing_else_than_a_signature_is_replaced_by_one() {
    let storage = MemStorage::new();
    signed(&storage, "full", 0, None);
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let key = SigningKey::read(SECRET, None).unwrap();
    let names = |storage: &MemStorage| -> Files {
        let entries = storage.read_dir(Path::new("")).unwrap();
        entries
            .into_iter()
            .map(|entry| (entry.name, Vec::new()))
            .collect()
    };
    for (there, is_replaced) in [
        (&b"my notes, which are longer than the beginning"[..], false),
        (b"untrusted", false),
        (b"", true),
    ] {
        storage.put("full.minisig", there.to_vec());
        let before = names(&storage);
        let done = sign_backup(&shared, Path::new("full"), &key);
        assert_eq!(done.is_ok(), is_replaced, "{done:?}");
        assert_eq!(
            bytes_of(&storage, Path::new("full.minisig")) == there,
            !is_replaced
        );
        assert_eq!(names(&storage), before, "nothing is left");
    }
    storage.remove_file(Path::new("full.minisig")).unwrap();
    storage.create_dir(Path::new("full.minisig")).unwrap();
    let refused = sign_backup(&shared, Path::new("full"), &key).unwrap_err();
    assert!(
        matches!(&refused, Error::InvalidArgument(invalid) if invalid.misuse == Misuse::Overwrite),
        "{refused}"
    );
    assert!(sign_backup(&shared, Path::new("repository"), &key).is_err());
}
