//! The committed bytecode of `contracts/test/harness/LibraryHarness.sol` in revm.

use std::cell::RefCell;

use aiarena_mechanism::Error;
use alloy_primitives::{Address, Bytes, TxKind, U256, hex, keccak256};
use revm::{
    Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext, MainnetEvm,
    context::{
        TxEnv,
        result::{ExecutionResult, Output},
    },
    database::{CacheDB, EmptyDB},
    handler::MainnetContext,
    primitives::hardfork::SpecId,
};

const GAS_LIMIT: u64 = 30_000_000;

/// What a call answered: return data, or revert data.
pub(crate) type Answer = Result<Vec<u8>, Vec<u8>>;

pub(crate) struct Harness {
    /// In a cell, because proptest's closures borrow what they capture without changing it.
    evm: RefCell<MainnetEvm<MainnetContext<CacheDB<EmptyDB>>>>,
    address: Address,
}

impl Harness {
    pub(crate) fn deploy() -> Self {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/abi/harness/LibraryHarness.json");
        let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let code = hex::decode(json["bytecode"].as_str().unwrap()).unwrap();

        let mut evm = Context::mainnet()
            .with_db(CacheDB::new(EmptyDB::default()))
            .modify_cfg_chained(|cfg| {
                cfg.set_spec_and_mainnet_gas_params(SpecId::PRAGUE);
                cfg.disable_nonce_check = true;
            })
            .build_mainnet();
        let result = evm.transact_commit(transaction(TxKind::Create, code.into())).unwrap();
        let ExecutionResult::Success { output: Output::Create(_, Some(address)), .. } = result else {
            panic!("deployment failed: {result:?}")
        };
        Self { evm: RefCell::new(evm), address }
    }

    pub(crate) fn call(&self, data: Vec<u8>) -> Answer {
        match self
            .evm
            .borrow_mut()
            .transact(transaction(TxKind::Call(self.address), data.into()))
            .unwrap()
            .result
        {
            ExecutionResult::Success { output, .. } => Ok(output.into_data().to_vec()),
            ExecutionResult::Revert { output, .. } => Err(output.to_vec()),
            ExecutionResult::Halt { reason, .. } => panic!("the call halted: {reason:?}"),
        }
    }
}

fn transaction(kind: TxKind, data: Bytes) -> TxEnv {
    TxEnv::builder().kind(kind).data(data).gas_limit(GAS_LIMIT).gas_price(0).build_fill()
}

/// Calldata for a function whose arguments are all one word long.
pub(crate) fn calldata(signature: &str, words: &[U256]) -> Vec<u8> {
    let mut data = selector(signature);
    data.extend(words.iter().flat_map(|word| word.to_be_bytes::<32>()));
    data
}

pub(crate) fn selector(signature: &str) -> Vec<u8> {
    keccak256(signature)[..4].to_vec()
}

/// How the contract reverts where Rust returns an error.
pub(crate) fn revert_data(error: Error) -> Vec<u8> {
    let panic = |code: u64| calldata("Panic(uint256)", &[U256::from(code)]);
    match error {
        Error::Overflow => panic(0x11),
        Error::DivisionByZero => panic(0x12),
        Error::FullMulDivFailed => selector("FullMulDivFailed()"),
        Error::ExpOverflow => selector("ExpOverflow()"),
        Error::LnUndefined => selector("LnWadUndefined()"),
        Error::RpowOverflow => selector("RPowOverflow()"),
        Error::IndexOutOfRange { index, length } => {
            calldata("IndexOutOfRange(uint256,uint256)", &[U256::from(index), U256::from(length)])
        }
        other => panic!("the contracts have no such error: {other}"),
    }
}
