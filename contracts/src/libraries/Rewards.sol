// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FixedPointMathLib as Math} from "solady/src/utils/FixedPointMathLib.sol";

/// @title Rewards: budgets, validators' weights, fees, and the split between operator and delegators
/// @dev M-2, M-3, M-6, M-8, M-14, M-15.
/// @notice Twin of `rewards` and `budget` in the Rust crate `mechanism`, bit for bit. Rules: `docs/mechanism.md`.
library Rewards {
    uint256 private constant WAD = 1e18;

    /// @notice λ: how much faster a validator's weight falls than its distance grows (M-8).
    uint256 internal constant LAMBDA = 4;

    /// @notice What all tasks together may emit in `epoch`: `initial`, times `decayWad` after each `period` epochs; rounds
    /// down (M-2). Nothing in epoch 0.
    /// @dev The power rounds each of its squarings to the nearest, halves up.
    /// @param decayWad above 0 and at most WAD; @param period at least 1.
    function emission(uint256 initial, uint256 decayWad, uint256 period, uint256 epoch)
        internal
        pure
        returns (uint256)
    {
        if (epoch == 0) return 0;
        return Math.fullMulDiv(initial, Math.rpow(decayWad, (epoch - 1) / period, WAD), WAD);
    }

    /// @notice The treasury's part of a claim (M-14); rounds down.
    function fee(uint256 amount, uint256 feeWad) internal pure returns (uint256) {
        return Math.fullMulDiv(amount, feeWad, WAD);
    }

    /// @notice Effective stake: direct + ε·delegated; rounds down.
    function effective(uint256 direct, uint256 delegated, uint256 epsilonWad)
        internal
        pure
        returns (uint256)
    {
        return direct + Math.fullMulDiv(delegated, epsilonWad, WAD);
    }

    /// @notice The nodes' part of an epoch's budget (M-3); rounds down. The validators' part is the rest.
    /// @param directNodes, directValidators direct stakes of all eligible nodes and validators.
    function nodeBudget(uint256 budget, uint256 gammaWad, uint256 directNodes, uint256 directValidators)
        internal
        pure
        returns (uint256)
    {
        uint256 direct = directNodes + directValidators;
        if (direct == 0) return 0;
        uint256 share = gammaWad * direct + (WAD - 2 * gammaWad) * directNodes;
        return Math.fullMulDiv(budget, share, direct * WAD);
    }

    /// @notice How near a score is to the consensus, in WAD: 1 within the tolerance, falling to 0 at a quarter of the
    /// spread beyond it (M-8). The penalty rounds up.
    function accuracy(uint256 score, uint256 consensus, uint256 tolerance, uint256 spread)
        internal
        pure
        returns (uint256)
    {
        uint256 excess = Math.zeroFloorSub(Math.dist(score, consensus), tolerance);
        uint256 unit = Math.max(Math.max(spread, tolerance), 1);
        return WAD - Math.min(WAD, Math.fullMulDivUp(LAMBDA * excess, WAD, unit));
    }

    /// @notice What one score adds to its validator's weight (M-8); rounds down before it multiplies.
    /// @param stake effective stake of the submission's node; @param omega weight of the score (M-7).
    function validatorWeight(uint256 stake, uint256 omega, uint256 accuracyWad)
        internal
        pure
        returns (uint256)
    {
        return Math.fullMulDiv(stake, accuracyWad, WAD) * omega;
    }

    /// @notice Part of a budget in proportion to a weight; rounds down, 0 if there is no weight at all.
    function proportional(uint256 budget, uint256 weight, uint256 total) internal pure returns (uint256) {
        return total == 0 ? 0 : Math.fullMulDiv(budget, weight, total);
    }

    /// @notice The operator's part of its pool's reward (M-6); rounds down. The delegators' part is the rest.
    /// @param with_ the pool's reward; @param without what it would be without delegated stake.
    function operatorShare(uint256 with_, uint256 without, uint256 commissionWad)
        internal
        pure
        returns (uint256)
    {
        if (with_ <= without) return with_;
        return without + Math.fullMulDiv(commissionWad, with_ - without, WAD);
    }

    /// @notice What an epoch did not pay goes back where it came from, in proportion (M-15); the reserve's part rounds
    /// down, the bounty gets the rest.
    function returnUnpaid(uint256 emission_, uint256 bounty, uint256 paid)
        internal
        pure
        returns (uint256 toReserve, uint256 toBounty)
    {
        uint256 budget = emission_ + bounty;
        uint256 rest = budget - paid;
        toReserve = proportional(rest, emission_, budget);
        toBounty = rest - toReserve;
    }
}
