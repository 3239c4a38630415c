//! Who takes part in the demo: names, keys, stakes and behaviour, all from the seed.

use aiarena_ml::{Architecture, TrainingConfig};
use alloy::{
    primitives::{Address, B256, Keccak256, U256},
    signers::local::PrivateKeySigner,
};
use anyhow::{Context, Result, ensure};

/// One whole token in base units.
pub const TOKEN: u128 = 1_000_000_000_000_000_000;

/// Amount of whole tokens in base units.
#[must_use]
pub fn tokens(whole: u64) -> U256 {
    U256::from(whole) * U256::from(TOKEN)
}

/// How a node behaves.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Trains its own model in every epoch.
    Honest(Skill),
    /// Submits a byte copy of the leader's model, later one with a little noise.
    Copier,
    /// Submits artifacts that are no models.
    Malformed,
}

/// How a validator behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidatorKind {
    /// Reports what it finds.
    Honest,
    /// Reports the best score for a friend and the worst for the leader.
    Liar,
    /// Reports one constant without looking.
    Lazy,
    /// Commits and never reveals.
    Silent,
}

impl ValidatorKind {
    /// For the report.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Liar => "liar",
            Self::Lazy => "lazy",
            Self::Silent => "commits, never reveals",
        }
    }
}

/// A model family and how it is trained: what makes nodes honestly different.
#[derive(Debug, Clone)]
pub struct Skill {
    /// For the report.
    pub label: &'static str,
    /// The model.
    pub architecture: Architecture,
    /// Training in the first epoch; later ones go on from there.
    pub training: TrainingConfig,
    /// Passes in each later epoch.
    pub later_passes: usize,
}

/// A training node.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// For the report.
    pub name: String,
    /// Its key.
    pub signer: PrivateKeySigner,
    /// Direct stake.
    pub stake: U256,
    /// What it does.
    pub kind: NodeKind,
}

/// A validator.
#[derive(Debug, Clone)]
pub struct ValidatorSpec {
    /// For the report.
    pub name: String,
    /// Its key.
    pub signer: PrivateKeySigner,
    /// Direct stake.
    pub stake: U256,
    /// What it does.
    pub kind: ValidatorKind,
}

/// A delegator and to whom it delegates.
#[derive(Debug, Clone)]
pub struct DelegatorSpec {
    /// For the report.
    pub name: String,
    /// Its key.
    pub signer: PrivateKeySigner,
    /// Operators and amounts.
    pub delegations: Vec<(Address, U256)>,
}

/// Everybody.
#[derive(Debug, Clone)]
pub struct Population {
    /// Deploys, mints, creates the task, and owns the emission: it admits the task and sets the fee.
    pub creator: PrivateKeySigner,
    /// Gets the fees.
    pub treasury: Address,
    /// Training nodes.
    pub nodes: Vec<NodeSpec>,
    /// Validators.
    pub validators: Vec<ValidatorSpec>,
    /// Delegators.
    pub delegators: Vec<DelegatorSpec>,
}

/// How many take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Honest nodes.
    pub nodes: usize,
    /// Honest validators.
    pub validators: usize,
    /// Effective stake of the liar in whole tokens. A test gives it the majority, to show that the checks can fail.
    pub liar_stake: u64,
}

/// 32 bytes that follow from the demo's seed and what they are for.
#[must_use]
pub fn derive(seed: u64, purpose: &str, index: usize) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(b"aiarena demo");
    hasher.update(seed.to_be_bytes());
    hasher.update((index as u64).to_be_bytes());
    hasher.update(purpose.as_bytes());
    hasher.finalize()
}

/// A key that follows from the demo's seed. Anyone can compute it: for development chains only.
fn signer(seed: u64, purpose: &str, index: usize) -> Result<PrivateKeySigner> {
    PrivateKeySigner::from_bytes(&derive(seed, purpose, index)).context("derive a key from the seed")
}

impl Population {
    /// The population of a seed.
    ///
    /// # Errors
    /// If a size is out of range.
    pub fn new(seed: u64, size: Size) -> Result<Self> {
        ensure!((2..=24).contains(&size.nodes), "--nodes must be 2 to 24, not {}", size.nodes);
        ensure!((3..=40).contains(&size.validators), "--validators must be 3 to 40, not {}", size.validators);
        let mut nodes = Vec::new();
        for i in 0..size.nodes {
            let skill = skill(seed, i)?;
            nodes.push(NodeSpec {
                name: format!("node-{} ({})", i + 1, skill.label),
                signer: signer(seed, "node", i)?,
                stake: tokens(NODE_STAKES[i % NODE_STAKES.len()]),
                kind: NodeKind::Honest(skill),
            });
        }
        for (name, kind) in [("copier", NodeKind::Copier), ("malformed", NodeKind::Malformed)] {
            let signer = signer(seed, name, 0)?;
            nodes.push(NodeSpec { name: name.to_owned(), signer, stake: tokens(1_000), kind });
        }

        let mut validators = Vec::new();
        for i in 0..size.validators {
            validators.push(ValidatorSpec {
                name: format!("validator-{}", i + 1),
                signer: signer(seed, "validator", i)?,
                stake: tokens(2_000 + 250 * (i as u64 % 3)),
                kind: ValidatorKind::Honest,
            });
        }
        for (name, kind, stake) in [
            ("liar", ValidatorKind::Liar, size.liar_stake),
            ("lazy", ValidatorKind::Lazy, 2_000),
            ("silent", ValidatorKind::Silent, 2_000),
        ] {
            let signer = signer(seed, name, 0)?;
            validators.push(ValidatorSpec { name: name.to_owned(), signer, stake: tokens(stake), kind });
        }

        let (first_node, second_node) = (nodes[0].signer.address(), nodes[1].signer.address());
        let (honest, liar) = (validators[0].signer.address(), validators[size.validators].signer.address());
        let delegators = vec![
            ("Dora", vec![(first_node, tokens(1_500)), (honest, tokens(500))]),
            ("Emil", vec![(honest, tokens(1_000)), (second_node, tokens(400))]),
            ("Fay", vec![(liar, tokens(600)), (first_node, tokens(300))]),
        ];
        let delegators = delegators
            .into_iter()
            .enumerate()
            .map(|(i, (name, delegations))| {
                Ok(DelegatorSpec {
                    name: name.to_owned(),
                    signer: signer(seed, "delegator", i)?,
                    delegations,
                })
            })
            .collect::<Result<_>>()?;
        let treasury = signer(seed, "treasury", 0)?.address();
        Ok(Self { creator: signer(seed, "creator", 0)?, treasury, nodes, validators, delegators })
    }

    /// The address of whom the liar favours: the weakest honest node.
    #[must_use]
    pub fn friend(&self) -> Address {
        let mut honest = self.nodes.iter().filter(|node| matches!(node.kind, NodeKind::Honest(_)));
        honest.next_back().map_or(Address::ZERO, |node| node.signer.address())
    }

    /// All keys, each once: the creator first.
    pub fn signers(&self) -> impl Iterator<Item = &PrivateKeySigner> {
        std::iter::once(&self.creator)
            .chain(self.nodes.iter().map(|node| &node.signer))
            .chain(self.validators.iter().map(|validator| &validator.signer))
            .chain(self.delegators.iter().map(|delegator| &delegator.signer))
    }

    /// The name of an address; the address itself if it has none.
    #[must_use]
    pub fn name(&self, address: Address) -> String {
        let named =
            |signer: &PrivateKeySigner, name: &String| (signer.address() == address).then(|| name.clone());
        self.nodes
            .iter()
            .find_map(|node| named(&node.signer, &node.name))
            .or_else(|| self.validators.iter().find_map(|v| named(&v.signer, &v.name)))
            .or_else(|| self.delegators.iter().find_map(|d| named(&d.signer, &d.name)))
            .unwrap_or_else(|| address.to_string())
    }
}

/// Direct stakes of the honest nodes in whole tokens, on purpose not in the order of their skill.
const NODE_STAKES: [u64; 6] = [1_500, 2_500, 1_000, 3_000, 2_000, 1_200];

/// The skill of the i-th honest node. The first six differ in family, size, data and passes; further ones repeat them with
/// other data and weights of their own.
fn skill(seed: u64, index: usize) -> Result<Skill> {
    type Preset = (&'static str, fn() -> Result<Architecture>, usize, [usize; 2], usize, f64);
    let presets: [Preset; 6] = [
        ("CNN 8-16, 8000 rows", || Ok(Architecture::cnn([8, 16])?), 8_000, [5, 2], 16, 0.01),
        ("MLP 64, 8000 rows", || Ok(Architecture::mlp(&[64])?), 8_000, [4, 1], 32, 0.015),
        ("linear, 8000 rows", || Ok(Architecture::linear()), 8_000, [4, 1], 32, 0.002),
        ("MLP 16, 1500 rows", || Ok(Architecture::mlp(&[16])?), 1_500, [6, 1], 32, 0.006),
        ("linear, 300 rows", || Ok(Architecture::linear()), 300, [10, 2], 32, 0.002),
        ("linear, 60 rows", || Ok(Architecture::linear()), 60, [20, 5], 16, 0.002),
    ];
    let (label, architecture, rows, [passes, later_passes], batch, learning_rate) =
        presets[index % presets.len()];
    let seed = derive(seed, "training", index).0;
    let training = TrainingConfig { rows, passes, batch, learning_rate, momentum: 0.9, seed };
    Ok(Skill { label, architecture: architecture()?, training, later_passes })
}
