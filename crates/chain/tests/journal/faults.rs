//! An endpoint that fails, and a process that dies, both by a seed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use aiarena_chain::account::{Step, Watcher};
use alloy::{
    rpc::{
        client::RpcClient,
        json_rpc::{
            ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest,
        },
    },
    transports::{BoxTransport, TransportError, TransportErrorKind, TransportFut},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde_json::value::RawValue;

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It never arrives.
    Lost,
    /// It arrives, but the answer is lost.
    Unanswered,
    /// It arrives, but the answer is an error.
    Misreported,
    /// It does not arrive, and the answer is an error.
    Limited,
    /// The endpoint lags: it knows no receipt, and the nonce is one too low.
    Behind,
}

/// Chooses faults by a seed, and none any more after `budget` requests.
#[derive(Debug)]
pub(crate) struct Weather {
    random: ChaCha8Rng,
    /// Faults per 256 requests.
    rate: u32,
    budget: usize,
}

impl Weather {
    pub(crate) fn new(seed: u64, rate: u32, budget: usize) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { random: ChaCha8Rng::seed_from_u64(seed), rate, budget }))
    }

    fn next(&mut self) -> Option<Fault> {
        self.budget = self.budget.checked_sub(1)?;
        let draw = self.random.next_u32();
        let faults = [Fault::Lost, Fault::Unanswered, Fault::Misreported, Fault::Limited, Fault::Behind];
        (draw % 256 < self.rate).then(|| faults[(draw >> 16) as usize % faults.len()])
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
                Some(Fault::Lost) => Err(TransportErrorKind::custom_str("connection refused")),
                Some(Fault::Unanswered) => {
                    let _answer = inner.call(packet).await;
                    Err(TransportErrorKind::custom_str("connection reset"))
                }
                Some(Fault::Misreported) => {
                    let _answer = inner.call(packet).await;
                    Ok(error(&requests))
                }
                Some(Fault::Limited) => Ok(error(&requests)),
                Some(Fault::Behind) => inner.call(packet).await.map(|answer| behind(&requests, answer)),
            }
        })
    }
}

/// What an endpoint answers itself: a result as JSON, or a refusal in its own words.
pub(crate) type Answer = Result<&'static str, &'static str>;

/// Which answer, if it is the endpoint's own.
type Answers = dyn Fn(&SerializedRequest) -> Option<Answer> + Send + Sync;

/// A transport to an endpoint that answers some requests by itself, and hands the others on.
#[derive(Clone)]
struct Own {
    inner: BoxTransport,
    answer: Arc<Answers>,
}

/// A client of a chain through an endpoint that answers some requests by itself.
pub(crate) fn with_own_answers(
    rpc: &RpcClient,
    answer: impl Fn(&SerializedRequest) -> Option<Answer> + Send + Sync + 'static,
) -> RpcClient {
    let rpc = RpcClient::new(Own { inner: rpc.transport().clone(), answer: Arc::new(answer) }, true);
    rpc.set_poll_interval(Duration::from_millis(1));
    rpc
}

impl tower::Service<RequestPacket> for Own {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let [request] = packet.requests() else { panic!("no batches here") };
        let payload = match (self.answer)(request) {
            None => return self.inner.call(packet),
            Some(Ok(json)) => ResponsePayload::Success(RawValue::from_string(json.to_owned()).unwrap()),
            Some(Err(message)) => {
                ResponsePayload::Failure(ErrorPayload { code: -32000, message: message.into(), data: None })
            }
        };
        let response = ResponsePacket::Single(Response { id: request.id().clone(), payload });
        Box::pin(async move { Ok(response) })
    }
}

fn error(requests: &RequestPacket) -> ResponsePacket {
    let payload = ErrorPayload { code: -32005, message: "daily request count exceeded".into(), data: None };
    let [request] = requests.requests() else { panic!("no batches here") };
    ResponsePacket::Single(Response { id: request.id().clone(), payload: ResponsePayload::Failure(payload) })
}

fn behind(requests: &RequestPacket, answer: ResponsePacket) -> ResponsePacket {
    let [request] = requests.requests() else { panic!("no batches here") };
    let ResponsePacket::Single(mut response) = answer else { panic!("no batches here") };
    let old = match (request.method(), &response.payload) {
        ("eth_getTransactionReceipt", _) => Some("null".to_owned()),
        ("eth_getTransactionCount", ResponsePayload::Success(count)) => {
            let count: alloy::primitives::U64 = serde_json::from_str(count.get()).unwrap();
            Some(format!("\"{:#x}\"", count.to::<u64>().saturating_sub(1)))
        }
        _ => None,
    };
    if let Some(old) = old {
        response.payload = ResponsePayload::Success(RawValue::from_string(old).unwrap());
    }
    ResponsePacket::Single(response)
}

/// A watcher that panics at the `nth` step it is told, counted from 0; the journal is then as a killed process leaves it.
pub(crate) fn dies_at(nth: usize, log: Arc<Mutex<Vec<Step>>>) -> Watcher {
    let told = AtomicUsize::new(0);
    Arc::new(move |step| {
        log.lock().unwrap().push(step);
        if told.fetch_add(1, Ordering::SeqCst) == nth {
            panic!("killed at {step:?}");
        }
    })
}
