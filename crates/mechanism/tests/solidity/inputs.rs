//! Random words with a liking for edges.

use alloy_primitives::{U256, uint};
use proptest::prelude::*;

const WAD: U256 = uint!(1_000_000_000_000_000_000_U256);

/// What an argument may be. Everything but `Any` is the range that the contracts let through.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Any word.
    Any,
    /// Any 32 bits: where Rust's type has no more.
    Bits32,
    /// Any address.
    Address,
    /// An amount that a vault can hold.
    Amount,
    /// A pool's reward per share.
    PerShare,
    /// A ratio from 0 to 1, in WAD.
    Ratio,
    /// φ as a task may have it, in WAD.
    Phi,
    /// A score or a difference of scores.
    Score,
    /// A length of a list, or a place in it.
    Place,
}

/// Words of a kind: edges, all bit lengths alike, and uniform ones.
pub(crate) fn words(kind: Kind) -> BoxedStrategy<U256> {
    let one = U256::ONE;
    match kind {
        Kind::Any => prop_oneof![
            2 => prop::sample::select(edges()),
            2 => below_power(256),
            1 => any_word(),
        ]
        .boxed(),
        Kind::Bits32 => prop_oneof![3 => below_power(32), 1 => between(uint!(0xffff_fff0_U256), (one << 32) - one)].boxed(),
        Kind::Address => below_power(160).boxed(),
        Kind::Amount => prop_oneof![4 => below_power(96), 1 => prop::sample::select(vec![U256::ZERO, one, WAD, (one << 96) - one])]
            .boxed(),
        Kind::PerShare => {
            let most = (one << 128) - one;
            prop_oneof![
                4 => below_power(128),
                1 => prop::sample::select(vec![U256::ZERO, one, one << 64, most - one, most]),
            ]
            .boxed()
        }
        Kind::Ratio => prop_oneof![
            1 => prop::sample::select(vec![U256::ZERO, one, WAD / U256::from(2), WAD - one, WAD]),
            3 => between(U256::ZERO, WAD),
            1 => below_power(59),
        ]
        .boxed(),
        Kind::Phi => {
            let (low, high) = (WAD / U256::from(20), WAD * U256::from(10));
            prop_oneof![
                1 => prop::sample::select(vec![low, WAD / U256::from(5), high]),
                3 => between(low, high),
            ]
            .boxed()
        }
        Kind::Score => {
            let most = uint!(1_000_000_000_U256);
            prop_oneof![1 => prop::sample::select(vec![U256::ZERO, one, most]), 3 => between(U256::ZERO, most), 1 => below_power(29)]
                .boxed()
        }
        Kind::Place => prop_oneof![3 => between(U256::ZERO, uint!(64_U256)), 2 => between(U256::ZERO, uint!(2048_U256))].boxed(),
    }
}

fn edges() -> Vec<U256> {
    let one = U256::ONE;
    let mut edges = vec![U256::ZERO, one, uint!(2_U256), uint!(3_U256), uint!(4_U256)];
    let powers = [32, 64, 96, 128, 160, 192, 255].map(|bits| one << bits);
    // The bounds of exp's domain, positive and negated.
    let exp = [uint!(41446531673892822313_U256), uint!(135305999368893231589_U256)];
    for middle in powers.into_iter().chain(exp).chain([WAD, WAD * WAD]) {
        edges.extend([middle - one, middle, middle + one]);
        edges.extend([middle - one, middle, middle + one].map(|word| U256::ZERO.wrapping_sub(word)));
    }
    edges.extend([U256::MAX, U256::MAX - one, U256::MAX / uint!(2_U256), U256::MAX / uint!(3_U256)]);
    edges
}

fn any_word() -> impl Strategy<Value = U256> {
    any::<[u64; 4]>().prop_map(U256::from_limbs)
}

/// Below 2^`bits`, with every bit length as likely as the others.
fn below_power(bits: usize) -> impl Strategy<Value = U256> {
    (any_word(), 0..=bits)
        .prop_map(move |(word, length)| if length == 0 { U256::ZERO } else { word >> (256 - length) })
}

fn between(low: U256, high: U256) -> impl Strategy<Value = U256> {
    let width = high - low + U256::ONE;
    any_word().prop_map(move |word| low + word % width)
}
