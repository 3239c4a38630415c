//! What comes of a transaction, and how the contracts' refusals are told.

use std::fmt::Debug;

use alloy::{
    primitives::{Address, B256, Bytes},
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
        source: Box<RpcError<TransportErrorKind>>,
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
        .unwrap_or_else(|| format!("unknown error {data}"))
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
