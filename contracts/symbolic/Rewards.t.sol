// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Rewards} from "../src/libraries/Rewards.sol";
import {Symbolic} from "./Symbolic.sol";

contract RewardsProofs is Symbolic {
    // Where the rule subtracts, the difference is an argument and the sum is made of it: a solver finds it easier.

    function check_OperatorAndDelegatorsShareAReward(uint256 without, uint256 gain, uint256 sigma)
        external
        pure
    {
        _assumeReward(without, gain, sigma);
        uint256 operator = Rewards.operatorShare(without + gain, without, sigma);
        assert(operator <= without + gain);
        uint256 delegators = without + gain - operator;
        assert(operator + delegators == without + gain);
    }

    function check_AnOperatorGetsWhatItWouldAlone(uint256 without, uint256 gain, uint256 sigma)
        external
        pure
    {
        _assumeReward(without, gain, sigma);
        assert(Rewards.operatorShare(without + gain, without, sigma) >= without);
    }

    function check_AWholeCommissionTakesAll(uint256 without, uint256 gain) external pure {
        _assumeReward(without, gain, WAD);
        assert(Rewards.operatorShare(without + gain, without, WAD) == without + gain);
    }

    function check_WhereDelegationCostsTheOperatorGetsAll(uint256 with_, uint256 cost, uint256 sigma)
        external
        pure
    {
        _assumeReward(with_, cost, sigma);
        assert(Rewards.operatorShare(with_, with_ + cost, sigma) == with_);
    }

    function check_WhatIsUnpaidReturns(uint256 emission, uint256 rest, uint256 paid) external pure {
        uint256 bounty = _assumeBudget(emission, rest, paid);
        (uint256 toReserve, uint256 toBounty) = Rewards.returnUnpaid(emission, bounty, paid);
        assert(toReserve + toBounty == rest);
    }

    function check_TheReserveGetsNoMoreThanItGave(uint256 emission, uint256 rest, uint256 paid)
        external
        pure
    {
        uint256 bounty = _assumeBudget(emission, rest, paid);
        (uint256 toReserve,) = Rewards.returnUnpaid(emission, bounty, paid);
        assert(toReserve <= emission);
    }

    function _assumeReward(uint256 a, uint256 b, uint256 sigma) private pure {
        assume(a < AMOUNTS);
        assume(b < AMOUNTS);
        assume(a + b < AMOUNTS);
        assume(sigma <= WAD);
    }

    function _assumeBudget(uint256 emission, uint256 rest, uint256 paid)
        private
        pure
        returns (uint256 bounty)
    {
        assume(rest < AMOUNTS);
        assume(paid < AMOUNTS);
        assume(rest + paid < AMOUNTS);
        assume(emission <= rest + paid);
        return rest + paid - emission;
    }

    function check_Fee(uint256 amount, uint256 feeWad) external pure {
        assume(amount < AMOUNTS && feeWad <= WAD);
        assert(Rewards.fee(amount, feeWad) <= amount);
    }

    function check_Proportional(uint256 budget, uint256 a, uint256 b) external pure {
        assume(budget < AMOUNTS && a < AMOUNTS && b < AMOUNTS && a + b < AMOUNTS);
        assert(Rewards.proportional(budget, a, a + b) + Rewards.proportional(budget, b, a + b) <= budget);
    }

    function check_NodeBudgetOfEqualStakes(uint256 budget) external pure {
        _isAFairNodeBudget(budget, 1e18, 1e18);
    }

    function check_NodeBudgetWithoutValidators(uint256 budget) external pure {
        _isAFairNodeBudget(budget, 1, 0);
    }

    function check_NodeBudgetWithoutNodes(uint256 budget) external pure {
        _isAFairNodeBudget(budget, 0, 1);
    }

    /// @dev With the default of a quarter each side gets that, whatever its stake, but for less than one unit.
    function _isAFairNodeBudget(uint256 budget, uint256 directNodes, uint256 directValidators) private pure {
        assume(budget < AMOUNTS);
        uint256 nodes = Rewards.nodeBudget(budget, WAD / 4, directNodes, directValidators);
        assert(4 * (nodes + 1) > budget);
        assert(4 * nodes <= 3 * budget);
    }
}
