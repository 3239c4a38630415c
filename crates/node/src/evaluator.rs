//! Evaluates artifacts: in this process, or each in a sandbox of its own. Both say the same of the same bytes.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    rc::Rc,
    time::Instant,
};

use aiarena_mechanism::Score;
use aiarena_ml::{Error, MAX_ARTIFACT_BYTES, Model, Rows, evaluate, is_near_copy};
use aiarena_store::{ContentHash, FolderStore};
use alloy::primitives::B256;

use crate::{
    judge::Verdict,
    sandbox::{Answer, Fault, Kind, Sandbox, write_bytes},
};

/// Bytes of models that are kept to be compared again.
const KEPT_BYTES: usize = 256 << 20;
/// Artifacts of which anything is kept.
const KEPT_ARTIFACTS: usize = 4_096;
/// Artifacts that one child compares with another.
const BATCH: usize = 32;

/// Looks into artifacts for a [`crate::judge::Judge`].
pub trait Evaluator {
    /// What a model achieves on all of the rows: valid, or invalid because it has no score.
    ///
    /// # Errors
    /// The verdict on an artifact that cannot be had or is no model: it is nobody's copy either.
    fn evaluate(&mut self, content_hash: B256, rows: &Rows) -> Result<Verdict, Verdict>;

    /// For each of some earlier artifacts, whether the later one is a near copy of it (M-11). What cannot be had, or is no
    /// model, is like nothing.
    ///
    /// # Errors
    /// Why this machine cannot say.
    fn alike(&mut self, later: B256, earlier: &[B256]) -> Result<Vec<bool>, String>;

    /// Gives up on what takes longer, which then is unavailable; for evaluators that can.
    fn until(&mut self, _deadline: Option<Instant>) {}

    /// How many earlier artifacts are best asked about at once.
    fn batch(&self) -> usize {
        1
    }
}

/// What [`Evaluator::evaluate`] said of artifacts, on the same rows.
pub(crate) type Evaluations = BTreeMap<B256, Result<Verdict, Verdict>>;

/// Evaluates no artifact again of which something is known for certain.
pub(crate) struct Remembering<'a> {
    evaluator: &'a mut dyn Evaluator,
    known: &'a mut Evaluations,
}

impl<'a> Remembering<'a> {
    pub(crate) fn new(evaluator: &'a mut dyn Evaluator, known: &'a mut Evaluations) -> Self {
        Self { evaluator, known }
    }
}

impl Evaluator for Remembering<'_> {
    fn evaluate(&mut self, content_hash: B256, rows: &Rows) -> Result<Verdict, Verdict> {
        if let Some(known) = self.known.get(&content_hash) {
            return known.clone();
        }
        let found = self.evaluator.evaluate(content_hash, rows);
        if !matches!(found, Ok(Verdict::Unavailable(_)) | Err(Verdict::Unavailable(_))) {
            self.known.insert(content_hash, found.clone());
        }
        found
    }

    fn alike(&mut self, later: B256, earlier: &[B256]) -> Result<Vec<bool>, String> {
        self.evaluator.alike(later, earlier)
    }

    fn until(&mut self, deadline: Option<Instant>) {
        self.evaluator.until(deadline);
    }

    fn batch(&self) -> usize {
        self.evaluator.batch()
    }
}

/// An artifact's bytes, or why there are none. What is there but too large is invalid; what cannot be had is unavailable.
fn fetch(store: &FolderStore, content_hash: B256, largest: u64) -> Result<Vec<u8>, Verdict> {
    use aiarena_store::Error;
    match store.get(ContentHash(content_hash.0), largest) {
        Ok(bytes) => Ok(bytes),
        Err(error @ Error::TooLarge { .. }) => Err(Verdict::Invalid(error.to_string())),
        Err(error) => Err(Verdict::Unavailable(error.to_string())),
    }
}

/// Evaluates in this process: for artifacts that somebody vouches for, as in the demo, or where nothing is at stake.
#[derive(Debug)]
pub struct InProcess<'a> {
    store: &'a FolderStore,
    largest: u64,
    kept: BTreeMap<B256, (u64, Result<Rc<Model>, Verdict>)>,
    bytes: usize,
    uses: u64,
}

impl<'a> InProcess<'a> {
    /// Reads artifacts from `store`.
    #[must_use]
    pub fn new(store: &'a FolderStore) -> Self {
        Self { store, largest: MAX_ARTIFACT_BYTES as u64, kept: BTreeMap::new(), bytes: 0, uses: 0 }
    }

    /// Takes artifacts of at most so many bytes for models.
    #[must_use]
    pub fn up_to(self, largest: u64) -> Self {
        Self { largest, ..self }
    }

    /// The parsed artifact, or why there is none. What was not used for longest makes room.
    fn model(&mut self, content_hash: B256) -> Result<Rc<Model>, Verdict> {
        self.uses += 1;
        if let Some((used, known)) = self.kept.get_mut(&content_hash) {
            *used = self.uses;
            return known.clone();
        }
        let parse = |bytes: Vec<u8>| {
            Model::from_bytes(&bytes).map(Rc::new).map_err(|error| Verdict::Invalid(error.to_string()))
        };
        let model = fetch(self.store, content_hash, self.largest).and_then(parse);
        self.bytes += size(&model);
        self.kept.insert(content_hash, (self.uses, model.clone()));
        while self.bytes > KEPT_BYTES || self.kept.len() > KEPT_ARTIFACTS {
            let oldest = self.kept.iter().min_by_key(|(_, (used, _))| *used).map(|(hash, _)| *hash);
            let Some((_, model)) = oldest.and_then(|hash| self.kept.remove(&hash)) else { break };
            self.bytes -= size(&model);
        }
        model
    }
}

fn size(model: &Result<Rc<Model>, Verdict>) -> usize {
    model
        .as_ref()
        .map_or(0, |model| model.tensors().iter().map(|values| values.len() * size_of::<f32>()).sum())
}

impl Evaluator for InProcess<'_> {
    fn evaluate(&mut self, content_hash: B256, rows: &Rows) -> Result<Verdict, Verdict> {
        let model = self.model(content_hash)?;
        let all: Vec<u32> = (0..u32::try_from(rows.len()).unwrap_or(u32::MAX)).collect();
        Ok(match evaluate(&model, rows, &all) {
            Ok(found) => Verdict::Valid(found.score()),
            Err(error @ Error::NotFinite { .. }) => Verdict::Invalid(error.to_string()),
            Err(error) => Verdict::Unavailable(error.to_string()),
        })
    }

    fn alike(&mut self, later: B256, earlier: &[B256]) -> Result<Vec<bool>, String> {
        let Ok(later) = self.model(later) else { return Ok(vec![false; earlier.len()]) };
        Ok(earlier
            .iter()
            .map(|hash| self.model(*hash).is_ok_and(|model| is_near_copy(&later, &model)))
            .collect())
    }
}

/// Evaluates each artifact in a process of its own ([`crate::sandbox`]): for artifacts of strangers.
#[derive(Debug)]
pub struct Sandboxed<'a> {
    store: &'a FolderStore,
    sandbox: Sandbox,
    largest: u64,
}

impl<'a> Sandboxed<'a> {
    /// Reads artifacts from `store`, and never looks into them itself.
    #[must_use]
    pub fn new(store: &'a FolderStore, sandbox: Sandbox) -> Self {
        Self { store, sandbox, largest: MAX_ARTIFACT_BYTES as u64 }
    }

    /// Takes artifacts of at most so many bytes for models.
    #[must_use]
    pub fn up_to(self, largest: u64) -> Self {
        Self { largest, ..self }
    }

    /// Asks, and once more if the artifact seems to be to blame: what it does to one evaluator it does to every one.
    /// Processor time is not given twice.
    fn ask(
        &self,
        kind: Kind,
        feed: impl Fn(&mut dyn Write) -> io::Result<()> + Sync,
    ) -> Result<Answer, Fault> {
        match self.sandbox.ask(kind, |pipe| feed(pipe)) {
            Err(Fault::Aborted) => self.sandbox.ask(kind, |pipe| feed(pipe)),
            answer => answer,
        }
    }

    fn compare(&self, later: &[u8], earlier: &[B256]) -> Result<Vec<bool>, Fault> {
        let count = u32::try_from(earlier.len()).map_err(io::Error::other)?;
        let feed = |pipe: &mut dyn Write| {
            write_bytes(pipe, later)?;
            // One at a time, however many there are; nothing is no model, and so like nothing.
            earlier.iter().try_for_each(|hash| {
                write_bytes(pipe, &fetch(self.store, *hash, self.largest).unwrap_or_default())
            })
        };
        match self.ask(Kind::Compare { earlier: count }, feed)? {
            Answer::Alike(alike) if alike.len() == earlier.len() => Ok(alike),
            Answer::NotAModel(_) => Ok(vec![false; earlier.len()]),
            // A comparison that fails everywhere finds no copy. Which of many it was is asked one by one.
            Answer::Panicked(_) => Err(Fault::Aborted),
            _ => Err(no_answer()),
        }
    }
}

fn no_answer() -> Fault {
    Fault::NoAnswer { why: "it was asked something else".to_owned() }
}

/// The verdict of a fault: see [`crate::sandbox`] on whose it is.
fn blame(fault: &Fault) -> Verdict {
    match fault.is_the_artifacts() {
        true => Verdict::Invalid(fault.to_string()),
        false => Verdict::Unavailable(fault.to_string()),
    }
}

impl Evaluator for Sandboxed<'_> {
    fn until(&mut self, deadline: Option<Instant>) {
        self.sandbox.until(deadline);
    }

    fn evaluate(&mut self, content_hash: B256, rows: &Rows) -> Result<Verdict, Verdict> {
        let artifact = fetch(self.store, content_hash, self.largest)?;
        let rows_bytes = rows.to_bytes();
        let feed = |pipe: &mut dyn Write| {
            write_bytes(pipe, &artifact)?;
            write_bytes(pipe, &rows_bytes)
        };
        match self.ask(Kind::Evaluate, feed).map_err(|fault| blame(&fault))? {
            Answer::Evaluated { correct, total } if correct <= total && total as usize == rows.len() => {
                let score = Score::from_ratio(correct.into(), total.into()).unwrap_or(Score::INVALID);
                Ok(Verdict::Valid(score))
            }
            Answer::NoScore(why) => Ok(Verdict::Invalid(why)),
            Answer::NotAModel(why) => Err(Verdict::Invalid(why)),
            Answer::Panicked(why) => Err(Verdict::Invalid(format!("the evaluator panicked: {why}"))),
            _ => Err(blame(&no_answer())),
        }
    }

    fn alike(&mut self, later: B256, earlier: &[B256]) -> Result<Vec<bool>, String> {
        let Ok(later) = fetch(self.store, later, self.largest) else { return Ok(vec![false; earlier.len()]) };
        let mut alike = Vec::new();
        for batch in earlier.chunks(BATCH) {
            match self.compare(&later, batch) {
                Ok(found) => alike.extend(found),
                Err(fault) if !fault.is_the_artifacts() => return Err(fault.to_string()),
                Err(_) => {
                    for one in batch {
                        match self.compare(&later, &[*one]) {
                            Ok(found) => alike.extend(found),
                            Err(fault) if fault.is_the_artifacts() => alike.push(false),
                            Err(fault) => return Err(fault.to_string()),
                        }
                    }
                }
            }
        }
        Ok(alike)
    }

    fn batch(&self) -> usize {
        BATCH
    }
}
