// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @notice A value with its history by epoch: one word per change.
struct Trace {
    uint256[] points;
}

/// @title Checkpoints: values as they count in an epoch, for what changes rarely
/// @notice A point is `epoch << 224 | value`; epochs rise strictly, so points rise strictly too.
library Checkpoints {
    uint256 internal constant MAX_VALUE = type(uint224).max;

    error ValueTooLarge(uint256 value);
    error EpochInPast(uint256 epoch, uint256 latest);

    /// @notice Sets the value from `epoch` on. Replaces what was set for the same epoch.
    function set(Trace storage trace, uint256 epoch, uint256 value) internal {
        if (value > MAX_VALUE) revert ValueTooLarge(value);
        uint256 length = trace.points.length;
        uint256 point = (epoch << 224) | value;
        if (length != 0) {
            uint256 latestEpoch = trace.points[length - 1] >> 224;
            if (latestEpoch == epoch) {
                trace.points[length - 1] = point;
                return;
            }
            if (latestEpoch > epoch) revert EpochInPast(epoch, latestEpoch);
        }
        trace.points.push(point);
    }

    /// @notice The newest value, whichever epoch it counts from; 0 if none was set.
    function latest(Trace storage trace) internal view returns (uint256) {
        uint256 length = trace.points.length;
        return length == 0 ? 0 : trace.points[length - 1] & MAX_VALUE;
    }

    /// @notice The value in `epoch`; 0 before the first one.
    function valueAt(Trace storage trace, uint256 epoch) internal view returns (uint256 value) {
        uint256 low = 0;
        uint256 high = trace.points.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (trace.points[middle] >> 224 <= epoch) low = middle + 1;
            else high = middle;
        }
        return low == 0 ? 0 : trace.points[low - 1] & MAX_VALUE;
    }
}
