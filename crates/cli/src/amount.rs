//! Decimal amounts, exactly: no float ever touches a token.

use alloy::primitives::U256;
use anyhow::{Result, bail, ensure};

/// Decimals of a ratio in WAD.
pub const WAD_DECIMALS: u8 = 18;
/// More than any real token has.
pub const MOST_DECIMALS: u8 = 36;

/// Reads a decimal number such as `12.5` as an integer of `decimals` decimals.
///
/// # Errors
/// If it is negative, is no decimal number, has more decimals than there are, or does not fit.
pub fn parse(text: &str, decimals: u8) -> Result<U256> {
    let text = text.trim();
    ensure!(!text.starts_with('-'), "{text} is negative: amounts are 0 or more");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
        bail!("{text:?} is no amount: write it in digits with a point, such as 12.5");
    }
    let fraction = fraction.trim_end_matches('0');
    ensure!(
        fraction.len() <= usize::from(decimals),
        "{text} has {} decimals, but only {decimals} are possible",
        fraction.len()
    );
    let padded = format!("{whole}{fraction:0<width$}", width = usize::from(decimals));
    let too_large = || anyhow::anyhow!("{text} is too large");
    U256::from_str_radix(padded.trim_start_matches('0'), 10).or_else(|_| {
        // Nothing is left of zero without its leading zeros.
        if padded.bytes().all(|byte| byte == b'0') { Ok(U256::ZERO) } else { Err(too_large()) }
    })
}

/// Reads an amount that a contract takes in 96 bits.
///
/// # Errors
/// As [`parse`], or if it is 2^96 base units or more.
pub fn parse_u96(text: &str, decimals: u8) -> Result<U256> {
    let amount = parse(text, decimals)?;
    ensure!(amount.bit_len() <= 96, "{text} is too large: the contracts take less than 2^96 base units");
    Ok(amount)
}

/// Reads a ratio such as `0.25` in WAD.
///
/// # Errors
/// As [`parse`], or if it does not fit 64 bits.
pub fn parse_wad(text: &str) -> Result<u64> {
    let wad = parse(text, WAD_DECIMALS)?;
    u64::try_from(wad).map_err(|_| anyhow::anyhow!("{text} is too large: ratios are below 18"))
}

/// Writes an amount exactly, without trailing zeros.
#[must_use]
pub fn show(amount: U256, decimals: u8) -> String {
    let digits = amount.to_string();
    let decimals = usize::from(decimals);
    let digits = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_both_ways() {
        for (text, decimals, expected) in [
            ("0", 18, 0),
            ("0.0", 0, 0),
            ("1", 0, 1),
            ("1.5", 1, 15),
            ("1.50", 1, 15),
            ("007", 2, 700),
            ("0.000000000000000001", 18, 1),
            ("12.5", 6, 12_500_000),
        ] {
            assert_eq!(parse(text, decimals).unwrap(), U256::from(expected), "{text}");
        }
        for (amount, decimals, text) in
            [(0, 18, "0"), (1, 18, "0.000000000000000001"), (1_500, 3, "1.5"), (7, 0, "7"), (1_000, 3, "1")]
        {
            assert_eq!(show(U256::from(amount), decimals), text);
        }
        assert_eq!(show(U256::MAX, 0), U256::MAX.to_string());
        assert_eq!(parse(&U256::MAX.to_string(), 0).unwrap(), U256::MAX);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for (text, reason) in [
            ("-1", "negative"),
            ("", "no amount"),
            (".", "no amount"),
            ("1.", "no amount"),
            (".5", "no amount"),
            ("1e3", "no amount"),
            ("1,5", "no amount"),
            ("0x10", "no amount"),
            ("+1", "no amount"),
            ("1 000", "no amount"),
            ("1.2.3", "no amount"),
            ("١", "no amount"),
            ("1.0000000000000000001", "decimals"),
            (&"9".repeat(78), "too large"),
            (&"9".repeat(10_000), "too large"),
        ] {
            let error = parse(text, 18).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(parse_u96("79228162514.264337593543950336", 18).is_err());
        assert!(parse_u96("79228162514.264337593543950335", 18).is_ok());
        assert!(parse_wad("18.5").is_err());
    }
}
