// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Assignment} from "../src/libraries/Assignment.sol";
import {Symbolic} from "./Symbolic.sol";

/// @notice For every key, and whatever the hash function is. Lists of 2, 4 and 16 fill their rectangle, so that no image is
/// walked further than one step.
contract AssignmentProofs is Symbolic {
    function check_ImagesOf2Differ(bytes32 key, uint256 i, uint256 j) external pure {
        _imagesDiffer(2, key, i, j);
    }

    function check_ImagesOf4Differ(bytes32 key, uint256 i, uint256 j) external pure {
        _imagesDiffer(4, key, i, j);
    }

    function check_PreimageOf2(bytes32 key, uint256 i) external pure {
        _isInverse(2, key, i);
    }

    function check_PreimageOf4(bytes32 key, uint256 i) external pure {
        _isInverse(4, key, i);
    }

    function check_PreimageOf16(bytes32 key, uint256 i) external pure {
        _isInverse(16, key, i);
    }

    function _imagesDiffer(uint256 n, bytes32 key, uint256 i, uint256 j) private pure {
        assume(i < n && j < n && i != j);
        Assignment.Grid memory grid = Assignment.grid(n);
        uint256 image = Assignment.image(grid, key, i);
        assert(image < n);
        assert(image != Assignment.image(grid, key, j));
    }

    function _isInverse(uint256 n, bytes32 key, uint256 i) private pure {
        assume(i < n);
        Assignment.Grid memory grid = Assignment.grid(n);
        assert(Assignment.preimage(grid, key, Assignment.image(grid, key, i)) == i);
    }
}
