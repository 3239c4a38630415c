//! Builds the arena that the demo plays in: chain, contracts, task, stakes.

use std::{collections::BTreeMap, path::Path};

use aiarena_chain::{
    bindings::{Arena, ArenaToken, Emission, Vault},
    client::{Account, Sent},
    deploy::{DeployConfig, Deployment, Schedule, deploy},
    devnet::DevChain,
    embedded::{Config, EmbeddedChain},
    follow::Follower,
};
use aiarena_ml::Dataset;
use alloy::{
    primitives::{Address, U256},
    rpc::client::RpcClient,
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};
use anyhow::{Context, Result};

use super::population::{Population, derive, tokens};
use crate::{
    description::{TaskDescription, evaluation_root},
    files::write_json,
};

/// Seconds per epoch: a day, as in a real deployment. The demo moves the chain's clock and never waits.
pub const EPOCH_LENGTH: u32 = 86_400;
/// Rows that are drawn for the evaluation of an epoch.
pub const SLICE: u32 = crate::description::DEMO_SLICE;
/// The demo's only task.
pub const TASK: u64 = 1;
/// Emission of an epoch, in whole tokens.
const EMISSION: u64 = 10_000;
/// Bounty of the whole task, in whole tokens.
const BOUNTY: u64 = 3_000;
/// What the creator locks until the task is over, in whole tokens.
const BOND: u64 = 100;
/// Fee on claims, in WAD.
const FEE: u64 = WAD / 100;
/// Epochs for which stake unbonds: the least that a vault takes.
pub const UNBONDING: u32 = 2;
const WAD: u64 = 1_000_000_000_000_000_000;
/// Commission of the operators that have delegators.
const COMMISSION: u64 = WAD / 5;

const SCHEDULE: Schedule = Schedule {
    submit_end: 43_200,
    disclose_end: 50_400,
    seed_end: 54_000,
    commit_end: 68_400,
    reveal_end: 79_200,
    seed_delay: 0,
    silent_epochs: 3,
};

/// Gas of all transactions, by action.
#[derive(Debug, Clone, Default)]
pub struct GasBook(BTreeMap<String, Vec<u64>>);

impl GasBook {
    /// Notes a transaction.
    pub fn note(&mut self, sent: &Sent) {
        self.0.entry(sent.action.clone()).or_default().push(sent.gas);
    }

    /// Gas used, by action.
    pub fn actions(&self) -> impl Iterator<Item = (&str, &[u64])> {
        self.0.iter().map(|(action, gas)| (action.as_str(), gas.as_slice()))
    }
}

/// The arena, ready for its first epoch.
pub struct Stage {
    /// The chain's clock and balances.
    pub dev: DevChain,
    /// The chain itself, if it is embedded.
    pub embedded: Option<EmbeddedChain>,
    /// Where the contracts are.
    pub deployment: Deployment,
    /// Reads the events.
    pub follower: Follower,
    /// Gas so far.
    pub gas: GasBook,
    /// Tokens that were minted.
    pub minted: U256,
}

/// Starts the embedded chain of a seed.
///
/// # Errors
/// None in practice.
pub fn embedded_chain(seed: u64) -> Result<EmbeddedChain> {
    let config = Config { seed: derive(seed, "chain", 0), ..Config::default() };
    EmbeddedChain::new(config).context("start the embedded chain")
}

impl Stage {
    /// Deploys, mints, creates the task, stakes and delegates.
    ///
    /// # Errors
    /// If the endpoint is no development chain, or refuses anything.
    pub async fn build(
        rpc: RpcClient,
        embedded: Option<EmbeddedChain>,
        population: &Population,
        data: &Dataset,
        epochs: u32,
    ) -> Result<Self> {
        let dev = DevChain::detect(rpc.clone()).await.context(
            "the demo needs a development chain, whose clock and balances it can set: leave --rpc-url out for the \
             embedded one, or give the address of an Anvil or Hardhat node",
        )?;
        for signer in population.signers() {
            dev.set_balance(signer.address(), U256::from(100) * U256::from(WAD)).await?;
        }
        let creator = Account::new(rpc.clone(), population.creator.clone());
        // Everything up to the first epoch fits the hour before it, and then nothing of it counts too early.
        let genesis = dev.now().await? + 3_600;
        let config = DeployConfig {
            unbonding_epochs: UNBONDING,
            bond: tokens(BOND),
            emission: tokens(EMISSION),
            ..DeployConfig::new(genesis, EPOCH_LENGTH, SCHEDULE)
        };
        let (deployment, sent) = deploy(&creator, config).await.context("deploy the contracts")?;
        let mut gas = GasBook::default();
        sent.iter().for_each(|sent| gas.note(sent));

        let follower = Follower::connect(dev.provider().clone(), deployment).await?;
        let mut stage = Self { dev, embedded, deployment, follower, gas, minted: U256::ZERO };
        stage.create_task(&creator, data, epochs).await.context("create the task")?;
        stage.admit(&creator, population.treasury, epochs).await.context("admit the task to emission")?;
        stage.stake(population).await.context("stake")?;
        stage.delegate(population).await.context("delegate")?;
        stage.dev.advance_to(genesis).await?;
        Ok(stage)
    }

    /// Sends a call and notes its gas.
    ///
    /// # Errors
    /// If the contract refuses.
    pub async fn send<C: SolCall>(&mut self, account: &Account, to: Address, call: &C) -> Result<()> {
        let sent = account.send(to, call).await?;
        self.gas.note(&sent);
        Ok(())
    }

    /// An account of somebody over this chain.
    #[must_use]
    pub fn account(&self, signer: &PrivateKeySigner) -> Account {
        Account::new(self.dev.rpc().clone(), signer.clone())
    }

    /// Creates the task and gives it its bounty.
    async fn create_task(&mut self, creator: &Account, data: &Dataset, epochs: u32) -> Result<()> {
        let params = Arena::TaskParams {
            metadata: TaskDescription::demo().digest()?,
            evaluationRoot: evaluation_root(data)?,
            minNodeStake: tokens(100).to(),
            epochs,
            // One row of a slice: another implementation may decide one tie otherwise.
            tolerance: 1_000_000_000 / SLICE,
            minValidatorStake: tokens(500).to(),
            phiWad: WAD / 5,
            qWad: WAD / 10 * 9,
            maxSubmissions: 64,
            rankCutoff: 0,
            alphaWad: WAD,
            gammaWad: WAD / 4,
            epsilonWad: WAD,
            lossCapWad: 0,
            redundancy: 15,
            freshData: true,
            rule: 0,
            metric: 0,
        };
        let bounty = tokens(BOUNTY);
        let locked = bounty + tokens(BOND);
        self.mint(creator, creator.address(), locked).await?;
        self.approve(creator, locked).await?;
        self.send(creator, self.deployment.arena, &Arena::createTaskCall { params }).await?;
        let fund = Vault::fundCall { task: U256::from(TASK), amount: bounty.to() };
        self.send(creator, self.deployment.vault, &fund).await
    }

    /// Fills the emission's reserve, and does what its owner can do. Both act from the second epoch on: everybody sees them
    /// an epoch ahead.
    async fn admit(&mut self, owner: &Account, treasury: Address, epochs: u32) -> Result<()> {
        let reserve = tokens(EMISSION) * U256::from(epochs);
        self.mint(owner, owner.address(), reserve).await?;
        self.approve(owner, reserve).await?;
        let fund = Vault::fundEmissionCall { amount: reserve.to() };
        self.send(owner, self.deployment.vault, &fund).await?;
        let emission = self.deployment.emission;
        self.send(owner, emission, &Emission::admitCall { task: U256::from(TASK) }).await?;
        self.send(owner, emission, &Emission::setFeeCall { feeWad: FEE, treasury }).await
    }

    async fn mint(&mut self, creator: &Account, to: Address, amount: U256) -> Result<()> {
        self.minted += amount;
        self.send(creator, self.deployment.token, &ArenaToken::mintCall { to, amount }).await
    }

    async fn approve(&mut self, account: &Account, amount: U256) -> Result<()> {
        let call = ArenaToken::approveCall { spender: self.deployment.vault, value: amount };
        self.send(account, self.deployment.token, &call).await
    }

    async fn stake(&mut self, population: &Population) -> Result<()> {
        let creator = self.account(&population.creator);
        let nodes = population.nodes.iter().map(|node| (&node.signer, 1, node.stake));
        let validators =
            population.validators.iter().map(|validator| (&validator.signer, 2, validator.stake));
        let delegated: Vec<Address> =
            population.delegators.iter().flat_map(|d| d.delegations.iter().map(|(to, _)| *to)).collect();
        for (signer, role, amount) in nodes.chain(validators) {
            let account = self.account(signer);
            self.mint(&creator, account.address(), amount).await?;
            self.approve(&account, amount).await?;
            let stake = Vault::stakeCall { task: U256::from(TASK), role, amount: amount.to() };
            self.send(&account, self.deployment.vault, &stake).await?;
            if delegated.contains(&account.address()) {
                let call = Vault::setCommissionCall { task: U256::from(TASK), commissionWad: COMMISSION };
                self.send(&account, self.deployment.vault, &call).await?;
            }
        }
        Ok(())
    }

    async fn delegate(&mut self, population: &Population) -> Result<()> {
        let creator = self.account(&population.creator);
        for delegator in &population.delegators {
            let account = self.account(&delegator.signer);
            let total = delegator.delegations.iter().fold(U256::ZERO, |sum, (_, amount)| sum + amount);
            self.mint(&creator, account.address(), total).await?;
            self.approve(&account, total).await?;
            for (operator, amount) in &delegator.delegations {
                let call =
                    Vault::delegateCall { task: U256::from(TASK), operator: *operator, amount: amount.to() };
                self.send(&account, self.deployment.vault, &call).await?;
            }
        }
        Ok(())
    }
}

/// A client of an endpoint on the network.
///
/// # Errors
/// If the address is malformed.
pub fn rpc_client(url: &str) -> Result<RpcClient> {
    let parsed = url.parse().with_context(|| format!("{url} is no URL, such as http://127.0.0.1:8545"))?;
    let client = RpcClient::new_http(parsed);
    client.set_poll_interval(std::time::Duration::from_millis(20));
    Ok(client)
}

/// Files that the demo keeps for an auditor.
pub const CHAIN_FILE: &str = "chain.json";
/// Where the contracts are.
pub const DEPLOYMENT_FILE: &str = "deployment.json";
/// What the creator says of the task.
pub const TASK_FILE: &str = "task.json";
/// Submitted artifacts.
pub const ARTIFACTS_FOLDER: &str = "artifacts";
/// The data set.
pub const EVAL_DATA_FOLDER: &str = "eval-data";

/// Writes all that an auditor needs into a folder; the artifacts are there already.
///
/// # Errors
/// If a file cannot be written.
pub fn keep(folder: &Path, stage: &Stage, data: &aiarena_ml::Dataset) -> Result<()> {
    if let Some(chain) = &stage.embedded {
        chain.save(&folder.join(CHAIN_FILE))?;
    }
    write_json(&folder.join(DEPLOYMENT_FILE), &stage.deployment)?;
    write_json(&folder.join(TASK_FILE), &TaskDescription::demo())?;
    data.save(&folder.join(EVAL_DATA_FOLDER)).context("write the evaluation data")
}
