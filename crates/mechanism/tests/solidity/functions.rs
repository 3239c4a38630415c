//! Every function that both languages have, with arguments of one word each.

use aiarena_mechanism::{
    Error, Score,
    assignment::{self, Grid},
    budget::{self, Budget},
    commitment, consensus, delegation, fixed_point, ranking, rewards, slashing,
};
use alloy_primitives::{Address, B256, I256, U256};

use crate::inputs::Kind::{
    self, Address as Account, Amount, Any, Bits32, PerShare, Phi, Place, Ratio, Score as Grade,
};

type Words = Result<Vec<U256>, Error>;

/// One function of `LibraryHarness.sol` and its twin.
pub(crate) struct Function {
    pub(crate) signature: &'static str,
    /// The widest arguments that Rust's types allow.
    pub(crate) hostile: &'static [Kind],
    /// Arguments as the contracts let them through.
    pub(crate) usual: &'static [Kind],
    pub(crate) twin: fn(&[U256]) -> Words,
}

pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        signature: "fullMulDiv(uint256,uint256,uint256)",
        hostile: &[Any, Any, Any],
        usual: &[Amount, Ratio, Amount],
        twin: |w| one(fixed_point::mul_div_down(w[0], w[1], w[2])),
    },
    Function {
        signature: "fullMulDivUp(uint256,uint256,uint256)",
        hostile: &[Any, Any, Any],
        usual: &[Amount, Ratio, Amount],
        twin: |w| one(fixed_point::mul_div_up(w[0], w[1], w[2])),
    },
    Function {
        signature: "expWad(int256)",
        hostile: &[Any],
        usual: &[Phi],
        twin: |w| signed(fixed_point::exp_wad(I256::from_raw(w[0]))),
    },
    Function {
        signature: "lnWad(int256)",
        hostile: &[Any],
        usual: &[Amount],
        twin: |w| signed(fixed_point::ln_wad(I256::from_raw(w[0]))),
    },
    Function {
        signature: "powWad(int256,int256)",
        hostile: &[Any, Any],
        usual: &[Amount, Ratio],
        twin: |w| signed(fixed_point::pow_wad(I256::from_raw(w[0]), I256::from_raw(w[1]))),
    },
    Function {
        signature: "rpowWad(uint256,uint256)",
        hostile: &[Any, Bits32],
        usual: &[Ratio, Place],
        twin: |w| one(fixed_point::rpow_wad(w[0], small(w[1]))),
    },
    Function {
        signature: "assignmentSeed(uint256,uint256,address,uint256,uint256,bytes32)",
        hostile: &[Any, Bits32, Account, Any, Bits32, Any],
        usual: &[Any, Bits32, Account, Place, Place, Any],
        twin: |w| {
            let (chain, arena) = (u64::from(small(w[1])), account(w[2]));
            word(assignment::seed(w[0].into(), chain, arena, w[3], small(w[4]), w[5].into()))
        },
    },
    Function {
        signature: "listDigest(bytes32,address,bytes32,uint256)",
        hostile: &[Any, Account, Any, Bits32],
        usual: &[Any, Account, Any, Place],
        twin: |w| {
            word(assignment::list_digest(w[0].into(), account(w[1]), w[2].into(), u64::from(small(w[3]))))
        },
    },
    Function {
        signature: "assignmentKey(bytes32,uint256,uint256,address)",
        hostile: &[Any, Any, Bits32, Account],
        usual: &[Any, Place, Place, Account],
        twin: |w| word(assignment::key(w[0].into(), w[1], small(w[2]), account(w[3]))),
    },
    Function {
        signature: "assignmentCount(uint256,uint256,uint256,uint256)",
        hostile: &[Bits32, Bits32, Any, Any],
        usual: &[Place, Place, Amount, Amount],
        twin: |w| count(assignment::count(small(w[0]), small(w[1]), w[2], w[3])),
    },
    Function {
        signature: "assignmentImage(bytes32,uint256,uint256)",
        hostile: &[Any, Bits32, Bits32],
        usual: &[Any, Place, Place],
        twin: |w| count(Grid::new(small(w[1])).image(w[0].into(), small(w[2]))),
    },
    Function {
        signature: "assignmentPreimage(bytes32,uint256,uint256)",
        hostile: &[Any, Bits32, Bits32],
        usual: &[Any, Place, Place],
        twin: |w| count(Grid::new(small(w[1])).preimage(w[0].into(), small(w[2]))),
    },
    Function {
        signature: "assignmentGrid(uint256)",
        hostile: &[Bits32],
        usual: &[Place],
        twin: |w| {
            let grid = Grid::new(small(w[0]));
            Ok(vec![U256::from(grid.a()), U256::from(grid.b())])
        },
    },
    Function {
        signature: "isLegal(uint256)",
        hostile: &[Bits32],
        usual: &[Grade],
        twin: |w| flag(Ok(Score::from_wire(small(w[0])).is_ok())),
    },
    Function {
        signature: "consensusWeight(uint256,uint256,uint256)",
        hostile: &[Any, Bits32, Bits32],
        usual: &[Amount, Place, Place],
        twin: |w| one(consensus::weight(w[0], small(w[1]), small(w[2]))),
    },
    Function {
        signature: "hasQuorum(uint256,uint256)",
        hostile: &[Any, Any],
        usual: &[Amount, Amount],
        twin: |w| flag(consensus::has_quorum(w[0], w[1])),
    },
    Function {
        signature: "isLowerMedian(uint256,uint256,uint256,uint256)",
        hostile: &[Bits32, Any, Any, Any],
        usual: &[Grade, Place, Place, Place],
        twin: |w| flag(consensus::is_lower_median(small(w[0]), w[1], w[2], w[3])),
    },
    Function {
        signature: "integralWad(uint256,uint256)",
        hostile: &[Any, Any],
        usual: &[Ratio, Phi],
        twin: |w| one(ranking::integral_wad(w[0], w[1])),
    },
    Function {
        signature: "integralCumulative(uint256,uint256,uint256,uint256)",
        hostile: &[Any, Any, Any, Any],
        usual: &[Amount, Amount, Amount, Phi],
        twin: |w| one(ranking::integral_cumulative(w[0], w[1], w[2], w[3])),
    },
    Function {
        signature: "integralWithoutDelegation(uint256,uint256,uint256,uint256,uint256,uint256)",
        hostile: &[Any, Any, Any, Any, Any, Any],
        usual: &[Amount, Amount, Amount, Amount, Amount, Phi],
        twin: |w| one(ranking::integral_without_delegation(w[0], w[1], w[2], w[3], w[4], w[5])),
    },
    Function {
        signature: "decay(uint256,uint256)",
        hostile: &[Any, Any],
        usual: &[Ratio, Ratio],
        twin: |w| one(ranking::decay(w[0], w[1])),
    },
    Function {
        signature: "stakePower(uint256,uint256)",
        hostile: &[Any, Any],
        usual: &[Amount, Ratio],
        twin: |w| one(ranking::stake_power(w[0], w[1])),
    },
    Function {
        signature: "geometricWeight(uint256,uint256,uint256)",
        hostile: &[Any, Any, Any],
        usual: &[Ratio, Amount, Ratio],
        twin: |w| one(ranking::geometric_weight(w[0], w[1], w[2])),
    },
    Function {
        signature: "effective(uint256,uint256,uint256)",
        hostile: &[Any, Any, Any],
        usual: &[Amount, Amount, Ratio],
        twin: |w| one(rewards::effective(w[0], w[1], w[2])),
    },
    Function {
        signature: "nodeBudget(uint256,uint256,uint256,uint256)",
        hostile: &[Any, Any, Any, Any],
        usual: &[Amount, Ratio, Amount, Amount],
        twin: |w| one(rewards::node_budget(w[0], w[1], w[2], w[3])),
    },
    Function {
        signature: "accuracy(uint256,uint256,uint256,uint256)",
        hostile: &[Grade, Grade, Bits32, Bits32],
        usual: &[Grade, Grade, Grade, Grade],
        twin: |w| one(Ok(rewards::accuracy(grade(w[0])?, grade(w[1])?, small(w[2]), small(w[3])))),
    },
    Function {
        signature: "validatorWeight(uint256,uint256,uint256)",
        hostile: &[Any, Any, Any],
        usual: &[Amount, Amount, Ratio],
        twin: |w| one(rewards::validator_weight(w[0], w[1], w[2])),
    },
    Function {
        signature: "proportional(uint256,uint256,uint256)",
        hostile: &[Any, Any, Any],
        usual: &[Amount, Amount, Amount],
        twin: |w| one(rewards::proportional(w[0], w[1], w[2])),
    },
    Function {
        signature: "operatorShare(uint256,uint256,uint256)",
        hostile: &[Any, Any, Any],
        usual: &[Amount, Amount, Ratio],
        twin: |w| one(rewards::operator_share(w[0], w[1], w[2])),
    },
    Function {
        signature: "returnUnpaid(uint256,uint256,uint256)",
        hostile: &[Any, Any, Any],
        usual: &[Amount, Amount, Amount],
        twin: |w| {
            let rest = Budget { emission: w[0], bounty: w[1] }.unpaid(w[2])?;
            Ok(vec![rest.emission, rest.bounty])
        },
    },
    Function {
        signature: "emission(uint256,uint256,uint256,uint256)",
        hostile: &[Any, Any, Bits32, Bits32],
        usual: &[Amount, Ratio, Place, Place],
        twin: |w| one(budget::emission(w[0], w[1], small(w[2]), small(w[3]))),
    },
    Function {
        signature: "fee(uint256,uint256)",
        hostile: &[Any, Any],
        usual: &[Amount, Ratio],
        twin: |w| one(rewards::fee(w[0], w[1])),
    },
    Function {
        signature: "fold(uint256,uint256,uint256)",
        hostile: &[Any, Any, Any],
        usual: &[PerShare, Amount, Amount],
        twin: |w| delegation::fold(w[0], w[1], w[2]).map(|(per_share, rest)| vec![per_share, rest]),
    },
    Function {
        signature: "accrued(uint256,uint256,uint256)",
        hostile: &[Any, Any, Any],
        usual: &[Amount, PerShare, PerShare],
        twin: |w| one(delegation::accrued(w[0], w[1], w[2])),
    },
    Function {
        signature: "penalty(uint256,uint256)",
        hostile: &[Any, Any],
        usual: &[Amount, Ratio],
        twin: |w| one(slashing::penalty(w[0], w[1])),
    },
    Function {
        signature: "lossWad(uint256,uint256,uint256)",
        hostile: &[Any, Any, Any],
        usual: &[Amount, Amount, Ratio],
        twin: |w| one(slashing::loss_wad(w[0], w[1], w[2])),
    },
    Function {
        signature: "reduced(uint256,uint256)",
        hostile: &[Any, Any],
        usual: &[Ratio, Ratio],
        twin: |w| one(slashing::reduced(w[0], w[1])),
    },
    Function {
        signature: "worth(uint256,uint256)",
        hostile: &[Any, Any],
        usual: &[Amount, Ratio],
        twin: |w| one(slashing::worth(w[0], w[1])),
    },
    Function {
        signature: "sharesFor(uint256,uint256)",
        hostile: &[Any, Any],
        usual: &[Amount, Ratio],
        twin: |w| one(slashing::shares_for(w[0], w[1])),
    },
    Function {
        signature: "sharesOf(uint256,uint256)",
        hostile: &[Any, Any],
        usual: &[Amount, Ratio],
        twin: |w| one(slashing::shares_of(w[0], w[1])),
    },
    Function {
        signature: "submissionCommitment(uint256,address,uint256,uint256,address,bytes32,bytes32)",
        hostile: &[Bits32, Account, Any, Bits32, Account, Any, Any],
        usual: &[Bits32, Account, Place, Place, Account, Any, Any],
        twin: |w| {
            let (chain, arena, node) = (u64::from(small(w[0])), account(w[1]), account(w[4]));
            word(commitment::submission(chain, arena, w[2], small(w[3]), node, w[5].into(), w[6].into()))
        },
    },
    Function {
        signature: "tagged(bytes32,uint32)",
        hostile: &[Any, Bits32],
        usual: &[Any, Place],
        twin: |w| word(commitment::tagged(w[0].into(), small(w[1]))),
    },
];

fn one(result: Result<U256, Error>) -> Words {
    result.map(|word| vec![word])
}

fn signed(result: Result<I256, Error>) -> Words {
    one(result.map(I256::into_raw))
}

fn count(result: Result<u32, Error>) -> Words {
    one(result.map(U256::from))
}

fn flag(result: Result<bool, Error>) -> Words {
    one(result.map(U256::from))
}

fn word(hash: B256) -> Words {
    one(Ok(hash.into()))
}

fn small(word: U256) -> u32 {
    word.to::<u32>()
}

fn grade(word: U256) -> Result<Score, Error> {
    Score::new(small(word))
}

fn account(word: U256) -> Address {
    Address::from_word(word.into())
}
