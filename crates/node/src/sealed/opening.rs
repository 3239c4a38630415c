//! One slice on its way from the creator to the validators, and later to everybody.
//!
//! As bytes: `"aiarena opening" 1 | epoch | index | number of siblings | siblings, 32 bytes each | slice`, the numbers four
//! bytes each, big-endian. Sealed, it is a file of age's, which has no compression: it is never longer opened than sealed.

use std::io::{Read, Write};

use age::{DecryptError, Decryptor, Encryptor};
use aiarena_chain::ledger::Task;
use aiarena_mechanism::evaluation::{slice_leaf, verify};
use aiarena_ml::Rows;
use aiarena_store::ObjectName;
use alloy::primitives::{Address, B256};

use super::{EvaluationKey, EvaluationTree, SealedError, Slice, key::recipient};

/// The largest file that is opened, in bytes: about 40 000 rows (32 MiB).
pub const MAX_SEALED_BYTES: usize = 32 << 20;
/// Keys to which one file is sealed at most. Each costs 98 bytes, and whoever opens it an attempt.
pub const MAX_RECIPIENTS: usize = 10_000;
/// The largest part of it that names recipients: [`MAX_RECIPIENTS`], and a few bytes of age's own.
const MAX_RECIPIENTS_BYTES: usize = 1 << 20;
/// What ends that part.
const RECIPIENTS_END: &[u8] = b"\n--- ";
const MAGIC: &[u8; 16] = b"aiarena opening\x01";
/// More siblings than any tree over epochs has.
const MAX_SIBLINGS: u32 = 32;

/// Which slice an epoch of a task is evaluated on: all of it is on chain since the task was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The root of the task's tree.
    pub root: B256,
    /// The epoch.
    pub epoch: u32,
    /// The slice's place.
    pub index: u32,
    /// How many slices there are: without it, a creator could show one tree as two of different shapes.
    pub count: u32,
}

impl Place {
    /// The slice of an epoch; `None` if the task does not run in it.
    #[must_use]
    pub fn of(task: &Task, epoch: u32) -> Option<Self> {
        let index = epoch.checked_sub(task.first_epoch)?;
        let (root, count) = (task.params.evaluation_root, task.params.epochs);
        (index < count).then_some(Self { root, epoch, index, count })
    }
}

/// Where a sealed slice is in every store. Chain and arena are in it, so that arenas may share a store.
#[must_use]
pub fn sealed_name(chain_id: u64, arena: Address, task: u64, epoch: u32) -> ObjectName {
    name(chain_id, arena, task, epoch, "age")
}

/// Where it is once the task is over.
#[must_use]
pub fn published_name(chain_id: u64, arena: Address, task: u64, epoch: u32) -> ObjectName {
    name(chain_id, arena, task, epoch, "slice")
}

fn name(chain_id: u64, arena: Address, task: u64, epoch: u32, kind: &str) -> ObjectName {
    let name = format!("{chain_id}-{arena:#x}/task-{task}/epoch-{epoch}.{kind}");
    ObjectName::new(name).expect("numbers and an address make a legal name")
}

impl EvaluationTree {
    /// A slice with its proof, as it is sealed, and published when the task is over.
    ///
    /// # Errors
    /// If the tree has no such slice.
    pub fn opening(&self, epoch: u32, index: u32) -> Result<Vec<u8>, SealedError> {
        let (slice, proof) = self.slice(index)?;
        let siblings = u32::try_from(proof.len()).unwrap_or(u32::MAX);
        let mut bytes = MAGIC.to_vec();
        for number in [epoch, index, siblings] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(proof.iter().flatten());
        bytes.extend(slice.to_bytes());
        Ok(bytes)
    }
}

/// Seals an [`EvaluationTree::opening`] to registered keys ([`super::who_gets`]).
///
/// # Errors
/// [`SealedError::NoRecipient`], [`SealedError::TooManyRecipients`], [`SealedError::UnusableKey`], [`SealedError::TooLarge`].
pub fn seal(opening: &[u8], keys: &[B256]) -> Result<Vec<u8>, SealedError> {
    match keys.len() {
        0 => return Err(SealedError::NoRecipient),
        1..=MAX_RECIPIENTS => {}
        got => return Err(SealedError::TooManyRecipients { limit: MAX_RECIPIENTS, got }),
    }
    let recipients = keys.iter().map(|key| recipient(*key)).collect::<Result<Vec<_>, _>>()?;
    let broken = |error: &dyn std::fmt::Display| SealedError::Broken(error.to_string());
    let encryptor =
        Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn age::Recipient))
            .map_err(|error| broken(&error))?;
    let mut sealed = Vec::new();
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(|error| broken(&error))?;
    writer.write_all(opening).and_then(|()| writer.finish()).map_err(|error| broken(&error))?;
    within_limits(&sealed)?;
    Ok(sealed)
}

/// Opens a sealed file that anybody may have written, and returns the rows if they are what the creator promised.
///
/// # Errors
/// [`SealedError`]; the validator then has no data for this epoch, and abstains.
pub fn open(sealed: &[u8], key: &EvaluationKey, place: &Place) -> Result<Rows, SealedError> {
    within_limits(sealed)?;
    let identity = key.identity();
    let refused = |error: DecryptError| match error {
        DecryptError::NoMatchingKeys => SealedError::OtherRecipients,
        error => SealedError::Broken(error.to_string()),
    };
    let decryptor = Decryptor::new_buffered(sealed).map_err(refused)?;
    let reader = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(refused)?;
    let mut opening = Vec::new();
    let read = reader.take(MAX_SEALED_BYTES as u64).read_to_end(&mut opening);
    read.map_err(|error| SealedError::Broken(error.to_string()))?;
    open_published(&opening, place)
}

/// Reads what a creator published when its task was over, or sealed before.
///
/// # Errors
/// [`SealedError`].
pub fn open_published(opening: &[u8], place: &Place) -> Result<Rows, SealedError> {
    if opening.len() > MAX_SEALED_BYTES {
        return Err(SealedError::TooLarge { what: "a slice", limit: MAX_SEALED_BYTES, got: opening.len() });
    }
    let malformed = |what: &str| SealedError::Malformed(what.to_owned());
    let rest = opening.strip_prefix(MAGIC).ok_or_else(|| malformed("it does not begin as one"))?;
    let (numbers, rest) = rest.split_first_chunk::<12>().ok_or_else(|| malformed("it is cut short"))?;
    let (words, _) = numbers.as_chunks::<4>();
    let [got_epoch, got_index, siblings] = [words[0], words[1], words[2]].map(u32::from_be_bytes);
    let Place { root, epoch, index, count } = *place;
    if (got_epoch, got_index) != (epoch, index) {
        return Err(SealedError::OtherPlace { epoch, index, got_epoch, got_index });
    }
    if siblings > MAX_SIBLINGS {
        return Err(malformed("its proof is too long"));
    }
    let (proof, slice) =
        rest.split_at_checked(siblings as usize * 32).ok_or_else(|| malformed("its proof is cut short"))?;
    let (proof, _) = proof.as_chunks::<32>();
    let proof: Vec<B256> = proof.iter().map(B256::from).collect();
    // Before anything in it is parsed: what is parsed is then the creator's own.
    if !verify(&proof, root, slice_leaf(slice), index as usize, count as usize) {
        return Err(SealedError::NotInTree { index });
    }
    Ok(Slice::from_bytes(slice)?.rows)
}

fn within_limits(sealed: &[u8]) -> Result<(), SealedError> {
    if sealed.len() > MAX_SEALED_BYTES {
        return Err(SealedError::TooLarge { what: "a file", limit: MAX_SEALED_BYTES, got: sealed.len() });
    }
    let first = &sealed[..sealed.len().min(MAX_RECIPIENTS_BYTES)];
    let ends = first.windows(RECIPIENTS_END.len()).any(|window| window == RECIPIENTS_END);
    if !ends && sealed.len() > MAX_RECIPIENTS_BYTES {
        let limit = MAX_RECIPIENTS_BYTES;
        return Err(SealedError::TooLarge { what: "a list of recipients", limit, got: limit });
    }
    Ok(())
}
