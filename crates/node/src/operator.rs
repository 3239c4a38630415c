//! Executes plans: one operator, its key, its store and its work so far.

use aiarena_chain::{
    bindings::Arena,
    client::{Account, ClientError, Sent},
    deploy::Deployment,
    ledger::{Entry, Ledger, Offence, Task},
};
use aiarena_mechanism::{Score, commitment};
use aiarena_ml::{Dataset, Rows};
use aiarena_store::{ContentHash, FolderStore};
use alloy::{
    primitives::{Address, B256, Bytes, U256},
    rpc::client::RpcClient,
    signers::local::PrivateKeySigner,
};
use tracing::{debug, info};

use crate::{
    evaluator::{Evaluator, InProcess},
    judge::{Judge, Verdict, drawn_rows},
    plan::{Action, Prepared, Sheet, View, assigned},
    salt::{Purpose, Salts},
    sealed::EvaluationKey,
    settlement::Count,
};

/// Why an action failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// The chain refused or could not be reached.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] aiarena_store::Error),
    /// Training failed.
    #[error("training failed: {0}")]
    Training(String),
    /// A plan of another operator, epoch or state.
    #[error("cannot {action}: {why}")]
    Impossible {
        /// What was planned.
        action: &'static str,
        /// What is missing.
        why: String,
    },
}

impl OperatorError {
    /// Whether somebody else may have done `action` first. What is left to do shows after the next look at the chain.
    #[must_use]
    pub fn is_lost_race(&self, action: &Action) -> bool {
        let refused = matches!(self, Self::Client(ClientError::Refused { .. } | ClientError::Failed { .. }));
        refused && action.is_anyones()
    }
}

/// Makes the artifact that a node submits in an epoch.
pub trait Trainer: Send {
    /// The artifact's bytes, or `None` if there is nothing to submit.
    ///
    /// # Errors
    /// A text that says what failed.
    fn train(&mut self, epoch: u32, task: &Task) -> Result<Option<Vec<u8>>, String>;
}

/// What a validator says of what it found. The honest one says just that.
pub trait Reporter: Send {
    /// The reports, one per verdict: `None` abstains.
    fn report(&mut self, epoch: u32, found: &[(Address, Verdict)]) -> Vec<Option<Score>>;
}

/// Reports what was found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Honest;

impl Reporter for Honest {
    fn report(&mut self, _epoch: u32, found: &[(Address, Verdict)]) -> Vec<Option<Score>> {
        found.iter().map(|(_, verdict)| verdict.report()).collect()
    }
}

/// What an operator works with in its role.
pub enum Duty {
    /// A training node.
    Node(Box<dyn Trainer>),
    /// A validator: how it reports, and how many rows it evaluates in an epoch.
    Validator {
        /// How it reports.
        reporter: Box<dyn Reporter>,
        /// Rows of an epoch's slice, as the task says.
        slice: u32,
    },
}

/// An operator of one task.
pub struct Operator {
    account: Account,
    salts: Salts,
    deployment: Deployment,
    task: u64,
    store: FolderStore,
    duty: Duty,
    prepared: Option<Prepared>,
    /// The prepared artifact, which nobody else may see before it is opened.
    artifact: Vec<u8>,
    sheet: Option<Sheet>,
    /// The key for the task's sealed data; `None` if they are public.
    key: Option<EvaluationKey>,
}

/// Shows neither key nor work.
impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Operator {
    /// An operator with a key, over an endpoint.
    #[must_use]
    pub fn new(
        rpc: RpcClient,
        signer: PrivateKeySigner,
        deployment: Deployment,
        task: u64,
        store: FolderStore,
        duty: Duty,
    ) -> Self {
        let salts = Salts::new(&signer, deployment.chain_id, deployment.arena);
        let account = Account::new(rpc, signer);
        Self {
            account,
            salts,
            deployment,
            task,
            store,
            duty,
            prepared: None,
            artifact: Vec::new(),
            sheet: None,
            key: None,
        }
    }

    /// The same, of a task whose evaluation data are sealed: it registers its key, and opens slices with it.
    #[must_use]
    pub fn with_sealed_data(self, key: EvaluationKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The key that opens slices; `None` if the task's data are public.
    #[must_use]
    pub fn evaluation_key(&self) -> Option<&EvaluationKey> {
        self.key.as_ref()
    }

    /// The operator's address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.account.address()
    }

    /// Its account.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What it sees now; `None` if its task does not exist.
    #[must_use]
    pub fn view<'a>(&'a self, ledger: &'a Ledger, now: u64) -> Option<View<'a>> {
        let registered = ledger.keys.get(&self.address()).copied();
        let key = self.key.as_ref().map(EvaluationKey::public);
        Some(View {
            me: self.address(),
            task: ledger.tasks.get(&self.task)?,
            clock: &ledger.clock,
            now,
            prepared: self.prepared.as_ref(),
            sheet: self.sheet.as_ref(),
            unregistered_key: key.filter(|key| registered != Some(*key)),
        })
    }

    /// Does an action's work on this machine: trains or scores. Takes long; sends nothing.
    ///
    /// # Errors
    /// [`OperatorError`]. What was done before stays as it was.
    pub fn work(&mut self, action: &Action, ledger: &Ledger, data: &Dataset) -> Result<(), OperatorError> {
        let task = ledger.tasks.get(&self.task).ok_or_else(|| impossible("work", "there is no such task"))?;
        match action {
            Action::Train { epoch } => self.train(*epoch, task),
            Action::Score { epoch } => {
                let Duty::Validator { slice, .. } = &self.duty else {
                    return Err(impossible("score", "a node does not"));
                };
                let rows = drawn_rows(flight_of(task, *epoch)?, &data.evaluation, *slice);
                // The store is a folder's name, and a copy of it lets the evaluator live beside the sheet.
                let store = self.store.clone();
                self.score(*epoch, ledger, &mut InProcess::new(&store), Some(&rows))
            }
            _ => Err(impossible("work", "it is a transaction")),
        }
    }

    fn train(&mut self, epoch: u32, task: &Task) -> Result<(), OperatorError> {
        let Duty::Node(trainer) = &mut self.duty else {
            return Err(impossible("train", "a validator does not"));
        };
        let artifact = trainer.train(epoch, task).map_err(OperatorError::Training)?;
        let content_hash = artifact.as_deref().map(|bytes| B256::from(ContentHash::of(bytes).0));
        self.artifact = artifact.unwrap_or_default();
        self.prepared = Some(Prepared { epoch, content_hash });
        Ok(())
    }

    /// Scores the assigned submissions of an epoch, as [`Operator::work`] does, with an evaluator and rows of the caller's choice.
    ///
    /// - `rows`: all rows of the epoch; `None` if they cannot be had, and then the validator abstains from everything: it
    ///   owes a sheet all the same (M-12).
    ///
    /// # Errors
    /// [`OperatorError`]. What was done before stays as it was.
    pub fn score(
        &mut self,
        epoch: u32,
        ledger: &Ledger,
        evaluator: &mut dyn Evaluator,
        rows: Option<&Rows>,
    ) -> Result<(), OperatorError> {
        let task =
            ledger.tasks.get(&self.task).ok_or_else(|| impossible("score", "there is no such task"))?;
        let flight = flight_of(task, epoch)?;
        let places = match self.view(ledger, 0) {
            Some(view) => assigned(&view, flight),
            None => Vec::new(),
        };
        let Duty::Validator { reporter, .. } = &mut self.duty else {
            return Err(impossible("score", "a node does not"));
        };
        let mut judge = Judge::new(task, evaluator);
        let mut verdict = |entry: &Entry| match rows {
            Some(rows) => judge.verdict(entry.node, entry.number, entry.content_hash, rows),
            None => Verdict::Unavailable("there are no evaluation data for this epoch".to_owned()),
        };
        let found: Vec<(Address, Verdict)> = places
            .iter()
            .filter_map(|place| flight.entries.get(*place as usize))
            .map(|entry| (entry.node, verdict(entry)))
            .collect();
        for (node, verdict) in &found {
            debug!(validator = %self.account.address(), %node, ?verdict, epoch, "scored");
        }
        let scores = reporter.report(epoch, &found).into_iter().map(Score::to_wire).collect();
        self.sheet = Some(Sheet { epoch, scores });
        Ok(())
    }

    /// Sends an action's transaction and waits until it is mined.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn send(&self, action: &Action, ledger: &Ledger) -> Result<Sent, OperatorError> {
        let task = ledger.tasks.get(&self.task).ok_or_else(|| impossible("send", "there is no such task"))?;
        let arena = self.deployment.arena;
        let number = U256::from(self.task);
        let account = &self.account;
        let sent = match action {
            Action::Train { .. } | Action::Score { .. } => {
                return Err(impossible("send", "it is work on this machine"));
            }
            Action::CommitSubmission { epoch, content_hash } => {
                let salt = self.salts.salt(Purpose::Submission, self.task, *epoch);
                let commitment = commitment::submission(
                    self.deployment.chain_id,
                    arena,
                    number,
                    *epoch,
                    self.address(),
                    *content_hash,
                    salt,
                );
                account.send(arena, &Arena::commitSubmissionCall { task: number, commitment }).await?
            }
            Action::OpenSubmission { epoch, content_hash } => {
                // Not before: whoever saw it in Submit could commit to it first.
                self.store.put(&self.artifact)?;
                let call = Arena::openSubmissionCall {
                    task: number,
                    contentHash: *content_hash,
                    salt: self.salts.salt(Purpose::Submission, self.task, *epoch),
                    uri: ContentHash(content_hash.0).uri(),
                };
                account.send(arena, &call).await?
            }
            Action::RegisterKey { key } => account.send(arena, &Arena::registerKeyCall { key: *key }).await?,
            Action::Evict { node } => {
                account.send(arena, &Arena::evictCall { task: number, node: *node }).await?
            }
            Action::DrawSeed => account.send(arena, &Arena::drawSeedCall { task: number }).await?,
            Action::CommitScores { epoch } => {
                let flight = flight_of(task, *epoch)?;
                let commitment = commitment::scores(
                    self.deployment.chain_id,
                    arena,
                    number,
                    *epoch,
                    self.address(),
                    self.salts.salt(Purpose::Scores, self.task, *epoch),
                    flight.seed,
                    &words(&self.sheet(*epoch)?.scores),
                );
                account.send(arena, &Arena::commitScoresCall { task: number, commitment }).await?
            }
            Action::RevealScores { epoch } => {
                let call = Arena::revealScoresCall {
                    task: number,
                    salt: self.salts.salt(Purpose::Scores, self.task, *epoch),
                    scores: words(&self.sheet(*epoch)?.scores),
                };
                account.send(arena, &call).await?
            }
            Action::Tally { counts } => {
                let tallies: Vec<Arena::Tally> = counts.iter().map(tally).collect();
                account.send(arena, &Arena::tallyCall::from((number, tallies))).await?
            }
            Action::TallyPart { part } => {
                account.send(arena, &Arena::tallyPartCall::from((number, tally(part)))).await?
            }
            Action::Rank { order } => {
                account.send(arena, &Arena::rankCall::from((number, order.clone()))).await?
            }
            Action::PayNodes { from, count, order } => {
                let arguments = (number, U256::from(*from), U256::from(*count), order.clone());
                account.send(arena, &Arena::payNodesCall::from(arguments)).await?
            }
            Action::Weigh { from, count } => {
                let arguments = (number, U256::from(*from), U256::from(*count));
                account.send(arena, &Arena::weighCall::from(arguments)).await?
            }
            Action::PayValidators { from, count } => {
                let arguments = (number, U256::from(*from), U256::from(*count));
                account.send(arena, &Arena::payValidatorsCall::from(arguments)).await?
            }
            Action::Report { validator, offence: Offence::Unrevealed } => {
                let call = Arena::reportUnrevealedCall { task: number, validator: *validator };
                account.send(arena, &call).await?
            }
            Action::Report { validator, offence: Offence::Silent } => {
                let call = Arena::reportSilentCall { task: number, validator: *validator };
                account.send(arena, &call).await?
            }
        };
        info!(operator = %self.address(), action = sent.action, gas = sent.gas, block = sent.block, "mined");
        Ok(sent)
    }

    fn sheet(&self, epoch: u32) -> Result<&Sheet, OperatorError> {
        let sheet = self.sheet.as_ref().filter(|sheet| sheet.epoch == epoch);
        sheet.ok_or_else(|| impossible("report", "this epoch was not scored"))
    }
}

fn flight_of(task: &Task, epoch: u32) -> Result<&aiarena_chain::ledger::Flight, OperatorError> {
    let flight = task.flight.as_ref().filter(|flight| flight.epoch == epoch);
    flight.ok_or_else(|| impossible("score", "this epoch is not in flight"))
}

/// Scores and places as the arena reads them: four bytes each, big-endian.
fn words(scores: &[u32]) -> Bytes {
    scores.iter().flat_map(|score| score.to_be_bytes()).collect()
}

/// A count as the arena takes it.
fn tally(count: &Count) -> Arena::Tally {
    let Count { node, place, median, revealers } = count;
    Arena::Tally { node: *node, place: *place, median: *median, revealers: words(revealers) }
}

fn impossible(action: &'static str, why: &str) -> OperatorError {
    OperatorError::Impossible { action, why: why.to_owned() }
}
