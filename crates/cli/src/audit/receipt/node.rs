//! The receipt of a training node for one epoch.

use aiarena_chain::ledger::Role;
use aiarena_mechanism::{
    Score,
    ranking::{RankingRule, decay, geometric_weight, integral_cumulative},
    rewards::proportional,
    settle::{SettledSubmission, Status, Submission},
};
use alloy::primitives::{Address, U256};

use super::{Page, Paper, percent, ratio};

pub(super) fn write(page: &Page, node: Address, paper: &mut Paper) {
    let Some(place) = page.flight.entries.iter().position(|entry| entry.node == node) else { return };
    let (input, settled) = (&page.epoch.input.submissions[place], &page.epoch.settlement.submissions[place]);
    let entry = &page.flight.entries[place];
    paper.begin(page, &input.pool, Role::Node);
    paper.line("M-1", format!("submission number {}, artifact {}", entry.number, entry.content_hash));
    scores(page, place, settled, paper);
    let Some(rank) = settled.rank else {
        paper.line("M-5", format!("not ranked and not paid: {}", why_unranked(settled.status)));
        return;
    };
    paper.budget(page, Role::Node);
    boundaries(page, rank, input, settled, paper);
    paper.split(page, &input.pool, &settled.payment);
}

fn why_unranked(status: Status) -> &'static str {
    match status {
        Status::Ineligible => "too little stake of its own, or withdrawn",
        Status::Duplicate => "another node disclosed the same file under a lower number (M-11)",
        Status::NoQuorum => "validators of less than a third of the stake scored it",
        Status::Invalid => "the consensus is that it is invalid or a copy (score 0)",
        Status::Ranked => "",
    }
}

/// Who scored it, and how.
fn scores(page: &Page, place: usize, settled: &SettledSubmission, paper: &mut Paper) {
    let settlement = &page.epoch.settlement;
    if page.epoch.input.submissions[place].kept.is_some() {
        let score = settled.consensus.map_or(0, Score::get);
        paper.line("M-9", format!("it is unchanged and keeps its consensus score {score}"));
        return;
    }
    for (validator, by_rule) in page.epoch.input.validators.iter().zip(&settlement.validators) {
        for (_, score) in validator.scores.iter().filter(|(entry, _)| *entry as usize == place) {
            let score = score.map_or_else(|| "an abstention".to_owned(), |score| score.get().to_string());
            let weight = paper.tokens(by_rule.omega);
            paper.line("M-10", format!("{} revealed {score}, weight {weight}", validator.pool.operator));
        }
    }
    let (revealed, all) = (paper.tokens(settled.revealed_weight), paper.tokens(settlement.validator_stake));
    paper.line("M-7", format!("revealed weight {revealed} of a stake of {all}; a quorum is a third of it"));
    match settled.consensus {
        Some(score) => paper.more(format!("consensus, the lower weighted median: {}", score.get())),
        None => paper.more("there is no quorum, so no consensus".to_owned()),
    }
}

/// The reward as a difference of cumulative boundaries.
fn boundaries(page: &Page, rank: u32, input: &Submission, settled: &SettledSubmission, paper: &mut Paper) {
    let settlement = &page.epoch.settlement;
    let ranked = settlement.order.len();
    let ahead = settlement.order.iter().take(rank.saturating_sub(1) as usize);
    let ahead: Vec<U256> = ahead.map(|entry| settlement.submissions[*entry as usize].stake).collect();
    let above = ahead.iter().fold(U256::ZERO, |sum, stake| sum.saturating_add(*stake));
    let (stake, total) = (settled.stake, settlement.ranked_stake);
    let reward = settled.payment.reward.with_delegation;
    paper.line("M-5", format!("rank {rank} of {ranked}, with commitment number {} for ties", input.number));
    match page.task.params.rules.rule {
        RankingRule::StakeIntegral { phi_wad } => {
            let of = |up_to| integral_cumulative(settlement.node_budget, up_to, total, phi_wad);
            let (lower, upper) = (of(above), of(above.saturating_add(stake)));
            paper.more(format!(
                "stake ranked above a = {}, its own t = {}, all S = {}, φ = {}",
                paper.tokens(above),
                paper.tokens(stake),
                paper.tokens(total),
                ratio(phi_wad)
            ));
            paper.more(format!(
                "budget × F((a+t)/S) − budget × F(a/S) = {} − {} = {}",
                paper.computed(upper),
                paper.computed(lower),
                paper.tokens(reward)
            ));
        }
        RankingRule::RankGeometric { q_wad, alpha_wad, cutoff } => {
            let weights = geometric(page, q_wad, alpha_wad, cutoff);
            let sum = |count: usize| weights.iter().take(count).fold(U256::ZERO, |a, b| a.saturating_add(*b));
            let all = sum(weights.len());
            let (lower, upper) = (sum(ahead.len()), sum(ahead.len() + 1));
            let own = weights.get(ahead.len()).copied().unwrap_or_default();
            paper.more(format!(
                "weight q^(rank−1) × t^α is {} of all weights, with t = {}, q = {}, α = {}, paid ranks {}",
                percent(own, all),
                paper.tokens(stake),
                ratio(q_wad),
                ratio(alpha_wad),
                if cutoff == 0 { "all".to_owned() } else { format!("up to {cutoff}") },
            ));
            let of = |up_to| proportional(settlement.node_budget, up_to, all);
            paper.more(format!(
                "budget × weights up to it − budget × weights above it = {} − {} = {}",
                paper.computed(of(upper)),
                paper.computed(of(lower)),
                paper.tokens(reward)
            ));
        }
    }
}

/// Weights of the ranked submissions, best first.
fn geometric(page: &Page, q_wad: U256, alpha_wad: U256, cutoff: u32) -> Vec<U256> {
    let settlement = &page.epoch.settlement;
    let mut decay_wad = aiarena_mechanism::fixed_point::WAD;
    let mut weights = Vec::new();
    for (rank, entry) in (1_u32..).zip(&settlement.order) {
        let stake = settlement.submissions[*entry as usize].stake;
        let paid = cutoff == 0 || rank <= cutoff;
        let weight = if paid { geometric_weight(decay_wad, stake, alpha_wad).ok() } else { None };
        weights.push(weight.unwrap_or_default());
        decay_wad = decay(decay_wad, q_wad).unwrap_or_default();
    }
    weights
}
