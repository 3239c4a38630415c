// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {
    Flight,
    IArena,
    Metric,
    Phase,
    RankingRule,
    Schedule,
    Stage,
    TaskParams
} from "../../src/interfaces/IArena.sol";
import {EmissionConfig, IEmission} from "../../src/interfaces/IEmission.sol";
import {IVault, Role, VaultConfig} from "../../src/interfaces/IVault.sol";
import {Commitment} from "../../src/libraries/Commitment.sol";
import {TestBase} from "../TestBase.sol";
import {IMintable} from "./IMintable.sol";

/// @notice A deployment with its token, a clock that is moved by epoch and phase, and participants with tokens.
abstract contract ArenaFixture is TestBase {
    uint256 internal constant WAD = 1e18;
    uint64 internal constant GENESIS = 1_700_000_000;
    uint32 internal constant EPOCH = 1000;
    uint32 internal constant UNBONDING = 2;
    bytes32 internal constant SALT = keccak256("salt");

    uint8 internal constant SILENT_EPOCHS = 3;
    uint64 internal constant SLASH = 0.01e18;
    uint96 internal constant EMISSION = 100e18;

    IMintable internal token;
    IEmission internal emission;
    IVault internal vault;
    IArena internal arena;

    address internal owner = makeAddr("owner");
    address internal creator = makeAddr("creator");
    address internal stranger = makeAddr("stranger");

    /// @dev An account's part of a pool; its own stake if it is the operator.
    struct Holding {
        uint256 task;
        address operator;
        address account;
    }

    Holding[] internal holdings;
    mapping(bytes32 holding => bool) private known;

    function setUp() public virtual {
        vm.warp(GENESIS - 10);
        token = newToken();
        (emission, vault, arena) = deploy(address(token), schedule());
    }

    function newToken() internal virtual returns (IMintable) {
        return IMintable(vm.deployCode("ArenaToken.sol:ArenaToken", ""));
    }

    /// @notice Emission, vault and arena, in this order: each names the future address of the next one, which checks that
    /// they fit.
    function deploy(address token_, Schedule memory schedule_)
        internal
        returns (IEmission emission_, IVault vault_, IArena arena_)
    {
        uint256 nonce = vm.getNonce(address(this));
        VaultConfig memory c = vaultConfig();
        c.token = token_;
        c.arena = vm.computeCreateAddress(address(this), nonce + 2);
        EmissionConfig memory e = emissionConfig();
        e.vault = vm.computeCreateAddress(address(this), nonce + 1);
        // By artifact: the very bytecode that is exported, and the compiler need not build it again for each test.
        emission_ = IEmission(vm.deployCode("Emission.sol:Emission", abi.encode(e)));
        c.emission = address(emission_);
        vault_ = IVault(vm.deployCode("Vault.sol:Vault", abi.encode(c)));
        arena_ = IArena(vm.deployCode("Arena.sol:Arena", abi.encode(vault_, schedule_)));
    }

    /// @notice What a deployment fixes about custody; the addresses are filled in when it is deployed.
    function vaultConfig() internal pure virtual returns (VaultConfig memory c) {
        c.genesis = GENESIS;
        c.epochLength = EPOCH;
        c.unbondingEpochs = UNBONDING;
        c.maxFeeWad = 0.2e18;
        c.slashWad = SLASH;
    }

    /// @notice What a deployment fixes about emission, likewise. Nothing is emitted unless a test admits a task.
    function emissionConfig() internal view virtual returns (EmissionConfig memory e) {
        e.owner = owner;
        e.initial = EMISSION;
        e.decayWad = uint64(WAD);
        e.period = 1;
    }

    function schedule() internal pure returns (Schedule memory) {
        return Schedule({
            submitEnd: 200,
            discloseEnd: 400,
            seedEnd: 500,
            commitEnd: 700,
            revealEnd: 900,
            seedDelay: 20,
            silentEpochs: SILENT_EPOCHS
        });
    }

    function defaultParams() internal pure returns (TaskParams memory) {
        return TaskParams({
            metadata: keccak256("task"),
            evaluationRoot: 0,
            minNodeStake: 10e18,
            minValidatorStake: 10e18,
            redundancy: 15,
            freshData: true,
            rule: RankingRule.StakeIntegral,
            metric: Metric.Gain,
            maxSubmissions: 512,
            rankCutoff: 0,
            epsilonWad: 1e18,
            gammaWad: 0.25e18,
            phiWad: 0.2e18,
            tolerance: 1000,
            epochs: 20,
            qWad: 0.9e18,
            alphaWad: 1e18,
            lossCapWad: 0
        });
    }

    // ------------------------------------------------------------------ time

    function warpTo(uint256 epoch, Phase phase) internal {
        vm.warp(timeOf(epoch, phase));
    }

    /// @notice The first second of a phase; for Seed the first at which the seed may be drawn.
    function timeOf(uint256 epoch, Phase phase) internal pure returns (uint256) {
        Schedule memory s = schedule();
        uint256 start = GENESIS + (epoch - 1) * EPOCH;
        if (phase == Phase.Submit) return start;
        if (phase == Phase.Disclose) return start + s.submitEnd;
        if (phase == Phase.Seed) return start + s.discloseEnd + s.seedDelay;
        if (phase == Phase.Commit) return start + s.seedEnd;
        if (phase == Phase.Reveal) return start + s.commitEnd;
        return start + s.revealEnd;
    }

    // ------------------------------------------------------------------ participants

    function createTask(TaskParams memory params) internal returns (uint256 task) {
        if (vaultConfig().bond != 0) provide(creator, vaultConfig().bond);
        vm.prank(creator);
        task = arena.createTask(params);
    }

    function provide(address who, uint256 amount) internal {
        token.mint(who, amount);
        vm.prank(who);
        token.approve(address(vault), type(uint256).max);
    }

    function stakeAs(address who, uint256 task, Role role, uint256 amount) internal {
        provide(who, amount);
        remember(task, who, who);
        vm.prank(who);
        vault.stake(task, role, uint96(amount));
    }

    function delegateTo(address who, uint256 task, address operator, uint256 amount) internal {
        provide(who, amount);
        remember(task, operator, who);
        vm.prank(who);
        vault.delegate(task, operator, uint96(amount));
    }

    function remember(uint256 task, address operator, address account) internal {
        bytes32 key = keccak256(abi.encode(task, operator, account));
        if (known[key]) return;
        known[key] = true;
        holdings.push(Holding({task: task, operator: operator, account: account}));
    }

    /// @notice Adds to the task's bounty, which streams evenly over the epochs that remain.
    function fundTask(uint256 task, uint256 bounty) internal {
        fundAs(creator, task, bounty);
    }

    function fundAs(address who, uint256 task, uint256 bounty) internal virtual {
        provide(who, bounty);
        vm.prank(who);
        vault.fund(task, uint96(bounty));
    }

    function fundEmission(uint256 amount) internal {
        provide(owner, amount);
        vm.prank(owner);
        vault.fundEmission(uint96(amount));
    }

    /// @notice Admits a task to emission, from the next epoch but one on.
    function admit(uint256 task) internal {
        vm.prank(owner);
        emission.admit(task);
    }

    function commitSubmission(address node, uint256 task, bytes32 contentHash)
        internal
        virtual
        returns (uint256 number)
    {
        bytes32 commitment = submissionCommitment(node, task, contentHash);
        vm.prank(node);
        number = arena.commitSubmission(task, commitment);
    }

    function openSubmission(address node, uint256 task, bytes32 contentHash) internal virtual {
        vm.prank(node);
        arena.openSubmission(task, contentHash, SALT, "store://artifact");
    }

    function submissionCommitment(address node, uint256 task, bytes32 contentHash)
        internal
        view
        returns (bytes32)
    {
        return Commitment.submission(
            block.chainid, address(arena), task, vault.currentEpoch(), node, contentHash, SALT
        );
    }

    // ------------------------------------------------------------------ checks

    function earned(uint256 task, address operator) internal view returns (uint256) {
        return vault.claimable(task, operator, operator);
    }

    /// @notice M-15: the vault's balance covers everything it owes, added up over everyone who ever held anything.
    function assertSolvent() internal view {
        assertGe(token.balanceOf(address(vault)), owed(), "the vault is solvent");
    }

    /// @notice What the vault owes. Of an open budget only while nothing of it is paid.
    function owed() internal view returns (uint256 sum) {
        for (uint256 i = 0; i < holdings.length; ++i) {
            sum += owedTo(holdings[i]);
        }
        for (uint256 task = 1; task <= arena.taskCount(); ++task) {
            sum += vault.bountyOf(task);
            Flight memory f = arena.flightOf(task);
            if (f.stage == Stage.Scoring || f.stage == Stage.Ranking) {
                sum += f.nodeBudget + f.validatorBudget;
            }
        }
        sum += uint256(vault.reserve()) + vault.slashed() + vault.fees();
    }

    function owedTo(Holding memory h) internal view returns (uint256 sum) {
        (, sum,) = vault.unbondingOf(h.task, h.operator, h.account);
        sum += vault.claimable(h.task, h.operator, h.account);
        if (h.operator == h.account) {
            return sum + vault.stakeAt(h.task, h.operator, vault.currentEpoch() + 1).direct;
        }
        (, uint256 delegated) = vault.delegationOf(h.task, h.operator, h.account);
        sum += delegated;
    }
}
