// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IArena, Metric, RankingRule, Schedule, Tally, TaskParams} from "../../src/interfaces/IArena.sol";
import {IEmission} from "../../src/interfaces/IEmission.sol";
import {Credit, IVault, Role, VaultConfig} from "../../src/interfaces/IVault.sol";
import {ReentrantToken} from "../base/HostileTokens.sol";
import {VaultFixture} from "../base/VaultFixture.sol";

/// @notice A token that calls back in the middle of every transfer, into everything that there is.
/// @dev The calls that move tokens are guarded and refuse. The others either refuse the token, which is nobody's owner and
/// nobody's arena, or have the effect that they would have had a moment before or after.
contract VaultReentrancyAttacksTest is VaultFixture {
    uint256 private constant OTHER = 2;

    ReentrantToken private hostile;
    IArena private realArena;

    function setUp() public override {
        super.setUp();
        hostile = new ReentrantToken();
        (vault, emission) = deployFor(address(hostile));
        prepare();
        vault.register(TASK, terms());
        use();
    }

    function prepare() private {
        address[6] memory people = [creator, node, validator, alice, bob, address(hostile)];
        for (uint256 i = 0; i < people.length; ++i) {
            hostile.mint(people[i], WEALTH);
        }
    }

    /// @dev Leaves something to withdraw, claim, burn, collect and reclaim for everybody.
    function use() private {
        fund(10_000);
        fundAs(alice, 1000);
        emission.setFee(0.1e18, treasury);
        emission.admit(TASK);
        fundEmission(5000);
        stakeAs(node, Role.Node, 100);
        stakeAs(validator, Role.Validator, 100);
        delegateTo(alice, node, 512 * UNIT);
        undelegateFrom(alice, node, 256 * UNIT);
        vm.startPrank(address(hostile));
        vault.stake(TASK, Role.Node, 100);
        vault.delegate(TASK, node, 512 * UNIT);
        vault.undelegate(TASK, node, 256 * UNIT);
        vm.stopPrank();
        payEpoch(1, node, 100, 50);
        payEpoch(2, node, 1000, 500);
        payEpoch(3, address(hostile), 50, 50);
        vault.slash(TASK, validator, 100);
        claimAs(node, node);
    }

    // ------------------------------------------------------------------ into everything

    /// @notice Every function that is no view is tried below, also one that comes later.
    function test_attack_NoFunctionIsForgotten() public view {
        bytes[][3] memory calls = [guarded(), unguarded(), arenas()];
        assertComplete("Vault", calls);
        bytes[] memory none;
        assertComplete("Arena", [arenaCalls(), none, none]);
        assertComplete("Emission", [emissionCalls(), none, none]);
    }

    /// @dev By selector. If one of several overloads may change state, all of them are asked for.
    function assertComplete(string memory name, bytes[][3] memory calls) private view {
        string memory json = vm.readFile(string.concat("out/", name, ".sol/", name, ".json"));
        string[] memory signatures = vm.parseJsonKeys(json, ".methodIdentifiers");
        uint256 found = 0;
        for (uint256 i = 0; vm.keyExistsJson(json, item(i, "")); ++i) {
            if (!same(vm.parseJsonString(json, item(i, ".type")), "function")) continue;
            string memory mutability = vm.parseJsonString(json, item(i, ".stateMutability"));
            if (same(mutability, "view") || same(mutability, "pure")) continue;
            string memory changing = vm.parseJsonString(json, item(i, ".name"));
            for (uint256 j = 0; j < signatures.length; ++j) {
                if (!same(nameOf(signatures[j]), changing)) continue;
                ++found;
                assertTrue(holds(calls, bytes4(keccak256(bytes(signatures[j])))), signatures[j]);
            }
        }
        assertEq(found, calls[0].length + calls[1].length + calls[2].length, name);
    }

    function item(uint256 i, string memory key) private pure returns (string memory) {
        return string.concat(".abi[", vm.toString(i), "]", key);
    }

    function same(string memory a, string memory b) private pure returns (bool) {
        return keccak256(bytes(a)) == keccak256(bytes(b));
    }

    /// @dev What stands before the bracket.
    function nameOf(string memory signature) private pure returns (string memory name) {
        bytes memory whole = bytes(signature);
        for (uint256 i = 0; whole[i] != "("; ++i) {
            name = string(abi.encodePacked(name, whole[i]));
        }
    }

    function holds(bytes[][3] memory calls, bytes4 selector) private pure returns (bool) {
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 j = 0; j < calls[i].length; ++j) {
                if (bytes4(calls[i][j]) == selector) return true;
            }
        }
        return false;
    }

    // ------------------------------------------------------------------ into the vault

    function test_attack_NoTransferReentersTheVault() public {
        bytes[] memory outer = transfers();
        bytes[] memory inner = guarded();
        for (uint256 i = 0; i < outer.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            callOf(outer[i]);
            bytes32 quiet = digest();
            vm.revertToState(snapshot);
            for (uint256 j = 0; j < inner.length; ++j) {
                hostile.arm(address(vault), inner[j]);
                callOf(outer[i]);
                assertRefused(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
                assertEq(digest(), quiet, "as without the callback");
                vm.revertToState(snapshot);
            }
        }
    }

    function test_attack_NoWayOutReentersOnceTheTaskIsOver() public {
        warpTo(LAST_EPOCH + 1);
        bytes[] memory inner = guarded();
        uint256 snapshot = vm.snapshotState();
        for (uint256 j = 0; j < inner.length; ++j) {
            hostile.arm(address(vault), inner[j]);
            assertGt(reclaimAs(alice), 0);
            assertRefused(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
            vm.revertToState(snapshot);
        }
    }

    function test_attack_RegisteringDoesNotReenter() public {
        bytes[] memory inner = guarded();
        for (uint256 j = 0; j < inner.length; ++j) {
            hostile.arm(address(vault), inner[j]);
            vault.register(OTHER + j, terms());
            assertRefused(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
        }
    }

    /// @notice The unguarded calls of the vault move no token. In the middle of a stake they do what they do before it.
    function test_attack_UnguardedCallsActAsBefore() public {
        bytes[] memory inner = unguarded();
        for (uint256 j = 0; j < inner.length; ++j) {
            uint256 snapshot = vm.snapshotState();
            vm.prank(address(hostile));
            (bool ok,) = address(vault).call(inner[j]);
            assertTrue(ok);
            stakeAs(alice, Role.Node, 50);
            bytes32 expected = digest();
            vm.revertToState(snapshot);
            hostile.arm(address(vault), inner[j]);
            stakeAs(alice, Role.Node, 50);
            assertEq(digest(), expected);
            hostile.arm(address(0), "");
            vm.revertToState(snapshot);
        }
    }

    /// @notice The calls of the arena and of the emission belong to them, also in the middle of a transfer.
    function test_attack_TheTokenIsNeitherArenaNorEmission() public {
        bytes[] memory inner = arenas();
        for (uint256 j = 0; j < inner.length; ++j) {
            hostile.arm(address(vault), inner[j]);
            bytes4 refusal = j == 6 ? IVault.NotEmission.selector : IVault.NotArena.selector;
            stakeAs(alice, Role.Node, 50);
            assertRefused(abi.encodeWithSelector(refusal, hostile));
        }
    }

    // ------------------------------------------------------------------ into the vault by way of the arena

    /// @notice An arena that lets itself be called in the middle of a transfer gets what it gets before or after it: budgets
    /// are opened, credited and closed, pools slashed, tasks shortened, and the books stay exact.
    function test_attack_TheArenasCallsInTheMiddleOfATransferKeepTheBooks() public {
        warpTo(4);
        bytes[5] memory inner = [
            abi.encodeCall(this.opens, ()),
            abi.encodeCall(this.opensAndPays, ()),
            abi.encodeCall(this.closes, ()),
            abi.encodeCall(this.slashes, ()),
            abi.encodeCall(this.shortens, ())
        ];
        bytes[] memory outer = transfers();
        for (uint256 i = 0; i < outer.length; ++i) {
            for (uint256 j = 0; j < inner.length; ++j) {
                uint256 snapshot = vm.snapshotState();
                if (j == 2) this.opens();
                callOf(outer[i]);
                callThis(inner[j]);
                bytes32 before = digest();
                vm.revertToState(snapshot);
                if (j == 2) this.opens();
                hostile.arm(address(this), inner[j]);
                callOf(outer[i]);
                assertEq(hostile.entered(), 1);
                assertEq(digest(), before, "as if it came after");
                hostile.arm(address(0), "");
                vm.revertToState(snapshot);
            }
        }
    }

    function opens() external {
        vault.openBudget(TASK);
    }

    function opensAndPays() external {
        vault.openBudget(TASK);
        Credit[] memory credits = new Credit[](1);
        credits[0] = Credit({operator: node, withDelegation: 80, withoutDelegation: 10});
        vault.credit(TASK, credits);
        vault.closeBudget(TASK);
    }

    function closes() external {
        vault.closeBudget(TASK);
    }

    function slashes() external {
        vault.slash(TASK, node, 1 << 50);
    }

    function shortens() external {
        vault.shorten(TASK, 6);
    }

    // ------------------------------------------------------------------ into the emission and the arena

    function test_attack_TheTokenOwnsNoEmission() public {
        bytes[] memory inner = emissionCalls();
        for (uint256 j = 0; j < inner.length; ++j) {
            hostile.arm(address(emission), inner[j]);
            stakeAs(alice, Role.Node, 50);
            assertRefused(
                j == 0
                    ? abi.encodeWithSelector(IEmission.NotVault.selector, hostile)
                    : abi.encodeWithSignature("OwnableUnauthorizedAccount(address)", hostile)
            );
        }
    }

    /// @notice Into every function of a real arena, in the middle of a stake in a task of its own.
    function test_attack_EveryFunctionOfTheArenaKeepsTheBooks() public {
        useRealArena();
        bytes[] memory inner = arenaCalls();
        uint256 entered = 0;
        uint256 snapshot = vm.snapshotState();
        for (uint256 j = 0; j < inner.length; ++j) {
            hostile.arm(address(realArena), inner[j]);
            stakeAs(alice, Role.Node, 50);
            entered += hostile.entered();
            assertTrue(hostile.entered() == 1 || hostile.refusal().length >= 4, "a clear error");
            assertEq(hostile.balanceOf(address(vault)), 50 + 100 + BOND);
            assertStake(alice, 1, 50, 0);
            assertTotals(Role.Node, 1, 150, 0);
            // The one that moves tokens is guarded by the vault.
            if (j == 0) assertRefused(abi.encodeWithSignature("ReentrancyGuardReentrantCall()"));
            vm.revertToState(snapshot);
        }
        assertGe(entered, 2, "some of them may be entered");
    }

    function useRealArena() private {
        VaultConfig memory v = vaultConfig();
        v.token = address(hostile);
        v.arena = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 2);
        vm.warp(GENESIS - 5);
        (vault, emission) = deploy(v, emissionConfig());
        Schedule memory schedule = Schedule({
            submitEnd: 200,
            discloseEnd: 400,
            seedEnd: 500,
            commitEnd: 700,
            revealEnd: 900,
            seedDelay: 20,
            silentEpochs: 3
        });
        realArena = IArena(vm.deployCode("Arena.sol:Arena", abi.encode(address(vault), schedule)));
        vm.startPrank(address(hostile));
        realArena.createTask(params());
        vault.stake(TASK, Role.Node, 100);
        vm.stopPrank();
    }

    function params() private pure returns (TaskParams memory) {
        return TaskParams({
            metadata: keccak256("task"),
            evaluationRoot: 0,
            minNodeStake: 10,
            minValidatorStake: 20,
            redundancy: 3,
            freshData: true,
            rule: RankingRule.StakeIntegral,
            metric: Metric.Gain,
            maxSubmissions: 16,
            rankCutoff: 0,
            epsilonWad: 0.5e18,
            gammaWad: 0.25e18,
            phiWad: 0.2e18,
            tolerance: 1000,
            epochs: 20,
            qWad: 0.9e18,
            alphaWad: 1e18,
            lossCapWad: 0
        });
    }

    function arenaCalls() private view returns (bytes[] memory calls) {
        calls = new bytes[](18);
        calls[0] = abi.encodeCall(IArena.createTask, (params()));
        calls[1] = abi.encodeCall(IArena.endTask, (TASK));
        calls[2] = abi.encodeCall(IArena.registerKey, (bytes32(uint256(1))));
        calls[3] = abi.encodeCall(IArena.commitSubmission, (TASK, bytes32(uint256(1))));
        calls[4] = abi.encodeCall(IArena.openSubmission, (TASK, bytes32(0), bytes32(0), ""));
        calls[5] = abi.encodeCall(IArena.withdrawSubmission, (TASK));
        calls[6] = abi.encodeCall(IArena.evict, (TASK, alice));
        calls[7] = abi.encodeCall(IArena.drawSeed, (TASK));
        calls[8] = abi.encodeCall(IArena.commitScores, (TASK, bytes32(type(uint256).max)));
        calls[9] = abi.encodeCall(IArena.revealScores, (TASK, bytes32(0), ""));
        calls[10] = abi.encodeCall(IArena.tally, (TASK, new Tally[](0)));
        Tally memory part;
        calls[11] = abi.encodeCall(IArena.tallyPart, (TASK, part));
        calls[12] = abi.encodeCall(IArena.rank, (TASK, new address[](0)));
        calls[13] = abi.encodeCall(IArena.payNodes, (TASK, 0, 1, new address[](0)));
        calls[14] = abi.encodeCall(IArena.weigh, (TASK, 0, 1));
        calls[15] = abi.encodeCall(IArena.payValidators, (TASK, 0, 1));
        calls[16] = abi.encodeCall(IArena.reportUnrevealed, (TASK, alice));
        calls[17] = abi.encodeCall(IArena.reportSilent, (TASK, alice));
    }

    // ------------------------------------------------------------------ parts

    /// @dev Everything that transfers in epoch 3 or later, by alice.
    function transfers() private view returns (bytes[] memory calls) {
        calls = new bytes[](8);
        calls[0] = abi.encodeCall(IVault.stake, (TASK, Role.Node, 50));
        calls[1] = abi.encodeCall(IVault.delegate, (TASK, validator, 50));
        calls[2] = abi.encodeCall(IVault.fund, (TASK, 50));
        calls[3] = abi.encodeCall(IVault.fundEmission, (50));
        calls[4] = abi.encodeCall(IVault.withdraw, (TASK, node, 9));
        calls[5] = abi.encodeCall(IVault.claim, (TASK, node));
        calls[6] = abi.encodeCall(IVault.burn, ());
        calls[7] = abi.encodeCall(IVault.collectFees, ());
    }

    /// @dev Everything that is guarded. The token signs for itself.
    function guarded() private view returns (bytes[] memory calls) {
        calls = new bytes[](15);
        calls[0] = abi.encodeCall(IVault.stake, (TASK, Role.Node, 1));
        calls[1] = abi.encodeCall(IVault.unstake, (TASK, 1));
        calls[2] = abi.encodeCall(IVault.delegate, (TASK, node, 1));
        calls[3] = abi.encodeCall(IVault.undelegate, (TASK, node, 1));
        calls[4] = abi.encodeCall(IVault.fund, (TASK, 1));
        calls[5] = abi.encodeCall(IVault.fundEmission, (1));
        calls[6] = abi.encodeCall(IVault.withdraw, (TASK, node, 9));
        calls[7] = abi.encodeCall(IVault.claim, (TASK, address(hostile)));
        calls[8] = abi.encodeCall(IVault.reclaim, (TASK));
        calls[9] = abi.encodeCall(IVault.burn, ());
        calls[10] = abi.encodeCall(IVault.collectFees, ());
        bytes[] memory batch = new bytes[](1);
        batch[0] = calls[6];
        calls[11] = abi.encodeWithSignature("multicall(bytes[])", batch);
        address self = address(hostile);
        uint256 deadline = type(uint256).max;
        calls[12] = abi.encodeCall(IVault.stakeFor, (self, TASK, Role.Node, 1, deadline, ""));
        calls[13] = abi.encodeCall(IVault.delegateFor, (self, TASK, node, 1, deadline, ""));
        calls[14] = abi.encodeCall(IVault.claimFor, (self, TASK, self, deadline, ""));
    }

    /// @dev What is not, and moves no token.
    function unguarded() private view returns (bytes[] memory calls) {
        calls = new bytes[](2);
        calls[0] = abi.encodeCall(IVault.setCommission, (TASK, 0.5e18));
        calls[1] = abi.encodeCall(IVault.permit, (alice, 1, 1, 27, bytes32(0), bytes32(0)));
    }

    /// @dev What belongs to the arena, and last what belongs to the emission.
    function arenas() private view returns (bytes[] memory calls) {
        calls = new bytes[](7);
        calls[0] = abi.encodeCall(IVault.register, (OTHER, terms()));
        calls[1] = abi.encodeCall(IVault.shorten, (TASK, 5));
        calls[2] = abi.encodeCall(IVault.openBudget, (TASK));
        calls[3] = abi.encodeCall(IVault.credit, (TASK, new Credit[](0)));
        calls[4] = abi.encodeCall(IVault.closeBudget, (TASK));
        calls[5] = abi.encodeCall(IVault.slash, (TASK, node, 1));
        calls[6] = abi.encodeCall(IVault.setFee, (0, alice));
    }

    /// @dev First what belongs to the vault, then what belongs to the owner, or to whom it offers its place.
    function emissionCalls() private view returns (bytes[] memory calls) {
        calls = new bytes[](7);
        calls[0] = abi.encodeCall(IEmission.draw, (TASK));
        calls[1] = abi.encodeCall(IEmission.admit, (TASK));
        calls[2] = abi.encodeCall(IEmission.dismiss, (TASK));
        calls[3] = abi.encodeCall(IEmission.setFee, (0, alice));
        calls[4] = abi.encodeWithSignature("transferOwnership(address)", alice);
        calls[5] = abi.encodeWithSignature("acceptOwnership()");
        calls[6] = abi.encodeWithSignature("renounceOwnership()");
    }

    function assertRefused(bytes memory reason) private view {
        assertEq(hostile.entered(), 0, "entered");
        assertEq(hostile.refusal(), reason);
    }

    function callOf(bytes memory outer) private {
        vm.prank(alice);
        (bool ok,) = address(vault).call(outer);
        assertTrue(ok, "the transfer goes through");
    }

    function callThis(bytes memory inner) private {
        (bool ok,) = address(this).call(inner);
        assertTrue(ok);
    }

    /// @dev All books that the calls here can touch.
    function digest() private view returns (bytes32 sum) {
        address[6] memory people = [creator, node, validator, alice, treasury, address(hostile)];
        uint32 epoch = vault.currentEpoch();
        sum = keccak256(
            abi.encode(
                vault.reserve(),
                vault.slashed(),
                vault.fees(),
                vault.bountyOf(TASK),
                vault.termsOf(TASK),
                hostile.balanceOf(address(vault)),
                hostile.balanceOf(GRAVE),
                vault.effectiveStakeOf(TASK)
            )
        );
        for (uint256 i = 0; i < people.length; ++i) {
            (, uint256 delegated) = vault.delegationOf(TASK, node, people[i]);
            (, uint256 unbonding,) = vault.unbondingOf(TASK, node, people[i]);
            sum = keccak256(
                abi.encode(
                    sum,
                    hostile.balanceOf(people[i]),
                    delegated,
                    unbonding,
                    vault.claimable(TASK, node, people[i]),
                    vault.claimable(TASK, people[i], people[i]),
                    vault.contributionOf(TASK, people[i]),
                    vault.stakeAt(TASK, people[i], epoch + 1),
                    vault.commissionAt(TASK, people[i], epoch + 2)
                )
            );
        }
    }
}
