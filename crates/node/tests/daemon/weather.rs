//! An endpoint that fails while it is told to.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use alloy::{
    primitives::U64,
    rpc::json_rpc::{ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload},
    transports::{BoxTransport, TransportError, TransportErrorKind, TransportFut},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde_json::value::RawValue;

/// Requests of 256 that fail, chosen by a seed.
#[derive(Debug)]
pub(crate) struct Weather {
    random: ChaCha8Rng,
    rate: u32,
}

impl Weather {
    pub(crate) fn new(seed: u64) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { random: ChaCha8Rng::seed_from_u64(seed), rate: 0 }))
    }

    /// From now on so many requests of 256 fail.
    pub(crate) fn set(weather: &Mutex<Self>, rate: u32) {
        weather.lock().unwrap().rate = rate;
    }

    /// How the next request fails, if it does.
    fn next(&mut self) -> Option<u32> {
        let draw = self.random.next_u32();
        (draw % 256 < self.rate).then_some((draw >> 16) % 5)
    }
}

/// A transport with faults in front of it.
#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    pub(crate) inner: BoxTransport,
    pub(crate) weather: Arc<Mutex<Weather>>,
}

impl tower::Service<RequestPacket> for Faulty {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let fault = self.weather.lock().unwrap().next();
        let mut inner = self.inner.clone();
        Box::pin(async move {
            let requests = packet.clone();
            match fault {
                None => inner.call(packet).await,
                // It never arrives.
                Some(0) => Err(TransportErrorKind::custom_str("connection refused")),
                // It arrives, but the answer is lost, or an error.
                Some(1) => {
                    let _answer = inner.call(packet).await;
                    Err(TransportErrorKind::custom_str("connection reset"))
                }
                Some(2) => {
                    let _answer = inner.call(packet).await;
                    Ok(limited(&requests))
                }
                // It does not arrive, and the answer is an error.
                Some(3) => Ok(limited(&requests)),
                // An endpoint that lags.
                Some(_) => inner.call(packet).await.map(|answer| behind(&requests, answer)),
            }
        })
    }
}

fn limited(requests: &RequestPacket) -> ResponsePacket {
    let answers = requests.requests().iter().map(|request| Response {
        id: request.id().clone(),
        payload: ResponsePayload::Failure(ErrorPayload {
            code: -32005,
            message: "daily request count exceeded".into(),
            data: None,
        }),
    });
    match requests {
        RequestPacket::Single(_) => ResponsePacket::Single(answers.into_iter().next().unwrap()),
        RequestPacket::Batch(_) => ResponsePacket::Batch(answers.collect()),
    }
}

/// It knows no receipt, and the nonce is one too low.
fn behind(requests: &RequestPacket, answer: ResponsePacket) -> ResponsePacket {
    let ([request], ResponsePacket::Single(mut response)) = (requests.requests(), answer.clone()) else {
        return answer;
    };
    let old = match (request.method(), &response.payload) {
        ("eth_getTransactionReceipt", _) => Some("null".to_owned()),
        ("eth_getTransactionCount", ResponsePayload::Success(count)) => {
            let count: U64 = serde_json::from_str(count.get()).unwrap();
            Some(format!("\"{:#x}\"", count.to::<u64>().saturating_sub(1)))
        }
        _ => None,
    };
    if let Some(old) = old {
        response.payload = ResponsePayload::Success(RawValue::from_string(old).unwrap());
    }
    ResponsePacket::Single(response)
}
