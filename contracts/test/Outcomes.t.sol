// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Entry, IArena, Phase, Stage, Tally} from "../src/interfaces/IArena.sol";
import {Role} from "../src/interfaces/IVault.sol";
import {Referee} from "./base/Referee.sol";

/// @notice What liars, copiers, the silent and the absent achieve: consensus, quorum, copies, eligibility (M-7, M-8, M-11).
contract OutcomesTest is Referee {
    uint256 private constant STAKE = 100e18;

    function setUp() public override {
        super.setUp();
        populate(defaultParams(), equalStakes(4, STAKE), equalStakes(4, STAKE));
        fundTask(task, 2000e18);
    }

    // ------------------------------------------------------------------ consensus

    function test_LessThanHalfCannotMoveTheConsensus() public {
        toReveal(1);
        revealScores(0, constant_(validators[0], 1_000_000_000));
        revealHonestly(1, 4);
        finish(1);
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(entryOf(nodes[i]).consensus, descendingScores(4)[i]);
        }
        // Being far off on each submission, the liar earns nothing at all.
        assertEq(earned(validators[0]), 0);
        assertEq(earned(validators[1]), uint256(50e18) / 3);
    }

    function test_ExactlyHalfCanOnlyPushDown() public {
        toReveal(1);
        uint256 snapshot = vm.snapshotState();
        revealScores(0, constant_(validators[0], 1_000_000_000));
        revealScores(1, constant_(validators[1], 1_000_000_000));
        revealHonestly(2, 4);
        finish(1);
        assertEq(entryOf(nodes[0]).consensus, descendingScores(4)[0]);

        vm.revertToState(snapshot);
        revealScores(0, constant_(validators[0], 1));
        revealScores(1, constant_(validators[1], 1));
        revealHonestly(2, 4);
        finish(1);
        assertEq(entryOf(nodes[0]).consensus, 1);
    }

    function test_AnErrorIsMeasuredByTheSpread() public {
        toReveal(1);
        // Scores 900, 850, 800, 750 million: the spread from a quarter to three quarters of the stake is 100 million.
        // 5 million beyond the tolerance of 1000 cost 4 · 5/100 of the weight.
        uint32[] memory off = honest(validators[0]);
        for (uint256 i = 0; i < off.length; ++i) {
            off[i] += 5_001_000;
        }
        revealScores(0, off);
        revealHonestly(1, 4);
        finish(1);
        assertApproxEqAbs(earned(validators[0]) * 10, earned(validators[1]) * 8, 20);
        assertApproxEqAbs(earned(validators[1]) * 38, 50e18 * 10, 100);
    }

    function test_DifferencesWithinTheToleranceCostNothing() public {
        toReveal(1);
        uint32[] memory off = honest(validators[0]);
        for (uint256 i = 0; i < off.length; ++i) {
            off[i] += 1000;
        }
        revealScores(0, off);
        revealHonestly(1, 4);
        finish(1);
        assertEq(earned(validators[0]), 12.5e18);
    }

    function test_AbstentionsAreLeftOut() public {
        toReveal(1);
        revealScores(0, constant_(validators[0], ABSTAIN));
        uint32[] memory some = honest(validators[1]);
        some[0] = ABSTAIN;
        revealScores(1, some);
        revealHonestly(2, 4);
        finish(1);
        assertEq(entryOf(nodes[0]).consensus, descendingScores(4)[0]);
        assertEq(earned(validators[0]), 0);
        // 3 of the 4 + 4 + 3 scores that were given.
        assertApproxEqAbs(earned(validators[1]), uint256(50e18) * 3 / 11, 1);
    }

    // ------------------------------------------------------------------ quorum

    function test_WithoutQuorumNothingIsPaid() public {
        toReveal(1);
        revealHonestly(0, 1);
        finish(1);
        for (uint256 i = 0; i < 4; ++i) {
            Entry memory entry = entryOf(nodes[i]);
            assertFalse(entry.scored || isRankable(entry));
            assertEq(entry.consensus, 0);
        }
        assertNothingPaid();
        // The submissions stand, and the next epoch scores them.
        scoreHonestly(2);
        assertGt(settleAndCompare(), 0);
    }

    function test_AThirdIsAQuorum() public {
        vm.prank(validators[3]);
        vault.unstake(task, uint96(STAKE));
        submitAll(2, descendingScores(4));
        drawSeed(2);
        warpTo(2, Phase.Commit);
        commitScores(validators[1], honest(validators[1]));
        warpTo(2, Phase.Reveal);
        reveal(validators[1]);
        finish(2);
        assertEq(entryOf(nodes[0]).consensus, descendingScores(4)[0]);
        assertEq(earned(validators[1]), draw.validatorBudget);
    }

    function test_IfNobodyRevealsAllGoesBack() public {
        toReveal(1);
        finish(1);
        assertNothingPaid();
    }

    function test_AMedianWithoutQuorumIsRefused() public {
        toReveal(1);
        revealHonestly(0, 1);
        warpTo(1, Phase.Settle);
        Tally[] memory all = tallies();
        all[2].median = descendingScores(4)[2];
        vm.expectRevert(abi.encodeWithSelector(IArena.WrongMedian.selector, nodes[2], all[2].median));
        arena.tally(task, all);
    }

    // ------------------------------------------------------------------ invalid submissions and copies

    function test_IfAllAreInvalidOnlyValidatorsArePaid() public {
        submitAll(1, new uint32[](4));
        scoreHonestly(1);
        assertEq(settleAndCompare(), 50e18);
        assertEq(earned(validators[0]), 12.5e18);
        assertEq(vault.bountyOf(task), 1950e18);
    }

    function test_AnInvalidSubmissionDisturbsNobody() public {
        uint32[] memory scores = descendingScores(4);
        scores[1] = 0;
        submitAll(1, scores);
        scoreHonestly(1);
        settleAndCompare();
        assertEq(earned(nodes[1]), 0);
        assertFalse(isRankable(entryOf(nodes[1])));
        assertEq(orderOfRanked()[1], nodes[2]);
        assertEq(earned(nodes[0]) + earned(nodes[2]) + earned(nodes[3]), 50e18);
    }

    function test_ACopyEarnsNothing() public {
        // Node 3 commits the content of node 0 without knowing it first, and opens before node 0 does.
        warpTo(1, Phase.Submit);
        bytes32 original = artifact(nodes[0], 1);
        truth[original] = 900_000_000;
        commitSubmission(nodes[0], task, original);
        commitSubmission(nodes[3], task, original);
        warpTo(1, Phase.Disclose);
        openSubmission(nodes[3], task, original);
        openSubmission(nodes[0], task, original);
        scoreHonestly(1);
        tallyInBatches(4);
        assertTrue(entryOf(nodes[3]).scored, "the copy is scored");
        assertEq(arena.flightOf(task).rankable, 1);
        address[] memory both = new address[](2);
        (both[0], both[1]) = (nodes[0], nodes[3]);
        vm.expectRevert(abi.encodeWithSelector(IArena.NotAllRanked.selector, 2, 1));
        arena.rank(task, both);
        vm.expectRevert(abi.encodeWithSelector(IArena.NotRankable.selector, nodes[3]));
        arena.rank(task, one(nodes[3]));
        arena.rank(task, one(nodes[0]));
        arena.payNodes(task, 0, 1, one(nodes[0]));
        assertEq(earned(nodes[0]), draw.nodeBudget);
        assertEq(earned(nodes[3]), 0);
    }

    function test_AnOldModelStaysItsAuthors() public {
        submitAll(1, descendingScores(4));
        bytes32 old = artifact(nodes[0], 1);
        warpTo(2, Phase.Submit);
        commitSubmission(nodes[0], task, keccak256("new"));
        commitSubmission(nodes[1], task, old);
        warpTo(2, Phase.Disclose);
        openSubmission(nodes[0], task, keccak256("new"));
        openSubmission(nodes[1], task, old);
        truth[keccak256("new")] = 1;
        scoreHonestly(2);
        settleAndCompare();
        assertEq(earned(nodes[1]), 0);
        // Its author may come back to it.
        warpTo(3, Phase.Submit);
        commitSubmission(nodes[0], task, old);
        warpTo(3, Phase.Disclose);
        openSubmission(nodes[0], task, old);
        scoreHonestly(3);
        settleAndCompare();
        assertEq(orderOfRanked()[0], nodes[0]);
        assertEq(earned(nodes[1]), 0);
    }

    // ------------------------------------------------------------------ eligibility

    function test_WhoWithdrewOrUnbondedIsNeitherRankedNorInTheWay() public {
        submitAll(1, descendingScores(4));
        vm.prank(nodes[0]);
        arena.withdrawSubmission(task);
        vm.prank(nodes[1]);
        vault.unstake(task, uint96(STAKE));
        // Nobody evicts them, so they are on the list of epoch 2, and are scored for nothing.
        scoreHonestly(2);
        settleAndCompare();
        for (uint256 i = 0; i < 2; ++i) {
            Entry memory entry = entryOf(nodes[i]);
            assertTrue(entry.scored);
            assertEq(entry.stake, 0);
            assertEq(earned(nodes[i]), 0);
        }
        assertEq(earned(nodes[2]) + earned(nodes[3]), draw.nodeBudget);
        assertEq(orderOfRanked()[0], nodes[2]);
    }

    function test_IfNoScoreCountsNoValidatorIsPaid() public {
        submitAll(1, descendingScores(4));
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(nodes[i]);
            arena.withdrawSubmission(task);
        }
        scoreHonestly(2);
        settle();
        assertTrue(stage() == Stage.Idle, "ended with the last validator weighed");
        assertNothingPaid();
    }

    // ------------------------------------------------------------------ replay

    function test_NothingMovesBetweenTasksOrChains() public {
        uint256 other = createTask(defaultParams());
        stakeAs(nodes[0], other, Role.Node, STAKE);
        warpTo(1, Phase.Submit);
        bytes32 here = submissionCommitment(nodes[0], task, "model");
        vm.startPrank(nodes[0]);
        arena.commitSubmission(task, here);
        arena.commitSubmission(other, here);
        warpTo(1, Phase.Disclose);
        vm.expectPartialRevert(IArena.CommitmentMismatch.selector);
        arena.openSubmission(other, "model", SALT, "");
        uint256 chain = block.chainid;
        vm.chainId(chain + 1);
        vm.expectPartialRevert(IArena.CommitmentMismatch.selector);
        arena.openSubmission(task, "model", SALT, "");
        vm.chainId(chain);
        arena.openSubmission(task, "model", SALT, "");
        vm.stopPrank();
    }

    function test_RolesAreOfATask() public {
        uint256 other = createTask(defaultParams());
        stakeAs(nodes[0], other, Role.Validator, STAKE);
        assertTrue(vault.roleOf(task, nodes[0]) == Role.Node);
        assertTrue(vault.roleOf(other, nodes[0]) == Role.Validator);
    }

    // ------------------------------------------------------------------ parts

    function toReveal(uint256 epoch) internal {
        submitAll(epoch, descendingScores(4));
        drawSeed(epoch);
    }

    function revealScores(uint256 index, uint32[] memory scores) internal {
        warpTo(draw.epoch, Phase.Commit);
        commitScores(validators[index], scores);
        warpTo(draw.epoch, Phase.Reveal);
        reveal(validators[index]);
    }

    function revealHonestly(uint256 from, uint256 to) internal {
        for (uint256 i = from; i < to; ++i) {
            revealScores(i, honest(validators[i]));
        }
    }

    function finish(uint256 epoch) internal {
        warpTo(epoch, Phase.Settle);
        settleAndCompare();
        assertTrue(stage() == Stage.Idle);
        assertSolvent();
    }

    function assertNothingPaid() internal view {
        assertEq(vault.bountyOf(task), 2000e18, "all went back");
        for (uint256 i = 0; i < 4; ++i) {
            assertEq(earned(nodes[i]) + earned(validators[i]), 0);
        }
    }
}
