//! Keys to which evaluation data are sealed (X25519).

use std::fmt;

use age::x25519::{Identity, Recipient};
use alloy::{
    primitives::{Address, B256, Keccak256, U256, hex},
    signers::local::PrivateKeySigner,
};
use bech32::{Bech32, Hrp};
use zeroize::Zeroizing;

use super::SealedError;

const SECRET_PREFIX: Hrp = Hrp::parse_unchecked("AGE-SECRET-KEY-");
const PUBLIC_PREFIX: Hrp = Hrp::parse_unchecked("age");

/// Points that make the same shared secret with every key, so that everybody knows it. Source: RFC 7748, 6.1, and the list
/// of libsodium; the uppermost bit does not count.
const WEAK: [[u8; 32]; 7] = [
    [0; 32],
    hex!("0100000000000000000000000000000000000000000000000000000000000000"),
    hex!("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    hex!("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    hex!("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex!("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    hex!("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
];

/// The key of one operator in one arena. Its public half is what `registerKey` puts on chain.
///
/// The secret half is a pseudo-random function of the signing key, the chain and the arena, like the salts, so that nothing
/// has to be backed up for it and no other arena's slices can be opened with it.
#[derive(Clone)]
pub struct EvaluationKey {
    /// `AGE-SECRET-KEY-…`; wiped when it is dropped.
    secret: Zeroizing<String>,
    public: B256,
}

/// Shows no secret.
impl fmt::Debug for EvaluationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvaluationKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl EvaluationKey {
    /// Derives from an operator's signing key, which cannot be found from it.
    #[must_use]
    pub fn new(signer: &PrivateKeySigner, chain_id: u64, arena: Address) -> Self {
        let mut hasher = Keccak256::new();
        hasher.update(b"aiarena evaluation key v1");
        hasher.update(Zeroizing::new(signer.to_bytes().0).as_slice());
        hasher.update(U256::from(chain_id).to_be_bytes::<32>());
        hasher.update(arena);
        let secret = Zeroizing::new(hasher.finalize().0);
        let secret = bech32::encode_upper::<Bech32>(SECRET_PREFIX, secret.as_slice());
        let secret = Zeroizing::new(secret.expect("32 bytes are a legal length"));
        let public = public_of(&parse(&secret).to_public());
        Self { secret, public }
    }

    /// What is registered on chain.
    #[must_use]
    pub fn public(&self) -> B256 {
        self.public
    }

    pub(super) fn identity(&self) -> Identity {
        parse(&self.secret)
    }
}

fn parse(secret: &str) -> Identity {
    secret.parse().expect("every 32 bytes are a secret key")
}

fn public_of(recipient: &Recipient) -> B256 {
    let (_, bytes) = bech32::decode(&recipient.to_string()).expect("age writes what it reads");
    B256::try_from(bytes.as_slice()).expect("a public key has 32 bytes")
}

/// Whether something can be sealed to a registered key. An account may register any 32 bytes.
#[must_use]
pub fn is_usable(key: B256) -> bool {
    let mut point = key.0;
    point[31] &= 0x7f;
    !WEAK.contains(&point)
}

pub(super) fn recipient(key: B256) -> Result<Recipient, SealedError> {
    // The library panics on a key that is none.
    if !is_usable(key) {
        return Err(SealedError::UnusableKey(key));
    }
    let text = bech32::encode_lower::<Bech32>(PUBLIC_PREFIX, key.as_slice());
    text.ok().and_then(|text| text.parse().ok()).ok_or(SealedError::UnusableKey(key))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, panic::catch_unwind};

    use age::Encryptor;

    use super::*;

    #[test]
    fn every_signer_chain_and_arena_has_its_own_key_and_always_the_same() {
        let signers = [PrivateKeySigner::random(), PrivateKeySigner::random()];
        let keys = || {
            let mut keys = Vec::new();
            for signer in &signers {
                for chain_id in [1, 2] {
                    for arena in [Address::ZERO, Address::repeat_byte(1)] {
                        keys.push(EvaluationKey::new(signer, chain_id, arena).public());
                    }
                }
            }
            keys
        };
        assert_eq!(keys(), keys());
        assert_eq!(keys().into_iter().collect::<BTreeSet<_>>().len(), 8);
    }

    /// Whoever changes the derivation locks every validator out of what was sealed to it.
    #[test]
    fn the_derivation_is_fixed() {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
        let key = EvaluationKey::new(&signer, 31_337, Address::repeat_byte(1));
        assert_eq!(key.public().to_string(), GOLDEN);
        assert_eq!(public_of(&recipient(key.public()).unwrap()), key.public());
    }

    const GOLDEN: &str = "0x5e4a1eee6be6d52bbc38e2fd4f501a22747edb54045c46ba0fadb4589e63d63c";

    #[test]
    fn the_secret_is_not_shown() {
        let signer = PrivateKeySigner::random();
        let key = EvaluationKey::new(&signer, 1, Address::ZERO);
        let shown = format!("{key:?}");
        assert!(shown.contains(&key.public().to_string()), "{shown}");
        let secret = key.secret.as_str().to_owned();
        assert!(
            !shown.contains("SECRET") && !shown.contains(&secret) && secret.starts_with("AGE-SECRET-KEY-1")
        );
    }

    #[test]
    fn keys_that_are_none_are_refused_before_the_library_panics() {
        std::panic::set_hook(Box::new(|_| {}));
        for weak in WEAK {
            for top in [0, 0x80] {
                let mut key = weak;
                key[31] |= top;
                assert!(!is_usable(B256::from(key)));
                assert!(matches!(recipient(B256::from(key)), Err(SealedError::UnusableKey(_))));
                let text = bech32::encode_lower::<Bech32>(PUBLIC_PREFIX, &key).unwrap();
                let recipient: Recipient = text.parse().unwrap();
                let sealed = catch_unwind(|| {
                    Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).is_ok()
                });
                assert!(sealed.is_err(), "it is on the list for nothing: {}", B256::from(key));
            }
        }
        assert!(is_usable(B256::repeat_byte(9)));
    }
}
