//! Addresses as people write them, with their checksum (EIP-55).

use alloy::primitives::Address;
use serde::{Deserialize, Deserializer, de::Error};

/// Reads an address. One in both cases must have the checksum of EIP-55; in one case alone it has none, and is taken as it is.
///
/// # Errors
/// If it is no address, or a digit or the case of one is not what it was.
pub fn parse(text: &str) -> Result<Address, String> {
    let address: Address = text.trim().parse().map_err(|_| {
        format!("{text:?} is no address: it has 40 hexadecimal digits, such as {}", Address::ZERO)
    })?;
    let digits = text.trim().trim_start_matches("0x");
    let mixed = digits.bytes().any(|byte| byte.is_ascii_lowercase())
        && digits.bytes().any(|byte| byte.is_ascii_uppercase());
    if mixed && address.to_checksum(None).trim_start_matches("0x") != digits {
        return Err(format!(
            "{text} has a wrong checksum: a character was mistyped or left out. Copy the address again; written in small \
             letters alone it would not be checked"
        ));
    }
    Ok(address)
}

/// [`parse`] for a field of a file that may be left out.
///
/// # Errors
/// As [`parse`].
pub fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Address>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse(&text).map_err(D::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_held() {
        // The examples of EIP-55.
        for text in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED",
            "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x0000000000000000000000000000000000000000",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
        for (text, reason) in [
            ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed", "checksum"),
            ("0x6aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "checksum"),
            ("5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "checksum"),
            ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", "no address"),
            ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedd", "no address"),
            ("0xgaAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "no address"),
            ("vitalik.eth", "no address"),
            ("", "no address"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
