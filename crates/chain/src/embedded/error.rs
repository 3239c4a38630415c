//! Errors of the embedded chain: one enum for Rust callers, one shape for JSON-RPC callers.

use std::{io, net::SocketAddr, path::PathBuf};

use alloy::primitives::Bytes;

/// What can go wrong with an embedded chain outside of JSON-RPC.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of the configuration is out of its bounds.
    #[error("{field} is {value}, expected {min} to {max}")]
    Config {
        /// Name of the field as in the saved file.
        field: &'static str,
        /// What was given.
        value: u64,
        /// The least legal value.
        min: u64,
        /// The greatest legal value.
        max: u64,
    },
    /// A file could not be read or written.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was attempted, a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        r#source: io::Error,
    },
    /// A file is larger than the limit for saved chains.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file is not a saved chain of the supported version.
    #[error(
        "not a saved chain: format {format:?} version {version}, expected {expected:?} version {expected_version}"
    )]
    Format {
        /// The format found.
        format: String,
        /// The version found.
        version: u64,
        /// The format this build reads.
        expected: &'static str,
        /// The version this build reads.
        expected_version: u64,
    },
    /// A file does not parse as the JSON of a saved chain.
    #[error("saved chain does not parse: {0}")]
    Parse(serde_json::Error),
    /// A file parses, but what it describes cannot be a chain.
    #[error("saved chain is malformed at {place}: {reason}")]
    Malformed {
        /// Where in the file.
        place: String,
        /// What is wrong there.
        reason: String,
    },
    /// JSON-RPC would be reachable from other machines; it has no authentication, so only loopback is allowed.
    #[error("refusing to listen on {0}: only loopback addresses are allowed")]
    NotLoopback(SocketAddr),
    /// The address could not be bound.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The operating system's reason.
        r#source: io::Error,
    },
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Parse(error)
    }
}

impl Error {
    /// True if the same call may succeed later without a change of its arguments.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Listen { .. })
    }
}

/// An error object of JSON-RPC 2.0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RpcError {
    /// Codes below -32000 are the protocol's own; 3 is what nodes answer when a contract reverted.
    pub(super) code: i64,
    /// One sentence in the words that other nodes use, since clients match on them.
    pub(super) message: String,
    /// The revert data, from which clients decode custom errors.
    pub(super) data: Option<Bytes>,
}

impl RpcError {
    fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    /// The body is not JSON.
    pub(super) fn parse(message: impl Into<String>) -> Self {
        Self::new(-32700, message)
    }

    /// The body is JSON but not a request.
    pub(super) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(-32600, message)
    }

    /// The method does not exist here.
    pub(super) fn method_not_found(method: &str) -> Self {
        // A hostile method name may be megabytes long, and the answer need not be.
        let shown: String = method.chars().take(64).collect();
        Self::new(-32601, format!("the method {shown} does not exist or is not available"))
    }

    /// A parameter is missing, of the wrong type or out of range.
    pub(super) fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    /// The request is well formed, but the chain's state or rules refuse it.
    pub(super) fn rejected(message: impl Into<String>) -> Self {
        Self::new(-32000, message)
    }

    /// A contract reverted with `data`.
    pub(super) fn reverted(data: Bytes) -> Self {
        let reason = alloy::sol_types::decode_revert_reason(&data).filter(|reason| !reason.is_empty());
        // Custom errors decode to something unreadable, so only `Error(string)` and `Panic(uint256)` are spelled out.
        let standard = matches!(data.get(..4), Some([0x08, 0xc3, 0x79, 0xa0] | [0x4e, 0x48, 0x7b, 0x71]));
        let message = match reason {
            Some(reason) if standard => {
                format!("execution reverted: {}", reason.trim_start_matches("revert: "))
            }
            _ => "execution reverted".to_owned(),
        };
        Self { code: 3, message, data: Some(data) }
    }
}

#[cfg(test)]
mod tests {
    use alloy::sol_types::{Revert, SolError};

    use super::*;

    #[test]
    fn revert_reasons_are_spelled_out() {
        let data = Revert::from("stake too small").abi_encode();
        assert_eq!(RpcError::reverted(data.into()).message, "execution reverted: stake too small");
        for raw in [&[][..], &[1, 2, 3], &[0x08, 0xc3, 0x79, 0xa0], &[0xff; 36]] {
            assert_eq!(RpcError::reverted(Bytes::copy_from_slice(raw)).message, "execution reverted");
        }
    }

    #[test]
    fn long_method_names_are_cut() {
        assert!(RpcError::method_not_found(&"x".repeat(1 << 20)).message.len() < 200);
    }
}
