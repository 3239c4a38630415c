//! Slices from their creator to the validators, with everything that can go wrong on the way.

#![allow(clippy::unwrap_used, reason = "a failed expectation is the point of a test")]

mod courier;
mod sealer;
mod waiting;

use std::collections::BTreeSet;

use aiarena_chain::{
    deploy::Schedule,
    ledger::{Clock, Constants, Flight, Ledger, Outcome, Phase, Pool, Role, Task, TaskParams},
};
use aiarena_mechanism::{ranking::RankingRule, settle::Task as Rules};
use aiarena_ml::{Dataset, Rows};
use aiarena_node::sealed::{
    EvaluationKey, EvaluationTree, MAX_RECIPIENTS, MAX_SEALED_BYTES, Place, SealedError, Slice, is_due,
    is_published, next_sealing, open, open_published, published_name, seal, sealed_name, split_into_slices,
    who_gets, who_misses,
};
use alloy::{
    primitives::{Address, B256, U256, keccak256},
    signers::local::PrivateKeySigner,
};
use proptest::prelude::*;

const EPOCHS: u32 = 5;
const FIRST: u32 = 3;

fn rows(count: u32) -> Rows {
    Dataset::embedded().evaluation.select(&(0..count).collect::<Vec<_>>())
}

fn tree(count: u32) -> EvaluationTree {
    EvaluationTree::new(split_into_slices(&rows(count), EPOCHS, B256::repeat_byte(1)).unwrap()).unwrap()
}

fn key(byte: u8) -> EvaluationKey {
    let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap();
    EvaluationKey::new(&signer, 1, Address::ZERO)
}

fn place(tree: &EvaluationTree, index: u32) -> Place {
    Place { root: tree.root(), epoch: FIRST + index, index, count: EPOCHS }
}

fn task(root: B256) -> Task {
    let rules = Rules {
        rule: RankingRule::StakeIntegral { phi_wad: U256::from(200_000_000_000_000_000_u64) },
        gamma_wad: U256::ZERO,
        epsilon_wad: U256::ZERO,
        tolerance: 0,
        redundancy: 1,
    };
    let params = TaskParams {
        metadata: B256::ZERO,
        evaluation_root: root,
        epochs: EPOCHS,
        min_node_stake: U256::from(10),
        min_validator_stake: U256::from(10),
        max_submissions: 8,
        fresh_data: true,
        rules,
    };
    Task::new(1, Address::ZERO, (FIRST, FIRST + EPOCHS - 1), params)
}

#[test]
fn every_slice_reaches_its_epoch_and_no_other() {
    let tree = tree(13);
    let (first, second, stranger) = (key(1), key(2), key(3));
    let mut all = 0;
    for index in 0..EPOCHS {
        let opening = tree.opening(FIRST + index, index).unwrap();
        let sealed = seal(&opening, &[first.public(), second.public()]).unwrap();
        let place = place(&tree, index);
        for key in [&first, &second] {
            assert_eq!(open(&sealed, key, &place).unwrap(), tree.slices()[index as usize].rows);
        }
        assert_eq!(open_published(&opening, &place).unwrap(), tree.slices()[index as usize].rows);
        all += tree.slices()[index as usize].rows.len();
        assert!(matches!(open(&sealed, &stranger, &place), Err(SealedError::OtherRecipients)));
        let root = Place { root: B256::repeat_byte(9), ..place };
        assert!(matches!(open(&sealed, &first, &root), Err(SealedError::NotInTree { .. })));
        let count = Place { count: EPOCHS + 4, ..place };
        assert!(matches!(open(&sealed, &first, &count), Err(SealedError::NotInTree { .. })));
        // Another epoch's slice, under its own name and under this one.
        let other = (index + 1) % EPOCHS;
        let named = tree.opening(FIRST + other, other).unwrap();
        assert!(matches!(open_published(&named, &place), Err(SealedError::OtherPlace { .. })));
        let early = tree.opening(place.epoch + 1, index).unwrap();
        assert!(matches!(open_published(&early, &place), Err(SealedError::OtherPlace { .. })));
        let mut renamed = named;
        renamed[16..20].copy_from_slice(&place.epoch.to_be_bytes());
        renamed[20..24].copy_from_slice(&index.to_be_bytes());
        assert!(open_published(&renamed, &place).is_err());
    }
    assert_eq!(all, 13);
}

#[test]
fn impossible_wishes_are_refused() {
    assert!(matches!(split_into_slices(&rows(4), 5, B256::ZERO), Err(SealedError::TooFewRows { .. })));
    assert!(matches!(split_into_slices(&rows(4), 0, B256::ZERO), Err(SealedError::TooFewRows { .. })));
    assert!(matches!(seal(b"x", &[]), Err(SealedError::NoRecipient)));
    assert!(matches!(seal(b"x", &[B256::ZERO]), Err(SealedError::UnusableKey(_))));
    let large = vec![0; MAX_SEALED_BYTES];
    assert!(matches!(seal(&large, &[key(1).public()]), Err(SealedError::TooLarge { .. })), "nobody opens it");
    assert!(tree(5).opening(1, EPOCHS).is_err());
}

#[test]
fn hostile_files_are_refused() {
    let tree = tree(5);
    let (key, place) = (key(1), place(&tree, 0));
    let refused = |bytes: &[u8]| open(bytes, &key, &place).unwrap_err();
    let large = vec![0; MAX_SEALED_BYTES + 1];
    assert!(matches!(refused(&large), SealedError::TooLarge { .. }));
    assert!(matches!(open_published(&large, &place), Err(SealedError::TooLarge { .. })));
    let empty = Slice { salt: B256::ZERO, rows: Rows::new(Vec::new(), Vec::new()).unwrap() };
    assert!(Slice::from_bytes(&empty.to_bytes()).is_err(), "nobody has a score on it");
    assert!(matches!(refused(b""), SealedError::Broken(_)));
    let mut recipients = b"age-encryption.org/v1\n".to_vec();
    while recipients.len() < 2 << 20 {
        recipients.extend(b"-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc\n");
    }
    assert!(matches!(refused(&recipients), SealedError::TooLarge { .. }));
    for opening in [&b""[..], b"garbage", &[0xff; 100]] {
        let sealed = seal(opening, &[key.public()]).unwrap();
        assert!(matches!(refused(&sealed), SealedError::Malformed(_)));
    }
}

#[test]
fn no_two_files_have_the_same_name() {
    let arena = Address::repeat_byte(1);
    let files =
        [(1, Address::ZERO, 1, 1), (2, Address::ZERO, 1, 1), (1, arena, 1, 1), (1, Address::ZERO, 2, 1)];
    let files = files.into_iter().chain([(1, Address::ZERO, 1, 2)]);
    let names: BTreeSet<String> = files
        .flat_map(|(chain, arena, task, epoch)| {
            [sealed_name(chain, arena, task, epoch), published_name(chain, arena, task, epoch)]
        })
        .map(|name| name.as_str().to_owned())
        .collect();
    assert_eq!(names.len(), 10, "{names:?}");
}

#[test]
fn only_validators_whose_stake_counts_get_a_slice() {
    let mut ledger = Ledger::new(CLOCK, CONSTANTS);
    let mut task = task(B256::ZERO);
    let pools = [
        (1, Role::Validator, 1, 10, Some(key(1).public())),
        (2, Role::Validator, 1, 9, Some(key(2).public())),
        (3, Role::Node, 1, 10, Some(key(3).public())),
        (4, Role::Validator, 1, 10, None),
        (5, Role::Validator, 4, 10, Some(key(5).public())),
        (6, Role::Validator, 1, 10, Some(B256::ZERO)),
    ];
    for (byte, role, since, stake, key) in pools {
        let mut pool = Pool::new(role);
        pool.stakes.set(since, (U256::from(stake), U256::ZERO));
        task.pools.insert(Address::repeat_byte(byte), pool);
        ledger.keys.extend(key.map(|key| (Address::repeat_byte(byte), key)));
    }
    ledger.keys.insert(Address::repeat_byte(7), key(7).public());
    let who = |epoch| -> Vec<u8> { who_gets(&ledger, &task, epoch).keys().map(|who| who.0[0]).collect() };
    assert_eq!((who(3), who(4)), (vec![1], vec![1, 5]));
    assert_eq!(who_misses(&ledger, &task, 3), [Address::repeat_byte(4), Address::repeat_byte(6)].into());
    let now = |epoch, phase| CLOCK.start(epoch, phase);
    assert!(!is_due(&task, &CLOCK, now(3, Phase::Commit), 3), "no seed was drawn");
    assert!(!is_published(&task, &CLOCK, now(7, Phase::Settle)));
    assert!(is_published(&task, &CLOCK, now(8, Phase::Submit)));
    assert_eq!(Place::of(&task, 2), None);
    assert_eq!(Place::of(&task, 7).map(|place| place.index), Some(4));
    assert_eq!(Place::of(&task, 8), None);
}

/// The same task, with validators of these numbers and the seed of epoch 4 drawn.
fn drawn(root: B256, validators: &[u8]) -> Task {
    let mut task = task(root);
    for byte in validators {
        let mut pool = Pool::new(Role::Validator);
        pool.stakes.set(1, (U256::from(10), U256::ZERO));
        task.pools.insert(Address::repeat_byte(*byte), pool);
    }
    task.flight = Some(Flight {
        epoch: 4,
        seed: B256::repeat_byte(1),
        entries: Vec::new(),
        listed: Vec::new(),
        validator_stake: U256::from(20),
        budgets: Default::default(),
        budget_parts: Default::default(),
        commitments: Default::default(),
        revealers: Vec::new(),
        reveals: Default::default(),
        outcome: Outcome::default(),
    });
    task
}

#[test]
fn a_creator_seals_once_for_each_validator_while_it_is_of_use() {
    let mut ledger = Ledger::new(CLOCK, CONSTANTS);
    let task = drawn(B256::ZERO, &[1, 2]);
    let validator = Address::repeat_byte;
    ledger.keys.insert(validator(1), key(1).public());
    let at = |epoch, phase| CLOCK.start(epoch, phase);
    let next = |ledger: &Ledger, at, last| next_sealing(ledger, &task, at, last);
    let sealed = next(&ledger, at(4, Phase::Seed), None).unwrap();
    assert_eq!((sealed.epoch, &sealed.keys), (4, &[(validator(1), key(1).public())].into()));
    assert_eq!(next(&ledger, at(4, Phase::Commit), Some(&sealed)), None, "once is enough");
    for other in 0..100 {
        ledger.keys.insert(validator(1), key(100 + other).public());
        let again = next(&ledger, at(4, Phase::Commit), Some(&sealed));
        assert_eq!(again, None, "another key of the same validator would cost a sealing to everybody");
    }
    ledger.keys.insert(validator(2), key(2).public());
    let keys = [(validator(1), key(1).public()), (validator(2), key(2).public())].into();
    let late = next(&ledger, at(4, Phase::Commit), Some(&sealed)).unwrap();
    assert_eq!(late.keys, keys, "a key that came late");
    assert_eq!(next(&ledger, at(4, Phase::Reveal), Some(&sealed)), None, "it is of no use any more");
    assert_eq!(next(&ledger, at(5, Phase::Seed), Some(&sealed)), None, "the epoch in flight is another one");
    let due = |epoch, phase| is_due(&task, &CLOCK, at(epoch, phase), 4);
    assert!(due(4, Phase::Commit) && !due(4, Phase::Reveal) && !due(5, Phase::Seed) && !due(3, Phase::Seed));
}

#[test]
fn as_many_as_can_be_opened_for_get_a_slice_those_with_most_stake() {
    let mut ledger = Ledger::new(CLOCK, CONSTANTS);
    let mut task = task(B256::ZERO);
    let count = MAX_RECIPIENTS + 2;
    for number in 0..count {
        let validator = Address::left_padding_from(&number.to_be_bytes());
        let mut pool = Pool::new(Role::Validator);
        pool.stakes.set(1, (U256::from(10 + number), U256::ZERO));
        task.pools.insert(validator, pool);
        ledger.keys.insert(validator, keccak256(number.to_be_bytes()));
    }
    let least = [0_usize, 1].map(|number| Address::left_padding_from(&number.to_be_bytes()));
    assert_eq!(who_misses(&ledger, &task, 3), least.into());
    let mut keys: Vec<B256> = who_gets(&ledger, &task, 3).into_values().collect();
    assert_eq!(keys.len(), MAX_RECIPIENTS);
    let opening = tree(5).opening(FIRST, 0).unwrap();
    // Ten thousand would take half a minute. Each adds as much as any other, and age some hundred bytes of its own.
    let size = |count: usize| seal(&opening, &keys[..count]).unwrap().len();
    let each = (size(501) - size(1)) / 500;
    assert!(
        each * MAX_RECIPIENTS + 4_096 <= 1 << 20,
        "{each} bytes for each are more than what is read of a list"
    );
    keys.push(key(2).public());
    assert!(matches!(seal(&opening, &keys), Err(SealedError::TooManyRecipients { .. })));
}

const CONSTANTS: Constants = Constants {
    bond: U256::ZERO,
    max_fee_wad: U256::ZERO,
    slash_wad: U256::ZERO,
    emission: U256::ZERO,
    emission_decay_wad: U256::ZERO,
    emission_period: 1,
};

const CLOCK: Clock = Clock {
    genesis: 1_000,
    epoch_length: 100,
    unbonding_epochs: 2,
    schedule: Schedule {
        submit_end: 40,
        disclose_end: 50,
        seed_end: 60,
        commit_end: 75,
        reveal_end: 90,
        seed_delay: 0,
        silent_epochs: 2,
    },
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_changed_or_cut_file_opens(at: usize, bit in 0..8_u32, cut: usize) {
        let tree = tree(5);
        let place = place(&tree, 2);
        let opening = tree.opening(place.epoch, 2).unwrap();
        let sealed = seal(&opening, &[key(1).public()]).unwrap();
        for bytes in [&sealed, &opening] {
            let mut changed = bytes.clone();
            changed[at % bytes.len()] ^= 1 << bit;
            prop_assert!(open(&changed, &key(1), &place).is_err());
            prop_assert!(open_published(&changed, &place).is_err());
            let cut = &bytes[..cut % bytes.len()];
            prop_assert!(open(cut, &key(1), &place).is_err());
            prop_assert!(open_published(cut, &place).is_err());
        }
    }

    #[test]
    fn slices_hold_all_rows_once_and_in_order(count in 1..40_u32, epochs in 1..40_u32) {
        let rows = rows(count);
        match split_into_slices(&rows, epochs, B256::ZERO) {
            Err(_) => prop_assert!(count < epochs),
            Ok(slices) => {
                let sizes: Vec<usize> = slices.iter().map(|slice| slice.rows.len()).collect();
                prop_assert_eq!(sizes.len(), epochs as usize);
                prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
                let joined: Vec<u8> =
                    slices.iter().flat_map(|slice| slice.rows.to_bytes()[12..].to_vec()).collect();
                prop_assert_eq!(&joined[..], &rows.to_bytes()[12..]);
            }
        }
    }
}
