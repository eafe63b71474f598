//! Backups taken apart and put together again, with checksums and seal made to fit.

use cimrepo::format::checksum::crc32;
use cimrepo::format::own::backup_file::{
    CHUNK_HEADER_SIZE, Digest, HEADER_SIZE, Header, TRAILER_SIZE, Trailer,
};
use cimrepo::format::own::manifest::{Manifest, PageState};
use sha2::{Digest as _, Sha256};

/// The parts of a backup.
#[derive(Clone)]
pub struct Parts {
    pub header: Header,
    /// The stored payload of each chunk.
    pub payloads: Vec<Vec<u8>>,
    pub manifest: Manifest,
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl Parts {
    /// The parts of an intact backup.
    pub fn of(bytes: &[u8]) -> Self {
        let header = Header::parse(&bytes[..HEADER_SIZE]).unwrap();
        let trailer =
            Trailer::parse(&bytes[bytes.len() - TRAILER_SIZE..], bytes.len() as u64).unwrap();
        let manifest = &bytes[at(trailer.manifest_offset)..][..at(trailer.manifest_length)];
        let manifest = Manifest::parse(manifest).unwrap();
        let payload = |offset, stored: u32| {
            bytes[at(offset) + CHUNK_HEADER_SIZE..][..at(stored.into())].to_vec()
        };
        let payloads = manifest
            .chunks
            .iter()
            .map(|chunk| payload(chunk.offset, chunk.header.stored))
            .collect();
        Self {
            header,
            payloads,
            manifest,
        }
    }

    /// Makes the number, length and checksum of each chunk fit its payload, and its offset what
    /// went before.
    pub fn settle(&mut self) {
        let mut offset = HEADER_SIZE as u64;
        for (chunk, payload) in self.manifest.chunks.iter_mut().zip(&self.payloads) {
            chunk.offset = offset;
            chunk.header.stored = u32::try_from(payload.len()).unwrap();
            chunk.header.payload_crc = crc32(payload);
            offset += (CHUNK_HEADER_SIZE + payload.len()) as u64;
        }
    }

    /// Makes the content identity fit pages and root.
    pub fn identify(&mut self, roots: [u32; 2]) {
        let mut hash = Sha256::new();
        hash.update(self.header.dialect.as_str());
        for (space, root) in self.manifest.spaces.iter().zip(roots) {
            hash.update(u32::try_from(space.pages.len()).unwrap().to_le_bytes());
            hash.update(root.to_le_bytes());
            for page in &space.pages {
                hash.update([u8::from(*page != PageState::Unmapped)]);
                hash.update(page.digest().map_or(&[][..], |digest| &digest[..]));
            }
        }
        self.manifest.content_identity = hash.finalize().into();
    }

    /// The file, with a seal that fits.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_bytes_with(self.manifest.to_bytes(), |_| {})
    }

    /// The file with this manifest, the trailer changed before it is written.
    pub fn to_bytes_with(&self, manifest: Vec<u8>, change: impl FnOnce(&mut Trailer)) -> Vec<u8> {
        let header = self.header.to_bytes();
        let mut bytes = header.to_vec();
        for (chunk, payload) in self.manifest.chunks.iter().zip(&self.payloads) {
            bytes.extend_from_slice(&chunk.header.to_bytes());
            bytes.extend_from_slice(payload);
        }
        let mut trailer = Trailer {
            file_length: (bytes.len() + manifest.len() + TRAILER_SIZE) as u64,
            manifest_offset: bytes.len() as u64,
            manifest_length: manifest.len() as u64,
            identity: self.header.identity,
            seal: seal(&header, &manifest),
        };
        change(&mut trailer);
        bytes.extend_from_slice(&manifest);
        bytes.extend_from_slice(&trailer.to_bytes());
        bytes
    }
}

/// What a trailer seals.
pub fn seal(header: &[u8], manifest: &[u8]) -> Digest {
    Sha256::new()
        .chain_update(header)
        .chain_update(manifest)
        .finalize()
        .into()
}
