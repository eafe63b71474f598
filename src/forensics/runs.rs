//! Runs of the service, told from stamps.
//!
//! The engine reads the clock when the service starts and then adds 100 nanoseconds per put. A
//! stamp therefore says in which run an object was put and in which order, not when. Stamps with
//! gaps of at most one second belong to one run. Source: `docs::forensics`, "Time".

/// The widest gap between two stamps of one run: a second, in units of 100 nanoseconds.
const MAX_GAP: u64 = 10_000_000;

/// A run that put fewer classes than this, outside the namespaces that fill by themselves, is late.
const FEW_CLASSES: u64 = 100;

/// One run of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Run {
    /// Its number, from 1 in order of time.
    pub number: usize,
    /// The first stamp: a FILETIME.
    pub start: u64,
    /// The last stamp.
    pub end: u64,
    /// Classes put in it.
    pub classes: u64,
    /// Classes among them outside ROOT\WMI and ROOT\RSOP.
    pub classes_of_setup: u64,
    /// Instances put in it.
    pub instances: u64,
}

impl Run {
    /// True if the run set up next to nothing: what it put came after the installation.
    pub const fn is_late(&self) -> bool {
        self.classes_of_setup < FEW_CLASSES
    }
}

/// The kind of object that a stamp was put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Put {
    /// A class of a namespace that set-up fills.
    SetupClass,
    /// A class below ROOT\WMI or ROOT\RSOP, which fill by themselves.
    OtherClass,
    /// An instance.
    Instance,
}

impl Put {
    /// A class of this namespace.
    pub fn class_of(namespace: &str) -> Self {
        match fills_by_itself(namespace) {
            true => Put::OtherClass,
            false => Put::SetupClass,
        }
    }
}

/// The runs of a repository, in order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runs(Vec<Run>);

impl Runs {
    /// Tells runs from the stamps of all objects, in any order.
    pub fn of(mut stamps: Vec<(u64, Put)>) -> Self {
        stamps.sort_unstable();
        let mut runs: Vec<Run> = Vec::new();
        for (stamp, put) in stamps {
            let number = runs.len() + 1;
            let is_near = |run: &&mut Run| stamp.saturating_sub(run.end) <= MAX_GAP;
            match runs.last_mut().filter(is_near) {
                Some(run) => run.add(stamp, put),
                None => {
                    let mut run = Run {
                        number,
                        start: stamp,
                        end: stamp,
                        classes: 0,
                        classes_of_setup: 0,
                        instances: 0,
                    };
                    run.add(stamp, put);
                    runs.push(run);
                }
            }
        }
        Self(runs)
    }

    /// All of them.
    pub fn all(&self) -> &[Run] {
        &self.0
    }

    /// The run to which a stamp belongs.
    pub fn of_stamp(&self, stamp: u64) -> Option<&Run> {
        let after = self.0.partition_point(|run| run.start <= stamp);
        let run = self.0.get(after.checked_sub(1)?)?;
        (stamp <= run.end).then_some(run)
    }

    /// The start of the run that follows one.
    pub fn start_after(&self, run: &Run) -> Option<u64> {
        self.0.get(run.number).map(|next| next.start)
    }
}

impl Run {
    const fn add(&mut self, stamp: u64, put: Put) {
        self.end = stamp;
        match put {
            Put::Instance => self.instances += 1,
            Put::OtherClass => self.classes += 1,
            Put::SetupClass => {
                self.classes += 1;
                self.classes_of_setup += 1;
            }
        }
    }
}

/// True for namespaces in which Windows puts objects in every run.
pub fn fills_by_itself(namespace: &str) -> bool {
    is_at_or_below(namespace, r"ROOT\WMI") || is_at_or_below(namespace, r"ROOT\RSOP")
}

/// True for namespaces that hold texts of a language: `ms_` and a number.
pub fn is_of_a_language(namespace: &str) -> bool {
    let last = namespace.rsplit('\\').next().unwrap_or_default();
    let head = last.get(..3).unwrap_or_default();
    head.eq_ignore_ascii_case("ms_")
}

/// True if a namespace is another one or lies below it.
pub fn is_at_or_below(namespace: &str, top: &str) -> bool {
    let (head, rest) = match namespace.split_at_checked(top.len()) {
        Some(parts) => parts,
        None => return false,
    };
    head.eq_ignore_ascii_case(top) && (rest.is_empty() || rest.starts_with('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_of_more_than_a_second_ends_a_run() {
        let start = 132_000_000_000_000_000;
        let stamps = [0, 1, MAX_GAP + 1, 2 * MAX_GAP + 2, u64::MAX - start];
        let stamps = stamps.map(|at| (start + at, Put::Instance));
        let runs = Runs::of(stamps.into());
        let counts: Vec<u64> = runs.all().iter().map(|run| run.instances).collect();
        assert_eq!(counts, [3, 1, 1]);
        let second = runs.of_stamp(start + 2 * MAX_GAP + 2).unwrap();
        assert_eq!((second.number, second.is_late()), (2, true));
        assert_eq!(runs.start_after(second), Some(u64::MAX));
        assert_eq!(runs.of_stamp(start + MAX_GAP + 5), None);
        assert_eq!(runs.of_stamp(0), None);
    }

    #[test]
    fn namespaces_are_told_by_their_paths() {
        assert!(fills_by_itself(r"root\wmi") && fills_by_itself(r"ROOT\RSOP\User\S_1"));
        assert!(!fills_by_itself(r"ROOT\WMIx") && !fills_by_itself("ROOT"));
        assert!(is_of_a_language(r"ROOT\CIMV2\MS_409") && !is_of_a_language(r"ROOT\msdtc"));
        assert!(!is_of_a_language("é"));
    }
}
