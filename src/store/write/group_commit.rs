//! Commits that wait at the same moment share one sync of the journal.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::pager::state::image::Image;
use crate::storage::StorageFile;

/// The queue of commits that are appended and not yet durable.
#[derive(Debug, Default)]
pub(super) struct GroupCommit {
    queue: Mutex<Queue>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// All commits up to this number are durable.
    durable: u64,
    is_syncing: bool,
    has_failed: bool,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    image: Arc<Image>,
    file: Arc<dyn StorageFile>,
}

/// How a wait ended.
#[derive(Debug)]
pub(super) enum Synced {
    /// The commit is durable.
    Durable,
    /// The sync failed.
    Failed(io::Error),
    /// The sync of another commit failed, and with it this one.
    FailedBefore,
}

impl GroupCommit {
    /// Adds a commit whose frame is appended to `file`. Called in order of the numbers, under the
    /// writer's lock.
    pub(super) fn append(&self, number: u64, image: Arc<Image>, file: Arc<dyn StorageFile>) {
        self.queue.lock().waiting.push_back(Waiting {
            number,
            image,
            file,
        });
    }

    /// Waits until a commit is durable; the first to come syncs for all. `publish` gets the state
    /// of the last commit that a sync made durable.
    pub(super) fn wait(&self, number: u64, publish: impl Fn(Arc<Image>)) -> Synced {
        let mut queue = self.queue.lock();
        loop {
            if queue.durable >= number {
                return Synced::Durable;
            }
            if queue.has_failed {
                return Synced::FailedBefore;
            }
            if queue.is_syncing {
                self.done.wait(&mut queue);
                continue;
            }
            let Some(last) = queue.waiting.back() else {
                return Synced::FailedBefore;
            };
            let (target, file) = (last.number, last.file.clone());
            queue.is_syncing = true;
            drop(queue);
            let result = file.sync();
            queue = self.queue.lock();
            queue.is_syncing = false;
            if let Err(error) = result {
                queue.has_failed = true;
                self.done.notify_all();
                return Synced::Failed(error);
            }
            queue.settle(target, &publish);
            self.done.notify_all();
        }
    }

    /// Runs something that syncs the journal, while no other sync of it runs; `sync` says whether
    /// syncs are still to be believed. Where they are not, every commit that waits has failed, and
    /// so has every later one.
    pub(super) fn sync_alone(&self, sync: impl FnOnce() -> bool) {
        let mut queue = self.queue.lock();
        while queue.is_syncing {
            self.done.wait(&mut queue);
        }
        queue.is_syncing = true;
        drop(queue);
        let is_believed = sync();
        queue = self.queue.lock();
        queue.is_syncing = false;
        queue.has_failed |= !is_believed;
        self.done.notify_all();
    }

    /// Publishes a state that need not be durable and has all that wait in it: none of those may
    /// show an older one later.
    pub(super) fn overtake(&self, image: Arc<Image>, publish: impl Fn(Arc<Image>)) {
        let mut queue = self.queue.lock();
        queue
            .waiting
            .iter_mut()
            .for_each(|waiting| waiting.image = image.clone());
        publish(image);
    }

    /// All that wait are durable by other means: a checkpoint holds them.
    pub(super) fn settle_all(&self, publish: impl Fn(Arc<Image>)) {
        let mut queue = self.queue.lock();
        if let Some(target) = queue.waiting.back().map(|last| last.number) {
            queue.settle(target, &publish);
        }
        self.done.notify_all();
    }
}

impl Queue {
    fn settle(&mut self, target: u64, publish: &impl Fn(Arc<Image>)) {
        self.durable = self.durable.max(target);
        let mut last = None;
        while self
            .waiting
            .front()
            .is_some_and(|waiting| waiting.number <= target)
        {
            last = self.waiting.pop_front();
        }
        if let Some(waiting) = last {
            publish(waiting.image);
        }
    }
}
