//! Events for monitoring a running server. With feature `tracing` they go to the subscriber of the
//! process. They are sent while holding no lock that others wait for, because a subscriber is code
//! of the embedder.

/// Emits an event: a level of `tracing`, fields, a text. Without the feature nothing is evaluated.
macro_rules! tell {
    ($level:ident, $($what:tt)+) => {
        #[cfg(feature = "tracing")]
        ::tracing::event!(target: "cimrepo", ::tracing::Level::$level, $($what)+);
    };
}

pub(crate) use tell;
