//! Who takes part in a task, and what they submit and report.

use aiarena_chain::bindings::Arena as Contract;
use aiarena_mechanism::{
    Score,
    fixed_point::WAD,
    ranking::RankingRule,
    settle::{Task, Totals},
};
use alloy::primitives::{Address, B256, U256, aliases::U96, keccak256};

use crate::{
    list::{Entry, List},
    random::Random,
    stakes::Member,
};

/// A task and everybody in it.
#[derive(Debug, Clone)]
pub(crate) struct Population {
    pub(crate) task: U256,
    pub(crate) params: Contract::TaskParams,
    pub(crate) rules: Task,
    pub(crate) list: List,
    pub(crate) nodes: Vec<Member>,
    pub(crate) validators: Vec<Member>,
    pub(crate) bounty: U256,
    /// The epoch drawn last.
    pub(crate) drawn: u32,
}

/// The most nodes, validators and delegators of a task.
pub(crate) const MOST: (usize, usize, usize) = (200, 100, 500);

/// Sizes with a median of some 20, and now and then any up to the most.
fn size(random: &mut Random, most: usize) -> usize {
    match random.below(100) {
        0 => most,
        1..10 => 1 + random.below(2),
        10..50 => 1 + random.below(20),
        50..95 => 20 + random.below(20),
        _ => 1 + random.below(most),
    }
}

impl Population {
    /// A population of random sizes, or of the most that there are.
    pub(crate) fn new(
        task: u64,
        largest: bool,
        random: &mut Random,
        accounts: &[Address],
        epochs: u32,
    ) -> Self {
        let mut size = |most| if largest { most } else { size(random, most) };
        let (nodes, validators, delegators) = (size(MOST.0), size(MOST.1), size(MOST.2));
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
        let params = params(&rules, random, epochs);
        let mut members = |from: usize, count: usize| -> Vec<Member> {
            (from..from + count).map(|account| Member::new(account, accounts, random)).collect()
        };
        let mut population = Self {
            task: U256::from(task),
            params,
            rules,
            list: List::default(),
            nodes: members(0, nodes),
            validators: members(nodes, validators),
            bounty: U256::ZERO,
            drawn: 0,
        };
        population.bounty = random.amount();
        for delegator in nodes + validators..nodes + validators + delegators {
            let side = if random.chance(50) { &mut population.nodes } else { &mut population.validators };
            let member = random.below(side.len());
            side[member].founded_by(delegator, random.amount());
        }
        population
    }

    /// Whether a node's direct stake is the least in the current epoch.
    pub(crate) fn has_node(&self, node: usize) -> bool {
        self.nodes[node].pool.direct >= U256::from(self.params.minNodeStake)
    }

    /// Whether a validator's direct stake is the least in the current epoch.
    pub(crate) fn has_validator(&self, validator: usize) -> bool {
        self.validators[validator].pool.direct >= U256::from(self.params.minValidatorStake)
    }

    /// Whether a submission's node is eligible, and did not withdraw it before the epoch.
    pub(crate) fn is_eligible(&self, entry: &Entry, epoch: u32) -> bool {
        self.has_node(entry.node) && entry.withdrawn_in.is_none_or(|withdrawn| withdrawn >= epoch)
    }

    /// Stakes of all eligible pools.
    pub(crate) fn totals(&self) -> Totals {
        let nodes = (0..self.nodes.len()).filter(|i| self.has_node(*i)).map(|i| self.nodes[i].pool);
        let validators =
            (0..self.validators.len()).filter(|i| self.has_validator(*i)).map(|i| self.validators[i].pool);
        Totals {
            nodes_direct: nodes.map(|pool| pool.direct).sum(),
            validators_direct: validators.clone().map(|pool| pool.direct).sum(),
            validators_delegated: validators.map(|pool| pool.delegated).sum(),
        }
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

fn params(rules: &Task, random: &mut Random, epochs: u32) -> Contract::TaskParams {
    let narrow = |value: U256| -> u64 { value.to() };
    let (rule, phi, q, alpha, cutoff) = match rules.rule {
        RankingRule::StakeIntegral { phi_wad } => (0, narrow(phi_wad), 0, 0, 0),
        RankingRule::RankGeometric { q_wad, alpha_wad, cutoff } => {
            (1, 0, narrow(q_wad), narrow(alpha_wad), u16::try_from(cutoff).unwrap())
        }
    };
    let minimum = |random: &mut Random| match random.below(2) {
        0 => U96::from(1),
        _ => U96::from(1_u64 << random.below(30)),
    };
    Contract::TaskParams {
        metadata: B256::ZERO,
        evaluationRoot: B256::ZERO,
        minNodeStake: minimum(random),
        minValidatorStake: minimum(random),
        redundancy: u8::try_from(rules.redundancy).unwrap(),
        freshData: random.chance(50),
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
