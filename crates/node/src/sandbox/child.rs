//! The child: gives up what it can, then reads, computes and answers.

use std::{
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
    process::ExitCode,
};

use aiarena_ml::{Error, MAX_ARTIFACT_BYTES, Model, Rows, evaluate, is_near_copy};

use super::{
    enter,
    wire::{Answer, Job, Kind, read_bytes, read_json},
};

/// More rows than any slice has, as bytes.
const MAX_ROWS_BYTES: u64 = 128 << 20;

/// What the hidden command does: answers one job. To be called before the program has a second thread.
#[must_use]
pub fn child_main() -> ExitCode {
    // The default one looks for a backtrace, which means opening files.
    set_hook(Box::new(|_| {}));
    let answer = answer(&mut io::stdin().lock());
    let said = serde_json::to_vec(&answer).map_err(io::Error::from).and_then(|text| {
        let mut output = io::stdout().lock();
        output.write_all(&text)?;
        output.flush()
    });
    if said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn answer(input: &mut impl Read) -> Answer {
    let job: Job = match read_json(input) {
        Ok(job) => job,
        Err(error) => return Answer::Unready(format!("no job: {error}")),
    };
    let enforced = match enter(&job.limits) {
        Ok(enforced) => enforced,
        Err(error) => return Answer::Unready(error.to_string()),
    };
    let work = || match job.kind {
        Kind::Probe => Ok(Answer::Enforced(enforced)),
        Kind::Evaluate => score(input),
        Kind::Compare { earlier } => compare(input, earlier),
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::Unready(error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            Answer::Panicked(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
        }
    }
}

fn score(input: &mut impl Read) -> io::Result<Answer> {
    let artifact = read_bytes(input, MAX_ARTIFACT_BYTES as u64)?;
    let rows = Rows::from_bytes(&read_bytes(input, MAX_ROWS_BYTES)?).map_err(io::Error::other)?;
    let model = match Model::from_bytes(&artifact) {
        Ok(model) => model,
        Err(error) => return Ok(Answer::NotAModel(error.to_string())),
    };
    drop(artifact);
    Ok(match evaluate(&model, &rows, &all(&rows)) {
        Ok(found) => Answer::Evaluated { correct: found.correct, total: found.total },
        Err(error @ Error::NotFinite { .. }) => Answer::NoScore(error.to_string()),
        Err(error) => Answer::Unready(error.to_string()),
    })
}

/// Every row of a slice.
pub(crate) fn all(rows: &Rows) -> Vec<u32> {
    (0..u32::try_from(rows.len()).unwrap_or(u32::MAX)).collect()
}

/// Holds two models at a time, however many there are.
fn compare(input: &mut impl Read, earlier: u32) -> io::Result<Answer> {
    let mut read = || read_bytes(input, MAX_ARTIFACT_BYTES as u64).map(|bytes| Model::from_bytes(&bytes));
    let later = match read()? {
        Ok(model) => model,
        Err(error) => return Ok(Answer::NotAModel(error.to_string())),
    };
    let mut alike = Vec::new();
    for _ in 0..earlier {
        alike.push(read()?.is_ok_and(|earlier| is_near_copy(&later, &earlier)));
    }
    Ok(Answer::Alike(alike))
}
