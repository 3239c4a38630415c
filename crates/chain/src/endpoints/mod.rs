//! Several RPC endpoints behind one client, for programs that run for months over public ones.
//!
//! A request goes to the healthiest endpoint. Where that one has trouble of its own (no connection, no answer in time, an
//! HTTP error, no JSON-RPC, a rate limit, a block that it has not got yet) the next one is asked. An error of the call
//! itself, such as a revert or a used nonce, is the same everywhere and is handed on at once.
//!
//! - **Score.** What failed lately and how long answers took, both decaying. Nearly equal endpoints are used in the order
//!   in which they were given, so that consecutive reads see the same node.
//! - **Pauses** after failures double up to a limit, and `Retry-After` in seconds is respected up to the same limit.
//! - **Chain id.** Asked before the first use, and again after an endpoint was unreachable or sent no JSON-RPC. One of
//!   another chain is not used, and asked again only after ten minutes.
//! - **Lag.** From time to time all are asked for their newest block; one that lags gets no read of the latest state. With
//!   three or more endpoints the second highest head counts, so that a single liar cannot make the others look late.
//! - **Transactions** go to several endpoints at once. That one has it already means that it was accepted.
//! - **URLs** are secrets: they may hold API keys, so that scheme, host and port are all that is ever shown.
//!
//! Nothing here decides what is true; readers verify what comes back ([`crate::follow`]).

mod endpoint;
mod verdict;

use std::{
    collections::BTreeSet,
    fmt,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use alloy::{
    primitives::keccak256,
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{
        client::RpcClient,
        json_rpc::{ErrorPayload, RequestPacket, Response, ResponsePacket, ResponsePayload},
    },
    transports::{
        TransportError, TransportErrorKind, TransportFut,
        http::reqwest::{Client, Url, redirect},
    },
};
use serde_json::value::to_raw_value;
use tokio::{sync::Mutex, task::JoinSet, time::Instant};

use self::endpoint::{Answer, Endpoint, Trouble, plain_request, quantity};

/// Most endpoints of one client.
pub const MAX_ENDPOINTS: usize = 16;

/// Scores are compared in steps of this size.
const SCORE_STEP: u64 = 125;

/// Why the endpoints could not be used. No variant ever shows more of a URL than scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointsError {
    /// Too few or too many.
    #[error("{found} RPC endpoints, expected 1 to {MAX_ENDPOINTS}")]
    Count {
        /// How many were given.
        found: usize,
    },
    /// A URL cannot be used.
    #[error("RPC endpoint number {place}: {what}")]
    Url {
        /// Its place in the list, from 1 on.
        place: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The HTTP client could not be set up.
    #[error("set up the HTTP client: {0}")]
    Client(String),
    /// An endpoint is of another chain, and no other one can be used.
    #[error(
        "RPC endpoint {endpoint} is of chain {found}, expected {expected}: it is not used, and there is no other"
    )]
    WrongChain {
        /// What may be shown of its URL.
        endpoint: String,
        /// The chain that is wanted.
        expected: u64,
        /// The chain that it says it is of.
        found: u64,
    },
    /// None could answer.
    #[error("no RPC endpoint answered; the last tried was {endpoint}: {what}")]
    Unavailable {
        /// What may be shown of the URL of the last one.
        endpoint: String,
        /// What it had.
        what: String,
    },
}

impl EndpointsError {
    /// Whether the same may succeed later without any change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// How patient to be with endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointsConfig {
    /// How long one exchange may take; 20 s by default.
    pub request_timeout: Duration,
    /// How long a request waits in all for an endpoint that pauses; 10 s by default.
    pub patience: Duration,
    /// The longest pause of an endpoint, also if it asks for a longer one; 60 s by default.
    pub max_pause: Duration,
    /// How many blocks behind the others an endpoint may be to answer for the latest state; 5 by default.
    pub max_lag: u64,
    /// How often all are asked for their newest block; 15 s by default.
    pub head_interval: Duration,
    /// The largest answer, in bytes; 64 MiB by default.
    pub max_answer: usize,
    /// To how many endpoints a transaction is sent at once; 3 by default.
    pub broadcast: usize,
}

impl Default for EndpointsConfig {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(20),
            patience: Duration::from_secs(10),
            max_pause: Duration::from_secs(60),
            max_lag: 5,
            head_interval: Duration::from_secs(15),
            max_answer: 64 << 20,
            broadcast: 3,
        }
    }
}

/// How an endpoint does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointHealth {
    /// Scheme, host and port of its URL.
    pub url: String,
    /// 0 … 1000, more is better.
    pub score: u64,
    /// Whether its chain id is known to be right.
    pub verified: bool,
    /// The chain that it is of, if that is another one: then it is not used.
    pub wrong_chain: Option<u64>,
    /// The last thing that went wrong.
    pub last_error: Option<String>,
    /// The newest block that it had when all were last asked.
    pub head: Option<u64>,
    /// How long answers take lately.
    pub latency: Duration,
    /// How long it is not used for.
    pub pause: Duration,
    /// Requests sent to it; a batch counts once.
    pub requests: u64,
    /// How many of them failed, or were answered wrongly.
    pub errors: u64,
}

struct Shared {
    chain_id: u64,
    config: EndpointsConfig,
    endpoints: Vec<Arc<Endpoint>>,
    /// When all were last asked for their newest block; held while they are asked.
    heads_at: Mutex<Option<Instant>>,
}

/// RPC endpoints of one chain. Clones share what is known of them.
#[derive(Clone)]
pub struct Endpoints(Arc<Shared>);

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.endpoints.iter().map(|endpoint| &endpoint.name);
        f.debug_tuple("Endpoints").field(&names.collect::<Vec<_>>()).finish()
    }
}

impl Endpoints {
    /// Endpoints of the chain `chain_id` at 1 to [`MAX_ENDPOINTS`] URLs, the preferred first. Nothing is asked yet.
    ///
    /// # Errors
    /// [`EndpointsError::Count`] or [`EndpointsError::Url`].
    pub fn new<U: AsRef<str>>(
        urls: &[U],
        chain_id: u64,
        config: EndpointsConfig,
    ) -> Result<Self, EndpointsError> {
        if !(1..=MAX_ENDPOINTS).contains(&urls.len()) {
            return Err(EndpointsError::Count { found: urls.len() });
        }
        // A redirection would take the API key and our transactions to somebody else.
        let client = Client::builder().redirect(redirect::Policy::none()).build();
        let client = client.map_err(|error| EndpointsError::Client(error.to_string()))?;
        let mut seen = BTreeSet::new();
        let mut endpoints = Vec::with_capacity(urls.len());
        for (index, url) in urls.iter().enumerate() {
            let wrong = |what: &str| EndpointsError::Url { place: index + 1, what: what.to_owned() };
            let url = Url::from_str(url.as_ref()).map_err(|error| wrong(&error.to_string()))?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(wrong("expected http or https"));
            }
            if !seen.insert(url.to_string()) {
                return Err(wrong("it is in the list twice"));
            }
            endpoints.push(Arc::new(Endpoint::new(url, client.clone())));
        }
        Ok(Self(Arc::new(Shared { chain_id, config, endpoints, heads_at: Mutex::new(None) })))
    }

    /// A client over all of them.
    #[must_use]
    pub fn rpc_client(&self) -> RpcClient {
        RpcClient::new(self.clone(), false)
    }

    /// A provider without signer or fillers.
    #[must_use]
    pub fn provider(&self) -> DynProvider {
        ProviderBuilder::new().disable_recommended_fillers().connect_client(self.rpc_client()).erased()
    }

    /// The endpoints behind a provider, if it was made from some.
    #[must_use]
    pub fn of(provider: &impl Provider) -> Option<Self> {
        provider.client().transport().as_any().downcast_ref::<Self>().cloned()
    }

    /// The chain that all of them must be of.
    #[must_use]
    pub fn chain_id(&self) -> u64 {
        self.0.chain_id
    }

    /// How each of them does, in the order in which they were given.
    #[must_use]
    pub fn health(&self) -> Vec<EndpointHealth> {
        self.0.endpoints.iter().map(|endpoint| endpoint.health()).collect()
    }

    /// Asks each of them for its chain and its newest block, whatever is known already; then [`Self::health`] is fresh.
    pub async fn probe(&self) {
        let mut heads_at = self.0.heads_at.lock().await;
        self.ask_heads(self.0.endpoints.clone()).await;
        *heads_at = Some(Instant::now());
    }

    /// The endpoints one by one, the best first: for readers that want all of a reading from one node. Leaves out those of
    /// other chains, those that lag, and those that pause; if nobody is left, waits for the first that pauses.
    pub(crate) async fn readers(&self) -> Vec<Reader> {
        let started = Instant::now();
        loop {
            self.refresh_heads().await;
            let mut tried = BTreeSet::new();
            let mut readers = Vec::new();
            while let Some(index) = self.best(true, &tried) {
                tried.insert(index);
                readers.push(Reader { endpoints: self.clone(), index });
            }
            if !readers.is_empty() || !self.wait(started).await {
                return readers;
            }
        }
    }

    /// Waits until the first endpoint need not pause any more; false if that is not worth it.
    async fn wait(&self, started: Instant) -> bool {
        let ours = self.0.endpoints.iter().filter(|endpoint| endpoint.wrong_chain().is_none());
        let pause = ours.map(|endpoint| endpoint.pause()).min().unwrap_or_default();
        // Without a pause there is one that lags, and waiting here does not help it.
        if pause.is_zero() || started.elapsed() + pause > self.0.config.patience {
            return false;
        }
        tokio::time::sleep(pause).await;
        true
    }

    /// Why there is nobody to ask.
    pub(crate) fn unavailable(&self) -> TransportError {
        TransportErrorKind::custom(self.error(None))
    }

    fn attempt<'a>(
        &'a self,
        index: usize,
        packet: &'a RequestPacket,
    ) -> impl Future<Output = Result<Answer, Trouble>> + Send + 'a {
        self.0.endpoints[index].attempt(packet, self.0.chain_id, &self.0.config)
    }

    /// The best endpoint that may be used now.
    fn best(&self, latest: bool, tried: &BTreeSet<usize>) -> Option<usize> {
        let usable = |index: &usize| {
            !tried.contains(index)
                && self.0.endpoints[*index].pause().is_zero()
                && !(latest && self.lags(*index))
        };
        let score = |index: &usize| self.0.endpoints[*index].score().div_ceil(SCORE_STEP);
        // The first of equals: `max_by_key` would give the last.
        (0..self.0.endpoints.len()).rev().filter(usable).max_by_key(score)
    }

    fn lags(&self, index: usize) -> bool {
        let mut heads: Vec<u64> = self.0.endpoints.iter().filter_map(|endpoint| endpoint.head()).collect();
        heads.sort_unstable_by(|a, b| b.cmp(a));
        let best = if heads.len() > 2 { heads[1] } else { heads.first().copied().unwrap_or(0) };
        self.0.endpoints[index].head().is_some_and(|head| head.saturating_add(self.0.config.max_lag) < best)
    }

    /// Asks all for their newest block, if that was not done lately.
    async fn refresh_heads(&self) {
        if self.0.endpoints.len() < 2 {
            return;
        }
        let mut heads_at = self.0.heads_at.lock().await;
        let ready = self.0.endpoints.iter().filter(|endpoint| endpoint.pause().is_zero());
        let ready: Vec<_> = ready.cloned().collect();
        let known = ready.iter().all(|endpoint| endpoint.head().is_some());
        if known && heads_at.is_some_and(|at| at.elapsed() < self.0.config.head_interval) {
            return;
        }
        self.ask_heads(ready).await;
        *heads_at = Some(Instant::now());
    }

    async fn ask_heads(&self, endpoints: Vec<Arc<Endpoint>>) {
        // Heads of different times cannot be compared.
        self.0.endpoints.iter().for_each(|endpoint| endpoint.set_head(None));
        let mut asked = JoinSet::new();
        for endpoint in endpoints {
            let shared = Arc::clone(&self.0);
            asked.spawn(async move {
                let mut config = shared.config;
                config.request_timeout = config.request_timeout.min(Duration::from_secs(3));
                let answer =
                    endpoint.attempt(&plain_request("eth_blockNumber"), shared.chain_id, &config).await;
                let head = answer.ok().and_then(|answer| match answer.packet.single_payload() {
                    Some(ResponsePayload::Success(value)) => quantity(value.get()),
                    _ => None,
                });
                endpoint.set_head(head);
            });
        }
        while asked.join_next().await.is_some() {}
    }

    /// Asks one after the other until one answers, then waits for the first that pauses, within limits.
    async fn route(self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let raw = verdict::raw_transaction(&packet);
        let latest = raw.is_none() && verdict::reads_latest(&packet);
        let started = Instant::now();
        let (mut last, mut doubt) = (None, None);
        loop {
            if latest {
                self.refresh_heads().await;
            }
            let mut tried = BTreeSet::new();
            let mut elsewhere = None;
            while let Some(first) = self.best(latest, &tried) {
                let mut group = vec![first];
                tried.insert(first);
                while raw.is_some() && group.len() < self.0.config.broadcast {
                    let Some(next) = self.best(false, &tried) else { break };
                    tried.insert(next);
                    group.push(next);
                }
                let answer = match &raw {
                    Some(raw) => self.broadcast(&group, &packet, raw, &mut doubt).await,
                    None => self.attempt(first, &packet).await.map_err(|trouble| (first, trouble)),
                };
                match answer {
                    Ok(answer) if answer.elsewhere => elsewhere = Some(answer.packet),
                    Ok(answer) => return Ok(answer.packet),
                    Err(failure) => last = Some(failure),
                }
            }
            if let Some(packet) = elsewhere {
                return Ok(packet);
            }
            if !self.wait(started).await {
                break;
            }
        }
        Err(TransportErrorKind::custom(self.error(last)))
    }

    /// Sends a transaction to all of a group; answers as soon as one accepts it, and lets the others finish.
    ///
    /// - `doubt`: an endpoint that was asked, now or before, and may have taken it although it did not say so.
    async fn broadcast(
        &self,
        group: &[usize],
        packet: &RequestPacket,
        raw: &[u8],
        doubt: &mut Option<(usize, Trouble)>,
    ) -> Result<Answer, (usize, Trouble)> {
        let hash = keccak256(raw);
        let mut sent = JoinSet::new();
        for index in group.iter().copied() {
            let (endpoints, packet) = (self.clone(), packet.clone());
            sent.spawn(async move { (index, endpoints.attempt(index, &packet).await) });
        }
        let (mut refused, mut failed) = (None, None);
        while let Some(done) = sent.join_next().await {
            // A panic there is on the log; the other endpoints may still accept it.
            let Ok((index, answer)) = done else { continue };
            let answer = match answer {
                Ok(answer) => answer,
                Err(trouble) => {
                    if trouble.may_have_taken() {
                        *doubt = Some((index, trouble.clone()));
                    }
                    failed = Some((index, trouble));
                    continue;
                }
            };
            match answer.packet.single_payload() {
                Some(ResponsePayload::Failure(error)) if !verdict::has_it_already(error) => {
                    refused = Some(answer)
                }
                Some(ResponsePayload::Success(value))
                    if !value.get().trim_matches('"').eq_ignore_ascii_case(&hash.to_string()) =>
                {
                    let what = "another hash than that of the transaction";
                    self.0.endpoints[index].lied(what, &self.0.config);
                    failed = Some((index, Trouble::Broken(what.to_owned())));
                }
                _ => {
                    sent.detach_all();
                    let id = packet.requests()[0].id().clone();
                    let payload = to_raw_value(&hash).expect("a hash is serialisable");
                    let response = Response { id, payload: ResponsePayload::Success(payload) };
                    return Ok(Answer { packet: ResponsePacket::Single(response), elsewhere: false });
                }
            }
        }
        match (refused, failed) {
            // The others' refusal must not be taken for the last word then; one that is not there must not hide it.
            (Some(refused), failed) if let Some((index, trouble)) = doubt.as_ref() => {
                let _also = failed;
                let why = refused.packet.first_error_message().unwrap_or_default();
                let what = format!("{trouble}, so that it may have a transaction that others refuse: {why}");
                Err((*index, Trouble::Broken(what)))
            }
            (Some(refused), _) => Ok(refused),
            (None, failed) => {
                Err(failed.unwrap_or_else(|| (group[0], Trouble::Broken("no answer".to_owned()))))
            }
        }
    }

    fn error(&self, last: Option<(usize, Trouble)>) -> EndpointsError {
        let wrong =
            |endpoint: &Arc<Endpoint>| endpoint.wrong_chain().map(|found| (endpoint.name.clone(), found));
        let wrong: Vec<_> = self.0.endpoints.iter().filter_map(wrong).collect();
        if wrong.len() == self.0.endpoints.len() {
            let (endpoint, found) = wrong[0].clone();
            return EndpointsError::WrongChain { endpoint, expected: self.0.chain_id, found };
        }
        if let Some((index, trouble)) = last {
            let endpoint = self.0.endpoints[index].name.clone();
            return EndpointsError::Unavailable { endpoint, what: trouble.to_string() };
        }
        // None was even tried: they pause or lag.
        let health = self.health().into_iter().filter(|health| health.wrong_chain.is_none());
        let (endpoint, what) =
            health.min_by_key(|health| health.pause).map_or_else(Default::default, |health| {
                let what = if health.pause.is_zero() {
                    format!("its newest block is {}, behind the others", health.head.unwrap_or_default())
                } else {
                    let error = health.last_error.unwrap_or_default();
                    format!("not asked again for {} ms after: {error}", health.pause.as_millis())
                };
                (health.url, what)
            });
        EndpointsError::Unavailable { endpoint, what }
    }
}

impl tower::Service<RequestPacket> for Endpoints {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().route(packet))
    }
}

/// Whether an error is one of the call, which every honest endpoint would answer.
pub(crate) fn is_of_the_call(error: &ErrorPayload) -> bool {
    verdict::of_error(error) == verdict::Verdict::Final
}

/// One of the endpoints, for a reader that wants all its answers from the same node.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    endpoints: Endpoints,
    index: usize,
}

impl Reader {
    pub(crate) fn provider(&self) -> DynProvider {
        let client = RpcClient::new(self.clone(), false);
        ProviderBuilder::new().disable_recommended_fillers().connect_client(client).erased()
    }

    /// Holds a wrong answer against the endpoint.
    pub(crate) fn lied(&self, what: &str) {
        self.endpoints.0.endpoints[self.index].lied(what, &self.endpoints.0.config);
    }

    async fn ask(self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        match self.endpoints.attempt(self.index, &packet).await {
            Ok(answer) => Ok(answer.packet),
            Err(trouble) => {
                Err(TransportErrorKind::custom(self.endpoints.error(Some((self.index, trouble)))))
            }
        }
    }
}

impl tower::Service<RequestPacket> for Reader {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().ask(packet))
    }
}
