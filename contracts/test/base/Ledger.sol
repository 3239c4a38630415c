// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Flight, Stage, TaskParams} from "../../src/interfaces/IArena.sol";
import {IVault, Role, Stake, VaultConfig} from "../../src/interfaces/IVault.sol";
import {Slashing} from "../../src/libraries/Slashing.sol";
import {Referee} from "./Referee.sol";
import {Vm} from "./Vm.sol";

/// @notice A ghost ledger: what the vault should hold, and for whom, from nothing but what everyone did. Also several
/// tasks at a time, of which one is looked at.
abstract contract Ledger is Referee {
    uint96 internal constant BOND = 5e18;

    /// @dev One task, while another is looked at.
    struct Play {
        TaskParams params;
        Draw draw;
        address[] revealers;
    }

    mapping(uint256 task => Play) private plays;

    // What went into the vault and came out again, and what is in the wallets of those who took it.
    uint256 internal deposited;
    uint256 internal taken;
    mapping(address account => uint256) internal wallets;
    uint256 internal bonds;
    /// @dev What all accounts together have in stake, unbonding, delegated and credited.
    uint256 internal owedToAll;

    mapping(uint256 task => mapping(address operator => uint256)) internal directOf;
    mapping(uint256 task => mapping(address operator => mapping(address account => uint256))) internal
        sharesOf;
    /// @dev What is unbonding; of delegators before slashes.
    mapping(uint256 task => mapping(address operator => mapping(address account => uint256))) internal
        leaving;
    /// @dev What was credited and not claimed: to operators, and to the delegators of a pool together.
    mapping(uint256 task => mapping(address operator => uint256)) internal operatorCredits;
    mapping(uint256 task => mapping(address operator => uint256)) internal poolCredits;
    mapping(uint256 task => bool) internal bonded;
    /// @dev What of a bounty went back to its funders. The vault counts it as the task's for ever.
    mapping(uint256 task => uint256) internal reclaimed;
    /// @dev What of an open budget is paid.
    mapping(uint256 task => uint256) internal paidOf;
    /// @dev Stakes of all operators in the epoch in flight, when its seed was drawn.
    mapping(uint256 task => bytes32) internal fixedStakes;
    mapping(uint256 epoch => uint256) internal emitted;
    /// @dev How often something was converted between tokens and shares, which rounds by a unit or two.
    uint256 internal roundings;

    function vaultConfig() internal pure override returns (VaultConfig memory c) {
        c = super.vaultConfig();
        c.bond = BOND;
    }

    // ------------------------------------------------------------------ several tasks

    function addPlay(uint256 task_, TaskParams memory params_) internal {
        plays[task_].params = params_;
    }

    function switchTo(uint256 task_) internal {
        if (task == task_) return;
        if (task != 0) {
            plays[task].draw = draw;
            plays[task].revealers = revealers;
        }
        task = task_;
        params = plays[task_].params;
        draw = plays[task_].draw;
        revealers = plays[task_].revealers;
    }

    // ------------------------------------------------------------------ money

    function pay(address who, uint256 amount) internal {
        taken += amount;
        wallets[who] += amount;
    }

    /// @dev A slash as it was announced, from which the ledger takes who lost what; nobody else may.
    function slashed(uint256 task_, address operator, uint256 effective, Vm.Log[] memory logs) internal {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IVault.Slashed.selector) continue;
            (, uint256 direct, uint256 unbonding, uint256 delegated,) =
                abi.decode(logs[i].data, (uint256, uint256, uint256, uint256, uint256));
            uint256 penalty = Slashing.penalty(effective, SLASH);
            assertLe(direct + unbonding, penalty, "no more than the penalty from the operator");
            uint256 most = Slashing.penalty(directOf[task_][operator], 5 * uint256(SLASH));
            assertEq(
                direct, least(penalty, most), "direct stake first, and not more than five times the fraction"
            );
            assertLe(unbonding, leaving[task_][operator][operator] / 20, "nor of what is unbonding");
            (uint256 worth, uint256 worthAfter) = delegatedWorth(task_, operator, delegated);
            // What a share is worth is rounded down to 1e-18: each slash may take a unit more for each 1e18 of it.
            assertLe(worth - worthAfter, worth / 100 + worth / WAD + 2, "no more than the fraction");
            owedToAll -= direct + unbonding + delegated;
            directOf[task_][operator] -= direct;
            leaving[task_][operator][operator] -= unbonding;
        }
    }

    function delegatedWorth(uint256 task_, address operator, uint256 lost)
        private
        view
        returns (uint256 before, uint256 after_)
    {
        after_ = vault.stakeAt(task_, operator, vault.currentEpoch() + 1).delegated;
        before = after_ + lost;
    }

    // ------------------------------------------------------------------ checks

    /// @notice M-15, without a loop over accounts: each unit that the vault holds belongs to somebody, and to one alone.
    function checkMoney() internal view {
        uint256 held = token.balanceOf(address(vault));
        assertEq(held, deposited - taken, "balance and ledger");
        uint256 sum = owedToAll + bonds + vault.reserve() + vault.slashed() + vault.fees();
        for (uint256 t = 1; t <= arena.taskCount(); ++t) {
            sum += vault.bountyOf(t) - reclaimed[t] + openBudgetOf(t);
        }
        assertEq(held, sum, "what the vault holds is what it owes");
    }

    /// @notice M-15 and M-13: the vault holds what it owes, owes what the ledger says, and each account has what it did.
    function checkLedger() internal view {
        uint256 held = token.balanceOf(address(vault));
        assertEq(held, deposited - taken, "balance and ledger");
        uint256 sum = bonds + vault.reserve() + vault.slashed() + vault.fees();
        for (uint256 i = 0; i < holdings.length; ++i) {
            Holding memory h = holdings[i];
            sum += h.operator == h.account ? checkOperator(h.task, h.operator) : checkDelegator(h);
        }
        for (uint256 t = 1; t <= arena.taskCount(); ++t) {
            sum += vault.bountyOf(t) - reclaimed[t] + openBudgetOf(t);
            checkTask(t);
        }
        assertGe(held, sum, "the vault is solvent");
        assertLe(held - sum, 2 * roundings, "and owes all that it holds, but for what shares round");
    }

    /// @dev An operator and its pool: what its delegators hold, and what was credited to them and they did not claim.
    function checkOperator(uint256 task_, address operator) private view returns (uint256) {
        assertEq(token.balanceOf(operator), wallets[operator], "the wallet is its owner's");
        Stake memory stake = vault.stakeAt(task_, operator, vault.currentEpoch() + 1);
        assertEq(stake.direct, directOf[task_][operator], "direct stake");
        (, uint256 unbonding,) = vault.unbondingOf(task_, operator, operator);
        assertEq(unbonding, leaving[task_][operator][operator], "unbonding stake");
        assertEq(earned(task_, operator), operatorCredits[task_][operator], "the operator's reward");

        (uint256 shares, uint256 claimable) = (0, 0);
        for (uint256 i = 0; i < holdings.length; ++i) {
            Holding memory h = holdings[i];
            if (h.task != task_ || h.operator != operator || h.account == operator) continue;
            shares += sharesOf[task_][operator][h.account];
            claimable += vault.claimable(task_, operator, h.account);
        }
        uint256 worth = Slashing.worth(shares, vault.factorOf(task_, operator));
        assertEq(stake.delegated, worth, "shares of all delegators");
        assertLe(claimable, poolCredits[task_][operator], "delegators claim what their pool was credited");
        return stake.direct + unbonding + earned(task_, operator) + worth + poolCredits[task_][operator];
    }

    function checkDelegator(Holding memory h) private view returns (uint256 left) {
        assertEq(token.balanceOf(h.account), wallets[h.account], "the wallet is its owner's");
        (uint256 shares,) = vault.delegationOf(h.task, h.operator, h.account);
        assertEq(shares, sharesOf[h.task][h.operator][h.account], "shares");
        (, uint256 unbonding,) = vault.unbondingOf(h.task, h.operator, h.account);
        left = leaving[h.task][h.operator][h.account];
        assertLe(unbonding, left, "what slashes took");
        if (vault.factorOf(h.task, h.operator) == WAD) assertEq(unbonding, left, "without slashes nothing");
    }

    function openBudgetOf(uint256 task_) internal view returns (uint256) {
        Flight memory f = arena.flightOf(task_);
        return f.stage == Stage.Idle ? 0 : uint256(f.nodeBudget) + f.validatorBudget - paidOf[task_];
    }

    /// @dev Sums over the pools of a task, and the stakes of its epoch in flight.
    function checkTask(uint256 task_) private view {
        uint256 epoch = vault.currentEpoch() + 1;
        for (uint256 role = 1; role < 3; ++role) {
            (uint256 direct, uint256 delegated) = vault.totalsAt(task_, Role(role), epoch);
            (uint256 direct_, uint256 delegated_) = sumsOf(task_, Role(role), epoch);
            assertEq(direct, direct_, "direct stake of the eligible");
            assertEq(delegated, delegated_, "delegated stake of the eligible");
        }
        if (uint8(arena.flightOf(task_).stage) != 0) {
            assertEq(stakesOf(task_), fixedStakes[task_], "stakes of the epoch in flight");
        }
    }

    /// @dev Stakes and commissions of all operators in the epoch that was drawn last.
    function stakesOf(uint256 task_) internal view returns (bytes32 digest) {
        uint256 epoch = arena.flightOf(task_).epoch;
        for (uint256 i = 0; i < nodes.length; ++i) {
            digest = keccak256(abi.encode(digest, stakeIn(task_, nodes[i], epoch)));
            digest = keccak256(abi.encode(digest, stakeIn(task_, validators[i], epoch)));
        }
    }

    function stakeIn(uint256 task_, address operator, uint256 epoch) private view returns (bytes32) {
        Stake memory s = vault.stakeAt(task_, operator, epoch);
        return keccak256(abi.encode(s.direct, s.delegated, vault.commissionAt(task_, operator, epoch)));
    }
}
