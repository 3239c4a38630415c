// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Checkpoints, Trace} from "../src/libraries/Checkpoints.sol";
import {TestBase} from "./TestBase.sol";

/// @notice Values by epoch, against a plain table of what each epoch should see.
contract CheckpointsTest is TestBase {
    using Checkpoints for Trace;

    uint256 private constant EPOCHS = 40;

    Trace private trace;
    uint256[EPOCHS] private values;

    function test_NothingWasSet() public view {
        assertEq(trace.latest(), 0);
        assertEq(trace.valueAt(0), 0);
        assertEq(trace.valueAt(type(uint32).max), 0);
    }

    function test_ValuesAndEpochsHaveBounds() public {
        vm.expectRevert(abi.encodeWithSelector(Checkpoints.ValueTooLarge.selector, uint256(1) << 224));
        this.set(1, uint256(1) << 224);
        this.set(5, (uint256(1) << 224) - 1);
        vm.expectRevert(abi.encodeWithSelector(Checkpoints.EpochInPast.selector, 4, 5));
        this.set(4, 1);
        assertEq(trace.valueAt(4), 0);
        assertEq(trace.valueAt(5), (uint256(1) << 224) - 1);
        this.set(type(uint32).max, 1);
        assertEq(trace.valueAt(type(uint32).max), 1);
    }

    function test_AnEpochHasOnePoint() public {
        trace.set(5, 1);
        trace.set(5, 2);
        trace.set(6, 3);
        assertEq(trace.points.length, 2);
    }

    /// @notice Rising epochs, some set twice, some skipped.
    function testFuzz_EveryEpochSeesItsValue(uint256 random) public {
        for (uint256 epoch = 1; epoch < EPOCHS; ++epoch) {
            random = uint256(keccak256(abi.encode(random)));
            uint256 times = random % 3;
            for (uint256 i = 0; i < times; ++i) {
                uint256 value = uint256(keccak256(abi.encode(random, i))) >> 32;
                trace.set(epoch, value);
                note(epoch, value);
            }
            assertEq(trace.latest(), values[EPOCHS - 1]);
        }
        for (uint256 epoch = 0; epoch < EPOCHS; ++epoch) {
            assertEq(trace.valueAt(epoch), values[epoch]);
        }
    }

    // ------------------------------------------------------------------ parts

    /// @dev External, so that its reverts can be expected.
    function set(uint256 epoch, uint256 value) external {
        trace.set(epoch, value);
    }

    function note(uint256 from, uint256 value) private {
        for (uint256 epoch = from; epoch < EPOCHS; ++epoch) {
            values[epoch] = value;
        }
    }
}
