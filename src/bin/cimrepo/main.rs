//! The `cimrepo` command: reads, verifies, backs up and restores a Windows CIM (WMI) repository.

mod ui;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use ui::output::{complain_of_bug, guard_panics, read_arguments};
use ui::{interrupt, source};
use verbs::Verb;

/// Reads, verifies, backs up and restores a Windows CIM (WMI) repository on disk.
///
/// REPO is the directory that holds OBJECTS.DATA, or one above it (wbem, Repository). If several
/// PATHs are accepted, each may also be a directory above any number of repositories, such as the
/// root of a collected tree; symbolic links in it are not followed. Reading never changes anything
/// there. Use a copy, or stop the service winmgmt first, because nothing keeps Windows from writing
/// in the meantime.
#[derive(Debug, Parser)]
#[command(name = "cimrepo", version, max_term_width = 100, after_help = EXIT_CODES, propagate_version = true)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes:
    0  done, and complete
    1  done, with something to say: findings, differences, losses, nothing found
    2  wrong usage, or a target that is refused
    3  the operating system refused something
    4  nothing could be done: damaged, or not a repository or backup
    5  busy: locked, paused, or written to meanwhile
    6  an error in MOF or WQL
   70  a fault of this program
  130  interrupted: Ctrl-C removes partial output
Of several sources the most telling code counts: 70, 130, 2, 6, 3, 4, 5, 1, 0, in this order.
A reader that closes the pipe (`| head`) ends the command quietly with 0.

Examples:
  cimrepo demo /tmp/demo                         show the main job on a repository made for it
  cimrepo verify /evidence/wbem/Repository       is it consistent?
  cimrepo ls /evidence/wbem/Repository 'root\\subscription'
  cimrepo backup /evidence/wbem/Repository monday.cimbak
  cimrepo restore monday.cimbak restored";

fn main() -> ExitCode {
    guard_panics();
    let verb = match read_arguments::<Command>() {
        Ok(command) => command.verb,
        Err(code) => return ExitCode::from(code),
    };
    let outcome = match std::panic::catch_unwind(|| verb.run()) {
        Ok(Ok(outcome)) => source::judged(outcome),
        Ok(Err(failure)) => {
            let is_cancelled = failure.is_cancelled();
            let outcome = failure.report();
            if is_cancelled {
                interrupt::end_by_signal();
            }
            outcome
        }
        Err(_) => complain_of_bug(),
    };
    ExitCode::from(outcome as u8)
}

#[cfg(test)]
mod tests {
    use cimrepo::base::error::ExitCode as Outcome;
    use clap::CommandFactory;

    use super::*;

    /// The verbs that print no data, with the reasons.
    const WITHOUT_JSON: [(&str, &str); 2] = [
        ("completions", "prints a script that a shell runs"),
        ("backups", "has verbs of its own, each with --json"),
    ];

    /// Words of the library, and words that a native speaker would not use here.
    const NOT_IN_HELP: [&str; 14] = [
        "anew",
        "beside",
        "behind",
        "snapshot",
        "handle",
        "poison",
        "whoever",
        "takes away",
        "is told",
        "half written",
        "Catalog",
        "Failure",
        "Outcome",
        "OpenOptions",
    ];

    /// Every verb, including those of `backups`.
    fn verbs() -> Vec<clap::Command> {
        let (mut verbs, mut ahead) = (Vec::new(), vec![Command::command()]);
        while let Some(command) = ahead.pop() {
            ahead.extend(command.get_subcommands().cloned());
            verbs.push(command);
        }
        verbs.retain(|verb| verb.get_name() != "cimrepo");
        assert!(verbs.len() > 20);
        verbs
    }

    #[test]
    fn the_arguments_of_the_command_fit_together() {
        Command::command().debug_assert();
    }

    #[test]
    fn every_verb_that_prints_data_has_json() {
        for verb in verbs() {
            let has_json = verb
                .get_arguments()
                .any(|argument| argument.get_long() == Some("json"));
            let is_excepted = WITHOUT_JSON
                .iter()
                .any(|(name, _)| *name == verb.get_name());
            assert_ne!(has_json, is_excepted, "{}", verb.get_name());
        }
    }

    #[test]
    fn the_help_of_every_verb_has_its_parts_and_is_in_plain_words() {
        for mut verb in verbs() {
            let (name, help) = (
                verb.get_name().to_owned(),
                verb.render_long_help().to_string(),
            );
            assert!(
                help.contains("Exit codes: ") && help.contains("Example"),
                "{name}: {help}"
            );
            assert!(
                help.contains(&format!("cimrepo {name}"))
                    || help.contains(&format!("backups {name}")),
                "{name}"
            );
            for word in NOT_IN_HELP {
                assert!(
                    !help.to_lowercase().contains(&word.to_lowercase()),
                    "{name}: {word} in {help}"
                );
            }
        }
        let help = Command::command().render_long_help().to_string();
        for code in Outcome::BY_WEIGHT {
            let row = format!("{:>5}  ", code as u8);
            assert!(
                help.lines().any(|line| line.starts_with(&row)),
                "{code:?} in {help}"
            );
        }
        let order = Outcome::BY_WEIGHT.map(|code| (code as u8).to_string());
        let order: Vec<String> = order.into_iter().rev().collect();
        assert!(
            help.contains(&order.join(", ")),
            "the order of the codes is that of the library"
        );
    }
}
