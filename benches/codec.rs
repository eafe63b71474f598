//! Compares codecs for backups, pure-Rust ones, on the pages of real repositories, in chunks
//! of several sizes. Prints the ratio (compressed to raw), and the speed of packing and unpacking
//! on one thread.

#![allow(
    missing_docs,
    reason = "a macro of the harness makes a public function"
)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench that cannot measure stops"
)]

mod support;

use std::time::Instant;

const CHUNK_SIZES: [usize; 3] = [128 << 10, 256 << 10, 1 << 20];

struct Codec {
    name: &'static str,
    pack: fn(&[u8]) -> Vec<u8>,
    unpack: fn(&[u8], usize) -> Vec<u8>,
}

const CODECS: [Codec; 5] = [
    Codec {
        name: "lz4_flex",
        pack: lz4_flex::block::compress,
        unpack: |packed, len| lz4_flex::block::decompress(packed, len).unwrap(),
    },
    Codec {
        name: "snap",
        pack: |raw| snap::raw::Encoder::new().compress_vec(raw).unwrap(),
        unpack: |packed, _| snap::raw::Decoder::new().decompress_vec(packed).unwrap(),
    },
    Codec {
        name: "miniz_oxide 1",
        pack: |raw| miniz_oxide::deflate::compress_to_vec(raw, 1),
        unpack: |packed, len| {
            miniz_oxide::inflate::decompress_to_vec_with_limit(packed, len).unwrap()
        },
    },
    Codec {
        name: "miniz_oxide 3",
        pack: |raw| miniz_oxide::deflate::compress_to_vec(raw, 3),
        unpack: |packed, len| {
            miniz_oxide::inflate::decompress_to_vec_with_limit(packed, len).unwrap()
        },
    },
    Codec {
        name: "miniz_oxide 6",
        pack: |raw| miniz_oxide::deflate::compress_to_vec(raw, 6),
        unpack: |packed, len| {
            miniz_oxide::inflate::decompress_to_vec_with_limit(packed, len).unwrap()
        },
    },
];

fn main() {
    for (name, path) in support::repositories() {
        let mut raw = Vec::new();
        for file in std::fs::read_dir(&path).unwrap() {
            let file = file.unwrap();
            let file_name = file.file_name().to_string_lossy().to_ascii_uppercase();
            if file_name == "OBJECTS.DATA" || file_name == "INDEX.BTR" {
                raw.extend(std::fs::read(file.path()).unwrap());
            }
        }
        println!(
            "\n{name}, {:.1} MB: ratio, packing and unpacking in MB/s on one thread (best of 3)",
            raw.len() as f64 / 1e6
        );
        for codec in &CODECS {
            for size in CHUNK_SIZES {
                measure(codec, &raw, size);
            }
        }
    }
}

fn measure(codec: &Codec, raw: &[u8], size: usize) {
    let (mut packing, mut unpacking, mut packed) = (f64::MAX, f64::MAX, Vec::new());
    for _ in 0..support::rounds(3) {
        let start = Instant::now();
        packed = raw.chunks(size).map(codec.pack).collect();
        packing = packing.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        for (packed, raw) in packed.iter().zip(raw.chunks(size)) {
            assert!(
                (codec.unpack)(packed, raw.len()) == raw,
                "{} gives back what it was given",
                codec.name
            );
        }
        unpacking = unpacking.min(start.elapsed().as_secs_f64());
    }
    let ratio = packed.iter().map(Vec::len).sum::<usize>() as f64 / raw.len() as f64;
    let speed = |seconds: f64| raw.len() as f64 / 1e6 / seconds;
    let (packing, unpacking) = (speed(packing), speed(unpacking));
    println!(
        "{:<15}{:>5} KiB  {ratio:.3}  {packing:6.0}  {unpacking:6.0}",
        codec.name,
        size >> 10
    );
}
