// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title ArenaToken: the token of test deployments
/// @notice A plain ERC-20 of 18 decimals that its deployer can mint. A real deployment names any standard ERC-20 instead.
contract ArenaToken is ERC20 {
    /// @notice Who may mint.
    address public immutable minter;

    error NotMinter(address caller);

    constructor() ERC20("AIArena Test Token", "ARENA") {
        minter = msg.sender;
    }

    /// @notice Creates `amount` base units for `to`.
    function mint(address to, uint256 amount) external {
        if (msg.sender != minter) revert NotMinter(msg.sender);
        _mint(to, amount);
    }
}
