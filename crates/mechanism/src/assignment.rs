//! Who scores what (M-9).
//!
//! Validator j scores the images of 0 … k_j − 1 under a permutation of the list that is keyed by the epoch's seed and
//! the validator, so that anyone can enumerate its assignment in k_j steps, and nobody knew it before the seed. The
//! permutation is inverted as easily: [`Grid::preimage`] says which of its scores, if any, a validator gives to a place.

use alloy_primitives::{Address, B256, Keccak256, U256, keccak256};

use crate::Error;
use crate::fixed_point::{mul_div_up, sqrt_up};

/// Seed of an epoch: keccak256 of the ABI encoding of the six. It fixes what is scored, by whom, and which evaluation
/// data is drawn.
///
/// - `list`: digest of the list's history, as [`list_digest`] extends it, so that a seed is of one list and no other.
/// - *Source*: M-9.
pub fn seed(randomness: B256, chain_id: u64, arena: Address, task: U256, epoch: u32, list: B256) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(randomness);
    hasher.update(U256::from(chain_id).to_be_bytes::<32>());
    hasher.update(arena.into_word());
    hasher.update(task.to_be_bytes::<32>());
    hasher.update(U256::from(epoch).to_be_bytes::<32>());
    hasher.update(list);
    hasher.finalize()
}

/// Digest of a list's history after `node` disclosed `content_hash` under the commitment number `number`: keccak256 of
/// the ABI encoding of the four.
///
/// An eviction has the content hash 0 and the number 0, which no submission has.
///
/// - *Source*: M-9.
pub fn list_digest(digest: B256, node: Address, content_hash: B256, number: u64) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(digest);
    hasher.update(node.into_word());
    hasher.update(content_hash);
    hasher.update(U256::from(number).to_be_bytes::<32>());
    hasher.finalize()
}

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

/// The places [0, n) of a list and the smallest near-square rectangle a·b ≥ n around them, in which they are permuted.
///
/// The permutation is a generalised Feistel network (Black and Rogaway, 2002) over [0, a·b) with a = ⌈√n⌉ and
/// b = ⌈n/a⌉, walked until it falls into [0, n). It takes a·b/n passes on average, which is at most 4/3.
///
/// ```
/// use aiarena_mechanism::assignment::Grid;
/// use alloy_primitives::B256;
///
/// let grid = Grid::new(7);
/// assert_eq!((grid.a(), grid.b()), (3, 3));
/// let place = grid.image(B256::ZERO, 5).expect("5 of 7");
/// assert_eq!(grid.preimage(B256::ZERO, place), Ok(5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    n: u32,
    a: u32,
    b: u32,
}

impl Grid {
    /// Grid of a list of length `n`; that of an empty list has no place at all.
    pub fn new(n: u32) -> Self {
        let a = sqrt_up(n);
        Self { n, a, b: if n == 0 { 0 } else { n.div_ceil(a) } }
    }

    /// a = ⌈√n⌉.
    pub fn a(&self) -> u32 {
        self.a
    }

    /// b = ⌈n/a⌉.
    pub fn b(&self) -> u32 {
        self.b
    }

    /// Image of `i` under the permutation of [0, n): the place on the list of the validator's `i`-th score.
    ///
    /// - *Source*: M-9.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] unless `i < n`.
    pub fn image(&self, key: B256, i: u32) -> Result<u32, Error> {
        let (a, b) = (u64::from(self.a), u64::from(self.b));
        self.walk(i, |(l, r)| {
            let l = add_mod(l, hash(key, 0, r), a);
            let r = add_mod(r, hash(key, 1, l), b);
            let l = add_mod(l, hash(key, 2, r), a);
            let r = add_mod(r, hash(key, 3, l), b);
            (l, r)
        })
    }

    /// The `i` whose image is `x`: which of its scores a validator gives to the place `x`, if it owes so many. The rounds
    /// of [`Grid::image`] backwards.
    ///
    /// - *Source*: M-9.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] unless `x < n`.
    pub fn preimage(&self, key: B256, x: u32) -> Result<u32, Error> {
        let (a, b) = (u64::from(self.a), u64::from(self.b));
        self.walk(x, |(l, r)| {
            let r = sub_mod(r, hash(key, 3, l), b);
            let l = sub_mod(l, hash(key, 2, r), a);
            let r = sub_mod(r, hash(key, 1, l), b);
            let l = sub_mod(l, hash(key, 0, r), a);
            (l, r)
        })
    }

    /// Takes one step, and then more until it is back in [0, n).
    fn walk(&self, start: u32, step: impl Fn((u64, u64)) -> (u64, u64)) -> Result<u32, Error> {
        let (n, b) = (u64::from(self.n), u64::from(self.b));
        let mut x = u64::from(start);
        if x >= n {
            return Err(Error::IndexOutOfRange { index: start, length: self.n });
        }
        loop {
            let (l, r) = step((x / b, x % b));
            x = l * b + r;
            if x < n {
                return u32::try_from(x).map_err(|_| Error::Overflow);
            }
        }
    }
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
    let grid = Grid::new(n);
    Ok((0..count).map(move |i| grid.image(key, i).expect("every i is below count, and count is at most n")))
}

/// keccak256 of the ABI encoding of the three.
fn hash(key: B256, round: u64, x: u64) -> U256 {
    let mut words = [0; 96];
    words[..32].copy_from_slice(key.as_slice());
    words[56..64].copy_from_slice(&round.to_be_bytes());
    words[88..].copy_from_slice(&x.to_be_bytes());
    keccak256(words).into()
}

fn add_mod(x: u64, y: U256, modulus: u64) -> u64 {
    // Both operands are below the modulus, which is at most 2^16.
    (x + reduce(y, modulus)) % modulus
}

fn sub_mod(x: u64, y: U256, modulus: u64) -> u64 {
    (x + modulus - reduce(y, modulus)) % modulus
}

fn reduce(y: U256, modulus: u64) -> u64 {
    (y % U256::from(modulus)).saturating_to::<u64>()
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
            let grid = Grid::new(n);
            for (i, &place) in (0..).zip(&places) {
                assert_eq!(grid.preimage(key, place), Ok(i), "{place} of {n}");
            }
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
    fn a_seed_depends_on_all_it_binds() {
        let (arena, list) = (Address::repeat_byte(1), B256::repeat_byte(2));
        let base = seed(B256::ZERO, 1, arena, U256::ONE, 1, list);
        assert_ne!(base, seed(B256::repeat_byte(1), 1, arena, U256::ONE, 1, list));
        assert_ne!(base, seed(B256::ZERO, 2, arena, U256::ONE, 1, list));
        assert_ne!(base, seed(B256::ZERO, 1, Address::ZERO, U256::ONE, 1, list));
        assert_ne!(base, seed(B256::ZERO, 1, arena, U256::from(2), 1, list));
        assert_ne!(base, seed(B256::ZERO, 1, arena, U256::ONE, 2, list));
        assert_ne!(base, seed(B256::ZERO, 1, arena, U256::ONE, 1, B256::ZERO));
    }

    #[test]
    fn a_digest_remembers_the_order_of_what_happened() {
        let [first, second] = [1, 2].map(Address::repeat_byte);
        let content = B256::repeat_byte(3);
        let after = |one: Address, other: Address| {
            list_digest(list_digest(B256::ZERO, one, content, 1), other, content, 2)
        };
        assert_ne!(after(first, second), after(second, first));
        let disclosed = list_digest(B256::ZERO, first, content, 1);
        assert_ne!(disclosed, list_digest(B256::ZERO, first, content, 2));
        assert_ne!(disclosed, list_digest(B256::ZERO, first, B256::ZERO, 0));
        // What was evicted leaves its trace.
        assert_ne!(list_digest(disclosed, first, B256::ZERO, 0), B256::ZERO);
    }

    #[test]
    fn an_index_beyond_the_list_is_refused() {
        for (n, x) in [(0, 0), (5, 5), (5, u32::MAX)] {
            let refused = Err(Error::IndexOutOfRange { index: x, length: n });
            assert_eq!(Grid::new(n).image(B256::ZERO, x), refused);
            assert_eq!(Grid::new(n).preimage(B256::ZERO, x), refused);
        }
        assert!(draw(B256::ZERO, 5, 6).is_err());
        assert_eq!(Grid::new(1).image(B256::ZERO, 0), Ok(0));
        assert_eq!(Grid::new(1).preimage(B256::ZERO, 0), Ok(0));
    }

    #[test]
    fn the_largest_list_ends() {
        let grid = Grid::new(u32::MAX);
        for i in [0, 1, u32::MAX - 1] {
            let place = grid.image(B256::ZERO, i).unwrap();
            assert!(place < u32::MAX);
            assert_eq!(grid.preimage(B256::ZERO, place), Ok(i));
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
