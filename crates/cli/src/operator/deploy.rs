//! `aiarena deploy`: contracts of an arena, step by step, so that it can be interrupted.

use std::path::Path;

use aiarena_chain::{
    bindings::ArenaToken,
    client::{Account, ClientError},
    deploy::{DeployConfig, Deployment, Plan, deploy, deploy_step},
    embedded::{Config as ChainConfig, EmbeddedChain},
};
use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{Address, Bytes, U256, hex, keccak256},
    providers::{DynProvider, Provider},
    rpc::types::{
        TransactionRequest,
        state::{AccountOverride, StateOverride},
    },
    signers::local::PrivateKeySigner,
    sol_types::{SolCall, SolValue},
};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    args::DeployArgs,
    date::utc,
    explain, network,
    params::{Params, TEMPLATE},
    say,
    send::{DataFee, Refusal, Stopped, affordable, agreed, data_fee, refused, settle},
    session::Token,
    wallet,
};
use crate::{
    address, amount,
    audit::differences,
    config::Config,
    files::{folder_of, read_json, read_text, read_toml, write_json, write_new},
};

/// Seconds before the genesis in which a deployment may not be done.
const HASTE: u64 = 300;

/// Where the contracts are, and what is left to be done until they are there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AddressBook {
    #[serde(flatten)]
    deployment: Deployment,
    /// Absent in a book that the demo wrote, which is written at the end.
    #[serde(default)]
    unfinished: Option<Unfinished>,
}

/// What a later run needs to finish a deployment.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
struct Unfinished {
    deployer: Address,
    first_nonce: u64,
    genesis: u64,
    /// The parameters, to the letter: others would give other contracts.
    params: String,
}

impl AddressBook {
    /// Reads a book, whose addresses people may have typed.
    fn read(path: &Path) -> Result<Self> {
        let book: Value = read_json(path)?;
        for contract in ["arena", "vault", "emission", "token"] {
            if let Some(Err(why)) = book[contract].as_str().map(address::parse) {
                bail!("{}: {contract}: {why}", path.display());
            }
        }
        serde_json::from_value(book).with_context(|| format!("{} is no address book", path.display()))
    }

    /// The contracts that the configuration names.
    pub(crate) fn finished(config: &Config) -> Result<Deployment> {
        let path = &config.contracts;
        ensure!(
            path.exists(),
            "there is no address book at {}: `aiarena deploy` writes one; to take part in an arena that exists, copy its book \
             there",
            path.display()
        );
        let Self { deployment, unfinished } = Self::read(path)?;
        ensure!(
            unfinished.is_none(),
            "the deployment in {} is not finished: run `aiarena deploy` again with the same parameters",
            path.display()
        );
        ensure!(
            deployment.chain_id == config.network.chain_id,
            "{} is of chain {}, but the configuration is for chain {}",
            path.display(),
            deployment.chain_id,
            config.network.chain_id
        );
        Ok(deployment)
    }
}

/// Runs `aiarena deploy`.
pub(super) async fn run(args: DeployArgs) -> Result<bool> {
    if let Some(file) = &args.write_params {
        write_new(file, TEMPLATE, false)?;
        say(&format!("wrote {}", file.display()))?;
        return Ok(true);
    }
    let Some(file) = &args.params else { bail!("name the parameters with --params FILE") };
    let config = Config::find(args.config.config.as_deref())?;
    let params: Params = read_toml(file)?;
    let text = read_text(file)?;
    let provider = network::connect(&config.network).await?.provider();
    let me = wallet::address(&config)?;
    let (now, head) = newest(&provider).await?;
    let decimals = match params.token() {
        Some(address) => Token::read(&provider, address).await?.decimals,
        None => 18,
    };
    let mut values =
        params.config(now, decimals, args.far_genesis).with_context(|| file.display().to_string());
    let found = resume(&config, &provider, me, &text).await?;
    // A deployment that goes on keeps the genesis that it began with, as long as that is still to come.
    if let (Some((_, before)), Ok(values)) = (&found, &mut values) {
        values.genesis = if before.genesis >= now { before.genesis } else { values.genesis };
    }
    let values = values?;
    let nonce = match &found {
        Some((_, before)) => before.first_nonce,
        None => provider.get_transaction_count(me).await.context("cannot ask for the nonce")?,
    };
    let from_block = found.as_ref().map_or(head, |(deployment, _)| deployment.from_block);
    let plan = Plan::new(me, nonce, (config.network.chain_id, from_block), params.token(), &values);
    let (plan, nonce) = match missing(&provider, me, &plan).await? {
        Some(plan) => (plan, nonce),
        None => {
            eprintln!(
                "Other transactions of {me} came between, so the planned addresses are lost: it starts anew."
            );
            let nonce = provider.get_transaction_count(me).await.context("cannot ask for the nonce")?;
            (Plan::new(me, nonce, (config.network.chain_id, head), params.token(), &values), nonce)
        }
    };
    if let Some(token) = params.token() {
        try_token(&provider, token, me, plan.deployment.vault).await?;
    }
    eprintln!("From {me} on chain {}:", config.network.chain_id);
    for step in &plan.steps {
        eprintln!("  deploy {} at {}", step.name, step.address);
    }
    show_dates(&values, now);
    let measured = match measure(&values, config.network.chain_id, now).await? {
        Ok(measured) => measured,
        Err(error) => {
            let place = explain::out_of_bounds(&error).and_then(|(field, _)| written(&text, field));
            let what = place.map_or("deploy with these parameters".to_owned(), |line| {
                format!("deploy with {line} in {}", file.display())
            });
            return refused(&what, &error, Vec::new());
        }
    };
    if args.send.dry_run {
        return rehearse(&provider, &plan, (&measured, &values), args.send.json).await;
    }
    affordable(&provider, &config).await?;
    agreed(&args.send)?;
    let unfinished = Unfinished { deployer: me, first_nonce: nonce, genesis: values.genesis, params: text };
    carry_out(&config, &provider, plan, unfinished, &args).await
}

/// Runs at the account of a holder: asks the balance of a receiver, transfers, and asks again. The call data are those of the
/// transfer and of the question, 68 and 36 bytes, and the token as a word; the answer is both balances.
const MOVE: &[u8] = &hex!(
    "365f5f37"                               // the call data into memory
    "602061010060246044606835" "5afa50"      // the balance before, at 0x100
    "60206101406044" "5f5f" "606835" "5af150" // the transfer
    "602061012060246044606835" "5afa50"      // the balance after, at 0x120
    "6040610100f3"
);

/// What is transferred to see what arrives, in base units, if there is as much.
const SAMPLE: u64 = 1_000_000;

/// Asks an existing token for all that the vault asks of one, without a transaction.
async fn try_token(provider: &DynProvider, address: Address, me: Address, vault: Address) -> Result<()> {
    let token = ArenaToken::new(address, provider);
    let refuses = |what: &str| format!("the token {address} is no ERC-20 that a vault can hold: {what}");
    let no_answer = |name: &str| refuses(&format!("it does not answer {name}"));
    let supply = token.totalSupply().call().await.with_context(|| no_answer("totalSupply"))?;
    ensure!(
        supply >> 96 == U256::ZERO,
        Refusal(refuses(&format!("there are {supply} base units of it, and a vault holds less than 2^96")))
    );
    let balance = token.balanceOf(me).call().await.with_context(|| no_answer("balanceOf"))?;
    token.allowance(me, vault).call().await.with_context(|| no_answer("allowance"))?;
    let approve = ArenaToken::approveCall { spender: vault, value: U256::ONE };
    accepts(provider, me, address, approve.abi_encode())
        .await
        .with_context(|| refuses("it cannot be approved"))?;
    if balance.is_zero() {
        eprintln!(
            "warning: {me} has nothing of the token {address}, so that no transfer of it could be tried"
        );
        return Ok(());
    }
    let transfer = ArenaToken::transferCall { to: vault, value: U256::ONE };
    accepts(provider, me, address, transfer.abi_encode())
        .await
        .with_context(|| refuses("it cannot be transferred"))?;

    let amount = balance.min(U256::from(SAMPLE));
    match arrives(provider, address, (me, vault), amount).await {
        Ok(moved) => ensure!(
            moved == amount,
            Refusal(refuses(&format!(
                "of {amount} base units {moved} arrive; a fee on transfers is not supported"
            )))
        ),
        Err(error) => {
            eprintln!(
                "warning: the endpoint does not tell what a transfer of the token {address} moves: {error}"
            );
        }
    }
    eprintln!(
        "note: balances of the token {address} must change by transfers alone; the last who leave a vault of one that takes \
         balances away find nothing"
    );
    Ok(())
}

/// How much of an amount arrives that one account transfers to another. The endpoint plays it, as if the holder were a contract.
async fn arrives(
    provider: &DynProvider,
    token: Address,
    (from, to): (Address, Address),
    amount: U256,
) -> Result<U256> {
    let transfer = ArenaToken::transferCall { to, value: amount }.abi_encode();
    let question = ArenaToken::balanceOfCall { account: to }.abi_encode();
    let input = [transfer, question, token.into_word().to_vec()].concat();
    let request = TransactionRequest::default().with_to(from).with_input(input);
    let code = AccountOverride { code: Some(Bytes::from_static(MOVE)), ..AccountOverride::default() };
    let overrides = StateOverride::from_iter([(from, code)]);
    let answer = provider.call(request).overrides(overrides).await?;
    let (before, after) =
        <(U256, U256)>::abi_decode(&answer).context("it answers what is no pair of balances")?;
    Ok(after.saturating_sub(before))
}

/// Whether a call would succeed as the vault demands it: the answer is nothing at all, or `true`.
async fn accepts(provider: &DynProvider, from: Address, to: Address, data: Vec<u8>) -> Result<()> {
    let request = TransactionRequest::default().with_from(from).with_to(to).with_input(data);
    let answer = provider.call(request).await?;
    let yes = answer.is_empty() || U256::try_from_be_slice(&answer) == Some(U256::ONE);
    ensure!(yes, Refusal(format!("it answers {answer}")));
    Ok(())
}

/// Says when the first epoch is, which is fixed for ever.
fn show_dates(values: &DeployConfig, now: u64) {
    let [begins, ends] = first_epoch(values);
    eprintln!("  epoch 1 begins (genesis) {}", utc(begins));
    eprintln!("  epoch 1 ends             {}", utc(ends));
    if values.genesis.saturating_sub(now) < HASTE {
        eprintln!(
            "warning: genesis is less than {HASTE} s ahead: if the vault is not there by then, the deployment has to begin anew"
        );
    }
}

/// Begin and end of the first epoch.
fn first_epoch(values: &DeployConfig) -> [u64; 2] {
    [values.genesis, values.genesis.saturating_add(u64::from(values.epoch_length))]
}

/// A field as it is written in the parameters.
fn written(params: &str, field: &str) -> Option<String> {
    let table: toml::Table = params.parse().ok()?;
    let sections = table.values().filter_map(toml::Value::as_table);
    let value = std::iter::once(&table).chain(sections).find_map(|table| table.get(field))?;
    (!value.is_table()).then(|| format!("{field} = {value}"))
}

/// Time and number of the newest block.
async fn newest(provider: &DynProvider) -> Result<(u64, u64)> {
    let block = provider.get_block(BlockId::latest()).await.context("cannot read the newest block")?;
    let block = block.context("the endpoint has no newest block")?;
    Ok((block.header.timestamp, block.header.number))
}

/// What an earlier run began, if it is to be finished.
async fn resume(
    config: &Config,
    provider: &DynProvider,
    me: Address,
    params: &str,
) -> Result<Option<(Deployment, Unfinished)>> {
    let path = &config.contracts;
    if !path.exists() {
        return Ok(None);
    }
    let book = AddressBook::read(path)?;
    let Some(before) = book.unfinished else {
        bail!("{} names contracts already: move it away, or name another address book", path.display())
    };
    let chain_id = config.network.chain_id;
    ensure!(
        book.deployment.chain_id == chain_id && before.deployer == me && before.params == params,
        "{} holds an unfinished deployment by {} on chain {}, with other parameters or another key: finish it with those, or \
         move the file away",
        path.display(),
        before.deployer,
        book.deployment.chain_id
    );
    let mined = provider.get_transaction_count(me).await.context("cannot ask for the nonce")?;
    let waiting = provider.get_transaction_count(me).pending().await.context("cannot ask for the nonce")?;
    ensure!(
        waiting <= mined,
        "a transaction of {me} is on its way: wait until it is mined, then run this again"
    );
    eprintln!("An unfinished deployment is in {}: it goes on.", path.display());
    Ok(Some((book.deployment, before)))
}

/// The plan without what is there already; `None` if the nonce has gone past a contract that is not there.
async fn missing(provider: &DynProvider, me: Address, plan: &Plan) -> Result<Option<Plan>> {
    let mut steps = Vec::new();
    for step in &plan.steps {
        let code = provider.get_code_at(step.address).await.context("cannot read the code of a contract")?;
        if code.is_empty() {
            steps.push(step.clone());
        }
    }
    let nonce = provider.get_transaction_count(me).await.context("cannot ask for the nonce")?;
    let reachable = steps.iter().zip(nonce..).all(|(step, nonce)| step.nonce == nonce);
    Ok(reachable.then_some(Plan { steps, deployment: plan.deployment }))
}

/// Gas of each contract, measured on a chain of our own: they can only be deployed one after the other.
///
/// What the contracts refuse there they would refuse on the real chain.
async fn measure(
    config: &DeployConfig,
    chain_id: u64,
    now: u64,
) -> Result<Result<Vec<(String, u64)>, ClientError>> {
    let signer = PrivateKeySigner::from_bytes(&keccak256("measures a deployment"))?;
    let chain = ChainConfig { chain_id, genesis_timestamp: now.saturating_sub(60), ..ChainConfig::default() };
    let chain = EmbeddedChain::new(chain.with_balance(signer.address(), U256::MAX >> 128))?;
    let account = Account::new(chain.rpc_client(), signer);
    let sent = deploy(&account, *config).await.map(|(_, sent)| sent);
    Ok(sent.map(|sent| sent.into_iter().map(|sent| (sent.action, sent.gas)).collect()))
}

async fn rehearse(
    provider: &DynProvider,
    plan: &Plan,
    (measured, values): (&[(String, u64)], &DeployConfig),
    json: bool,
) -> Result<bool> {
    let price = provider.get_gas_price().await.context("cannot ask for the price of gas")?;
    let (mut rows, mut total, mut total_gas, mut complete) = (Vec::new(), U256::ZERO, 0, true);
    for step in &plan.steps {
        let action = format!("deploy {}", step.name);
        let gas = measured.iter().find(|(name, _)| *name == action).map_or(0, |(_, gas)| *gas);
        let data = data_fee(provider, step.code.len()).await?;
        let fee = U256::from(gas) * U256::from(price) + data.known();
        (total, total_gas) = (total + fee, total_gas + gas);
        complete &= data != DataFee::Unknown;
        if !json {
            let data = data.show().map_or(String::new(), |fee| format!(", {fee} ETH of it for data"));
            say(&format!("{:10} gas {gas:>8} cost {} ETH{data}", step.name, amount::show(fee, 18)))?;
        }
        rows.push(json!({
            "contract": step.name,
            "address": step.address,
            "gas": gas,
            "cost": amount::show(fee, 18),
            "data_fee": data.show(),
        }));
    }
    if !complete {
        eprintln!("warning: {}", DataFee::UNKNOWN);
    }
    let warnings: &[&str] = if complete { &[] } else { &[DataFee::UNKNOWN] };
    let total = amount::show(total, 18);
    if json {
        let [begins, ends] = first_epoch(values);
        let report = json!({
            "ok": true,
            "dry_run": true,
            "genesis": begins,
            "first_epoch_begins": utc(begins),
            "first_epoch_ends": utc(ends),
            "warnings": warnings,
            "contracts": rows,
            "gas": total_gas,
            "cost": total,
            "complete": complete,
        });
        say(&serde_json::to_string_pretty(&report)?)?;
    } else {
        let name = if complete { "In all" } else { "At least" };
        say(&format!("{name:10} gas {total_gas:>8} cost {total} ETH. Nothing was sent."))?;
    }
    Ok(true)
}

/// Compares the code on the chain with that of this release; then the book is finished.
async fn finish(provider: &DynProvider, path: &Path, deployment: Deployment) -> Result<()> {
    let found = differences(provider, &deployment).await.context("cannot verify the contracts")?;
    ensure!(
        found.is_empty(),
        "the contracts on the chain are not those of this release: {}",
        found.join("; ")
    );
    write_json(path, &AddressBook { deployment, unfinished: None })
}

/// Creates what is missing; the book is written before the first transaction and after the last.
async fn carry_out(
    config: &Config,
    provider: &DynProvider,
    plan: Plan,
    unfinished: Unfinished,
    args: &DeployArgs,
) -> Result<bool> {
    let account = wallet::open(config).await?;
    let path: &Path = &config.contracts;
    let folder = folder_of(path);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let deployment = plan.deployment;
    let book = AddressBook { deployment, unfinished: Some(unfinished) };
    let mut receipts = Vec::new();
    write_json(path, &book)?;
    for step in &plan.steps {
        match deploy_step(&account, step).await {
            Ok(sent) => {
                let what = format!("deploy {} at {}", step.name, step.address);
                settle(provider, config, &what, &sent, &args.send, &mut receipts).await?;
            }
            Err(error) => {
                eprintln!("{} remembers what was done: run this again to go on.", path.display());
                return refused(&format!("deploy {}", step.name), &error, receipts);
            }
        }
    }
    if let Err(error) = finish(provider, path, deployment).await {
        bail!(Stopped::after(receipts, &error));
    }
    eprintln!("The code on the chain is that of this release. {} says where it is.", path.display());
    if args.send.json {
        let report = json!({ "ok": true, "contracts": deployment, "transactions": receipts });
        say(&serde_json::to_string_pretty(&report)?)?;
    } else {
        let Deployment { arena, vault, emission, token, .. } = deployment;
        for (name, address) in [("arena", arena), ("vault", vault), ("emission", emission), ("token", token)]
        {
            say(&format!("{name:9} {address}"))?;
        }
    }
    Ok(true)
}
