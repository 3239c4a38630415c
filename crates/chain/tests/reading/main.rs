//! Reading the chain through endpoints that fail and lie, and while it is reorganised.

#![expect(clippy::unwrap_used, reason = "what fails in the helpers of a test fails the test")]

mod anvil;
mod arena;
mod durable;
mod endpoints;
mod faults;
mod kill;
mod lies;
mod proxy;
mod random;
mod speed;

use std::time::Duration;

use aiarena_chain::endpoints::{Endpoints, EndpointsConfig};

/// As patient as a test can be: a hanging endpoint costs a quarter of a second.
pub(crate) fn hasty() -> EndpointsConfig {
    EndpointsConfig {
        request_timeout: Duration::from_millis(250),
        patience: Duration::from_secs(10),
        max_pause: Duration::from_millis(40),
        head_interval: Duration::from_millis(20),
        ..EndpointsConfig::default()
    }
}

pub(crate) fn endpoints(urls: &[String]) -> Endpoints {
    Endpoints::new(urls, 31_337, hasty()).unwrap()
}
