//! Events for whoever watches a server at work: with feature `tracing`, to the subscriber of the
//! process. No lock that others wait for is held meanwhile, for a subscriber is code of the
//! embedder.

/// Tells of something: a level of `tracing`, fields, a text. Without the feature nothing is
/// evaluated.
macro_rules! tell {
    ($level:ident, $($what:tt)+) => {
        #[cfg(feature = "tracing")]
        ::tracing::event!(target: "cimrepo", ::tracing::Level::$level, $($what)+);
    };
}

pub(crate) use tell;
