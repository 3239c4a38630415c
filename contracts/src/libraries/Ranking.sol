// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FixedPointMathLib as Math} from "solady/src/utils/FixedPointMathLib.sol";

/// @title Ranking: what a rank earns (M-5, M-6)
/// @notice Twin of `ranking` in the Rust crate `mechanism`, bit for bit. Ratios are in WAD. Rules: `docs/mechanism.md`.
library Ranking {
    uint256 private constant WAD = 1e18;

    // ------------------------------------------------------------------ stake-integral

    /// @notice F(x) = (1 − exp(−x/φ)) / (1 − exp(−1/φ)) for x in [0, 1]; every division rounds down.
    function integralWad(uint256 x, uint256 phiWad) internal pure returns (uint256) {
        if (x == 0) return 0;
        if (x >= WAD) return WAD;
        return _integral(x, phiWad, integralScale(phiWad));
    }

    /// @notice 1 − exp(−1/φ): the denominator of F, taken once for many nodes.
    function integralScale(uint256 phiWad) internal pure returns (uint256) {
        return _complement(WAD, phiWad);
    }

    function _integral(uint256 x, uint256 phiWad, uint256 scale) private pure returns (uint256) {
        if (x == 0) return 0;
        if (x >= WAD) return WAD;
        return Math.min(WAD, _complement(x, phiWad) * WAD / scale);
    }

    /// @notice ⌊B·F(stakeUpTo/total)⌋: what all nodes within the best `stakeUpTo` of the ranked stake earn together.
    /// @dev Never falls in `stakeUpTo`, and is exactly `budget` at `total`.
    /// @param scale that of `integralScale`.
    function integralCumulative(
        uint256 budget,
        uint256 stakeUpTo,
        uint256 total,
        uint256 phiWad,
        uint256 scale
    ) internal pure returns (uint256) {
        return Math.fullMulDiv(budget, _integral(Math.fullMulDiv(stakeUpTo, WAD, total), phiWad, scale), WAD);
    }

    /// @notice What a node would earn without its delegated stake, all else unchanged (M-6).
    /// @param above effective stake ranked above the node; @param stake the node's own effective stake;
    /// @param direct the node's direct stake; @param total effective stake of all ranked nodes.
    function integralWithoutDelegation(
        uint256 budget,
        uint256 above,
        uint256 stake,
        uint256 direct,
        uint256 total,
        uint256 phiWad,
        uint256 scale
    ) internal pure returns (uint256) {
        if (direct == 0) return 0;
        uint256 reduced = total - stake + direct;
        uint256 upper = integralCumulative(budget, above + direct, reduced, phiWad, scale);
        return Math.zeroFloorSub(upper, integralCumulative(budget, above, reduced, phiWad, scale));
    }

    /// @dev 1 − exp(−x/φ) in WAD, for x at most WAD.
    function _complement(uint256 x, uint256 phiWad) private pure returns (uint256) {
        // The quotient is at most 1e36, so that the conversion keeps its value, and exp of it lies in [0, WAD].
        // forge-lint: disable-next-line(unsafe-typecast)
        return WAD - uint256(Math.expWad(-int256(x * WAD / phiWad)));
    }

    // ------------------------------------------------------------------ rank-geometric

    /// @notice The next rank's decay: `decayWad`·q; rounds down. Rank 1 has a decay of WAD.
    function decay(uint256 decayWad, uint256 qWad) internal pure returns (uint256) {
        return decayWad * qWad / WAD;
    }

    /// @notice t^α on the scale on which t^1 = t: WAD for α = 0, at least 1 for any stake.
    function stakePower(uint256 stake, uint256 alphaWad) internal pure returns (uint256) {
        if (stake == 0) return 0;
        if (alphaWad == WAD) return stake;
        if (alphaWad == 0) return WAD;
        // Both keep their value: a vault holds less than 2^96, and a task has an α of at most 1.
        // forge-lint: disable-next-line(unsafe-typecast)
        return Math.max(1, uint256(Math.powWad(int256(stake), int256(alphaWad))));
    }

    /// @notice q^(rank−1)·t^α, without a division.
    function geometricWeight(uint256 decayWad, uint256 stake, uint256 alphaWad)
        internal
        pure
        returns (uint256)
    {
        return decayWad * stakePower(stake, alphaWad);
    }
}
