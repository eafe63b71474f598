//! The token of a paused state, with which a later copy can be compared.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::base::error::{Error, Result};
use crate::base::escape::escape;
use crate::base::misuse::{Invalid, Misuse};
use crate::base::site::FileRole;
use crate::format::Dialect;
use crate::format::mapping::Mapping;
use crate::pager::files::RepositoryFiles;
use crate::pager::state::image::Image;

/// First word of the text form, including the number of the form.
const HEAD: &str = "cimrepo-pause-1";

/// Identifies the state that a pause brought to the files by generation, transaction, and a digest
/// of the mapping. The mapping names every page of the state with its place and checksum. Two
/// repositories, or two states of one, never share a token.
///
/// Its text form is one word, `cimrepo-pause-1:2.2:GENERATION:TRANSACTION:DIGEST`, with the digest
/// in lower-case hexadecimal. `Display` writes it and `FromStr` reads it.
/// [`verify::prove`](crate::verify::prove) and [`Backup::prove`](crate::backup::Backup::prove)
/// compare a copy with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PauseToken {
    /// The dialect.
    pub dialect: Dialect,
    /// The generation.
    pub generation: u32,
    /// The transaction number of the mapping.
    pub transaction: u32,
    /// SHA-256 of the mapping file. If a repository of dialect 2.1 has only OBJECTS.MAP and
    /// INDEX.MAP, SHA-256 of the two in this order.
    pub digest: [u8; 32],
}

impl PauseToken {
    /// The token of the state in the files, without the commits of journals.
    pub(crate) fn of_image(files: &RepositoryFiles, image: &Image) -> Result<Self> {
        let base = image.on_disk();
        Self::of_file(files, base.mapping_role(), base.mapping())
    }

    /// The token of the state whose mapping is in a file.
    pub(crate) fn of_file(
        files: &RepositoryFiles,
        role: FileRole,
        mapping: &Mapping,
    ) -> Result<Self> {
        let mut bytes = files.read(role)?.unwrap_or_default();
        if role == FileRole::ObjectsMap {
            bytes.extend(files.read(FileRole::IndexMap)?.unwrap_or_default());
        }
        Ok(Self::of_bytes(mapping, &bytes))
    }

    /// The token of the state whose mapping has these bytes.
    pub(crate) fn of_bytes(mapping: &Mapping, bytes: &[u8]) -> Self {
        Self {
            dialect: mapping.dialect,
            generation: mapping.generation(),
            transaction: mapping.transaction(),
            digest: Sha256::digest(bytes).into(),
        }
    }
}

impl fmt::Display for PauseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            dialect,
            generation,
            transaction,
            digest,
        } = self;
        write!(f, "{HEAD}:{dialect}:{generation}:{transaction}:")?;
        digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for PauseToken {
    type Err = Error;

    /// Parses the text form, and no other spelling of it.
    ///
    /// # Errors
    /// Returns [`Error::InvalidArgument`] with [`Misuse::Token`].
    fn from_str(text: &str) -> Result<Self> {
        // Rejecting other spellings makes the printed form identical to the text that was read.
        parse(text)
            .filter(|token| token.to_string() == text)
            .ok_or_else(|| {
                let form = format!("{HEAD}:DIALECT:GENERATION:TRANSACTION:DIGEST");
                let what = "is not the token of a pause";
                Error::InvalidArgument(Invalid::new(
                    Misuse::Token,
                    format!("{} {what}; it has the form {form}", escape(text)),
                ))
            })
    }
}

fn parse(text: &str) -> Option<PauseToken> {
    let mut parts = text.split(':');
    if parts.next()? != HEAD {
        return None;
    }
    let written = parts.next()?;
    let dialect = [Dialect::V21, Dialect::V22]
        .into_iter()
        .find(|one| one.as_str() == written)?;
    let generation = parts.next()?.parse().ok()?;
    let transaction = parts.next()?.parse().ok()?;
    let digest = digest_of(parts.next()?)?;
    let token = PauseToken {
        dialect,
        generation,
        transaction,
        digest,
    };
    parts.next().is_none().then_some(token)
}

fn digest_of(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 2 * digest.len() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(feature = "serde")]
impl serde::Serialize for PauseToken {
    /// Writes the text form.
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> impl Strategy<Value = PauseToken> {
        let dialect = prop::sample::select(vec![Dialect::V21, Dialect::V22]);
        (dialect, any::<u32>(), any::<u32>(), any::<[u8; 32]>()).prop_map(
            |(dialect, generation, transaction, digest)| PauseToken {
                dialect,
                generation,
                transaction,
                digest,
            },
        )
    }

    proptest! {
        /// The written form can be read, and nothing else can.
        #[test]
        fn the_text_form_is_one_word_and_is_read_again(token in token(), at in 0usize..99, with in any::<char>()) {
            let text = token.to_string();
            prop_assert!(!text.contains(char::is_whitespace));
            prop_assert_eq!(text.parse::<PauseToken>().unwrap(), token);
            let mut changed: Vec<char> = text.chars().collect();
            let at = at % changed.len();
            changed[at] = with;
            let changed: String = changed.into_iter().collect();
            if let Ok(read) = changed.parse::<PauseToken>() {
                prop_assert_eq!(read.to_string(), changed);
            }
        }

        #[test]
        fn any_text_is_refused_or_read_as_it_is(text in "\\PC*") {
            if let Ok(read) = text.parse::<PauseToken>() {
                prop_assert_eq!(read.to_string(), text);
            }
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let token = PauseToken {
            dialect: Dialect::V22,
            generation: 7,
            transaction: 9,
            digest: [0xAB; 32],
        };
        let text = token.to_string();
        let wrong = [
            text.to_uppercase(),
            text.replace(":7:", ":07:"),
            text.replace(":7:", ":+7:"),
            text.replace("2.2", "2.3"),
            text.replace("pause-1", "pause-2"),
            format!("{text}:"),
            format!("{text}0"),
            format!(" {text}"),
            text[..text.len() - 1].to_owned(),
            text.replace(":9:", ":4294967296:"),
            String::new(),
        ];
        for wrong in wrong {
            let error = wrong.parse::<PauseToken>().unwrap_err();
            let is_token = |invalid: &Invalid| invalid.misuse == Misuse::Token;
            assert!(
                matches!(&error, Error::InvalidArgument(invalid) if is_token(invalid)),
                "{wrong}"
            );
        }
    }
}
