//! The name of an artifact.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

/// The SHA-256 of an artifact's bytes.
///
/// Written as 64 lower-case hexadecimal digits; on chain it is the `bytes32` that a submission commits to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The location of the artifact where a text is asked for: `sha256:` and the hexadecimal digits.
    pub fn uri(&self) -> String {
        format!("sha256:{self}")
    }

    /// The hash in a location written by [`ContentHash::uri`].
    ///
    /// # Errors
    /// [`ParseHashError`] if the text is anything else.
    pub fn from_uri(uri: &str) -> Result<Self, ParseHashError> {
        uri.strip_prefix("sha256:").ok_or(ParseHashError)?.parse()
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<[u8; 32]> for ContentHash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<ContentHash> for [u8; 32] {
    fn from(hash: ContentHash) -> Self {
        hash.0
    }
}

impl FromStr for ContentHash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        // One hash has one spelling, so that equal names are equal texts.
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(ParseHashError);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseHashError)?;
        Ok(Self(bytes))
    }
}

/// The text is not 64 lower-case hexadecimal digits (behind `sha256:` in a location).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a content hash is 64 lower-case hexadecimal digits")]
pub struct ParseHashError;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn known_hash() {
        assert_eq!(ContentHash::of(b"abc").to_string(), ABC);
        assert_eq!(ContentHash::of(b"abc").uri(), format!("sha256:{ABC}"));
        assert_eq!(format!("{:?}", ContentHash::of(b"abc")), ABC);
    }

    #[test]
    fn other_spellings_are_refused() {
        let rows = [
            "".to_owned(),
            ABC[1..].to_owned(),
            format!("{ABC}0"),
            ABC.to_uppercase(),
            format!("0x{ABC}"),
            format!(" {ABC}"),
            ABC.replace('b', "g"),
            ABC.replace('b', "é"),
            "../../../../../../../../../../../../../../../../../../etc/passwd".to_owned(),
        ];
        for row in rows {
            assert_eq!(row.parse::<ContentHash>(), Err(ParseHashError), "{row}");
            assert_eq!(ContentHash::from_uri(&format!("sha256:{row}")), Err(ParseHashError), "{row}");
        }
        assert_eq!(ContentHash::from_uri(ABC), Err(ParseHashError));
        assert_eq!(ContentHash::from_uri(&format!("file:{ABC}")), Err(ParseHashError));
    }

    proptest! {
        #[test]
        fn text_round_trip(bytes: [u8; 32]) {
            let hash = ContentHash(bytes);
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
            prop_assert_eq!(ContentHash::from_uri(&hash.uri()), Ok(hash));
        }

        #[test]
        fn any_text_parses_or_errs(text in ".{0,80}") {
            if let Ok(hash) = text.parse::<ContentHash>() {
                prop_assert_eq!(hash.to_string(), text);
            }
        }
    }
}
