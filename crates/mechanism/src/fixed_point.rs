//! Fixed-point arithmetic, bit for bit that of Solady's `FixedPointMathLib`, which the contracts use.
//!
//! Ratios and exponents are in WAD: 1e18 is one. The polynomials and constants of [`exp_wad`] and [`ln_wad`] are those
//! of Remco Bloemen's rational approximations (MIT licence), as Solady has them; `P9` of `docs/mechanism.md` compares
//! them with the compiled Solidity.

use alloy_primitives::{I256, U256, U512, uint};

use crate::Error;

/// One, in WAD.
pub const WAD: U256 = uint!(1_000_000_000_000_000_000_U256);

/// Bit length of the binary fixed point in which the polynomials are evaluated.
const SCALE_BITS: usize = 96;

/// ln 2 in `SCALE_BITS`.
const LN_2: I256 = signed(uint!(54916777467707473351141471128_U256));

/// 5^18, by which WAD differs from 2^18.
const FIVE_POW_18: I256 = signed(uint!(3814697265625_U256));

/// ⌊x·y/d⌋ with a 512-bit product.
///
/// # Errors
/// [`Error::FullMulDivFailed`] if `d` is zero or the quotient needs more than 256 bits.
///
/// ```
/// use aiarena_mechanism::fixed_point::mul_div_down;
/// use alloy_primitives::U256;
///
/// let third = mul_div_down(U256::MAX, U256::from(1), U256::from(3)).expect("fits");
/// assert_eq!(mul_div_down(third, U256::from(3), U256::MAX), Ok(U256::from(1)));
/// ```
pub fn mul_div_down(x: U256, y: U256, d: U256) -> Result<U256, Error> {
    if let Some(product) = x.checked_mul(y) {
        return product.checked_div(d).ok_or(Error::FullMulDivFailed);
    }
    Ok(full_mul_div(x, y, d)?.0)
}

/// ⌈x·y/d⌉ with a 512-bit product.
///
/// # Errors
/// As [`mul_div_down`].
pub fn mul_div_up(x: U256, y: U256, d: U256) -> Result<U256, Error> {
    let (quotient, exact) = full_mul_div(x, y, d)?;
    if exact { Ok(quotient) } else { quotient.checked_add(U256::ONE).ok_or(Error::FullMulDivFailed) }
}

/// Quotient, and whether nothing remains.
fn full_mul_div(x: U256, y: U256, d: U256) -> Result<(U256, bool), Error> {
    if d.is_zero() {
        return Err(Error::FullMulDivFailed);
    }
    let product: U512 = x.widening_mul(y);
    let (quotient, rest) = product.div_rem(U512::from(d));
    let quotient = U256::checked_from_limbs_slice(quotient.as_limbs()).ok_or(Error::FullMulDivFailed)?;
    Ok((quotient, rest.is_zero()))
}

/// e^x in WAD; rounds down. Zero for x ≤ −41.446….
///
/// # Errors
/// [`Error::ExpOverflow`] for x ≥ 135.305….
///
/// ```
/// use aiarena_mechanism::fixed_point::exp_wad;
/// use alloy_primitives::I256;
///
/// assert_eq!(exp_wad(I256::ZERO), Ok(I256::unchecked_from(1_000_000_000_000_000_000_i64)));
/// ```
pub fn exp_wad(x: I256) -> Result<I256, Error> {
    // Below the first the result is less than half a unit, from the second on it does not fit a signed word.
    const UNDERFLOW: I256 = negated(uint!(41446531673892822313_U256));
    const OVERFLOW: I256 = signed(uint!(135305999368893231589_U256));
    if x <= UNDERFLOW {
        return Ok(I256::ZERO);
    }
    if x >= OVERFLOW {
        return Err(Error::ExpOverflow);
    }

    // x = k·ln 2 + x', with x' within ±½·ln 2.
    let x = shl(x, 78).wrapping_div(FIVE_POW_18);
    let half = signed(uint!(39614081257132168796771975168_U256));
    let k = add(shl(x, SCALE_BITS).wrapping_div(LN_2), half).asr(SCALE_BITS);
    let x = sub(x, mul(k, LN_2));

    let y = add(x, signed(uint!(1346386616545796478920950773328_U256)));
    let y = add(mul_scaled(y, x), signed(uint!(57155421227552351082224309758442_U256)));
    let p = sub(add(y, x), signed(uint!(94201549194550492254356042504812_U256)));
    let p = add(mul_scaled(p, y), signed(uint!(28719021644029726153956944680412240_U256)));
    let p = add(mul(p, x), shl(signed(uint!(4385272521454847904659076985693276_U256)), SCALE_BITS));

    let q = sub(x, signed(uint!(2855989394907223263936484059900_U256)));
    let q = add(mul_scaled(q, x), signed(uint!(50020603652535783019961831881945_U256)));
    let q = sub(mul_scaled(q, x), signed(uint!(533845033583426703283633433725380_U256)));
    let q = add(mul_scaled(q, x), signed(uint!(3604857256930695427073651918091429_U256)));
    let q = sub(mul_scaled(q, x), signed(uint!(14423608567350463180887372962807573_U256)));
    let q = add(mul_scaled(q, x), signed(uint!(26449188498355588339934803723976023_U256)));

    let scaled = p
        .wrapping_div(q)
        .into_raw()
        .wrapping_mul(uint!(3822833074963236453042738258902158003155416615667_U256));
    let shift = sub(signed(uint!(195_U256)), k).into_raw().saturating_to::<usize>();
    Ok(I256::from_raw(scaled >> shift))
}

/// ln x in WAD; rounds down.
///
/// # Errors
/// [`Error::LnUndefined`] for x ≤ 0.
pub fn ln_wad(x: I256) -> Result<I256, Error> {
    if x <= I256::ZERO {
        return Err(Error::LnUndefined);
    }

    // x = 2^(159 − zeros)·x', with x' in [1, 2).
    let zeros = x.into_raw().leading_zeros();
    let x = I256::from_raw((x.into_raw() << zeros) >> 159_usize);

    let p = add(x, signed(uint!(3273285459638523848632254066296_U256)));
    let p = add(mul_scaled(p, x), signed(uint!(24828157081833163892658089445524_U256)));
    let p = add(mul_scaled(p, x), signed(uint!(43456485725739037958740375743393_U256)));
    let p = sub(mul_scaled(p, x), signed(uint!(11111509109440967052023855526967_U256)));
    let p = sub(mul_scaled(p, x), signed(uint!(45023709667254063763336534515857_U256)));
    let p = sub(mul_scaled(p, x), signed(uint!(14706773417378608786704636184526_U256)));
    let p = sub(mul(p, x), shl(signed(uint!(795164235651350426258249787498_U256)), SCALE_BITS));

    let q = add(x, signed(uint!(5573035233440673466300451813936_U256)));
    let q = add(mul_scaled(q, x), signed(uint!(71694874799317883764090561454958_U256)));
    let q = add(mul_scaled(q, x), signed(uint!(283447036172924575727196451306956_U256)));
    let q = add(mul_scaled(q, x), signed(uint!(401686690394027663651624208769553_U256)));
    let q = add(mul_scaled(q, x), signed(uint!(204048457590392012362485061816622_U256)));
    let q = add(mul_scaled(q, x), signed(uint!(31853899698501571402653359427138_U256)));
    let q = add(mul_scaled(q, x), signed(uint!(909429971244387300277376558375_U256)));

    let k = sub(signed(uint!(159_U256)), signed(U256::from(zeros)));
    let ln_2 = signed(uint!(16597577552685614221487285958193947469193820559219878177908093499208371_U256));
    let r = mul(p.wrapping_div(q), signed(uint!(1677202110996718588342820967067443963516166_U256)));
    let r = add(r, mul(ln_2, k));
    // ln(2^96 / 1e18), since x came in WAD.
    let r =
        add(r, signed(uint!(600920179829731861736702779321621459595472258049074101567377883020018308_U256)));
    Ok(r.asr(174))
}

/// x^y in WAD, as exp(ln(x)·y); the product is divided towards zero.
///
/// # Errors
/// Those of [`ln_wad`] and [`exp_wad`], and [`Error::Overflow`] if ln(x)·y does not fit.
pub fn pow_wad(x: I256, y: I256) -> Result<I256, Error> {
    let product = ln_wad(x)?.checked_mul(y).ok_or(Error::Overflow)?;
    exp_wad(product.wrapping_div(signed(WAD)))
}

/// x^n in WAD by repeated squaring; each product is rounded to the nearest, halves up. 0^0 is one.
///
/// # Errors
/// [`Error::RpowOverflow`] if a square or the power does not fit; never for x of at most one.
///
/// ```
/// use aiarena_mechanism::fixed_point::{WAD, rpow_wad};
/// use alloy_primitives::U256;
///
/// assert_eq!(rpow_wad(WAD / U256::from(2), 3), Ok(WAD / U256::from(8)));
/// ```
pub fn rpow_wad(x: U256, n: u32) -> Result<U256, Error> {
    let half = WAD >> 1;
    let product = |a: U256, b: U256| -> Option<U256> { Some(a.checked_mul(b)?.checked_add(half)? / WAD) };
    let (mut square, mut left) = (x, n >> 1);
    let mut power = if n.is_multiple_of(2) { WAD } else { x };
    while left != 0 {
        square = product(square, square).ok_or(Error::RpowOverflow)?;
        if !left.is_multiple_of(2) {
            power = product(power, square).ok_or(Error::RpowOverflow)?;
        }
        left >>= 1;
    }
    Ok(power)
}

/// ⌈√n⌉.
pub(crate) fn sqrt_up(n: u32) -> u32 {
    let floor = n.isqrt();
    if u64::from(floor) * u64::from(floor) < u64::from(n) { floor + 1 } else { floor }
}

/// Checked arithmetic as Solidity does it.
pub(crate) trait Checked: Sized {
    /// Sum, or [`Error::Overflow`].
    fn plus(self, rhs: Self) -> Result<Self, Error>;
    /// Difference, or [`Error::Overflow`].
    fn minus(self, rhs: Self) -> Result<Self, Error>;
    /// Product, or [`Error::Overflow`].
    fn times(self, rhs: Self) -> Result<Self, Error>;
    /// Quotient rounded down, or [`Error::DivisionByZero`].
    fn over(self, rhs: Self) -> Result<Self, Error>;
}

impl Checked for U256 {
    fn plus(self, rhs: Self) -> Result<Self, Error> {
        self.checked_add(rhs).ok_or(Error::Overflow)
    }

    fn minus(self, rhs: Self) -> Result<Self, Error> {
        self.checked_sub(rhs).ok_or(Error::Overflow)
    }

    fn times(self, rhs: Self) -> Result<Self, Error> {
        self.checked_mul(rhs).ok_or(Error::Overflow)
    }

    fn over(self, rhs: Self) -> Result<Self, Error> {
        self.checked_div(rhs).ok_or(Error::DivisionByZero)
    }
}

const fn signed(value: U256) -> I256 {
    I256::from_raw(value)
}

const fn negated(value: U256) -> I256 {
    I256::from_raw(U256::ZERO.wrapping_sub(value))
}

// The words below wrap, as they do in the unchecked blocks and the assembly of Solady.

fn add(a: I256, b: I256) -> I256 {
    a.wrapping_add(b)
}

fn sub(a: I256, b: I256) -> I256 {
    a.wrapping_sub(b)
}

fn mul(a: I256, b: I256) -> I256 {
    I256::from_raw(a.into_raw().wrapping_mul(b.into_raw()))
}

fn mul_scaled(a: I256, b: I256) -> I256 {
    mul(a, b).asr(SCALE_BITS)
}

fn shl(a: I256, bits: usize) -> I256 {
    I256::from_raw(a.into_raw() << bits)
}
