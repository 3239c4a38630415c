// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";

import {EmissionConfig, IEmission} from "../src/interfaces/IEmission.sol";
import {IVault, Role} from "../src/interfaces/IVault.sol";
import {VaultFixture} from "./base/VaultFixture.sol";

/// @notice The emission's owner is a real timelock: alice proposes, bob executes, one and a half epochs later.
contract EmissionTimelockTest is VaultFixture {
    uint256 private constant DELAY = 1500;

    TimelockController private timelock;
    Ownable2Step private owned;

    function setUp() public override {
        super.setUp();
        fundEmission(100_000);
        fund(1000);
        (address[] memory proposers, address[] memory executors) = (new address[](1), new address[](1));
        (proposers[0], executors[0]) = (alice, bob);
        timelock = new TimelockController(DELAY, proposers, executors, address(0));
        owned = Ownable2Step(address(emission));
    }

    function test_ATimelockAcceptsTheOwnershipAfterItsDelay() public {
        owned.transferOwnership(address(timelock));
        bytes memory acceptance = abi.encodeCall(Ownable2Step.acceptOwnership, ());
        schedule(acceptance);
        vm.warp(GENESIS - 10 + DELAY - 1);
        refusedToExecute(acceptance);
        assertEq(owned.owner(), address(this), "until then the owner before");
        assertEq(owned.pendingOwner(), address(timelock));
        emission.admit(TASK);
        vm.warp(GENESIS - 10 + DELAY);
        execute(acceptance);
        assertEq(owned.owner(), address(timelock));
        assertEq(owned.pendingOwner(), address(0));
        refusedDirectly(address(this));
    }

    function test_ATimelockCanBeTheFirstOwner() public {
        EmissionConfig memory e = emissionConfig();
        e.owner = address(timelock);
        (vault, emission) = deploy(vaultConfig(), e);
        owned = Ownable2Step(address(emission));
        assertEq(owned.owner(), address(timelock));
        refusedDirectly(address(this));
    }

    function test_AdmissionAndDismissalWaitForTheDelay() public {
        handOver();
        stakeAs(node, Role.Node, 100);
        warpTo(3);
        bytes memory admission = abi.encodeCall(IEmission.admit, (TASK));
        schedule(admission);
        warpTo(4);
        refusedToExecute(admission);
        assertEq(emission.admitted().length, 0);
        vm.warp(GENESIS + 2 * EPOCH + DELAY);
        vm.expectEmit(address(emission));
        emit IEmission.Admitted(TASK, 6);
        execute(admission);
        refusedToExecute(admission);

        warpTo(5);
        assertEmitted(0);
        bytes memory dismissal = abi.encodeCall(IEmission.dismiss, (TASK));
        schedule(dismissal);
        warpTo(6);
        assertEmitted(500);
        refusedToExecute(dismissal);
        warpTo(7);
        execute(dismissal);
        warpTo(8);
        assertEmitted(500);
        warpTo(9);
        assertEmitted(0);
    }

    function test_TheFeeWaitsForTheDelay() public {
        handOver();
        stakeAs(node, Role.Node, 100);
        warpTo(3);
        bytes memory change = abi.encodeCall(IEmission.setFee, (0.1e18, treasury));
        schedule(change);
        warpTo(4);
        refusedToExecute(change);
        vm.warp(GENESIS + 2 * EPOCH + DELAY);
        execute(change);
        assertEq(vault.feeAt(5), 0);
        assertEq(vault.feeAt(6), 0.1e18);
        payEpoch(6, node, 100, 100);
        assertEq(claimAs(node, node), 90);
        assertEq(vault.collectFees(), 10);
        assertEq(token.balanceOf(treasury), 10);
        assertExact();
    }

    /// @notice What the emission refuses stays refused when the timelock asks for it.
    function test_ATimelockCanDoNoMoreThanAnOwner() public {
        handOver();
        bytes memory change = abi.encodeCall(IEmission.setFee, (MAX_FEE_WAD + 1, treasury));
        schedule(change);
        vm.warp(block.timestamp + DELAY);
        expect(IVault.FeeTooHigh.selector, abi.encode(MAX_FEE_WAD + 1, MAX_FEE_WAD));
        execute(change);
        bytes memory drawing = abi.encodeCall(IEmission.draw, (TASK));
        schedule(drawing);
        vm.warp(block.timestamp + DELAY);
        expect(IEmission.NotVault.selector, abi.encode(timelock));
        execute(drawing);
    }

    function test_NobodyGoesAroundATimelock() public {
        handOver();
        refusedDirectly(address(this));
        refusedDirectly(alice);
        refusedDirectly(bob);
        refusedDirectly(creator);
        bytes memory admission = abi.encodeCall(IEmission.admit, (TASK));
        refusedToExecute(admission);
        bytes4 unauthorized = bytes4(keccak256("AccessControlUnauthorizedAccount(address,bytes32)"));
        vm.expectRevert(abi.encodeWithSelector(unauthorized, bob, keccak256("PROPOSER_ROLE")));
        vm.prank(bob);
        timelock.schedule(address(emission), 0, admission, 0, 0, DELAY);
        vm.expectRevert(
            abi.encodeWithSelector(TimelockController.TimelockInsufficientDelay.selector, DELAY - 1, DELAY)
        );
        vm.prank(alice);
        timelock.schedule(address(emission), 0, admission, 0, 0, DELAY - 1);
        schedule(admission);
        vm.warp(block.timestamp + DELAY);
        vm.expectRevert(abi.encodeWithSelector(unauthorized, alice, keccak256("EXECUTOR_ROLE")));
        vm.prank(alice);
        timelock.execute(address(emission), 0, admission, 0, 0);
        execute(admission);
    }

    // ------------------------------------------------------------------ parts

    function handOver() private {
        owned.transferOwnership(address(timelock));
        bytes memory acceptance = abi.encodeCall(Ownable2Step.acceptOwnership, ());
        schedule(acceptance);
        vm.warp(block.timestamp + DELAY);
        execute(acceptance);
    }

    function schedule(bytes memory call) private {
        vm.prank(alice);
        timelock.schedule(address(emission), 0, call, 0, 0, DELAY);
    }

    function execute(bytes memory call) private {
        vm.prank(bob);
        timelock.execute(address(emission), 0, call, 0, 0);
    }

    /// @dev It was not scheduled, or not long enough ago, or is done.
    function refusedToExecute(bytes memory call) private {
        bytes32 id = timelock.hashOperation(address(emission), 0, call, 0, 0);
        bytes32 ready = bytes32(1 << uint256(TimelockController.OperationState.Ready));
        vm.expectRevert(
            abi.encodeWithSelector(TimelockController.TimelockUnexpectedOperationState.selector, id, ready)
        );
        execute(call);
    }

    /// @dev Everything that is the owner's.
    function refusedDirectly(address who) private {
        bytes[5] memory calls = [
            abi.encodeCall(IEmission.admit, (TASK)),
            abi.encodeCall(IEmission.dismiss, (TASK)),
            abi.encodeCall(IEmission.setFee, (0, who)),
            abi.encodeWithSignature("transferOwnership(address)", who),
            abi.encodeWithSignature("renounceOwnership()")
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(who);
            (bool ok, bytes memory reason) = address(emission).call(calls[i]);
            assertFalse(ok);
            assertEq(reason, abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", who));
        }
    }

    function assertEmitted(uint256 expected) private {
        (uint256 amount,) = vault.openBudget(TASK);
        assertEq(amount, expected);
        vault.closeBudget(TASK);
    }
}
