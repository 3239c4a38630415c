// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {TestBase} from "./TestBase.sol";
import {IMintable} from "./base/IMintable.sol";

/// @notice The token of test deployments.
contract ArenaTokenTest is TestBase {
    function test_OnlyTheDeployerMints() public {
        IMintable token = IMintable(vm.deployCode("ArenaToken.sol:ArenaToken", ""));
        address alice = makeAddr("alice");
        token.mint(alice, 5);
        assertEq(token.balanceOf(alice), 5);
        vm.expectRevert(abi.encodeWithSignature("NotMinter(address)", alice));
        vm.prank(alice);
        token.mint(alice, 1);
    }
}
