// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Delegation} from "../src/libraries/Delegation.sol";
import {Symbolic} from "./Symbolic.sol";

/// @notice Pools of fixed shares that were credited nothing before: two delegators together are never owed more than what left the pending credit, and
/// nothing is lost but two roundings.
contract DelegationProofs is Symbolic {
    function check_FoldOfFewShares(uint256 pending) external pure {
        _owesNoMore(pending, 1, 2);
    }

    function check_FoldOfTheLeastShares(uint256 pending) external pure {
        _owesNoMore(pending, 1, Delegation.LEAST_SHARES - 1);
    }

    function _owesNoMore(uint256 pending, uint256 a, uint256 b) private pure {
        assume(pending < AMOUNTS);
        (uint256 risen, uint256 rest) = Delegation.fold(0, pending, a + b);
        uint256 owed = Delegation.accrued(a, 0, risen) + Delegation.accrued(b, 0, risen);
        assert(owed + rest <= pending);
        assert(owed + rest + 2 >= pending);
    }
}
