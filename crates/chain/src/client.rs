//! What comes of a transaction, and how the contracts' refusals are told.

use std::fmt::Debug;

use alloy::{
    primitives::{Address, B256, Bytes, hex},
    sol_types::SolInterface,
    transports::{RpcError, TransportErrorKind},
};

use crate::{
    account::JournalError,
    bindings::{
        Arena::ArenaErrors, ArenaToken::ArenaTokenErrors, Emission::EmissionErrors,
        Settlement::SettlementErrors, Vault::VaultErrors,
    },
    endpoints,
};

pub use crate::account::Account;

/// Why a call or a transaction had no effect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A contract refused it. Sending the same again is of no use.
    #[error("{action}: the contract refused: {reason}")]
    Refused {
        /// The function that was called.
        action: String,
        /// The contract's error with its values.
        reason: String,
    },
    /// It was mined, but failed there.
    #[error("{action}: transaction {hash} was mined in block {block} but failed")]
    Failed {
        /// The function that was called.
        action: String,
        /// The transaction.
        hash: B256,
        /// Where it was mined.
        block: u64,
    },
    /// It was not mined before its deadline, or nobody took it, and a transaction took its place that does nothing.
    #[error("{action}: given up without effect: it was not mined in time, or no endpoint took it")]
    Cancelled {
        /// The function that was called.
        action: String,
    },
    /// Under this name something else was sent before.
    #[error("{action}: for {name} another transaction was mined before: {hash}")]
    Conflict {
        /// The function that was called.
        action: String,
        /// What it is for.
        name: String,
        /// What was sent before.
        hash: B256,
    },
    /// What was to be sent could not be written down, so it was not sent.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The endpoint could not be reached or did not understand.
    #[error("{action}: the RPC endpoint answered: {source}")]
    Rpc {
        /// What was asked.
        action: String,
        /// Its answer.
        r#source: Box<RpcError<TransportErrorKind>>,
    },
    /// What came back is not what was asked for.
    #[error("{action}: the RPC endpoint sent an answer that cannot be right: {what}")]
    Answer {
        /// What was asked.
        action: String,
        /// What is wrong with the answer.
        what: String,
    },
}

impl ClientError {
    /// Whether the same call may succeed later without any change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Rpc { source, .. } => !source.is_error_resp(),
            // A full disk may be cleared.
            Self::Journal(error) => matches!(error, JournalError::Io { .. } | JournalError::Database { .. }),
            _ => false,
        }
    }

    /// Whether an endpoint refused the call itself, not because of a problem of its own.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Rpc { source, .. } => source.as_error_resp().is_some_and(endpoints::is_of_the_call),
            _ => false,
        }
    }

    /// Wraps a transport error; a revert becomes [`ClientError::Refused`].
    pub fn from_rpc(action: &str, source: RpcError<TransportErrorKind>) -> Self {
        let action = action.to_owned();
        match source.as_error_resp() {
            Some(payload) => match payload.as_revert_data() {
                Some(data) => Self::Refused { action, reason: explain_revert(&data) },
                None if payload.message.contains("revert") => {
                    Self::Refused { action, reason: payload.message.to_string() }
                }
                None => Self::Rpc { action, source: Box::new(source) },
            },
            None => Self::Rpc { action, source: Box::new(source) },
        }
    }
}

/// Names the custom error in revert data, with its values.
#[must_use]
pub fn explain_revert(data: &Bytes) -> String {
    fn name<E: SolInterface + Debug>(data: &Bytes) -> Option<String> {
        let text = format!("{:?}", E::abi_decode(data).ok()?);
        // `NotCreator(NotCreator { task: 1 })`: the inner part says it all.
        let inner = text.split_once('(').map_or(text.as_str(), |(_, rest)| rest);
        Some(inner.strip_suffix(')').unwrap_or(inner).to_owned())
    }
    name::<ArenaErrors>(data)
        .or_else(|| name::<SettlementErrors>(data))
        .or_else(|| name::<VaultErrors>(data))
        .or_else(|| name::<EmissionErrors>(data))
        .or_else(|| name::<ArenaTokenErrors>(data))
        .map_or_else(|| format!("unknown error {data}"), |text| with_words(&text))
}

/// Writes words that a contract put into 32 bytes as the text that they are.
fn with_words(text: &str) -> String {
    const DIGITS: usize = 64;
    let Some((before, rest)) = text.split_once("what: 0x") else { return text.to_owned() };
    let Some((digits, after)) = rest.split_at_checked(DIGITS) else { return text.to_owned() };
    let Ok(bytes) = hex::decode(digits) else { return text.to_owned() };
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let word = &bytes[..end];
    if word.is_empty() || !word.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        return text.to_owned();
    }
    format!("{before}what: {:?}{after}", String::from_utf8_lossy(word))
}

/// A mined, successful transaction.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The function that was called, or `deploy`.
    pub action: String,
    /// The transaction.
    pub hash: B256,
    /// The block that holds it.
    pub block: u64,
    /// Gas that it used.
    pub gas: u64,
    /// The contract that it created.
    pub created: Option<Address>,
}

#[cfg(test)]
mod tests {
    use alloy::{primitives::U256, sol_types::SolError};

    use super::*;
    use crate::bindings::{Arena, Vault};

    #[test]
    fn words_of_the_contracts_are_read() {
        let word = |text: &[u8]| B256::right_padding_from(text);
        let check = |data: Vec<u8>, expected: &str| {
            assert_eq!(explain_revert(&data.into()), expected);
        };
        check(
            Vault::BadDeployment { what: word(b"slash fraction") }.abi_encode(),
            "BadDeployment { what: \"slash fraction\" }",
        );
        check(
            Arena::BadParameter { what: word(b"phiWad") }.abi_encode(),
            "BadParameter { what: \"phiWad\" }",
        );
        let task = U256::from(7);
        check(Vault::UnknownTask { task }.abi_encode(), "UnknownTask { task: 7 }");
        // What is no word stays what it is: none, one with a line break, one that ends late.
        for bytes in [&b""[..], b"two\nlines", b"\x1b[31mred", b"a\0b", &[0xff; 32]] {
            let what = word(bytes);
            check(Vault::BadDeployment { what }.abi_encode(), &format!("BadDeployment {{ what: {what} }}"));
        }
    }
}
