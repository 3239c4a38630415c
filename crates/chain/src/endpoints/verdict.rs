//! What an answer says about the endpoint that sent it.
//!
//! Nodes and gateways agree on few error codes, so their words are read too. Whatever is not recognised counts as an error
//! of the call: to hide a real refusal behind retries would be worse than to report trouble too early.

use alloy::rpc::json_rpc::{ErrorPayload, RequestPacket, ResponsePacket, ResponsePayload, SerializedRequest};

/// What to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It answers the call, with a result or with an error of the call's own: it is handed on.
    Final,
    /// This endpoint does not have it. Another may; if none does, this is the answer.
    Elsewhere,
    /// The endpoint has a problem of its own.
    Trouble,
}

/// Errors of the call: every honest endpoint would answer the same.
const OF_THE_CALL: [&str; 27] = [
    "revert",
    "nonce too",
    "invalid nonce",
    "already known",
    "known transaction",
    "already imported",
    "already exists",
    "insufficient funds",
    "underpriced",
    "gas required exceeds",
    "gas limit",
    "intrinsic gas",
    "out of gas",
    "max fee per gas",
    "fee cap",
    "invalid param",
    "invalid argument",
    "invalid sender",
    "block range",
    "range is too",
    "range too",
    "too many results",
    "too many blocks",
    "query returned more",
    "response size",
    "max results",
    "10000 results",
];

/// The endpoint lacks a block, a state or a method that others may have.
const ELSEWHERE: [&str; 11] = [
    "header not found",
    "unknown block",
    "block not found",
    "missing trie node",
    "state not available",
    "state is not available",
    "historical state",
    "pruned",
    "beyond current head",
    "method not found",
    "is not available",
];

/// The endpoint is overloaded, limits us, or is broken.
const TROUBLE: [&str; 20] = [
    "rate limit",
    "ratelimit",
    "too many requests",
    "limit exceeded",
    "capacity",
    "throttl",
    "quota",
    "credit",
    "compute units",
    "timeout",
    "timed out",
    "overload",
    "unavailable",
    "try again",
    "internal error",
    "internal server error",
    "bad gateway",
    "upstream",
    "unauthorized",
    "api key",
];

/// Judges an error object.
pub(super) fn of_error(error: &ErrorPayload) -> Verdict {
    let message = error.message.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match error.code {
        3 | -32602 | -32600 => Verdict::Final,
        _ if says(&OF_THE_CALL) => Verdict::Final,
        _ if says(&ELSEWHERE) => Verdict::Elsewhere,
        -32601 => Verdict::Elsewhere,
        -32603 | -32005 | -32016 | 401 | 403 | 429 | 500..=599 => Verdict::Trouble,
        _ if says(&TROUBLE) => Verdict::Trouble,
        _ => Verdict::Final,
    }
}

/// Judges a well-formed answer to `request`; the worst of a batch decides.
pub(super) fn of_answer(request: &RequestPacket, answer: &ResponsePacket) -> Verdict {
    let mut verdict = Verdict::Final;
    for (request, response) in request.requests().iter().zip(answer.responses()) {
        let one = match &response.payload {
            ResponsePayload::Failure(error) => of_error(error),
            ResponsePayload::Success(value) if value.get() == "null" && is_of_a_block(request.method()) => {
                Verdict::Elsewhere
            }
            ResponsePayload::Success(_) => Verdict::Final,
        };
        match one {
            Verdict::Trouble => return Verdict::Trouble,
            Verdict::Elsewhere => verdict = Verdict::Elsewhere,
            Verdict::Final => {}
        }
    }
    verdict
}

/// Whether `null` means that this node has not got a block that others may have.
fn is_of_a_block(method: &str) -> bool {
    matches!(method, "eth_getBlockByNumber" | "eth_getBlockByHash" | "eth_getBlockReceipts")
}

/// Whether a request asks for what changes with the head, so that a node that lags would answer it wrongly.
pub(super) fn reads_latest(packet: &RequestPacket) -> bool {
    packet.requests().iter().any(|request| {
        let by_method = matches!(
            request.method(),
            "eth_blockNumber"
                | "eth_gasPrice"
                | "eth_maxPriorityFeePerGas"
                | "eth_estimateGas"
                | "eth_createAccessList"
                // A node that lags knows no receipt yet, which must not be taken for a transaction that is gone.
                | "eth_getTransactionReceipt"
        );
        // Parameters are hexadecimal but for the tags, so a tag cannot appear as a part of anything else.
        let tags = ["\"latest\"", "\"pending\"", "\"safe\"", "\"finalized\""];
        by_method
            || request.params().is_some_and(|params| tags.iter().any(|tag| params.get().contains(tag)))
            || (request.method() == "eth_call" && parameters(request).len() < 2)
    })
}

/// The bytes of a transaction that is to be sent, if that is all that the packet asks for.
pub(super) fn raw_transaction(packet: &RequestPacket) -> Option<Vec<u8>> {
    let request = packet.as_single().filter(|request| request.method() == "eth_sendRawTransaction")?;
    alloy::hex::decode(parameters(request).first()?.as_str()?).ok()
}

/// Whether a refusal says that the node has the transaction already.
pub(super) fn has_it_already(error: &ErrorPayload) -> bool {
    let message = error.message.to_lowercase();
    ["already known", "known transaction", "already imported", "already exists", "already in mempool"]
        .iter()
        .any(|words| message.contains(words))
}

fn parameters(request: &SerializedRequest) -> Vec<serde_json::Value> {
    request.params().and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart() {
        let check = |code, message: &'static str, expected| {
            let error = ErrorPayload { code, message: message.into(), data: None };
            assert_eq!(of_error(&error), expected, "{code} {message}");
        };
        for (code, message) in [
            (3, "execution reverted"),
            (-32000, "execution reverted: stake too small"),
            (-32603, "execution reverted"),
            (-32000, "nonce too low: next nonce 5, tx nonce 4"),
            (-32003, "insufficient funds for gas * price + value"),
            (-32000, "already known"),
            (-32602, "invalid argument 0: hex string without 0x prefix"),
            (-32005, "query returned more than 10000 results"),
            (-32000, "exceed maximum block range: 5000"),
            (-32000, "replacement transaction underpriced"),
            (-32000, "something that nobody has ever said"),
        ] {
            check(code, message, Verdict::Final);
        }
        for (code, message) in [
            (-32000, "header not found"),
            (-32001, "Unknown block"),
            (-32000, "missing trie node d9bd (path )"),
            (-32601, "the method eth_getBlockReceipts does not exist/is not available"),
        ] {
            check(code, message, Verdict::Elsewhere);
        }
        for (code, message) in [
            (-32603, "Internal error"),
            (-32005, "daily request count exceeded, request rate limited"),
            (429, "Your app has exceeded its compute units per second capacity"),
            (-32000, "too many requests"),
            (-32000, "request timed out"),
            (-32016, "over rate limit"),
        ] {
            check(code, message, Verdict::Trouble);
        }
    }
}
