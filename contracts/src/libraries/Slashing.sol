// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FixedPointMathLib as Math} from "solady/src/utils/FixedPointMathLib.sol";

/// @title Slashing: what an offence costs the operator and its delegators (M-12)
/// @notice Twin of `slashing` in the Rust crate `mechanism`, bit for bit. Rules: `docs/mechanism.md`.
/// @dev Delegated stake is held in shares. What a share is worth is the pool's factor, WAD at first; a slash lowers the
/// factor, and so reaches every delegator in one step.
library Slashing {
    uint256 private constant WAD = 1e18;

    /// @notice What an offence costs for `stake`; rounds down.
    function penalty(uint256 stake, uint256 fractionWad) internal pure returns (uint256) {
        return Math.fullMulDiv(stake, fractionWad, WAD);
    }

    /// @notice What fraction of each delegated unit is lost; rounds up, and is never above `fractionWad`.
    /// @param rest what the operator's own stake left uncovered of the penalty; @param active delegated stake.
    function lossWad(uint256 rest, uint256 active, uint256 fractionWad) internal pure returns (uint256) {
        if (rest == 0) return 0;
        if (active == 0) return fractionWad;
        return Math.min(fractionWad, Math.fullMulDivUp(rest, WAD, active));
    }

    /// @notice The factor after a loss; rounds down.
    function reduced(uint256 factorWad, uint256 lossWad_) internal pure returns (uint256) {
        return Math.fullMulDiv(factorWad, WAD - lossWad_, WAD);
    }

    /// @notice What shares are worth; rounds down.
    function worth(uint256 shares, uint256 factorWad) internal pure returns (uint256) {
        return Math.fullMulDiv(shares, factorWad, WAD);
    }

    /// @notice How many shares a deposit buys; rounds down.
    function sharesFor(uint256 amount, uint256 factorWad) internal pure returns (uint256) {
        return Math.fullMulDiv(amount, WAD, factorWad);
    }

    /// @notice How many shares a withdrawal costs; rounds up.
    function sharesOf(uint256 amount, uint256 factorWad) internal pure returns (uint256) {
        return Math.fullMulDivUp(amount, WAD, factorWad);
    }
}
