//! Are these the contracts that the rules speak of?

use aiarena_chain::{
    bindings::{Arena, Vault},
    deploy::Deployment,
    follow::{Follower, find_deployment},
    ledger::Clock,
};
use alloy::{
    primitives::Address,
    providers::{DynProvider, Provider},
};
use anyhow::{Context, Result, bail};

use super::finding::{Findings, Kind, Place};

/// Finds the vault and the token of an arena by asking the contracts, and their clock.
///
/// # Errors
/// If there is no arena at the address, or the endpoint fails.
pub(super) async fn find(
    provider: &DynProvider,
    arena: Address,
    from_block: u64,
) -> Result<(Deployment, Clock)> {
    let code = provider.get_code_at(arena).await.context("cannot ask the endpoint for the arena's code")?;
    if code.is_empty() {
        let chain_id = provider.get_chain_id().await.context("cannot ask the endpoint for its chain")?;
        bail!(
            "there is no contract at {arena} on chain {chain_id}: check the address of the arena and the endpoint"
        );
    }
    let not_arena = || format!("the contract at {arena} does not answer as an arena does: check the address");
    let deployment = find_deployment(provider, arena, from_block).await.with_context(not_arena)?;
    let follower = Follower::connect(provider.clone(), deployment).await.with_context(not_arena)?;
    Ok((deployment, follower.ledger().clock))
}

/// Compares what the contracts say of each other with what was asked for, and their code with that of this release.
///
/// # Errors
/// If the endpoint fails.
pub(super) async fn check(
    provider: &DynProvider,
    given: &Deployment,
    found: &Deployment,
    findings: &mut Findings,
) -> Result<()> {
    let about = (Kind::Contract, "");
    let place = Place::default().of(found.arena);
    findings.equal(about, place, "the chain's id", given.chain_id, found.chain_id);
    findings.equal(about, place, "the arena's vault", given.vault, found.vault);
    findings.equal(about, place, "the vault's token", given.token, found.token);
    let arena = Vault::new(found.vault, provider).arena().call().await.context("cannot read the vault")?;
    findings.equal(about, place, "the vault's arena", found.arena, arena);
    for (name, address, creation) in
        [("Arena", found.arena, &Arena::BYTECODE), ("Vault", found.vault, &Vault::BYTECODE)]
    {
        let code = provider.get_code_at(address).await.context("cannot read the contracts' code")?;
        findings.check(is_code_of(creation, &code), Kind::Contract, "", Place::default().of(address), || {
            format!("the code at this address is not that of this release's {name}")
        });
    }
    Ok(())
}

/// First of the instructions that carry 1 to 32 bytes of data.
const PUSH1: u8 = 0x60;
/// The last of them, before whose zeros the constructor writes immutable values.
const PUSH32: u8 = 0x7f;
/// Ends the constructor; what runs later stands behind it.
const INVALID: u8 = 0xfe;

/// Whether deployed code comes from this creation code: the code that runs stands behind the constructor, up to the end,
/// and is deployed as it is but for the immutable values that the constructor wrote into it.
fn is_code_of(creation: &[u8], deployed: &[u8]) -> bool {
    let template = runtime(creation);
    if template.len() != deployed.len() || deployed.is_empty() {
        return false;
    }
    let mut i = 0;
    while i < template.len() {
        if template[i] != deployed[i] {
            return false;
        }
        let word = template.get(i + 1..i + 33);
        let immutable = template[i] == PUSH32 && word.is_some_and(|word| word.iter().all(|byte| *byte == 0));
        i += if immutable { 33 } else { 1 };
    }
    true
}

/// The code behind the constructor.
fn runtime(creation: &[u8]) -> &[u8] {
    let mut i = 0;
    while let Some(instruction) = creation.get(i) {
        i += match *instruction {
            INVALID => return &creation[i + 1..],
            push @ PUSH1..=PUSH32 => 2 + usize::from(push - PUSH1),
            _ => 1,
        };
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_immutable_values_may_differ() {
        let runtime = [&[0x60, 1, PUSH32][..], &[0; 32], &[0x50, 0]].concat();
        // The separator within the data of an instruction is none.
        let creation = [&[0x5b, PUSH1, INVALID, INVALID][..], &runtime].concat();
        let mut deployed = runtime.clone();
        assert!(is_code_of(&creation, &deployed));
        deployed[3..35].fill(7);
        assert!(is_code_of(&creation, &deployed));
        for place in [0, 1, 2, 35, 36] {
            let mut changed = deployed.clone();
            changed[place] ^= 1;
            assert!(!is_code_of(&creation, &changed), "{place}");
        }
        assert!(!is_code_of(&creation, &[]));
        assert!(!is_code_of(&creation, &deployed[1..]));
        assert!(!is_code_of(&creation, &[&deployed[..], &[0]].concat()));
        assert!(!is_code_of(&runtime, &runtime));
        assert!(!is_code_of(&[PUSH32], &[]));
    }
}
