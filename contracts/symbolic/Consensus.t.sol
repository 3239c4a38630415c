// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Consensus} from "../src/libraries/Consensus.sol";
import {Symbolic} from "./Symbolic.sol";

/// @notice Of few scores with small weights there is a lower median, and only one.
contract ConsensusProofs is Symbolic {
    uint256 private constant SMALL = 1 << 8;

    struct Score {
        uint256 value;
        uint256 weight;
    }

    /// @dev One of three scores is a median.
    function check_ThreeScoresHaveAMedian(uint256 a, uint256 b, uint256 c, uint256 u, uint256 v, uint256 w)
        external
        pure
    {
        Score[] memory scores = new Score[](3);
        (scores[0], scores[1], scores[2]) = (_score(a, u), _score(b, v), _score(c, w));
        assert(_isMedian(scores, a) || _isMedian(scores, b) || _isMedian(scores, c));
    }

    /// @dev Two scores of three that both are a median are equal. Which two makes no difference.
    function check_ThreeScoresHaveOneMedian(uint256 a, uint256 b, uint256 c, uint256 u, uint256 v, uint256 w)
        external
        pure
    {
        Score[] memory scores = new Score[](3);
        (scores[0], scores[1], scores[2]) = (_score(a, u), _score(b, v), _score(c, w));
        if (_isMedian(scores, a) && _isMedian(scores, b)) assert(a == b);
    }

    function check_FourScoresHaveOneMedian(
        uint256[4] calldata values,
        uint256 t,
        uint256 u,
        uint256 v,
        uint256 w
    ) external pure {
        Score[] memory scores = new Score[](4);
        (scores[0], scores[1]) = (_score(values[0], t), _score(values[1], u));
        (scores[2], scores[3]) = (_score(values[2], v), _score(values[3], w));
        if (_isMedian(scores, values[0]) && _isMedian(scores, values[1])) assert(values[0] == values[1]);
    }

    function _score(uint256 value, uint256 weight) private pure returns (Score memory) {
        assume(value < SMALL);
        assume(weight < SMALL);
        assume(weight != 0);
        return Score(value, weight);
    }

    /// @dev Sums without a branch, so that the proof need not try each order of the scores.
    function _isMedian(Score[] memory scores, uint256 candidate) private pure returns (bool) {
        (uint256 below, uint256 atOrBelow, uint256 total) = (0, 0, 0);
        for (uint256 i = 0; i < scores.length; ++i) {
            (uint256 value, uint256 weight) = (scores[i].value, scores[i].weight);
            assembly ("memory-safe") {
                below := add(below, mul(weight, lt(value, candidate)))
                atOrBelow := add(atOrBelow, mul(weight, iszero(gt(value, candidate))))
                total := add(total, weight)
            }
        }
        return Consensus.isLowerMedian(candidate, below, atOrBelow, total);
    }
}
