// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {TestBase} from "../test/TestBase.sol";
import {IMintable} from "../test/base/IMintable.sol";

/// @notice What the comparison calls of StakingRewards (Synthetix; published by Uniswap).
interface IStakingRewards {
    function notifyRewardAmount(uint256 reward) external;
    function stake(uint256 amount) external;
    function withdraw(uint256 amount) external;
    function getReward() external;
    function earned(address account) external view returns (uint256);
    function rewards(address account) external view returns (uint256);
    function balanceOf(address account) external view returns (uint256);
}

/// @notice What the comparison calls of MasterChef (SushiSwap).
interface IMasterChef {
    function add(uint256 allocPoint, address lpToken, bool withUpdate) external;
    function deposit(uint256 pid, uint256 amount) external;
    function withdraw(uint256 pid, uint256 amount) external;
    function pendingSushi(uint256 pid, address user) external view returns (uint256);
}

/// @notice Cheatcodes that read a published artifact.
interface ArtifactVm {
    function getCode(string calldata artifact) external view returns (bytes memory);
    function parseBytes(string calldata text) external pure returns (bytes memory);
}

/// @notice Deploys the contracts that ours are compared with from the bytecode in their npm packages, each with a token
/// like ours as staking and rewards token, and with five stakers for whom rewards have flowed for a while.
abstract contract Anchors is TestBase {
    uint256 internal constant ANCHOR_STAKE = 100e18;
    uint256 private constant STAKERS = 5;
    string private constant STAKING_REWARDS =
        "node_modules/@uniswap/liquidity-staker/build/StakingRewards.json";
    string private constant MASTER_CHEF =
        "node_modules/@sushiswap/core/artifacts/contracts/MasterChef.sol/MasterChef.json";

    ArtifactVm private constant artifacts = ArtifactVm(address(vm));

    IMintable internal anchorToken;
    address private minter;

    // ------------------------------------------------------------------ StakingRewards

    function deployStakingRewards() internal returns (IStakingRewards anchor) {
        anchorToken = newToken(address(this));
        anchor = IStakingRewards(
            create(STAKING_REWARDS, abi.encode(address(this), address(anchorToken), address(anchorToken)))
        );
        anchorToken.mint(address(anchor), 1_000_000e18);
        anchor.notifyRewardAmount(1_000_000e18);
        for (uint256 i = 0; i < STAKERS; ++i) {
            address staker = funded(string.concat("staker", vm.toString(i)), address(anchor));
            vm.prank(staker);
            anchor.stake(ANCHOR_STAKE);
            pass(1 days);
        }
    }

    // ------------------------------------------------------------------ MasterChef

    /// @dev It demands a token that it may mint. Ours is minted by its deployer, so it appears to deploy it itself.
    function deployMasterChef() internal returns (IMasterChef anchor) {
        address future = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
        address futureToken = vm.computeCreateAddress(future, 1);
        anchor = IMasterChef(
            create(MASTER_CHEF, abi.encode(futureToken, makeAddr("developer"), 1e18, uint256(0), uint256(0)))
        );
        anchorToken = newToken(address(anchor));
        assertEq(uint160(address(anchorToken)), uint160(futureToken), "the token's address");
        anchor.add(100, address(anchorToken), false);
        for (uint256 i = 0; i < STAKERS; ++i) {
            address staker = funded(string.concat("staker", vm.toString(i)), address(anchor));
            vm.prank(staker);
            anchor.deposit(0, ANCHOR_STAKE);
            pass(1 days);
        }
    }

    // ------------------------------------------------------------------ parts

    /// @notice Someone with ten stakes and, as is usual, an allowance without limit: no call has to write it.
    function funded(string memory name, address spender) internal returns (address who) {
        who = makeAddr(name);
        vm.prank(minter);
        anchorToken.mint(who, 10 * ANCHOR_STAKE);
        vm.prank(who);
        anchorToken.approve(spender, type(uint256).max);
    }

    function pass(uint256 time) internal {
        vm.warp(vm.getBlockTimestamp() + time);
        vm.roll(block.number + time / 2);
    }

    function newToken(address minter_) private returns (IMintable) {
        minter = minter_;
        bytes memory code = artifacts.getCode("ArenaToken.sol:ArenaToken");
        vm.prank(minter_);
        return IMintable(create(code));
    }

    /// @dev One of the packages writes its bytecode without the prefix 0x, so it is read as text.
    function create(string memory artifact, bytes memory arguments) private returns (address) {
        string memory code = vm.parseJsonString(vm.readFile(artifact), ".bytecode");
        if (bytes(code)[1] != "x") code = string.concat("0x", code);
        return create(bytes.concat(artifacts.parseBytes(code), arguments));
    }

    function create(bytes memory code) private returns (address deployed) {
        assembly ("memory-safe") {
            deployed := create(0, add(code, 0x20), mload(code))
        }
        assertTrue(deployed != address(0), "deployed");
    }
}
