//! Output of `verify --token` for a copy.

use cimrepo::store::PauseToken;
use cimrepo::verify::{Disproof, Proof, VerifyOptions, prove};
use serde::Serialize;

use super::output::{Failure, Output};
use super::progress::Bar;
use super::source::Source;
use crate::verbs::verify::show_generation;

#[derive(Serialize)]
struct DisproofRow<'d> {
    code: &'d str,
    reason: String,
}

#[derive(Serialize)]
struct ProofRow {
    token: PauseToken,
    /// True if it is the complete paused state with nothing later in it.
    proven: bool,
    /// True if nothing in it was written after the pause began.
    held: bool,
    codes: Vec<&'static str>,
}

/// Compares a source with the token of a pause, and reports the result.
pub fn show(source: &Source, token: &PauseToken, output: &mut Output) -> Result<bool, Failure> {
    let (options, bar) = (VerifyOptions::default(), Bar::new());
    let proof = match source {
        Source::Repository(repository) => prove(repository, token, options, &bar)?,
        Source::Backup(backup) => backup.prove(token, options, &bar)?,
    };
    drop(bar);
    if let Some(report) = &proof.report {
        show_generation(report, output)?;
    }
    if output.is_json() {
        show_json(&proof, output)?;
    } else {
        show_text(&proof, output)?;
    }
    Ok(proof.is_proven())
}

fn show_text(proof: &Proof, output: &mut Output) -> Result<(), Failure> {
    for disproof in &proof.disproofs {
        output.line(format_args!("{}: {disproof}", disproof.code()))?;
    }
    if proof.is_proven() {
        return output.line(
            "PROVEN: the state that was paused, whole; nothing later is in it, so the pause held",
        );
    }
    output.line(match proof.did_pause_hold() {
        true => "NOT PROVEN: it is not the state that was paused, whole",
        false => {
            "NOT PROVEN: it holds, or may hold, what was written after the pause; copy it again"
        }
    })
}

fn show_json(proof: &Proof, output: &mut Output) -> Result<(), Failure> {
    for disproof in &proof.disproofs {
        output.row(
            "disproof",
            &DisproofRow {
                code: disproof.code(),
                reason: disproof.to_string(),
            },
        )?;
    }
    let row = ProofRow {
        token: proof.token,
        proven: proof.is_proven(),
        held: proof.did_pause_hold(),
        codes: proof.disproofs.iter().map(Disproof::code).collect(),
    };
    output.row("proof", &row)
}
