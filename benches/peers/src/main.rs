//! cimrepo beside LMDB, redb, fjall and SQLite on the same objects, in one run.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml -- --objects 100000` prints tables
//! of medians. Each measurement is a process of its own; in every round the stores take turns, so
//! that a noisy minute falls on all of them.

mod clock;
mod report;
mod stages;
mod stores;
mod workload;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use report::Figures;
use stores::Outcome;

const USAGE: &str =
    "cimrepo-peers [--objects N] [--rounds N] [--dir DIR] [--stores NAME,…] [--stages NAME,…]

  --objects   how many are loaded                    (100000)
  --rounds    how often everything is measured       (3)
  --dir       where the stores are made, and removed (target/peers, or below CARGO_TARGET_DIR)
  --stores    cimrepo,lmdb,redb,fjall,sqlite-wal,sqlite-delete
  --stages    load,limit,read-1,read-2,scan,open,commit-1,commit-100,copy,kill,open-killed
              (a store is loaded in any case)";

const STAGES: [&str; 11] = [
    "load",
    "limit",
    "read-1",
    "read-2",
    "scan",
    "open",
    "commit-1",
    "commit-100",
    "copy",
    "kill",
    "open-killed",
];

struct Plan {
    objects: u64,
    rounds: usize,
    dir: PathBuf,
    stores: Vec<String>,
    stages: Vec<String>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--measure", stage, store, dir, objects] => measure(stage, store, dir, objects),
        _ => match Plan::parse(&arguments) {
            Ok(plan) => plan.carry_out(),
            Err(error) => {
                eprintln!("{error}\n\n{USAGE}");
                return ExitCode::from(2);
            }
        },
    };
    if let Err(error) = done {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn measure(stage: &str, store: &str, dir: &str, objects: &str) -> Outcome<()> {
    stages::run(stage, store, Path::new(dir), objects.parse()?)
}

impl Plan {
    fn parse(arguments: &[String]) -> Outcome<Self> {
        let list = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let (stores, stages) = (list(&stores::NAMES), list(&STAGES));
        let mut plan = Self {
            objects: 100_000,
            rounds: 3,
            dir: target.join("peers"),
            stores,
            stages,
        };
        for pair in arguments.chunks(2) {
            let [option, value] = pair else {
                return Err(format!("{} wants a value", pair[0]).into());
            };
            let names = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
            match option.as_str() {
                "--objects" => plan.objects = value.parse()?,
                "--rounds" => plan.rounds = value.parse()?,
                "--dir" => plan.dir = value.into(),
                "--stores" => plan.stores = names(),
                "--stages" => plan.stages = names(),
                _ => return Err(format!("there is no option {option}").into()),
            }
        }
        if let Some(unknown) = plan
            .stores
            .iter()
            .find(|name| !stores::NAMES.contains(&name.as_str()))
        {
            return Err(format!("there is no store {unknown}").into());
        }
        if let Some(unknown) = plan
            .stages
            .iter()
            .find(|name| !STAGES.contains(&name.as_str()))
        {
            return Err(format!("there is no stage {unknown}").into());
        }
        if plan.objects == 0 || plan.rounds == 0 {
            return Err("there has to be something to measure".into());
        }
        Ok(plan)
    }

    fn carry_out(&self) -> Outcome<()> {
        let mut figures = Figures::default();
        for round in 1..=self.rounds {
            for stage in STAGES {
                if stage != "load" && !self.stages.iter().any(|wanted| wanted == stage) {
                    continue;
                }
                eprintln!("round {round} of {}: {stage}", self.rounds);
                let stores = if stage == "limit" {
                    vec!["limit"]
                } else {
                    self.stores.iter().map(String::as_str).collect()
                };
                for store in stores {
                    if stage == "copy" && !stores::COPYING.contains(&store) {
                        continue;
                    }
                    self.one(stage, store, &mut figures)?;
                }
            }
        }
        for store in &self.stores {
            std::fs::remove_dir_all(self.dir.join(store))?;
        }
        println!("{}", figures.report(self.objects, self.rounds));
        Ok(())
    }

    /// One measurement in a process of its own.
    fn one(&self, stage: &str, store: &str, figures: &mut Figures) -> Outcome<()> {
        let dir = self.dir.join(store);
        if stage == "load" && dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--measure", stage, store])
            .arg(&dir)
            .arg(self.objects.to_string());
        let output = command.output()?;
        if !output.status.success() {
            return Err(format!(
                "{stage} of {store}: {}",
                String::from_utf8_lossy(&output.stderr)
            )
            .into());
        }
        figures.take(stage, store, &String::from_utf8_lossy(&output.stdout))
    }
}
