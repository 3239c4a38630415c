//! Who takes part in a task, with what stake, and what they submit and report.

use aiarena_chain::bindings::Arena as Contract;
use aiarena_mechanism::{
    Score,
    fixed_point::WAD,
    ranking::RankingRule,
    settle::{Pool, Task},
};
use alloy::primitives::{Address, B256, U256, aliases::U96, keccak256};

use crate::random::Random;

/// One pool, as it counts from the first epoch on.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its account, by number.
    pub(crate) account: usize,
    pub(crate) pool: Pool,
    /// Who delegates how much.
    pub(crate) delegations: Vec<(usize, U256)>,
}

/// A task and everybody in it.
#[derive(Debug, Clone)]
pub(crate) struct Population {
    pub(crate) task: U256,
    pub(crate) params: Contract::TaskParams,
    pub(crate) rules: Task,
    pub(crate) nodes: Vec<Member>,
    pub(crate) validators: Vec<Member>,
    pub(crate) bounty: U256,
}

/// Sizes with a median of some 20 nodes, and now and then the most that there are.
fn size(random: &mut Random, most: usize) -> usize {
    match random.below(100) {
        0 => most,
        1..10 => 1 + random.below(2),
        10..60 => 1 + random.below(most / 10),
        60..95 => most / 10 + random.below(most / 8),
        _ => 1 + random.below(most),
    }
}

impl Population {
    /// `first` is the number of the first account of this population; the next free one comes back.
    pub(crate) fn new(task: u64, random: &mut Random, accounts: &[Address], epochs: u32) -> Self {
        let nodes = size(random, 200);
        let validators = size(random, 100);
        let delegators = size(random, 500).min(accounts.len() - nodes - validators);
        let rule = if random.chance(50) {
            RankingRule::StakeIntegral {
                phi_wad: WAD / U256::from(20) + U256::from(random.word() % 9_000_000_000_000_000_000),
            }
        } else {
            RankingRule::RankGeometric {
                q_wad: U256::from(1 + random.word() % 1_000_000_000_000_000_000),
                alpha_wad: *random.pick(&[U256::ZERO, WAD, WAD / U256::from(2), WAD / U256::from(7)]),
                cutoff: *random.pick(&[0, 0, 1, 5]),
            }
        };
        let rules = Task {
            rule,
            gamma_wad: U256::from(random.word() % 500_000_000_000_000_001),
            epsilon_wad: *random.pick(&[WAD, WAD, WAD / U256::from(3), U256::ZERO]),
            tolerance: *random.pick(&[0, 1, 1_000, 10_000_000]),
            redundancy: *random.pick(&[1, 3, 15, 15, 15, 40]),
        };
        let mut members = |from: usize, count: usize| -> Vec<Member> {
            (from..from + count).map(|account| Member::new(account, accounts, random)).collect()
        };
        let mut population = Self {
            task: U256::from(task),
            params: params(&rules, epochs),
            rules,
            nodes: members(0, nodes),
            validators: members(nodes, validators),
            bounty: U256::ZERO,
        };
        population.bounty = random.amount();
        for delegator in nodes + validators..nodes + validators + delegators {
            let side = if random.chance(50) { &mut population.nodes } else { &mut population.validators };
            let member = random.below(side.len());
            let amount = random.amount();
            side[member].delegations.push((delegator, amount));
            side[member].pool.delegated += amount;
        }
        population
    }

    pub(crate) fn forget_commissions(&mut self) {
        for member in self.nodes.iter_mut().chain(&mut self.validators) {
            member.pool.commission_wad = U256::ZERO;
        }
    }

    /// Nodes, validators and delegations.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        let delegations = self.nodes.iter().chain(&self.validators).map(|member| member.delegations.len());
        (self.nodes.len(), self.validators.len(), delegations.sum())
    }
}

impl Member {
    fn new(account: usize, accounts: &[Address], random: &mut Random) -> Self {
        let commission = random.word() % 1_000_000_001;
        let pool = Pool {
            operator: accounts[account],
            direct: random.amount(),
            delegated: U256::ZERO,
            commission_wad: U256::from(commission) * U256::from(1_000_000_000_u64),
        };
        Self { account, pool, delegations: Vec::new() }
    }
}

fn params(rules: &Task, epochs: u32) -> Contract::TaskParams {
    let narrow = |value: U256| -> u64 { value.to() };
    let (rule, phi, q, alpha, cutoff) = match rules.rule {
        RankingRule::StakeIntegral { phi_wad } => (0, narrow(phi_wad), 0, 0, 0),
        RankingRule::RankGeometric { q_wad, alpha_wad, cutoff } => {
            (1, 0, narrow(q_wad), narrow(alpha_wad), u16::try_from(cutoff).unwrap())
        }
    };
    Contract::TaskParams {
        metadata: B256::ZERO,
        evaluationRoot: B256::ZERO,
        minNodeStake: U96::from(1),
        minValidatorStake: U96::from(1),
        redundancy: u8::try_from(rules.redundancy).unwrap(),
        freshData: true,
        rule,
        metric: 0,
        maxSubmissions: 200,
        rankCutoff: cutoff,
        epsilonWad: narrow(rules.epsilon_wad),
        gammaWad: narrow(rules.gamma_wad),
        phiWad: phi,
        tolerance: rules.tolerance,
        epochs,
        qWad: q,
        alphaWad: alpha,
        lossCapWad: 0,
    }
}

/// What a node submits in an epoch: now and then what another one submits, too.
pub(crate) fn content(epoch: u32, task: U256, node: usize, random: &mut Random) -> B256 {
    let node = if random.chance(5) { node / 2 } else { node };
    keccak256(
        [task.to_be_bytes::<32>(), U256::from(epoch).to_be_bytes(), U256::from(node).to_be_bytes()].concat(),
    )
}

/// What a validator says of a submission: mostly near the truth.
pub(crate) fn score(truth: u32, random: &mut Random) -> Option<Score> {
    let wire = match random.below(20) {
        0 => u32::MAX,
        1 => 0,
        2 => u32::try_from(random.word() % 1_000_000_001).unwrap(),
        3..10 => truth + u32::try_from(random.word() % 3_000).unwrap(),
        _ => truth,
    };
    Score::from_wire(wire).unwrap()
}
