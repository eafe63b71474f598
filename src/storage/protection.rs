//! Access rights of files. No file is made more accessible than its source (W-18).

/// The access rights of a file or directory.
///
/// [`Storage::protection`](super::Storage::protection) returns those of an existing file, and
/// [`Storage::create`](super::Storage::create) makes a file with given ones. The default leaves the
/// decision to the system, which uses the umask of the process or the rights inherited from the
/// directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Protection {
    /// Unix permission bits.
    mode: Option<u32>,
    owner: Option<u32>,
    group: Option<u32>,
    list: AccessList,
    reach: Reach,
}

/// Access rights beyond the permission bits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum AccessList {
    /// No access list.
    #[default]
    None,
    #[cfg_attr(
        not(feature = "cli"),
        allow(
            dead_code,
            reason = "without the package for them, lists are met on Windows alone"
        )
    )]
    /// A POSIX access list, or a Windows security descriptor, in the system's own bytes.
    Given(Vec<u8>),
    /// The sources have different lists, and no list is known that grants only what all of them
    /// grant.
    Unlike,
}

/// How much of a protection a new file receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Reach {
    /// At most the same rights: the umask of the process reduces them, and the file belongs to the
    /// user who creates it.
    #[default]
    AtMost,
    /// At most the same rights, and the same owner: the file replaces an older one of its kind.
    AtMostOwned,
    /// Exactly the same, with the same owner: the file replaces the other, or belongs to the same
    /// repository.
    Same,
}

/// Permission bits of one class of users, in the lowest three bits.
const READ: u32 = 4;
const WRITE: u32 = 2;
const EXECUTE: u32 = 1;
/// Positions of the bits of owner, group and others.
const CLASSES: [u32; 3] = [6, 3, 0];

impl Protection {
    /// The protection given by Unix permission bits, an owner and a group.
    pub fn unix(mode: u32, owner: u32, group: u32) -> Self {
        let (mode, owner, group) = (Some(mode & 0o777), Some(owner), Some(group));
        Self {
            mode,
            owner,
            group,
            ..Self::default()
        }
    }

    /// A protection for the owner alone; on Windows for administrators and the system too.
    pub fn private() -> Self {
        Self {
            mode: Some(0o600),
            list: AccessList::Unlike,
            ..Self::default()
        }
    }

    pub(super) fn with_list(self, list: AccessList) -> Self {
        Self { list, ..self }
    }

    /// Unix permission bits, if they are known.
    pub fn mode(&self) -> Option<u32> {
        self.mode
    }

    /// User id of the owner, if it is known.
    pub fn owner(&self) -> Option<u32> {
        self.owner
    }

    /// Id of the group, if it is known.
    pub fn group(&self) -> Option<u32> {
        self.group
    }

    #[cfg_attr(
        not(feature = "cli"),
        allow(
            dead_code,
            reason = "without the package for them, lists are met on Windows alone"
        )
    )]
    pub(super) const fn list(&self) -> &AccessList {
        &self.list
    }

    /// True if a new file receives exactly this protection, including its owner as far as the
    /// system permits.
    pub fn is_kept(&self) -> bool {
        self.reach == Reach::Same
    }

    /// The owner to give to a new file with this protection.
    #[cfg(any(unix, test))]
    pub(super) fn new_owner(&self) -> Option<u32> {
        if self.reach == Reach::AtMost {
            None
        } else {
            self.owner
        }
    }

    /// The same protection, to be received exactly, by a file that replaces the one it was read
    /// from or lies in the same repository.
    pub fn kept(self) -> Self {
        Self {
            reach: Reach::Same,
            ..self
        }
    }

    /// The protection of a file made from this one that replaces `replaced`: the rights that both
    /// grant. The owner stays, unless it may not read the source.
    pub fn in_place_of(&self, replaced: &Self) -> Self {
        let may_read = self.owner == replaced.owner
            || self.mode.is_none_or(|mode| without_group(mode) & READ != 0);
        let (owner, reach) = match replaced.owner {
            Some(owner) if may_read => (Some(owner), Reach::AtMostOwned),
            _ => (None, Reach::AtMost),
        };
        Self {
            owner,
            reach,
            ..self.and(replaced)
        }
    }

    /// The rights that a directory with this protection passes on to its files. A user who may
    /// enter it can read a file whose name is known.
    pub fn through_directory(&self) -> Self {
        // On Windows everyone may traverse a directory, unless the system is configured otherwise.
        let list = if cfg!(windows) {
            AccessList::None
        } else {
            self.list.clone()
        };
        self.clone()
            .with_list(list)
            .by_class(|bits| if bits & EXECUTE == 0 { 0 } else { READ | WRITE })
    }

    /// The protection of a file made from one with this protection.
    pub fn for_file(&self) -> Self {
        self.by_class(|bits| bits & (READ | WRITE))
    }

    /// The protection of a directory for files made from a file with this protection.
    pub fn for_directory(&self) -> Self {
        self.by_class(|bits| match bits & (READ | WRITE) {
            0 => 0,
            bits => bits | EXECUTE,
        })
    }

    fn by_class(&self, change: impl Fn(u32) -> u32) -> Self {
        let mode = self.mode.map(|mode| {
            CLASSES
                .into_iter()
                .map(|shift| change((mode >> shift) & 7) << shift)
                .sum()
        });
        Self {
            mode,
            ..self.clone()
        }
    }

    /// The rights that both grant, for something made from two sources. The owner is not carried
    /// over.
    pub fn and(&self, other: &Self) -> Self {
        let list = match (&self.list, &other.list) {
            (ours, theirs) if ours == theirs => ours.clone(),
            // A protection that says nothing restricts nothing.
            (AccessList::None, theirs) if self.mode.is_none() => theirs.clone(),
            (ours, AccessList::None) if other.mode.is_none() => ours.clone(),
            _ => AccessList::Unlike,
        };
        let (mode, group) = match (self.mode, other.mode) {
            (Some(ours), Some(theirs)) if self.group == other.group => {
                (Some(ours & theirs), self.group)
            }
            (Some(ours), Some(theirs)) => {
                let (first, second) = (within(ours, theirs), within(theirs, ours));
                // If the groups differ, the one that retains more rights wins.
                let (mode, group) = if second & 0o070 > first & 0o070 {
                    (second, other.group)
                } else {
                    (first, self.group)
                };
                (Some(mode), group)
            }
            (ours, theirs) => (ours.or(theirs), self.group.or(other.group)),
        };
        Self {
            mode,
            owner: None,
            group,
            list,
            reach: Reach::AtMost,
        }
    }

    /// The permission bits of a file made with this protection.
    #[cfg(any(unix, test))]
    pub(super) fn bits(&self, made: Made) -> Option<u32> {
        let mode = self.mode?;
        // The user who writes it must remain able to read and write it, which reveals nothing to
        // others.
        let mode = if self.is_kept() {
            mode
        } else {
            (mode | made.least()) & !made.umask
        };
        // If there is an access list, the bits of the group are its mask, which may exceed the
        // rights of the group.
        let mode = if self.list == AccessList::None {
            mode
        } else {
            mode & !0o070
        };
        Some(if made.has_group {
            mode
        } else {
            without_group(mode)
        })
    }
}

/// The known facts about a file that is being created.
#[cfg(any(unix, test))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub is_directory: bool,
    /// True if it has the group of the protection.
    pub has_group: bool,
    pub umask: u32,
}

#[cfg(any(unix, test))]
impl Made {
    const fn least(self) -> u32 {
        if self.is_directory { 0o700 } else { 0o600 }
    }
}

/// The bits of `ours` and its group as far as a file of another group with bits `theirs` grants
/// them too. Under the other file, a user of our group may or may not be in its group.
fn within(ours: u32, theirs: u32) -> u32 {
    let group = (theirs >> 3) & theirs & 7;
    let others = ours & group;
    (ours & theirs & 0o700) | (ours & (group << 3)) | others
}

/// The bits for a file that lacks the intended group: everyone but the owner gets the rights common
/// to group and others.
pub(super) const fn without_group(mode: u32) -> u32 {
    let both = mode & (mode >> 3) & 7;
    (mode & 0o700) | (both << 3) | both
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(protection: &Protection) -> u32 {
        protection.mode().unwrap()
    }

    const ALONE: Made = Made {
        is_directory: false,
        has_group: true,
        umask: 0o022,
    };

    /// The ids of the users, each with the groups it belongs to.
    const USERS: [(u32, &[u32]); 5] =
        [(1, &[]), (2, &[10]), (3, &[11]), (4, &[10, 11]), (5, &[12])];

    fn may(user: (u32, &[u32]), protection: &Protection, owner: u32) -> u32 {
        let shift = match () {
            () if user.0 == owner => 6,
            () if user.1.contains(&protection.group().unwrap_or(999)) => 3,
            () => 0,
        };
        (mode(protection) >> shift) & 7
    }

    #[test]
    fn of_two_sources_nobody_may_do_more_than_each_of_them_lets_do() {
        for first in 0..0o100 {
            for second in 0..0o100 {
                for groups in [(10, 10), (10, 11), (11, 10), (10, 12)] {
                    let (a, b) = (
                        Protection::unix(first, 99, groups.0),
                        Protection::unix(second, 99, groups.1),
                    );
                    let both = a.and(&b);
                    let lost = Protection {
                        mode: Some(without_group(mode(&both))),
                        group: Some(77),
                        ..both.clone()
                    };
                    for user in USERS {
                        let allowed = may(user, &a, 99) & may(user, &b, 99);
                        let context = format!("{first:o} {second:o} {groups:?} {user:?}");
                        assert_eq!(may(user, &both, 99) & !allowed, 0, "{context}");
                        assert_eq!(
                            may(user, &lost, 99) & !allowed,
                            0,
                            "{context}: without the group"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_directory_takes_from_its_files_what_it_does_not_let_in() {
        let file = Protection::unix(0o644, 1, 10);
        let inside = |dir: u32| mode(&file.and(&Protection::unix(dir, 1, 10).through_directory()));
        assert_eq!(
            [inside(0o755), inside(0o711), inside(0o750), inside(0o700)],
            [0o644, 0o644, 0o640, 0o600]
        );
        assert_eq!(mode(&Protection::unix(0o640, 1, 10).for_directory()), 0o750);
        assert_eq!(mode(&Protection::unix(0o751, 1, 10).for_file()), 0o640);
    }

    #[test]
    fn the_umask_takes_from_what_is_made_and_not_from_what_is_kept() {
        let open = Protection::unix(0o666, 1, 10);
        assert_eq!(open.bits(ALONE), Some(0o644));
        assert_eq!(open.clone().kept().bits(ALONE), Some(0o666));
        assert_eq!(
            Protection::unix(0o440, 1, 10).bits(Made {
                has_group: false,
                ..ALONE
            }),
            Some(0o600)
        );
        assert_eq!(Protection::default().bits(ALONE), None);
    }

    #[test]
    fn an_owner_stays_who_may_read_what_replaces_his_file() {
        let (own, others) = (
            Protection::unix(0o600, 1, 10),
            Protection::unix(0o644, 2, 10),
        );
        assert_eq!(
            own.in_place_of(&Protection::unix(0o644, 1, 10)).new_owner(),
            Some(1)
        );
        assert_eq!(own.in_place_of(&others).new_owner(), None);
        assert_eq!(others.in_place_of(&own).new_owner(), Some(1));
        assert_eq!(mode(&others.in_place_of(&own)), 0o600);
    }

    #[test]
    fn what_an_access_list_hides_is_not_given_to_the_group() {
        let listed = Protection::unix(0o664, 1, 10).with_list(AccessList::Given(vec![1]));
        assert_eq!(listed.bits(ALONE), Some(0o604));
        let unlike = listed.and(&Protection::unix(0o644, 1, 10));
        assert_eq!(unlike.bits(Made { umask: 0, ..ALONE }), Some(0o604));
        assert_eq!(
            Protection::default().and(&listed),
            Protection {
                owner: None,
                ..listed
            }
        );
    }
}
