//! A compile on a disk that fails, or loses its power, at every call: the old state is there or the
//! new one, and it verifies.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use cimrepo::base::progress::Unobserved;
use cimrepo::catalog::{Catalog, create};
use cimrepo::compile::{MofSource, NoIncludes, compile};
use cimrepo::storage::sim::{CrashPolicy, Fault, FaultPlan, SimStorage};
use cimrepo::storage::{Directory, Storage};
use cimrepo::store::{EngineOptions, OpenOptions};
use cimrepo::verify::{VerifyOptions, verify};
use cimrepo::{Error, Result};

use super::options;

const TEXT: &str = r#"#pragma namespace("\\\\.\\root\\shop\\back")
    class Shelf { [key] string Name; uint32 Boards = 3; void Fill([in] uint32 Count); };
    class Wide : Shelf { uint32 Width; };
    instance of Wide { Name = "left"; Width = 9; };
    #pragma namespace("\\\\.\\root\\default")
    #pragma deleteclass("Old", FAIL)"#;

fn directory(disk: &SimStorage) -> Directory {
    Directory::new(Arc::new(disk.clone()), "repository")
}

/// Compiles a text, and closes the repository.
fn compiled(disk: &SimStorage, text: &str) -> Result<()> {
    let engine = EngineOptions::new()
        .background(false)
        .open_in(&directory(disk))?;
    let sources = [MofSource::new("test.mof", text)];
    let report = compile(&engine, &sources, &mut NoIncludes, &options())?;
    assert!(report.is_stored(), "{:?}", report.diagnostics);
    engine.close()
}

/// A disk with a repository that has the class `Old`.
fn before() -> SimStorage {
    let disk = SimStorage::new();
    disk.create_dir(Path::new("repository")).unwrap();
    create(&directory(&disk)).unwrap();
    compiled(&disk, "class Old { [key] uint8 K; };").unwrap();
    disk.crash(CrashPolicy::KeepAll)
}

/// Whether the new state is there; panics where it is neither, or does not verify.
fn is_new(disk: &SimStorage, what: &str) -> bool {
    let repository = OpenOptions::new().open_in(&directory(disk)).unwrap();
    let report = verify(&repository, VerifyOptions::default(), &Unobserved).unwrap();
    assert!(
        report.is_consistent(),
        "{what}: {:?}",
        report.findings().collect::<Vec<_>>()
    );
    let catalog = Catalog::new(repository.snapshot());
    let shop = r"root\shop\back";
    let path = r#"Wide.Name="left""#.parse().unwrap();
    let has_shop = catalog.has_namespace(shop).unwrap();
    let state = [
        has_shop,
        has_shop && catalog.class(shop, "Wide").unwrap().is_some(),
        has_shop && catalog.instance(shop, &path).unwrap().is_some(),
        catalog.class(r"root\default", "Old").unwrap().is_none(),
    ];
    assert!(
        state == [true; 4] || state == [false; 4],
        "{what}: {state:?}"
    );
    has_shop
}

/// The calls of a compile without fault.
fn calls(disk: &SimStorage) -> Vec<String> {
    let disk = disk.crash(CrashPolicy::KeepAll);
    compiled(&disk, TEXT).unwrap();
    assert!(is_new(&disk, "without fault"));
    disk.operation_log()
}

#[test]
fn a_compile_that_fails_leaves_the_old_state_or_the_new_one() {
    let before = before();
    let log = calls(&before);
    let (mut runs, mut refused) = (0, 0);
    for (at, call) in (0u64..).zip(&log) {
        let mut plans = vec![
            FaultPlan::once(at, Fault::Io),
            FaultPlan::from(at, Fault::Io),
        ];
        if call.starts_with("write") {
            plans.push(FaultPlan::from(at, Fault::NoSpace));
            plans.push(FaultPlan::once(at, Fault::Io).transfer_first());
        }
        for plan in plans {
            let what = format!("{call}: {plan:?}");
            let disk = before.crash(CrashPolicy::KeepAll);
            disk.set_plan(plan);
            let result = compiled(&disk, TEXT);
            disk.set_plan(FaultPlan::none());
            runs += 1;
            let is_new = is_new(&disk, &what);
            match result {
                Ok(()) => assert!(is_new, "{what}: it had succeeded"),
                Err(_) if is_new => {}
                Err(Error::Unconfirmed { .. }) => panic!("{what}: in doubt, and not there"),
                Err(_) => {
                    refused += 1;
                    compiled(&disk, TEXT).unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert!(self::is_new(&disk, &what));
                }
            }
        }
    }
    println!(
        "{} calls, {runs} runs, {refused} left the old state",
        log.len()
    );
    assert!(log.len() > 20 && refused > 20, "{} {refused}", log.len());
}

#[test]
fn a_compile_without_power_leaves_the_old_state_or_the_new_one() {
    let before = before();
    let log = calls(&before);
    let (mut seen, hasher) = (HashSet::new(), RandomState::new());
    let mut states = [0, 0];
    for (at, call) in (0u64..).zip(&log) {
        let disk = before.crash(CrashPolicy::KeepAll);
        disk.set_plan(FaultPlan::once(at, Fault::PowerOff));
        let result = compiled(&disk, TEXT);
        let mut policies = vec![CrashPolicy::DropAll, CrashPolicy::KeepAll];
        policies.extend((0..2).map(CrashPolicy::Seeded));
        for policy in policies {
            let image = disk.crash(policy);
            if !seen.insert((result.is_ok(), hasher.hash_one(image.files()))) {
                continue;
            }
            let what = format!("power off at {call}, {policy:?}");
            let is_new = is_new(&image, &what);
            assert!(is_new || result.is_err(), "{what}: it had succeeded");
            if let Some(count) = states.get_mut(usize::from(is_new)) {
                *count += 1;
            }
        }
    }
    println!(
        "{} calls, {} states: {states:?} old and new",
        log.len(),
        seen.len()
    );
    assert!(states.iter().all(|count| *count > 5), "{states:?}");
}
