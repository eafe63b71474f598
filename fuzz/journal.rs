//! The target `journal`: the input is a byte of flags and a journal.
//!
//! Flag 1 gives the journal a whole header: magic, version, length, and the right checksum over
//! what stands there. Flag 2 makes frames whole, one after the other, as long as their lengths fit:
//! magic, number, and the right checksum. So the fuzzer gets past the checksums without knowing
//! them.

use cimrepo::base::corruption::CorruptionCode;
use cimrepo::format::checksum::crc32;
use cimrepo::format::own::journal::{
    Commit, CommitBuilder, Commits, FRAME_ALIGNMENT, FRAME_HEAD_SIZE, FRAME_MAGIC, FrameHead,
    HEADER_SIZE, HeaderFault, JournalHeader, JournalOp, MAGIC, VERSION,
};

/// Repair the header.
pub(crate) const HEADER: u8 = 1;
/// Repair the frames.
pub(crate) const FRAMES: u8 = 2;

/// Runs the target on an input.
pub(crate) fn journal(input: &[u8]) {
    let [flags, rest @ ..] = input else { return };
    let mut bytes = rest.to_vec();
    if flags & HEADER != 0 {
        repair_header(&mut bytes);
    }
    if flags & FRAMES != 0 {
        repair_frames(&mut bytes);
    }
    match JournalHeader::parse(&bytes) {
        Ok(header) => check(&header, &bytes),
        Err(HeaderFault::Damaged(finding)) => super::print(&finding),
        Err(HeaderFault::Unfinished | HeaderFault::UnknownVersion(_)) => {}
    }
}

fn put(bytes: &mut [u8], offset: usize, field: &[u8]) {
    bytes[offset..offset + field.len()].copy_from_slice(field);
}

fn number_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes[offset..offset + N]
        .try_into()
        .expect("a slice of this length")
}

fn repair_header(bytes: &mut Vec<u8>) {
    let length = bytes.len().max(HEADER_SIZE);
    bytes.resize(length, 0);
    put(bytes, 0, &MAGIC);
    put(bytes, 8, &VERSION.to_le_bytes());
    put(bytes, 12, &64u32.to_le_bytes());
    let crc = crc32(&bytes[..60]);
    put(bytes, 60, &crc.to_le_bytes());
}

fn repair_frames(bytes: &mut [u8]) {
    let Some(header) = bytes.get(..HEADER_SIZE) else {
        return;
    };
    let (mut number, salt) = (
        u64::from_le_bytes(number_at(header, 32)),
        number_at::<8>(header, 40),
    );
    let mut at = HEADER_SIZE;
    while at + FRAME_HEAD_SIZE <= bytes.len() {
        put(bytes, at, &FRAME_MAGIC);
        put(bytes, at + 8, &number.to_le_bytes());
        let Some(head) = FrameHead::parse(&bytes[at..]) else {
            return;
        };
        let length = head.payload_len.to_le_bytes();
        let start = at + FRAME_HEAD_SIZE;
        let Some(payload) = usize::try_from(head.payload_len)
            .ok()
            .and_then(|len| bytes[start..].get(..len))
        else {
            return;
        };
        let sealed = [&salt[..], &number.to_le_bytes(), &length, payload].concat();
        put(bytes, at + 16, &crc32(&sealed).to_le_bytes());
        number = number.wrapping_add(1);
        at += head.frame_len();
    }
}

fn check(header: &JournalHeader, bytes: &[u8]) {
    assert_eq!(
        Some(&header.to_bytes()[..]),
        bytes.get(..HEADER_SIZE),
        "a header holds every byte of its file"
    );
    assert!(!header.continues(header));
    let mut commits = Commits::new(bytes, header);
    let (mut end, mut number, mut count) = (HEADER_SIZE, Some(header.first_commit), 0);
    while let Some(commit) = commits.next() {
        assert_eq!(Some(commit.number), number);
        assert!(end.is_multiple_of(FRAME_ALIGNMENT) && commits.end() <= bytes.len());
        check_commit(header, &commit, &bytes[end..commits.end()]);
        // Without its last byte the frame is not whole.
        assert_eq!(
            Commits::new(&bytes[..commits.end() - 1], header).count(),
            count
        );
        (end, number, count) = (commits.end(), commit.number.checked_add(1), count + 1);
        if count > 50 {
            return; // The check above makes this quadratic.
        }
    }
    assert_eq!(commits.end(), end);
    assert_eq!(
        Commits::new(&bytes[..end], header).count(),
        count,
        "what follows the last commit does not matter"
    );
}

/// Operations that all make sense write the same frame again, but for the zeros at its end.
fn check_commit(header: &JournalHeader, commit: &Commit<'_>, frame: &[u8]) {
    let mut builder = CommitBuilder::new();
    for operation in commit.operations() {
        match operation {
            Ok(operation) => push(&mut builder, operation),
            Err(finding) => {
                let behind = commit.offset + commit.payload.len() as u64;
                assert_eq!(finding.code, CorruptionCode::JournalOperation);
                assert!(
                    finding
                        .site
                        .offset
                        .is_some_and(|offset| (commit.offset..behind).contains(&offset))
                );
                return super::print(&finding);
            }
        }
    }
    assert_eq!(builder.payload_len(), commit.payload.len());
    let written = builder.finish(header.salt, commit.number);
    let content = FRAME_HEAD_SIZE + commit.payload.len();
    assert_eq!(
        (written.len(), &written[..content]),
        (frame.len(), &frame[..content])
    );
    assert!(written[content..].iter().all(|byte| *byte == 0));
}

fn push(builder: &mut CommitBuilder, operation: JournalOp<'_>) {
    builder
        .push(operation)
        .expect("what was read is within the bounds");
}
