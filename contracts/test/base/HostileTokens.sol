// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC20, ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @notice The least of an ERC-20 that the vault uses: without decimals, name or allowances. Everybody may spend everything.
contract BareToken {
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

/// @notice Says that it did, and did nothing.
contract LyingToken is BareToken {
    function transferFrom(address, address, uint256) external pure override returns (bool) {
        return true;
    }
}

/// @notice Reverts without a reason.
contract RevertingToken is BareToken {
    function transferFrom(address, address, uint256) external pure override returns (bool) {
        assembly ("memory-safe") {
            revert(0, 0)
        }
    }
}

/// @notice Returns nothing at all, as some old tokens do.
contract SilentToken {
    mapping(address account => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice Its balances can be set: a token that rebases.
contract RebasingToken is BareToken {
    function rebase(address account, uint256 balance) external {
        balanceOf[account] = balance;
    }
}

/// @notice Calls back while it transfers, as a token with hooks would, and remembers how that ended. It also says of any
/// signature that it is its own.
contract ReentrantToken is BareToken {
    address private target;
    bytes private call;
    uint256 public entered;
    bytes public refusal;

    function arm(address target_, bytes calldata call_) external {
        (target, call, entered, refusal) = (target_, call_, 0, "");
    }

    function transfer(address to, uint256 amount) external override returns (bool) {
        callBack();
        return move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        callBack();
        return move(from, to, amount);
    }

    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        return this.isValidSignature.selector;
    }

    function callBack() private {
        if (target == address(0)) return;
        (bool ok, bytes memory reason) = target.call(call);
        if (ok) ++entered;
        else refusal = reason;
    }
}

/// @notice A token with ERC-2612 permits, which the test token has not.
contract PermitToken is ERC20Permit {
    constructor() ERC20("Permit", "PERMIT") ERC20Permit("Permit") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// @notice Whoever a token calls back.
interface IHook {
    function duringTransfer() external;
}

/// @notice A token with ERC-2612 permits that may return nothing, and may call back before and after each transfer.
contract MoodyToken is PermitToken {
    bool private silent;
    address private hook;

    function setMood(bool silent_, address hook_) external {
        (silent, hook) = (silent_, hook_);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        callBack();
        super.transfer(to, amount);
        return answer();
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        callBack();
        super.transferFrom(from, to, amount);
        return answer();
    }

    function answer() private returns (bool) {
        callBack();
        if (silent) {
            assembly ("memory-safe") {
                return(0, 0)
            }
        }
        return true;
    }

    function callBack() private {
        if (hook != address(0)) IHook(hook).duringTransfer();
    }
}

/// @notice A contract account that accepts what its owner signed (ERC-1271).
contract Wallet {
    address private owner;

    constructor(address owner_) {
        owner = owner_;
    }

    function forget() external {
        owner = address(0);
    }

    function approve(address token, address spender) external {
        ERC20(token).approve(spender, type(uint256).max);
    }

    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        return ECDSA.recover(hash, signature) == owner ? this.isValidSignature.selector : bytes4(0xffffffff);
    }
}

/// @notice A contract account that answers whatever it was told to, or reverts, when it is asked for a signature.
contract OddWallet {
    bytes private reply;
    bool private reverts;

    function setReply(bytes calldata reply_, bool reverts_) external {
        (reply, reverts) = (reply_, reverts_);
    }

    function approve(address token, address spender) external {
        ERC20(token).approve(spender, type(uint256).max);
    }

    fallback(bytes calldata) external returns (bytes memory) {
        bytes memory all = reply;
        if (!reverts) return all;
        assembly ("memory-safe") {
            revert(add(all, 32), mload(all))
        }
    }
}
