//! alloy's transport to a chain in the same process: no socket, no thread, no waiting.

use std::{
    future::ready,
    task::{Context, Poll},
};

use alloy::{
    rpc::json_rpc::{
        ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest,
    },
    transports::{TransportError, TransportFut},
};
use serde_json::value::{RawValue, to_raw_value};

use super::{EmbeddedChain, error::RpcError};

/// Answers requests on the caller's task, before the future is first polled to its end.
///
/// A request is a few microseconds to milliseconds of computing, which no executor notices.
#[derive(Clone, Debug)]
pub(super) struct InProcess(pub(super) EmbeddedChain);

impl InProcess {
    fn answer(&self, request: &SerializedRequest) -> Response {
        let result = self.0.lock().handle(request.method(), request.params().map(RawValue::get));
        let payload = match result {
            Ok(value) => ResponsePayload::Success(value),
            Err(RpcError { code, message, data }) => ResponsePayload::Failure(ErrorPayload {
                code,
                message: message.into(),
                data: data.and_then(|data| to_raw_value(&data).ok()),
            }),
        };
        Response { id: request.id().clone(), payload }
    }
}

impl tower::Service<RequestPacket> for InProcess {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let answer = match &packet {
            RequestPacket::Single(request) => ResponsePacket::Single(self.answer(request)),
            RequestPacket::Batch(requests) => {
                ResponsePacket::Batch(requests.iter().map(|request| self.answer(request)).collect())
            }
        };
        Box::pin(ready(Ok(answer)))
    }
}
