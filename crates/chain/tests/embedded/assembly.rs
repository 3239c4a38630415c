//! Small contracts, assembled by hand: nothing here needs a compiler.

use alloy::{primitives::B256, sol};

sol! {
    /// What [`reverter`] reverts with.
    #[derive(Debug, PartialEq)]
    error TooSmall(uint256 got, uint256 min);

    #[derive(Debug, PartialEq)]
    error Unrelated();

    interface Errors {
        error TooSmall(uint256 got, uint256 min);
        error Unrelated();
    }
}

/// First topic of what [`counter`] logs.
pub(crate) const COUNTED: B256 = B256::repeat_byte(0xc0);

/// Init code that deploys `runtime`, which is shorter than 256 bytes.
pub(crate) fn init(runtime: &[u8]) -> Vec<u8> {
    let length = u8::try_from(runtime.len()).unwrap();
    let mut code = vec![
        0x60, length, // PUSH1 length
        0x60, 12, // PUSH1 offset of the runtime code in this code
        0x60, 0,    // PUSH1 0
        0x39, // CODECOPY
        0x60, length, 0x60, 0, 0xf3, // RETURN(0, length)
    ];
    code.extend_from_slice(runtime);
    code
}

/// Adds one to slot 0 at each call, logs `(COUNTED, count)` with the count as data, and returns it.
pub(crate) fn counter() -> Vec<u8> {
    let mut code = vec![
        0x60, 0, 0x54, // SLOAD(0)
        0x60, 1, 0x01, // ADD 1
        0x80, 0x60, 0, 0x55, // SSTORE(0, count)
        0x80, 0x60, 0, 0x52, // MSTORE(0, count)
        0x7f, // PUSH32 topic
    ];
    code.extend_from_slice(COUNTED.as_slice());
    code.extend_from_slice(&[
        0x60, 32, 0x60, 0, 0xa2, // LOG2(0, 32, COUNTED, count)
        0x60, 32, 0x60, 0, 0xf3, // RETURN(0, 32)
    ]);
    code
}

/// Logs, then reverts with `TooSmall(7, 9)`.
pub(crate) fn reverter() -> Vec<u8> {
    use alloy::sol_types::SolError;
    let mut code = vec![
        0x60, 0, 0x60, 0, 0xa0, // LOG0(0, 0)
        0x63, // PUSH4 selector
    ];
    code.extend_from_slice(&TooSmall::SELECTOR);
    code.extend_from_slice(&[
        0x60, 224, 0x1b, 0x60, 0, 0x52, // MSTORE(0, selector << 224)
        0x60, 7, 0x60, 4, 0x52, // MSTORE(4, 7)
        0x60, 9, 0x60, 36, 0x52, // MSTORE(36, 9)
        0x60, 68, 0x60, 0, 0xfd, // REVERT(0, 68)
    ]);
    code
}

/// Returns prevrandao, the hash of the block before, the timestamp and the block number.
pub(crate) fn environment() -> Vec<u8> {
    vec![
        0x44, 0x60, 0, 0x52, // MSTORE(0, PREVRANDAO)
        0x60, 1, 0x43, 0x03, 0x40, 0x60, 32, 0x52, // MSTORE(32, BLOCKHASH(NUMBER - 1))
        0x42, 0x60, 64, 0x52, // MSTORE(64, TIMESTAMP)
        0x43, 0x60, 96, 0x52, // MSTORE(96, NUMBER)
        0x60, 128, 0x60, 0, 0xf3, // RETURN(0, 128)
    ]
}

/// Returns `BLOCKHASH` of the block number in the first word of the call's data.
pub(crate) fn block_hash() -> Vec<u8> {
    vec![0x60, 0, 0x35, 0x40, 0x60, 0, 0x52, 0x60, 32, 0x60, 0, 0xf3]
}

/// Runs until the gas is used up.
pub(crate) fn burner() -> Vec<u8> {
    vec![0x5b, 0x60, 0, 0x56] // JUMPDEST, JUMP(0)
}

/// Init code that deploys `length` zero bytes.
pub(crate) fn init_of_length(length: u16) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    vec![0x61, high, low, 0x60, 0, 0xf3] // RETURN(0, length)
}
