//! Running transactions in revm: environments, validation, simulation and gas estimates.

use std::convert::Infallible;

use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    primitives::{Address, Bytes, TxKind, U256},
    rpc::types::TransactionRequest,
};
use revm::{
    Context, Database, ExecuteEvm, MainBuilder, MainContext, MainnetEvm,
    context::{
        BlockEnv, ContextSetters, TxEnv,
        result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction},
    },
    database_interface::WrapDatabaseRef,
    handler::{EthFrame, Handler, MainnetContext, MainnetHandler},
    primitives::hardfork::SpecId,
};

use super::{config::Config, error::RpcError, state::State};

/// What a callee is given on top by a call with value.
const CALL_STIPEND: u64 = 2_300;

/// An estimate may be this much too high, in thousandths; other nodes use the same bound to save executions.
const ESTIMATE_TOLERANCE_PERMILLE: u64 = 15;

/// Why a transaction is in the EVM.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is signed: every check applies.
    Transact,
    /// Somebody asks what would happen: no signature, no nonce, and gas need not be paid for.
    Simulate,
}

/// An EVM of the Prague rules over `database`.
pub(super) fn evm<DB: Database>(
    config: &Config,
    block: BlockEnv,
    database: DB,
    purpose: Purpose,
) -> MainnetEvm<MainnetContext<DB>> {
    Context::mainnet()
        .with_db(database)
        .with_block(block)
        .modify_cfg_chained(|cfg| {
            cfg.chain_id = config.chain_id;
            cfg.set_spec_and_mainnet_gas_params(SpecId::PRAGUE);
            cfg.tx_gas_limit_cap = config.tx_gas_limit_cap;
            if purpose == Purpose::Simulate {
                cfg.disable_nonce_check = true;
                cfg.disable_balance_check = true;
                cfg.disable_base_fee = true;
                cfg.disable_eip3607 = true;
            }
        })
        .build_mainnet()
}

/// What revm needs to know of a signed transaction.
pub(super) fn signed(envelope: &TxEnvelope, from: Address) -> TxEnv {
    let mut tx = TxEnv {
        tx_type: envelope.tx_type().into(),
        caller: from,
        gas_limit: envelope.gas_limit(),
        gas_price: envelope.max_fee_per_gas(),
        kind: envelope.kind(),
        value: envelope.value(),
        data: envelope.input().clone(),
        nonce: envelope.nonce(),
        chain_id: envelope.chain_id(),
        access_list: envelope.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: envelope.max_priority_fee_per_gas(),
        ..TxEnv::default()
    };
    tx.set_signed_authorization(envelope.authorization_list().unwrap_or_default().to_vec());
    tx
}

/// Checks of a signed transaction that need no state: chain, fees, limits, intrinsic gas.
pub(super) fn validate(config: &Config, block: BlockEnv, tx: TxEnv) -> Result<(), RpcError> {
    let mut evm = evm(config, block, revm::database_interface::EmptyDB::default(), Purpose::Transact);
    evm.ctx.set_tx(tx);
    let handler = MainnetHandler::<_, EVMError<Infallible>, EthFrame>::default();
    handler
        .validate_env(&mut evm)
        .and_then(|()| handler.validate_initial_tx_gas(&mut evm))
        .map(drop)
        .map_err(refused)
}

/// An unsigned request in the form that revm takes.
fn unsigned(config: &Config, state: &State, request: TransactionRequest) -> Result<TxEnv, RpcError> {
    if request.max_fee_per_blob_gas.is_some()
        || request.blob_versioned_hashes.is_some()
        || request.sidecar.is_some()
    {
        return Err(RpcError::invalid_params("blob transactions are not supported"));
    }
    if request.chain_id.is_some_and(|id| id != config.chain_id) {
        return Err(RpcError::rejected("invalid chain id for signer"));
    }
    let caller = request.from.unwrap_or_default();
    let data =
        request.input.try_into_unique_input().map_err(|error| RpcError::invalid_params(error.to_string()))?;
    let fee = request.max_fee_per_gas.or(request.gas_price).unwrap_or_default();
    let kind = request.to.unwrap_or(TxKind::Create);
    let authorizations = request.authorization_list.unwrap_or_default();
    let tx_type = if !authorizations.is_empty() {
        4
    } else if request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some() {
        2
    } else {
        u8::from(request.access_list.is_some())
    };
    if tx_type == 4 && kind.is_create() {
        return Err(RpcError::invalid_params("an authorization list needs a recipient"));
    }
    let mut tx = TxEnv {
        tx_type,
        caller,
        gas_limit: request.gas.unwrap_or(config.gas_limit).min(config.gas_limit),
        gas_price: fee,
        kind,
        value: request.value.unwrap_or_default(),
        data: data.unwrap_or_default(),
        nonce: state.nonce(caller),
        chain_id: Some(config.chain_id),
        access_list: request.access_list.unwrap_or_default(),
        gas_priority_fee: (tx_type == 2 || tx_type == 4)
            .then(|| request.max_priority_fee_per_gas.unwrap_or_default().min(fee)),
        ..TxEnv::default()
    };
    tx.gas_limit = tx.gas_limit.min(config.tx_gas_limit_cap.unwrap_or(u64::MAX));
    tx.set_signed_authorization(authorizations);
    if state.balance(caller) < tx.value {
        return Err(RpcError::rejected("insufficient funds for transfer"));
    }
    Ok(tx)
}

/// Executes without committing.
fn simulate(config: &Config, block: BlockEnv, state: &State, tx: TxEnv) -> Result<ExecutionResult, RpcError> {
    // revm, told not to check the balance, takes for granted that a balance can pay for it all, with 128 bits for the fee, and
    // panics where that is not so.
    let fee = tx.gas_price.checked_mul(u128::from(tx.gas_limit)).map(U256::from);
    if fee.and_then(|fee| tx.value.checked_add(fee)).is_none() {
        return Err(RpcError::rejected(insufficient_funds(state.balance(tx.caller), U256::MAX)));
    }
    evm(config, block, WrapDatabaseRef(state), Purpose::Simulate)
        .transact(tx)
        .map(|outcome| outcome.result)
        .map_err(refused)
}

/// The answer to `eth_call`.
pub(super) fn call(
    config: &Config,
    block: BlockEnv,
    state: &State,
    request: TransactionRequest,
) -> Result<Bytes, RpcError> {
    let tx = unsigned(config, state, request)?;
    output(simulate(config, block, state, tx)?)
}

/// The answer to `eth_estimateGas`: the least gas limit at which the transaction succeeds, within the tolerance.
pub(super) fn estimate_gas(
    config: &Config,
    block: BlockEnv,
    state: &State,
    request: TransactionRequest,
) -> Result<u64, RpcError> {
    let mut tx = unsigned(config, state, request)?;
    if tx.gas_price > 0 {
        let affordable = (state.balance(tx.caller) - tx.value) / U256::from(tx.gas_price);
        tx.gas_limit = tx.gas_limit.min(affordable.saturating_to());
    }
    let run = |gas_limit| simulate(config, block.clone(), state, TxEnv { gas_limit, ..tx.clone() });
    let ceiling = tx.gas_limit;
    let result = run(ceiling)?;
    let gas = *result.gas();
    if let ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } = result {
        return Err(RpcError::rejected(format!("gas required exceeds allowance ({ceiling})")));
    }
    output(result)?;
    let succeeds = |limit| run(limit).is_ok_and(|result| result.is_success());

    // Most transactions need exactly what they used. Those with refunds, or that forward gas, of which 1/64 stays
    // behind at each call, need more.
    let mut low = gas.tx_gas_used();
    let mut high = ceiling;
    if low >= high || succeeds(low) {
        return Ok(low.min(high));
    }
    let likely = gas.total_gas_spent().saturating_add(CALL_STIPEND).saturating_mul(64) / 63;
    if likely > low && likely < high {
        if succeeds(likely) { high = likely } else { low = likely }
    }
    while low + 1 < high && (high - low) * 1_000 > high * ESTIMATE_TOLERANCE_PERMILLE {
        // The answer is usually near the lower bound, so the first steps grow from there.
        let middle = (low + (high - low) / 2).min(low.saturating_mul(2));
        if succeeds(middle) { high = middle } else { low = middle }
    }
    Ok(high)
}

/// The returned bytes, or the error that nodes answer for a failed call.
fn output(result: ExecutionResult) -> Result<Bytes, RpcError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(RpcError::reverted(output)),
        ExecutionResult::Halt { reason, .. } => Err(RpcError::rejected(halted(&reason))),
    }
}

/// Why the EVM stopped, in the words of other nodes where clients know them.
fn halted(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas".to_owned(),
        HaltReason::OpcodeNotFound => "invalid opcode".to_owned(),
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID".to_owned(),
        HaltReason::InvalidJump => "invalid jump destination".to_owned(),
        HaltReason::StackUnderflow => "stack underflow".to_owned(),
        HaltReason::StackOverflow => "stack limit reached".to_owned(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".to_owned(),
        HaltReason::StateChangeDuringStaticCall => "write protection".to_owned(),
        other => format!("execution halted: {other:?}"),
    }
}

/// Why a transaction may not be executed at all, in the words of other nodes where clients know them.
pub(super) fn refused(error: EVMError<Infallible>) -> RpcError {
    let EVMError::Transaction(error) = error else { return RpcError::rejected(error.to_string()) };
    RpcError::rejected(match error {
        InvalidTransaction::NonceTooLow { tx, state } => {
            format!("nonce too low: next nonce {state}, tx nonce {tx}")
        }
        InvalidTransaction::NonceTooHigh { tx, state } => {
            format!("nonce too high: next nonce {state}, tx nonce {tx}")
        }
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => insufficient_funds(*balance, *fee),
        InvalidTransaction::InvalidChainId | InvalidTransaction::MissingChainId => {
            "invalid chain id for signer".to_owned()
        }
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            format!("intrinsic gas too low: gas {gas_limit}, minimum needed {initial_gas}")
        }
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("insufficient gas for floor data gas cost: gas {gas_limit}, minimum needed {gas_floor}")
        }
        InvalidTransaction::GasPriceLessThanBasefee => "max fee per gas less than block base fee".to_owned(),
        InvalidTransaction::PriorityFeeGreaterThanMaxFee => {
            "max priority fee per gas higher than max fee per gas".to_owned()
        }
        InvalidTransaction::CallerGasLimitMoreThanBlock => "exceeds block gas limit".to_owned(),
        InvalidTransaction::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            format!("transaction gas limit too high: gas {gas_limit}, cap {cap}")
        }
        InvalidTransaction::CreateInitCodeSizeLimit => "max initcode size exceeded".to_owned(),
        InvalidTransaction::RejectCallerWithCode => "sender not an eoa".to_owned(),
        other => other.to_string(),
    })
}

/// The sender cannot pay what the transaction may cost.
pub(super) fn insufficient_funds(balance: U256, cost: U256) -> String {
    format!("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}")
}
