//! Which rows are scored in an epoch.

use sha2::{Digest, Sha256};

use crate::random::Random;

/// The rows of an epoch's evaluation slice, in ascending order: `size` of the `rows` evaluation rows, each choice
/// equally likely, drawn by the chain's seed of that epoch.
///
/// Nobody knows the slice before the seed is drawn, and by then the submissions of the epoch are fixed. With a public
/// data set this is all that a split can hide: *which* rows count, not what they hold. Whoever trains on the evaluation
/// rows themselves is not found out by it; that takes rows which only the task's creator has.
///
/// All rows are taken if there are fewer than `size`.
///
/// ```
/// let slice = aiarena_ml::eval_slice(&[7; 32], 1, 4_000, 1_500);
/// assert_eq!(slice.len(), 1_500);
/// assert!(slice.is_sorted() && slice[1_499] < 4_000);
/// assert_ne!(slice, aiarena_ml::eval_slice(&[7; 32], 2, 4_000, 1_500));
/// ```
pub fn eval_slice(seed: &[u8; 32], epoch: u32, rows: u32, size: u32) -> Vec<u32> {
    let key = Sha256::new().chain_update(seed).chain_update(epoch.to_be_bytes()).finalize();
    let mut slice = Random::new("evaluation slice", &key.into()).choose(rows, size);
    slice.sort_unstable();
    slice
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Validators of different versions must draw the same rows.
    #[test]
    fn the_draw_is_fixed() {
        assert_eq!(eval_slice(&[7; 32], 3, 1_000, 8), GOLDEN);
    }

    const GOLDEN: [u32; 8] = [130, 286, 355, 432, 479, 523, 667, 685];

    #[test]
    fn every_row_is_equally_likely() {
        let mut drawn = [0_u32; 20];
        for epoch in 0..10_000 {
            for row in eval_slice(&[1; 32], epoch, 20, 5) {
                drawn[row as usize] += 1;
            }
        }
        // 2 500 expected, standard deviation 43.
        assert!(drawn.iter().all(|count| count.abs_diff(2_500) < 220), "{drawn:?}");
    }

    proptest! {
        #[test]
        fn distinct_rows_in_order(seed: [u8; 32], epoch: u32, rows in 0..300_u32, size in 0..300_u32) {
            let slice = eval_slice(&seed, epoch, rows, size);
            prop_assert_eq!(slice.len(), rows.min(size) as usize);
            prop_assert!(slice.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(slice.iter().all(|row| *row < rows));
            prop_assert_eq!(slice, eval_slice(&seed, epoch, rows, size));
        }
    }
}
