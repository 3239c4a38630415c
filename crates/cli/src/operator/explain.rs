//! What to do about a contract's refusal.

use aiarena_chain::client::ClientError;

/// Advice by the name of the contract's error; the error itself carries the values.
const ADVICE: [(&str, &str); 34] = [
    ("UnknownTask", "there is no task of this number: `aiarena task list` shows them all"),
    ("TaskNotRunning", "the task has not begun or is over: `aiarena task show` says when it runs"),
    ("TaskOver", "the task is over: choose another one"),
    ("TaskNotOver", "wait until the task's last epoch is over; `aiarena task show` says when"),
    ("NotCreator", "only the account that created the task may do this"),
    ("EndTooLate", "the task ends by itself before the notice would be over: there is nothing to do"),
    ("RoleTaken", "you have another role in this task, for ever: leave --role out, or use another account"),
    ("RoleInvalid", "name a role: --role node or --role validator"),
    ("NotOperator", "this account is no operator of the task: stake first, or check the operator's address"),
    ("SelfDelegation", "an operator cannot delegate to itself: use `aiarena stake`"),
    ("InsufficientStake", "that is more than there is: `aiarena status` shows your stakes"),
    ("PoolWornOut", "slashes took nearly all of this operator's delegated stake: delegate to another one"),
    ("TooManyRequests", "too much is unbonding in this pool: `aiarena withdraw` what is due, then try again"),
    ("NothingToWithdraw", "nothing has finished unbonding yet: `aiarena status` shows the dates"),
    (
        "NothingToClaim",
        "there is no reward to claim: it comes when an epoch is settled; `aiarena status` shows it",
    ),
    ("NothingToReclaim", "nothing of this task is left for you"),
    ("BudgetOpen", "an epoch of the task is not settled yet: wait for its settlement"),
    ("CommissionInvalid", "a commission is 0 to 100 per cent"),
    ("CommissionPending", "a change of your commission waits already: try again once it acts"),
    ("TokenAmountMismatch", "the token takes a fee on transfers, which the vault does not support"),
    ("VaultFull", "the vault holds as much as it can count"),
    ("ZeroAmount", "the amount is 0"),
    (
        "BadParameter",
        "the arena does not take this value: the error names the parameter, docs/mechanism.md its bounds",
    ),
    ("BadDeployment", "the contracts do not take this value: the error names it; change the parameters"),
    ("ERC20InsufficientBalance", "you hold too few tokens: `aiarena status` shows how many"),
    ("ERC20InsufficientAllowance", "the vault may not take that many tokens: try again, which approves them"),
    ("NotMinter", "only the account that deployed the test token can mint"),
    ("NotEligible", "your own stake is below the task's minimum"),
    ("WrongPhase", "this is possible in another phase of the epoch: `aiarena status` says which one it is"),
    ("EpochInFlight", "an epoch of the task is not settled yet: wait for its settlement"),
    ("OwnableUnauthorizedAccount", "only the emission's owner may do this"),
    ("AlreadyAdmitted", "the task takes part in the emission already"),
    ("NotAdmitted", "the task takes no part in the emission"),
    ("TooManyAdmitted", "the emission's list is full"),
];

/// What to do about an error; `None` if nothing better than the error itself can be said.
pub(super) fn advice(error: &ClientError) -> Option<&'static str> {
    match error {
        ClientError::Refused { reason, .. } => {
            let name = reason.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            ADVICE.iter().find(|(known, _)| *known == name).map(|(_, advice)| *advice)
        }
        ClientError::Rpc { source, .. } => {
            let text = source.to_string().to_lowercase();
            if text.contains("insufficient funds") {
                Some(
                    "the account has too few coins to pay for gas: send it some; `aiarena status` shows how many",
                )
            } else if text.contains("nonce") {
                Some(
                    "another transaction of this account is on its way: wait until it is mined, then try again",
                )
            } else {
                None
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use aiarena_chain::client::explain_revert;
    use alloy::{primitives::U256, sol_types::SolError};

    use super::*;

    #[test]
    fn refusals_of_the_contracts_are_explained() {
        use aiarena_chain::bindings::{Arena, ArenaToken, Vault};
        let task = U256::from(7);
        for (data, part) in [
            (Vault::TaskOver { task, lastEpoch: task }.abi_encode(), "choose another"),
            (Arena::NotCreator { task, caller: Default::default() }.abi_encode(), "created"),
            (ArenaToken::NotMinter { caller: Default::default() }.abi_encode(), "deployed"),
        ] {
            let reason = explain_revert(&data.into());
            let error = ClientError::Refused { action: String::new(), reason };
            assert!(advice(&error).is_some_and(|advice| advice.contains(part)), "{error}");
        }
    }
}
