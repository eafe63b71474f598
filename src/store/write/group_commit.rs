//! Group commit: commits that wait at the same moment share one sync of the journal.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::pager::state::image::Image;
use crate::storage::StorageFile;

/// The queue of commits that have been appended but are not durable yet.
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

/// The outcome of a wait.
#[derive(Debug)]
pub(super) enum Synced {
    /// The commit is durable.
    Durable,
    /// The sync failed.
    Failed(io::Error),
    /// The sync of an earlier commit failed, so this one cannot be trusted either.
    FailedBefore,
}

impl GroupCommit {
    /// Adds a commit whose frame was appended to `file`. Must be called in the order of the
    /// numbers, under the writer's lock.
    pub(super) fn append(&self, number: u64, image: Arc<Image>, file: Arc<dyn StorageFile>) {
        self.queue.lock().waiting.push_back(Waiting {
            number,
            image,
            file,
        });
    }

    /// Waits until a commit is durable. The first waiting commit syncs for all. `publish` receives
    /// the state of the last commit that a sync made durable.
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

    /// Runs an operation that syncs the journal, while no other sync of it runs. `sync` returns
    /// whether syncs can still be trusted. If not, all waiting commits have failed, and so will all
    /// later ones.
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

    /// Publishes a state that need not be durable and contains all waiting commits. None of them
    /// may publish an older state later.
    pub(super) fn overtake(&self, image: Arc<Image>, publish: impl Fn(Arc<Image>)) {
        let mut queue = self.queue.lock();
        queue
            .waiting
            .iter_mut()
            .for_each(|waiting| waiting.image = image.clone());
        publish(image);
    }

    /// Marks all waiting commits as durable by other means: a checkpoint contains them.
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
