//! Typed bindings of the contracts, generated from the committed ABI and bytecode in `contracts/abi`.
//!
//! What each function, event and error means is documented in `contracts/src/interfaces`.
#![expect(missing_docs, reason = "generated; the interfaces in contracts/src carry the documentation")]
#![allow(clippy::too_many_arguments, reason = "generated from the events of the contracts")]

use alloy::sol;

sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    Arena,
    "../../contracts/abi/Arena.json"
);

sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    Vault,
    "../../contracts/abi/Vault.json"
);

sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    Emission,
    "../../contracts/abi/Emission.json"
);

sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    ArenaToken,
    "../../contracts/abi/ArenaToken.json"
);

sol!(
    #[sol(rpc)]
    #[derive(Debug, PartialEq, Eq)]
    Settlement,
    "../../contracts/abi/Settlement.json"
);
