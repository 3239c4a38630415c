//! A JSON-RPC endpoint in front of an embedded chain that does what it is told to do wrong.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy::{
    providers::{DynProvider, Provider},
    transports::RpcError,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::random::Random;

/// What an endpoint can do wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// An HTTP status, perhaps with a `Retry-After`.
    Status(u16, Option<u64>),
    /// What is no JSON.
    Garbage,
    /// Half of an answer, then the end of the connection.
    Half,
    /// No answer, ever.
    Hang,
    /// The end of the connection.
    Close,
    /// An error object.
    Refuse(i64, &'static str),
    /// The answer to another request.
    OtherId,
    /// One log too few.
    DropLog,
    /// No logs at all.
    DropLogs,
    /// A log that did not happen.
    AlterLog,
    /// The logs of half of the blocks.
    HalfRange,
    /// Another timestamp in each header.
    AlterHeader,
    /// Headers without logs: consistent in themselves, but for the hash.
    EmptyBloom,
    /// Receipts without logs.
    EmptyReceipts,
    /// One receipt too few.
    DropReceipt,
    /// One answer of a batch too few.
    TruncateBatch,
    /// A newest block that is older.
    Stale(u64),
    /// Another chain's id.
    Chain(u64),
    /// No such method.
    Lacks(&'static str),
    /// At most so many blocks of logs, or requests in a batch.
    Limits { blocks: u64, batch: usize },
}

/// All that is never the truth, for random schedules.
pub(crate) fn all() -> Vec<Fault> {
    use Fault::*;
    vec![
        Status(503, None),
        Status(429, Some(0)),
        Garbage,
        Half,
        Close,
        Hang,
        Refuse(-32603, "Internal error"),
        Refuse(-32000, "header not found"),
        Refuse(-32005, "query returned more than 10000 results"),
        OtherId,
        DropLog,
        DropLogs,
        AlterLog,
        HalfRange,
        AlterHeader,
        EmptyBloom,
        EmptyReceipts,
        DropReceipt,
        TruncateBatch,
        Stale(3),
        Chain(1),
        Limits { blocks: 3, batch: 2 },
    ]
}

/// When it does wrong.
pub(crate) enum Plan {
    Honest,
    Always(Vec<Fault>),
    /// In so many percent of all requests, one of these.
    Sometimes(Random, u64, Vec<Fault>),
}

struct Shared {
    upstream: DynProvider,
    plan: Mutex<Plan>,
    /// Requests by method.
    seen: Mutex<BTreeMap<String, u64>>,
}

/// A running endpoint; stops when it is dropped.
pub(crate) struct Proxy {
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub(crate) async fn start(upstream: DynProvider, plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { upstream, plan: Mutex::new(plan), seen: Mutex::default() });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&serving);
                tokio::spawn(async move { drop(serve(stream, &shared).await) });
            }
        });
        Self { url, shared, task }
    }

    pub(crate) fn set(&self, plan: Plan) {
        *self.shared.plan.lock().unwrap() = plan;
    }

    pub(crate) fn always(&self, fault: Fault) {
        self.set(Plan::Always(vec![fault]));
    }

    pub(crate) fn seen(&self, method: &str) -> u64 {
        self.shared.seen.lock().unwrap().get(method).copied().unwrap_or(0)
    }

    pub(crate) fn seen_in_all(&self) -> u64 {
        self.shared.seen.lock().unwrap().values().sum()
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::new();
    loop {
        let body = loop {
            if let Some((body, length)) = request(&read) {
                read.drain(..length);
                break body;
            }
            let mut buffer = [0; 16 << 10];
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            read.extend_from_slice(&buffer[..count]);
        };
        let faults = match &mut *shared.plan.lock().unwrap() {
            Plan::Honest => Vec::new(),
            Plan::Always(faults) => faults.clone(),
            Plan::Sometimes(random, percent, faults) => {
                if random.chance(*percent) {
                    vec![random.pick(faults).clone()]
                } else {
                    Vec::new()
                }
            }
        };
        let Some(response) = respond(&body, &faults, shared).await else { return Ok(()) };
        stream.write_all(&response).await?;
        if faults.contains(&Fault::Half) {
            return Ok(());
        }
    }
}

/// The body of a whole request at the beginning of `bytes`, and where it ends.
fn request(bytes: &[u8]) -> Option<(Value, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).unwrap().to_lowercase();
    let length = head.split("content-length:").nth(1)?.lines().next()?.trim().parse::<usize>().unwrap();
    let body = bytes.get(end..end + length)?;
    Some((serde_json::from_slice(body).unwrap(), end + length))
}

fn http(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn respond(request: &Value, faults: &[Fault], shared: &Shared) -> Option<Vec<u8>> {
    let list = request.as_array().cloned().unwrap_or_else(|| vec![request.clone()]);
    for one in &list {
        *shared.seen.lock().unwrap().entry(one["method"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    for fault in faults {
        match fault {
            Fault::Status(status, retry) => {
                let retry = retry.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
                return Some(http(*status, &retry, "{\"error\":\"no\"}"));
            }
            Fault::Garbage => return Some(http(200, "", "<html>maintenance</html>")),
            Fault::Hang => {
                // As long as the other side has the patience: no timer of a test is longer.
                std::future::pending::<()>().await;
            }
            Fault::Close => return None,
            Fault::Limits { batch, .. } if request.is_array() && list.len() > *batch => {
                let body = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "batch too large"}});
                return Some(http(200, "", &body.to_string()));
            }
            _ => {}
        }
    }
    let mut answers = Vec::new();
    for one in &list {
        answers.push(answer(one, faults, shared).await);
    }
    if faults.contains(&Fault::TruncateBatch) && answers.len() > 1 {
        answers.pop();
    }
    let body = if request.is_array() { Value::Array(answers) } else { answers.remove(0) };
    let mut bytes = http(200, "content-type: application/json\r\n", &body.to_string());
    if faults.contains(&Fault::Half) {
        bytes.truncate(bytes.len() - body.to_string().len() / 2);
    }
    Some(bytes)
}

async fn answer(request: &Value, faults: &[Fault], shared: &Shared) -> Value {
    let method = request["method"].as_str().unwrap().to_owned();
    let mut parameters = request["params"].clone();
    let error = |code: i64, message: &str| json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}});
    let number = |value: &Value| u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok();
    for fault in faults {
        match fault {
            Fault::Refuse(code, message) => return error(*code, message),
            Fault::Lacks(lacking) if *lacking == method => return error(-32601, "method not found"),
            Fault::Stale(by) if method == "eth_getBlockByNumber" && parameters[0] == "latest" => {
                let head = shared.upstream.get_block_number().await.unwrap();
                parameters[0] = json!(format!("{:#x}", head.saturating_sub(*by)));
            }
            Fault::Limits { blocks, .. } if method == "eth_getLogs" => {
                let (from, to) = (number(&parameters[0]["fromBlock"]), number(&parameters[0]["toBlock"]));
                if to.zip(from).is_some_and(|(to, from)| to - from >= *blocks) {
                    return error(-32005, "block range is too wide");
                }
            }
            Fault::HalfRange if method == "eth_getLogs" => {
                let (from, to) = (number(&parameters[0]["fromBlock"]), number(&parameters[0]["toBlock"]));
                if let Some((from, to)) = from.zip(to) {
                    parameters[0]["toBlock"] = json!(format!("{:#x}", from + (to - from) / 2));
                }
            }
            _ => {}
        }
    }
    let result: Result<Value, _> = shared.upstream.raw_request(method.clone().into(), parameters).await;
    let mut result = match result {
        Ok(value) => value,
        Err(RpcError::ErrorResp(payload)) => {
            let data: Option<Value> =
                payload.data.as_ref().map(|data| serde_json::from_str(data.get()).unwrap());
            return json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": payload.code, "message": payload.message, "data": data}});
        }
        Err(other) => panic!("{other}"),
    };
    for fault in faults {
        distort(&method, fault, &mut result);
    }
    let id = if faults.contains(&Fault::OtherId) { json!(987_654_321) } else { request["id"].clone() };
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn distort(method: &str, fault: &Fault, result: &mut Value) {
    match (method, fault) {
        ("eth_chainId", Fault::Chain(id)) => *result = json!(format!("{id:#x}")),
        ("eth_blockNumber", Fault::Stale(by)) => {
            let head = u64::from_str_radix(&result.as_str().unwrap()[2..], 16).unwrap();
            *result = json!(format!("{:#x}", head.saturating_sub(*by)));
        }
        ("eth_getLogs", Fault::DropLog) => {
            let logs = result.as_array_mut().unwrap();
            if !logs.is_empty() {
                logs.remove(logs.len() / 2);
            }
        }
        ("eth_getLogs", Fault::DropLogs) => *result = json!([]),
        ("eth_getLogs", Fault::AlterLog) => {
            if let Some(log) = result.as_array_mut().unwrap().last_mut() {
                let data = log["data"].as_str().unwrap().to_owned();
                let last = if data.ends_with('1') { '2' } else { '1' };
                log["data"] = json!(format!("{}{last}", &data[..data.len() - 1]));
            }
        }
        ("eth_getBlockByNumber", Fault::AlterHeader) if !result.is_null() => {
            result["timestamp"] = json!("0x7")
        }
        ("eth_getBlockByNumber", Fault::EmptyBloom) if !result.is_null() => {
            result["logsBloom"] = json!(format!("0x{}", "0".repeat(512)));
        }
        ("eth_getBlockReceipts", Fault::EmptyReceipts) if !result.is_null() => {
            for receipt in result.as_array_mut().unwrap() {
                receipt["logs"] = json!([]);
            }
        }
        ("eth_getBlockReceipts", Fault::DropReceipt) if !result.is_null() => {
            drop(result.as_array_mut().unwrap().pop());
        }
        _ => {}
    }
}

/// Waits until something holds, at most a few seconds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never held");
}
