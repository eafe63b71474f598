//! Syncs that run in parallel with the writing of a file, so that the last sync has less to do.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::StorageFile;
use crate::base::parallel::new_thread;

/// Syncs in progress. The error of one that fails is kept for [`join`](Self::join).
#[derive(Debug)]
pub(crate) enum EarlySync {
    /// On the calling thread, because the operation may use only one thread, or the system refused
    /// to start another.
    Inline(io::Result<()>),
    /// On a separate thread, which the first sync starts.
    Beside(Option<Syncer>),
}

/// A thread that syncs the files it receives until its channel closes or a sync fails.
#[derive(Debug)]
pub(crate) struct Syncer {
    files: SyncSender<Arc<dyn StorageFile>>,
    thread: JoinHandle<io::Result<()>>,
}

impl EarlySync {
    /// Creates the state for an operation that runs on `threads` threads.
    pub(crate) fn new(threads: usize) -> Self {
        if threads > 1 {
            Self::Beside(None)
        } else {
            Self::Inline(Ok(()))
        }
    }

    /// Begins a sync of `file`, unless another is already queued. A skipped sync does no harm,
    /// because the caller always makes a last one.
    pub(crate) fn begin(&mut self, file: &Arc<dyn StorageFile>) {
        if let Self::Beside(syncer @ None) = self {
            match Syncer::start() {
                Ok(started) => *syncer = Some(started),
                Err(_) => *self = Self::Inline(Ok(())),
            }
        }
        match self {
            Self::Inline(result) if result.is_ok() => *result = file.sync(),
            Self::Beside(Some(syncer)) => drop(syncer.files.try_send(file.clone())),
            Self::Inline(_) | Self::Beside(None) => {}
        }
    }

    /// Waits for all syncs. The system may report an error only once, so a later sync that succeeds
    /// proves nothing.
    pub(crate) fn join(&mut self) -> io::Result<()> {
        match self {
            Self::Inline(result) => std::mem::replace(result, Ok(())),
            Self::Beside(syncer) => syncer.take().map_or(Ok(()), Syncer::join),
        }
    }
}

impl Drop for EarlySync {
    /// Discards the syncs that have not begun.
    fn drop(&mut self) {
        self.join().ok();
    }
}

impl Syncer {
    fn start() -> io::Result<Self> {
        let (files, receiver) = sync_channel::<Arc<dyn StorageFile>>(1);
        let thread =
            new_thread().spawn(move || receiver.into_iter().try_for_each(|file| file.sync()))?;
        Ok(Self { files, thread })
    }

    fn join(self) -> io::Result<()> {
        drop(self.files);
        let panicked = |_| {
            Err(io::Error::other(
                "the thread that synced the file ended early",
            ))
        };
        self.thread.join().unwrap_or_else(panicked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file whose syncs fail from the second one on.
    #[derive(Debug, Default)]
    struct Failing(std::sync::atomic::AtomicUsize);

    impl StorageFile for Failing {
        fn len(&self) -> io::Result<u64> {
            Ok(0)
        }

        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }

        fn write_at(&self, _: u64, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn set_len(&self, _: u64) -> io::Result<()> {
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            let before = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if before == 0 {
                Ok(())
            } else {
                Err(io::Error::other("refused"))
            }
        }
    }

    #[test]
    fn without_a_thread_the_caller_syncs() {
        crate::base::parallel::tests::with_threads(0, || {
            let file = Arc::new(Failing::default());
            let mut early = EarlySync::new(2);
            early.begin(&(file.clone() as Arc<dyn StorageFile>));
            assert_eq!(
                file.0.load(std::sync::atomic::Ordering::SeqCst),
                1,
                "it was synced at once"
            );
            assert!(early.join().is_ok());
        });
    }

    #[test]
    fn an_error_is_told_however_many_syncs_follow() {
        for threads in [1, 2] {
            let file: Arc<dyn StorageFile> = Arc::new(Failing::default());
            let mut early = EarlySync::new(threads);
            assert!(early.join().is_ok(), "nothing was begun");
            early.begin(&file);
            assert!(early.join().is_ok());
            early.begin(&file);
            early.begin(&file);
            assert!(early.join().is_err(), "{threads} threads");
        }
    }
}
