//! JSON-RPC: envelopes, and which method is answered where.

mod dev;
mod eth;
#[cfg(test)]
mod hostile;
mod params;

use alloy::primitives::U64;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

pub(super) use self::params::Params;
use super::{chain::Chain, error::RpcError};

/// How many requests one batch may hold.
const MAX_BATCH: usize = 1_000;

/// A serialised result.
pub(super) type Answer = Result<Box<RawValue>, RpcError>;

/// A serialised result, or `None` if the method belongs to another group.
type Maybe = Result<Option<Box<RawValue>>, RpcError>;

/// One request as it stands on the wire. Ids of any type are echoed, as most nodes do.
#[derive(Deserialize)]
struct Request<'a> {
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Response<'a> {
    jsonrpc: &'static str,
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WireError>,
}

#[derive(Serialize)]
struct WireError {
    code: i64,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<alloy::primitives::Bytes>,
}

impl Chain {
    /// Answers one method call.
    pub(super) fn handle(&mut self, method: &str, params: Option<&str>) -> Answer {
        let mut params = Params::parse(params)?;
        for answer_in in [Self::ask_node, Self::ask_blocks, Self::ask_state, Self::ask_filters, Self::command]
        {
            if let Some(answer) = answer_in(self, method, &mut params)? {
                return Ok(answer);
            }
        }
        Err(RpcError::method_not_found(method))
    }

    /// Answers the body of an HTTP request: one request or a batch; `None` if nothing in it asks for an answer.
    pub(super) fn handle_body(&mut self, body: &[u8]) -> Option<String> {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        if first != Some(&b'[') {
            return self.handle_one(body);
        }
        let batch: Vec<&RawValue> = match serde_json::from_slice(body) {
            Ok(batch) => batch,
            Err(error) => return Some(failure(None, RpcError::parse(error.to_string()))),
        };
        if batch.is_empty() || batch.len() > MAX_BATCH {
            let reason = format!("a batch of {} requests, expected 1 to {MAX_BATCH}", batch.len());
            return Some(failure(None, RpcError::invalid_request(reason)));
        }
        let answers: Vec<_> =
            batch.iter().filter_map(|request| self.handle_one(request.get().as_bytes())).collect();
        (!answers.is_empty()).then(|| format!("[{}]", answers.join(",")))
    }

    fn handle_one(&mut self, body: &[u8]) -> Option<String> {
        let request: Request<'_> = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) if error.is_data() => {
                return Some(failure(None, RpcError::invalid_request(error.to_string())));
            }
            Err(error) => return Some(failure(None, RpcError::parse(error.to_string()))),
        };
        let answer = match &request.method {
            Some(method) => self.handle(method, request.params.map(RawValue::get)),
            None => Err(RpcError::invalid_request("missing method")),
        };
        match (answer, request.id) {
            // A request without an id is a notification: it is carried out, and never answered.
            (_, None) if request.method.is_some() => None,
            (Ok(result), id) => {
                Some(encode(&Response { jsonrpc: "2.0", id, result: Some(result), error: None }))
            }
            (Err(error), id) => Some(failure(id, error)),
        }
    }
}

fn failure(id: Option<&RawValue>, error: RpcError) -> String {
    let RpcError { code, message, data } = error;
    encode(&Response { jsonrpc: "2.0", id, result: None, error: Some(WireError { code, message, data }) })
}

fn encode(response: &Response<'_>) -> String {
    serde_json::to_string(response).expect("strings, numbers and JSON that was serialised before")
}

/// Serialises a result.
fn found<T: Serialize>(value: T) -> Maybe {
    to_raw_value(&value).map(Some).map_err(|error| RpcError::rejected(format!("internal error: {error}")))
}

/// A number in the form that JSON-RPC calls a quantity.
fn quantity(value: u64) -> U64 {
    U64::from(value)
}
