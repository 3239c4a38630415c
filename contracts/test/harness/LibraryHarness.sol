// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FixedPointMathLib as Math} from "solady/src/utils/FixedPointMathLib.sol";

import {Assignment} from "../../src/libraries/Assignment.sol";
import {Commitment} from "../../src/libraries/Commitment.sol";
import {Consensus} from "../../src/libraries/Consensus.sol";
import {Ranking} from "../../src/libraries/Ranking.sol";
import {Rewards} from "../../src/libraries/Rewards.sol";

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

    // ------------------------------------------------------------------ assignment

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

    function assignmentImage(bytes32 key, uint256 n, uint256 i) external pure returns (uint256) {
        return Assignment.image(key, n, i);
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
        return Ranking.integralCumulative(budget, stakeUpTo, total, phiWad);
    }

    function integralWithoutDelegation(
        uint256 budget,
        uint256 above,
        uint256 stake,
        uint256 direct,
        uint256 total,
        uint256 phiWad
    ) external pure returns (uint256) {
        return Ranking.integralWithoutDelegation(budget, above, stake, direct, total, phiWad);
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

    function returnUnpaid(uint256 emission, uint256 bounty, uint256 paid)
        external
        pure
        returns (uint256 toReserve, uint256 toBounty)
    {
        return Rewards.returnUnpaid(emission, bounty, paid);
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
        bytes32 root
    ) external pure returns (bytes32) {
        return Commitment.scores(chainId, arena, task, epoch, validator, salt, root);
    }

    function tagged(bytes32 commitment, uint32 epoch) external pure returns (bytes32) {
        return Commitment.tagged(commitment, epoch);
    }

    function leaf(uint256 chunk, bytes32[] calldata contentHashes, bytes calldata chunkScores)
        external
        pure
        returns (bytes32)
    {
        return Commitment.leaf(chunk, contentHashes, chunkScores);
    }

    function proves(bytes32[] calldata proof, bytes32 root, bytes32 leaf_, uint256 index, uint256 count)
        external
        pure
        returns (bool)
    {
        return Commitment.proves(proof, root, leaf_, index, count);
    }
}
