//! Reasons why a call comes at the wrong moment.

use std::fmt;

/// Why a call comes at the wrong moment, for programs to match. Its `Display` is for people. Every
/// variant has the result code `WBEM_E_INVALID_OPERATION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Moment {
    /// The object has paused the writers already, or is about to.
    PausedByCaller,
    /// Another object has paused the writers, or is about to.
    PausedByOther,
    /// The object has no pause to end: it never paused, or its lease has expired.
    NotPaused,
    /// A restore is in progress.
    Restoring,
    /// The thread that paused the writers begins to write and would wait for itself.
    OwnPause,
    /// The thread that holds a transaction asks for a pause and would wait for itself.
    OwnTransaction,
    /// A call from an observer would wait for the operation that it observes.
    InsideCall,
    /// A change of the transaction failed half-way.
    HalfChanged,
}

impl Moment {
    /// Every moment, so that tests leave none out.
    pub const ALL: [Moment; 8] = [
        Moment::PausedByCaller,
        Moment::PausedByOther,
        Moment::NotPaused,
        Moment::Restoring,
        Moment::OwnPause,
        Moment::OwnTransaction,
        Moment::InsideCall,
        Moment::HalfChanged,
    ];
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Moment::PausedByCaller => {
                "this object has paused the writers, or is about to; resume first"
            }
            Moment::PausedByOther => {
                "another object has paused the writers, or is about to; wait until it resumes"
            }
            Moment::NotPaused => {
                "this object has no pause to end: it has none, or the lease ran out; what was \
                    copied is not to be trusted then"
            }
            Moment::Restoring => "a restore is in progress; try again when it has ended",
            Moment::OwnPause => {
                "this thread has paused the writers and would wait for itself; \
                resume before it writes"
            }
            Moment::OwnTransaction => {
                "this thread holds a transaction and would wait for itself; end the transaction \
                    before it pauses"
            }
            Moment::InsideCall => {
                "the call comes from an observer and would wait for the operation that it \
                    observes; let that end first"
            }
            Moment::HalfChanged => {
                "a change of this transaction failed half-way; it can only be rolled back"
            }
        })
    }
}
