//! P9 for what is longer than a word: a validator's commitment to its whole sheet of scores.

use aiarena_mechanism::commitment;
use alloy_primitives::{Address, B256, U256};
use proptest::prelude::*;

use crate::differential::runner;
use crate::evm::{Harness, calldata};

/// Everything that a commitment to scores binds.
#[derive(Debug, Clone)]
pub(crate) struct Sheet {
    pub(crate) chain_id: u64,
    pub(crate) arena: Address,
    pub(crate) task: U256,
    pub(crate) epoch: u32,
    pub(crate) validator: Address,
    pub(crate) salt: B256,
    pub(crate) seed: B256,
    pub(crate) scores: Vec<u8>,
}

impl Sheet {
    pub(crate) fn commitment(&self) -> B256 {
        let Self { chain_id, arena, task, epoch, validator, salt, seed, ref scores } = *self;
        commitment::scores(chain_id, arena, task, epoch, validator, salt, seed, scores)
    }

    /// The seven words before the scores.
    pub(crate) fn words(&self) -> [U256; 7] {
        [
            U256::from(self.chain_id),
            self.arena.into_word().into(),
            self.task,
            U256::from(self.epoch),
            self.validator.into_word().into(),
            self.salt.into(),
            self.seed.into(),
        ]
    }

    fn call(&self) -> Vec<u8> {
        let signature = "scoresCommitment(uint256,address,uint256,uint256,address,bytes32,bytes32,bytes)";
        let (offset, length) = (U256::from(8 * 32), U256::from(self.scores.len()));
        let mut data = calldata(signature, &[&self.words()[..], &[offset, length]].concat());
        data.extend(&self.scores);
        data.resize(data.len() + self.scores.len().next_multiple_of(32) - self.scores.len(), 0);
        data
    }
}

fn sheets(most: usize) -> impl Strategy<Value = Sheet> {
    let scores = prop::collection::vec(any::<u8>(), 0..=most);
    let ids = (any::<u64>(), any::<[u8; 20]>(), any::<[u64; 4]>(), any::<u32>(), any::<[u8; 20]>());
    (ids, any::<[u8; 32]>(), any::<[u8; 32]>(), scores).prop_map(|(ids, salt, seed, scores)| {
        let (chain_id, arena, task, epoch, validator) = ids;
        Sheet {
            chain_id,
            arena: arena.into(),
            task: U256::from_limbs(task),
            epoch,
            validator: validator.into(),
            salt: salt.into(),
            seed: seed.into(),
            scores,
        }
    })
}

#[test]
fn p9_commitments_to_sheets_agree() {
    let harness = Harness::deploy();
    let outcome = runner().run(&sheets(100), |sheet| {
        prop_assert_eq!(harness.call(sheet.call()), Ok(sheet.commitment().to_vec()));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn p9_the_longest_sheet_agrees() {
    let sheet = Sheet {
        chain_id: u64::MAX,
        arena: Address::repeat_byte(1),
        task: U256::MAX,
        epoch: u32::MAX,
        validator: Address::repeat_byte(2),
        salt: B256::repeat_byte(3),
        seed: B256::repeat_byte(4),
        scores: (0..2048_u32).flat_map(u32::to_be_bytes).collect(),
    };
    assert_eq!(Harness::deploy().call(sheet.call()), Ok(sheet.commitment().to_vec()));
}
