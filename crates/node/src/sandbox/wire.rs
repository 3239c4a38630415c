//! What parent and child say to each other.
//!
//! Parent to child: the length of the job, the job as JSON, then byte strings, each after its length. Child to parent: the
//! answer as JSON and nothing after it. Lengths are eight bytes, little-endian.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Enforced, Limits};

/// The longest job, in bytes.
const MAX_JOB_BYTES: u64 = 64 << 10;
/// The longest text in an answer that is passed on, in characters.
const LONGEST_TEXT: usize = 200;

/// What a child is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// What it may use.
    pub limits: Limits,
    /// What it is to do.
    pub kind: Kind,
}

/// The kinds of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// Enter the sandbox, and say what of it holds.
    Probe,
    /// Evaluate an artifact on rows; both follow.
    Evaluate,
    /// Say which of so many earlier artifacts a later one is a near copy of; the later one and then they follow.
    Compare {
        /// How many there are.
        earlier: u32,
    },
}

/// What a child answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// What of the sandbox holds.
    Enforced(Enforced),
    /// Rows that the model answered rightly, of how many.
    Evaluated {
        /// Rows answered rightly.
        correct: u32,
        /// All rows.
        total: u32,
    },
    /// For each of the earlier artifacts, whether the later one is a near copy of it.
    Alike(Vec<bool>),
    /// The artifact is no model, and why.
    NotAModel(String),
    /// The model has no score, and why.
    NoScore(String),
    /// The evaluator panicked.
    Panicked(String),
    /// This machine cannot evaluate, and why.
    Unready(String),
}

/// Writes a value as JSON, after its length.
pub(super) fn write_json<T: Serialize>(output: &mut impl Write, value: &T) -> io::Result<()> {
    write_bytes(output, &serde_json::to_vec(value)?)
}

/// Reads what [`write_json`] wrote.
pub(super) fn read_json<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<T> {
    Ok(serde_json::from_slice(&read_bytes(input, MAX_JOB_BYTES)?)?)
}

/// Writes bytes after their length.
pub(crate) fn write_bytes(output: &mut (impl Write + ?Sized), bytes: &[u8]) -> io::Result<()> {
    output.write_all(&(bytes.len() as u64).to_le_bytes())?;
    output.write_all(bytes)
}

/// Reads what [`write_bytes`] wrote, if it is not longer than `limit`.
pub(super) fn read_bytes(input: &mut impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > limit {
        return Err(io::Error::other(format!("{length} bytes announced, at most {limit} are read")));
    }
    let mut bytes = Vec::new();
    if input.take(length).read_to_end(&mut bytes)? as u64 == length {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// A text of a child as it may be logged: short, and without characters that a terminal obeys.
pub(super) fn harmless(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_bytes_pass_the_pipe() {
        let job = Job { limits: Limits::default(), kind: Kind::Compare { earlier: 7 } };
        let mut pipe = Vec::new();
        write_json(&mut pipe, &job).unwrap();
        write_bytes(&mut pipe, b"artifact").unwrap();
        let mut input = &pipe[..];
        assert_eq!(read_json::<Job>(&mut input).unwrap(), job);
        assert_eq!(read_bytes(&mut input, 8).unwrap(), b"artifact");
        assert!(read_bytes(&mut &pipe[pipe.len() - 16..], 7).is_err());
        assert!(read_bytes(&mut &pipe[pipe.len() - 16..pipe.len() - 1], 8).is_err());
    }

    #[test]
    fn only_answers_are_answers() {
        let parse = |text: &str| serde_json::from_str::<Answer>(text);
        assert_eq!(
            parse(r#"{"evaluated":{"correct":1,"total":2}}"#).unwrap(),
            Answer::Evaluated { correct: 1, total: 2 }
        );
        for text in [
            "",
            "{}",
            r#"{"score":1}"#,
            r#"{"evaluated":{"correct":-1,"total":2}}"#,
            r#"{"evaluated":{"correct":1,"total":2,"more":3}}"#,
            r#"{"evaluated":{"correct":1,"total":2}}{}"#,
            r#"{"alike":[1]}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn texts_are_cut_and_cleaned() {
        assert_eq!(harmless("a\x1b[31m\n"), "a\u{fffd}[31m\u{fffd}");
        assert_eq!(harmless(&"x".repeat(1_000)).len(), LONGEST_TEXT);
    }
}
