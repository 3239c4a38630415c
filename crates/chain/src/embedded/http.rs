//! JSON-RPC over HTTP for tools of other processes: `cast`, wallets, explorers.

use std::net::SocketAddr;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::post,
    serve::ListenerExt,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::{EmbeddedChain, Error};

/// The largest request body in bytes: a deployment or a batch of large transactions.
const MAX_BODY: usize = 16 << 20;

/// A running HTTP endpoint. Dropping it stops the endpoint; the chain lives on.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Where the endpoint listens, with the port that was chosen if port 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The URL to give to other tools.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Accepts nothing more, answers what was accepted, and returns.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        // The task ends by itself; that it panicked is already on the log.
        let _ = self.task.await;
    }
}

impl EmbeddedChain {
    /// Serves JSON-RPC over HTTP on a loopback address; port 0 chooses a free one.
    ///
    /// There is no authentication, so other machines are kept out by the address, and web pages by the `Host` and
    /// `Origin` headers and by never answering a CORS preflight.
    ///
    /// # Errors
    /// [`Error::NotLoopback`] for any other address, [`Error::Listen`] if it cannot be bound.
    pub async fn listen(&self, address: SocketAddr) -> Result<Server, Error> {
        if !address.ip().is_loopback() {
            return Err(Error::NotLoopback(address));
        }
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let app = Router::new()
            .route("/", post(answer))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self.clone());
        // Without TCP_NODELAY an answer waits some 40 ms for the acknowledgement of the one before.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stopped = async move { drop(stopped.await) };
            if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stopped).await {
                tracing::error!(%error, "the JSON-RPC endpoint failed");
            }
        });
        Ok(Server { address, stop: Some(stop), task })
    }
}

async fn answer(State(chain): State<EmbeddedChain>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_local(&headers) {
        return (StatusCode::FORBIDDEN, "only requests from this machine are answered").into_response();
    }
    // A call may burn a whole block of gas, which must not hold up the other connections.
    let answered = tokio::task::spawn_blocking(move || chain.lock().handle_body(&body)).await;
    match answered {
        Ok(Some(json)) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// True if the request names this machine, and comes from a page of this machine if it comes from one at all.
///
/// A page of another site can reach a loopback port by a name that resolves to 127.0.0.1, or by a form; it cannot
/// forge these two headers.
fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = headers.get(header::ORIGIN).map(HeaderValue::to_str);
    let from_here = match origin {
        None => true,
        Some(Ok(origin)) => origin.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(is_loopback_name)),
        Some(Err(_)) => false,
    };
    let to_here = host
        .and_then(|host| host.parse::<axum::http::uri::Authority>().ok())
        .is_some_and(|authority| is_loopback_name(authority.host()));
    to_here && from_here
}

fn is_loopback_name(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_served() {
        let check = |host: Option<&str>, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            host.map(|host| headers.insert(header::HOST, host.parse().unwrap()));
            origin.map(|origin| headers.insert(header::ORIGIN, origin.parse().unwrap()));
            is_local(&headers)
        };
        for host in ["localhost", "localhost:8545", "127.0.0.1:1", "[::1]:8545", "[::1]"] {
            assert!(check(Some(host), None), "{host}");
            assert!(check(Some(host), Some("http://localhost:5173")), "{host}");
        }
        let hosts =
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "0.0.0.0", "@"];
        for host in hosts.into_iter().chain(["127.0.0.1@evil.example", "evil.example@"]) {
            assert!(!check(Some(host), None), "{host}");
        }
        assert!(!check(None, None));
        for origin in ["http://evil.example", "null", "http://127.0.0.1.evil.example", "", "file://"] {
            assert!(!check(Some("localhost"), Some(origin)), "{origin}");
        }
    }
}
