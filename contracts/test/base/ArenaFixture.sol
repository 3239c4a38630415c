// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IArena, Metric, Phase, RankingRule, Schedule, TaskParams} from "../../src/interfaces/IArena.sol";
import {IVault, Role} from "../../src/interfaces/IVault.sol";
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

    IMintable internal token;
    IVault internal vault;
    IArena internal arena;

    address internal creator = makeAddr("creator");
    address internal stranger = makeAddr("stranger");

    function setUp() public virtual {
        vm.warp(GENESIS - 10);
        token = IMintable(vm.deployCode("ArenaToken.sol:ArenaToken", ""));
        (vault, arena) = deploy(address(token));
    }

    /// @notice The vault comes first and names the arena's future address; the arena then checks that they fit.
    function deploy(address token_) internal returns (IVault vault_, IArena arena_) {
        address future = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        // By artifact: the very bytecode that is exported, and the compiler need not build it again for each test.
        vault_ =
            IVault(vm.deployCode("Vault.sol:Vault", abi.encode(token_, future, GENESIS, EPOCH, UNBONDING)));
        arena_ = IArena(vm.deployCode("Arena.sol:Arena", abi.encode(vault_, schedule())));
    }

    function schedule() internal pure returns (Schedule memory) {
        return Schedule({
            submitEnd: 200, discloseEnd: 400, seedEnd: 500, commitEnd: 700, revealEnd: 900, seedDelay: 20
        });
    }

    function defaultParams() internal pure returns (TaskParams memory) {
        return TaskParams({
            metadata: keccak256("task"),
            emissionPerEpoch: 100e18,
            minNodeStake: 10e18,
            epochs: 20,
            tolerance: 1000,
            minValidatorStake: 10e18,
            phiWad: 0.2e18,
            qWad: 0.9e18,
            maxSubmissions: 512,
            rankCutoff: 0,
            alphaWad: 1e18,
            gammaWad: 0.25e18,
            epsilonWad: 1e18,
            lossCapWad: 0,
            redundancy: 15,
            freshData: true,
            rule: RankingRule.StakeIntegral,
            metric: Metric.Gain
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
        vm.prank(who);
        vault.stake(task, role, uint96(amount));
    }

    function delegateTo(address who, uint256 task, address operator, uint256 amount) internal {
        provide(who, amount);
        vm.prank(who);
        vault.delegate(task, operator, uint96(amount));
    }

    function fundTask(uint256 task, uint256 emission, uint256 bounty) internal {
        provide(creator, emission + bounty);
        vm.prank(creator);
        vault.fund(task, uint96(emission), uint96(bounty));
    }

    function commitSubmission(address node, uint256 task, bytes32 contentHash)
        internal
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

    /// @notice M-15: the vault's balance covers everything it owes.
    function assertSolvent() internal view {
        (uint256 staked, uint256 unbonding, uint256 credited, uint256 budgets) = vault.liabilities();
        assertGe(
            token.balanceOf(address(vault)), staked + unbonding + credited + budgets, "the vault is solvent"
        );
    }
}
