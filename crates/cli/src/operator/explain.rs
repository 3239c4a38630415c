//! What to do about a contract's refusal.

use aiarena_chain::client::ClientError;

/// Advice by the name of the contract's error; the error itself carries the values.
const ADVICE: [(&str, &str); 39] = [
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
    (
        "OwnableUnauthorizedAccount",
        "only the emission's owner may do this, and only whom it was offered to may accept: `aiarena emission show`",
    ),
    ("AlreadyAdmitted", "the task takes part in the emission already"),
    ("NotAdmitted", "the task takes no part in the emission"),
    ("TooManyAdmitted", "the emission's list is full: dismiss another task first"),
    ("OwnableInvalidOwner", "this account cannot be the owner"),
    ("FeeTooHigh", "the deployment fixed a lower limit: `aiarena emission show` tells it"),
    ("TreasuryZero", "somebody has to get the fees: name the account with --treasury"),
    ("NothingToCollect", "no fee of a claim is there to be collected"),
    ("NothingToBurn", "nothing was slashed that is not burned yet"),
];

/// What the contracts call a parameter in `BadDeployment` and `BadParameter`, what it is called in our files, and its bounds.
const BOUNDS: [(&str, &str, &str); 22] = [
    (
        "genesis is in the past",
        "genesis",
        "in the future when the vault is created: say first_epoch_in = 3600",
    ),
    ("epoch length is zero", "epoch_length", "at least 1, and more than reveal_end"),
    ("unbonding epochs", "unbonding_epochs", "2 to 60"),
    ("fee limit", "max_fee", "0 to 0.2"),
    ("slash fraction", "slash", "0 to 0.1"),
    ("decay", "emission_decay", "above 0 and at most 1"),
    ("period is zero", "emission_period", "at least 1"),
    (
        "phases out of order",
        "schedule",
        "0 < submit_end < disclose_end < seed_end < commit_end < reveal_end < epoch_length",
    ),
    ("seed delay exceeds its phase", "seed_delay", "less than seed_end - disclose_end"),
    ("silent epochs are zero", "silent_epochs", "1 to 255"),
    ("token is no contract", "address", "that of an ERC-20 on this chain"),
    ("epochs", "epochs", "1 to 1000000"),
    ("minNodeStake", "min_node_stake", "more than 0"),
    ("minValidatorStake", "min_validator_stake", "more than 0"),
    ("maxSubmissions", "max_submissions", "1 to 2048"),
    ("redundancy", "redundancy", "1 to 255"),
    ("gammaWad", "equal_share", "0 to 0.5"),
    ("epsilonWad", "delegation_weight", "0 to 1"),
    ("tolerance", "tolerance", "0 to 1"),
    ("phiWad", "phi", "0.05 to 10"),
    ("qWad", "q", "above 0 and at most 1"),
    ("alphaWad", "alpha", "0 to 1"),
];

/// The parameter that a contract does not take, as our files call it, and its bounds.
pub(super) fn out_of_bounds(error: &ClientError) -> Option<(&'static str, &'static str)> {
    let ClientError::Refused { reason, .. } = error else { return None };
    let (name, rest) = reason.split_once(" { what: \"")?;
    let (what, _) = rest.split_once('"')?;
    let ours = matches!(name, "BadDeployment" | "BadParameter");
    BOUNDS.iter().find(|(known, ..)| ours && *known == what).map(|(_, field, bounds)| (*field, *bounds))
}

/// What to do about an error; `None` if nothing better than the error itself can be said.
pub(super) fn advice(error: &ClientError) -> Option<String> {
    if let Some((field, bounds)) = out_of_bounds(error) {
        return Some(format!("{field} is out of bounds: {bounds}; change it in the parameters"));
    }
    general(error).map(str::to_owned)
}

fn general(error: &ClientError) -> Option<&'static str> {
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
        let word = |text: &[u8]| alloy::primitives::B256::right_padding_from(text);
        for (data, part) in [
            (Vault::TaskOver { task, lastEpoch: task }.abi_encode(), "choose another"),
            (Arena::NotCreator { task, caller: Default::default() }.abi_encode(), "created"),
            (ArenaToken::NotMinter { caller: Default::default() }.abi_encode(), "deployed"),
            (
                Vault::BadDeployment { what: word(b"unbonding epochs") }.abi_encode(),
                "unbonding_epochs is out of bounds: 2 to 60",
            ),
            (
                Arena::BadParameter { what: word(b"gammaWad") }.abi_encode(),
                "equal_share is out of bounds: 0 to 0.5",
            ),
            (Vault::BadDeployment { what: word(b"arena is zero") }.abi_encode(), "change the parameters"),
        ] {
            let reason = explain_revert(&data.into());
            let error = ClientError::Refused { action: String::new(), reason };
            assert!(advice(&error).is_some_and(|advice| advice.contains(part)), "{error}");
        }
    }

    #[test]
    fn every_bound_of_the_contracts_is_known() {
        let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/src");
        let read = |file: &str| std::fs::read_to_string(sources.join(file)).unwrap();
        let text = ["Arena.sol", "ArenaBase.sol", "Vault.sol", "Emission.sol"].map(read).concat();
        let refusals =
            ["BadDeployment(\"", "BadParameter(\""].into_iter().flat_map(|name| text.split(name).skip(1));
        let requirements = text
            .lines()
            .filter(|line| line.contains("_require("))
            .filter_map(|line| line.split_once(", \"").map(|(_, rest)| rest));
        let words: Vec<&str> = refusals
            .chain(requirements)
            .filter_map(|rest| rest.split_once('"'))
            .map(|(word, _)| word)
            .collect();
        assert!(words.len() > 20, "{words:?}");
        for word in words {
            // Whatever is not of the parameters: addresses that follow from the plan, a node's own commitment, and the cap of
            // a loss, a metric that this release does not score.
            let planned = word.contains("vault") || word.contains("emission") || word.contains("arena");
            let known = BOUNDS.iter().any(|(known, ..)| *known == word);
            assert!(known || planned || ["commitment", "lossCapWad"].contains(&word), "{word}");
        }
    }
}
