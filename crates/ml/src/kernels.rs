//! The arithmetic: few kernels, all of them with a fixed order of operations.
//!
//! Every result is a sum in ascending order of one index, of products rounded by themselves. Rust never contracts a
//! product and a sum into one operation, so the bits do not depend on the processor, on the number of threads or on
//! how many rows are worked on at once. Blocking and vectors only change which sums advance together.

/// Rows and columns of the output that advance together: eight vectors of four, which fit the registers of any
/// x86-64 or AArch64 processor.
const TILE_ROWS: usize = 4;
const TILE_COLUMNS: usize = 8;

/// How much of the summed index is packed at a time, so that a block stays in the cache.
const BLOCK: usize = 256;

/// A matrix over a slice, possibly transposed.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `values`: `(rows, columns)`, row by row.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix has rows times columns values");
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    pub(crate) fn columns(self) -> usize {
        self.columns
    }

    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `out += a · b`; each element adds its products to what it holds, in ascending order of the summed index.
///
/// - *Shape*: `a`: `(m, k)`, `b`: `(k, n)`, `out`: `(m, n)`, row by row.
pub(crate) fn add_product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(a.columns, b.rows, "inner dimensions agree");
    assert_eq!(out.len(), a.rows * b.columns, "the output has the outer dimensions");
    let mut packed_a = Vec::new();
    let mut packed_b = Vec::new();
    for start in (0..a.columns).step_by(BLOCK) {
        let depth = BLOCK.min(a.columns - start);
        pack::<TILE_COLUMNS>(&mut packed_b, b.transposed(), 0, b.columns, start, depth);
        for row in (0..a.rows).step_by(TILE_ROWS) {
            let rows = TILE_ROWS.min(a.rows - row);
            pack::<TILE_ROWS>(&mut packed_a, a, row, rows, start, depth);
            for (panel, columns_of_b) in packed_b.chunks_exact(depth).enumerate() {
                let column = panel * TILE_COLUMNS;
                let columns = TILE_COLUMNS.min(b.columns - column);
                let mut tile = [[0.0; TILE_COLUMNS]; TILE_ROWS];
                for (r, sums) in tile.iter_mut().enumerate().take(rows) {
                    let at = (row + r) * b.columns + column;
                    copy_up_to(sums, &out[at..at + columns]);
                }
                add_tile(&mut tile, &packed_a, columns_of_b);
                for (r, sums) in tile.iter().enumerate().take(rows) {
                    let at = (row + r) * b.columns + column;
                    let out = &mut out[at..at + columns];
                    match <&mut [f32; TILE_COLUMNS]>::try_from(&mut *out) {
                        Ok(whole) => *whole = *sums,
                        Err(_) => out.copy_from_slice(&sums[..columns]),
                    }
                }
            }
        }
    }
}

/// Copies rows `first .. first + count` of a block of columns so that `WIDTH` rows lie side by side, padded by zeros.
fn pack<const WIDTH: usize>(
    packed: &mut Vec<[f32; WIDTH]>,
    matrix: Matrix<'_>,
    first: usize,
    count: usize,
    start: usize,
    depth: usize,
) {
    packed.clear();
    packed.resize(count.div_ceil(WIDTH) * depth, [0.0; WIDTH]);
    for (panel, lines) in packed.chunks_exact_mut(depth).enumerate() {
        let base = first + panel * WIDTH;
        let width = WIDTH.min(count - panel * WIDTH);
        if matrix.row_stride == 1 {
            for (i, line) in lines.iter_mut().enumerate() {
                let at = (start + i) * matrix.column_stride + base;
                copy_up_to(line, &matrix.values[at..at + width]);
            }
        } else {
            for r in 0..width {
                let row = &matrix.values[(base + r) * matrix.row_stride + start * matrix.column_stride..];
                for (line, value) in lines.iter_mut().zip(row.iter().step_by(matrix.column_stride)) {
                    line[r] = *value;
                }
            }
        }
    }
}

/// Copies all of `from`; when it fills the array, which is nearly always, without a call to copy memory.
fn copy_up_to<const WIDTH: usize>(to: &mut [f32; WIDTH], from: &[f32]) {
    match <&[f32; WIDTH]>::try_from(from) {
        Ok(whole) => *to = *whole,
        Err(_) => to[..from.len()].copy_from_slice(from),
    }
}

fn add_tile(tile: &mut [[f32; TILE_COLUMNS]; TILE_ROWS], a: &[[f32; TILE_ROWS]], b: &[[f32; TILE_COLUMNS]]) {
    // A copy that never leaves the registers: through the reference each step would store all sums.
    let mut sums = *tile;
    for (a, b) in a.iter().zip(b) {
        for r in 0..TILE_ROWS {
            for c in 0..TILE_COLUMNS {
                sums[r][c] += a[r] * b[c];
            }
        }
    }
    *tile = sums;
}

/// The shape of a stack of square images whose channels are the innermost index: `(batch, side, side, channels)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planes {
    pub(crate) side: usize,
    pub(crate) channels: usize,
}

impl Planes {
    /// Values of one image.
    pub(crate) fn len(self) -> usize {
        self.side * self.side * self.channels
    }
}

/// Every 3 × 3 neighbourhood as a row; outside of the image there are zeros.
///
/// - *Shape*: `images`: `(batch, side, side, channels)`; result: `(batch·side·side, 9·channels)`, whose columns are
///   `(line, column, channel)` of the neighbourhood.
pub(crate) fn neighbourhoods(images: &[f32], planes: Planes) -> Vec<f32> {
    let Planes { side, channels } = planes;
    let width = 9 * channels;
    let mut rows = vec![0.0; images.len() * 9];
    for (image, rows) in images.chunks_exact(planes.len()).zip(rows.chunks_exact_mut(side * side * width)) {
        for_each_run(planes, |at, from, to| {
            for (value, pixel) in rows[at..].iter_mut().zip(&image[from..to]) {
                *value = *pixel;
            }
        });
    }
    rows
}

/// The transpose of [`neighbourhoods`]: adds every row back to the pixels that it was taken from.
pub(crate) fn add_neighbourhoods(rows: &[f32], planes: Planes) -> Vec<f32> {
    let Planes { side, channels } = planes;
    let width = 9 * channels;
    let mut images = vec![0.0; rows.len() / 9];
    for (image, rows) in images.chunks_exact_mut(planes.len()).zip(rows.chunks_exact(side * side * width)) {
        for_each_run(planes, |at, from, to| {
            for (pixel, value) in image[from..to].iter_mut().zip(&rows[at..]) {
                *pixel += *value;
            }
        });
    }
    images
}

/// Calls `visit(position in the rows, from, to)` for every run of pixels of one image that is copied as a whole.
fn for_each_run(planes: Planes, mut visit: impl FnMut(usize, usize, usize)) {
    let Planes { side, channels } = planes;
    for y in 0..side {
        for x in 0..side {
            let left = x.saturating_sub(1);
            let right = (x + 2).min(side);
            let skipped = usize::from(x == 0);
            for line in 0..3 {
                // The neighbourhood's line is `y + line - 1` of the image.
                let Some(source) = (y + line).checked_sub(1).filter(|source| *source < side) else {
                    continue;
                };
                let at = ((y * side + x) * 9 + line * 3 + skipped) * channels;
                visit(at, (source * side + left) * channels, (source * side + right) * channels);
            }
        }
    }
}

/// The largest value of every 2 × 2 square; an odd last line or column is left out.
///
/// - *Shape*: `(batch, side, side, channels)` to `(batch, side/2, side/2, channels)`.
pub(crate) fn max_pool(images: &[f32], planes: Planes) -> Vec<f32> {
    let mut pooled = Vec::with_capacity(images.len() / 4);
    for image in images.chunks_exact(planes.len()) {
        for_each_square(planes, |corners| {
            let [a, b, c, d] = corners.map(|corner| &image[corner..corner + planes.channels]);
            pooled.extend(
                a.iter().zip(b).zip(c).zip(d).map(|(((a, b), c), d)| larger(larger(*a, *b), larger(*c, *d))),
            );
        });
    }
    pooled
}

/// The gradient of [`max_pool`]: a square's gradient goes to its largest value, the first of equals.
pub(crate) fn max_pool_gradient(images: &[f32], gradient: &[f32], planes: Planes) -> Vec<f32> {
    let mut spread = vec![0.0; images.len()];
    let mut squares = gradient.chunks_exact(planes.channels);
    for (image, spread) in images.chunks_exact(planes.len()).zip(spread.chunks_exact_mut(planes.len())) {
        for_each_square(planes, |[first, others @ ..]| {
            for (channel, gradient) in squares.next().into_iter().flatten().enumerate() {
                let largest = others.iter().fold(first + channel, |best, corner| {
                    if image[corner + channel] > image[best] { corner + channel } else { best }
                });
                spread[largest] = *gradient;
            }
        });
    }
    spread
}

/// Calls `visit` with the positions of the corners' first channels.
fn for_each_square(planes: Planes, mut visit: impl FnMut([usize; 4])) {
    let Planes { side, channels } = planes;
    let line = side * channels;
    for y in 0..side / 2 {
        for x in 0..side / 2 {
            let corner = 2 * y * line + 2 * x * channels;
            visit([corner, corner + channels, corner + line, corner + line + channels]);
        }
    }
}

fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// Swaps the two inner indices of `(batch, rows, columns)`.
pub(crate) fn swap_inner(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut swapped = Vec::with_capacity(values.len());
    for matrix in values.chunks_exact(rows * columns) {
        for column in 0..columns {
            swapped.extend(matrix[column..].iter().step_by(columns));
        }
    }
    swapped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(-2.0_f32..2.0, rows * columns)
    }

    fn product_case() -> impl Strategy<Value = (usize, usize, usize, Vec<f32>, Vec<f32>, Vec<f32>)> {
        let depth = prop_oneof![1..20_usize, BLOCK - 1..BLOCK + 2, Just(2 * BLOCK + 3)];
        (1..11_usize, depth, 1..19_usize)
            .prop_flat_map(|(m, k, n)| (Just(m), Just(k), Just(n), matrix(m, k), matrix(k, n), matrix(m, n)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Bit for bit the plain triple loop, whatever the blocking and the layout.
        #[test]
        fn product_is_the_plain_sum((m, k, n, a, b, start) in product_case()) {
            let mut expected = start.clone();
            for i in 0..m {
                for j in 0..n {
                    for l in 0..k {
                        expected[i * n + j] += a[i * k + l] * b[l * n + j];
                    }
                }
            }
            let (at, bt) = (swap_inner(&a, m, k), swap_inner(&b, k, n));
            let (a, b) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
            let (at, bt) = (Matrix::new(&at, k, m).transposed(), Matrix::new(&bt, n, k).transposed());
            for (a, b) in [(a, b), (at, b), (a, bt), (at, bt)] {
                let mut out = start.clone();
                add_product(&mut out, a, b);
                prop_assert_eq!(&out, &expected);
            }
        }

        /// `⟨neighbourhoods(x), y⟩ = ⟨x, add_neighbourhoods(y)⟩`, which defines the transpose.
        #[test]
        fn neighbourhoods_and_their_transpose(
            (side, channels, batch) in (1..6_usize, 1..4_usize, 1..3_usize),
            seed in 0..1000_usize,
        ) {
            let planes = Planes { side, channels };
            // Small integers: their products and sums are exact.
            let value = |i: usize| f32::from(u8::try_from((i * 37 + seed) % 11).unwrap());
            let x: Vec<f32> = (0..batch * planes.len()).map(value).collect();
            let y: Vec<f32> = (0..9 * x.len()).map(|i| value(i + 5)).collect();
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            prop_assert_eq!(dot(&neighbourhoods(&x, planes), &y), dot(&x, &add_neighbourhoods(&y, planes)));
        }
    }

    #[test]
    fn neighbourhoods_of_a_corner() {
        let image: Vec<f32> = (1..=9_u8).map(f32::from).collect();
        let rows = neighbourhoods(&image, Planes { side: 3, channels: 1 });
        assert_eq!(rows[..9], [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 4.0, 5.0]);
        assert_eq!(rows[4 * 9..5 * 9], image[..]);
        assert_eq!(rows[8 * 9..], [5.0, 6.0, 0.0, 8.0, 9.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn pool_takes_the_first_of_equals() {
        let planes = Planes { side: 2, channels: 2 };
        let image = [1.0, 7.0, 3.0, 7.0, 2.0, 5.0, 3.0, 6.0];
        assert_eq!(max_pool(&image, planes), [3.0, 7.0]);
        assert_eq!(
            max_pool_gradient(&image, &[10.0, 20.0], planes),
            [0.0, 20.0, 10.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        );
        // An odd side: the last line and column are no part of any square.
        assert_eq!(
            max_pool(&[1.0, 2.0, 9.0, 3.0, 4.0, 9.0, 9.0, 9.0, 9.0], Planes { side: 3, channels: 1 }),
            [4.0]
        );
    }
}
