//! Executes plans: one operator, its key, its store and its work so far.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aiarena_chain::{
    account::JournalError,
    bindings::Arena,
    client::{Account, ClientError, Sent},
    deploy::Deployment,
    ledger::{Clock, Entry, Ledger, Offence, Phase, Task},
};
use aiarena_mechanism::{Score, commitment};
use aiarena_ml::{Dataset, MAX_ARTIFACT_BYTES, Rows};
use aiarena_store::{ContentHash, FolderStore, Limits, Location, Policy, Stores};
use alloy::{
    primitives::{Address, B256, Bytes, U256},
    sol_types::SolCall,
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::{
    evaluator::{Evaluations, Evaluator, InProcess, Remembering, Sandboxed},
    judge::{Judge, Verdict, drawn_rows},
    plan::{Action, Prepared, Sheet, View, assigned},
    salt::{Purpose, Salts},
    sandbox::Sandbox,
    sealed::{EvaluationKey, Place, await_slice, open, sealed_name},
    settlement::Count,
};

/// Between two looks whether it is to stop.
const GLANCE: Duration = Duration::from_millis(500);
/// For artifacts, however late it is.
const LEAST_TIME: Duration = Duration::from_secs(2);

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
    /// What was prepared could not be written down or read back.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Training failed.
    #[error("training failed: {0}")]
    Training(String),
    /// Submissions that cannot be scored now, and perhaps a little later.
    #[error("{missing} of {of} submissions cannot be scored yet")]
    Incomplete {
        /// How many.
        missing: usize,
        /// How many have to be scored.
        of: usize,
    },
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
pub trait Trainer: Send + Sync {
    /// The artifact's bytes, or `None` if there is nothing to submit. After `time_left` it is of no use.
    ///
    /// # Errors
    /// A text that says what failed.
    fn train(&mut self, epoch: u32, task: &Task, time_left: Duration) -> Result<Option<Vec<u8>>, String>;
}

/// What a validator says of what it found. The honest one says just that.
pub trait Reporter: Send + Sync {
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
    /// A validator.
    Validator {
        /// How it reports.
        reporter: Box<dyn Reporter>,
        /// Rows of an epoch's slice, as the task says.
        slice: u32,
        /// Where strangers' models are evaluated; without it in this process.
        sandbox: Option<Sandbox>,
    },
}

/// An operator of one task.
///
/// With an account that has a journal, what it prepared is on disk before it commits to it, and found again by the process
/// that takes its place.
pub struct Operator {
    account: Account,
    salts: Salts,
    deployment: Deployment,
    task: u64,
    stores: Shelves,
    duty: Duty,
    prepared: Option<Prepared>,
    sheet: Option<Sheet>,
    found: Findings,
    /// Most bytes of a model in this task.
    largest_model: u64,
    /// What it needs for the task's sealed data; `None` if they are public.
    sealed: Option<SealedData>,
}

/// What a validator found of an epoch's submissions, while its sheet is not complete.
#[derive(Default)]
struct Findings {
    /// The epoch's seed.
    seed: B256,
    evaluations: Evaluations,
    /// By node. They hold as long as nothing else can be compared with.
    verdicts: BTreeMap<Address, Verdict>,
    /// The disclosures that were there to be compared with, by number.
    compared: BTreeMap<u64, B256>,
}

impl Findings {
    /// Forgets what does not hold any more. An artifact that came since may be the original of what seemed to be one.
    fn renew(&mut self, seed: B256, task: &Task, store: &FolderStore) {
        if self.seed != seed {
            *self = Self { seed, ..Self::default() };
        }
        let disclosures =
            task.disclosures.iter().map(|disclosure| (disclosure.number, disclosure.content_hash));
        let there = disclosures.filter(|(_, hash)| store.contains(ContentHash(hash.0))).collect();
        if self.compared != there {
            self.compared = there;
            self.verdicts.clear();
        }
    }
}

/// How a validator gets sealed evaluation data.
struct SealedData {
    key: EvaluationKey,
    /// Once it is true, a slice is not waited for any more.
    stop: Arc<AtomicBool>,
    /// The slice that was opened last, with its epoch.
    slice: Option<(u32, Rows)>,
}

/// Where an operator keeps artifacts.
#[derive(Debug, Clone)]
pub struct Shelves {
    /// Its own ones, which nobody else may see before they are opened.
    pub drafts: FolderStore,
    /// Those that were opened, its own and others'.
    pub public: FolderStore,
    /// Where others are put and found; without it everybody uses the same public folder.
    pub remote: Option<Remote>,
}

/// Stores that all who take part in a task can reach.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The stores.
    pub stores: Stores,
    /// What a transfer may cost.
    pub limits: Limits,
}

impl Remote {
    /// Puts an artifact into all stores that take any. One is enough.
    async fn put(&self, bytes: &[u8]) -> Result<(), OperatorError> {
        let (mut taken, mut last) = (false, None);
        for store in self.stores.stores().iter().filter(|store| store.is_writable()) {
            match store.put(bytes.to_vec(), &self.limits).await {
                Ok(_) => taken = true,
                Err(error) => {
                    warn!(%store, %error, "a store did not take an artifact");
                    last = Some(error);
                }
            }
        }
        match last {
            _ if taken => Ok(()),
            Some(error) => Err(error.into()),
            None => Err(impossible("open a submission", "none of the stores can be written")),
        }
    }
}

/// Shows neither key nor work.
impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Operator {
    /// An operator of `task` with its account and the salts of the same key.
    #[must_use]
    pub fn new(
        account: Account,
        salts: Salts,
        deployment: Deployment,
        task: u64,
        stores: Shelves,
        duty: Duty,
    ) -> Self {
        Self {
            account,
            salts,
            deployment,
            task,
            stores,
            duty,
            prepared: None,
            sheet: None,
            found: Default::default(),
            largest_model: MAX_ARTIFACT_BYTES as u64,
            sealed: None,
        }
    }

    /// The same, of a task whose models have at most so many bytes: a larger one is scored 0, and not submitted.
    #[must_use]
    pub fn with_largest_model(self, largest_model: u64) -> Self {
        Self { largest_model, ..self }
    }

    /// The same, of a task whose evaluation data are sealed: it registers its key, and opens slices with it.
    ///
    /// - `stop`: once it is true, a slice that is not there yet is not waited for.
    #[must_use]
    pub fn with_sealed_data(self, key: EvaluationKey, stop: Arc<AtomicBool>) -> Self {
        Self { sealed: Some(SealedData { key, stop, slice: None }), ..self }
    }

    /// The key that opens slices; `None` if the task's data are public.
    #[must_use]
    pub fn evaluation_key(&self) -> Option<&EvaluationKey> {
        self.sealed.as_ref().map(|sealed| &sealed.key)
    }

    /// The operator's address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.account.address()
    }

    /// Its task's number.
    #[must_use]
    pub fn task(&self) -> u64 {
        self.task
    }

    /// Its account.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Finds what a process before this one prepared. Does nothing without a journal.
    ///
    /// # Errors
    /// [`OperatorError::Journal`].
    pub async fn recall(&mut self) -> Result<(), OperatorError> {
        let Some(journal) = self.account.journal() else { return Ok(()) };
        // What does not parse was written by another version; it is made anew.
        let read = |bytes: Option<Vec<u8>>| bytes.unwrap_or_default();
        self.prepared = serde_json::from_slice(&read(journal.recall(&self.key("prepared")).await?)).ok();
        self.sheet = serde_json::from_slice(&read(journal.recall(&self.key("sheet")).await?)).ok();
        Ok(())
    }

    /// Writes down what is prepared. Does nothing without a journal.
    ///
    /// # Errors
    /// [`OperatorError::Journal`].
    pub async fn keep(&self) -> Result<(), OperatorError> {
        let Some(journal) = self.account.journal() else { return Ok(()) };
        let prepared = self.prepared.as_ref().map(serde_json::to_vec).transpose();
        let sheet = self.sheet.as_ref().map(serde_json::to_vec).transpose();
        for (what, value) in [("prepared", prepared), ("sheet", sheet)] {
            let value = value.map_err(|error| impossible("keep", &error.to_string()))?;
            if let Some(value) = value {
                journal.remember(&self.key(what), &value).await?;
            }
        }
        Ok(())
    }

    fn key(&self, what: &str) -> String {
        format!("task {} {what}", self.task)
    }

    /// What it sees now; `None` if its task does not exist.
    #[must_use]
    pub fn view<'a>(&'a self, ledger: &'a Ledger, now: u64) -> Option<View<'a>> {
        let registered = ledger.keys.get(&self.address()).copied();
        let key = self.evaluation_key().map(EvaluationKey::public);
        let task = ledger.tasks.get(&self.task)?;
        Some(View {
            me: self.address(),
            task,
            clock: &ledger.clock,
            now,
            prepared: self.prepared.as_ref(),
            sheet: self.sheet.as_ref().filter(|sheet| self.may_reveal(sheet, task)),
            unregistered_key: key.filter(|key| registered != Some(*key)),
        })
    }

    /// Fetches what an action's work needs, all at once; returns until when the work has to be done. What cannot be had is
    /// the verdict's business.
    ///
    /// Of the phase in which the sheet is due, artifacts may come until a half is left, a sealed slice until a quarter, and
    /// scores until an eighth, in which the sheet is sent.
    pub async fn fetch(&mut self, action: &Action, ledger: &Ledger, now: u64) -> Option<Instant> {
        let Action::Score { epoch } = action else { return None };
        let begun = Instant::now();
        let until = |part| begun + Duration::from_secs(secs_until(&ledger.clock, *epoch, now, part));
        // Strangers say where artifacts are: what they hold up is abstained from, and must not cost the sheet.
        let artifacts = until(2).max(begun + LEAST_TIME);
        let artifacts = tokio::time::timeout_at(artifacts, self.fetch_artifacts(*epoch, ledger));
        let (fetched, slice) = tokio::join!(artifacts, self.fetch_sealed(*epoch, ledger, until(4)));
        if fetched.is_err() {
            warn!(task = self.task, epoch, "not all artifacts came in time");
        }
        if let (Some(sealed), Some(rows)) = (&mut self.sealed, slice) {
            sealed.slice = Some((*epoch, rows));
        }
        Some(until(8))
    }

    async fn fetch_sealed(&self, epoch: u32, ledger: &Ledger, until: Instant) -> Option<Rows> {
        let (remote, sealed) = (self.stores.remote.as_ref()?, self.sealed.as_ref()?);
        if sealed.slice.as_ref().is_some_and(|(of, _)| *of == epoch) {
            return None;
        }
        let place = Place::of(ledger.tasks.get(&self.task)?, epoch)?;
        let Deployment { chain_id, arena, .. } = self.deployment;
        let name = sealed_name(chain_id, arena, self.task, epoch);
        let read = |bytes: &[u8]| open(bytes, &sealed.key, &place);
        let stopped = async {
            while !sealed.stop.load(Ordering::Relaxed) {
                tokio::time::sleep(GLANCE).await;
            }
        };
        let opened = tokio::select! {
            opened = await_slice(&remote.stores, &name, &remote.limits, until, read) => opened,
            () = stopped => return None,
        };
        match opened {
            Ok(rows) => {
                info!(task = self.task, epoch, rows = rows.len(), "opened the sealed slice");
                Some(rows)
            }
            Err(missing) => {
                warn!(task = self.task, epoch, %missing, "the sealed slice cannot be had: abstaining");
                None
            }
        }
    }

    /// First what it has to score, then what shows that it is a copy (M-11).
    async fn fetch_artifacts(&self, epoch: u32, ledger: &Ledger) {
        let (Some(remote), Some(view)) = (&self.stores.remote, self.view(ledger, 0)) else { return };
        let Ok(flight) = flight_of(view.task, epoch) else { return };
        let own = assigned(&view, flight).into_iter().filter_map(|place| flight.entries.get(place as usize));
        let own: Vec<_> = own.map(|entry| (entry.content_hash, &entry.uri)).collect();
        let listed = flight.entries.iter().map(|entry| (entry.content_hash, &entry.uri));
        let disclosed =
            view.task.disclosures.iter().map(|disclosure| (disclosure.content_hash, &disclosure.uri));
        for artifacts in [own, listed.chain(disclosed).collect()] {
            let mut wanted: BTreeMap<ContentHash, Vec<Location>> = BTreeMap::new();
            for (content_hash, uri) in artifacts {
                let hash = ContentHash(content_hash.0);
                let locations = wanted.entry(hash).or_default();
                if !self.stores.public.contains(hash) {
                    locations.extend(Location::parse(uri, Policy::Public));
                }
            }
            let results = remote.stores.fetch_all(&wanted, &self.stores.public, &remote.limits).await;
            for (hash, error) in results.into_iter().filter_map(|(hash, result)| Some((hash, result.err()?)))
            {
                warn!(task = self.task, epoch, %hash, %error, "an artifact cannot be had");
            }
        }
    }

    /// Does an action's work on this machine: trains or scores. Takes long; sends nothing.
    ///
    /// - `due`: until when scoring has to be done, if there is no time without end.
    ///
    /// # Errors
    /// [`OperatorError`]. What was done before stays as it was.
    pub fn work(
        &mut self,
        action: &Action,
        ledger: &Ledger,
        now: u64,
        data: &Dataset,
        due: Option<Instant>,
    ) -> Result<(), OperatorError> {
        let task = ledger.tasks.get(&self.task).ok_or_else(|| impossible("work", "there is no such task"))?;
        match action {
            Action::Train { epoch } => {
                let left = ledger.clock.start(*epoch, Phase::Disclose).saturating_sub(now);
                self.train(*epoch, task, Duration::from_secs(left))
            }
            Action::Score { epoch } => {
                let Duty::Validator { slice, sandbox, .. } = &self.duty else {
                    return Err(impossible("score", "a node does not"));
                };
                let rows = match &self.sealed {
                    None => Some(drawn_rows(flight_of(task, *epoch)?, &data.evaluation, *slice)),
                    // Without it a sheet of abstentions is due; but one that was told to stop has time left when it is back.
                    Some(sealed) => {
                        let rows = sealed.slice.as_ref().filter(|(of, _)| of == epoch);
                        if rows.is_none() && sealed.stop.load(Ordering::Relaxed) {
                            return Err(impossible("score", "it was told to stop before the slice came"));
                        }
                        rows.map(|(_, rows)| rows.clone())
                    }
                };
                // The store is a folder's name, and a copy of it lets the evaluator live beside the sheet.
                let store = self.stores.public.clone();
                let largest = self.largest_model;
                let mut evaluator: Box<dyn Evaluator> = match sandbox.clone() {
                    None => Box::new(InProcess::new(&store).up_to(largest)),
                    Some(sandbox) => Box::new(Sandboxed::new(&store, sandbox).up_to(largest)),
                };
                self.score(*epoch, ledger, &mut *evaluator, rows.as_ref(), due)?;
                self.complete(rows.is_some() && now < half_of_commit(&ledger.clock, *epoch))
            }
            _ => Err(impossible("work", "it is a transaction")),
        }
    }

    fn train(&mut self, epoch: u32, task: &Task, time_left: Duration) -> Result<(), OperatorError> {
        let Duty::Node(trainer) = &mut self.duty else {
            return Err(impossible("train", "a validator does not"));
        };
        let artifact = trainer.train(epoch, task, time_left).map_err(OperatorError::Training)?;
        if let Some(bytes) = artifact.as_ref().map(|artifact| artifact.len() as u64)
            && bytes > self.largest_model
        {
            let most = self.largest_model;
            return Err(OperatorError::Training(format!(
                "the model has {bytes} bytes, and the task takes at most {most}"
            )));
        }
        let hash = artifact.map(|bytes| self.stores.drafts.put(&bytes)).transpose()?;
        let content_hash = hash.map(|hash| B256::from(hash.0));
        self.prepared = Some(Prepared { epoch, content_hash });
        Ok(())
    }

    /// Scores the assigned submissions of an epoch, as [`Operator::work`] does, with an evaluator and rows of the caller's choice.
    ///
    /// Small artifacts come first, since evaluation takes time in proportion to their size: so most are scored before `due`.
    /// Each gets half of the time that is left, so that no single one costs the others theirs; those for which that was not
    /// enough get what is left in the end. The rest is abstained from.
    ///
    /// A later try evaluates nothing again, and compares again with all earlier submissions if others can be had by then.
    ///
    /// - `rows`: all rows of the epoch; `None` if they cannot be had, and then the validator abstains from everything: it
    ///   owes a sheet all the same (M-12).
    /// - `due`: until when it has to be done; `None`: there is time without end.
    ///
    /// # Errors
    /// [`OperatorError`]. What was done before stays as it was.
    pub fn score(
        &mut self,
        epoch: u32,
        ledger: &Ledger,
        evaluator: &mut dyn Evaluator,
        rows: Option<&Rows>,
        due: Option<Instant>,
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
        let entries: Vec<&Entry> =
            places.iter().filter_map(|place| flight.entries.get(*place as usize)).collect();
        let file = |entry: &Entry| self.stores.public.path_of(ContentHash(entry.content_hash.0));
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by_cached_key(|i| std::fs::metadata(file(entries[*i])).map_or(0, |file| file.len()));
        let why =
            if rows.is_some() { "no time was left" } else { "there are no evaluation data for this epoch" };
        self.found.renew(flight.seed, task, &self.stores.public);
        let Findings { evaluations, verdicts, .. } = &mut self.found;
        let unknown = || Verdict::Unavailable(why.to_owned());
        let mut found: Vec<(Address, Verdict)> = entries
            .iter()
            .map(|entry| (entry.node, verdicts.get(&entry.node).cloned().unwrap_or_else(unknown)))
            .collect();
        let mut remembering = Remembering::new(evaluator, evaluations);
        let mut judge = Judge::new(task, &mut remembering);
        for share in if due.is_some() { &[2, 1][..] } else { &[1] } {
            for i in &order {
                let (Verdict::Unavailable(_), Some(rows)) = (&found[*i].1, rows) else { continue };
                let left = due.map(|due| due.saturating_duration_since(Instant::now()));
                if left.is_some_and(|left| left.is_zero()) {
                    break;
                }
                judge.until(left.map(|left| std::time::Instant::now() + left / *share));
                let Entry { node, number, content_hash, .. } = entries[*i];
                found[*i].1 = judge.verdict(*node, *number, *content_hash, rows);
            }
        }
        let abstained = found.iter().filter(|(_, verdict)| verdict.report().is_none()).count();
        if abstained > 0 {
            warn!(task = self.task, epoch, abstained, of = found.len(), "not all submissions can be scored");
        }
        for (node, verdict) in &found {
            debug!(validator = %self.account.address(), %node, ?verdict, epoch, "scored");
        }
        let certain = found.iter().filter(|(_, verdict)| !matches!(verdict, Verdict::Unavailable(_)));
        verdicts.extend(certain.cloned());
        let scores = reporter.report(epoch, &found).into_iter().map(Score::to_wire).collect();
        let sheet = Sheet { epoch, seed: flight.seed, scores };
        let committed = flight.commitments.get(&self.address());
        let same = committed.is_none_or(|committed| *committed == self.scores_commitment(&sheet));
        self.sheet = Some(sheet);
        if same {
            return Ok(());
        }
        let why = "these are other scores than this key committed to: does another process work with it?";
        Err(impossible("reveal", why))
    }

    /// Keeps the sheet if it is complete, or if nobody can wait for what is missing.
    fn complete(&mut self, may_wait: bool) -> Result<(), OperatorError> {
        let Some(sheet) = &self.sheet else { return Ok(()) };
        let (of, missing) =
            (sheet.scores.len(), sheet.scores.len().saturating_sub(self.found.verdicts.len()));
        if missing == 0 || !may_wait {
            return Ok(());
        }
        self.sheet = None;
        Err(OperatorError::Incomplete { missing, of })
    }

    /// Sends an action's transaction and waits until it is mined.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn send(&self, action: &Action, ledger: &Ledger) -> Result<Sent, OperatorError> {
        let number = U256::from(self.task);
        let sent = match action {
            Action::Train { .. } | Action::Score { .. } => {
                return Err(impossible("send", "it is work on this machine"));
            }
            Action::CommitSubmission { epoch, content_hash } => {
                self.keep().await?;
                let commitment = self.submission_commitment(*epoch, *content_hash);
                let call = Arena::commitSubmissionCall { task: number, commitment };
                self.once(&call, *epoch, ledger.clock.start(*epoch, Phase::Disclose)).await?
            }
            Action::OpenSubmission { epoch, content_hash } => {
                // Not before: whoever saw it in Submit could commit to it first.
                let hash = ContentHash(content_hash.0);
                let artifact = self.stores.drafts.get(hash, MAX_ARTIFACT_BYTES as u64)?;
                match &self.stores.remote {
                    None => drop(self.stores.public.put(&artifact)?),
                    Some(remote) => remote.put(&artifact).await?,
                }
                let call = Arena::openSubmissionCall {
                    task: number,
                    contentHash: *content_hash,
                    salt: self.salts.salt(Purpose::Submission, self.task, *epoch),
                    uri: hash.uri(),
                };
                self.once(&call, *epoch, ledger.clock.start(*epoch, Phase::Seed)).await?
            }
            Action::RegisterKey { key } => self.anyones(&Arena::registerKeyCall { key: *key }).await?,
            Action::CommitScores { epoch } => {
                self.keep().await?;
                let commitment = self.scores_commitment(self.sheet(*epoch)?);
                let call = Arena::commitScoresCall { task: number, commitment };
                self.once(&call, *epoch, ledger.clock.start(*epoch, Phase::Reveal)).await?
            }
            Action::RevealScores { epoch } => {
                let call = Arena::revealScoresCall {
                    task: number,
                    salt: self.salts.salt(Purpose::Scores, self.task, *epoch),
                    scores: words(&self.sheet(*epoch)?.scores),
                };
                self.once(&call, *epoch, ledger.clock.start(*epoch, Phase::Settle)).await?
            }
            Action::Evict { node } => self.anyones(&Arena::evictCall { task: number, node: *node }).await?,
            Action::DrawSeed => self.anyones(&Arena::drawSeedCall { task: number }).await?,
            Action::Tally { counts } => {
                let tallies: Vec<Arena::Tally> = counts.iter().map(tally).collect();
                self.anyones(&Arena::tallyCall::from((number, tallies))).await?
            }
            Action::TallyPart { part } => {
                self.anyones(&Arena::tallyPartCall::from((number, tally(part)))).await?
            }
            Action::Rank { order } => self.anyones(&Arena::rankCall::from((number, order.clone()))).await?,
            Action::PayNodes { from, count, order } => {
                let arguments = (number, U256::from(*from), U256::from(*count), order.clone());
                self.anyones(&Arena::payNodesCall::from(arguments)).await?
            }
            Action::Weigh { from, count } => {
                let arguments = (number, U256::from(*from), U256::from(*count));
                self.anyones(&Arena::weighCall::from(arguments)).await?
            }
            Action::PayValidators { from, count } => {
                let arguments = (number, U256::from(*from), U256::from(*count));
                self.anyones(&Arena::payValidatorsCall::from(arguments)).await?
            }
            Action::Report { validator, offence: Offence::Unrevealed } => {
                self.anyones(&Arena::reportUnrevealedCall { task: number, validator: *validator }).await?
            }
            Action::Report { validator, offence: Offence::Silent } => {
                self.anyones(&Arena::reportSilentCall { task: number, validator: *validator }).await?
            }
        };
        info!(operator = %self.address(), action = sent.action, gas = sent.gas, block = sent.block, "mined");
        Ok(sent)
    }

    /// A call of the operator's own, which has its effect once in an epoch, and none after its deadline.
    async fn once<C: SolCall>(&self, call: &C, epoch: u32, deadline: u64) -> Result<Sent, ClientError> {
        let function = C::SIGNATURE.split('(').next().unwrap_or_default();
        let arena = self.deployment.arena;
        let name = format!("{function} of arena {arena}, task {}, epoch {epoch}", self.task);
        self.account.send_once(name, deadline, arena, call).await
    }

    /// A call that anyone may make. What is left to do is planned again from the chain, so it needs no name.
    async fn anyones<C: SolCall>(&self, call: &C) -> Result<Sent, ClientError> {
        self.account.send(self.deployment.arena, call).await
    }

    fn submission_commitment(&self, epoch: u32, content_hash: B256) -> B256 {
        commitment::submission(
            self.deployment.chain_id,
            self.deployment.arena,
            U256::from(self.task),
            epoch,
            self.address(),
            content_hash,
            self.salts.salt(Purpose::Submission, self.task, epoch),
        )
    }

    fn scores_commitment(&self, sheet: &Sheet) -> B256 {
        commitment::scores(
            self.deployment.chain_id,
            self.deployment.arena,
            U256::from(self.task),
            sheet.epoch,
            self.address(),
            self.salts.salt(Purpose::Scores, self.task, sheet.epoch),
            sheet.seed,
            &words(&sheet.scores),
        )
    }

    /// Whether a sheet is what the key committed to, if it did so: a process before this one, or one beside it, may have
    /// scored otherwise.
    fn may_reveal(&self, sheet: &Sheet, task: &Task) -> bool {
        let flight = task.flight.as_ref().filter(|flight| flight.epoch == sheet.epoch);
        let committed = flight.and_then(|flight| flight.commitments.get(&self.address()));
        committed.is_none_or(|committed| *committed == self.scores_commitment(sheet))
    }

    fn sheet(&self, epoch: u32) -> Result<&Sheet, OperatorError> {
        let sheet = self.sheet.as_ref().filter(|sheet| sheet.epoch == epoch);
        sheet.ok_or_else(|| impossible("report", "this epoch was not scored"))
    }
}

/// Seconds until a `part` of the phase is left in which the sheet of an epoch is due.
fn secs_until(clock: &Clock, epoch: u32, now: u64, part: u64) -> u64 {
    let (due, after) = match clock.at(now) {
        (current, phase) if current == epoch && phase < Phase::Reveal => (Phase::Commit, Phase::Reveal),
        _ => (Phase::Reveal, Phase::Settle),
    };
    let (start, end) = (clock.start(epoch, due), clock.start(epoch, after));
    end.saturating_sub(end.saturating_sub(start).div_ceil(part)).saturating_sub(now)
}

/// Until when artifacts that cannot be had are asked for again: a store may fail for a while, and a stranger who gives nothing
/// must not hold up the sheet.
fn half_of_commit(clock: &Clock, epoch: u32) -> u64 {
    clock.start(epoch, Phase::Commit).midpoint(clock.start(epoch, Phase::Reveal))
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
