//! One endpoint: asks it, and remembers how it did.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy::{
    rpc::json_rpc::{
        ErrorPayload, Id, Request, RequestPacket, Response, ResponsePacket, ResponsePayload,
        SerializedRequest,
    },
    transports::http::reqwest::{self, Client, StatusCode, Url, header},
};
use metrics::{Counter, counter};
use tokio::time::Instant;

use super::{EndpointHealth, EndpointsConfig, verdict, verdict::Verdict};

/// After this time half of what is held against an endpoint is forgotten.
const FORGIVEN_AFTER: Duration = Duration::from_secs(30);

/// What is assumed before the first answer: else the first slow answer would decide.
const FIRST_LATENCY_MS: u64 = 50;

/// First pause after a failure; each further one in a row doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long an endpoint of another chain is left alone before it is asked again which chain it is of.
const QUARANTINE: Duration = Duration::from_secs(600);

/// Bytes of an endpoint's own words that go into an error.
const QUOTED: usize = 200;

/// Why an endpoint could not be used.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// It is of another chain.
    WrongChain(u64),
    /// It limits us, and may have said for how long.
    Limited { what: String, retry_after: Option<Duration> },
    /// It has a problem, perhaps behind a gateway that handed on what was asked.
    Busy { what: String, retry_after: Option<Duration> },
    /// It did not answer, or not in JSON-RPC. What comes back after that may be another node.
    Broken(String),
    /// Nobody is there, or it does not say which chain it is of: it was asked nothing.
    Absent(String),
}

impl Trouble {
    /// Whether a transaction that it was given may be on its way all the same.
    pub(super) fn may_have_taken(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Broken(_))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongChain(found) => write!(f, "it is of chain {found}"),
            Self::Limited { what, .. }
            | Self::Busy { what, .. }
            | Self::Broken(what)
            | Self::Absent(what) => f.write_str(what),
        }
    }
}

/// A usable answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) packet: ResponsePacket,
    /// Whether another endpoint may know more.
    pub(super) elsewhere: bool,
}

/// What is known of the chain behind an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chain {
    Unknown,
    Verified,
    Wrong(u64),
}

#[derive(Debug)]
struct State {
    chain: Chain,
    /// How much is held against it, 0 … 1000, at `judged_at`.
    penalty: u64,
    judged_at: Instant,
    latency_ms: u64,
    failures_in_a_row: u32,
    not_before: Instant,
    head: Option<u64>,
    last_error: Option<String>,
    requests: u64,
    errors: u64,
}

/// An RPC endpoint. Its URL may hold an API key and never leaves this file.
pub(super) struct Endpoint {
    url: Url,
    /// What may be shown of the URL.
    pub(super) name: String,
    secrets: Vec<String>,
    client: Client,
    state: Mutex<State>,
    /// What a dashboard shows; the counts of `state` begin anew with each set of endpoints, these with the process.
    requests: Counter,
    errors: Counter,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    pub(super) fn new(url: Url, client: Client) -> Self {
        let now = Instant::now();
        let state = State {
            chain: Chain::Unknown,
            penalty: 0,
            judged_at: now,
            latency_ms: FIRST_LATENCY_MS,
            failures_in_a_row: 0,
            not_before: now,
            head: None,
            last_error: None,
            requests: 0,
            errors: 0,
        };
        Self {
            requests: counter!("aiarena_rpc_requests_total", "host" => host(&url)),
            errors: counter!("aiarena_rpc_errors_total", "host" => host(&url)),
            name: redacted(&url),
            secrets: secrets(&url),
            url,
            client,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock, and a score is of use even if something did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// 0 … 1000, more is better: how often it answered lately, and how fast.
    pub(super) fn score(&self) -> u64 {
        let state = self.state();
        (1_000 - state.penalty_now()) * 1_000 / (1_000 + state.latency_ms)
    }

    /// How long it must be left alone.
    pub(super) fn pause(&self) -> Duration {
        self.state().not_before.saturating_duration_since(Instant::now())
    }

    /// The chain that it is of, if that is not ours.
    pub(super) fn wrong_chain(&self) -> Option<u64> {
        match self.state().chain {
            Chain::Wrong(found) => Some(found),
            _ => None,
        }
    }

    /// The newest block that it had when all were last asked.
    pub(super) fn head(&self) -> Option<u64> {
        self.state().head
    }

    pub(super) fn set_head(&self, head: Option<u64>) {
        self.state().head = head;
    }

    pub(super) fn health(&self) -> EndpointHealth {
        let score = self.score();
        let state = self.state();
        let wrong_chain = match state.chain {
            Chain::Wrong(found) => Some(found),
            _ => None,
        };
        EndpointHealth {
            url: self.name.clone(),
            score,
            verified: state.chain == Chain::Verified,
            wrong_chain,
            last_error: state.last_error.clone(),
            head: state.head,
            latency: Duration::from_millis(state.latency_ms),
            pause: state.not_before.saturating_duration_since(Instant::now()),
            requests: state.requests,
            errors: state.errors,
        }
    }

    /// Asks, after the chain id if that is not certain, and judges the answer.
    pub(super) async fn attempt(
        &self,
        packet: &RequestPacket,
        chain_id: u64,
        config: &EndpointsConfig,
    ) -> Result<Answer, Trouble> {
        if self.state().chain != Chain::Verified {
            // What was to be asked was not.
            self.verify(chain_id, config).await.map_err(|trouble| match trouble {
                Trouble::Broken(what) => Trouble::Absent(what),
                trouble => trouble,
            })?;
        }
        let answer = self.ask(packet, config).await?;
        // A gateway may come to serve another chain while it never fails.
        if let (Some("eth_chainId"), Some(ResponsePayload::Success(value))) =
            (packet.as_single().map(SerializedRequest::method), answer.packet.single_payload())
        {
            self.judge_chain(value.get(), chain_id, config)?;
        }
        Ok(answer)
    }

    async fn verify(&self, chain_id: u64, config: &EndpointsConfig) -> Result<(), Trouble> {
        let packet = plain_request("eth_chainId");
        let answer = self.ask(&packet, config).await?;
        match answer.packet.single_payload() {
            Some(ResponsePayload::Success(value)) => self.judge_chain(value.get(), chain_id, config),
            _ => self.judge_chain("", chain_id, config),
        }
    }

    fn judge_chain(&self, json: &str, expected: u64, config: &EndpointsConfig) -> Result<(), Trouble> {
        let Some(found) = quantity(json) else {
            let what = "it does not say which chain it is of".to_owned();
            return Err(self.failed(Trouble::Broken(what), config));
        };
        let mut state = self.state();
        if found == expected {
            state.chain = Chain::Verified;
            return Ok(());
        }
        state.chain = Chain::Wrong(found);
        state.not_before = Instant::now() + QUARANTINE;
        state.head = None;
        self.count_error(&mut state);
        state.last_error = Some(format!("it is of chain {found}, expected {expected}"));
        state.penalise(1_000);
        tracing::error!(
            endpoint = self.name,
            found,
            expected,
            "an RPC endpoint is of another chain: not used"
        );
        Err(Trouble::WrongChain(found))
    }

    /// One exchange; what it says about the endpoint is remembered.
    async fn ask(&self, packet: &RequestPacket, config: &EndpointsConfig) -> Result<Answer, Trouble> {
        self.state().requests += 1;
        self.requests.increment(1);
        let sent = Instant::now();
        let answer = tokio::time::timeout(config.request_timeout, self.exchange(packet, config)).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(Trouble::Broken(format!("no answer within {} ms", config.request_timeout.as_millis())))
        });
        let mut packet_back = answer.map_err(|trouble| self.failed(trouble, config))?;
        self.scrub_errors(&mut packet_back);
        let verdict = verdict::of_answer(packet, &packet_back);
        if verdict == Verdict::Trouble {
            let what = packet_back.first_error_message().unwrap_or_default();
            let trouble = Trouble::Busy { what: format!("it says: {}", quoted(what)), retry_after: None };
            return Err(self.failed(trouble, config));
        }
        self.succeeded(sent.elapsed());
        Ok(Answer { packet: packet_back, elsewhere: verdict == Verdict::Elsewhere })
    }

    async fn exchange(
        &self,
        packet: &RequestPacket,
        config: &EndpointsConfig,
    ) -> Result<ResponsePacket, Trouble> {
        let broken = |what: String| Trouble::Broken(self.scrub(&what));
        let body = serde_json::to_vec(packet).map_err(|error| broken(error.to_string()))?;
        let request = self.client.post(self.url.clone()).headers(packet.headers());
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        let unsent = |error: reqwest::Error| {
            let absent = error.is_connect();
            let what = self.scrub(&chain_of_causes(&error.without_url()));
            if absent { Trouble::Absent(what) } else { Trouble::Broken(what) }
        };
        let mut response = request.send().await.map_err(unsent)?;
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| {
            // The form with a date would need the machine's clock.
            value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
        });
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| broken(chain_of_causes(&error.without_url())))?
        {
            if body.len() + chunk.len() > config.max_answer {
                return Err(Trouble::Broken(format!("an answer of more than {} bytes", config.max_answer)));
            }
            body.extend_from_slice(&chunk);
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Trouble::Limited { what: format!("HTTP status {status}"), retry_after });
        }
        if status.is_server_error() {
            return Err(Trouble::Busy { what: format!("HTTP status {status}"), retry_after });
        }
        let answer = parse(packet, &body);
        if !status.is_success() && !answer.as_ref().is_ok_and(ResponsePacket::is_error) {
            return Err(broken(format!("HTTP status {status}: {}", quoted(&String::from_utf8_lossy(&body)))));
        }
        answer.map_err(broken)
    }

    fn succeeded(&self, latency: Duration) {
        let mut state = self.state();
        let latency = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX).min(60_000);
        state.latency_ms = (state.latency_ms * 7 + latency) / 8;
        state.penalty = state.penalty_now() * 7 / 8;
        state.judged_at = Instant::now();
        state.failures_in_a_row = 0;
    }

    fn count_error(&self, state: &mut State) {
        state.errors += 1;
        self.errors.increment(1);
    }

    /// Remembers a failure and hands it back.
    fn failed(&self, trouble: Trouble, config: &EndpointsConfig) -> Trouble {
        let mut state = self.state();
        self.count_error(&mut state);
        state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
        state.penalise(250);
        state.last_error = Some(trouble.to_string());
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(state.failures_in_a_row.saturating_sub(1).min(12));
        let asked = match &trouble {
            Trouble::Limited { retry_after, .. } | Trouble::Busy { retry_after, .. } => {
                retry_after.unwrap_or_default()
            }
            _ => Duration::ZERO,
        };
        state.not_before = Instant::now() + pause.max(asked).min(config.max_pause);
        if matches!(trouble, Trouble::Broken(_) | Trouble::Absent(_)) && state.chain == Chain::Verified {
            state.chain = Chain::Unknown;
        }
        tracing::warn!(endpoint = self.name, error = %trouble, "an RPC endpoint failed");
        trouble
    }

    /// Holds a wrong answer against it, which is worse than none.
    pub(super) fn lied(&self, what: &str, config: &EndpointsConfig) {
        let mut state = self.state();
        self.count_error(&mut state);
        state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
        state.penalise(500);
        let what = self.scrub(what);
        tracing::warn!(
            endpoint = self.name,
            error = what,
            "an RPC endpoint sent an answer that cannot be right"
        );
        state.last_error = Some(what);
        state.head = None;
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(state.failures_in_a_row.min(12));
        state.not_before = Instant::now() + pause.min(config.max_pause);
    }

    /// An endpoint may repeat our own URL in what it says.
    fn scrub(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
    }

    fn scrub_errors(&self, packet: &mut ResponsePacket) {
        let responses = match packet {
            ResponsePacket::Single(one) => std::slice::from_mut(one),
            ResponsePacket::Batch(all) => all.as_mut_slice(),
        };
        for response in responses {
            if let ResponsePayload::Failure(error) = &mut response.payload {
                error.message = self.scrub(&error.message).into();
            }
        }
    }
}

impl State {
    fn penalty_now(&self) -> u64 {
        let halvings = self.judged_at.elapsed().as_secs() / FORGIVEN_AFTER.as_secs();
        self.penalty.checked_shr(u32::try_from(halvings).unwrap_or(u32::MAX)).unwrap_or(0)
    }

    fn penalise(&mut self, by: u64) {
        self.penalty = (self.penalty_now() + by).min(1_000);
        self.judged_at = Instant::now();
    }
}

/// A request without parameters.
pub(super) fn plain_request(method: &'static str) -> RequestPacket {
    let request: Request<[(); 0]> = Request::new(method, Id::Number(0), []);
    RequestPacket::Single(request.serialize().expect("an empty list is serialisable"))
}

/// Reads an answer; each request must have exactly one, which is then in its place.
fn parse(packet: &RequestPacket, body: &[u8]) -> Result<ResponsePacket, String> {
    let answer: ResponsePacket = serde_json::from_slice(body)
        .map_err(|error| format!("no JSON-RPC: {error}: {}", quoted(&String::from_utf8_lossy(body))))?;
    match (packet, answer) {
        (RequestPacket::Single(request), ResponsePacket::Single(response)) => {
            // A refusal before the request was read has no id.
            if response.id == *request.id() || (response.is_error() && response.id == Id::None) {
                return Ok(ResponsePacket::Single(Response { id: request.id().clone(), ..response }));
            }
            Err(format!("an answer to request {}, expected {}", response.id, request.id()))
        }
        (RequestPacket::Batch(requests), ResponsePacket::Batch(mut responses)) => {
            if requests.len() != responses.len() {
                return Err(format!("{} answers, expected {}", responses.len(), requests.len()));
            }
            for (place, request) in requests.iter().enumerate() {
                // Nearly always they are in order.
                let found = (place..responses.len()).find(|at| responses[*at].id == *request.id());
                let found = found.ok_or_else(|| format!("no answer to request {}", request.id()))?;
                responses.swap(place, found);
            }
            Ok(ResponsePacket::Batch(responses))
        }
        (RequestPacket::Batch(requests), ResponsePacket::Single(response)) => match response.payload {
            // Endpoints that refuse batches say so once.
            ResponsePayload::Failure(error) => {
                let refuse = |request: &SerializedRequest| Response {
                    id: request.id().clone(),
                    payload: ResponsePayload::Failure(ErrorPayload::clone(&error)),
                };
                Ok(ResponsePacket::Batch(requests.iter().map(refuse).collect()))
            }
            ResponsePayload::Success(_) => Err(format!("one answer, expected {}", requests.len())),
        },
        (RequestPacket::Single(_), ResponsePacket::Batch(responses)) => {
            Err(format!("{} answers in a list, expected one", responses.len()))
        }
    }
}

/// A JSON string with a hexadecimal number.
pub(super) fn quantity(json: &str) -> Option<u64> {
    let digits = json.trim().trim_matches('"').strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok()
}

/// The beginning of an endpoint's own words.
fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(QUOTED).collect()
}

fn chain_of_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Scheme, host and port; a path, a query or a user would be an API key.
fn redacted(url: &Url) -> String {
    let rest = if url.path().len() > 1 || url.query().is_some() { "/…" } else { "" };
    format!("{}://{}{rest}", url.scheme(), host(url))
}

/// The host, and the port if it is not the usual one.
fn host(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", url.host_str().unwrap_or_default())
}

/// Parts of the URL that must not be repeated.
fn secrets(url: &Url) -> Vec<String> {
    let mut parts = vec![url.username().to_owned(), url.password().unwrap_or_default().to_owned()];
    parts.push(url.query().unwrap_or_default().to_owned());
    parts.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    parts.extend(url.path_segments().into_iter().flatten().map(str::to_owned));
    // Shorter ones are words like `v3`, whose removal would make messages unreadable.
    parts.retain(|part| part.len() >= 6);
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_never_shown() {
        let check = |url: &str, expected: &str| assert_eq!(redacted(&url.parse().unwrap()), expected);
        check("https://rpc.example", "https://rpc.example");
        check("https://rpc.example:8545/", "https://rpc.example:8545");
        check("https://user:password@rpc.example/v3/0123456789abcdef", "https://rpc.example/…");
        check("http://[::1]:8545/?key=secret", "http://[::1]:8545/…");
        let url: Url =
            "https://user00:password@rpc.example/v3/0123456789abcdef?apikey=topsecret".parse().unwrap();
        let endpoint = Endpoint::new(url, Client::new());
        let said = endpoint.scrub("password 0123456789abcdef topsecret user00 v3");
        assert_eq!(said, "… … … … v3");
        let shown = format!("{endpoint:?}");
        for secret in ["password", "0123456789abcdef", "topsecret", "user00"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn answers_must_fit_their_requests() {
        let one = plain_request("eth_chainId");
        let many = RequestPacket::Batch(
            (1..4)
                .map(|id| {
                    let request: Request<[(); 0]> = Request::new("eth_chainId", Id::Number(id), []);
                    request.serialize().unwrap()
                })
                .collect(),
        );
        let fits = |packet: &RequestPacket, body: &str| parse(packet, body.as_bytes()).is_ok();
        let answer = |id: u64| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"0x1"}}"#);
        assert!(fits(&one, &answer(0)));
        assert!(fits(&one, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#));
        for bad in ["", "{", "[]", "null", "\"0x1\"", &answer(7), &format!("[{}]", answer(0))] {
            assert!(!fits(&one, bad), "{bad}");
        }
        let list =
            |ids: &[u64]| format!("[{}]", ids.iter().map(|id| answer(*id)).collect::<Vec<_>>().join(","));
        let sorted = parse(&many, list(&[3, 1, 2]).as_bytes()).unwrap();
        let ids: Vec<_> = sorted.response_ids().cloned().collect();
        assert_eq!(ids, [Id::Number(1), Id::Number(2), Id::Number(3)]);
        assert!(fits(&many, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no batches"}}"#));
        for bad in [list(&[1, 2]), list(&[1, 2, 2]), list(&[1, 2, 3, 4]), list(&[]), answer(1)] {
            assert!(!fits(&many, &bad), "{bad}");
        }
    }
}
