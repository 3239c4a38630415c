//! Fetching artifacts into the cache, from stores and servers that may be slow, broken or dishonest.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    hash::{BuildHasher, RandomState},
    pin::pin,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use reqwest::Url;
use tokio::time::{self, Instant};

use crate::{
    ContentHash, Error, FolderStore, Location, Settings, Store, Tried,
    partial::{self, Partial},
    web::Web,
};

/// How many locations of strangers are tried for one artifact; each of its submissions may name one.
const MAX_LOCATIONS: usize = 4;

/// The first pause between two rounds; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between two rounds.
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// How often a partial that another transfer holds is asked for.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What a transfer may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest artifact, in bytes.
    pub max_size: u64,
    /// The time for one artifact, with all stores and all repetitions.
    pub deadline: Duration,
    /// How long a server may stay below the least rate, or silent.
    pub patience: Duration,
    /// The least rate, in bytes per second. In each `patience` at least one byte has to come, however low it is.
    pub min_rate: u64,
    /// How often all places are tried, at most.
    pub rounds: u32,
    /// How many artifacts are fetched at once.
    pub concurrency: usize,
    /// How long a partial that nobody resumes is kept.
    pub partial_age: Duration,
    /// How large all partials may be together, in bytes.
    pub partial_bytes: u64,
}

impl Limits {
    /// Limits for artifacts of at most `max_size` bytes: two minutes for each, and at least 16 KiB/s over ten seconds.
    pub fn new(max_size: u64) -> Self {
        Self {
            max_size,
            deadline: Duration::from_secs(120),
            patience: Duration::from_secs(10),
            min_rate: 16 << 10,
            rounds: 6,
            concurrency: 8,
            partial_age: Duration::from_secs(24 * 3600),
            partial_bytes: max_size.saturating_mul(16),
        }
    }
}

/// An artifact that is now in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its size in bytes.
    pub size: u64,
    /// The store or location that gave its last byte; `None` if it was in the cache already.
    pub from: Option<String>,
}

/// Stores that are asked in order, and after them the locations that strangers named.
#[derive(Debug, Clone)]
pub struct Stores {
    stores: Vec<Store>,
    web: Web,
}

impl Stores {
    /// Opens all stores.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub fn open<'a>(urls: impl IntoIterator<Item = &'a str>, settings: &Settings) -> Result<Self, Error> {
        let stores = urls.into_iter().map(|url| Store::open(url, settings)).collect::<Result<_, _>>()?;
        Ok(Self { stores, web: Web::new(settings.policy)? })
    }

    /// The stores in order.
    pub fn stores(&self) -> &[Store] {
        &self.stores
    }

    /// Makes sure that the cache holds the artifact, which is fetched if need be.
    ///
    /// - `locations`: where else it may be, as strangers say; at most four addresses are tried.
    ///
    /// Places are tried in order, round by round, until one gives the right bytes. A place that lies, sends too much or
    /// does not have the artifact is not asked again; one that fails is asked again in the next round, after a pause.
    /// A place gets its share of the time that is left, so that a slow one cannot use up that of the next. What has
    /// arrived is kept beside the cache, and the next place, attempt or process goes on from there; if the whole is
    /// corrupt after that, it is fetched once more from its beginning before the place is blamed.
    ///
    /// # Errors
    /// - [`Error::NotFound`] if all places answer so, or there is none.
    /// - [`Error::Unavailable`] if no place gave it and one failed or lied, also by sending too many bytes.
    /// - [`Error::Busy`] if another transfer into the same cache did not end in time.
    /// - [`Error::DiskFull`], [`Error::Io`] if the cache cannot be written.
    pub async fn fetch(
        &self,
        hash: ContentHash,
        locations: &[Location],
        cache: &FolderStore,
        limits: &Limits,
    ) -> Result<Fetched, Error> {
        let mut pauses = Pauses::new(limits);
        self.sweep(cache, limits).await?;
        let mut partial = loop {
            if let Some(size) = intact_size(cache, hash, limits).await? {
                return Ok(Fetched { size, from: None });
            }
            match open_partial(cache, hash, limits).await? {
                Some(partial) => break partial,
                None if pauses.remaining() > LOCK_PAUSE => time::sleep(LOCK_PAUSE).await,
                None => return Err(Error::Busy { hash }),
            }
        };
        // Another transfer may have ended between the two questions above.
        if let Some(size) = intact_size(cache, hash, limits).await? {
            return Ok(Fetched { size, from: None });
        }
        let places = self.places(locations);
        let mut errors: BTreeMap<usize, Error> = BTreeMap::new();
        let mut asked: Vec<usize> = (0..places.len()).collect();
        loop {
            let mut again = Vec::new();
            for (position, &index) in asked.iter().enumerate() {
                let left = u32::try_from(asked.len() - position).unwrap_or(u32::MAX);
                let pace = Pace::new(limits, pauses.remaining() / left);
                match attempt(&places[index], &mut partial, hash, limits, pace).await {
                    Ok(()) => {
                        let size = blocking(move || partial.place()).await?;
                        return Ok(Fetched { size, from: Some(places[index].to_string()) });
                    }
                    Err(Failure::Cache(error)) => return Err(error),
                    Err(Failure::Place(error)) => {
                        if error.is_retryable() && !matches!(error, Error::NotFound { .. }) {
                            again.push(index);
                        }
                        errors.insert(index, error);
                    }
                }
            }
            asked = again;
            if asked.is_empty() || !pauses.wait().await {
                return Err(conclude(hash, &places, errors));
            }
        }
    }

    /// Fetches artifacts at once, each with the locations that strangers named for it.
    ///
    /// Each has its own time and its own result. Those without an address of a stranger come first, so that slow strangers
    /// delay only each other. All are done after `deadline` × artifacts / `concurrency`.
    pub async fn fetch_all(
        &self,
        wanted: &BTreeMap<ContentHash, Vec<Location>>,
        cache: &FolderStore,
        limits: &Limits,
    ) -> BTreeMap<ContentHash, Result<Fetched, Error>> {
        let mut order: Vec<_> = wanted.iter().collect();
        order.sort_by_key(|(_, locations)| {
            locations.iter().any(|location| matches!(location, Location::Web(_)))
        });
        let mut fetches = Vec::with_capacity(order.len());
        for (&hash, locations) in order {
            fetches.push(async move { (hash, self.fetch(hash, locations, cache, limits).await) });
        }
        stream::iter(fetches).buffer_unordered(limits.concurrency.max(1)).collect().await
    }

    fn places<'a>(&'a self, locations: &'a [Location]) -> Vec<Place<'a>> {
        let mut urls: Vec<&Url> = Vec::new();
        for location in locations {
            if let Location::Web(url) = location
                && !urls.contains(&url)
                && urls.len() < MAX_LOCATIONS
            {
                urls.push(url);
            }
        }
        let strangers = urls.into_iter().map(|url| Place::Stranger(&self.web, url));
        self.stores.iter().map(Place::Store).chain(strangers).collect()
    }

    async fn sweep(&self, cache: &FolderStore, limits: &Limits) -> Result<(), Error> {
        let (cache, age, bytes) = (cache.clone(), limits.partial_age, limits.partial_bytes);
        blocking(move || {
            partial::sweep(&cache, age, bytes);
            Ok(())
        })
        .await
    }
}

/// A place to fetch from.
enum Place<'a> {
    Store(&'a Store),
    Stranger(&'a Web, &'a Url),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(store) => store.fmt(f),
            Self::Stranger(_, url) => f.write_str(url.as_str()),
        }
    }
}

/// Whose fault it is that an attempt failed.
enum Failure {
    /// Ours: other places would not help.
    Cache(Error),
    /// That of the place.
    Place(Error),
}

/// Completes the partial from one place.
async fn attempt(
    place: &Place<'_>,
    partial: &mut Partial,
    hash: ContentHash,
    limits: &Limits,
    mut pace: Pace,
) -> Result<(), Failure> {
    if partial.len() > 0 && partial.hash() == hash {
        return Ok(());
    }
    let resumed = partial.len() > 0;
    match transfer(place, partial, hash, limits, &mut pace).await {
        // The first bytes may be those of another place, or of a disk that lost power.
        Err(Failure::Place(Error::Corrupt { .. } | Error::TooLarge { .. })) if resumed => {
            transfer(place, partial, hash, limits, &mut pace).await
        }
        result => result,
    }
}

/// Adds to the partial what the place gives. Bytes that turn out wrong are dropped.
async fn transfer(
    place: &Place<'_>,
    partial: &mut Partial,
    hash: ContentHash,
    limits: &Limits,
    pace: &mut Pace,
) -> Result<(), Failure> {
    let opening = async {
        match place {
            Place::Store(store) => store.body(hash, partial.len()).await,
            Place::Stranger(web, url) => web.open_guarded(url, hash, partial.len()).await,
        }
    };
    let mut body = pace.within(opening).await.map_err(Failure::Place)?;
    if body.start != partial.len() {
        partial.restart().map_err(Failure::Cache)?;
    }
    while let Some(chunk) = pace.next(&mut body.chunks).await.map_err(Failure::Place)? {
        let got = partial.len().saturating_add(chunk.len() as u64);
        if got > limits.max_size {
            partial.restart().map_err(Failure::Cache)?;
            return Err(Failure::Place(Error::TooLarge { limit: limits.max_size, got }));
        }
        partial.append(&chunk).map_err(Failure::Cache)?;
    }
    let got = partial.hash();
    if got == hash {
        return Ok(());
    }
    partial.restart().map_err(Failure::Cache)?;
    Err(Failure::Place(Error::Corrupt { expected: hash, got }))
}

fn conclude(hash: ContentHash, places: &[Place<'_>], errors: BTreeMap<usize, Error>) -> Error {
    if errors.values().all(|error| matches!(error, Error::NotFound { .. })) {
        return Error::NotFound { hash };
    }
    let tried = errors.into_iter().map(|(index, error)| Tried { place: places[index].to_string(), error });
    Error::Unavailable { hash, tried: tried.collect() }
}

async fn intact_size(cache: &FolderStore, hash: ContentHash, limits: &Limits) -> Result<Option<u64>, Error> {
    let (cache, max_size) = (cache.clone(), limits.max_size);
    blocking(move || cache.intact_size(hash, max_size)).await
}

async fn open_partial(
    cache: &FolderStore,
    hash: ContentHash,
    limits: &Limits,
) -> Result<Option<Partial>, Error> {
    let (cache, max_size) = (cache.clone(), limits.max_size);
    blocking(move || Partial::open(&cache, hash, max_size)).await
}

/// Runs file operations where they hold up nobody else.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::transfer(&error, false)),
    }
}

/// Rounds with growing pauses, within one deadline.
pub(crate) struct Pauses {
    end: Instant,
    limit: Duration,
    rounds: u32,
    next: Duration,
}

impl Pauses {
    pub(crate) fn new(limits: &Limits) -> Self {
        let limit = limits.deadline;
        Self { end: Instant::now() + limit, limit, rounds: limits.rounds, next: FIRST_PAUSE }
    }

    pub(crate) fn remaining(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Waits before the next round; false if there is none.
    pub(crate) async fn wait(&mut self) -> bool {
        self.rounds = self.rounds.saturating_sub(1);
        let pause = self.next.mul_f64(0.5 + spread() / 2.0);
        if self.rounds == 0 || pause >= self.remaining() {
            return false;
        }
        self.next = (self.next * 2).min(LAST_PAUSE);
        time::sleep(pause).await;
        true
    }

    /// Gives up on `work` at the deadline.
    pub(crate) async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match time::timeout_at(self.end, work).await {
            Ok(result) => result,
            Err(_) => Err(Error::Deadline { limit: self.limit, got: 0 }),
        }
    }
}

/// A number in [0, 1) that differs between processes, so that those who failed together do not come back together.
fn spread() -> f64 {
    let [high, low, ..] = RandomState::new().hash_one(0).to_be_bytes();
    f64::from(u16::from_be_bytes([high, low])) / 65_536.0
}

/// Watches how fast bytes arrive, from the first question on.
pub(crate) struct Pace {
    limit: Duration,
    end: Instant,
    window: Duration,
    window_end: Instant,
    in_window: u64,
    least: u64,
    total: u64,
}

impl Pace {
    /// Watches one attempt, which ends after `limit`.
    pub(crate) fn new(limits: &Limits, limit: Duration) -> Self {
        let now = Instant::now();
        let window = limits.patience;
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let least = (limits.min_rate.saturating_mul(millis) / 1000).max(1);
        Self { limit, end: now + limit, window, window_end: now + window, in_window: 0, least, total: 0 }
    }

    /// The next bytes of a stream.
    pub(crate) async fn next(
        &mut self,
        chunks: &mut (impl Stream<Item = Result<Bytes, Error>> + Unpin),
    ) -> Result<Option<Bytes>, Error> {
        // A stream that is always ready never lets a timer run out.
        self.check()?;
        let chunk = self.within(async { chunks.next().await.transpose() }).await?;
        let count = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        self.in_window += count;
        self.total += count;
        Ok(chunk)
    }

    /// Waits for `work` as long as the rate allows.
    pub(crate) async fn within<T>(
        &mut self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut work = pin!(work);
        loop {
            match time::timeout_at(self.window_end.min(self.end), &mut work).await {
                Ok(result) => return result,
                Err(_) => self.check()?,
            }
        }
    }

    fn check(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if now >= self.end {
            return Err(Error::Deadline { limit: self.limit, got: self.total });
        }
        if now >= self.window_end {
            if self.in_window < self.least {
                return Err(Error::Slow { got: self.in_window, least: self.least, window: self.window });
            }
            self.window_end = now + self.window;
            self.in_window = 0;
        }
        Ok(())
    }
}
