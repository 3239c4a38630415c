//! A web server that does whatever a test wants.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time,
};

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// How many requests came before.
    pub(crate) number: usize,
    pub(crate) path: String,
    /// The first byte asked for, if it is not the first of all.
    pub(crate) range: Option<usize>,
    pub(crate) head: String,
}

/// A connection on which anything can be answered.
pub(crate) struct Answer(TcpStream);

impl Answer {
    /// Sends bytes; false if nobody listens any more.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    /// A whole answer, with more headers if need be (each with its line's end).
    pub(crate) async fn reply(mut self, status: &str, headers: &str, body: &[u8]) {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
        let _gone = self.send(head).await && self.send(body).await;
    }

    /// What an honest server answers that knows ranges.
    pub(crate) async fn honest(self, request: &Request, body: &[u8]) {
        let size = body.len();
        match request.range {
            None => self.reply("200 OK", "", body).await,
            Some(from) if from < size => {
                let headers = format!("content-range: bytes {from}-{}/{size}\r\n", size - 1);
                self.reply("206 Partial Content", &headers, &body[from..]).await;
            }
            Some(_) => self.reply("416 Range Not Satisfiable", "", b"").await,
        }
    }

    /// Promises all from the range on, but closes the connection after `count` bytes of it.
    pub(crate) async fn broken(mut self, request: &Request, body: &[u8], count: usize) {
        self.begin(request, body).await;
        let rest = &body[request.range.unwrap_or(0)..];
        let _gone = self.send(&rest[..count.min(rest.len())]).await;
    }

    /// Sends a piece after every pause, until nobody listens.
    pub(crate) async fn slow(mut self, request: &Request, body: &[u8], piece: usize, pause: Duration) {
        self.begin(request, body).await;
        for chunk in body[request.range.unwrap_or(0)..].chunks(piece) {
            if !self.send(chunk).await {
                return;
            }
            time::sleep(pause).await;
        }
    }

    /// Says nothing until nobody listens.
    pub(crate) async fn silent(mut self) {
        let mut byte = [0];
        let _gone = self.0.read(&mut byte).await;
    }

    async fn begin(&mut self, request: &Request, body: &[u8]) {
        let size = body.len();
        let from = request.range.unwrap_or(0);
        let (status, range) = match request.range {
            None => ("200 OK", String::new()),
            Some(_) => {
                ("206 Partial Content", format!("content-range: bytes {from}-{}/{size}\r\n", size - 1))
            }
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{range}\r\n", size - from);
        self.send(head).await;
    }
}

/// A server on a free port of this machine, gone when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start<F>(handler: impl Fn(Request, Answer) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let Some(head) = read_head(&mut stream).await else { continue };
                let request = {
                    let mut requests = requests.lock().unwrap();
                    let request = parse(requests.len(), head);
                    requests.push(request.clone());
                    request
                };
                tokio::spawn(handler(request, Answer(stream)));
            }
        });
        Self { address, seen, task }
    }

    /// An honest server of one artifact, whatever the path.
    pub(crate) async fn honest(body: Vec<u8>) -> Self {
        let body = Arc::new(body);
        Self::start(move |request, answer| {
            let body = body.clone();
            async move { answer.honest(&request, &body).await }
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/store", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The ranges asked for, one for each request.
    pub(crate) fn ranges(&self) -> Vec<Option<usize>> {
        self.requests().iter().map(|request| request.range).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

fn parse(number: usize, head: String) -> Request {
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let range = head
        .lines()
        .find_map(|line| line.strip_prefix("range: bytes="))
        .map(|range| range.trim_end_matches('-').parse().unwrap());
    Request { number, path, range, head }
}
