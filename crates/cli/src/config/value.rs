//! Values of the configuration that are checked where they are read, so that errors name their line.

use std::fmt;

use alloy::{primitives::U256, transports::http::reqwest::Url};
use serde::Deserialize;

use crate::amount;

/// An endpoint. Printing it leaves out what may hold a secret: credentials, path and query.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RpcUrl(Url);

impl RpcUrl {
    /// The whole address, for the connection alone.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl TryFrom<String> for RpcUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let url: Url = text
            .parse()
            .map_err(|error| format!("this is no URL, such as http://127.0.0.1:8545: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err("an endpoint begins with http:// or https:// and names a host".to_owned());
        }
        Ok(Self(url))
    }
}

impl fmt::Debug for RpcUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(url) = self;
        write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        if url.path() != "/" || url.query().is_some() { f.write_str("/…") } else { Ok(()) }
    }
}

/// A price of gas in wei, written in gwei.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Gwei(pub u128);

impl Default for Gwei {
    /// Far above what rollups ask, far below what would hurt.
    fn default() -> Self {
        Self(10_000_000_000)
    }
}

impl TryFrom<String> for Gwei {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wei = amount::parse(&text, 9).map_err(|error| error.to_string())?;
        u128::try_from(wei).map(Self).map_err(|_| format!("{text} gwei is too large"))
    }
}

impl fmt::Display for Gwei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} gwei", amount::show(U256::from(self.0), 9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_an_endpoint_are_not_printed() {
        let url = RpcUrl::try_from("https://user:pass@example.org/v2/secret?key=secret".to_owned()).unwrap();
        assert_eq!(format!("{url:?}"), "https://example.org/…");
        let url = RpcUrl::try_from("http://127.0.0.1:8545".to_owned()).unwrap();
        assert_eq!(format!("{url:?}"), "http://127.0.0.1:8545");
    }
}
