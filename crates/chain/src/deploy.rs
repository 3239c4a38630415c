//! Deploys the three contracts of an arena.

use alloy::{
    primitives::{Address, Bytes},
    providers::Provider,
    sol_types::SolConstructor,
};
use serde::{Deserialize, Serialize};

use crate::{
    bindings::{Arena, ArenaToken, Vault},
    client::{Account, ClientError, Sent},
};

/// What a deployment fixes for ever.
#[derive(Debug, Clone, Copy)]
pub struct DeployConfig {
    /// Start of epoch 1, in seconds since 1970; not in the past.
    pub genesis: u64,
    /// Seconds per epoch.
    pub epoch_length: u32,
    /// Epochs for which stake unbonds after the epoch of the request.
    pub unbonding_epochs: u32,
    /// Ends of the phases, in seconds after the epoch's start.
    pub schedule: Schedule,
}

/// Ends of the phases (M-1), in seconds after an epoch's start, and the least delay of the seed after Disclose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is named by the phase that it ends")]
pub struct Schedule {
    pub submit_end: u32,
    pub disclose_end: u32,
    pub seed_end: u32,
    pub commit_end: u32,
    pub reveal_end: u32,
    pub seed_delay: u32,
}

impl From<Schedule> for Arena::Schedule {
    fn from(s: Schedule) -> Self {
        Self {
            submitEnd: s.submit_end,
            discloseEnd: s.disclose_end,
            seedEnd: s.seed_end,
            commitEnd: s.commit_end,
            revealEnd: s.reveal_end,
            seedDelay: s.seed_delay,
        }
    }
}

impl From<Arena::Schedule> for Schedule {
    fn from(s: Arena::Schedule) -> Self {
        Self {
            submit_end: s.submitEnd,
            disclose_end: s.discloseEnd,
            seed_end: s.seedEnd,
            commit_end: s.commitEnd,
            reveal_end: s.revealEnd,
            seed_delay: s.seedDelay,
        }
    }
}

/// Where an arena is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The chain that holds it.
    pub chain_id: u64,
    /// Decides.
    pub arena: Address,
    /// Pays.
    pub vault: Address,
    /// The token that it pays in.
    pub token: Address,
    /// The first block that can hold an event of it.
    pub from_block: u64,
}

/// Deploys token, vault and arena from `account`; three transactions, in this order.
///
/// The vault names the arena before it exists: its address follows from the account's nonce, and the arena's
/// constructor refuses a vault that names another one.
///
/// # Errors
/// [`ClientError`]. What was mined before it stays, without effect.
pub async fn deploy(account: &Account, config: DeployConfig) -> Result<(Deployment, Vec<Sent>), ClientError> {
    let provider = account.provider();
    let rpc = |source| ClientError::from_rpc("deploy", source);
    let chain_id = provider.get_chain_id().await.map_err(rpc)?;
    let nonce = provider.get_transaction_count(account.address()).await.map_err(rpc)?;
    let [token, vault, arena] = [0, 1, 2].map(|step| account.address().create(nonce + step));

    let vault_arguments = Vault::constructorCall {
        token_: token,
        arena_: arena,
        genesis_: config.genesis,
        epochLength_: config.epoch_length,
        unbondingEpochs_: config.unbonding_epochs,
    };
    let arena_arguments = Arena::constructorCall { vault_: vault, schedule_: config.schedule.into() };
    let steps = [
        ("ArenaToken", token, ArenaToken::BYTECODE.clone()),
        ("Vault", vault, with_arguments(&Vault::BYTECODE, &vault_arguments)),
        ("Arena", arena, with_arguments(&Arena::BYTECODE, &arena_arguments)),
    ];
    let mut sent = Vec::with_capacity(steps.len());
    for (name, address, code) in steps {
        let step = account.deploy(name, code).await?;
        if step.created != Some(address) {
            let what = format!(
                "{name} is at {:?}, not at {address}: another transaction came between",
                step.created
            );
            return Err(ClientError::Answer { action: "deploy".to_owned(), what });
        }
        sent.push(step);
    }
    let from_block = sent.first().map_or(0, |step| step.block);
    Ok((Deployment { chain_id, arena, vault, token, from_block }, sent))
}

fn with_arguments(code: &Bytes, arguments: &impl SolConstructor) -> Bytes {
    [code.as_ref(), &arguments.abi_encode()].concat().into()
}
