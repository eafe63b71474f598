//! A restore over the live repository: other content becomes the next generation, in place of
//! everything committed so far.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use crate::base::error::Result;
use crate::base::page_no::{PhysicalPage, Space};
use crate::format::mapping::{Mapping, MappingSection};
use crate::pager::generation::Generation;
use crate::pager::generation::commit::NextGeneration;
use crate::pager::state::image::{Base, Image};
use crate::pager::state::working::Working;

use super::Engine;

/// The target of the new content.
#[derive(Debug)]
pub(crate) struct Replacing<'a> {
    /// The generation on disk.
    pub old: &'a Image,
    /// All generations on disk.
    pub on_disk: &'a [Generation],
    /// Generations that snapshots use (W-10).
    pub pinned: &'a [&'a Mapping],
    /// For each space, pages at the end of the free list that were released too recently.
    pub held: [Vec<PhysicalPage>; 2],
    /// The generation to write.
    pub next: &'a NextGeneration,
}

impl Engine {
    /// Replaces the content. `write` writes the pages that differ and returns the sections of the
    /// new mapping. Snapshots stay as they are. The caller holds the turn at the gate. Returns the
    /// number of the new generation.
    ///
    /// If `write` fails, nothing has changed and the engine goes on. The commits in the journal
    /// count until the mapping is durable (W-5). Then the journal is stale, because the generation
    /// that it continues is no longer current.
    pub(crate) fn replace(
        &self,
        write: impl FnOnce(&Replacing<'_>) -> Result<[MappingSection; 2]>,
    ) -> Result<u32> {
        let shared = &self.shared;
        shared.check()?;
        let mut writer = shared.writer.lock();
        let mut on_disk = shared.on_disk.lock();
        on_disk.need_unchanged(shared)?;
        on_disk.need_others(shared)?;
        let next =
            NextGeneration::begin(shared.files.clone(), &on_disk.generations, on_disk.current)?;
        let old = writer.working.image().on_disk();
        let written = {
            let pinned: Vec<Arc<Base>> = on_disk.bases.iter().filter_map(Weak::upgrade).collect();
            let pinned: Vec<&Mapping> = pinned.iter().map(|base| base.mapping()).collect();
            let held =
                Space::ALL.map(|space| on_disk.held(space, next.generation()).copied().collect());
            write(&Replacing {
                old: &old,
                on_disk: &on_disk.generations,
                pinned: &pinned,
                held,
                next: &next,
            })
        };
        let [objects, index] = match written {
            Ok(sections) => sections,
            Err(error) => {
                next.abort();
                return Err(error);
            }
        };
        let generation = next.generation();
        let mapping = next.seal(objects, index, next.transaction(), 0);
        let image = shared.watch(on_disk.install(shared, next, mapping, old.mapping()))?;
        drop(on_disk);
        shared.begin_anew(&mut writer, image.clone())?;
        // Everything known about the old content is void: free numbers, free space, stamps.
        shared.last_stamp.store(0, Ordering::Relaxed);
        shared.referrers.lock().clear();
        writer.working = Working::new(image);
        writer.heap = None;
        Ok(generation)
    }
}
