//! Objects like those of a CIM repository: an object is a function of its number, so every process
//! makes the same ones.
//!
//! A key is that of a class definition (`NS_…\CD_…`, 135 bytes, six of ten) or of an instance
//! (`NS_…\CI_…\IL_…`, 203 bytes), in 92 namespaces of uneven size. A value has 200 bytes to 20 KiB,
//! log-normal around 600: words and noise in turn.

/// Namespaces.
pub const NAMESPACES: u64 = 92;

/// An object: its key without a record reference, and its value.
pub type Object = (Vec<u8>, Vec<u8>);

/// A generator of random numbers (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One that no other run has: some stores leave out the write of a value that is the one they
    /// have.
    pub fn fresh() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |since| since.as_nanos() as u64))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        scramble(self.0)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number above 0 and up to 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A token as the format has them: a prefix and 64 hexadecimal digits.
fn token(prefix: &str, seed: u64) -> String {
    let mut random = Random::new(seed);
    let digits: String = (0..4).map(|_| format!("{:016X}", random.next())).collect();
    format!("{prefix}{digits}")
}

/// The namespace of an object: low numbers have more objects than high ones.
fn namespace_of(number: u64) -> u64 {
    let unit = Random::new(number ^ 0xA5A5_0000).unit();
    ((unit * unit * NAMESPACES as f64) as u64).min(NAMESPACES - 1)
}

/// What the keys of all class definitions of a namespace begin with.
pub fn class_prefix(namespace: u64) -> Vec<u8> {
    format!("{}\\CD_", token("NS_", namespace)).into_bytes()
}

/// The key of an object.
pub fn key(number: u64) -> Vec<u8> {
    let namespace = token("NS_", namespace_of(number));
    let text = if Random::new(number ^ 0x77).below(10) < 6 {
        format!("{namespace}\\{}", token("CD_", number ^ (1 << 60)))
    } else {
        format!(
            "{namespace}\\{}\\{}",
            token("CI_", number % 997 + (1 << 61)),
            token("IL_", number ^ (1 << 62))
        )
    };
    text.into_bytes()
}

const WORDS: [&str; 16] = [
    "Win32_",
    "CIM_",
    "Description",
    "Provider",
    "\0\0\0\0",
    "Caption",
    "Status",
    "read",
    "key",
    "\u{8}\0\0\0",
    "string",
    "uint32",
    "MappingStrings",
    "dynamic",
    "Locale",
    "SystemCreationClassName",
];

/// The value of an object; another `version` has another length and other bytes.
pub fn value(number: u64, version: u64) -> Vec<u8> {
    let mut random =
        Random::new(scramble(number) ^ scramble(version.wrapping_mul(0x1234_5678_9ABC)));
    let normal = (-2.0 * random.unit().ln()).sqrt() * (std::f64::consts::TAU * random.unit()).cos();
    let len = (600.0 * (0.9 * normal).exp()).clamp(200.0, 20_480.0) as usize;
    let mut bytes = Vec::with_capacity(len + 64);
    while bytes.len() < len {
        let noise = random.next();
        bytes.extend_from_slice(WORDS[(noise % 16) as usize].as_bytes());
        bytes.extend_from_slice(&noise.to_le_bytes()[..3 + (noise >> 61) as usize % 5]);
    }
    bytes.truncate(len);
    bytes
}

/// Objects of one transaction: about half overwrite one of the first `count`, the others are new.
pub fn batch(random: &mut Random, count: u64, size: usize) -> Vec<Object> {
    let object = |_| {
        let is_new = random.next() & 1 == 0;
        let number = if is_new {
            count + random.below(1 << 40)
        } else {
            random.below(count)
        };
        (key(number), value(number, random.next()))
    };
    (0..size).map(object).collect()
}
