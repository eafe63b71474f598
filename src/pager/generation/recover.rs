//! Choice of the current generation (`docs::format`, "Generations" and "Commit protocol").
//!
//! In dialect 2.2 it is the whole generation with the greatest number. A generation is whole if the
//! mapping satisfies every invariant that a mapping can show and, unless an orderly shutdown wrote
//! it, the pages that it wrote match their checksums. A crash can tear only those: pages are never
//! overwritten in place, and older ones were already durable. In dialect 2.1 it is the file that
//! MAPPING.VER names, else the other one, else OBJECTS.MAP with INDEX.MAP.
//!
//! If none is whole, the best readable one is taken, so that what is left can be examined.

use crate::base::corruption::{Corruption, CorruptionCode};
use crate::base::error::{Error, Result};
use crate::base::escape::escape_path;
use crate::base::misuse::Misuse;
use crate::base::site::{FileRole, Site};
use crate::format::Dialect;
use crate::format::mapping::{Mapping, MappingFront};

use super::{Generation, PageExtent, Refusal, read_all, read_newest, read_single_maps, read_small};
use crate::pager::files::{DataFiles, RepositoryFiles};

/// The generation to open, and how thoroughly to check it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choice {
    /// This generation and no other; `None` for the current one.
    pub generation: Option<u32>,
    /// Check every page of a generation before choosing it, not just those that it wrote.
    pub check_all_pages: bool,
    /// Check the pages that a generation wrote even if it is marked as closed in order.
    pub check_written_pages: bool,
}

/// The outcome of the choice.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The generation.
    pub current: Generation,
    /// Files that cannot be used, both newer and older ones, with the reasons.
    pub refused: Vec<Refusal>,
}

/// Chooses a generation; gives with it the numbers of all whose mapping can be read, newest first.
pub fn choose(
    files: &RepositoryFiles,
    data: &DataFiles,
    choice: Choice,
) -> Result<(Chosen, Vec<u32>)> {
    let read = read_all(files, data)?;
    let numbers = read.0.iter().map(|found| found.mapping.generation());
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    numbers.dedup();
    Ok((choose_among(read, files, data, choice)?, numbers))
}

/// The current generation of dialect 2.2 and the CRC-32 of its file, without examining the other
/// files: the one with the greatest number, if it is whole. [`choose`] takes the same one. `None`
/// if all files must be examined.
pub fn choose_newest(
    files: &RepositoryFiles,
    data: &DataFiles,
) -> Result<Option<(Generation, u32)>> {
    let Some((mut newest, crc)) = read_newest(files, data)? else {
        return Ok(None);
    };
    inspect(&mut newest, data, Choice::default())?;
    Ok(newest.findings.is_empty().then_some((newest, crc)))
}

/// Chooses among the result of [`read_all`], like [`choose`].
pub fn choose_among(
    (mut generations, mut refused): (Vec<Generation>, Vec<Refusal>),
    files: &RepositoryFiles,
    data: &DataFiles,
    choice: Choice,
) -> Result<Chosen> {
    let dialect = dialect_of(files, &generations);
    generations.retain(|generation| {
        let fits = generation.mapping.dialect == dialect;
        if !fits {
            refused.push(other_dialect(generation, dialect));
        }
        fits
    });
    match dialect {
        Dialect::V22 => {
            generations.sort_by_key(|generation| std::cmp::Reverse(generation.mapping.generation()))
        }
        Dialect::V21 => order_v21(files, data, &mut generations, &mut refused)?,
    }
    if let Some(wanted) = choice.generation {
        return exactly(wanted, generations, files, refused);
    }
    refused.extend(missing(files, dialect, &generations));
    let named = named_file(named_number(files)?);
    let (mut current, mut best) = (None, None);
    for mut generation in generations {
        if current.is_none() {
            inspect(&mut generation, data, choice)?;
            if !generation.findings.is_empty() {
                best.get_or_insert_with(|| generation.clone());
            }
        }
        match generation.refusal() {
            None if current.is_none() => current = Some(generation),
            None => {}
            // This includes one that ranks lower: because of its damage it may be newer than it
            // says.
            Some(refusal) => refused.push(refusal),
        }
    }
    match current.or(best) {
        Some(current) => {
            for refusal in &mut refused {
                refusal.may_be_newer = may_be_newer(refusal, &current, named);
            }
            Ok(Chosen { current, refused })
        }
        None => Err(nothing_usable(files, &refused)),
    }
}

/// True if a rejected file may have held a newer state than the chosen one. In dialect 2.2 the next
/// generation can go into only one file, so a rejected one in the other place is older. In dialect
/// 2.1 the file named by MAPPING.VER is current.
///
/// The first bytes of a file in that place distinguish an unfinished generation from a lost one
/// (W-5, W-19). Every byte of a generation that took effect was durable, so its front shows neither
/// the mark of an unfinished generation nor the head and stamps of an older one.
fn may_be_newer(refusal: &Refusal, current: &Generation, named: Option<FileRole>) -> bool {
    if refusal.role == current.role {
        return false; // no generation is whole, and this is the best one
    }
    let generation = current.mapping.generation();
    match current.mapping.dialect {
        Dialect::V21 => {
            let says = matches!(
                refusal.role,
                FileRole::Mapping(_) | FileRole::MappingVersion
            );
            says && named.is_none_or(|named| refusal.role == named)
        }
        Dialect::V22 => {
            let next = FileRole::Mapping(Mapping::slot_of(generation.wrapping_add(1)));
            let is_older = match refusal.front {
                MappingFront::Unfinished => true,
                MappingFront::Generation(there) => {
                    there < generation && FileRole::Mapping(Mapping::slot_of(there)) == refusal.role
                }
                MappingFront::Unknown => false,
            };
            let may_follow = refusal.role == next
                || refusal
                    .generation
                    .is_some_and(|refused| refused > generation);
            may_follow && !is_older
        }
    }
}

/// The number in MAPPING.VER, which names the current mapping file in dialect 2.1.
fn named_number(files: &RepositoryFiles) -> Result<Option<u32>> {
    let version = read_small(files, FileRole::MappingVersion)?.and_then(Result::ok);
    Ok(version
        .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok())
        .map(u32::from_le_bytes))
}

/// The mapping file with a number; `None` if there is no such file.
fn named_file(number: Option<u32>) -> Option<FileRole> {
    match number {
        Some(1) => Some(FileRole::Mapping(1)),
        Some(2) => Some(FileRole::Mapping(2)),
        _ => None,
    }
}

/// Missing mapping files of dialect 2.2. A repository that has written more generations than it has
/// files must have all of them. The missing one may have been the newest.
fn missing(files: &RepositoryFiles, dialect: Dialect, generations: &[Generation]) -> Vec<Refusal> {
    let newest = generations
        .iter()
        .map(|found| found.mapping.generation())
        .max()
        .unwrap_or(0);
    if dialect == Dialect::V21 || newest <= 3 {
        return Vec::new();
    }
    let gone = (1..=3)
        .map(FileRole::Mapping)
        .filter(|&role| !files.has(role));
    gone.map(|role| {
        let detail = "whether it held a newer state is not known";
        Refusal::new(
            role,
            None,
            Corruption::new(CorruptionCode::FileMissing, Site::file(role), detail),
        )
    })
    .collect()
}

fn inspect(generation: &mut Generation, data: &DataFiles, choice: Choice) -> Result<()> {
    if !generation.findings.is_empty() {
        return Ok(());
    }
    if choice.check_all_pages {
        return generation.check_pages(data, PageExtent::All);
    }
    if choice.check_written_pages || generation.mapping.shutdown_flag == 0 {
        return generation.check_pages(data, PageExtent::Written);
    }
    Ok(())
}

/// The dialect suggested by the file names, if a mapping file agrees; otherwise that of the mapping
/// files.
fn dialect_of(files: &RepositoryFiles, generations: &[Generation]) -> Dialect {
    let named = if files.has(FileRole::MappingVersion) {
        Dialect::V21
    } else {
        Dialect::V22
    };
    let has = |dialect| {
        generations
            .iter()
            .any(|generation| generation.mapping.dialect == dialect)
    };
    match (has(Dialect::V21), has(Dialect::V22)) {
        (true, false) => Dialect::V21,
        (false, true) => Dialect::V22,
        _ => named,
    }
}

fn other_dialect(generation: &Generation, dialect: Dialect) -> Refusal {
    let detail = format!(
        "the file is of dialect {}, the repository of {dialect}",
        generation.mapping.dialect
    );
    let reason = Corruption::new(
        CorruptionCode::MappingSignature,
        Site::file(generation.role),
        detail,
    );
    Refusal::new(
        generation.role,
        Some(generation.mapping.generation()),
        reason,
    )
}

/// Moves the file that MAPPING.VER names to the front and the single maps to the end.
fn order_v21(
    files: &RepositoryFiles,
    data: &DataFiles,
    generations: &mut Vec<Generation>,
    refused: &mut Vec<Refusal>,
) -> Result<()> {
    let number = named_number(files)?;
    let named = named_file(number);
    if named.is_none() {
        let detail = number.map_or("it has no number".to_owned(), |number| {
            format!("it says {number}")
        });
        let reason = Corruption::new(
            CorruptionCode::MappingVersion,
            Site::file(FileRole::MappingVersion),
            detail,
        );
        refused.push(Refusal::new(FileRole::MappingVersion, None, reason));
    }
    if let Some(role) = named.filter(|&role| !files.has(role)) {
        let reason = Corruption::new(
            CorruptionCode::FileMissing,
            Site::file(role),
            "MAPPING.VER says that it counts",
        );
        refused.push(Refusal::new(role, None, reason));
    }
    generations.sort_by_key(|found| {
        (
            named != Some(found.role),
            std::cmp::Reverse(found.mapping.transaction()),
        )
    });
    match read_single_maps(files, data)? {
        Some(Ok(generation)) => generations.push(generation),
        Some(Err(refusal)) => refused.push(refusal),
        None => {}
    }
    Ok(())
}

fn exactly(
    wanted: u32,
    generations: Vec<Generation>,
    files: &RepositoryFiles,
    refused: Vec<Refusal>,
) -> Result<Chosen> {
    let there: Vec<String> = generations
        .iter()
        .map(|found| found.mapping.generation().to_string())
        .collect();
    match generations
        .into_iter()
        .find(|found| found.mapping.generation() == wanted)
    {
        Some(current) => Ok(Chosen { current, refused }),
        None => Err(Error::invalid(
            Misuse::Generation,
            format!(
                "{} holds no generation {wanted}; it holds {}",
                escape_path(&files.directory.path),
                if there.is_empty() {
                    "none".to_owned()
                } else {
                    there.join(", ")
                }
            ),
        )),
    }
}

fn nothing_usable(files: &RepositoryFiles, refused: &[Refusal]) -> Error {
    let path = files.directory.path.as_path().into();
    if refused
        .iter()
        .all(|refusal| refusal.reason.code == CorruptionCode::FileMissing)
    {
        let there: Vec<&str> = files.present().map(|(_, name)| name).collect();
        let reason = format!(
            "no mapping file (MAPPING1.MAP to MAPPING3.MAP) is there, only {}",
            there.join(", ")
        );
        return Error::NotARepository {
            path,
            reason: reason.into(),
        };
    }
    let reasons: Vec<String> = refused
        .iter()
        .map(|refusal| refusal.reason.to_string())
        .collect();
    Error::NotARepository {
        path,
        reason: format!("no mapping file can be read: {}", reasons.join("; ")).into(),
    }
}
