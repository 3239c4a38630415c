// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Assignment} from "../src/libraries/Assignment.sol";
import {TestBase} from "./TestBase.sol";
import {LibraryHarness} from "./harness/LibraryHarness.sol";

/// @notice The libraries against the golden vectors that their twins in Rust wrote.
/// @dev Not called `.t.sol`: files of that name are compiled without the IR pipeline, and so would be the harness that this
/// one imports. The committed bytecode of the harness must stay the only one.
contract LibrariesTest is TestBase {
    LibraryHarness private harness;
    string private json;

    function setUp() public {
        harness = new LibraryHarness();
    }

    function test_libraries_match_their_vectors() public {
        json = vm.readFile("../vectors/libraries.json");
        for (uint256 i = 0; i < vm.parseJsonUint(json, ".count"); ++i) {
            string memory path = string.concat(".functions[", vm.toString(i), "]");
            string memory signature = vm.parseJsonString(json, string.concat(path, ".signature"));
            uint256 arity = vm.parseJsonUint(json, string.concat(path, ".arguments"));
            uint256 results = vm.parseJsonUint(json, string.concat(path, ".results"));
            bytes32[] memory words = vm.parseJsonBytes32Array(json, string.concat(path, ".words"));
            assertTrue(words.length >= 16 * (arity + results), signature);
            for (uint256 row = 0; row < words.length; row += arity + results) {
                bytes memory call =
                    bytes.concat(bytes4(keccak256(bytes(signature))), _slice(words, row, arity));
                (bool success, bytes memory answer) = address(harness).staticcall(call);
                assertTrue(success, signature);
                assertEq(answer, _slice(words, row + arity, results));
            }
        }
    }

    function test_sheets_match_their_vectors() public {
        json = vm.readFile("../vectors/sheets.json");
        for (uint256 i = 0; i < vm.parseJsonUint(json, ".count"); ++i) {
            string memory path = string.concat(".sheets[", vm.toString(i), "]");
            bytes32[] memory words = vm.parseJsonBytes32Array(json, string.concat(path, ".words"));
            bytes32 commitment = harness.scoresCommitment(
                uint256(words[0]),
                address(uint160(uint256(words[1]))),
                uint256(words[2]),
                uint256(words[3]),
                address(uint160(uint256(words[4]))),
                words[5],
                words[6],
                vm.parseJsonBytes(json, string.concat(path, ".scores"))
            );
            assertEq(commitment, vm.parseJsonBytes32(json, string.concat(path, ".commitment")));
        }
    }

    function testFuzz_assignment_is_a_permutation(bytes32 key, uint256 n) public view {
        n = bound(n, 1, 300);
        uint256[] memory seen = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            uint256 place = harness.assignmentImage(key, n, i);
            assertLt(place, n);
            assertEq(seen[place]++, 0);
            assertEq(harness.assignmentPreimage(key, n, place), i);
        }
    }

    function testFuzz_a_grid_is_the_least_rectangle_around_its_list(uint256 n) public view {
        n = bound(n, 1, type(uint32).max);
        (uint256 a, uint256 b) = harness.assignmentGrid(n);
        assertGe(a * a, n);
        assertLt((a - 1) * (a - 1), n);
        assertGe(a * b, n);
        assertLt(a * (b - 1), n);
    }

    function test_no_place_is_on_an_empty_list() public {
        (uint256 a, uint256 b) = harness.assignmentGrid(0);
        assertEq(a + b, 0);
        bytes memory outOfRange = abi.encodeWithSelector(Assignment.IndexOutOfRange.selector, 0, 0);
        vm.expectRevert(outOfRange);
        harness.assignmentImage(0, 0, 0);
        vm.expectRevert(outOfRange);
        harness.assignmentPreimage(0, 0, 0);
    }

    function test_a_count_has_no_overflow_and_no_division_by_zero() public view {
        assertEq(harness.assignmentCount(1, 1, 1, 0), 0);
        uint256 n = type(uint128).max;
        assertEq(harness.assignmentCount(1, n, 2 * n + 1, 2 * n + 1), n);
        assertEq(harness.assignmentCount(1, n, 1 << 255, 1 << 255), n);
        // Products of more than 256 bits.
        assertEq(harness.assignmentCount(3, n / 2 + 1, n, n), n / 2 + 1);
        assertEq(harness.assignmentCount(4, n + 1, n, 1 << 200), 1 << 58);
    }

    function test_an_integral_over_nothing_or_all_asks_for_no_phi() public view {
        assertEq(harness.integralWad(0, 0), 0);
        assertEq(harness.integralWad(1e18, 0), 1e18);
    }

    function test_the_least_exponent_is_not_none() public view {
        assertEq(harness.stakePower(1, 0), 1e18);
        assertEq(harness.stakePower(1, 1), 1e18 - 41);
    }

    function test_scores_that_are_legal() public view {
        assertTrue(harness.isLegal(0));
        assertTrue(harness.isLegal(1_000_000_000));
        assertFalse(harness.isLegal(1_000_000_001));
        assertFalse(harness.isLegal(type(uint32).max - 1));
        assertTrue(harness.isLegal(type(uint32).max));
        assertFalse(harness.isLegal(uint256(type(uint32).max) + 1));
    }

    function test_a_quorum_is_a_third_and_some_weight() public view {
        assertFalse(harness.hasQuorum(0, 0));
        assertTrue(harness.hasQuorum(1, 0));
        assertTrue(harness.hasQuorum(1, 3));
        assertFalse(harness.hasQuorum(1, 4));
        assertTrue(harness.hasQuorum(5, 15));
        assertFalse(harness.hasQuorum(5, 16));
    }

    function test_a_median_reaches_half_and_what_is_below_does_not() public view {
        assertTrue(harness.isLowerMedian(0, 0, 1, 1));
        assertTrue(harness.isLowerMedian(1_000_000_000, 0, 1, 1));
        assertFalse(harness.isLowerMedian(1_000_000_001, 0, 1, 1));
        assertTrue(harness.isLowerMedian(5, 0, 1, 2));
        assertFalse(harness.isLowerMedian(5, 1, 2, 2));
        assertFalse(harness.isLowerMedian(5, 0, 1, 3));
        assertTrue(harness.isLowerMedian(5, 1, 2, 3));
        assertFalse(harness.isLowerMedian(5, 2, 3, 3));
        assertFalse(harness.isLowerMedian(5, 0, 0, 0));
    }

    function test_emission_decays_by_periods() public view {
        uint256 half = 0.5e18;
        assertEq(harness.emission(1000, half, 10, 0), 0);
        assertEq(harness.emission(1000, half, 10, 1), 1000);
        assertEq(harness.emission(1000, half, 10, 10), 1000);
        assertEq(harness.emission(1000, half, 10, 11), 500);
        assertEq(harness.emission(1000, half, 10, 31), 125);
        assertEq(harness.emission(1000, 1e18, 1, type(uint32).max), 1000);
    }

    function testFuzz_delegators_never_get_more_than_was_pending(
        uint256 perShare,
        uint256 pending,
        uint256 own,
        uint256 others
    ) public view {
        perShare = bound(perShare, 0, type(uint128).max);
        pending = bound(pending, 0, type(uint96).max);
        own = bound(own, 0, type(uint96).max);
        others = bound(others, 0, type(uint96).max - own);
        (uint256 risen, uint256 rest) = harness.fold(perShare, pending, own + others);
        assertLe(risen, type(uint128).max);
        assertLe(perShare, risen);
        uint256 owed = harness.accrued(own, perShare, risen) + harness.accrued(others, perShare, risen);
        assertLe(owed + rest, pending);
        // Nothing is lost but what two roundings leave.
        assertGe(owed + rest + 2, pending);
    }

    function testFuzz_a_loss_covers_the_rest_up_to_its_fraction(
        uint256 rest,
        uint256 active,
        uint256 fraction
    ) public view {
        rest = bound(rest, 0, type(uint96).max);
        active = bound(active, 0, type(uint96).max);
        fraction = bound(fraction, 0, 1e18);
        uint256 loss = harness.lossWad(rest, active, fraction);
        assertLe(loss, fraction);
        if (rest == 0) assertEq(loss, 0);
        else if (loss < fraction) assertGe(loss * active, rest * 1e18);
    }

    function testFuzz_shares_never_gain_by_a_round_trip(uint256 amount, uint256 factor) public view {
        amount = bound(amount, 0, type(uint96).max);
        factor = bound(factor, 1, 1e18);
        assertLe(harness.worth(harness.sharesFor(amount, factor), factor), amount);
        assertGe(harness.worth(harness.sharesOf(amount, factor), factor), amount);
    }

    function testFuzz_integral_boundaries_rise_to_the_budget(
        uint256 budget,
        uint256 total,
        uint256 a,
        uint256 b,
        uint256 phi
    ) public view {
        budget = bound(budget, 0, type(uint96).max);
        total = bound(total, 1, type(uint96).max);
        a = bound(a, 0, total);
        b = bound(b, a, total);
        phi = bound(phi, 0.05e18, 10e18);
        uint256 lower = harness.integralCumulative(budget, a, total, phi);
        uint256 upper = harness.integralCumulative(budget, b, total, phi);
        assertLe(lower, upper);
        assertLe(upper, budget);
        assertEq(harness.integralCumulative(budget, total, total, phi), budget);
    }

    function testFuzz_operator_share_is_within_the_reward(uint256 with_, uint256 without, uint256 sigma)
        public
        view
    {
        with_ = bound(with_, 0, type(uint96).max);
        without = bound(without, 0, type(uint96).max);
        sigma = bound(sigma, 0, 1e18);
        uint256 share = harness.operatorShare(with_, without, sigma);
        assertLe(share, with_);
        assertGe(share, with_ < without ? with_ : without);
    }

    function testFuzz_what_is_unpaid_returns(uint256 emission, uint256 bounty, uint256 paid) public view {
        emission = bound(emission, 0, type(uint96).max);
        bounty = bound(bounty, 0, type(uint96).max);
        paid = bound(paid, 0, emission + bounty);
        (uint256 toReserve, uint256 toBounty) = harness.returnUnpaid(emission, bounty, paid);
        assertEq(toReserve + toBounty + paid, emission + bounty);
        assertLe(toReserve, emission);
        assertLe(toBounty, bounty);
    }

    function _slice(bytes32[] memory words, uint256 from, uint256 count)
        private
        pure
        returns (bytes memory slice)
    {
        for (uint256 i = from; i < from + count; ++i) {
            slice = bytes.concat(slice, words[i]);
        }
    }
}
