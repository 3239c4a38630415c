//! Says what will be done, asks, sends, and tells what came of it.

use std::{
    future::Future,
    io::{IsTerminal, Write},
    pin::Pin,
    time::Duration,
};

use aiarena_chain::{
    bindings::ArenaToken,
    client::{Account, ClientError, Sent},
};
use alloy::{
    contract::Error as ContractError,
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U256},
    providers::{DynProvider, Provider},
    rpc::types::TransactionRequest,
    sol_types::SolCall,
};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{args::SendArgs, explain, say, session::Session, wallet};
use crate::{amount, config::Config, ui::told};

/// How often a block is asked for while a transaction waits to be deep enough.
const POLL: Duration = Duration::from_millis(500);
/// How long a transaction may take to get as deep as it must.
const PATIENCE: Duration = Duration::from_secs(600);

type Sending<'a> = Pin<Box<dyn Future<Output = Result<Sent, ClientError>> + Send + 'a>>;

/// A call of a contract, whichever it is.
pub(super) trait Call: Send + Sync {
    fn data(&self) -> Bytes;
    fn send<'a>(&'a self, account: &'a Account, to: Address) -> Sending<'a>;
}

impl<C: SolCall + Send + Sync> Call for C {
    fn data(&self) -> Bytes {
        self.abi_encode().into()
    }

    fn send<'a>(&'a self, account: &'a Account, to: Address) -> Sending<'a> {
        Box::pin(account.send(to, self))
    }
}

/// One transaction that is to be sent.
pub(super) struct Step {
    what: String,
    to: Address,
    call: Box<dyn Call>,
}

impl Step {
    /// A call of a contract, and what it does in words.
    pub(super) fn new<C: SolCall + Send + Sync + 'static>(what: String, to: Address, call: C) -> Self {
        Self { what, to, call: Box::new(call) }
    }
}

/// A transaction that was mined, for people and machines.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Receipt {
    pub(super) what: String,
    pub(super) hash: B256,
    pub(super) block: u64,
    pub(super) gas: u64,
    /// In coins, with the rollup's fee for data, exactly.
    pub(super) cost: String,
}

impl Session {
    /// The approval that the vault needs before it takes `needed`, if what it may take is too little.
    ///
    /// # Errors
    /// If the account does not hold as much.
    pub(super) async fn approval(&self, needed: U256) -> Result<Vec<Step>> {
        let (balance, allowance) = self.purse(self.me).await?;
        ensure!(
            balance >= needed,
            Refusal(format!(
                "{} are needed, but {} holds {}: get some first",
                self.token.show(needed),
                self.me,
                self.token.show(balance)
            ))
        );
        if allowance >= needed {
            return Ok(Vec::new());
        }
        let what = format!("let the vault {} take {}", self.deployment.vault, self.token.show(needed));
        let call = ArenaToken::approveCall { spender: self.deployment.vault, value: needed };
        Ok(vec![Step::new(what, self.token.address, call)])
    }
}

/// Something that was asked for and cannot be had as things stand: exit code 1.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) String);

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// A command that ended early, with more to tell than why.
#[derive(Debug, Default)]
pub(super) struct Stopped {
    why: String,
    advice: Option<String>,
    /// What was mined before.
    receipts: Vec<Receipt>,
    /// As [`Refusal`].
    refused: bool,
    /// What else the command reports.
    more: Map<String, Value>,
}

impl Stopped {
    /// After what was mined.
    pub(super) fn after(receipts: Vec<Receipt>, error: &anyhow::Error) -> Self {
        Self { why: told(error), receipts, refused: super::is_refusal(error), ..Self::default() }
    }

    /// With a report that is an object.
    pub(super) fn with(why: String, refused: bool, report: Value) -> Self {
        let more = if let Value::Object(more) = report { more } else { Map::new() };
        Self { why, refused, more, ..Self::default() }
    }

    pub(super) fn is_refusal(&self) -> bool {
        self.refused
    }
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)?;
        self.advice.iter().try_for_each(|advice| write!(f, "\n  {advice}"))
    }
}

impl std::error::Error for Stopped {}

/// An error as the object that `--json` promises.
pub(super) fn error_report(error: &anyhow::Error) -> Value {
    let none = Stopped { why: told(error), ..Stopped::default() };
    let Stopped { why, advice, receipts, more, .. } = error.downcast_ref::<Stopped>().unwrap_or(&none);
    let mut report = json!({ "ok": false, "error": why, "advice": advice, "transactions": receipts });
    if let Value::Object(report) = &mut report {
        report.extend(more.clone());
    }
    report
}

/// Does the steps one after the other, as the flags say. That a contract refused or the user said no is an error, too.
pub(super) async fn carry_out(session: &Session, steps: Vec<Step>, flags: &SendArgs) -> Result<bool> {
    carry_out_warned(session, steps, &[], flags).await
}

/// [`carry_out`], and then `last`, which is no transaction.
pub(super) async fn carry_out_and(
    session: &Session,
    steps: Vec<Step>,
    last: impl Future<Output = Result<()>>,
    flags: &SendArgs,
) -> Result<bool> {
    carry_out_all(session, steps, &[], last, flags).await
}

/// [`carry_out`] of something of which the user should know more before saying yes.
pub(super) async fn carry_out_warned(
    session: &Session,
    steps: Vec<Step>,
    warnings: &[String],
    flags: &SendArgs,
) -> Result<bool> {
    carry_out_all(session, steps, warnings, async { Ok(()) }, flags).await
}

async fn carry_out_all(
    session: &Session,
    steps: Vec<Step>,
    warnings: &[String],
    last: impl Future<Output = Result<()>>,
    flags: &SendArgs,
) -> Result<bool> {
    let (provider, config) = (&session.provider, &session.config);
    eprintln!("From {} on chain {}:", session.me, config.network.chain_id);
    for (number, step) in (1..).zip(&steps) {
        eprintln!("  {number}. {}", step.what);
    }
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    if flags.dry_run {
        return rehearse(session, &steps, warnings, flags).await;
    }
    affordable(provider, config).await?;
    // What a contract would refuse now is refused before any password or question.
    let first = &steps[0];
    if let Err(error) = estimate(provider, session.me, first).await {
        return refused(&first.what, &error, Vec::new());
    }
    // An approval must not be left behind by a call that is refused after it. Nodes that cannot try this leave it to chance.
    for number in 1..steps.len() {
        if let Err(error) = simulate(session, &steps[..=number]).await {
            return refused(&steps[number].what, &error, Vec::new());
        }
    }
    agreed(flags)?;
    let account = wallet::open(config).await?;
    ensure!(
        account.address() == session.me,
        "the key is that of {}, not of {}",
        account.address(),
        session.me
    );
    let mut receipts = Vec::with_capacity(steps.len());
    for step in &steps {
        match step.call.send(&account, step.to).await {
            Ok(sent) => settle(provider, config, &step.what, &sent, flags, &mut receipts).await?,
            Err(error) => return refused(&step.what, &error, receipts),
        }
    }
    if let Err(error) = last.await {
        return Err(Stopped::after(receipts, &error).into());
    }
    if flags.json {
        let report = json!({ "ok": true, "warnings": warnings, "transactions": receipts });
        say(&serde_json::to_string_pretty(&report)?)?;
    }
    Ok(true)
}

/// [`settled`], of which those before it are told if it fails.
pub(super) async fn settle(
    provider: &DynProvider,
    config: &Config,
    what: &str,
    sent: &Sent,
    flags: &SendArgs,
    receipts: &mut Vec<Receipt>,
) -> Result<()> {
    match settled(provider, config, what, sent, flags).await {
        Ok(receipt) => receipts.push(receipt),
        Err(error) => bail!(Stopped::after(std::mem::take(receipts), &error)),
    }
    Ok(())
}

/// Waits until a transaction is as deep as it must be, and says what it cost.
pub(super) async fn settled(
    provider: &DynProvider,
    config: &Config,
    what: &str,
    sent: &Sent,
    flags: &SendArgs,
) -> Result<Receipt> {
    let deep = sent.block.saturating_add(config.network.confirmations - 1);
    let wait = async {
        while provider.get_block_number().await.context("cannot ask for the newest block")? < deep {
            tokio::time::sleep(POLL).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .with_context(|| format!("transaction {} was mined, but no block came after it", sent.hash))??;
    let receipt: Option<Value> = provider
        .raw_request("eth_getTransactionReceipt".into(), (sent.hash,))
        .await
        .context("cannot read the receipt")?;
    let Some(receipt) = receipt else {
        bail!("transaction {} was mined in block {}, but has left the chain again", sent.hash, sent.block)
    };
    let receipt = Receipt {
        what: what.to_owned(),
        hash: sent.hash,
        block: sent.block,
        gas: sent.gas,
        cost: amount::show(cost(&receipt), 18),
    };
    if !flags.json {
        say(&format!(
            "{} transaction {} block {} gas {} cost {} ETH",
            sent.action, receipt.hash, receipt.block, receipt.gas, receipt.cost
        ))?;
    }
    Ok(receipt)
}

/// What a receipt says was paid, in wei; rollups add the fee for data.
fn cost(receipt: &Value) -> U256 {
    let field =
        |name: &str| receipt[name].as_str().and_then(|text| text.parse::<U256>().ok()).unwrap_or_default();
    field("gasUsed").saturating_mul(field("effectiveGasPrice")).saturating_add(field("l1Fee"))
}

/// Refuses to send while gas is dearer than the configuration allows.
pub(super) async fn affordable(provider: &DynProvider, config: &Config) -> Result<u128> {
    let price = provider.get_gas_price().await.context("cannot ask for the price of gas")?;
    let cap = config.network.max_fee;
    ensure!(
        price <= cap.0,
        Refusal(format!(
            "gas costs {} now, and the configuration allows {cap}: wait, or raise max_fee_gwei",
            crate::config::Gwei(price)
        ))
    );
    Ok(price)
}

/// Asks whether to go on.
///
/// # Errors
/// If that cannot be asked; [`Refusal`] if it is not to go on.
pub(super) fn agreed(flags: &SendArgs) -> Result<()> {
    if flags.yes {
        return Ok(());
    }
    ensure!(
        std::io::stdin().is_terminal(),
        "there is no terminal to ask whether to go on: say --yes to send, or --dry-run to only look"
    );
    eprint!("Go on? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    ensure!(
        matches!(answer.trim(), "y" | "Y" | "yes"),
        Refusal("you did not say yes, so nothing was sent".to_owned())
    );
    Ok(())
}

/// A failure, and what to do.
pub(super) fn refused(what: &str, error: &ClientError, receipts: Vec<Receipt>) -> Result<bool> {
    let advice = explain::advice(error);
    let refused = matches!(error, ClientError::Refused { .. } | ClientError::Failed { .. });
    let why = format!("cannot {what}: {error}");
    bail!(Stopped { why, advice, receipts, refused, ..Stopped::default() })
}

async fn estimate(provider: &DynProvider, from: Address, step: &Step) -> Result<u64, ClientError> {
    let request = TransactionRequest::default().with_from(from).with_to(step.to).with_input(step.call.data());
    provider.estimate_gas(request).await.map_err(|source| ClientError::from_rpc("estimate", source))
}

/// What a step would do, without sending it.
async fn rehearse(session: &Session, steps: &[Step], warnings: &[String], flags: &SendArgs) -> Result<bool> {
    let provider = &session.provider;
    let price = provider.get_gas_price().await.context("cannot ask for the price of gas")?;
    let mut rows = Vec::new();
    let mut warnings = warnings.to_vec();
    let (mut total, mut complete) = (U256::ZERO, true);
    for (number, step) in steps.iter().enumerate() {
        // A later step needs what the one before it does, so only a node that simulates several at once can try it.
        let gas = if number == 0 {
            match estimate(provider, session.me, step).await {
                Ok(gas) => Some(gas),
                Err(error) => return refused(&step.what, &error, Vec::new()),
            }
        } else {
            match simulate(session, &steps[..=number]).await {
                Ok(gas) => gas,
                Err(error) => return refused(&step.what, &error, Vec::new()),
            }
        };
        let data = data_fee(provider, step.call.data().len()).await?;
        let fee =
            gas.map(|gas| U256::from(gas).saturating_mul(U256::from(price)).saturating_add(data.known()));
        complete &= fee.is_some() && data != DataFee::Unknown;
        if data == DataFee::Unknown && !warnings.iter().any(|warning| warning == DataFee::UNKNOWN) {
            eprintln!("warning: {}", DataFee::UNKNOWN);
            warnings.push(DataFee::UNKNOWN.to_owned());
        }
        total = total.saturating_add(fee.unwrap_or_default());
        rows.push(json!({ "what": step.what, "gas": gas, "cost": fee.map(|fee| amount::show(fee, 18)) }));
        let known = gas.zip(fee).map(|(gas, fee)| format!("gas {gas} cost {} ETH", amount::show(fee, 18)));
        let known =
            known.unwrap_or_else(|| "gas unknown: this node cannot try it after the step before".to_owned());
        if !flags.json {
            say(&format!("{}. {known}", number + 1))?;
        }
    }
    let total = amount::show(total, 18);
    if flags.json {
        let report = json!({
            "ok": true,
            "dry_run": true,
            "warnings": warnings,
            "transactions": rows,
            "cost": total,
            "complete": complete,
        });
        say(&serde_json::to_string_pretty(&report)?)?;
    } else {
        say(&format!("{} {total} ETH. Nothing was sent.", if complete { "In all" } else { "At least" }))?;
    }
    Ok(true)
}

/// Gas of the last of several calls that follow each other; `None` if the node cannot say.
async fn simulate(session: &Session, steps: &[Step]) -> Result<Option<u64>, ClientError> {
    let calls: Vec<Value> = steps
        .iter()
        .map(|step| json!({ "from": session.me, "to": step.to, "input": step.call.data() }))
        .collect();
    let request = (json!({ "blockStateCalls": [{ "calls": calls }] }), "latest");
    let answer = session.provider.raw_request::<_, Value>("eth_simulateV1".into(), request).await;
    let Ok(answer) = answer else { return Ok(None) };
    let last = &answer[0]["calls"][steps.len() - 1];
    if last["status"] == "0x0" {
        let data = ["/error/data", "/returnData"].iter().find_map(|at| last.pointer(at)?.as_str());
        let data: Bytes = data.and_then(|text| text.parse().ok()).unwrap_or_default();
        let reason = aiarena_chain::client::explain_revert(&data);
        return Err(ClientError::Refused { action: "simulate".to_owned(), reason });
    }
    let gas = last["gasUsed"].as_str().and_then(|text| text.parse::<U256>().ok());
    Ok(gas.map(|gas| gas.saturating_to()))
}

/// Where rollups of the OP stack tell the fee for putting a transaction's data on the chain below.
const GAS_PRICE_ORACLE: Address = alloy::primitives::address!("420000000000000000000000000000000000000F");

alloy::sol! {
    /// The functions of the oracle that are asked for; the first is there since the upgrade Fjord.
    #[sol(rpc)]
    interface GasPriceOracle {
        function getL1FeeUpperBound(uint256 unsignedTxSize) external view returns (uint256);
        function getL1Fee(bytes data) external view returns (uint256);
    }
}

/// What a transaction pays for its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataFee {
    /// The chain asks no such fee.
    None,
    /// So much at most, in wei.
    AtMost(U256),
    /// The chain has an oracle, but it tells no fee.
    Unknown,
}

impl DataFee {
    /// What is said of a sum without it.
    pub(super) const UNKNOWN: &str =
        "this chain asks a fee for data, but its oracle does not tell it: the sum is without it";

    /// In wei; zero if it is not known.
    pub(super) fn known(self) -> U256 {
        if let Self::AtMost(fee) = self { fee } else { U256::ZERO }
    }

    /// In coins.
    pub(super) fn show(self) -> Option<String> {
        if let Self::AtMost(fee) = self { Some(amount::show(fee, 18)) } else { None }
    }
}

/// The most that a transaction of so many bytes pays for its data.
pub(super) async fn data_fee(provider: &DynProvider, bytes: usize) -> Result<DataFee> {
    const ASK: &str = "cannot ask for the fee on data";
    let code = provider.get_code_at(GAS_PRICE_ORACLE).await.context(ASK)?;
    if code.is_empty() {
        return Ok(DataFee::None);
    }
    // Nonce, fees, receiver and signature add some 180 bytes.
    let size = bytes + 180;
    let oracle = GasPriceOracle::new(GAS_PRICE_ORACLE, provider);
    if let Some(fee) = number(oracle.getL1FeeUpperBound(U256::from(size)).call().await).context(ASK)? {
        return Ok(DataFee::AtMost(fee));
    }
    // Bytes other than zero are the dear ones.
    let fee = number(oracle.getL1Fee(vec![0xff; size].into()).call().await).context(ASK)?;
    Ok(fee.map_or(DataFee::Unknown, DataFee::AtMost))
}

/// What the oracle says, unless it reverts, answers with something else than a number, or with more than any fee can be.
fn number(answer: Result<U256, ContractError>) -> Result<Option<U256>, ContractError> {
    match answer {
        Ok(fee) => Ok((fee.bit_len() <= 96).then_some(fee)),
        Err(ContractError::TransportError(error)) if !error.is_error_resp() => Err(error.into()),
        Err(_) => Ok(None),
    }
}
