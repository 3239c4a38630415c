// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {TestBase} from "./TestBase.sol";
import {LibraryHarness} from "./harness/LibraryHarness.sol";

/// @notice The libraries against the golden vectors that their twins in Rust wrote.
/// @dev Not called `.t.sol`: files of that name are compiled without the IR pipeline, and so would be the harness that this
/// one imports. The committed bytecode of the harness must stay the only one.
contract LibrariesTest is TestBase {
    uint256 private constant TREES = 9;

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

    function test_trees_match_their_vectors() public {
        json = vm.readFile("../vectors/trees.json");
        for (uint256 i = 0; i < TREES; ++i) {
            string memory path = string.concat(".trees[", vm.toString(i), "]");
            bytes32[] memory hashes = vm.parseJsonBytes32Array(json, string.concat(path, ".contentHashes"));
            bytes32[] memory leaves = vm.parseJsonBytes32Array(json, string.concat(path, ".leaves"));
            bytes32 root = vm.parseJsonBytes32(json, string.concat(path, ".root"));
            // One score of 1 and one abstention, as in the vectors' writer.
            bytes memory scores = hex"00000001ffffffff";
            assertEq(leaves.length, i + 1);
            for (uint256 chunk = 0; chunk < leaves.length; ++chunk) {
                bytes32[] memory scored = new bytes32[](2);
                (scored[0], scored[1]) = (hashes[2 * chunk], hashes[2 * chunk + 1]);
                assertEq(harness.leaf(chunk, scored, scores), leaves[chunk]);
                string memory proof = string.concat(path, ".proofs[", vm.toString(chunk), "]");
                bytes32[] memory path_ = vm.parseJsonBytes32Array(json, proof);
                assertTrue(harness.proves(path_, root, leaves[chunk], chunk, leaves.length));
            }
        }
    }

    function testFuzz_assignment_is_a_permutation(bytes32 key, uint256 n) public view {
        n = bound(n, 1, 300);
        uint256[] memory seen = new uint256[](n);
        for (uint256 i = 0; i < n; ++i) {
            uint256 place = harness.assignmentImage(key, n, i);
            assertLt(place, n);
            assertEq(seen[place]++, 0);
        }
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
