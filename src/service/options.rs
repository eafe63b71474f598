//! Options for backup and restore objects.

use std::time::Duration;

/// Meaning of a restore without flags while clients are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FlagZero {
    /// The restore fails ([MS-WMI] 3.1.4.10.2).
    #[default]
    Refuse,
    /// The restore breaks the connections, as with force (`IWbemBackupRestoreEx`, remarks).
    Break,
}

/// Options for the backup and restore objects of a [`Service`](super::Service) or a
/// [`Standby`](super::Standby).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectOptions {
    pub(super) lease: Duration,
    pub(super) limit: Duration,
    pub(super) lock_limit: Option<Duration>,
    pub(super) flag_zero: FlagZero,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self {
            lease: Self::DEFAULT_LEASE,
            limit: Self::DEFAULT_LIMIT,
            lock_limit: None,
            flag_zero: FlagZero::default(),
        }
    }
}

impl ObjectOptions {
    /// Default limit on the length of a pause: 15 minutes, as in Windows.
    pub const DEFAULT_LEASE: Duration = Duration::from_secs(15 * 60);

    /// Default limit on how long a call waits for others. It equals the longest pause, so that a
    /// call that waits for a pause sees its end.
    pub const DEFAULT_LIMIT: Duration = Self::DEFAULT_LEASE;

    /// The defaults: pauses and waits of at most 15 minutes, and restores that break no connection
    /// without force.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long a pause may last.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Sets how long a pause, a restore or a backup waits for others if the call has no limit of
    /// its own: for a running transaction, for the pause of another object, or for a backup to the
    /// same file.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets how long [`try_pause`](super::StandbyObject::try_pause) and a restore of a
    /// [`Standby`](super::Standby) wait at most for another process that has the repository open
    /// for writing; unless set, they fail at once ([`Error::Locked`](crate::Error::Locked)). The
    /// pause of another object of the same `Standby` is not waited for. It makes no difference to a
    /// [`Service`](super::Service), which holds the lock itself.
    #[must_use]
    pub fn lock_limit(mut self, limit: Duration) -> Self {
        self.lock_limit = Some(limit);
        self
    }

    /// Sets the meaning of a restore without flags while clients are connected.
    #[must_use]
    pub fn flag_zero(mut self, meaning: FlagZero) -> Self {
        self.flag_zero = meaning;
        self
    }
}
