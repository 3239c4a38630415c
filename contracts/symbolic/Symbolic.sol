// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @notice The one cheatcode of the symbolic proofs: what is not assumed may be anything.
interface Assumptions {
    function assume(bool condition) external pure;
}

/// @notice Bounds of the arguments. Halmos proves that no `assert` of a function `check_…` can fail.
abstract contract Symbolic {
    Assumptions private constant vm = Assumptions(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant WAD = 1e18;
    /// @dev What a vault can hold at most.
    uint256 internal constant AMOUNTS = 1 << 96;

    function assume(bool condition) internal pure {
        vm.assume(condition);
    }
}
