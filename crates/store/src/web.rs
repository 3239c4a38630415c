//! Reading by HTTP, from servers that may do anything.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use reqwest::{Client, StatusCode, Url, header, redirect};

use crate::{ContentHash, Error, LocationError, Policy, location::Guard};

/// How many redirects are followed for one answer.
const MAX_REDIRECTS: usize = 3;

/// A connection that takes longer is not going to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The bytes of an artifact from a place in it to its end, as they arrive.
pub(crate) struct Body {
    /// The place of the first byte: the one asked for, or 0 if the other side can only give all.
    pub(crate) start: u64,
    /// The bytes.
    pub(crate) chunks: BoxStream<'static, Result<Bytes, Error>>,
}

/// Reads what URLs of the operator and of strangers name.
#[derive(Debug, Clone)]
pub(crate) struct Web {
    /// For what the operator has configured.
    trusted: Client,
    /// For strangers, and for wherever a server redirects to.
    guarded: Client,
    policy: Policy,
}

impl Web {
    pub(crate) fn new(policy: Policy) -> Result<Self, Error> {
        let build = |builder: reqwest::ClientBuilder| {
            builder
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .user_agent(concat!("aiarena-store/", env!("CARGO_PKG_VERSION")))
                // Bytes are hashed as they are; another room may have enabled decoding for all of the binary.
                .no_gzip()
                .no_brotli()
                .no_zstd()
                .no_deflate()
                .build()
                .map_err(|error| Error::transfer(&error, false))
        };
        // A proxy would resolve names itself, behind the guard's back.
        let guarded = build(Client::builder().no_proxy().dns_resolver(Guard::new(policy)))?;
        Ok(Self { trusted: build(Client::builder())?, guarded, policy })
    }

    /// Opens a URL of the operator.
    pub(crate) async fn open_trusted(
        &self,
        url: &Url,
        hash: ContentHash,
        offset: u64,
    ) -> Result<Body, Error> {
        self.open(url, Some(url), hash, offset).await
    }

    /// Opens a URL of a stranger.
    pub(crate) async fn open_guarded(
        &self,
        url: &Url,
        hash: ContentHash,
        offset: u64,
    ) -> Result<Body, Error> {
        self.open(url, None, hash, offset).await
    }

    async fn open(
        &self,
        url: &Url,
        trusted: Option<&Url>,
        hash: ContentHash,
        offset: u64,
    ) -> Result<Body, Error> {
        let response = self.get(url, trusted, offset).await?;
        match classify(&response, hash, offset)? {
            Answer::From(start) => Ok(Body { start, chunks: chunks(response) }),
            // The server cannot go on from there, so it has to begin again.
            Answer::OtherRange => {
                drop(response);
                let response = self.get(url, trusted, 0).await?;
                match classify(&response, hash, 0)? {
                    Answer::From(start) => Ok(Body { start, chunks: chunks(response) }),
                    Answer::OtherRange => Err(Error::protocol("a range that was not asked for")),
                }
            }
        }
    }

    /// The answer after all redirects. Only within the trusted origin does a redirect lead where a stranger may not.
    async fn get(&self, url: &Url, trusted: Option<&Url>, offset: u64) -> Result<reqwest::Response, Error> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let client = if trusted.is_some_and(|trusted| trusted.origin() == url.origin()) {
                &self.trusted
            } else {
                self.policy.check(&url)?;
                &self.guarded
            };
            let mut request = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
            if offset > 0 {
                request = request.header(header::RANGE, format!("bytes={offset}-"));
            }
            let response = request.send().await.map_err(connection_error)?;
            match redirect_of(&response)? {
                Some(next) => url = next,
                None => return Ok(response),
            }
        }
        Err(LocationError::Redirects { limit: MAX_REDIRECTS }.into())
    }
}

/// Where the answer leads, if it is a redirect.
fn redirect_of(response: &reqwest::Response) -> Result<Option<Url>, Error> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let target = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let target = target.ok_or_else(|| Error::protocol("a redirect to nowhere"))?;
    let next = response.url().join(target).map_err(|_| LocationError::Malformed)?;
    Ok(Some(next))
}

/// What a server gives.
enum Answer {
    /// The bytes from this place on.
    From(u64),
    /// Not the bytes that were asked for.
    OtherRange,
}

fn classify(response: &reqwest::Response, hash: ContentHash, offset: u64) -> Result<Answer, Error> {
    let answer = match response.status() {
        StatusCode::OK => Answer::From(0),
        StatusCode::PARTIAL_CONTENT if offset > 0 && range_start(response) == Some(offset) => {
            Answer::From(offset)
        }
        StatusCode::PARTIAL_CONTENT => Answer::OtherRange,
        StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => Answer::OtherRange,
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Error::NotFound { hash }),
        status => return Err(Error::Status { status: status.as_u16() }),
    };
    match response.headers().get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => {
            Err(Error::protocol(format!("encoded as {encoding:?} without being asked to")))
        }
        _ => Ok(answer),
    }
}

/// The first byte's place, from `bytes 7-9/10`.
fn range_start(response: &reqwest::Response) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

fn chunks(response: reqwest::Response) -> BoxStream<'static, Result<Bytes, Error>> {
    response.bytes_stream().map(|chunk| chunk.map_err(connection_error)).boxed()
}

/// A failure on the way. That our own guard refused an address is final, whatever reqwest made of it.
fn connection_error(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(refused) = current.downcast_ref::<LocationError>() {
            return refused.clone().into();
        }
        cause = current.source();
    }
    Error::transfer(&error, !error.is_builder())
}
