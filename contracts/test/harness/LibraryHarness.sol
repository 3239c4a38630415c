// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FixedPointMathLib as Math} from "solady/src/utils/FixedPointMathLib.sol";

import {Assignment} from "../../src/libraries/Assignment.sol";
import {Commitment} from "../../src/libraries/Commitment.sol";
import {Consensus} from "../../src/libraries/Consensus.sol";
import {Delegation} from "../../src/libraries/Delegation.sol";
import {Ranking} from "../../src/libraries/Ranking.sol";
import {Rewards} from "../../src/libraries/Rewards.sol";
import {Slashing} from "../../src/libraries/Slashing.sol";

/// @notice Shows the internal libraries to the tests of the Rust crate `mechanism`, which run this bytecode.
contract LibraryHarness {
    // ------------------------------------------------------------------ fixed point

    function fullMulDiv(uint256 x, uint256 y, uint256 d) external pure returns (uint256) {
        return Math.fullMulDiv(x, y, d);
    }

    function fullMulDivUp(uint256 x, uint256 y, uint256 d) external pure returns (uint256) {
        return Math.fullMulDivUp(x, y, d);
    }

    function expWad(int256 x) external pure returns (int256) {
        return Math.expWad(x);
    }

    function lnWad(int256 x) external pure returns (int256) {
        return Math.lnWad(x);
    }

    function powWad(int256 x, int256 y) external pure returns (int256) {
        return Math.powWad(x, y);
    }

    function rpowWad(uint256 x, uint256 n) external pure returns (uint256) {
        return Math.rpow(x, n, 1e18);
    }

    // ------------------------------------------------------------------ assignment

    function assignmentSeed(
        uint256 randomness,
        uint256 chainId,
        address arena,
        uint256 task,
        uint256 epoch,
        bytes32 list
    ) external pure returns (bytes32) {
        return Assignment.seed(randomness, chainId, arena, task, epoch, list);
    }

    function listDigest(bytes32 digest, address node, bytes32 contentHash, uint256 number)
        external
        pure
        returns (bytes32)
    {
        return Assignment.listDigest(digest, node, contentHash, number);
    }

    function assignmentKey(bytes32 seed, uint256 task, uint256 epoch, address validator)
        external
        pure
        returns (bytes32)
    {
        return Assignment.key(seed, task, epoch, validator);
    }

    function assignmentCount(uint256 redundancy, uint256 n, uint256 stake, uint256 total)
        external
        pure
        returns (uint256)
    {
        return Assignment.count(redundancy, n, stake, total);
    }

    function assignmentGrid(uint256 n) external pure returns (uint256 a, uint256 b) {
        Assignment.Grid memory grid = Assignment.grid(n);
        return (grid.a, grid.b);
    }

    function assignmentImage(bytes32 key, uint256 n, uint256 i) external pure returns (uint256) {
        return Assignment.image(Assignment.grid(n), key, i);
    }

    function assignmentPreimage(bytes32 key, uint256 n, uint256 x) external pure returns (uint256) {
        return Assignment.preimage(Assignment.grid(n), key, x);
    }

    // ------------------------------------------------------------------ consensus

    function isLegal(uint256 score) external pure returns (bool) {
        return Consensus.isLegal(score);
    }

    function consensusWeight(uint256 stake, uint256 n, uint256 k) external pure returns (uint256) {
        return Consensus.weight(stake, n, k);
    }

    function hasQuorum(uint256 revealedWeight, uint256 totalStake) external pure returns (bool) {
        return Consensus.hasQuorum(revealedWeight, totalStake);
    }

    function isLowerMedian(uint256 candidate, uint256 below, uint256 atOrBelow, uint256 total)
        external
        pure
        returns (bool)
    {
        return Consensus.isLowerMedian(candidate, below, atOrBelow, total);
    }

    // ------------------------------------------------------------------ ranking

    function integralWad(uint256 x, uint256 phiWad) external pure returns (uint256) {
        return Ranking.integralWad(x, phiWad);
    }

    function integralCumulative(uint256 budget, uint256 stakeUpTo, uint256 total, uint256 phiWad)
        external
        pure
        returns (uint256)
    {
        return Ranking.integralCumulative(budget, stakeUpTo, total, phiWad, _scale(phiWad));
    }

    function integralWithoutDelegation(
        uint256 budget,
        uint256 above,
        uint256 stake,
        uint256 direct,
        uint256 total,
        uint256 phiWad
    ) external pure returns (uint256) {
        return Ranking.integralWithoutDelegation(budget, above, stake, direct, total, phiWad, _scale(phiWad));
    }

    /// @dev Like its twin in Rust, which has no φ of 0 to divide by where F is 0 or 1.
    function _scale(uint256 phiWad) private pure returns (uint256) {
        return phiWad == 0 ? 0 : Ranking.integralScale(phiWad);
    }

    function decay(uint256 decayWad, uint256 qWad) external pure returns (uint256) {
        return Ranking.decay(decayWad, qWad);
    }

    function stakePower(uint256 stake, uint256 alphaWad) external pure returns (uint256) {
        return Ranking.stakePower(stake, alphaWad);
    }

    function geometricWeight(uint256 decayWad, uint256 stake, uint256 alphaWad)
        external
        pure
        returns (uint256)
    {
        return Ranking.geometricWeight(decayWad, stake, alphaWad);
    }

    // ------------------------------------------------------------------ rewards

    function effective(uint256 direct, uint256 delegated, uint256 epsilonWad)
        external
        pure
        returns (uint256)
    {
        return Rewards.effective(direct, delegated, epsilonWad);
    }

    function nodeBudget(uint256 budget, uint256 gammaWad, uint256 directNodes, uint256 directValidators)
        external
        pure
        returns (uint256)
    {
        return Rewards.nodeBudget(budget, gammaWad, directNodes, directValidators);
    }

    function accuracy(uint256 score, uint256 consensus, uint256 tolerance, uint256 spread)
        external
        pure
        returns (uint256)
    {
        return Rewards.accuracy(score, consensus, tolerance, spread);
    }

    function validatorWeight(uint256 stake, uint256 omega, uint256 accuracyWad)
        external
        pure
        returns (uint256)
    {
        return Rewards.validatorWeight(stake, omega, accuracyWad);
    }

    function proportional(uint256 budget, uint256 weight, uint256 total) external pure returns (uint256) {
        return Rewards.proportional(budget, weight, total);
    }

    function operatorShare(uint256 with_, uint256 without, uint256 commissionWad)
        external
        pure
        returns (uint256)
    {
        return Rewards.operatorShare(with_, without, commissionWad);
    }

    function returnUnpaid(uint256 emission_, uint256 bounty, uint256 paid)
        external
        pure
        returns (uint256 toReserve, uint256 toBounty)
    {
        return Rewards.returnUnpaid(emission_, bounty, paid);
    }

    function emission(uint256 initial, uint256 decayWad, uint256 period, uint256 epoch)
        external
        pure
        returns (uint256)
    {
        return Rewards.emission(initial, decayWad, period, epoch);
    }

    function fee(uint256 amount, uint256 feeWad) external pure returns (uint256) {
        return Rewards.fee(amount, feeWad);
    }

    // ------------------------------------------------------------------ delegation

    function fold(uint256 perShare, uint256 pending, uint256 shares)
        external
        pure
        returns (uint256 risen, uint256 rest)
    {
        return Delegation.fold(perShare, pending, shares);
    }

    function accrued(uint256 shares, uint256 from, uint256 to) external pure returns (uint256) {
        return Delegation.accrued(shares, from, to);
    }

    // ------------------------------------------------------------------ slashing

    function penalty(uint256 stake, uint256 fractionWad) external pure returns (uint256) {
        return Slashing.penalty(stake, fractionWad);
    }

    function lossWad(uint256 rest, uint256 active, uint256 fractionWad) external pure returns (uint256) {
        return Slashing.lossWad(rest, active, fractionWad);
    }

    function reduced(uint256 factorWad, uint256 lossWad_) external pure returns (uint256) {
        return Slashing.reduced(factorWad, lossWad_);
    }

    function worth(uint256 shares, uint256 factorWad) external pure returns (uint256) {
        return Slashing.worth(shares, factorWad);
    }

    function sharesFor(uint256 amount, uint256 factorWad) external pure returns (uint256) {
        return Slashing.sharesFor(amount, factorWad);
    }

    function sharesOf(uint256 amount, uint256 factorWad) external pure returns (uint256) {
        return Slashing.sharesOf(amount, factorWad);
    }

    // ------------------------------------------------------------------ commitments

    function submissionCommitment(
        uint256 chainId,
        address arena,
        uint256 task,
        uint256 epoch,
        address node,
        bytes32 contentHash,
        bytes32 salt
    ) external pure returns (bytes32) {
        return Commitment.submission(chainId, arena, task, epoch, node, contentHash, salt);
    }

    function scoresCommitment(
        uint256 chainId,
        address arena,
        uint256 task,
        uint256 epoch,
        address validator,
        bytes32 salt,
        bytes32 seed,
        bytes calldata scoresBytes
    ) external pure returns (bytes32) {
        return Commitment.scores(chainId, arena, task, epoch, validator, salt, seed, scoresBytes);
    }

    function tagged(bytes32 commitment, uint32 epoch) external pure returns (bytes32) {
        return Commitment.tagged(commitment, epoch);
    }
}
