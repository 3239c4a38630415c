//! Are these the contracts that the rules speak of?
//!
//! Code is compared with what this release deploys: its constructors run once more, with the same values, on a chain of our
//! own. There is nothing to trust then but the code that the endpoint shows, not even what it says of itself.

use aiarena_chain::{
    bindings::{Arena, ArenaToken, Emission, Vault},
    client::Account,
    deploy::{DeployConfig, Deployment, deploy},
    embedded::{Config, EmbeddedChain},
    follow::{contract_error, find_deployment, read_constants},
    ledger::{Clock, Constants},
};
use alloy::{
    contract::Error as ContractError,
    primitives::{Address, B256, Bytes, U256, keccak256},
    providers::{DynProvider, Provider},
    signers::local::PrivateKeySigner,
    sol_types::eip712_domain,
};
use anyhow::{Context, Result, bail};

use super::finding::{Findings, Kind, Place};
use crate::amount::MOST_DECIMALS;

/// What a deployment fixed for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// Maps time to epochs and phases.
    pub clock: Clock,
    /// Bond, fractions and emission.
    pub constants: Constants,
    /// Who owned the emission at first; zero for nobody.
    pub owner: Address,
}

impl Fixed {
    /// Asks the contracts.
    ///
    /// # Errors
    /// If the endpoint fails, or they do not answer as they do.
    pub async fn read(provider: &DynProvider, deployment: &Deployment) -> Result<Self> {
        let (clock, constants) = read_constants(provider, deployment).await?;
        let emission = Emission::new(deployment.emission, provider).config().call().await;
        let owner = emission.map_err(|error| contract_error("read the emission", error))?.owner;
        Ok(Self { clock, constants, owner })
    }

    /// How to deploy such an arena again.
    fn config(&self) -> DeployConfig {
        let Self { clock, constants, owner } = *self;
        DeployConfig {
            genesis: clock.genesis,
            epoch_length: clock.epoch_length,
            unbonding_epochs: clock.unbonding_epochs,
            schedule: clock.schedule,
            bond: constants.bond,
            max_fee_wad: constants.max_fee_wad.saturating_to(),
            slash_wad: constants.slash_wad.saturating_to(),
            emission: constants.emission,
            emission_decay_wad: constants.emission_decay_wad.saturating_to(),
            emission_period: constants.emission_period,
            owner: Some(owner),
        }
    }
}

/// Finds the other contracts of an arena by asking it, and what they fixed.
///
/// # Errors
/// If there is no arena at the address, or the endpoint fails.
pub(super) async fn find(
    provider: &DynProvider,
    arena: Address,
    from_block: u64,
) -> Result<(Deployment, Fixed)> {
    let code = provider.get_code_at(arena).await.context("cannot ask the endpoint for the arena's code")?;
    if code.is_empty() {
        let chain_id = provider.get_chain_id().await.context("cannot ask the endpoint for its chain")?;
        bail!(
            "there is no contract at {arena} on chain {chain_id}: check the address of the arena and the endpoint"
        );
    }
    let not_arena = || format!("the contract at {arena} does not answer as an arena does: check the address");
    let deployment = find_deployment(provider, arena, from_block).await.with_context(not_arena)?;
    let fixed = Fixed::read(provider, &deployment).await.with_context(not_arena)?;
    Ok((deployment, fixed))
}

/// Decimals of the token; 0 if it does not tell, which no ERC-20 must, or if it has more than any real one.
///
/// # Errors
/// If the endpoint fails.
pub(super) async fn decimals(provider: &DynProvider, found: &Deployment) -> Result<u8> {
    match ArenaToken::new(found.token, provider).decimals().call().await {
        Ok(decimals) => Ok(if decimals <= MOST_DECIMALS { decimals } else { 0 }),
        Err(ContractError::TransportError(error)) if !error.is_error_resp() => {
            Err(error).context("cannot ask the token for its decimals")
        }
        Err(_) => Ok(0),
    }
}

/// Compares what the contracts say of each other with what was asked for, and their code with that of this release.
///
/// # Errors
/// If the endpoint fails.
pub(super) async fn check(
    provider: &DynProvider,
    given: &Deployment,
    found: &Deployment,
    fixed: &Fixed,
    findings: &mut Findings,
) -> Result<()> {
    let about = (Kind::Contract, "");
    let place = Place::default().of(found.arena);
    findings.equal(about, place, "the chain's id", given.chain_id, found.chain_id);
    findings.equal(about, place, "the arena's vault", given.vault, found.vault);
    findings.equal(about, place, "the vault's token", given.token, found.token);
    findings.equal(about, place, "the vault's emission", given.emission, found.emission);
    let vault = Vault::new(found.vault, provider);
    let config = vault.config().call().await.context("cannot read the vault")?;
    let arena = vault.arena().call().await.context("cannot read the vault")?;
    findings.equal(about, place, "the vault's arena", found.arena, arena);
    findings.equal(about, place, "the vault's arena by its deployment", found.arena, config.arena);
    findings.equal(about, place, "the vault's token by its deployment", found.token, config.token);
    findings.equal(about, place, "the vault's emission by its deployment", found.emission, config.emission);
    let emission = Emission::new(found.emission, provider).config().call().await;
    let emission = emission.context("cannot read the emission")?;
    findings.equal(about, place, "the emission's vault", found.vault, emission.vault);

    let own = Contracts::of(provider, *found).await.context("cannot read the contracts' code")?;
    let expected = match again(found, fixed).await {
        Ok(expected) => expected,
        Err(error) => {
            let message = format!("no contract of this release has such values: {}", crate::ui::told(&error));
            findings.push(Kind::Contract, "", place, message);
            return Ok(());
        }
    };
    let words = expected.words().into_iter().zip(own.words()).collect::<Vec<_>>();
    for ((name, address, code), (_, _, expected)) in own.codes.iter().zip(&expected.codes) {
        let right = replaced(expected, &words) == *code;
        findings.check(right, Kind::Contract, "", Place::default().of(*address), || {
            format!("the code at this address is not that of this release's {name}")
        });
    }
    Ok(())
}

/// How the contracts at these addresses differ from those of this release, and from what they say of each other.
///
/// # Errors
/// If the endpoint fails, or there is no arena.
pub async fn differences(provider: &DynProvider, given: &Deployment) -> Result<Vec<String>> {
    let (found, fixed) = find(provider, given.arena, given.from_block).await?;
    let mut findings = Findings::default();
    check(provider, given, &found, &fixed, &mut findings).await?;
    Ok(findings.into_list().iter().map(ToString::to_string).collect())
}

/// Contracts that belong together, and their code.
struct Contracts {
    deployment: Deployment,
    codes: [(&'static str, Address, Bytes); 4],
}

impl Contracts {
    async fn of(provider: &DynProvider, deployment: Deployment) -> Result<Self> {
        let Deployment { arena, vault, emission, .. } = deployment;
        let settlement = Arena::new(arena, provider).settlement().call().await?;
        let mut codes = [
            ("Arena", arena, Bytes::new()),
            ("Settlement", settlement, Bytes::new()),
            ("Vault", vault, Bytes::new()),
            ("Emission", emission, Bytes::new()),
        ];
        for (_, address, code) in &mut codes {
            *code = provider.get_code_at(*address).await?;
        }
        Ok(Self { deployment, codes })
    }

    /// What their constructors wrote into the code that depends on where they are: addresses, and the vault's domain of
    /// signatures.
    fn words(&self) -> [B256; 6] {
        let Deployment { chain_id, arena, vault, emission, token, .. } = self.deployment;
        let settlement = self.codes[1].1;
        let domain = eip712_domain! {
            name: "AIArena Vault",
            version: "1",
            chain_id: chain_id,
            verifying_contract: vault,
        };
        let [arena, settlement, vault, emission, token] =
            [arena, settlement, vault, emission, token].map(|address| address.into_word());
        [arena, settlement, vault, emission, token, domain.separator()]
    }
}

/// Deploys the contracts of this release with the same values on a chain of our own.
async fn again(found: &Deployment, fixed: &Fixed) -> Result<Contracts> {
    let signer = PrivateKeySigner::from_bytes(&keccak256("deploys what is compared"))?;
    let config = Config { chain_id: found.chain_id, genesis_timestamp: 0, ..Config::default() };
    let chain = EmbeddedChain::new(config.with_balance(signer.address(), U256::MAX >> 128))?;
    let account = Account::new(chain.rpc_client(), signer);
    let (deployment, _) = deploy(&account, fixed.config()).await?;
    Contracts::of(&chain.provider(), deployment).await
}

/// Code with each of these words replaced by the other one.
fn replaced(code: &[u8], words: &[(B256, B256)]) -> Bytes {
    let mut found = Vec::with_capacity(code.len());
    let mut rest = code;
    while let Some(first) = rest.first() {
        match words.iter().find(|(old, _)| rest.starts_with(old.as_slice())) {
            Some((old, new)) => {
                found.extend_from_slice(new.as_slice());
                rest = &rest[old.len()..];
            }
            None => {
                found.push(*first);
                rest = &rest[1..];
            }
        }
    }
    found.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_wherever_they_stand() {
        let [a, b, c] = [1, 2, 3].map(B256::repeat_byte);
        let code = [&[7][..], a.as_slice(), &[8], b.as_slice(), a.as_slice()].concat();
        let expected = [&[7][..], c.as_slice(), &[8], a.as_slice(), c.as_slice()].concat();
        let words = [(a, c), (b, a)];
        assert_eq!(replaced(&code, &words), expected);
        assert_eq!(replaced(&a[1..], &words), a[1..]);
        assert!(replaced(&[], &words).is_empty());
    }
}
