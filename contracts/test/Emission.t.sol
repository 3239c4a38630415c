// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {EmissionConfig, IEmission} from "../src/interfaces/IEmission.sol";
import {IVault, Role, Terms} from "../src/interfaces/IVault.sol";
import {Rewards} from "../src/libraries/Rewards.sol";
import {VaultFixture} from "./base/VaultFixture.sol";

/// @notice What the emission's owner uses of `Ownable2Step`.
interface IOwned {
    function owner() external view returns (address);
    function pendingOwner() external view returns (address);
    function transferOwnership(address newOwner) external;
    function acceptOwnership() external;
    function renounceOwnership() external;
}

/// @notice Which tasks share the emission, how much it is, and that the owner can do nothing else (M-2).
contract EmissionTest is VaultFixture {
    uint96 private constant RESERVE = 100_000;

    function setUp() public override {
        super.setUp();
        fundEmission(RESERVE);
        stakeAs(node, Role.Node, 100);
    }

    function terms() internal view override returns (Terms memory t) {
        t = super.terms();
        t.lastEpoch = 40;
    }

    // ------------------------------------------------------------------ deployment

    function test_DeploymentChecksItsArguments() public {
        EmissionConfig memory c = emissionConfig();
        refusedAs("vault is zero", c);
        c.vault = alice;
        c.decayWad = 0;
        refusedAs("decay", c);
        c.decayWad = uint64(WAD + 1);
        refusedAs("decay", c);
        c.decayWad = uint64(WAD);
        c.period = 0;
        refusedAs("period is zero", c);
    }

    function test_DeploymentIsReadable() public view {
        EmissionConfig memory c = emissionConfig();
        c.vault = address(vault);
        assertEq(keccak256(abi.encode(emission.config())), keccak256(abi.encode(c)));
        assertEq(IOwned(address(emission)).owner(), address(this));
    }

    // ------------------------------------------------------------------ the owner

    function test_OnlyTheOwnerDecides() public {
        bytes memory refusal = abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", alice);
        vm.startPrank(alice);
        vm.expectRevert(refusal);
        emission.admit(TASK);
        vm.expectRevert(refusal);
        emission.dismiss(TASK);
        vm.expectRevert(refusal);
        emission.setFee(0, alice);
        vm.expectRevert(abi.encodeWithSelector(IEmission.NotVault.selector, alice));
        emission.draw(TASK);
        vm.stopPrank();
    }

    function test_OwnershipMovesInTwoSteps() public {
        IOwned owned = IOwned(address(emission));
        owned.transferOwnership(alice);
        assertEq(owned.owner(), address(this));
        assertEq(owned.pendingOwner(), alice);
        emission.admit(TASK);
        vm.prank(bob);
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", bob));
        owned.acceptOwnership();
        vm.prank(alice);
        owned.acceptOwnership();
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", address(this)));
        emission.dismiss(TASK);
        vm.prank(alice);
        emission.dismiss(TASK);
    }

    function test_WhoRenouncesLeavesEverythingAsItIs() public {
        emission.admit(TASK);
        emission.setFee(0.1e18, treasury);
        IOwned owned = IOwned(address(emission));
        owned.transferOwnership(alice);
        owned.renounceOwnership();
        assertEq(owned.owner(), address(0));
        vm.prank(alice);
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", alice));
        owned.acceptOwnership();
        vm.expectRevert(abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", address(this)));
        emission.dismiss(TASK);
        warpTo(2);
        assertDraw(TASK, 1000);
        assertEq(vault.feeAt(2), 0.1e18);
    }

    function test_ItCanBeginWithoutAnOwner() public {
        EmissionConfig memory e = emissionConfig();
        e.owner = address(0);
        (, IEmission other) = deploy(vaultConfig(), e);
        assertEq(IOwned(address(other)).owner(), address(0));
    }

    // ------------------------------------------------------------------ admission

    function test_AdmissionActsFromTheNextEpochButOne() public {
        warpTo(3);
        vm.expectEmit(address(emission));
        emit IEmission.Admitted(TASK, 5);
        emission.admit(TASK);
        assertDraw(TASK, 0);
        warpTo(4);
        assertDraw(TASK, 0);
        warpTo(5);
        assertDraw(TASK, 500);
    }

    function test_DismissalActsFromTheNextEpochButOne() public {
        emission.admit(TASK);
        warpTo(5);
        vm.expectEmit(address(emission));
        emit IEmission.Dismissed(TASK, 7);
        emission.dismiss(TASK);
        assertDraw(TASK, 500);
        warpTo(6);
        assertDraw(TASK, 500);
        warpTo(7);
        assertDraw(TASK, 0);
        (uint32 from, uint32 until) = emission.admissionOf(TASK);
        assertEq(from, 2);
        assertEq(until, 7);
    }

    function test_WhoIsDismissedBeforeItsAdmissionActsNeverTakesPart() public {
        emission.admit(TASK);
        emission.dismiss(TASK);
        for (uint256 epoch = 1; epoch < 5; ++epoch) {
            warpTo(epoch);
            assertDraw(TASK, 0);
        }
    }

    function test_ATaskIsAdmittedOnceAtATime() public {
        expectRefusal(IEmission.NotAdmitted.selector, TASK);
        emission.dismiss(TASK);
        emission.admit(TASK);
        expectRefusal(IEmission.AlreadyAdmitted.selector, TASK);
        emission.admit(TASK);
        expectRefusal(IEmission.UnknownTask.selector, 99);
        emission.admit(99);

        emission.dismiss(TASK);
        expectRefusal(IEmission.NotAdmitted.selector, TASK);
        emission.dismiss(TASK);
        warpTo(1);
        // It still takes part until its dismissal acts.
        expectRefusal(IEmission.AlreadyAdmitted.selector, TASK);
        emission.admit(TASK);
        warpTo(2);
        emission.admit(TASK);
        assertEq(emission.admitted().length, 1);
        warpTo(4);
        assertDraw(TASK, 1000);
    }

    function test_AtMost32TasksAreOnTheList() public {
        for (uint256 task = 2; task <= 33; ++task) {
            vault.register(task, terms());
            emission.admit(task);
        }
        expectRefusal(IEmission.TooManyAdmitted.selector, 32);
        emission.admit(TASK);
        emission.dismiss(7);
        warpTo(1);
        // Room is made by dismissals that act, and by tasks that are over.
        expectRefusal(IEmission.TooManyAdmitted.selector, 32);
        emission.admit(TASK);
        warpTo(2);
        emission.admit(TASK);
        assertEq(emission.admitted().length, 32);
        warpTo(41);
        Terms memory t = terms();
        t.lastEpoch = 60;
        vault.register(34, t);
        emission.admit(34);
        assertEq(emission.admitted().length, 1);
        assertEq(emission.admitted()[0], 34);
    }

    /// @notice Forgetting while somebody is admitted changes nothing for the others.
    function test_ForgettingKeepsTheOthers() public {
        for (uint256 task = 2; task <= 6; ++task) {
            vault.register(task, terms());
            emission.admit(task);
        }
        emission.dismiss(2);
        emission.dismiss(4);
        emission.dismiss(6);
        warpTo(2);
        emission.admit(TASK);
        uint256[] memory list = emission.admitted();
        assertEq(list.length, 3);
        assertEq(list[0] + list[1] + list[2], 3 + 5 + TASK);
    }

    function test_ATaskThatIsOverTakesNoPart() public {
        emission.admit(TASK);
        vault.register(2, terms());
        stakeIn(2, 300);
        emission.admit(2);
        warpTo(2);
        assertDraw(TASK, 250);
        vault.shorten(TASK, 4);
        warpTo(5);
        assertDraw(2, 500);
    }

    // ------------------------------------------------------------------ the schedule

    function test_TheRateDecaysByPeriods() public view {
        assertEq(emission.rateAt(0), 0);
        uint16[12] memory rates = [1000, 1000, 1000, 1000, 500, 500, 500, 500, 250, 250, 250, 250];
        for (uint256 i = 0; i < rates.length; ++i) {
            assertEq(emission.rateAt(i + 1), rates[i]);
        }
        assertEq(emission.rateAt(4 * 9 + 1), 1);
        assertEq(emission.rateAt(4 * 10 + 1), 0);
        assertEq(emission.rateAt(type(uint32).max), 0);
    }

    function testFuzz_TheRateNeverRisesAndHasALimit(uint96 initial, uint64 decayWad, uint32 period) public {
        EmissionConfig memory e = emissionConfig();
        e.initial = initial;
        e.decayWad = uint64(bound(decayWad, 1, WAD));
        e.period = uint32(bound(period, 1, type(uint32).max));
        (, IEmission other) = deploy(vaultConfig(), e);
        uint256 last = initial;
        for (uint256 epoch = 1; epoch < 1 << 32; epoch = epoch * 3 + 1) {
            uint256 rate = other.rateAt(epoch);
            assertLe(rate, last);
            assertEq(rate, Rewards.emission(initial, e.decayWad, e.period, epoch));
            last = rate;
        }
    }

    function test_EmissionIsCappedByTheReserve() public {
        EmissionConfig memory e = emissionConfig();
        e.period = 100;
        (vault, emission) = deploy(vaultConfig(), e);
        enrichAll();
        vault.register(TASK, terms());
        emission.admit(TASK);
        fundEmission(2500);
        stakeAs(node, Role.Node, 10);
        uint16[4] memory amounts = [1000, 1000, 500, 0];
        for (uint32 i = 0; i < 4; ++i) {
            warpTo(i + 2);
            (uint256 emitted,) = open();
            assertEq(emitted, amounts[i]);
            if (emitted != 0) credit(node, emitted, emitted);
            close();
        }
        assertEq(vault.reserve(), 0);
        assertExact();
    }

    function test_TheFirstDrawFixesTheEpoch() public {
        emission.admit(TASK);
        warpTo(2);
        vm.expectEmit(address(emission));
        emit IEmission.EmissionFixed(2, 1000, 100);
        assertDraw(TASK, 1000);
    }

    function test_WithoutStakeNothingIsEmitted() public {
        vault.register(2, terms());
        emission.admit(2);
        warpTo(2);
        assertDraw(2, 0);
        assertEq(vault.reserve(), RESERVE);
    }

    // ------------------------------------------------------------------ shares

    function test_SharesGoByEffectiveStake() public {
        emission.admit(TASK);
        vault.register(2, terms());
        emission.admit(2);
        stakeIn(2, 200);
        vm.prank(alice);
        vault.delegate(2, node, 400);
        // 100 against 200 + 400 / 2.
        warpTo(2);
        assertDraw(TASK, 200);
        assertDraw(2, 800);
    }

    function test_WhatHappensInTheEpochChangesNoShare() public {
        emission.admit(TASK);
        vault.register(2, terms());
        emission.admit(2);
        stakeIn(2, 100);
        vault.register(3, terms());
        stakeIn(3, 100);
        warpTo(2);
        assertDraw(TASK, 500);
        stakeIn(2, 1_000_000);
        emission.admit(3);
        emission.dismiss(2);
        vault.slash(2, node, 500);
        vault.shorten(2, 20);
        fundEmission(5);
        assertDraw(2, 500);
        assertDraw(3, 0);
    }

    /// @notice The first seed of an epoch fixes what is shared, so that the order of the draws, and epochs that are settled
    /// between them, make no difference; all together never draw more than was fixed.
    function testFuzz_SharesDoNotDependOnTheOrderOfDraws(uint256 seed) public {
        uint256 count = 1 + seed % 6;
        uint256 total = 0;
        uint256[] memory stakes = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            vault.register(i + 10, terms());
            emission.admit(i + 10);
            stakes[i] = bound(uint256(keccak256(abi.encode(seed, i))), 10, 1 << (20 + seed % 50));
            stakeIn(i + 10, uint96(stakes[i]));
            total += stakes[i];
        }
        uint256 epoch = 2 + seed % 10;
        uint256 rate = emission.rateAt(epoch);
        warpTo(epoch);
        uint256 start = (seed >> 8) % count;
        uint256 drawn = 0;
        for (uint256 i = 0; i < count; ++i) {
            uint256 k = (seed >> 16) % 2 == 0 ? (start + i) % count : (start + count - i) % count;
            (uint256 amount,) = vault.openBudget(k + 10);
            assertEq(amount, rate * stakes[k] / total);
            drawn += amount;
            // Unpaid budgets come back in between.
            if ((seed >> (24 + i)) % 2 == 0) {
                vault.closeBudget(k + 10);
                drawn -= amount;
            }
        }
        assertLe(drawn, rate);
        assertEq(vault.reserve(), RESERVE - drawn);
    }

    // ------------------------------------------------------------------ parts

    function enrichAll() internal {
        address[5] memory people = [creator, node, validator, alice, bob];
        for (uint256 i = 0; i < people.length; ++i) {
            enrich(people[i]);
        }
    }

    function stakeIn(uint256 task, uint96 amount) internal {
        vm.prank(node);
        vault.stake(task, Role.Node, amount);
    }

    function assertDraw(uint256 task, uint256 expected) internal {
        (uint256 amount,) = vault.openBudget(task);
        assertEq(amount, expected, "emission");
        vault.closeBudget(task);
    }

    function expectRefusal(bytes4 selector, uint256 argument) internal {
        vm.expectRevert(abi.encodeWithSelector(selector, argument));
    }

    function refusedAs(bytes32 what, EmissionConfig memory c) internal {
        vm.expectRevert(abi.encodeWithSelector(IEmission.BadDeployment.selector, what));
        this.deployEmission(c);
    }

    /// @dev An external call of its own, because the cheatcode that deploys is a call as well.
    function deployEmission(EmissionConfig memory c) external {
        vm.deployCode("Emission.sol:Emission", abi.encode(c));
    }
}
