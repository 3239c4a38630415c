// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Phase, Tally} from "../src/interfaces/IArena.sol";
import {Role} from "../src/interfaces/IVault.sol";
import {EpochFixture} from "../test/base/EpochFixture.sol";

/// @notice The gas of the last call, as Forge reports it.
struct CallGas {
    uint64 gasLimit;
    uint64 gasTotalUsed;
    uint64 gasMemoryUsed;
    int64 gasRefunded;
    uint64 gasRemaining;
}

interface GasVm {
    function lastCallGas() external view returns (CallGas memory);
}

/// @notice Our side of the comparison: one function per action, each of which makes one transaction and returns its gas.
/// What surrounds the transaction is the fixtures' business, so that this file alone knows our signatures.
abstract contract Ours is EpochFixture {
    GasVm private constant gasVm = GasVm(address(vm));

    // ------------------------------------------------------------------ participants

    function stakeOurs(address operator, uint256 amount) internal returns (uint256) {
        vm.prank(operator);
        vault.stake(task, Role.Node, uint96(amount));
        return spent();
    }

    function unstakeOurs(address operator, uint256 amount) internal returns (uint256) {
        vm.prank(operator);
        vault.unstake(task, uint96(amount));
        return spent();
    }

    function delegateOurs(address delegator, address operator, uint256 amount) internal returns (uint256) {
        vm.prank(delegator);
        vault.delegate(task, operator, uint96(amount));
        return spent();
    }

    function undelegateOurs(address delegator, address operator, uint256 amount) internal returns (uint256) {
        vm.prank(delegator);
        vault.undelegate(task, operator, uint96(amount));
        return spent();
    }

    function withdrawOurs(address account, address operator) internal returns (uint256) {
        vm.prank(account);
        vault.withdraw(task, operator, 1);
        return spent();
    }

    function claimOurs(address account, address operator) internal returns (uint256) {
        vm.prank(account);
        vault.claim(task, operator);
        return spent();
    }

    function pendingOurs(address account, address operator) internal view returns (uint256) {
        return vault.claimable(task, operator, account);
    }

    // ------------------------------------------------------------------ scores

    function commitOurs(address validator) internal returns (uint256) {
        commitScores(validator, honest(validator));
        return spent();
    }

    function revealOurs(address validator) internal returns (uint256 gas) {
        bytes memory scores = packed(sheets[task][validator].scores);
        vm.prank(validator);
        arena.revealScores(task, SALT, scores);
        gas = spent();
        countReveal(validator);
    }

    // ------------------------------------------------------------------ settlement

    function tallyOurs() internal returns (uint256) {
        Tally[] memory all = tallies();
        arena.tally(task, all);
        return spent();
    }

    function rankOurs() internal returns (uint256) {
        address[] memory order = orderOfRanked();
        arena.rank(task, order);
        return spent();
    }

    /// @dev Pays the pools of all nodes.
    function payOurs() internal returns (uint256) {
        address[] memory order = orderOfRanked();
        arena.payNodes(task, 0, order.length, order);
        return spent();
    }

    /// @dev The weights of all validators, over all that they scored.
    function weighOurs() internal returns (uint256) {
        arena.weigh(task, 0, revealers.length);
        return spent();
    }

    /// @dev What is left of an epoch after all weights: pays the pools of all validators.
    function finishOurs() internal returns (uint256) {
        arena.payValidators(task, 0, revealers.length);
        return spent();
    }

    // ------------------------------------------------------------------ parts

    function playEpoch(uint256 epoch) internal {
        submitAll(epoch, descendingScores(nodes.length, 10_000_000));
        scoreHonestly(epoch);
        settle();
    }

    function playEpochs(uint256 from, uint256 to) internal {
        for (uint256 epoch = from; epoch <= to; ++epoch) {
            playEpoch(epoch);
        }
        warpTo(to + 1, Phase.Submit);
    }

    function spent() private view returns (uint256) {
        return gasVm.lastCallGas().gasTotalUsed;
    }
}
