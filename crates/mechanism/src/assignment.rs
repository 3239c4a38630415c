//! Who scores what (M-9).
//!
//! Validator j scores the images of 0 … k_j − 1 under a permutation of the list that is keyed by the epoch's seed and
//! the validator, so that anyone can enumerate its assignment in k_j steps, and nobody knew it before the seed.

use alloy_primitives::{Address, B256, Keccak256, U256, keccak256};

use crate::Error;
use crate::fixed_point::{mul_div_up, sqrt_up};

/// Rounds of the Feistel network. They alternate between the two halves, so that each half is mixed twice.
const ROUNDS: u64 = 4;

/// Key of one validator's permutation: keccak256 of the ABI encoding of the four.
pub fn key(seed: B256, task: U256, epoch: u32, validator: Address) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(seed);
    hasher.update(task.to_be_bytes::<32>());
    hasher.update(U256::from(epoch).to_be_bytes::<32>());
    hasher.update(validator.into_word());
    hasher.finalize()
}

/// k_j: how many of `n` submissions a validator with `stake` of `total` scores.
///
/// - Units: effective stakes. Rounding: up, never above `n`; 0 if there is nothing to score or no stake.
/// - *Source*: M-9.
///
/// # Errors
/// [`Error::FullMulDivFailed`] if the quotient does not fit, which needs a stake far above the total.
///
/// ```
/// use aiarena_mechanism::assignment::count;
/// use alloy_primitives::U256;
///
/// // A tenth of the stake scores a tenth of 100 submissions, 15 times over.
/// assert_eq!(count(15, 100, U256::from(1), U256::from(10)), Ok(100));
/// assert_eq!(count(5, 100, U256::from(1), U256::from(10)), Ok(50));
/// ```
pub fn count(redundancy: u32, n: u32, stake: U256, total: U256) -> Result<u32, Error> {
    if n == 0 || stake.is_zero() || total.is_zero() {
        return Ok(0);
    }
    let wanted = mul_div_up(U256::from(redundancy) * U256::from(n), stake, total)?;
    Ok(wanted.saturating_to::<u32>().min(n))
}

/// Image of `i` under the permutation of [0, n): the place on the list of the validator's `i`-th score.
///
/// A generalised Feistel network (Black and Rogaway, 2002) over [0, a·b) with a = ⌈√n⌉ and b = ⌈n/a⌉, walked until it
/// falls into [0, n). It takes a·b/n passes on average, which is at most 4/3.
///
/// # Errors
/// [`Error::IndexOutOfRange`] unless `i < n`.
pub fn image(key: B256, n: u32, i: u32) -> Result<u32, Error> {
    if i >= n {
        return Err(Error::IndexOutOfRange { index: i, length: n });
    }
    let a = u64::from(sqrt_up(n));
    let b = u64::from(n).div_ceil(a);
    let mut x = encrypt(key, a, b, u64::from(i));
    while x >= u64::from(n) {
        x = encrypt(key, a, b, x);
    }
    u32::try_from(x).map_err(|_| Error::Overflow)
}

/// The first `count` images in order: the places that a validator scores.
///
/// # Errors
/// [`Error::IndexOutOfRange`] if `count` is above `n`.
///
/// ```
/// use aiarena_mechanism::assignment::draw;
/// use alloy_primitives::B256;
///
/// let mut places: Vec<u32> = draw(B256::ZERO, 7, 7).expect("7 of 7").collect();
/// places.sort();
/// assert_eq!(places, [0, 1, 2, 3, 4, 5, 6]);
/// ```
pub fn draw(key: B256, n: u32, count: u32) -> Result<impl ExactSizeIterator<Item = u32>, Error> {
    if count > n {
        return Err(Error::IndexOutOfRange { index: count, length: n });
    }
    Ok((0..count).map(move |i| image(key, n, i).expect("every i is below count, and count is at most n")))
}

fn encrypt(key: B256, a: u64, b: u64, x: u64) -> u64 {
    let (mut l, mut r) = (x / b, x % b);
    for round in (0..ROUNDS).step_by(2) {
        l = add_mod(l, round_function(key, round, r), a);
        r = add_mod(r, round_function(key, round + 1, l), b);
    }
    l * b + r
}

fn round_function(key: B256, round: u64, x: u64) -> U256 {
    let mut words = [0; 96];
    words[..32].copy_from_slice(key.as_slice());
    words[56..64].copy_from_slice(&round.to_be_bytes());
    words[88..].copy_from_slice(&x.to_be_bytes());
    keccak256(words).into()
}

fn add_mod(x: u64, y: U256, modulus: u64) -> u64 {
    // Both operands are below the modulus, which is at most 2^16.
    let y = (y % U256::from(modulus)).saturating_to::<u64>();
    (x + y) % modulus
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn every_length_is_permuted() {
        for n in (1_u32..200).chain([1023, 1024, 1025, 2047, 2048]) {
            let key = keccak256(n.to_be_bytes());
            let mut places: Vec<u32> = draw(key, n, n).unwrap().collect();
            places.sort_unstable();
            assert!(places.into_iter().eq(0..n), "{n}");
        }
    }

    #[test]
    fn the_permutation_depends_on_all_of_its_key() {
        let seed = keccak256("seed");
        let validator = Address::repeat_byte(1);
        let base = key(seed, U256::ONE, 1, validator);
        assert_ne!(base, key(keccak256("other"), U256::ONE, 1, validator));
        assert_ne!(base, key(seed, U256::from(2), 1, validator));
        assert_ne!(base, key(seed, U256::ONE, 2, validator));
        assert_ne!(base, key(seed, U256::ONE, 1, Address::repeat_byte(2)));
    }

    #[test]
    fn an_index_beyond_the_list_is_refused() {
        assert_eq!(image(B256::ZERO, 0, 0), Err(Error::IndexOutOfRange { index: 0, length: 0 }));
        assert_eq!(image(B256::ZERO, 5, 5), Err(Error::IndexOutOfRange { index: 5, length: 5 }));
        assert!(draw(B256::ZERO, 5, 6).is_err());
        assert_eq!(image(B256::ZERO, 1, 0), Ok(0));
    }

    #[test]
    fn the_largest_list_ends() {
        for i in [0, 1, u32::MAX - 1] {
            assert!(image(B256::ZERO, u32::MAX, i).unwrap() < u32::MAX);
        }
    }

    #[test]
    fn counts_at_the_edges() {
        let (zero, one) = (U256::ZERO, U256::ONE);
        for (redundancy, n, stake, total, expected) in [
            (15, 0, one, one, Ok(0)),
            (15, 10, zero, one, Ok(0)),
            (15, 10, one, zero, Ok(0)),
            (0, 10, one, one, Ok(0)),
            (1, 10, one, U256::from(1_000_000), Ok(1)),
            (1, 10, one, one, Ok(10)),
            (1, 3, one, U256::from(2), Ok(2)),
            (255, 2048, U256::MAX, U256::MAX, Ok(2048)),
            (255, 2048, U256::MAX, one, Err(Error::FullMulDivFailed)),
        ] {
            assert_eq!(count(redundancy, n, stake, total), expected, "{redundancy} {n} {stake} {total}");
        }
    }
}
