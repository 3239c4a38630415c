//! The parameters of a deployment, as a file.

use aiarena_chain::deploy::{DeployConfig, Schedule};
use alloy::primitives::Address;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::{date::utc, send::Refusal};
use crate::{address, amount};

/// How far ahead a genesis is before it is taken for a mistake, in seconds: a year.
const FARTHEST: u64 = 366 * 86_400;

/// What is deployed. Amounts and ratios are decimal texts, so that nothing is rounded.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    epoch_length: u32,
    genesis: Option<u64>,
    first_epoch_in: Option<u64>,
    unbonding_epochs: u32,
    bond: String,
    max_fee: String,
    slash: String,
    emission: String,
    emission_decay: String,
    emission_period: u32,
    owner: Option<String>,
    schedule: Schedule,
    #[serde(default)]
    token: TokenSection,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenSection {
    #[serde(default, deserialize_with = "address::optional")]
    address: Option<Address>,
}

impl Params {
    /// The existing token, if one is named.
    pub(super) fn token(&self) -> Option<Address> {
        self.token.address
    }

    /// What the constructors take, at the chain's time `now`, for a token of so many decimals.
    ///
    /// - `far`: whether the genesis may be more than a year ahead.
    pub(super) fn config(&self, now: u64, decimals: u8, far: bool) -> Result<DeployConfig> {
        let genesis = match (self.genesis, self.first_epoch_in) {
            (Some(genesis), None) => genesis,
            (None, Some(seconds)) => now.saturating_add(seconds),
            _ => bail!("give either genesis or first_epoch_in"),
        };
        ensure!(
            genesis >= now,
            Refusal(format!(
                "genesis is in the past: {}, and the chain's time is {}; say first_epoch_in = 3600 instead",
                utc(genesis),
                utc(now)
            ))
        );
        ensure!(
            far || genesis - now <= FARTHEST,
            Refusal(format!(
                "genesis is {}, more than a year ahead, and fixed for ever: correct genesis or first_epoch_in, or say \
                 --far-genesis if it is meant",
                utc(genesis)
            ))
        );
        let owner = match self.owner.as_deref() {
            None => None,
            Some("none") => Some(Address::ZERO),
            Some(text) => {
                Some(address::parse(text).map_err(|why| anyhow::anyhow!("owner: {why}, or \"none\""))?)
            }
        };
        let tokens = |name: &'static str, text: &str| amount::parse_u96(text, decimals).context(name);
        let ratio = |name: &'static str, text: &str| amount::parse_wad(text).context(name);
        Ok(DeployConfig {
            genesis,
            epoch_length: self.epoch_length,
            unbonding_epochs: self.unbonding_epochs,
            schedule: self.schedule,
            bond: tokens("bond", &self.bond)?,
            max_fee_wad: ratio("max_fee", &self.max_fee)?,
            slash_wad: ratio("slash", &self.slash)?,
            emission: tokens("emission", &self.emission)?,
            emission_decay_wad: ratio("emission_decay", &self.emission_decay)?,
            emission_period: self.emission_period,
            owner,
        })
    }
}

/// The parameters with their defaults, for epochs of a day.
pub(super) const TEMPLATE: &str = r#"# What `aiarena deploy` fixes for ever. Amounts are in tokens; amounts and ratios are decimal texts.

# Seconds per epoch: a day.
epoch_length = 86400
# When epoch 1 begins: so many seconds after the deployment, or at a point in time in seconds since 1970.
first_epoch_in = 3600
# genesis = 1800000000
# Epochs for which stake unbonds after the epoch of the request, 2 to 60.
unbonding_epochs = 7
# What a creator locks for each task until it is over.
bond = "100"
# Most that the fee on claims can ever be, 0 to 0.2.
max_fee = "0.05"
# Fraction of the stake that one offence costs, 0 to 0.1.
slash = "0.01"
# What all admitted tasks together are paid per epoch at first; then this factor on it after each period of epochs.
emission = "1000"
emission_decay = "0.5"
emission_period = 1461
# Who may admit tasks to the emission and set the fee: an address, a timelock for example, or "none".
# Without it: the account that deploys.
# owner = "none"

# Ends of the phases in seconds after the epoch's start, the least delay of the seed after Disclose, and after how many
# silent epochs in a row a validator is slashed.
[schedule]
submit_end = 43200
disclose_end = 50400
seed_end = 54000
commit_end = 68400
reveal_end = 79200
seed_delay = 60
silent_epochs = 3

[token]
# An existing ERC-20. Without it a test token is deployed, which the deployer can mint.
# address = "0x…"
"#;
