//! What must hold at the end of the demo.

use alloy::primitives::U256;

use super::{
    population::{NodeKind, Population, ValidatorKind},
    report::{Check, NodeRow, OperatorRow, Report},
};
use crate::ui::in_tokens;

/// Least fairness on the rows of each epoch.
const LEAST_FAIRNESS: f64 = 0.98;

/// Two honest nodes are told apart by a slice if their true scores differ by more than this: some two and a half standard
/// errors of a difference of two accuracies over one slice of 1 500 rows.
const TELLING_GAP: u32 = 25_000_000;

/// All checks over a finished report.
#[must_use]
pub(super) fn checks(report: &Report, population: &Population) -> Vec<Check> {
    let mut checks =
        vec![order(report, population), earns_nothing(report, "copier"), earns_nothing(report, "malformed")];
    for kind in [ValidatorKind::Liar, ValidatorKind::Lazy, ValidatorKind::Silent] {
        checks.push(earns_less(report, kind));
    }
    checks.push(slashed(report, population));
    checks.push(Check {
        name: format!("fairness is at least {LEAST_FAIRNESS}"),
        ok: report.fairness >= LEAST_FAIRNESS,
        detail: format!("{:.6}", report.fairness),
    });
    checks.push(Check {
        name: "no token appeared or vanished".to_owned(),
        ok: report.conservation_difference == "0",
        detail: format!("difference {}", report.conservation_difference),
    });
    checks.push(Check {
        name: "the auditor agrees with every payment".to_owned(),
        ok: report.audit_findings.is_empty() && report.payments > 0,
        detail: format!("{} payments, {} differences", report.payments, report.audit_findings.len()),
    });
    checks.push(delegators_paid(report));
    checks
}

/// Honest nodes that differ enough stand in the order of their true scores.
fn order(report: &Report, population: &Population) -> Check {
    let honest: Vec<&NodeRow> = report
        .leaderboard
        .iter()
        .filter(|row| {
            let spec = population.nodes.iter().find(|node| node.signer.address() == row.address);
            spec.is_some_and(|node| matches!(node.kind, NodeKind::Honest(_)))
        })
        .collect();
    let unranked = honest.iter().filter(|row| row.rank.is_none()).count();
    let mut wrong = Vec::new();
    let mut pairs = 0;
    for (i, better) in honest.iter().enumerate() {
        for worse in &honest[i + 1..] {
            let (high, low) =
                if better.true_score >= worse.true_score { (better, worse) } else { (worse, better) };
            if high.true_score - low.true_score > TELLING_GAP {
                pairs += 1;
                if high.rank >= low.rank {
                    wrong.push(format!("{} before {}", low.name, high.name));
                }
            }
        }
    }
    Check {
        name: "honest nodes rank by their true skill".to_owned(),
        ok: wrong.is_empty() && unranked == 0,
        detail: if wrong.is_empty() {
            format!("{pairs} pairs in order, {unranked} unranked")
        } else {
            wrong.join("; ")
        },
    }
}

fn earns_nothing(report: &Report, name: &str) -> Check {
    let row = report.leaderboard.iter().find(|row| row.name == name);
    let reward = row.map_or("missing", |row| row.reward.as_str());
    Check {
        name: format!("the node \"{name}\" earns nothing"),
        ok: reward == "0" && row.is_some_and(|row| row.rank.is_none()),
        detail: format!("reward {reward}"),
    }
}

/// A validator of this kind earns less per unit of effective stake than every honest one.
fn earns_less(report: &Report, kind: ValidatorKind) -> Check {
    let of = |label: &'static str| report.validators.iter().filter(move |row| row.behaviour == label);
    let worst_honest = of(ValidatorKind::Honest.label()).map(yield_of).min();
    let best = of(kind.label()).map(yield_of).max();
    let ok = matches!((best, worst_honest), (Some(best), Some(worst)) if best < worst);
    let share = match (best, worst_honest) {
        (Some(best), Some(worst)) if !worst.is_zero() => {
            format!("{:.3} of the least honest one's", f64::from(best) / f64::from(worst))
        }
        _ => "nobody to compare with".to_owned(),
    };
    Check {
        name: format!("the validator \"{}\" earns less per stake than every honest one", kind.label()),
        ok,
        detail: share,
    }
}

/// Who commits and never reveals loses a hundredth of its stake in every epoch, nobody else loses any, and all of it is burned.
fn slashed(report: &Report, population: &Population) -> Check {
    let mut wrong = Vec::new();
    let mut all = U256::ZERO;
    for (row, spec) in report.validators.iter().zip(&population.validators) {
        let mut left = spec.stake;
        if spec.kind == ValidatorKind::Silent {
            (0..report.epochs).for_each(|_| left -= left / U256::from(100));
        }
        let expected = spec.stake - left;
        all += expected;
        if row.slashed != expected.to_string() {
            wrong.push(format!("{} lost {}, not {expected}", row.name, row.slashed));
        }
    }
    if report.burned != all.to_string() {
        wrong.push(format!("{} burned, not {all}", report.burned));
    }
    Check {
        name: format!("the validator \"{}\" is slashed, and nobody else", ValidatorKind::Silent.label()),
        ok: wrong.is_empty() && !all.is_zero(),
        detail: if wrong.is_empty() { format!("{} tokens burned", in_tokens(all)) } else { wrong.join("; ") },
    }
}

/// Reward per token of effective stake, in base units.
fn yield_of(row: &OperatorRow) -> U256 {
    let amount = |text: &str| text.parse::<U256>().unwrap_or_default();
    let stake = amount(&row.stake);
    if stake.is_zero() {
        return U256::ZERO;
    }
    amount(&row.reward) * U256::from(super::population::TOKEN) / stake
}

fn delegators_paid(report: &Report) -> Check {
    let paid = report.delegators.iter().filter(|row| row.reward != "0").count();
    Check {
        name: "delegators are paid".to_owned(),
        ok: paid == report.delegators.len(),
        detail: format!("{paid} of {}", report.delegators.len()),
    }
}
