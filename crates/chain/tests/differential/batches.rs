//! Orders and sizes in which somebody may send the parts of a settlement.

use alloy::primitives::U256;

use crate::random::Random;

pub(crate) fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for i in (1..items.len()).rev() {
        items.swap(i, random.below(i + 1));
    }
}

/// Batches of at most `most`, one after the other: first item and count.
pub(crate) fn batches(total: usize, most: usize, random: &mut Random) -> Vec<(usize, usize)> {
    let (mut from, mut all) = (0, Vec::new());
    while from < total {
        let count = (most - random.below(most) / 2).min(total - from);
        all.push((from, count));
        from += count;
    }
    all
}

/// The same, some of them beginning before the end of the one before.
pub(crate) fn overlapping(
    total: usize,
    most: usize,
    random: &mut Random,
) -> impl Iterator<Item = (U256, U256)> {
    let mut all = batches(total, most, random);
    for (from, count) in &mut all {
        let again = random.below(8).saturating_sub(4).min(*from);
        (*from, *count) = (*from - again, *count + again);
    }
    all.into_iter().map(|(from, count)| (U256::from(from), U256::from(count)))
}

/// Both in their own order, mixed.
pub(crate) fn merge<T>(left: Vec<T>, right: Vec<T>, random: &mut Random) -> Vec<T> {
    let (mut left, mut right, mut all) =
        (left.into_iter().peekable(), right.into_iter().peekable(), Vec::new());
    while left.peek().is_some() || right.peek().is_some() {
        let (first, second) =
            if random.chance(50) { (&mut left, &mut right) } else { (&mut right, &mut left) };
        all.extend(first.next().or_else(|| second.next()));
    }
    all
}
