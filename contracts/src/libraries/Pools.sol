// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FixedPointMathLib as Math} from "solady/src/utils/FixedPointMathLib.sol";

import {Role} from "../interfaces/IVault.sol";
import {Trace} from "./Checkpoints.sol";
import {Delegation} from "./Delegation.sol";

/// @notice A pool's stake from epoch `since` on. One word.
/// @param shares delegated stake in shares; a share is worth the pool's factor (M-12).
/// @param moved whether `shares` changed with this stage, so that positions may begin or end where it begins.
/// @param slashed whether delegated stake was ever slashed: else a share is worth 1 and no factor is read.
struct Stage {
    uint96 direct;
    uint96 shares;
    uint32 since;
    Role role;
    bool moved;
    bool slashed;
}

/// @notice A request to unbond. One word.
/// @param amount what is paid at most; @param shares what the amount is in shares, 0 if it is the operator's own.
struct Request {
    uint96 amount;
    uint96 shares;
    uint32 releaseEpoch;
}

/// @notice A delegator's part of a pool, and its requests; of the operator itself there are only requests.
/// @param shares from epoch `since` on; @param previous shares before it.
/// @param flight the epoch that was drawn and not credited when the shares changed last; 0 if there was none.
/// @param index reward per share up to which `owed` is complete.
/// @param head, tail requests paid out, and made; both begin at 0 again when all are paid out.
/// @param deep whether `older` counts: the shares changed twice while the epoch `olderFlight` was in flight.
/// @param passed whether `index` lies behind the last change of the shares, so that only `shares` count.
struct Position {
    uint96 shares;
    uint96 previous;
    uint32 since;
    uint32 flight;
    uint128 index;
    uint96 owed;
    uint8 head;
    uint8 tail;
    bool deep;
    bool passed;
    uint96 older;
    uint32 olderFlight;
    mapping(uint256 place => Request) requests;
}

/// @notice What a pool was credited. One word.
/// @param operator what the operator may claim.
/// @param pending credit of the delegators that is not in the reward per share yet; @param fresh whether it can be: if
/// not, it is what the last division left.
/// @param last the epoch credited last.
struct Credits {
    uint96 operator;
    uint96 pending;
    uint32 last;
    bool fresh;
}

/// @notice One operator of one task, and those who delegate to it.
/// @param current stake from the epoch of the last change on; @param before, earlier the two stages before it, as far as
/// the epoch drawn last or the current one lies in them.
/// @param perShare reward per share so far, with 64 binary places.
/// @param commission, nextCommission in units of 1e-9; the second applies from `commissionFrom` on.
/// @param factor what a share is worth, in WAD, by epoch; empty unless `slashed`.
/// @param marks one more than the reward per share before the first credit of a later epoch, by epoch: where positions
/// begin and end.
struct Pool {
    Stage current;
    Stage before;
    Stage earlier;
    Credits credits;
    uint128 perShare;
    uint32 commission;
    uint32 nextCommission;
    uint32 commissionFrom;
    Trace factor;
    mapping(uint256 epoch => uint256) marks;
    mapping(address account => Position) positions;
}

/// @title Pools: stakes by epoch, and rewards of delegators, in a constant number of steps
/// @notice Stakes change from the next epoch on, and an epoch is credited after it has ended. Of a task only the epoch
/// that was drawn last can still be credited, and the current one if it is drawn later: epochs in between were never
/// drawn and never will be. So three stages of a stake are all that any rule can still ask for: in the epoch drawn last,
/// in the current one, in the next one. `drawn` below is the epoch drawn last.
library Pools {
    // ------------------------------------------------------------------ stages

    /// @notice The stage in `epoch`: the one drawn last, the current one, or a later one.
    function stageAt(Pool storage pool, uint256 epoch) internal view returns (Stage memory stage) {
        stage = pool.current;
        if (epoch >= stage.since) return stage;
        stage = pool.before;
        if (epoch >= stage.since) return stage;
        return pool.earlier;
    }

    /// @notice The stage from the next epoch on, to be changed and stored as `pool.current`; what it was until then is
    /// kept.
    function next(Pool storage pool, uint32 epoch, uint32 drawn) internal returns (Stage memory stage) {
        stage = pool.current;
        if (stage.since == epoch + 1) return stage;
        if (stage.since != 0) _keep(pool, stage, drawn);
        stage.since = epoch + 1;
        stage.moved = false;
    }

    function _keep(Pool storage pool, Stage memory current, uint32 drawn) private {
        Stage memory before = pool.before;
        if (before.since != 0) {
            Credits memory credits = pool.credits;
            // The shares that `pending` belongs to may be forgotten below.
            if (credits.fresh && credits.last < current.since) {
                _fold(pool, credits, before.shares);
                pool.credits = credits;
            }
            bool needed = drawn >= before.since && drawn < current.since;
            _markIfMissing(pool, needed ? pool.earlier : before, credits.last);
            if (needed) pool.earlier = before;
        }
        pool.before = current;
    }

    // ------------------------------------------------------------------ credits

    /// @notice Credits `toOperator`, and `toDelegators` to those who held `shares` in `epoch`, which comes after all
    /// epochs credited before. Both are part of what the vault holds, so that sums stay below 2^96.
    function credit(Pool storage pool, uint32 epoch, uint256 shares, uint256 toOperator, uint256 toDelegators)
        internal
    {
        Credits memory credits = pool.credits;
        credits.operator += uint96(toOperator);
        if (toDelegators != 0) _creditDelegators(pool, credits, epoch, shares, toDelegators);
        pool.credits = credits;
    }

    function _creditDelegators(
        Pool storage pool,
        Credits memory credits,
        uint32 epoch,
        uint256 shares,
        uint256 amount
    ) private {
        uint32 since = pool.current.since;
        if (credits.last < since) {
            if (credits.fresh) _fold(pool, credits, pool.before.shares);
            _markPassed(pool, pool.earlier, credits.last, epoch);
            _markPassed(pool, pool.before, credits.last, epoch);
            _markPassed(pool, pool.current, credits.last, epoch);
        }
        credits.pending += uint96(amount);
        (credits.last, credits.fresh) = (epoch, true);
        if (epoch < since) {
            _fold(pool, credits, shares);
            pool.marks[epoch] = uint256(pool.perShare) + 1;
        }
    }

    function _fold(Pool storage pool, Credits memory credits, uint256 shares) private {
        (uint256 perShare, uint256 rest) = Delegation.fold(pool.perShare, credits.pending, shares);
        pool.perShare = uint128(perShare);
        (credits.pending, credits.fresh) = (uint96(rest), false);
    }

    /// @dev Marks the beginning of a stage that the epoch to be credited is the first to have passed.
    function _markPassed(Pool storage pool, Stage memory stage, uint32 last, uint32 epoch) private {
        if (stage.since <= epoch) _markIfMissing(pool, stage, last);
    }

    /// @dev Marks the beginning of a stage, unless a credit has: since then nothing can have been credited.
    function _markIfMissing(Pool storage pool, Stage memory stage, uint32 last) private {
        if (!stage.moved || last >= stage.since || pool.marks[stage.since - 1] != 0) return;
        pool.marks[stage.since - 1] = uint256(pool.perShare) + 1;
    }

    /// @notice Reward per share, with what is pending.
    function perShareNow(Pool storage pool, Credits memory credits) internal view returns (uint256 perShare) {
        perShare = pool.perShare;
        if (!credits.fresh) return perShare;
        Stage memory current = pool.current;
        uint256 shares = credits.last >= current.since ? current.shares : pool.before.shares;
        (perShare,) = Delegation.fold(perShare, credits.pending, shares);
    }

    // ------------------------------------------------------------------ positions

    /// @notice What a position is owed by all credits so far, the reward per share up to which that is, and whether that
    /// lies behind the last change of its shares.
    function accrued(Pool storage pool, Position storage position, uint32 drawn)
        internal
        view
        returns (uint256 owed, uint256 index, bool passed)
    {
        (owed, index, passed) = (position.owed, position.index, position.passed);
        uint32 since = position.since;
        if (since == 0) return (owed, index, passed);
        Credits memory credits = pool.credits;
        uint256 perShare = perShareNow(pool, credits);
        // Who does not pass has risen to the reward per share of now, from which nothing rises further.
        if (!passed) (owed, index, passed) = _pass(pool, position, credits.last, drawn, perShare);
        (owed, index) = _rise(owed, index, perShare, position.shares);
    }

    /// @dev Brings a position up to the last change of its shares, or as near to it as the credits are.
    function _pass(Pool storage pool, Position storage position, uint32 last, uint32 drawn, uint256 perShare)
        private
        view
        returns (uint256 owed, uint256 index, bool passed)
    {
        (owed, index) = (position.owed, position.index);
        uint32 since = position.since;
        if (position.deep) {
            // What is credited next belongs to the oldest shares; nothing has been since they were brought up to date.
            if (position.olderFlight == drawn && last < drawn) return (owed, index, false);
            (owed, index) = _rise(owed, index, _mark(pool, position.olderFlight, 0), position.older);
        }
        // An epoch before `since` that was drawn may still be credited; then all credits so far are of earlier ones.
        bool awaiting = drawn < since && last < drawn;
        uint256 mark = pool.marks[since - 1];
        if (awaiting || (last < since && mark == 0)) {
            (owed, index) = _rise(owed, index, perShare, position.previous);
            return (owed, index, false);
        }
        // A beginning that nobody marked cannot be; were there one, `previous` would count until now.
        uint256 boundary = _mark(pool, position.flight, mark == 0 ? perShare : mark - 1);
        (owed, index) = _rise(owed, index, boundary, position.previous);
        return (owed, index, true);
    }

    /// @notice Takes what a position is owed.
    function take(Pool storage pool, Position storage position, uint32 drawn)
        internal
        returns (uint256 owed)
    {
        uint256 index;
        bool passed;
        (owed, index, passed) = accrued(pool, position, drawn);
        (position.owed, position.index, position.passed) = (0, uint128(index), passed);
    }

    /// @notice Changes a position's shares from the next epoch on.
    function move(Pool storage pool, Position storage position, uint32 epoch, uint32 drawn, uint96 shares)
        internal
    {
        uint32 since = position.since;
        if (since == epoch + 1) {
            position.shares = shares;
            return;
        }
        // Whether the epoch drawn last may still be credited.
        bool inFlight = pool.credits.last < drawn;
        if (since != 0) {
            (uint256 owed, uint256 index, bool passed) = accrued(pool, position, drawn);
            bool deep = position.deep && position.olderFlight == drawn && inFlight;
            if (!passed && !deep && drawn < since && inFlight) {
                (position.older, position.olderFlight) = (position.previous, drawn);
                deep = true;
            }
            (position.owed, position.index, position.deep, position.passed) =
            (uint96(owed), uint128(index), deep, false);
        }
        position.previous = position.shares;
        position.shares = shares;
        position.since = epoch + 1;
        position.flight = inFlight ? drawn : 0;
    }

    /// @dev The mark of an epoch, if it is higher than `least`.
    function _mark(Pool storage pool, uint256 epoch, uint256 least) private view returns (uint256) {
        if (epoch == 0) return least;
        return Math.max(pool.marks[epoch], least + 1) - 1;
    }

    /// @dev Raises an index to `to`; an index beyond it stays.
    function _rise(uint256 owed, uint256 index, uint256 to, uint256 shares)
        private
        pure
        returns (uint256, uint256)
    {
        if (to <= index) return (owed, index);
        return (owed + Delegation.accrued(shares, index, to), to);
    }
}
