// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {FixedPointMathLib as Math} from "solady/src/utils/FixedPointMathLib.sol";

import {EmissionConfig, IEmission} from "./interfaces/IEmission.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Rewards} from "./libraries/Rewards.sol";

/// @title Emission
/// @notice Implements `IEmission`, which documents every function.
contract Emission is IEmission, Ownable2Step {
    using SafeCast for uint256;

    uint256 private constant WAD = 1e18;
    /// @dev Bounds the one loop over tasks, which the first seed of an epoch pays for.
    uint256 private constant MAX_ADMITTED = 32;

    struct Admission {
        uint32 fromEpoch;
        uint32 untilEpoch;
    }

    /// @dev What all admitted tasks share in `epoch`, fixed when its first seed is drawn.
    struct Share {
        uint32 epoch;
        uint96 amount;
        uint128 totalStake;
    }

    address private immutable vault;
    address private immutable initialOwner;
    uint96 private immutable initial;
    uint64 private immutable decayWad;
    uint32 private immutable period;

    Share private share;
    uint256[] private list;
    mapping(uint256 task => Admission) public admissionOf;

    constructor(EmissionConfig memory c) Ownable(msg.sender) {
        if (c.vault == address(0)) revert BadDeployment("vault is zero");
        if (c.decayWad == 0 || c.decayWad > WAD) revert BadDeployment("decay");
        if (c.period == 0) revert BadDeployment("period is zero");
        vault = c.vault;
        initialOwner = c.owner;
        initial = c.initial;
        decayWad = c.decayWad;
        period = c.period;
        _transferOwnership(c.owner);
    }

    // ------------------------------------------------------------------ for the owner

    /// @inheritdoc IEmission
    function admit(uint256 task) external onlyOwner {
        if (IVault(vault).termsOf(task).creator == address(0)) revert UnknownTask(task);
        uint32 epoch = IVault(vault).currentEpoch();
        if (admissionOf[task].untilEpoch > epoch) revert AlreadyAdmitted(task);
        _forget(epoch);
        if (list.length == MAX_ADMITTED) revert TooManyAdmitted(MAX_ADMITTED);
        list.push(task);
        admissionOf[task] = Admission({fromEpoch: epoch + 2, untilEpoch: type(uint32).max});
        emit Admitted(task, epoch + 2);
    }

    /// @inheritdoc IEmission
    function dismiss(uint256 task) external onlyOwner {
        if (admissionOf[task].untilEpoch != type(uint32).max) revert NotAdmitted(task);
        uint32 untilEpoch = IVault(vault).currentEpoch() + 2;
        admissionOf[task].untilEpoch = untilEpoch;
        emit Dismissed(task, untilEpoch);
    }

    /// @inheritdoc IEmission
    function setFee(uint64 feeWad, address treasury) external onlyOwner {
        IVault(vault).setFee(feeWad, treasury);
    }

    // ------------------------------------------------------------------ for the vault

    /// @inheritdoc IEmission
    function draw(uint256 task) external returns (uint256 amount) {
        if (msg.sender != vault) revert NotVault(msg.sender);
        uint32 epoch = IVault(vault).currentEpoch();
        if (!_admits(task, epoch)) return 0;
        if (share.epoch != epoch) _fix(epoch);
        return Rewards.proportional(share.amount, IVault(vault).effectiveStakeOf(task), share.totalStake);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IEmission
    function config() external view returns (EmissionConfig memory) {
        return EmissionConfig({
            vault: vault, owner: initialOwner, initial: initial, decayWad: decayWad, period: period
        });
    }

    /// @inheritdoc IEmission
    function rateAt(uint256 epoch) public view returns (uint256) {
        return Rewards.emission(initial, decayWad, period, epoch);
    }

    /// @inheritdoc IEmission
    function admitted() external view returns (uint256[] memory) {
        return list;
    }

    // ------------------------------------------------------------------ the list

    function _admits(uint256 task, uint32 epoch) private view returns (bool) {
        return epoch >= admissionOf[task].fromEpoch && epoch < admissionOf[task].untilEpoch;
    }

    /// @dev The stakes that count in an epoch are fixed before it, so that it does not matter which task draws first.
    function _fix(uint32 epoch) private {
        uint256 amount = Math.min(rateAt(epoch), IVault(vault).reserve());
        uint256 totalStake = 0;
        for (uint256 i = 0; i < list.length; ++i) {
            if (_admits(list[i], epoch)) totalStake += IVault(vault).effectiveStakeOf(list[i]);
        }
        share = Share({epoch: epoch, amount: amount.toUint96(), totalStake: totalStake.toUint128()});
        emit EmissionFixed(epoch, amount, totalStake);
    }

    /// @dev Makes room: tasks that are dismissed or over take no part any more.
    function _forget(uint32 epoch) private {
        uint256 i = 0;
        while (i < list.length) {
            Admission storage admission = admissionOf[list[i]];
            bool over = IVault(vault).termsOf(list[i]).lastEpoch < epoch;
            if (!over && admission.untilEpoch > epoch) {
                ++i;
                continue;
            }
            if (admission.untilEpoch > epoch) admission.untilEpoch = epoch;
            list[i] = list[list.length - 1];
            list.pop();
        }
    }
}
