// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @notice The least of an ERC-20 that the vault uses. Everybody may spend everything: the tests need no allowance.
abstract contract BareToken {
    mapping(address account => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external virtual returns (bool) {
        return move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external virtual returns (bool) {
        return move(from, to, amount);
    }

    function move(address from, address to, uint256 amount) internal returns (bool) {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}

/// @notice Keeps one base unit of every transfer.
contract FeeToken is BareToken {
    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        move(from, address(this), 1);
        return move(from, to, amount - 1);
    }
}

/// @notice Delivers one base unit too many.
contract GenerousToken is BareToken {
    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        balanceOf[to] += 1;
        return move(from, to, amount);
    }
}

/// @notice Refuses by returning false.
contract RefusingToken is BareToken {
    function transferFrom(address, address, uint256) external pure override returns (bool) {
        return false;
    }
}

/// @notice Calls back while it transfers, as a token with hooks would.
contract ReentrantToken is BareToken {
    address private target;
    bytes private call;

    function arm(address target_, bytes calldata call_) external {
        target = target_;
        call = call_;
    }

    function transfer(address to, uint256 amount) external override returns (bool) {
        callBack();
        return move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        callBack();
        return move(from, to, amount);
    }

    function callBack() private {
        if (target == address(0)) return;
        (bool ok, bytes memory reason) = target.call(call);
        if (ok) return;
        assembly ("memory-safe") {
            revert(add(reason, 32), mload(reason))
        }
    }
}
