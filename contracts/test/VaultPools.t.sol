// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {TestBase} from "./TestBase.sol";
import {PoolsHandler} from "./base/PoolsHandler.sol";

/// @notice Stakes, rewards, slashes and exits after any history agree with a ghost that keeps every epoch (M-6, M-12, M-13,
/// M-15). The handler compares after each call.
contract VaultPoolsTest is TestBase {
    uint256 private constant CALLS = 200;

    /// forge-config: default.fuzz.runs = 40
    /// forge-config: deep.fuzz.runs = 800
    function testFuzz_PoolsAgreeWithAnyHistory(uint256 seed) public {
        play(new PoolsHandler(false), seed);
    }

    /// @notice The same with so few units that a reward seldom divides.
    /// forge-config: default.fuzz.runs = 20
    /// forge-config: deep.fuzz.runs = 400
    function testFuzz_TinyPoolsAgreeWithAnyHistory(uint256 seed) public {
        play(new PoolsHandler(true), seed);
    }

    function play(PoolsHandler handler, uint256 seed) private {
        handler.setUp();
        for (uint256 i = 0; i < CALLS; ++i) {
            handler.play(uint256(keccak256(abi.encode(seed, i))), seed);
        }
        handler.everybodyLeaves();
    }
}
