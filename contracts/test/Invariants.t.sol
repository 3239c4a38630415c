// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {TestBase} from "./TestBase.sol";
import {Handler} from "./base/Handler.sol";

/// @notice The whole system after any history. All invariants share one campaign, because Forge plays a campaign for each
/// invariant function: the calls of one serve them all. After each call the handler checks that the vault holds what it owes,
/// to the unit. Who has which part of it takes a loop over all accounts, as long as dozens of calls: it is looked at after each
/// 64 calls, eight times in a run, and at its end.
contract InvariantsTest is TestBase {
    Handler private handler;

    function setUp() public {
        handler = new Handler();
        handler.setUp();
        bytes4[] memory selectors = new bytes4[](15);
        selectors[0] = Handler.stake.selector;
        selectors[1] = Handler.unstake.selector;
        selectors[2] = Handler.delegate.selector;
        selectors[3] = Handler.undelegate.selector;
        selectors[4] = Handler.withdraw.selector;
        selectors[5] = Handler.claim.selector;
        selectors[6] = Handler.fund.selector;
        selectors[7] = Handler.emit_.selector;
        selectors[8] = Handler.setCommission.selector;
        selectors[9] = Handler.collect.selector;
        selectors[10] = Handler.moveTasks.selector;
        selectors[11] = Handler.changeList.selector;
        selectors[12] = Handler.report.selector;
        selectors[13] = Handler.settleSome.selector;
        selectors[14] = Handler.batchMoves.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector({addr: address(handler), selectors: selectors}));
    }

    /// forge-config: default.invariant.runs = 256
    /// forge-config: default.invariant.depth = 512
    /// forge-config: default.invariant.check-interval = 64
    /// forge-config: default.invariant.shrink-run-limit = 64
    /// forge-config: default.invariant.include-storage = false
    /// forge-config: default.invariant.include-push-bytes = false
    /// forge-config: deep.invariant.runs = 2048
    /// forge-config: deep.invariant.depth = 512
    /// forge-config: deep.invariant.check-interval = 64
    /// forge-config: mutants.invariant.runs = 4
    /// forge-config: mutants.invariant.depth = 128
    function invariant_MoneyIsConserved() public view {
        handler.check();
    }

    /// @dev Everyone can always leave, and then nothing is left. Shows as well that the runs get far.
    function afterInvariant() public {
        handler.check();
        handler.goHome();
        uint256 fullRuns = handler.calls() / 512;
        assertGe(handler.epochsSettled(), fullRuns, "epochs settled");
        assertGe(handler.relayed(), fullRuns, "signatures used, and tried again");
        if (handler.callsBack()) assertGe(handler.turnedAway(), fullRuns, "tokens called back");
    }
}
