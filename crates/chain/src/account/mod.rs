//! An account that sends transactions: one after the other, each of them once.

mod fees;
mod journal;
mod offer;

use std::sync::Arc;

use alloy::{
    consensus::TxEnvelope,
    eips::{BlockId, eip2718::Encodable2718},
    network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder},
    primitives::{Address, Bytes, U256},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{
        client::RpcClient,
        types::{TransactionReceipt, TransactionRequest},
    },
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};
use tokio::{sync::Mutex, time::Instant};
use tracing::{debug, warn};

pub use fees::FeePolicy;
pub use journal::{Journal, JournalError, Step, Watcher};

use self::{
    fees::Fees,
    journal::{Attempt, Entry, Intent, Mined, State},
    offer::{Offer, Untaken, offer_of},
};
use crate::{
    client::{ClientError, Sent},
    follow::MAX_REORG,
};

/// Most gas of one transaction on a chain with EIP-7825.
const MOST_GAS: u64 = 16_777_216;
/// Gas of a transfer of nothing, which takes the place of a transaction that came too late.
const CANCEL_GAS: u64 = 21_000;
/// Blocks on top of another transaction with our nonce after which one with a deadline is signed again with the next one. Others
/// wait for as many as any reorganisation undoes.
const SETTLED: u64 = 8;
/// The widest gap below a nonce that is filled; nobody will ever mine what is above a wider one.
const WIDEST_GAP: u64 = 1_000;
/// How many nonces of a gap are filled before the next look.
const FILLED_AT_ONCE: u64 = 16;

/// A key and an endpoint: signs, sends and waits, one transaction after the other.
///
/// With a [`Journal`] whatever was signed survives the process. Only one transaction at a time is on its way, so that there
/// is never a gap in the nonces, which are asked of the endpoint each time: a counter of our own would be wrong after a lost
/// transaction. The key must not be used elsewhere meanwhile.
#[derive(Debug, Clone)]
pub struct Account {
    inner: Arc<Inner>,
}

struct Inner {
    address: Address,
    wallet: EthereumWallet,
    provider: DynProvider,
    policy: FeePolicy,
    journal: Option<Journal>,
    turn: Mutex<Turn>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What whoever's turn it is to send knows.
#[derive(Debug, Default)]
struct Turn {
    /// The nonce after all that are known to be used; an endpoint that lags may not know them yet.
    next_nonce: u64,
    chain_id: Option<u64>,
}

/// What the chain says of a transaction.
enum Sight {
    /// One of its attempts was mined.
    Mined(Mined),
    /// None was, and so many nonces of the account are used.
    Unmined { used: u64 },
}

impl Account {
    /// An account over an endpoint. What it has sent is forgotten when the process ends.
    #[must_use]
    pub fn new(rpc: RpcClient, signer: PrivateKeySigner) -> Self {
        Self::build(rpc, signer, None, FeePolicy::default(), Turn::default())
    }

    /// An account over an endpoint that writes each step into a journal. Call [`Account::resume`] before anything else.
    ///
    /// # Errors
    /// [`ClientError::Journal`].
    pub async fn with_journal(
        rpc: RpcClient,
        signer: PrivateKeySigner,
        journal: Journal,
        policy: FeePolicy,
    ) -> Result<Self, ClientError> {
        let turn = Turn { next_nonce: journal.next_nonce().await?, chain_id: None };
        Ok(Self::build(rpc, signer, Some(journal), policy, turn))
    }

    fn build(
        rpc: RpcClient,
        signer: PrivateKeySigner,
        journal: Option<Journal>,
        policy: FeePolicy,
        turn: Turn,
    ) -> Self {
        let address = signer.address();
        let provider = ProviderBuilder::new().disable_recommended_fillers().connect_client(rpc).erased();
        let (wallet, turn) = (EthereumWallet::from(signer), Mutex::new(turn));
        Self { inner: Arc::new(Inner { address, wallet, provider, policy, journal, turn }) }
    }

    /// The account's address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.inner.address
    }

    /// The endpoint. It signs nothing.
    #[must_use]
    pub fn provider(&self) -> &DynProvider {
        &self.inner.provider
    }

    /// Where its steps are written, if anywhere.
    #[must_use]
    pub fn journal(&self) -> Option<&Journal> {
        self.inner.journal.as_ref()
    }

    /// Calls a contract's function in a transaction and waits until it is mined.
    ///
    /// # Errors
    /// [`ClientError`]; nothing was mined if it is `Refused`. After a retryable one the transaction may still be mined;
    /// with a journal it is the first thing that is looked after next.
    pub async fn send<C: SolCall>(&self, to: Address, call: &C) -> Result<Sent, ClientError> {
        self.transact(intent(None, None, to, call)).await
    }

    /// The same, at most once for each `name`, also by a process that takes this one's place: if it was mined before, the
    /// answer is what came of it then. After `deadline`, in the chain's seconds since 1970, it is given up.
    ///
    /// # Errors
    /// As [`Account::send`], and [`ClientError::Conflict`] if something else was sent under this name.
    pub async fn send_once<C: SolCall>(
        &self,
        name: String,
        deadline: u64,
        to: Address,
        call: &C,
    ) -> Result<Sent, ClientError> {
        self.transact(intent(Some(name), Some(deadline), to, call)).await
    }

    /// Creates a contract and waits until it is mined.
    ///
    /// # Errors
    /// As [`Account::send`].
    pub async fn deploy(&self, name: &str, code: Bytes) -> Result<Sent, ClientError> {
        let action = format!("deploy {name}");
        self.transact(Intent { name: None, action, to: None, input: code, deadline: None }).await
    }

    /// Brings to an end what a process before this one, or an error, left on its way; does nothing without a journal.
    ///
    /// # Errors
    /// [`ClientError`], if an endpoint or the journal fails. What became of the transactions is no error here.
    pub async fn resume(&self) -> Result<(), ClientError> {
        let mut turn = self.inner.turn.lock().await;
        self.resolve(&mut turn).await
    }

    /// Looks again at what was mined but may be undone by a reorganisation. What has `confirmations` blocks on top up to
    /// `head` is final; what is gone is sent again.
    ///
    /// # Errors
    /// As [`Account::resume`].
    pub async fn confirm(&self, head: u64, confirmations: u64) -> Result<(), ClientError> {
        let Some(journal) = self.journal() else { return Ok(()) };
        let mut turn = self.inner.turn.lock().await;
        for entry in journal.entries(State::Mined).await? {
            match self.find_receipt(&entry).await? {
                // An endpoint may not know the receipt of a block that it has.
                None if self.stands(&entry).await? => {}
                None => {
                    warn!(action = entry.intent.action, "a reorganisation undid it; sending it again");
                    journal.set_state(entry.id, State::Signed).await?;
                }
                Some(mined) => {
                    if entry.mined != Some(mined) {
                        journal.mined(entry.id, &mined).await?;
                    }
                    if mined.block.saturating_add(confirmations) <= head {
                        journal.set_state(entry.id, State::Final).await?;
                    }
                }
            }
        }
        self.resolve(&mut turn).await
    }

    /// Whether the block in which it was mined is still there, or nobody can say.
    async fn stands(&self, entry: &Entry) -> Result<bool, ClientError> {
        let Some(mined) = entry.mined else { return Ok(false) };
        let block = self.provider().get_block_by_number(mined.block.into()).await;
        let block = block.map_err(|source| ClientError::from_rpc(&entry.intent.action, source))?;
        Ok(block.is_some_and(|block| block.header.hash == mined.block_hash))
    }

    async fn transact(&self, intent: Intent) -> Result<Sent, ClientError> {
        let mut turn = self.inner.turn.lock().await;
        self.resolve(&mut turn).await?;
        let mut entry = match self.journal() {
            None => {
                let (attempts, state) = (Vec::new(), State::Intended);
                Entry { id: 0, intent, state, nonce: None, gas_limit: 0, attempts, mined: None }
            }
            Some(journal) => match earlier(journal, &intent).await? {
                None => journal.intend(intent).await?,
                Some(found) => match found.mined.filter(|mined| mined.success) {
                    Some(mined) => return outcome(&found.intent.action, &mined),
                    // It was refused, and something else has its nonce by now.
                    None if found.state == State::Dropped && self.is_overtaken(&found).await? => {
                        journal.intend(intent).await?
                    }
                    None => {
                        journal.set_state(found.id, State::Signed).await?;
                        found
                    }
                },
            },
        };
        self.drive(&mut entry, &mut turn).await
    }

    /// Drives all that was signed to its end, in the order of the nonces.
    async fn resolve(&self, turn: &mut Turn) -> Result<(), ClientError> {
        let Some(journal) = self.journal() else { return Ok(()) };
        for mut entry in journal.entries(State::Signed).await? {
            debug!(action = entry.intent.action, nonce = entry.nonce, "resuming");
            match self.drive(&mut entry, turn).await {
                // Its sender, or whoever plans next, finds out what became of it.
                Ok(_)
                | Err(
                    ClientError::Failed { .. } | ClientError::Refused { .. } | ClientError::Cancelled { .. },
                ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// From whatever was reached to mined.
    async fn drive(&self, entry: &mut Entry, turn: &mut Turn) -> Result<Sent, ClientError> {
        loop {
            let fresh = entry.attempts.is_empty();
            if fresh {
                if let Err(error) = self.first_attempt(entry, turn).await {
                    if !error.is_retryable() {
                        self.drop_entry(entry).await?;
                    }
                    return Err(error);
                }
            } else if let Sight::Mined(mined) = self.look(entry).await? {
                return self.finish(entry, mined).await;
            }
            let offer = match self.offer(entry).await {
                Offer::TooCheap(_) => self.raise(entry, false).await?,
                offer => offer,
            };
            let offer = match offer {
                // Nobody else was ever given anything under this nonce.
                Offer::Refused(error) if fresh && entry.attempts.len() == 1 => {
                    self.drop_entry(entry).await?;
                    return Err(error);
                }
                offer => offer,
            };
            turn.next_nonce = turn.next_nonce.max(entry.nonce.map_or(0, |nonce| nonce + 1));
            if let Some(mined) = self.wait(entry, offer).await? {
                return self.finish(entry, mined).await;
            }
            warn!(action = entry.intent.action, nonce = entry.nonce, "its nonce is of no use; signing again");
            entry.attempts.clear();
            entry.nonce = None;
            self.set_state(entry, State::Intended).await?;
        }
    }

    async fn finish(&self, entry: &mut Entry, mined: Mined) -> Result<Sent, ClientError> {
        if let Some(journal) = self.journal() {
            journal.mined(entry.id, &mined).await?;
        }
        let cancelled = entry.attempts.iter().any(|attempt| attempt.hash == mined.hash && attempt.cancels);
        if cancelled {
            return Err(ClientError::Cancelled { action: entry.intent.action.clone() });
        }
        outcome(&entry.intent.action, &mined)
    }

    /// Signs with the next nonce at the market's fee.
    async fn first_attempt(&self, entry: &mut Entry, turn: &mut Turn) -> Result<(), ClientError> {
        let Inner { address, provider, policy, .. } = &*self.inner;
        let action = entry.intent.action.clone();
        let rpc = |source| ClientError::from_rpc(&action, source);
        let chain_id = match turn.chain_id {
            Some(chain_id) => chain_id,
            None => *turn.chain_id.insert(provider.get_chain_id().await.map_err(rpc)?),
        };
        let request = call_request(&entry.intent).with_from(*address).with_chain_id(chain_id);
        let gas = provider.estimate_gas(request.clone()).await.map_err(rpc)?;
        // The state may move between the estimate and the block: a quarter more covers it, and unused gas is not paid.
        entry.gas_limit = gas.saturating_add(gas / 4).min(gas.max(MOST_GAS));
        let fees = policy.market(provider, &action).await?;
        entry.nonce = Some(self.next_nonce(&action, turn).await?);
        self.sign(entry, chain_id, fees, false).await
    }

    /// The first unused nonce. An endpoint that lags is given time to learn of the last one; after that, what it says counts:
    /// a nonce that is too high would never be mined.
    async fn next_nonce(&self, action: &str, turn: &mut Turn) -> Result<u64, ClientError> {
        let begun = Instant::now();
        loop {
            let used = self.provider().get_transaction_count(self.address()).await;
            let used = used.map_err(|source| ClientError::from_rpc(action, source))?;
            if used >= turn.next_nonce || begun.elapsed() >= self.inner.policy.raise_after {
                turn.next_nonce = used;
                return Ok(used);
            }
            tokio::time::sleep(self.provider().client().poll_interval()).await;
        }
    }

    /// Signs an attempt and writes it down.
    async fn sign(
        &self,
        entry: &mut Entry,
        chain_id: u64,
        fees: Fees,
        cancels: bool,
    ) -> Result<(), ClientError> {
        let request = if cancels {
            self.nothing()
        } else {
            call_request(&entry.intent).with_gas_limit(entry.gas_limit)
        };
        let request = request.with_nonce(entry.nonce.unwrap_or_default());
        let envelope = self.envelope(request, chain_id, fees, &entry.intent.action).await?;
        let attempt = Attempt {
            hash: *envelope.tx_hash(),
            raw: envelope.encoded_2718().into(),
            max_fee: fees.max_fee,
            priority_fee: fees.priority_fee,
            cancels,
        };
        if let Some(journal) = self.journal() {
            journal.sign(entry, &attempt).await?;
        }
        entry.attempts.push(attempt);
        Ok(())
    }

    /// A transfer of nothing to ourselves.
    fn nothing(&self) -> TransactionRequest {
        TransactionRequest::default().with_to(self.address()).with_gas_limit(CANCEL_GAS)
    }

    async fn envelope(
        &self,
        request: TransactionRequest,
        chain_id: u64,
        fees: Fees,
        action: &str,
    ) -> Result<TxEnvelope, ClientError> {
        let request = request
            .with_from(self.address())
            .with_chain_id(chain_id)
            .with_value(U256::ZERO)
            .with_max_fee_per_gas(fees.max_fee)
            .with_max_priority_fee_per_gas(fees.priority_fee);
        let signed =
            NetworkTransactionBuilder::<alloy::network::Ethereum>::build(request, &self.inner.wallet).await;
        signed.map_err(|error| ClientError::Answer {
            action: action.to_owned(),
            what: format!("the transaction cannot be signed: {error}"),
        })
    }

    /// Sends the newest attempt.
    async fn offer(&self, entry: &Entry) -> Offer {
        let Some(attempt) = entry.attempts.last() else { return Offer::Taken };
        let sent = self.provider().send_raw_transaction(&attempt.raw).await;
        if let Some(journal) = self.journal() {
            journal.sent();
        }
        match sent {
            Ok(_) => Offer::Taken,
            Err(source) => offer_of(&entry.intent.action, source),
        }
    }

    /// Waits until an attempt is mined, and raises the fee meanwhile. `None`: none of them ever will be, since another
    /// transaction has used the nonce, or it is out of reach.
    async fn wait(&self, entry: &mut Entry, offer: Offer) -> Result<Option<Mined>, ClientError> {
        let policy = self.inner.policy;
        let poll = self.provider().client().poll_interval();
        let nonce = entry.nonce.unwrap_or_default();
        let mut raised = Instant::now();
        // Since when, and since which block, the nonce is used; since when nothing is answered; what a gap was filled at.
        let mut overtaken: Option<(Instant, Option<u64>)> = None;
        let mut silent: Option<Instant> = None;
        let (mut gap, mut filled): (Option<u64>, Option<Fees>) = (None, None);
        let mut untaken = Untaken::default();
        untaken.add(offer);
        loop {
            match self.look(entry).await {
                Ok(Sight::Mined(mined)) => return Ok(Some(mined)),
                Ok(Sight::Unmined { used }) => {
                    silent = None;
                    gap = (used < nonce).then_some(used);
                    overtaken = match overtaken.filter(|_| used > nonce) {
                        None if used > nonce => Some((Instant::now(), self.newest().await)),
                        known => known,
                    };
                }
                Err(error) if error.is_retryable() => {
                    if silent.get_or_insert_with(Instant::now).elapsed() >= policy.patience {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
            if let Some((since, block)) = overtaken
                && since.elapsed() >= policy.raise_after
            {
                // An endpoint may know the nonce before it knows the receipt, and what took the nonce may be undone.
                let on_top =
                    self.newest().await.zip(block).map(|(newest, block)| newest.saturating_sub(block));
                let depth = if entry.intent.deadline.is_some() { SETTLED } else { MAX_REORG };
                if on_top >= Some(depth) || since.elapsed() >= policy.patience {
                    return Ok(None);
                }
            }
            if raised.elapsed() >= policy.raise_after && overtaken.is_none() {
                raised = Instant::now();
                match gap {
                    Some(used) if nonce - used > WIDEST_GAP => {
                        warn!(
                            action = entry.intent.action,
                            nonce, used, "an endpoint counted wrongly; signing again"
                        );
                        return Ok(None);
                    }
                    Some(used) => filled = self.fill(entry, used, filled).await?,
                    None => {}
                }
                match self.raise(entry, false).await {
                    Ok(offer) => untaken.add(offer),
                    Err(error) => debug!(%error, "the fee was not raised"),
                }
            }
            if let Some(error) = untaken.after(policy.patience) {
                let cancelled = entry.attempts.last().is_some_and(|attempt| attempt.cancels);
                if cancelled || !untaken.is_refused() {
                    return Err(error);
                }
                // Whatever they have against it, the nonce must not be held for ever.
                warn!(action = entry.intent.action, nonce, %error, "nobody takes it; giving it up");
                untaken = Untaken::default();
                untaken.add(self.raise(entry, true).await?);
            }
            tokio::time::sleep(poll).await;
        }
    }

    /// The number of the newest block; `None` while nobody says.
    async fn newest(&self) -> Option<u64> {
        self.provider().get_block_number().await.ok()
    }

    /// The receipt of whichever attempt was mined, or how many nonces are used.
    async fn look(&self, entry: &Entry) -> Result<Sight, ClientError> {
        if let Some(mined) = self.find_receipt(entry).await? {
            return Ok(Sight::Mined(mined));
        }
        let used = self.provider().get_transaction_count(self.address()).await;
        let used = used.map_err(|source| ClientError::from_rpc(&entry.intent.action, source))?;
        Ok(Sight::Unmined { used })
    }

    /// Fills the nonces from `used` up to a transaction's own, without which it is never mined: an endpoint told a count that
    /// was too high, or a reorganisation undid what had them. What was mined before is sent again; the rest are transfers of
    /// nothing.
    async fn fill(&self, entry: &Entry, used: u64, last: Option<Fees>) -> Result<Option<Fees>, ClientError> {
        let Inner { provider, policy, .. } = &*self.inner;
        let (action, nonce) = (&entry.intent.action, entry.nonce.unwrap_or_default());
        let undone = match self.journal() {
            Some(journal) => journal.entries(State::Mined).await?,
            None => Vec::new(),
        };
        // Whatever fails here is tried again.
        let (market, chain_id) = match (policy.market(provider, action).await, provider.get_chain_id().await)
        {
            (Ok(market), Ok(chain_id)) => (market, chain_id),
            _ => return Ok(last),
        };
        let fees = last.map_or(market, |last| policy.raised(last, market, true).unwrap_or(last));
        warn!(action, nonce, used, "nonces below it are not used; filling them");
        for missing in used..nonce.min(used + FILLED_AT_ONCE) {
            let again = undone.iter().find(|undone| undone.nonce == Some(missing));
            let raw = match again.and_then(Entry::mined_attempt) {
                Some(attempt) => attempt.raw.clone(),
                None => {
                    let request = self.nothing().with_nonce(missing);
                    self.envelope(request, chain_id, fees, action).await?.encoded_2718().into()
                }
            };
            if let Err(error) = provider.send_raw_transaction(&raw).await {
                debug!(missing, %error, "not filled");
            }
        }
        Ok(Some(fees))
    }

    async fn is_overtaken(&self, entry: &Entry) -> Result<bool, ClientError> {
        let nonce = entry.nonce.unwrap_or_default();
        Ok(matches!(self.look(entry).await?, Sight::Unmined { used } if used > nonce))
    }

    async fn find_receipt(&self, entry: &Entry) -> Result<Option<Mined>, ClientError> {
        for attempt in entry.attempts.iter().rev() {
            let receipt = self.provider().get_transaction_receipt(attempt.hash).await;
            let receipt = receipt.map_err(|source| ClientError::from_rpc(&entry.intent.action, source))?;
            if let Some(receipt) = receipt {
                let mut mined = mined(&entry.intent.action, &receipt)?;
                // What takes its place has not the effect.
                mined.success &= !attempt.cancels;
                return Ok(Some(mined));
            }
        }
        Ok(None)
    }

    /// Replaces the newest attempt by one with a higher fee; by one that does nothing after the deadline, or if it is to be
    /// given up. At the cap the newest attempt is only sent again.
    async fn raise(&self, entry: &mut Entry, give_up: bool) -> Result<Offer, ClientError> {
        let Inner { provider, policy, .. } = &*self.inner;
        let action = entry.intent.action.clone();
        let rpc = |source| ClientError::from_rpc(&action, source);
        let Some(last) = entry.attempts.last() else { return Ok(Offer::Taken) };
        let (last_fees, was_cancelled) =
            (Fees { max_fee: last.max_fee, priority_fee: last.priority_fee }, last.cancels);
        let newest = provider.get_block(BlockId::latest()).await.map_err(rpc)?;
        let now = newest.map_or(0, |block| block.header.timestamp);
        let cancels =
            give_up || was_cancelled || entry.intent.deadline.is_some_and(|deadline| now >= deadline);
        let market = policy.market(provider, &action).await?;
        match policy.raised(last_fees, market, cancels) {
            None => warn!(
                action,
                nonce = entry.nonce,
                cap = policy.cap,
                "still not mined, and the fee is at its cap"
            ),
            Some(fees) => {
                let chain_id = provider.get_chain_id().await.map_err(rpc)?;
                debug!(action, nonce = entry.nonce, max_fee = fees.max_fee, cancels, "raising the fee");
                self.sign(entry, chain_id, fees, cancels).await?;
            }
        }
        Ok(self.offer(entry).await)
    }

    async fn drop_entry(&self, entry: &mut Entry) -> Result<(), ClientError> {
        self.set_state(entry, State::Dropped).await
    }

    async fn set_state(&self, entry: &mut Entry, state: State) -> Result<(), ClientError> {
        entry.state = state;
        match self.journal() {
            Some(journal) => Ok(journal.set_state(entry.id, state).await?),
            None => Ok(()),
        }
    }
}

fn intent<C: SolCall>(name: Option<String>, deadline: Option<u64>, to: Address, call: &C) -> Intent {
    let action = C::SIGNATURE.split('(').next().unwrap_or_default().to_owned();
    Intent { name, action, to: Some(to), input: call.abi_encode().into(), deadline }
}

fn call_request(intent: &Intent) -> TransactionRequest {
    match intent.to {
        Some(to) => TransactionRequest::default().with_to(to).with_input(intent.input.clone()),
        None => TransactionRequest::default().with_deploy_code(intent.input.clone()),
    }
}

/// An earlier transaction of the same name that had its effect, or whose bytes somebody may have.
async fn earlier(journal: &Journal, intent: &Intent) -> Result<Option<Entry>, ClientError> {
    let Some(name) = &intent.name else { return Ok(None) };
    let Some(found) = journal.named(name).await? else { return Ok(None) };
    let same = (found.intent.to, &found.intent.input) == (intent.to, &intent.input);
    match found.mined {
        Some(mined) if mined.success && !same => {
            Err(ClientError::Conflict { action: intent.action.clone(), name: name.clone(), hash: mined.hash })
        }
        Some(mined) if mined.success => Ok(Some(found)),
        // It failed on chain, or it was replaced by a transaction that does nothing: that nonce is used.
        Some(_) => Ok(None),
        None => Ok(Some(found).filter(|found| same && !found.attempts.is_empty())),
    }
}

fn mined(action: &str, receipt: &TransactionReceipt) -> Result<Mined, ClientError> {
    let (Some(block), Some(block_hash)) = (receipt.block_number, receipt.block_hash) else {
        let what = "a receipt without a block".to_owned();
        return Err(ClientError::Answer { action: action.to_owned(), what });
    };
    Ok(Mined {
        hash: receipt.transaction_hash,
        block,
        block_hash,
        gas: receipt.gas_used,
        success: receipt.status(),
        created: receipt.contract_address,
    })
}

fn outcome(action: &str, mined: &Mined) -> Result<Sent, ClientError> {
    let Mined { hash, block, gas, success, created, .. } = *mined;
    let action = action.to_owned();
    if success {
        Ok(Sent { action, hash, block, gas, created })
    } else {
        Err(ClientError::Failed { action, hash, block })
    }
}
