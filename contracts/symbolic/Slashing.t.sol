// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Slashing} from "../src/libraries/Slashing.sol";
import {Symbolic} from "./Symbolic.sol";

contract SlashingProofs is Symbolic {
    function check_Penalty(uint256 stake, uint256 fraction) external pure {
        assume(stake < AMOUNTS && fraction <= WAD);
        assert(Slashing.penalty(stake, fraction) <= stake);
    }

    function check_ALossIsNoMoreThanTheFraction(uint256 rest, uint256 active, uint256 fraction)
        external
        pure
    {
        assume(rest < AMOUNTS);
        assume(active < AMOUNTS);
        assume(fraction <= WAD);
        assert(Slashing.lossWad(rest, active, fraction) <= fraction);
    }

    function check_Reduced(uint256 shares, uint256 factor, uint256 loss) external pure {
        assume(shares < AMOUNTS && factor <= WAD && loss <= WAD);
        uint256 reduced = Slashing.reduced(factor, loss);
        assert(reduced <= factor);
        if (loss == 0) assert(reduced == factor);
        if (loss == WAD) assert(reduced == 0);
    }

    /// @dev No deposit is taken at a lower factor.
    function check_DepositGainsNothing(uint256 amount, uint256 factor) external pure {
        assume(amount < AMOUNTS);
        assume(factor >= 1e12);
        assume(factor <= WAD);
        assert(Slashing.worth(Slashing.sharesFor(amount, factor), factor) <= amount);
    }

    /// @dev Of shares that somebody can hold.
    function check_WithdrawalIsCovered(uint256 amount, uint256 factor) external pure {
        assume(amount < AMOUNTS);
        assume(factor != 0);
        assume(factor <= WAD);
        uint256 shares = Slashing.sharesOf(amount, factor);
        assume(shares < AMOUNTS);
        assert(Slashing.worth(shares, factor) >= amount);
    }

    /// @dev Any part of what shares are worth is taken out.
    function check_SharesCoverTheirWorth(uint256 shares, uint256 part, uint256 factor) external pure {
        assume(shares < AMOUNTS);
        assume(factor != 0);
        assume(factor <= WAD);
        assume(part <= Slashing.worth(shares, factor));
        assert(Slashing.sharesOf(part, factor) <= shares);
    }

    /// @dev All that a deposit is worth is taken out again.
    function check_RoundTrip(uint256 amount, uint256 factor) external pure {
        assume(amount < AMOUNTS);
        assume(factor >= 1e12);
        assume(factor <= WAD);
        uint256 shares = Slashing.sharesFor(amount, factor);
        uint256 back = Slashing.worth(shares, factor);
        assert(back <= amount);
        assert(Slashing.sharesOf(back, factor) <= shares);
    }

    /// @dev What a withdrawal pays is deposited again.
    function check_RoundTripTheOtherWay(uint256 amount, uint256 factor) external pure {
        assume(amount < AMOUNTS);
        assume(factor >= 1e12);
        assume(factor <= WAD);
        assert(Slashing.sharesFor(amount, factor) <= Slashing.sharesOf(amount, factor));
    }
}
