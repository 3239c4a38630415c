// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Phase, RankingRule, Tally, TaskParams} from "../../src/interfaces/IArena.sol";
import {Role} from "../../src/interfaces/IVault.sol";
import {EpochFixture} from "../base/EpochFixture.sol";

/// @notice Names what the last call cost. No transaction may come near the limit of Base, 2^24 gas.
abstract contract GasFixture is EpochFixture {
    uint256 internal constant STAKE = 100e18;
    uint256 private constant TRANSACTION_LIMIT = 1 << 24;

    function snapshot(string memory group, string memory name) internal {
        assertLt(vm.snapshotGasLastCall(group, name), TRANSACTION_LIMIT / 2, name);
    }

    /// @dev The reveal alone, without what the fixture does after it.
    function revealAlone(address validator) internal {
        bytes memory scores = packed(sheets[task][validator].scores);
        vm.prank(validator);
        arena.revealScores(task, SALT, scores);
    }
}

/// @notice The gas of every action, each as a transaction of its own: 21 000 and the calldata included.
/// forge-config: default.isolate = true
contract GasTest is GasFixture {
    uint256 private constant COUNT = 20;

    /// @dev 20 nodes and 20 validators with a redundancy of 15: each validator scores 15 of 20 submissions.
    function setUp() public override {
        super.setUp();
        populate(defaultParams(), equalStakes(COUNT, STAKE), equalStakes(COUNT, STAKE));
        fundTask(task, 10_000e18);
        fundEmission(10_000e18);
        admit(task);
        playEpoch(1);
    }

    function test_Vault() public {
        provide(stranger, 10 * STAKE);
        provide(creator, STAKE);
        vm.prank(creator);
        vault.fund(task, 1e18);
        snapshot("Vault", "fund");
        vm.startPrank(stranger);
        vault.stake(task, Role.Node, uint96(STAKE));
        snapshot("Vault", "stake, first");
        vault.stake(task, Role.Node, uint96(STAKE));
        snapshot("Vault", "stake, again in the epoch");
        vault.setCommission(task, 0.1e18);
        snapshot("Vault", "setCommission");
        vault.delegate(task, nodes[0], uint96(STAKE));
        snapshot("Vault", "delegate, first");
        vault.delegate(task, nodes[0], uint96(STAKE));
        snapshot("Vault", "delegate, again in the epoch");
        vm.stopPrank();

        playEpoch(2);
        vm.prank(nodes[0]);
        vault.claim(task, nodes[0]);
        snapshot("Vault", "claim, operator");
        vm.startPrank(stranger);
        vault.claim(task, nodes[0]);
        snapshot("Vault", "claim, delegator");
        vault.undelegate(task, nodes[0], uint96(STAKE));
        snapshot("Vault", "undelegate");
        vault.unstake(task, uint96(STAKE));
        snapshot("Vault", "unstake");
        warpTo(10, Phase.Submit);
        vault.withdraw(task, stranger, 10);
        snapshot("Vault", "withdraw, operator");
        vault.withdraw(task, nodes[0], 10);
        snapshot("Vault", "withdraw, delegator");
        vm.stopPrank();

        warpTo(21, Phase.Submit);
        vm.prank(creator);
        vault.reclaim(task);
        snapshot("Vault", "reclaim");
    }

    function test_Submissions() public {
        vm.prank(creator);
        arena.createTask(defaultParams());
        snapshot("Arena", "createTask");
        vm.prank(stranger);
        arena.registerKey("key");
        snapshot("Arena", "registerKey");
        stakeAs(stranger, task, Role.Node, STAKE);
        warpTo(2, Phase.Submit);
        commitSubmission(stranger, task, "model");
        snapshot("Arena", "commitSubmission, first");
        commitSubmission(nodes[0], task, "another model");
        snapshot("Arena", "commitSubmission, later epoch");
        warpTo(2, Phase.Disclose);
        openSubmission(stranger, task, "model");
        snapshot("Arena", "openSubmission, new");
        openSubmission(nodes[0], task, "another model");
        snapshot("Arena", "openSubmission, replacing");
        vm.prank(nodes[1]);
        arena.withdrawSubmission(task);
        snapshot("Arena", "withdrawSubmission");
        warpTo(3, Phase.Submit);
        arena.evict(task, nodes[1]);
        snapshot("Arena", "evict");
        vm.prank(creator);
        arena.endTask(task);
        snapshot("Arena", "endTask");
    }

    function test_Scores() public {
        submitAll(2, descendingScores(COUNT, 10_000_000));
        uint256 state = vm.snapshotState();
        warpTo(2, Phase.Seed);
        arena.drawSeed(task);
        snapshot("Arena", "drawSeed, 20 submissions");
        vm.revertToState(state);
        drawSeed(2);
        warpTo(2, Phase.Commit);
        for (uint256 i = 0; i < COUNT; ++i) {
            commitScores(validators[i], honest(validators[i]));
        }
        snapshot("Arena", "commitScores");
        warpTo(2, Phase.Reveal);
        // Later reveals write into words that earlier ones opened, as most of them do.
        for (uint256 i = 0; i < COUNT / 2; ++i) {
            reveal(validators[i]);
        }
        revealAlone(validators[COUNT / 2]);
        snapshot("Arena", "revealScores, 15 scores");
    }

    function test_Offences() public {
        submitAll(2, descendingScores(COUNT, 10_000_000));
        drawSeed(2);
        warpTo(2, Phase.Commit);
        commitScores(validators[0], honest(validators[0]));
        warpTo(2, Phase.Settle);
        arena.reportUnrevealed(task, validators[0]);
        snapshot("Arena", "reportUnrevealed");
        arena.reportSilent(task, validators[1]);
        snapshot("Arena", "reportSilent, first");
        settle();
        playSilently(3);
        arena.reportSilent(task, validators[1]);
        snapshot("Arena", "reportSilent, again");
        settle();
        playSilently(4);
        arena.reportSilent(task, validators[1]);
        snapshot("Arena", "reportSilent, with slash");
    }

    function playSilently(uint256 epoch) private {
        drawSeed(epoch);
        warpTo(epoch, Phase.Settle);
    }

    function test_Settlement() public {
        submitAll(2, descendingScores(COUNT, 10_000_000));
        scoreHonestly(2);
        Tally[] memory all = tallies();
        Tally memory part = all[0];
        bytes memory revealers_ = part.revealers;
        assembly ("memory-safe") {
            // Eight of them.
            mstore(revealers_, 32)
        }
        vm.prank(stranger);
        arena.tallyPart(task, part);
        snapshot("Arena", "tallyPart, 8 scores");
        arena.tally(task, tallies());
        snapshot("Arena", "tally, 20 submissions of 15 scores");
        address[] memory order = orderOfRanked();
        arena.rank(task, order);
        snapshot("Arena", "rank, 20 submissions");
        arena.payNodes(task, 0, order.length, order);
        snapshot("Arena", "payNodes, 20 nodes");
        arena.weigh(task, 0, COUNT);
        snapshot("Arena", "weigh, 20 validators of 15 scores");
        arena.payValidators(task, 0, COUNT);
        snapshot("Arena", "payValidators, 20 validators");
    }

    function test_SettlementByRank() public {
        TaskParams memory p = defaultParams();
        p.rule = RankingRule.RankGeometric;
        p.alphaWad = 0.5e18;
        delete nodes;
        delete validators;
        populate(p, equalStakes(COUNT, STAKE), equalStakes(COUNT, STAKE));
        fundTask(task, 10_000e18);
        playEpoch(2);
        submitAll(3, descendingScores(COUNT, 10_000_000));
        scoreHonestly(3);
        arena.tally(task, tallies());
        address[] memory order = orderOfRanked();
        arena.rank(task, order);
        snapshot("Arena", "rank, 20 submissions, rank-geometric");
        arena.payNodes(task, 0, order.length, order);
        snapshot("Arena", "payNodes, 20 nodes, rank-geometric");
    }

    // ------------------------------------------------------------------ parts

    function playEpoch(uint256 epoch) private {
        submitAll(epoch, descendingScores(COUNT, 10_000_000));
        scoreHonestly(epoch);
        settle();
    }
}

/// @notice Long sheets: 128 scores, where storage is used for the first time and where it is used again.
/// forge-config: default.isolate = true
contract LargeGasTest is GasFixture {
    uint256 private constant COUNT = 128;

    function setUp() public override {
        super.setUp();
        populate(defaultParams(), equalStakes(COUNT, STAKE), equalStakes(3, STAKE));
        fundTask(task, 10_000e18);
    }

    function test_LongSheets() public {
        playScores(1, "first epoch");
        playScores(2, "later epoch");
    }

    function playScores(uint256 epoch, string memory when) private {
        submitAll(epoch, descendingScores(COUNT, 1_000_000));
        drawSeed(epoch);
        warpTo(epoch, Phase.Commit);
        commitScores(validators[0], honest(validators[0]));
        warpTo(epoch, Phase.Reveal);
        revealAlone(validators[0]);
        snapshot("Large", string.concat("revealScores, 128 scores, ", when));
        countReveal(validators[0]);
        warpTo(epoch, Phase.Settle);
        arena.tally(task, tallies());
        snapshot("Large", string.concat("tally, 128 submissions of 1 score, ", when));
        address[] memory order = orderOfRanked();
        arena.rank(task, order);
        snapshot("Large", string.concat("rank, 128 submissions, ", when));
        arena.payNodes(task, 0, order.length, order);
        snapshot("Large", string.concat("payNodes, 128 nodes, ", when));
        arena.weigh(task, 0, 1);
        snapshot("Large", string.concat("weigh, 128 scores, ", when));
        arena.payValidators(task, 0, 1);
    }
}
