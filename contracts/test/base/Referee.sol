// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Entry, IArena, RankingRule} from "../../src/interfaces/IArena.sol";
import {Ranking} from "../../src/libraries/Ranking.sol";
import {Rewards} from "../../src/libraries/Rewards.sol";
import {EpochFixture} from "./EpochFixture.sol";
import {Vm} from "./Vm.sol";

/// @notice Computes what everyone should be paid for the epoch in flight, all at once and in memory, from the reveals
/// and the stakes, and compares it with what the arena announces. It follows the text of the rules, not the contract.
abstract contract Referee is EpochFixture {
    /// @dev One reward with and without the pool's delegated stake.
    struct Pay {
        address operator;
        uint256 with_;
        uint256 without;
    }

    /// @dev One entry as the referee sees it. `stake` counts for validators, who score copies and invalid ones as well.
    struct Verdict {
        address node;
        uint64 number;
        uint32 consensus;
        bool scored;
        bool ranked;
        uint256 stake;
        uint256 direct;
    }

    struct Disclosure {
        address node;
        uint64 number;
    }

    mapping(bytes32 contentHash => Disclosure) private originals;

    function verdicts() internal view returns (Verdict[] memory list) {
        list = new Verdict[](arena.entryCount(task));
        for (uint256 i = 0; i < list.length; ++i) {
            Entry memory entry = arena.entryAt(task, i);
            Verdict memory v = list[i];
            (v.node, v.number) = (entry.node, entry.number);
            v.consensus = medianOf(votes[draw.epoch][i]);
            v.scored = hasQuorum(votes[draw.epoch][i]);
            uint256 delegated;
            (v.direct, delegated) = vault.stakeAt(task, v.node, draw.epoch);
            bool stands = entry.withdrawnIn == 0 || entry.withdrawnIn >= draw.epoch;
            if (stands && v.direct >= params.minNodeStake) v.stake = effectiveStake(v.node, draw.epoch);
            v.ranked = v.scored && v.consensus != 0 && v.stake != 0 && !isCopy(entry);
        }
    }

    /// @dev Whether it was another node that disclosed the content under the lowest number, now or earlier (M-11).
    function isCopy(Entry memory entry) internal view returns (bool) {
        return originals[entry.contentHash].node != entry.node;
    }

    function openSubmission(address node, uint256 task_, bytes32 contentHash) internal override {
        vm.recordLogs();
        super.openSubmission(node, task_, contentHash);
        bytes memory data = lastLog(IArena.SubmissionOpened.selector).data;
        (uint64 number) = abi.decode(data, (uint64));
        Disclosure storage original = originals[contentHash];
        if (original.node == address(0) || number < original.number) {
            (original.node, original.number) = (node, number);
        }
    }

    /// @dev The ranked entries, best first.
    function ranking(Verdict[] memory list) internal pure returns (uint256[] memory order) {
        uint256 count = 0;
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i].ranked) ++count;
        }
        order = new uint256[](count);
        bool[] memory placed = new bool[](list.length);
        for (uint256 place = 0; place < count; ++place) {
            uint256 best = list.length;
            for (uint256 i = 0; i < list.length; ++i) {
                if (!list[i].ranked || placed[i]) continue;
                if (best == list.length || precedes(list[i], list[best])) best = i;
            }
            placed[best] = true;
            order[place] = best;
        }
    }

    function precedes(Verdict memory a, Verdict memory b) internal pure returns (bool) {
        return a.consensus > b.consensus || (a.consensus == b.consensus && a.number < b.number);
    }

    // ------------------------------------------------------------------ nodes

    function expectedNodePay() internal view returns (Pay[] memory pay) {
        Verdict[] memory list = verdicts();
        uint256[] memory order = ranking(list);
        pay = new Pay[](order.length);
        uint256[] memory weights = weightsByRank(list, order);
        uint256 total = sum(weights);
        uint256 above = 0;
        uint256 highest = 0;
        for (uint256 place = 0; place < order.length; ++place) {
            Verdict memory v = list[order[place]];
            pay[place].operator = v.node;
            uint256 upper = share(above + weights[place], total);
            if (upper > highest) {
                pay[place].with_ = upper - highest;
                highest = upper;
            }
            uint256 alone = params.rule == RankingRule.StakeIntegral
                ? v.direct
                : geometric(place, decayAt(place), v.direct);
            pay[place].without = v.direct == v.stake
                ? pay[place].with_
                : difference(above, alone, total - weights[place] + alone);
            above += weights[place];
        }
    }

    /// @dev What a rank weighs: its stake under the integral rule, q^(rank-1) · t^α under the geometric one.
    function weightsByRank(Verdict[] memory list, uint256[] memory order)
        internal
        view
        returns (uint256[] memory weights)
    {
        weights = new uint256[](order.length);
        for (uint256 place = 0; place < order.length; ++place) {
            uint256 stake = list[order[place]].stake;
            weights[place] =
                params.rule == RankingRule.StakeIntegral ? stake : geometric(place, decayAt(place), stake);
        }
    }

    function decayAt(uint256 place) internal view returns (uint256 decay) {
        decay = WAD;
        for (uint256 i = 0; i < place; ++i) {
            decay = decay * params.qWad / WAD;
        }
    }

    function geometric(uint256 place, uint256 decay, uint256 stake) internal view returns (uint256) {
        if (params.rankCutoff != 0 && place >= params.rankCutoff) return 0;
        return decay * Ranking.stakePower(stake, params.alphaWad);
    }

    /// @dev What the best `upTo` of `total` earn together.
    function share(uint256 upTo, uint256 total) internal view returns (uint256) {
        return params.rule == RankingRule.StakeIntegral
            ? Ranking.integralCumulative(draw.nodeBudget, upTo, total, params.phiWad)
            : Rewards.proportional(draw.nodeBudget, upTo, total);
    }

    /// @dev Without delegation the geometric share is one quotient, the integral one a difference (M-6).
    function difference(uint256 above, uint256 alone, uint256 total) internal view returns (uint256) {
        if (params.rule == RankingRule.RankGeometric) {
            return Rewards.proportional(draw.nodeBudget, alone, total);
        }
        if (alone == 0) return 0;
        (uint256 upper, uint256 lower) = (share(above + alone, total), share(above, total));
        return upper > lower ? upper - lower : 0;
    }

    // ------------------------------------------------------------------ validators

    function expectedValidatorPay() internal view returns (Pay[] memory pay) {
        Verdict[] memory list = verdicts();
        uint256 spread = spreadOf(list);
        uint256[] memory weights = new uint256[](revealers.length);
        for (uint256 i = 0; i < revealers.length; ++i) {
            weights[i] = weightOf(list, sheets[revealers[i]], revealers[i], spread);
        }
        uint256 total = sum(weights);
        pay = new Pay[](total == 0 ? 0 : revealers.length);
        for (uint256 i = 0; i < pay.length; ++i) {
            pay[i].operator = revealers[i];
            pay[i].with_ = Rewards.proportional(draw.validatorBudget, weights[i], total);
            pay[i].without = pay[i].with_;
            (uint256 direct, uint256 delegated) = vault.stakeAt(task, revealers[i], draw.epoch);
            uint256 effective = Rewards.effective(direct, delegated, params.epsilonWad);
            if (effective == direct) continue;
            uint256 alone = Rewards.proportional(weights[i], direct, effective);
            pay[i].without = Rewards.proportional(draw.validatorBudget, alone, total - weights[i] + alone);
        }
    }

    function weightOf(Verdict[] memory list, Sheet memory sheet, address validator, uint256 spread)
        internal
        view
        returns (uint256 weight)
    {
        uint256 omega = effectiveStake(validator, draw.epoch) * draw.listed / sheet.entries.length;
        for (uint256 i = 0; i < sheet.entries.length; ++i) {
            Verdict memory v = list[sheet.entries[i]];
            if (sheet.scores[i] == ABSTAIN || !v.scored) continue;
            uint256 accuracy = Rewards.accuracy(sheet.scores[i], v.consensus, params.tolerance, spread);
            weight += Rewards.validatorWeight(v.stake, omega, accuracy);
        }
    }

    /// @dev The score at a quarter of the ranked stake less the one at three quarters (M-8).
    function spreadOf(Verdict[] memory list) internal pure returns (uint256) {
        uint256[] memory order = ranking(list);
        uint256 total = 0;
        for (uint256 i = 0; i < order.length; ++i) {
            total += list[order[i]].stake;
        }
        if (total == 0) return 0;
        return scoreAt(list, order, total, 1) - scoreAt(list, order, total, 3);
    }

    function scoreAt(Verdict[] memory list, uint256[] memory order, uint256 total, uint256 quarters)
        internal
        pure
        returns (uint256)
    {
        uint256 walked = 0;
        for (uint256 i = 0; i < order.length; ++i) {
            walked += list[order[i]].stake;
            if (4 * walked >= quarters * total) return list[order[i]].consensus;
        }
        revert("all of the stake is more than three quarters");
    }

    function sum(uint256[] memory list) internal pure returns (uint256 total) {
        for (uint256 i = 0; i < list.length; ++i) {
            total += list[i];
        }
    }

    // ------------------------------------------------------------------ comparison

    /// @notice Settles, and compares each announced payment with the expected one; returns what was paid in sum.
    function settleAndCompare() internal returns (uint256 paid) {
        Pay[] memory nodePay = expectedNodePay();
        Pay[] memory validatorPay = expectedValidatorPay();
        vm.recordLogs();
        settle();
        Vm.Log[] memory logs = vm.getRecordedLogs();
        paid = compare(logs, IArena.NodePaid.selector, nodePay);
        assertLe(paid, draw.nodeBudget, "the nodes' budget");
        uint256 toValidators = compare(logs, IArena.ValidatorPaid.selector, validatorPay);
        assertLe(toValidators, draw.validatorBudget, "the validators' budget");
        return paid + toValidators;
    }

    function compare(Vm.Log[] memory logs, bytes32 topic, Pay[] memory expected)
        internal
        pure
        returns (uint256 paid)
    {
        uint256 found = 0;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != topic) continue;
            Pay memory pay = expected[found++];
            (uint256 with_, uint256 without) = abi.decode(logs[i].data, (uint256, uint256));
            assertEq(address(uint160(uint256(logs[i].topics[3]))), pay.operator, "operator");
            assertEq(with_, pay.with_, "reward");
            assertEq(without, pay.without, "reward without delegation");
            paid += with_;
        }
        assertEq(found, expected.length, "number of payments");
    }
}
