// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FixedPointMathLib as Math} from "solady/src/utils/FixedPointMathLib.sol";

import {RankingRule} from "../../src/interfaces/IArena.sol";
import {IVault, Role, Stake} from "../../src/interfaces/IVault.sol";
import {Assignment} from "../../src/libraries/Assignment.sol";
import {Ranking} from "../../src/libraries/Ranking.sol";
import {Rewards} from "../../src/libraries/Rewards.sol";
import {EpochFixture} from "./EpochFixture.sol";
import {Vm} from "./Vm.sol";

/// @notice Computes what everyone should be paid for the epoch in flight, all at once and in memory, from the reveals
/// and the stakes, and compares it with what the vault announces. It follows the text of the rules, not the contract, and
/// keeps its own record of disclosures, scores and bounties.
abstract contract Referee is EpochFixture {
    /// @dev One reward with and without the pool's delegated stake.
    struct Pay {
        address operator;
        uint256 with_;
        uint256 without;
    }

    /// @dev One submission as the referee sees it. `stake` counts for validators, who score copies and invalid ones too.
    struct Verdict {
        address node;
        uint32 number;
        uint32 consensus;
        bool listed;
        bool scored;
        bool ranked;
        uint256 stake;
        uint256 direct;
    }

    struct Disclosure {
        address node;
        uint32 number;
    }

    struct Kept {
        bool scored;
        uint32 consensus;
    }

    /// @dev Content hash and number of each node's standing submission, and the digest of all that happened to the list.
    mapping(uint256 task => mapping(address node => bytes32)) private contents;
    mapping(uint256 task => mapping(address node => uint32)) private numbers;
    mapping(uint256 task => bytes32) private histories;
    mapping(uint256 task => mapping(bytes32 contentHash => Disclosure)) private originals;
    /// @dev What an epoch found about the submission with a number.
    mapping(uint256 task => mapping(uint256 number => Kept)) private kept;
    mapping(uint256 task => mapping(address node => uint32)) private pledged;
    mapping(uint256 task => mapping(uint256 epoch => uint256)) private fundedIn;
    /// @dev What the first draw of an epoch found in the reserve, and the stakes that share it.
    mapping(uint256 epoch => uint256) private shared;

    // ------------------------------------------------------------------ what the referee keeps

    function commitSubmission(address node, uint256 task_, bytes32 contentHash)
        internal
        override
        returns (uint256 number)
    {
        number = super.commitSubmission(node, task_, contentHash);
        pledged[task_][node] = uint32(number);
    }

    function openSubmission(address node, uint256 task_, bytes32 contentHash) internal override {
        super.openSubmission(node, task_, contentHash);
        uint32 number = pledged[task_][node];
        (contents[task_][node], numbers[task_][node]) = (contentHash, number);
        histories[task_] = keccak256(abi.encode(histories[task_], node, contentHash, number));
        Disclosure storage original = originals[task_][contentHash];
        if (original.node == address(0) || number < original.number) {
            (original.node, original.number) = (node, number);
        }
    }

    function evict(uint256 task_, address node) internal {
        arena.evict(task_, node);
        histories[task_] = keccak256(abi.encode(histories[task_], node, bytes32(0), uint256(0)));
    }

    function fundAs(address who, uint256 task_, uint256 bounty) internal override {
        // Before: a token may call back while it is funded.
        fundedIn[task_][vault.currentEpoch()] += bounty;
        super.fundAs(who, task_, bounty);
    }

    // ------------------------------------------------------------------ the draw (M-2, M-3, M-9)

    function drawNow(uint256 epoch) internal override {
        (uint256 emission_, uint256 bounty) = (expectedEmission(epoch), expectedBounty(epoch));
        super.drawNow(epoch);
        uint256 randomness = uint256(keccak256(abi.encode("randomness", epoch)));
        bytes32 history = histories[task];
        bytes32 seed = Assignment.seed(randomness, block.chainid, address(arena), task, epoch, history);
        assertEq(draw.seed, seed, "seed of this list");

        (uint256 nodesDirect,) = sumsOf(Role.Node, epoch);
        (uint256 direct, uint256 delegated) = sumsOf(Role.Validator, epoch);
        uint256 effective = Rewards.effective(direct, delegated, params.epsilonWad);
        assertEq(draw.validatorStake, effective, "stake of the eligible validators");
        uint256 budget = emission_ + bounty;
        uint256 toNodes = Rewards.nodeBudget(budget, params.gammaWad, nodesDirect, direct);
        assertEq(draw.nodeBudget, toNodes, "the nodes' part");
        assertEq(draw.nodeBudget + draw.validatorBudget, budget, "the budget");
        checkList();
    }

    /// @dev What came in before this epoch, an equal part for each epoch that remains.
    function expectedBounty(uint256 epoch) private view returns (uint256) {
        uint256 counted = vault.bountyOf(task) - fundedIn[task][epoch];
        // Up to the end that the task was created with, also if it ends earlier.
        return counted / (vault.termsOf(task).firstEpoch + params.epochs - epoch);
    }

    function expectedEmission(uint256 epoch) private returns (uint256) {
        if (!takesPart(task, epoch)) return 0;
        uint256 reserve = vault.reserve();
        if (shared[epoch] == 0) shared[epoch] = least(emission.rateAt(epoch), reserve) + 1;
        uint256 total = 0;
        uint256[] memory list = emission.admitted();
        for (uint256 i = 0; i < list.length; ++i) {
            if (takesPart(list[i], epoch)) total += stakeIn(list[i], epoch);
        }
        return least(Rewards.proportional(shared[epoch] - 1, stakeIn(task, epoch), total), reserve);
    }

    function takesPart(uint256 task_, uint256 epoch) private view returns (bool) {
        (uint32 from, uint32 until) = emission.admissionOf(task_);
        return epoch >= from && epoch < until;
    }

    /// @dev S_k of M-2, over everyone who ever staked.
    function stakeIn(uint256 task_, uint256 epoch) private view returns (uint256) {
        if (epoch > vault.termsOf(task_).lastEpoch || epoch < vault.termsOf(task_).firstEpoch) return 0;
        (uint256 direct, uint256 delegated) = sumsOf(task_, Role.Node, epoch);
        (uint256 direct_, uint256 delegated_) = sumsOf(task_, Role.Validator, epoch);
        return Rewards.effective(direct + direct_, delegated + delegated_, vault.termsOf(task_).epsilonWad);
    }

    function sumsOf(Role role, uint256 epoch) internal view returns (uint256 direct, uint256 delegated) {
        return sumsOf(task, role, epoch);
    }

    function sumsOf(uint256 task_, Role role, uint256 epoch)
        internal
        view
        returns (uint256 direct, uint256 delegated)
    {
        uint256 minimum = role == Role.Node
            ? vault.termsOf(task_).minNodeStake
            : vault.termsOf(task_).minValidatorStake;
        for (uint256 i = 0; i < holdings.length; ++i) {
            Holding memory h = holdings[i];
            if (h.task != task_ || h.operator != h.account) continue;
            if (vault.roleOf(task_, h.operator) != role) continue;
            Stake memory stake = vault.stakeAt(task_, h.operator, epoch);
            if (stake.direct < minimum) continue;
            (direct, delegated) = (direct + stake.direct, delegated + stake.delegated);
        }
    }

    /// @dev All submissions, or those whose content no epoch has scored yet; each once.
    function checkList() private view {
        address[] memory all = standing();
        uint256 count = 0;
        for (uint256 i = 0; i < all.length; ++i) {
            bool needed = params.freshData || !kept[task][numbers[task][all[i]]].scored;
            uint256 times = 0;
            for (uint256 j = 0; j < draw.list.length; ++j) {
                if (draw.list[j] == all[i]) ++times;
            }
            assertEq(times, needed ? 1 : 0, "what is scored");
            count += times;
        }
        assertEq(count, draw.list.length, "nothing else is scored");
    }

    // ------------------------------------------------------------------ verdicts (M-5, M-7, M-11)

    function verdicts() internal view returns (Verdict[] memory list) {
        address[] memory all = standing();
        list = new Verdict[](all.length);
        for (uint256 i = 0; i < all.length; ++i) {
            Verdict memory v = list[i];
            (v.node, v.number) = (all[i], numbers[task][all[i]]);
            Kept memory before = kept[task][v.number];
            v.listed = params.freshData || !before.scored;
            v.consensus = v.listed ? medianOf(votesFor(v.node)) : before.consensus;
            v.scored = v.listed ? hasQuorum(votesFor(v.node)) : true;
            v.direct = directStake(v.node, draw.epoch);
            uint32 withdrawnIn = entryOf(v.node).withdrawnIn;
            bool stands = withdrawnIn == 0 || withdrawnIn >= draw.epoch;
            if (stands && v.direct >= params.minNodeStake) v.stake = effectiveStake(v.node, draw.epoch);
            v.ranked = v.scored && v.consensus != 0 && v.stake != 0 && !isCopy(v.node);
        }
    }

    /// @dev Whether it was another node that disclosed the content under the lowest number, now or earlier (M-11).
    function isCopy(address node) internal view returns (bool) {
        return originals[task][contents[task][node]].node != node;
    }

    /// @dev The ranked submissions, best first.
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
            ? Math.fullMulDiv(
                draw.nodeBudget, Ranking.integralWad(Math.fullMulDiv(upTo, WAD, total), params.phiWad), WAD
            )
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
            weights[i] = weightOf(list, sheets[task][revealers[i]], revealers[i], spread);
        }
        uint256 total = sum(weights);
        pay = new Pay[](total == 0 ? 0 : revealers.length);
        for (uint256 i = 0; i < pay.length; ++i) {
            pay[i].operator = revealers[i];
            pay[i].with_ = Rewards.proportional(draw.validatorBudget, weights[i], total);
            pay[i].without = pay[i].with_;
            uint256 direct = directStake(revealers[i], draw.epoch);
            uint256 effective = effectiveStake(revealers[i], draw.epoch);
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
        if (sheet.scores.length == 0) return 0;
        uint256 omega = effectiveStake(validator, draw.epoch) * draw.listed / sheet.scores.length;
        for (uint256 i = 0; i < sheet.scores.length; ++i) {
            Verdict memory v = verdictOn(list, sheet.nodes[i]);
            if (sheet.scores[i] == ABSTAIN || !v.scored) continue;
            uint256 accuracy = Rewards.accuracy(sheet.scores[i], v.consensus, params.tolerance, spread);
            weight += Rewards.validatorWeight(v.stake, omega, accuracy);
        }
    }

    function verdictOn(Verdict[] memory list, address node) internal pure returns (Verdict memory) {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i].node == node) return list[i];
        }
        revert("no such submission");
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
    function settleAndCompare() internal returns (uint256) {
        return settleAndCompare(type(uint256).max);
    }

    function settleAndCompare(uint256 batch) internal returns (uint256) {
        Pay[] memory nodePay = expectedNodePay();
        Pay[] memory validatorPay = expectedValidatorPay();
        vm.recordLogs();
        settleInBatches(batch);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 toNodes = compare(logs, Role.Node, nodePay);
        assertLe(toNodes, draw.nodeBudget, "the nodes' budget");
        uint256 toValidators = compare(logs, Role.Validator, validatorPay);
        assertLe(toValidators, draw.validatorBudget, "the validators' budget");
        keepScores();
        return toNodes + toValidators;
    }

    /// @dev The vault announces each credit; which side it belongs to follows from the operator's role.
    function compare(Vm.Log[] memory logs, Role role, Pay[] memory expected)
        internal
        view
        returns (uint256 paid)
    {
        uint256 found = 0;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IVault.Credited.selector) continue;
            address operator = address(uint160(uint256(logs[i].topics[2])));
            if (vault.roleOf(task, operator) != role) continue;
            Pay memory pay = expected[found++];
            (, uint256 with_, uint256 without,) =
                abi.decode(logs[i].data, (uint256, uint256, uint256, uint256));
            assertEq(operator, pay.operator, "operator");
            assertEq(with_, pay.with_, "reward");
            assertEq(without, pay.without, "reward without delegation");
            paid += with_;
        }
        assertEq(found, expected.length, "number of payments");
    }

    /// @dev What a task without fresh data keeps for the epochs after this one.
    function keepScores() internal {
        if (params.freshData) return;
        Verdict[] memory list = verdicts();
        for (uint256 i = 0; i < list.length; ++i) {
            Verdict memory v = list[i];
            if (v.listed && v.scored) {
                kept[task][v.number] = Kept({scored: true, consensus: v.consensus});
            }
        }
    }
}
