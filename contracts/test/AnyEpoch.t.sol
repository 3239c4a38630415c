// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Phase, RankingRule, Stage, TaskParams} from "../src/interfaces/IArena.sol";
import {Role} from "../src/interfaces/IVault.sol";
import {Referee} from "./base/Referee.sol";

/// @notice Random populations, parameters and behaviours: every payment is the one that the rules give.
contract AnyEpochTest is Referee {
    uint256 private random;

    /// forge-config: default.fuzz.runs = 256
    /// forge-config: deep.fuzz.runs = 20000
    function testFuzz_EveryPaymentFollowsTheRules(uint256 seed) public {
        random = seed;
        populate(randomParams(), randomStakes(), randomStakes());
        fundTask(task, between(0, 300e18));
        if (next() % 2 == 0) admitBesideAnother();
        delegate();
        for (uint256 epoch = 1; epoch <= 4; ++epoch) {
            submit(epoch);
            (uint256 direct,) = vault.totalsAt(task, Role.Validator, epoch);
            if (direct == 0) return;
            if (next() % 2 == 0) fundTask(task, between(1, 300e18));
            drawSeed(epoch);
            score(epoch);
            uint256 unspent = vault.bountyOf(task) + vault.reserve();
            uint256 budget = draw.nodeBudget + draw.validatorBudget;
            uint256 paid = settleAndCompare(between(1, 5));
            assertTrue(stage() == Stage.Idle);
            assertEq(
                unspent + budget - paid, vault.bountyOf(task) + vault.reserve(), "the rest is carried on"
            );
            assertSolvent();
            goAway(epoch);
        }
    }

    // ------------------------------------------------------------------ random choices

    function next() internal returns (uint256) {
        random = uint256(keccak256(abi.encode(random)));
        return random;
    }

    function between(uint256 low, uint256 high) internal returns (uint256) {
        return low + next() % (high - low + 1);
    }

    function admitBesideAnother() internal {
        fundEmission(between(1, 500e18));
        uint256 other = createTask(defaultParams());
        stakeAs(stranger, other, Role.Node, between(1, 10 ** between(0, 27)));
        stakeAs(owner, other, Role.Validator, between(10e18, 10 ** between(20, 27)));
        admit(task);
        if (next() % 2 == 0) admit(other);
    }

    function randomParams() internal returns (TaskParams memory p) {
        p = defaultParams();
        p.minNodeStake = 1;
        p.minValidatorStake = 1;
        p.rule = next() % 2 == 0 ? RankingRule.StakeIntegral : RankingRule.RankGeometric;
        p.phiWad = uint64(between(0.05e18, next() % 2 == 0 ? 0.3e18 : 10e18));
        p.qWad = uint64(between(1, 1e18));
        p.alphaWad = [uint64(0), 0.5e18, 1e18, uint64(between(0, 1e18))][next() % 4];
        p.rankCutoff = uint16(next() % 4);
        p.gammaWad = uint64(between(0, 0.5e18));
        p.epsilonWad = [uint64(0), 1e18, uint64(between(0, 1e18))][next() % 3];
        p.redundancy = uint8(between(1, 6));
        p.freshData = next() % 2 == 0;
        p.tolerance = [uint32(0), 1000, 100_000_000][next() % 3];
    }

    /// @dev One to five stakes, from a single base unit to a billion tokens.
    function randomStakes() internal returns (uint256[] memory stakes) {
        stakes = new uint256[](between(1, 5));
        for (uint256 i = 0; i < stakes.length; ++i) {
            stakes[i] = between(1, 10 ** between(0, 27));
        }
    }

    function delegate() internal {
        uint256 count = between(0, 4);
        for (uint256 i = 0; i < count; ++i) {
            address operator =
                next() % 2 == 0 ? nodes[next() % nodes.length] : validators[next() % validators.length];
            delegateTo(stranger, task, operator, between(1, 10 ** between(0, 27)));
            vm.prank(operator);
            vault.setCommission(task, uint64(between(0, 1e9) * 1e9));
        }
    }

    /// @dev Some withdraw what they submitted, some take out all of their stake; their submissions stay on the list.
    function goAway(uint256 epoch) internal {
        for (uint256 i = 0; i < nodes.length; ++i) {
            uint256 choice = next() % 6;
            vm.startPrank(nodes[i]);
            if (choice == 0 && epoch == 1) arena.withdrawSubmission(task);
            if (choice == 1 && directStake(nodes[i], epoch + 1) != 0) {
                vault.unstake(task, uint96(directStake(nodes[i], epoch + 1)));
            }
            vm.stopPrank();
        }
        if (next() % 6 != 0) return;
        address validator = validators[next() % validators.length];
        uint256 direct = directStake(validator, epoch + 1);
        if (direct == 0) return;
        vm.prank(validator);
        vault.unstake(task, uint96(direct));
    }

    /// @dev Some skip the epoch and keep what stands, some copy another's artifact. Few distinct scores make ties.
    function submit(uint256 epoch) internal {
        warpTo(epoch, Phase.Submit);
        bytes32[] memory hashes = new bytes32[](nodes.length);
        for (uint256 i = 0; i < nodes.length; ++i) {
            if (epoch > 1 && (next() % 3 == 0 || directStake(nodes[i], epoch) == 0)) continue;
            uint256 original = next() % 5 == 0 ? next() % nodes.length : i;
            hashes[i] = artifact(nodes[original], epoch);
            truth[hashes[i]] = next() % 4 == 0 ? uint32(next() % 2) : uint32(between(1, 4) * 200_000_000);
            commitSubmission(nodes[i], task, hashes[i]);
        }
        warpTo(epoch, Phase.Disclose);
        for (uint256 i = nodes.length; i > 0; --i) {
            if (hashes[i - 1] != 0) openSubmission(nodes[i - 1], task, hashes[i - 1]);
        }
    }

    /// @dev Some report something else, some abstain, some do not reveal.
    function score(uint256 epoch) internal {
        warpTo(epoch, Phase.Commit);
        for (uint256 i = 0; i < validators.length; ++i) {
            if (directStake(validators[i], epoch) == 0) continue;
            commitScores(validators[i], report(honest(validators[i])));
        }
        warpTo(epoch, Phase.Reveal);
        for (uint256 i = 0; i < validators.length; ++i) {
            if (next() % 6 != 0 && directStake(validators[i], epoch) != 0) reveal(validators[i]);
        }
        warpTo(epoch, Phase.Settle);
    }

    function report(uint32[] memory scores) internal returns (uint32[] memory) {
        uint256 behaviour = next() % 4;
        for (uint256 i = 0; i < scores.length; ++i) {
            if (behaviour == 0) scores[i] = uint32(between(0, 1_000_000_000));
            if (behaviour == 1 && next() % 3 == 0) scores[i] = ABSTAIN;
            if (behaviour == 2) scores[i] += uint32(next() % 2000);
        }
        return scores;
    }
}
