// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Role} from "../../src/interfaces/IVault.sol";
import {BareToken} from "../base/HostileTokens.sol";
import {VaultFixture} from "../base/VaultFixture.sol";

/// @notice The cheatcodes for measuring.
interface Meter {
    /// @notice Makes all of an account cold again, as at the start of a transaction.
    function cool(address target) external;
    function pauseGasMetering() external;
    function resumeGasMetering() external;
}

/// @notice Attacks with crowds of dust: nobody else's calls may become dearer.
contract VaultSpamAttacksTest is VaultFixture {
    uint256 private constant CROWD = 10_000;
    uint256 private constant SPAM_REQUESTS = 1000;

    BareToken private bare;

    struct Costs {
        uint256 delegate;
        uint256 undelegate;
        uint256 credit;
        uint256 claim;
        uint256 withdraw;
        uint256 stake;
        uint256 slash;
    }

    function setUp() public override {
        super.setUp();
        // Without allowances, so that the crowd is quickly made.
        bare = new BareToken();
        (vault, emission) = deployFor(address(bare));
        address[5] memory people = [creator, node, validator, alice, bob];
        for (uint256 i = 0; i < people.length; ++i) {
            bare.mint(people[i], WEALTH);
        }
        vault.register(TASK, terms());
        fund(10_000);
        stakeAs(node, Role.Node, 100);
        delegateTo(bob, node, 512 * UNIT);
        delegateTo(alice, node, 512 * UNIT);
        undelegateFrom(alice, node, UNIT);
    }

    function test_attack_ACrowdOfDelegatorsAndRequestsCostsNobodyElse() public {
        uint256 snapshot = vm.snapshotState();
        Costs memory quiet = measure();
        vm.revertToState(snapshot);
        Meter(address(vm)).pauseGasMetering();
        for (uint160 i = 1; i <= CROWD; ++i) {
            address who = address(i << 32);
            bare.mint(who, 1);
            delegateTo(who, node, 1);
            if (i <= SPAM_REQUESTS) undelegateFrom(who, node, 1);
        }
        Meter(address(vm)).resumeGasMetering();
        Costs memory crowded = measure();
        assertNear(quiet.delegate, crowded.delegate, "delegate");
        assertNear(quiet.undelegate, crowded.undelegate, "undelegate");
        assertNear(quiet.credit, crowded.credit, "credit");
        assertNear(quiet.claim, crowded.claim, "claim");
        assertNear(quiet.withdraw, crowded.withdraw, "withdraw");
        assertNear(quiet.stake, crowded.stake, "stake");
        assertNear(quiet.slash, crowded.slash, "slash");
    }

    /// @dev Of each call, as if it were alone in its transaction.
    function measure() private returns (Costs memory c) {
        warpTo(1);
        open();
        c.delegate = gasOf();
        delegateTo(alice, node, UNIT);
        c.delegate -= gasleft();
        c.stake = gasOf();
        stakeAs(node, Role.Node, 1);
        c.stake -= gasleft();
        warpTo(2);
        c.credit = gasOf();
        credit(node, 900, 0);
        c.credit -= gasleft();
        close();
        c.slash = gasOf();
        vault.slash(TASK, node, 5000);
        c.slash -= gasleft();
        warpTo(3);
        c.undelegate = gasOf();
        undelegateFrom(alice, node, UNIT);
        c.undelegate -= gasleft();
        c.claim = gasOf();
        claimAs(alice, node);
        c.claim -= gasleft();
        c.withdraw = gasOf();
        withdrawAs(alice, node);
        c.withdraw -= gasleft();
    }

    function gasOf() private returns (uint256) {
        Meter(address(vm)).cool(address(vault));
        Meter(address(vm)).cool(address(bare));
        return gasleft();
    }

    /// @dev Within 5 %.
    function assertNear(uint256 quiet, uint256 crowded, string memory what) private pure {
        assertGt(quiet, 20_000, what);
        assertLe(crowded * 100, quiet * 105, what);
    }
}
