// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IVault, Role} from "../../src/interfaces/IVault.sol";
import {VaultFixture} from "../base/VaultFixture.sol";

/// @notice Attacks with stakes, delegation and time.
contract VaultStakeAttacksTest is VaultFixture {
    address private mallory = makeAddr("mallory");

    function setUp() public override {
        super.setUp();
        enrich(mallory);
        fund(10_000);
        stakeAs(node, Role.Node, 100);
        stakeAs(validator, Role.Validator, 100);
    }

    // ------------------------------------------------------------------ just before, just after

    function test_attack_DelegateBeforeAndLeaveAfterADistribution() public {
        delegateTo(alice, node, 512 * UNIT);
        warpTo(1);
        open();
        // She sees that a large credit is about to come, and takes a thousand times the pool.
        delegateTo(mallory, node, 512_000 * UNIT);
        credit(node, 1000, 0);
        undelegateFrom(mallory, node, 512_000 * UNIT);
        close();
        assertEq(vault.claimable(TASK, node, mallory), 0);
        payEpoch(2, node, 1000, 0);
        assertEq(vault.claimable(TASK, node, mallory), 0, "nor later");
        assertEq(claimAs(alice, node), 2000);
        // And her tokens were locked for it.
        expect(IVault.NothingToWithdraw.selector, abi.encode(mallory));
        withdrawAs(mallory, node);
        warpTo(4);
        assertEq(withdrawAs(mallory, node), 512_000 * UNIT);
        assertExact();
    }

    function test_attack_StakeBeforeAndLeaveAfterADistribution() public {
        warpTo(1);
        open();
        stakeAs(mallory, Role.Node, WEALTH);
        assertStake(mallory, 1, 0, 0);
        assertTotals(Role.Node, 1, 100, 0);
        unstakeAs(mallory, WEALTH);
        assertTotals(Role.Node, 2, 100, 0);
        expect(IVault.NothingToWithdraw.selector, abi.encode(mallory));
        withdrawAs(mallory, mallory);
    }

    function test_attack_JoinWhileAnEarlierEpochIsInFlight() public {
        delegateTo(alice, node, 512 * UNIT);
        warpTo(1);
        open();
        warpTo(2);
        delegateTo(mallory, node, 512_000 * UNIT);
        warpTo(4);
        undelegateFrom(mallory, node, 1);
        credit(node, 1000, 0);
        close();
        assertEq(vault.claimable(TASK, node, mallory), 0);
        assertEq(vault.claimable(TASK, node, alice), 1000);
    }

    /// @notice The vault's part of it: a whale earns the last epoch alone, in proportion, and nothing that was before.
    function test_attack_AWhaleJoinsInTheLastEpoch() public {
        delegateTo(alice, node, 512 * UNIT);
        for (uint32 epoch = 1; epoch < LAST_EPOCH - 1; ++epoch) {
            payEpoch(epoch, node, 1000, 0);
        }
        warpTo(LAST_EPOCH - 1);
        delegateTo(mallory, node, 512 * 7 * UNIT);
        pay(node, 1000, 0);
        warpTo(LAST_EPOCH);
        expect(IVault.TaskOver.selector, abi.encode(TASK, LAST_EPOCH));
        delegateTo(mallory, node, UNIT);
        (, uint256 bounty) = open();
        assertEq(bounty, 1000, "the last epoch has no more than any other");
        credit(node, bounty, 0);
        close();
        assertEq(vault.claimable(TASK, node, mallory), 875);
        assertEq(vault.claimable(TASK, node, alice), 1000 * uint256(LAST_EPOCH - 1) + 125);
    }

    // ------------------------------------------------------------------ in somebody's name

    function test_attack_NobodyFixesAnothersRoleOrMovesItsStake() public {
        // There is no stake for others without their signature: a stake of one unit is the payer's own.
        stakeAs(mallory, Role.Validator, 1);
        assertTrue(vault.roleOf(TASK, alice) == Role.None);
        stakeAs(alice, Role.Node, 5);
        // Nor does a delegation of one unit to the victim change its stake, its role or its way out.
        delegateTo(mallory, alice, 1);
        assertStake(alice, 1, 5, 1);
        unstakeAs(alice, 5);
        warpTo(3);
        assertEq(withdrawAs(alice, alice), 5);
    }

    function test_attack_ADustRequestDelaysNobody() public {
        delegateTo(alice, node, 1000);
        delegateTo(mallory, node, 1000);
        undelegateFrom(alice, node, 1000);
        warpTo(1);
        undelegateFrom(mallory, node, 1);
        warpTo(3);
        assertEq(withdrawAs(alice, node), 1000);
    }

    // ------------------------------------------------------------------ donations and shares

    function test_attack_ADonationMovesNoShare() public {
        delegateTo(mallory, node, 1);
        vm.prank(mallory);
        (bool ok,) = address(token)
            .call(abi.encodeWithSignature("transfer(address,uint256)", address(vault), uint256(WEALTH) / 2));
        assertTrue(ok);
        assertEq(vault.factorOf(TASK, node), WAD);
        delegateTo(alice, node, 999);
        (uint256 shares, uint256 amount) = vault.delegationOf(TASK, node, alice);
        assertEq(shares, 999);
        assertEq(amount, 999);
        assertEq(surplus(), WEALTH / 2 + 1, "the donation, and mallory's unit");
    }

    function test_attack_TheFirstDelegatorCannotInflateASlashedPool() public {
        delegateTo(mallory, validator, 3);
        vault.slash(TASK, validator, 1_000_000);
        token.mint(address(vault), 1 << 60);
        delegateTo(alice, validator, 1_000_000);
        (, uint256 amount) = vault.delegationOf(TASK, validator, alice);
        assertGe(amount, 999_999, "a unit of rounding at most");
        undelegateFrom(alice, validator, uint96(amount));
        warpTo(3);
        assertEq(withdrawAs(alice, validator), amount);
    }

    /// @notice Going in and out of a slashed pool in any steps never pays.
    function testFuzz_attack_RoundingSharesNeverPays(uint256 seed) public {
        delegateTo(alice, validator, uint96(1 + seed % (1 << 50)));
        for (uint256 i = 0; i < 1 + seed % 20; ++i) {
            vault.slash(TASK, validator, 1 << 90);
        }
        (, uint256 before) = vault.delegationOf(TASK, validator, alice);
        uint256 put = 0;
        uint256 got = 0;
        for (uint256 i = 0; i < 24; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            (, uint256 held) = vault.delegationOf(TASK, validator, mallory);
            if (seed % 2 == 0 || held == 0) {
                uint96 amount = uint96(1 + (seed >> 8) % 9);
                delegateTo(mallory, validator, amount);
                put += amount;
            } else {
                uint256 amount = 1 + (seed >> 8) % held;
                undelegateFrom(mallory, validator, uint96(amount));
                got += amount;
            }
        }
        (, uint256 left) = vault.delegationOf(TASK, validator, mallory);
        assertLe(got + left, put);
        (, uint256 kept) = vault.delegationOf(TASK, validator, alice);
        assertEq(kept, before, "nor does it cost anybody else");
    }

    // ------------------------------------------------------------------ slashing

    function test_attack_TotalLossThenNewDeposits() public {
        delegateTo(alice, validator, 1 << 60);
        for (uint256 i = 0; i < 100; ++i) {
            vault.slash(TASK, validator, type(uint96).max);
        }
        // What is lost is not found again by those who come after, nor are they asked to pay for it.
        (, uint256 before) = vault.delegationOf(TASK, validator, alice);
        warpTo(1);
        delegateTo(mallory, validator, 1 << 60);
        stakeAs(validator, Role.Validator, 200);
        (, uint256 hers) = vault.delegationOf(TASK, validator, alice);
        (, uint256 mallorys) = vault.delegationOf(TASK, validator, mallory);
        assertEq(hers, before);
        assertGe(mallorys + 1, 1 << 60);
        undelegateFrom(alice, validator, uint96(hers));
        undelegateFrom(mallory, validator, uint96(mallorys));
        unstakeAs(validator, 200);
        warpTo(4);
        assertEq(withdrawAs(alice, validator), hers);
        assertEq(withdrawAs(mallory, validator), mallorys);
        assertEq(withdrawAs(validator, validator), 200);
    }

    function test_attack_LeaveBeforeTheSlashIsReported() public {
        delegateTo(mallory, validator, 4000);
        delegateTo(alice, validator, 4000);
        // The offence is in epoch 1; mallory and the operator leave in the same epoch.
        warpTo(1);
        undelegateFrom(mallory, validator, 4000);
        unstakeAs(validator, 100);
        vault.slash(TASK, validator, 4100);
        (, uint256 operators,) = vault.unbondingOf(TASK, validator, validator);
        assertEq(operators, 50, "what unbonds is taken first");
        (, uint256 mallorys,) = vault.unbondingOf(TASK, validator, mallory);
        (, uint256 alices) = vault.delegationOf(TASK, validator, alice);
        assertEq(mallorys, alices, "who left bears what who stayed bears");
        assertEq(mallorys, 4000 - 360);
        assertExactButRequests();
    }

    function test_attack_ClaimsAndSlashesInAnyOrderPayTheSame() public {
        delegateTo(alice, validator, 512 * UNIT);
        delegateTo(mallory, validator, 512 * UNIT);
        payEpoch(1, validator, 1000, 0);
        vault.slash(TASK, validator, 1 << 60);
        assertEq(claimAs(mallory, validator), 500);
        undelegateFrom(mallory, validator, 256 * UNIT);
        vault.slash(TASK, validator, 1 << 60);
        assertEq(claimAs(alice, validator), 500, "a reward is not slashed");
        expect(IVault.NothingToClaim.selector, abi.encode(mallory));
        claimAs(mallory, validator);
    }

    function test_attack_WithdrawingOutOfOrderSkipsNothing() public {
        delegateTo(mallory, validator, 3000);
        for (uint96 epoch = 1; epoch < 4; ++epoch) {
            warpTo(epoch);
            undelegateFrom(mallory, validator, 100 * epoch);
        }
        vault.slash(TASK, validator, 1 << 60);
        // The slash of epoch 3 misses what was released before epoch 4 begins: nothing of hers.
        warpTo(4);
        assertEq(withdrawAs(mallory, validator, 1), 90);
        vault.slash(TASK, validator, 1 << 60);
        warpTo(5);
        assertEq(withdrawAs(mallory, validator, 1), 162);
        vault.slash(TASK, validator, 1 << 60);
        warpTo(6);
        assertEq(withdrawAs(mallory, validator), 218, "300 after three slashes, rounded down");
    }

    /// @notice The operator and its friend together hold three quarters of the pool, and lose by every slash of it.
    function test_attack_NobodyGainsBySlashingItself() public {
        delegateTo(mallory, node, 768 * UNIT);
        delegateTo(alice, node, 256 * UNIT);
        warpTo(1);
        uint256 own = wealthOf(mallory, node) + wealthOf(node, node);
        uint256 others = wealthOf(alice, node);
        open();
        uint256 taken = vault.slash(TASK, node, 1 << 60);
        close();
        warpTo(2);
        uint256 lost = own - wealthOf(mallory, node) - wealthOf(node, node);
        uint256 lostByOthers = others - wealthOf(alice, node);
        assertGt(lost, lostByOthers);
        assertApproxEqAbs(lost + lostByOthers, taken, 2);
        // Nobody is paid for a slash, whoever asks for the rest of it.
        vm.prank(mallory);
        assertEq(vault.burn(), taken);
        assertEq(token.balanceOf(GRAVE), taken);
    }

    // ------------------------------------------------------------------ order of claims

    /// @notice Whoever claims first, in whatever order and however often, everybody gets the same.
    function testFuzz_attack_TheOrderOfClaimsMakesNoDifference(uint256 seed) public {
        address[3] memory who = [alice, bob, mallory];
        for (uint256 i = 0; i < 3; ++i) {
            delegateTo(who[i], node, uint96(UNIT + (seed >> (32 * i)) % (UNIT * 100)));
        }
        payEpoch(1, node, 999, 0);
        payEpoch(3, node, 777, 0);
        undelegateFrom(bob, node, UNIT / 2);
        uint256[3] memory due;
        for (uint256 i = 0; i < 3; ++i) {
            due[i] = vault.claimable(TASK, node, who[i]);
        }
        for (uint256 i = 0; i < 3; ++i) {
            uint256 k = (seed % 3 + (seed % 2 == 0 ? i : 3 - i)) % 3;
            assertEq(claimAs(who[k], node), due[k]);
        }
        payEpoch(4, node, 500, 0);
        assertLe(
            vault.claimable(TASK, node, alice) + vault.claimable(TASK, node, bob)
                + vault.claimable(TASK, node, mallory),
            999 + 777 + 500 - due[0] - due[1] - due[2]
        );
    }

    // ------------------------------------------------------------------ parts

    function assertExactButRequests() internal view {
        assertEq(
            surplusWith(mallory), 360, "what slashes take of requests is counted when they are withdrawn"
        );
    }

    function surplusWith(address who) internal view returns (uint256 sum) {
        sum = surplus();
        for (uint256 i = 0; i < 2; ++i) {
            address operator = i == 0 ? node : validator;
            (, uint256 delegated) = vault.delegationOf(TASK, operator, who);
            (, uint256 unbonding,) = vault.unbondingOf(TASK, operator, who);
            sum -= delegated + unbonding + vault.claimable(TASK, operator, who);
        }
    }

    function wealthOf(address who, address operator) internal view returns (uint256) {
        (, uint256 delegated) = vault.delegationOf(TASK, operator, who);
        (, uint256 unbonding,) = vault.unbondingOf(TASK, operator, who);
        uint256 own = vault.stakeAt(TASK, who, vault.currentEpoch() + 1).direct;
        return token.balanceOf(who) + delegated + unbonding + own + vault.claimable(TASK, operator, who);
    }
}
