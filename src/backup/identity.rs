//! The identity of content, which is equal for repositories with equal pages, whatever their places
//! and generations.

use sha2::{Digest as _, Sha256};

use crate::base::narrow;
use crate::base::page_no::Space;
use crate::format::mapping::Mapping;
use crate::format::own::backup_file::Digest;
use crate::format::own::manifest::{ChunkEntry, SpaceManifest};

/// SHA-256 of a byte string.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// SHA-256 of the header followed by the manifest, which a trailer seals.
pub(crate) fn seal(header: &[u8], manifest: &[u8]) -> Digest {
    Sha256::new()
        .chain_update(header)
        .chain_update(manifest)
        .finalize()
        .into()
}

/// SHA-256 over the kind and the digest of each chunk, for files without a generation.
pub(crate) fn identity_of_files(chunks: &[ChunkEntry]) -> Digest {
    let mut hash = Sha256::new();
    for chunk in chunks {
        hash.update([chunk.header.kind.number()]);
        hash.update(chunk.digest);
    }
    hash.finalize().into()
}

/// SHA-256 over the dialect and, for each space, the number of logical pages, the root as stated in
/// the mapping, and for each logical page either a zero byte, or a one and the SHA-256 of the page.
pub(crate) fn content_identity(mapping: &Mapping, spaces: [&SpaceManifest; 2]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(mapping.dialect.as_str());
    for (space, manifest) in Space::ALL.into_iter().zip(spaces) {
        let root = mapping
            .section(space)
            .entries
            .first()
            .map_or(0, |entry| entry.user_data);
        hash.update(narrow(manifest.pages.len()).to_le_bytes());
        hash.update(root.to_le_bytes());
        for page in &manifest.pages {
            match page.digest() {
                None => hash.update([0]),
                Some(digest) => {
                    hash.update([1]);
                    hash.update(digest);
                }
            }
        }
    }
    hash.finalize().into()
}
