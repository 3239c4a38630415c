//! Positional parameters of a JSON-RPC request. Every mismatch is an error of code -32602, never a panic.

use alloy::eips::{BlockId, BlockNumberOrTag};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::embedded::error::RpcError;

/// The parameters of one request. What is missing at the end counts as `null`.
pub(in crate::embedded) struct Params(Vec<Value>);

impl Params {
    /// Reads the `params` member, which must be an array if it is present.
    pub(in crate::embedded) fn parse(raw: Option<&str>) -> Result<Self, RpcError> {
        let Some(raw) = raw else { return Ok(Self(Vec::new())) };
        match serde_json::from_str(raw) {
            Ok(Value::Array(values)) => Ok(Self(values)),
            Ok(Value::Null) => Ok(Self(Vec::new())),
            Ok(_) => Err(RpcError::invalid_params("params must be an array")),
            Err(error) => Err(RpcError::parse(error.to_string())),
        }
    }

    /// Takes parameter `index`; `None` if it is missing or `null`.
    fn take(&mut self, index: usize) -> Option<Value> {
        self.0.get_mut(index).map(Value::take).filter(|value| !value.is_null())
    }

    /// Parameter `index`, called `name` in errors.
    pub(in crate::embedded) fn required<T: DeserializeOwned>(
        &mut self,
        index: usize,
        name: &str,
    ) -> Result<T, RpcError> {
        self.optional(index, name)?.ok_or_else(|| missing(index, name))
    }

    /// Parameter `index`, which may be missing or `null`.
    pub(in crate::embedded) fn optional<T: DeserializeOwned>(
        &mut self,
        index: usize,
        name: &str,
    ) -> Result<Option<T>, RpcError> {
        self.take(index)
            .map(|value| serde_json::from_value(value).map_err(|error| invalid(index, name, error)))
            .transpose()
    }

    /// A number at `index`.
    pub(in crate::embedded) fn quantity(&mut self, index: usize, name: &str) -> Result<u64, RpcError> {
        self.optional_quantity(index, name)?.ok_or_else(|| missing(index, name))
    }

    /// A number at `index`, which may be missing or `null`.
    pub(in crate::embedded) fn optional_quantity(
        &mut self,
        index: usize,
        name: &str,
    ) -> Result<Option<u64>, RpcError> {
        self.take(index)
            .map(|value| quantity(&value).ok_or_else(|| invalid(index, name, "expected a 64-bit quantity")))
            .transpose()
    }

    /// A block at `index` by number, tag or hash; `None` if it is missing.
    pub(in crate::embedded) fn block(&mut self, index: usize) -> Result<Option<BlockId>, RpcError> {
        match self.take(index) {
            Some(Value::Number(number)) => match number.as_u64() {
                Some(number) => Ok(Some(number.into())),
                None => Err(invalid(index, "block", "expected a block number, tag or hash")),
            },
            Some(value) => {
                serde_json::from_value(value).map(Some).map_err(|error| invalid(index, "block", error))
            }
            None => Ok(None),
        }
    }

    /// A block at `index` by number or tag.
    pub(in crate::embedded) fn block_number(&mut self, index: usize) -> Result<BlockNumberOrTag, RpcError> {
        match self.block(index)? {
            Some(BlockId::Number(tag)) => Ok(tag),
            Some(BlockId::Hash(_)) => Err(invalid(index, "block", "expected a block number or tag")),
            None => Err(missing(index, "block")),
        }
    }

    /// The object or number that `evm_mine` takes, unparsed.
    pub(in crate::embedded) fn raw(&mut self, index: usize) -> Option<Value> {
        self.take(index)
    }
}

/// A non-negative 64-bit integer, as `0x` and hexadecimal digits or as a JSON number.
pub(in crate::embedded) fn quantity(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => {
            let digits = text.strip_prefix("0x")?;
            // `from_str_radix` would accept a sign.
            digits
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit())
                .then(|| u64::from_str_radix(digits, 16).ok())?
        }
        _ => None,
    }
}

fn missing(index: usize, name: &str) -> RpcError {
    RpcError::invalid_params(format!("missing value for required argument {index} ({name})"))
}

fn invalid(index: usize, name: &str, reason: impl std::fmt::Display) -> RpcError {
    RpcError::invalid_params(format!("invalid argument {index} ({name}): {reason}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities() {
        let good =
            [(json!(0), 0), (json!("0x0"), 0), (json!("0xff"), 255), (json!("0xffffffffffffffff"), u64::MAX)];
        for (value, expected) in good {
            assert_eq!(quantity(&value), Some(expected), "{value}");
        }
        let bad = [
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!("-0x1"),
            json!("0x+1"),
            json!("0x"),
            json!("10"),
            json!("0x-1"),
        ];
        for value in bad.into_iter().chain([json!("0x10000000000000000"), json!(true), json!([1]), json!({})])
        {
            assert_eq!(quantity(&value), None, "{value}");
        }
    }

    #[test]
    fn params_must_be_an_array() {
        assert!(Params::parse(None).is_ok());
        assert!(Params::parse(Some("null")).is_ok());
        for raw in ["{}", "1", "\"x\"", "true"] {
            assert_eq!(Params::parse(Some(raw)).err().map(|error| error.code), Some(-32602), "{raw}");
        }
        assert_eq!(Params::parse(Some("[")).err().map(|error| error.code), Some(-32700));
    }
}
