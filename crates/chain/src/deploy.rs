//! Deploys the four contracts of an arena.

use alloy::{
    primitives::{Address, Bytes, U256, uint},
    providers::Provider,
    sol_types::SolConstructor,
};
use serde::{Deserialize, Serialize};

use crate::{
    bindings::{Arena, ArenaToken, Emission, Vault},
    client::{Account, ClientError, Sent},
};

const WAD: u64 = 1_000_000_000_000_000_000;

/// What a deployment fixes for ever.
#[derive(Debug, Clone, Copy)]
pub struct DeployConfig {
    /// Start of epoch 1, in seconds since 1970; not in the past.
    pub genesis: u64,
    /// Seconds per epoch.
    pub epoch_length: u32,
    /// Epochs for which stake unbonds after the epoch of the request, 2 … 60.
    pub unbonding_epochs: u32,
    /// Ends of the phases, in seconds after the epoch's start.
    pub schedule: Schedule,
    /// What a creator locks for each task until it is over, in base units.
    pub bond: U256,
    /// Most that the fee on claims can ever be, in WAD, 0 … 0.2 (M-14).
    pub max_fee_wad: u64,
    /// Fraction of a pool's stake that one offence costs, in WAD, 0 … 0.1 (M-12).
    pub slash_wad: u64,
    /// What all admitted tasks together are paid per epoch at first, in base units (M-2).
    pub emission: U256,
    /// Factor on the emission after each period, in WAD, above 0 and at most 1.
    pub emission_decay_wad: u64,
    /// Epochs per period of the emission, at least 1.
    pub emission_period: u32,
    /// Who may admit tasks and set the fee; zero for nobody. `None`: the account that deploys.
    pub owner: Option<Address>,
}

impl DeployConfig {
    /// The defaults of the rules: stake unbonds for 7 epochs, an offence costs 1 %, the fee can never exceed 5 %. A bond of
    /// 100 tokens, and an emission of 1 000 tokens per epoch that halves after each 1 461, which are four years of days.
    #[must_use]
    pub fn new(genesis: u64, epoch_length: u32, schedule: Schedule) -> Self {
        Self {
            genesis,
            epoch_length,
            unbonding_epochs: 7,
            schedule,
            bond: uint!(100_000_000_000_000_000_000_U256),
            max_fee_wad: WAD / 20,
            slash_wad: WAD / 100,
            emission: uint!(1_000_000_000_000_000_000_000_U256),
            emission_decay_wad: WAD / 2,
            emission_period: 1_461,
            owner: None,
        }
    }
}

/// Ends of the phases (M-1), in seconds after an epoch's start, the least delay of the seed after Disclose, and after how
/// many silent epochs in a row a validator is slashed (M-12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is named by the phase that it ends, or as the rules name it")]
pub struct Schedule {
    pub submit_end: u32,
    pub disclose_end: u32,
    pub seed_end: u32,
    pub commit_end: u32,
    pub reveal_end: u32,
    pub seed_delay: u32,
    pub silent_epochs: u8,
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
            silentEpochs: s.silent_epochs,
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
            silent_epochs: s.silentEpochs,
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
    /// Says which tasks share the emission.
    pub emission: Address,
    /// The token that the vault pays in.
    pub token: Address,
    /// The first block that can hold an event of it.
    pub from_block: u64,
}

/// One contract of a [`Plan`].
#[derive(Debug, Clone)]
pub struct Step {
    /// The contract's name.
    pub name: &'static str,
    /// Where it will be, if its transaction has the nonce below.
    pub address: Address,
    /// The nonce of the transaction that creates it.
    pub nonce: u64,
    /// Code and arguments of its constructor.
    pub code: Bytes,
}

/// The contracts of an arena before they exist.
///
/// The emission names the vault and the vault names the arena before they exist: their addresses follow from the account's
/// nonce, and each constructor refuses a partner that names another one.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where everything will be.
    pub deployment: Deployment,
    /// What is to be created, in this order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Plans a deployment from `deployer`, whose next transaction has the nonce `first_nonce`.
    ///
    /// `token` is an existing ERC-20; with `None` the first step creates a test token that the deployer can mint.
    #[must_use]
    pub fn new(
        deployer: Address,
        first_nonce: u64,
        (chain_id, from_block): (u64, u64),
        token: Option<Address>,
        config: &DeployConfig,
    ) -> Self {
        let own_token = u64::from(token.is_none());
        let token_address = token.unwrap_or_else(|| deployer.create(first_nonce));
        let nonces = [0, 1, 2].map(|step| first_nonce.saturating_add(own_token + step));
        let [emission, vault, arena] = nonces.map(|nonce| deployer.create(nonce));
        let deployment = Deployment { chain_id, arena, vault, emission, token: token_address, from_block };
        let mut steps = Vec::with_capacity(4);
        if token.is_none() {
            let code = ArenaToken::BYTECODE.clone();
            steps.push(Step { name: "ArenaToken", address: token_address, nonce: first_nonce, code });
        }
        let codes = constructors(deployer, &deployment, config);
        for (((name, code), address), nonce) in codes.into_iter().zip([emission, vault, arena]).zip(nonces) {
            steps.push(Step { name, address, nonce, code });
        }
        Self { deployment, steps }
    }
}

/// Creates one contract of a plan, and checks that it is where the others expect it.
///
/// # Errors
/// [`ClientError`].
pub async fn deploy_step(account: &Account, step: &Step) -> Result<Sent, ClientError> {
    let Step { name, address, code, .. } = step;
    let sent = account.deploy(name, code.clone()).await?;
    if sent.created != Some(*address) {
        let what =
            format!("{name} is at {:?}, not at {address}: another transaction came between", sent.created);
        return Err(ClientError::Answer { action: "deploy".to_owned(), what });
    }
    Ok(sent)
}

/// Deploys token, emission, vault and arena from `account`; four transactions, in this order.
///
/// # Errors
/// [`ClientError`]. What was mined before it stays, without effect.
pub async fn deploy(account: &Account, config: DeployConfig) -> Result<(Deployment, Vec<Sent>), ClientError> {
    let provider = account.provider();
    let rpc = |source| ClientError::from_rpc("deploy", source);
    let chain_id = provider.get_chain_id().await.map_err(rpc)?;
    let nonce = provider.get_transaction_count(account.address()).await.map_err(rpc)?;
    let plan = Plan::new(account.address(), nonce, (chain_id, 0), None, &config);
    let mut sent = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        sent.push(deploy_step(account, step).await?);
    }
    let from_block = sent.first().map_or(0, |step| step.block);
    Ok((Deployment { from_block, ..plan.deployment }, sent))
}

/// What creates emission, vault and arena, in this order.
fn constructors(
    deployer: Address,
    deployment: &Deployment,
    config: &DeployConfig,
) -> [(&'static str, Bytes); 3] {
    let Deployment { arena, vault, emission, token, .. } = *deployment;
    let emission_arguments = Emission::constructorCall {
        c: Emission::EmissionConfig {
            vault,
            owner: config.owner.unwrap_or(deployer),
            initial: config.emission.saturating_to(),
            decayWad: config.emission_decay_wad,
            period: config.emission_period,
        },
    };
    let vault_arguments = Vault::constructorCall {
        c: Vault::VaultConfig {
            token,
            emission,
            arena,
            genesis: config.genesis,
            epochLength: config.epoch_length,
            unbondingEpochs: config.unbonding_epochs,
            bond: config.bond.saturating_to(),
            maxFeeWad: config.max_fee_wad,
            slashWad: config.slash_wad,
        },
    };
    let arena_arguments = Arena::constructorCall { vault_: vault, schedule_: config.schedule.into() };
    [
        ("Emission", with_arguments(&Emission::BYTECODE, &emission_arguments)),
        ("Vault", with_arguments(&Vault::BYTECODE, &vault_arguments)),
        ("Arena", with_arguments(&Arena::BYTECODE, &arena_arguments)),
    ]
}

fn with_arguments(code: &Bytes, arguments: &impl SolConstructor) -> Bytes {
    [code.as_ref(), &arguments.abi_encode()].concat().into()
}
