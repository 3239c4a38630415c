// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Role} from "../src/interfaces/IVault.sol";
import {TestBase} from "./TestBase.sol";
import {Handler} from "./base/Handler.sol";

/// @notice M-15 after any history: the vault holds exactly what it owes, and owes what the ghost ledger says. Inside the
/// handler, each settled epoch's payments are compared with the referee's.
contract InvariantsTest is TestBase {
    Handler private handler;

    function setUp() public {
        handler = new Handler();
        handler.setUp();
        bytes4[] memory selectors = new bytes4[](11);
        selectors[0] = Handler.stake.selector;
        selectors[1] = Handler.unstake.selector;
        selectors[2] = Handler.delegate.selector;
        selectors[3] = Handler.undelegate.selector;
        selectors[4] = Handler.withdraw.selector;
        selectors[5] = Handler.claim.selector;
        selectors[6] = Handler.fund.selector;
        selectors[7] = Handler.setCommission.selector;
        selectors[8] = Handler.withdrawSubmission.selector;
        selectors[9] = Handler.evict.selector;
        selectors[10] = Handler.settleSome.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector({addr: address(handler), selectors: selectors}));
    }

    /// @dev One invariant, because each one costs a campaign of its own.
    function invariant_MoneyIsConserved() public view {
        checkTheVaultHoldsExactlyWhatItOwes();
        checkEveryLiabilityIsSomebodys();
        checkTotalsAreThoseOfTheEligible();
    }

    /// @dev Shows that the runs get far: each settles several epochs.
    function afterInvariant() public view {
        assertGt(handler.epochsSettled(), 1, "epochs settled");
    }

    function checkTheVaultHoldsExactlyWhatItOwes() private view {
        (uint256 staked, uint256 unbonding, uint256 credited, uint256 budgets) = handler.liabilities();
        assertEq(handler.held(), staked + unbonding + credited + budgets, "balance and liabilities");
        assertEq(handler.held(), handler.deposited() - handler.taken(), "balance and ghost ledger");
    }

    function checkEveryLiabilityIsSomebodys() private view {
        (uint256 staked, uint256 unbonding, uint256 credited, uint256 budgets) = handler.liabilities();
        (uint256 ghostStaked, uint256 ghostUnbonding, uint256 claimable) = handler.sums();
        assertEq(staked, ghostStaked, "stakes");
        assertEq(unbonding, ghostUnbonding, "unbonding");
        assertEq(budgets, handler.unspent() + handler.openBudget(), "budgets");
        assertGe(credited, claimable, "rewards");
        // What is credited and claimable by nobody is the dust of roundings, of which each call makes a few at most.
        assertLe(credited - claimable, 5000, "dust");
    }

    function checkTotalsAreThoseOfTheEligible() private view {
        for (uint256 i = 1; i < 3; ++i) {
            (uint256 ghost, uint256 direct, uint256 delegated) = handler.totals(Role(i));
            assertEq(direct + delegated, ghost, "sum over eligible operators");
        }
    }
}
