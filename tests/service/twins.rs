//! `Standby` and `Service`: the same answer to every call in every state.
//!
//! A table of states and calls. Each call is made on a fresh pair of a state, and asked of both:
//! the error, as a program matches it and as a COM caller sees it, and what goes on afterwards.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;

use cimrepo::base::progress::Progress;
use cimrepo::store::{Activity, OwnerId};

use cimrepo::service::{BackupAndRestore, ObjectOptions, Standby, StandbyObject, Trusted};
use parking_lot::{Condvar, Mutex};

use super::*;

/// Long enough for what a test does, and short enough to run out in one.
const LEASE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(20);

/// Whatever is asked of one of the two.
trait Twin: BackupAndRestore {
    fn owner(&self) -> OwnerId;
    fn wait_and_pause(&self, limit: Duration) -> Result<()>;
}

impl Twin for BackupRestore {
    fn owner(&self) -> OwnerId {
        self.owner()
    }

    fn wait_and_pause(&self, limit: Duration) -> Result<()> {
        self.pause_within(limit).map(drop)
    }
}

impl Twin for StandbyObject {
    fn owner(&self) -> OwnerId {
        self.owner()
    }

    fn wait_and_pause(&self, limit: Duration) -> Result<()> {
        self.pause_within(limit).map(drop)
    }
}

/// A repository with backups beside it, served in one of the two ways.
enum Served {
    Service(Service),
    Standby(Standby),
}

impl Served {
    fn object(&self) -> Box<dyn Twin> {
        match self {
            Served::Service(service) => Box::new(service.backup_restore()),
            Served::Standby(standby) => Box::new(standby.backup_restore_as(Arc::new(Trusted))),
        }
    }

    fn activity(&self) -> Activity {
        match self {
            Served::Service(service) => service.activity(),
            Served::Standby(standby) => standby.activity(),
        }
    }
}

/// Files that a call may name.
const GOOD: &str = "/good";
const WRONG: [&str; 8] = [
    "/foreign",
    "/empty",
    "/cut",
    "/bent",
    "/newer",
    "/missing",
    "/old dialect",
    "",
];

/// The files that lie there, with their bytes; made once, for many a storage is made of them.
fn lying_there() -> &'static [(PathBuf, Vec<u8>)] {
    static FILES: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let (storage, directory) = place();
        let options = cimrepo::backup::BackupOptions::default();
        let shared: Arc<dyn Storage> = Arc::new(storage.clone());
        let back_up = |directory: &Directory, to: &str| {
            let repository = OpenOptions::new().open_in(directory).unwrap();
            cimrepo::backup::backup_in(&repository, &shared, to, &options, &Unobserved).unwrap();
            storage.get(to).unwrap()
        };
        for (name, bytes) in support::small::small_v21() {
            storage.put(format!("/xp/{name}"), bytes);
        }
        let good = back_up(&directory, GOOD);
        let old = back_up(&Directory::new(shared.clone(), "/xp"), "/old dialect");
        let (mut bent, mut newer) = (good.clone(), good.clone());
        let middle = bent.len() / 2;
        bent[middle] ^= 1;
        newer[8] = 9;
        let crc = crc32fast::hash(&newer[..124]);
        newer[124..128].copy_from_slice(&crc.to_le_bytes());
        let cut = good[..good.len() - 1].to_vec();
        let mut all: Vec<_> = files(&storage)
            .into_iter()
            .map(|(name, bytes)| (Path::new(PLACE).join(name), bytes))
            .collect();
        let beside = [
            (GOOD, good),
            ("/old dialect", old),
            ("/foreign", b"no backup".to_vec()),
            ("/empty", Vec::new()),
            ("/cut", cut),
            ("/bent", bent),
            ("/newer", newer),
        ];
        all.extend(beside.map(|(path, bytes)| (path.into(), bytes)));
        all
    })
}

fn serve_as(is_standby: bool, lease: Duration) -> (MemStorage, Served) {
    let storage = MemStorage::new();
    let directory = Directory::new(Arc::new(storage.clone()), PLACE);
    lying_there()
        .iter()
        .for_each(|(path, bytes)| storage.put(path, bytes.clone()));
    let served = match is_standby {
        true => Served::Standby(Standby::with_options(
            &directory,
            ObjectOptions::new().lease(lease).limit(SHORT),
        )),
        false => Served::Service(
            ServiceOptions::new()
                .lease(lease)
                .limit(SHORT)
                .engine(still())
                .open_in(&directory)
                .unwrap(),
        ),
    };
    (storage, served)
}

/// Something else that goes on while the calls are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    PausedByCaller,
    PausedByOther,
    RanOut,
    Resumed,
    Released,
    Restoring,
    BackingUp,
}

const STATES: [State; 8] = [
    State::Idle,
    State::PausedByCaller,
    State::PausedByOther,
    State::RanOut,
    State::Resumed,
    State::Released,
    State::Restoring,
    State::BackingUp,
];

type Call = Box<dyn Fn(&dyn Twin) -> Result<()>>;

/// Every call that can be made, by name.
fn calls() -> Vec<(String, Call)> {
    let mut calls: Vec<(String, Call)> = vec![
        ("pause".into(), Box::new(|object| object.pause_now())),
        (
            "wait and pause".into(),
            Box::new(|object| object.wait_and_pause(SHORT)),
        ),
        ("resume".into(), Box::new(|object| object.end_pause())),
        (
            "pause twice".into(),
            Box::new(|object| object.pause_now().and_then(|()| object.pause_now())),
        ),
        (
            "pause and resume".into(),
            Box::new(|object| object.pause_now().and_then(|()| object.end_pause())),
        ),
    ];
    for to in [
        "/new",
        GOOD,
        "/foreign",
        "/empty",
        "/r/inside",
        "/r/OBJECTS.DATA",
        "/none/x",
        "/r",
        "/",
        "",
    ] {
        for bits in [0, 1, 2] {
            let flags = BackupRestoreFlags::from_bits_retain(bits);
            let call =
                move |object: &dyn Twin| object.back_up_to(Path::new(to), flags, &Unobserved);
            calls.push((format!("backup to {to:?}, {bits}"), Box::new(call)));
        }
    }
    for from in WRONG.into_iter().chain([GOOD, "/r", "/r/OBJECTS.DATA"]) {
        for bits in [0, 1, 2, u32::MAX] {
            let flags = BackupRestoreFlags::from_bits_retain(bits);
            let call =
                move |object: &dyn Twin| object.restore_from(Path::new(from), flags, &Unobserved);
            calls.push((format!("restore from {from:?}, {bits}"), Box::new(call)));
        }
    }
    for (name, stop) in [("backup", false), ("restore", true)] {
        let call = move |object: &dyn Twin| {
            let break_off = |_: Progress| ControlFlow::Break(());
            match stop {
                false => object.back_up_to(Path::new("/new"), NONE, &break_off),
                true => object.restore_from(Path::new(GOOD), FORCE, &break_off),
            }
        };
        calls.push((format!("cancelled {name}"), Box::new(call)));
    }
    calls
}

/// What a caller is told, in short, and what goes on afterwards.
fn told(result: Result<()>, served: &Served, caller: OwnerId) -> String {
    let answer = match result {
        Ok(()) => "done".to_owned(),
        Err(Error::InvalidOperation(moment)) => format!("{moment:?}"),
        Err(Error::InvalidArgument(invalid)) => format!("{:?}", invalid.misuse),
        Err(error) => {
            let name = format!("{error:?}");
            format!(
                "{} {:#X}",
                name.split(['{', '(', ' ']).next().unwrap(),
                error.hresult().0
            )
        }
    };
    let now = served.activity();
    let paused_by = now
        .paused_by
        .map(|owner| if owner == caller { "caller" } else { "other" });
    format!(
        "{answer}; paused by {paused_by:?}, restoring {}, {} backups",
        now.restoring.is_some(),
        now.backups
    )
}

/// Something that another thread does, held up at its first call to its observer until it is let
/// go.
#[derive(Default)]
struct Held {
    /// Whether it is there, and whether it may go.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Held {
    fn stop(&self, _: Progress) -> ControlFlow<()> {
        let mut state = self.state.lock();
        state.0 = true;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |state| !state.1);
        ControlFlow::Continue(())
    }

    fn until_there(&self) {
        self.changed
            .wait_while(&mut self.state.lock(), |state| !state.0);
    }

    fn let_go(&self) {
        self.state.lock().1 = true;
        self.changed.notify_all();
    }
}

/// The answer of one of the two to a call in a state.
fn answer(is_standby: bool, state: State, call: &Call) -> String {
    let lease = if state == State::RanOut { SHORT } else { LEASE };
    let (_, served) = serve_as(is_standby, lease);
    let (caller, other) = (served.object(), served.object());
    let ask = || told(call(caller.as_ref()), &served, caller.owner());
    match state {
        State::Idle => {}
        State::PausedByCaller => caller.pause_now().unwrap(),
        State::PausedByOther => other.pause_now().unwrap(),
        State::RanOut => {
            caller.pause_now().unwrap();
            until("the end of the lease", || {
                served.activity().paused_by.is_none()
            });
        }
        State::Resumed => {
            caller.pause_now().unwrap();
            caller.end_pause().unwrap();
        }
        State::Released => {
            other.pause_now().unwrap();
            drop(other);
            return ask();
        }
        State::Restoring | State::BackingUp => {
            let held = Held::default();
            return thread::scope(|scope| {
                let stop = |progress| held.stop(progress);
                let (other, is_restore) = (other.as_ref(), state == State::Restoring);
                let running = scope.spawn(move || match is_restore {
                    true => other.restore_from(Path::new(GOOD), NONE, &stop),
                    false => other.back_up_to(Path::new("/long"), NONE, &stop),
                });
                held.until_there();
                let answer = ask();
                held.let_go();
                // Whatever was asked beside it, it comes to its end.
                running.join().unwrap().unwrap();
                answer
            });
        }
    }
    ask()
}

#[test]
fn both_answer_alike_to_every_call_in_every_state() {
    let calls = calls();
    let mut answers = std::collections::BTreeMap::new();
    for state in STATES {
        for (name, call) in &calls {
            // A lease that runs out while a call is made says nothing of the call.
            if state == State::RanOut && name.contains("pause") {
                continue;
            }
            let [service, standby] =
                [false, true].map(|is_standby| answer(is_standby, state, call));
            assert_eq!(service, standby, "{name} while {state:?}");
            answers.insert((name.clone(), format!("{state:?}")), service);
        }
    }
    let is = |name: &str, state: State, expected: &str| {
        let answer = &answers[&(name.to_owned(), format!("{state:?}"))];
        assert!(
            answer.starts_with(expected),
            "{name} while {state:?}: {answer}"
        );
    };
    // What the decisions say of the rows that matter most.
    is(
        "pause",
        State::PausedByCaller,
        "PausedByCaller; paused by Some(\"caller\")",
    );
    is(
        "pause",
        State::PausedByOther,
        "PausedByOther; paused by Some(\"other\")",
    );
    is("wait and pause", State::PausedByOther, "Timeout 0x80041069");
    is(
        "pause",
        State::Restoring,
        "Restoring; paused by None, restoring true",
    );
    is("resume", State::Idle, "NotPaused");
    is("resume", State::PausedByOther, "PausedByOther");
    is("resume", State::RanOut, "NotPaused");
    is("backup to \"/new\", 0", State::PausedByOther, "done");
    is("backup to \"/new\", 0", State::Restoring, "Restoring");
    is(
        "backup to \"/new\", 0",
        State::BackingUp,
        "done; paused by None, restoring false, 1 backups",
    );
    is("backup to \"/foreign\", 0", State::Idle, "Overwrite");
    is(
        "backup to \"/r/OBJECTS.DATA\", 0",
        State::Idle,
        "ReservedName",
    );
    is("restore from \"/good\", 0", State::Idle, "done");
    is(
        "restore from \"/good\", 1",
        State::PausedByCaller,
        "PausedByCaller",
    );
    is(
        "restore from \"/good\", 1",
        State::PausedByOther,
        "PausedByOther",
    );
    is("restore from \"/good\", 0", State::Restoring, "Restoring");
    is("restore from \"/good\", 0", State::RanOut, "done");
    is(
        "restore from \"/old dialect\", 1",
        State::Idle,
        "OtherDialect 0x80041078",
    );
    is(
        "restore from \"/newer\", 1",
        State::Idle,
        "Backup 0x80041078",
    );
    is("cancelled backup", State::Idle, "Cancelled");
    println!("{} answers of each, alike", answers.len());
}
