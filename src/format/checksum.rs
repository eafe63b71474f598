//! The checksums of the format: CRC-32 (ISO-HDLC, the one of zlib) over a whole page, a record, or
//! a sample of a page.
//!
//! Dialect 2.2 samples one byte from the start of each 512-byte sector, sixteen in all. The check
//! detects torn and misplaced sectors, not bit rot (`docs::format`, "Checksums").

use crate::base::page_no::PageBytes;

/// Size of a sector, the unit of the sample, in bytes.
const SECTOR: usize = 512;

/// CRC-32 of a byte string.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// CRC-32 of the concatenation of byte strings.
pub(crate) fn crc32_of(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// The page checksum of dialect 2.2: CRC-32 over the first byte of each sector.
pub fn sampled(page: &PageBytes) -> u32 {
    let mut sample = [0; 16];
    for (byte, sector) in sample.iter_mut().zip(page.chunks_exact(SECTOR)) {
        *byte = sector.first().copied().unwrap_or_default();
    }
    crc32(&sample)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::page_no::PAGE_SIZE;

    #[test]
    fn the_check_value_of_the_algorithm() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32_of(&[b"1234", b"", b"56789"]), 0xCBF4_3926);
    }

    #[test]
    fn sampled_checksums_of_measured_pages() {
        let vectors: [(&str, u32); 4] = [
            ("00000000000000000000000000000000", 0xECBB_4B55),
            ("2000ff00007400000052676400000000", 0x47FE_EFF9),
            ("016e682e445f2e6952450e6f00632073", 0x54B4_AE2D),
            ("cc2d8b37353035384632453743000000", 0x5178_A64C),
        ];
        for (sample, expected) in vectors {
            let mut page = [0xEE; PAGE_SIZE];
            for sector in 0..16 {
                page[sector * SECTOR] =
                    u8::from_str_radix(&sample[sector * 2..sector * 2 + 2], 16).unwrap();
            }
            assert_eq!(sampled(&page), expected);
        }
    }
}
