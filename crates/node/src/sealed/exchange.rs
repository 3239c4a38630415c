//! Slices from stores: what is in one may be missing, old or a lie, and hides nothing that is in another.

use std::{collections::BTreeMap, fmt, time::Duration};

use aiarena_store::{Limits, ObjectName, Store, Stores};
use tokio::{task::JoinSet, time::Instant};
use tracing::debug;

use super::{MAX_SEALED_BYTES, SealedError};

/// Between two questions to one store, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(15);

/// Why no store gave a slice that opens: each store with its last reason.
#[derive(Debug, Default)]
pub struct Missing(pub BTreeMap<String, String>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no store is configured");
        }
        for (index, (store, why)) in self.0.iter().enumerate() {
            write!(f, "{}{store}: {why}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Missing {}

/// The limits of a transfer, for files of this kind.
#[must_use]
pub(crate) fn for_slices(limits: &Limits) -> Limits {
    Limits { max_size: MAX_SEALED_BYTES as u64, ..limits.clone() }
}

/// Asks all stores until `until`, and returns what the first gave that `read` accepts.
///
/// Each store is asked again and again by itself, so that one that hangs or lies holds up no other; and each transfer may take
/// all the time that is left, as long as it keeps the least rate: a large slice over a slow line needs it.
///
/// # Errors
/// [`Missing`] if there was none in time.
pub async fn await_slice<T>(
    stores: &Stores,
    name: &ObjectName,
    limits: &Limits,
    until: Instant,
    read: impl Fn(&[u8]) -> Result<T, SealedError>,
) -> Result<T, Missing> {
    let limits = for_slices(limits);
    let ask = |store: Store, pause: Duration| {
        let (name, limits) = (name.clone(), limits.clone());
        async move {
            tokio::time::sleep(pause).await;
            let deadline = until.saturating_duration_since(Instant::now());
            let answer = store.get_named(&name, &Limits { deadline, ..limits }).await;
            (store, pause, answer)
        }
    };
    let mut asked = JoinSet::new();
    stores.stores().iter().for_each(|store| drop(asked.spawn(ask(store.clone(), Duration::ZERO))));
    let mut missing = Missing::default();
    while let Some(answer) = asked.join_next().await {
        let Ok((store, pause, answer)) = answer else { continue };
        let why = match answer.map(|bytes| read(&bytes)) {
            Ok(Ok(read)) => return Ok(read),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        debug!(%store, %name, why, "no slice here yet");
        missing.0.insert(store.to_string(), why);
        let pause = (pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
        if Instant::now() + pause < until {
            asked.spawn(ask(store, pause));
        }
    }
    Err(missing)
}
