//! What a journal refuses.

use aiarena_chain::{
    account::{Account, Journal, JournalError},
    bindings::ArenaToken,
    client::ClientError,
};
use alloy::{
    primitives::{Address, U256},
    providers::ext::AnvilApi,
};

use crate::world::{NEVER, World, open};

#[tokio::test]
async fn a_name_stands_for_one_content() {
    let world = World::new().await;
    let account = world.account(world.chain.rpc_client(), None).await;
    let first = world.mint(&account, 0).await.unwrap();
    assert_eq!(world.mint(&account, 0).await.unwrap().hash, first.hash, "the answer of then");
    let other = ArenaToken::mintCall { to: Address::repeat_byte(2), amount: U256::from(5) };
    let refused = account.send_once("mint 0".to_owned(), NEVER, world.token, &other).await;
    assert!(
        matches!(&refused, Err(ClientError::Conflict { hash, .. }) if *hash == first.hash),
        "{refused:?}"
    );
    assert_eq!((world.supply().await, world.nonce().await), (1, 2));
}

#[tokio::test]
async fn a_refusal_by_the_contract_costs_no_nonce_and_frees_the_name() {
    let world = World::new().await;
    let account = world.account(world.chain.rpc_client(), None).await;
    let more_than_there_is = ArenaToken::transferCall { to: Address::repeat_byte(2), value: U256::from(5) };
    for _ in 0..2 {
        let result = account.send_once("transfer".to_owned(), NEVER, world.token, &more_than_there_is).await;
        assert!(matches!(result, Err(ClientError::Refused { .. })), "{result:?}");
    }
    assert_eq!(world.nonce().await, 1);
}

#[tokio::test]
async fn without_coin_nothing_is_sent_and_with_coin_it_goes_on() {
    let world = World::new().await;
    let account = world.account(world.chain.rpc_client(), None).await;
    world.provider.anvil_set_balance(world.key.address(), U256::ZERO).await.unwrap();
    assert!(world.mint(&account, 0).await.is_err());
    let unnamed = ArenaToken::mintCall { to: Address::repeat_byte(2), amount: U256::from(8) };
    assert!(account.send(world.token, &unnamed).await.is_err());
    assert_eq!(account.journal().unwrap().unresolved().await.unwrap(), 0);
    world.provider.anvil_set_balance(world.key.address(), U256::from(10_u128.pow(20))).await.unwrap();
    world.mint(&account, 0).await.unwrap();
    // To the letter the bytes that were refused before.
    account.send(world.token, &unnamed).await.unwrap();
    account.send(world.token, &unnamed).await.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (17, 4));
}

#[tokio::test]
async fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let held = open(folder.path(), Address::ZERO).await;
    let second = Journal::open(folder.path(), 31_337, Address::ZERO).await;
    let message = second.unwrap_err().to_string();
    assert!(message.contains("another process works with this key"), "{message}");
    drop(held);
    open(folder.path(), Address::ZERO).await;
}

#[tokio::test]
async fn a_journal_of_another_account_chain_or_of_no_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), Address::ZERO).await);
    for (chain_id, account) in [(31_337, Address::repeat_byte(1)), (84_532, Address::ZERO)] {
        let refused = Journal::open(folder.path(), chain_id, account).await;
        assert!(matches!(refused, Err(JournalError::Foreign { .. })), "{refused:?}");
    }
    // In a folder of its own: the file above may still be being closed.
    let folder = tempfile::tempdir().unwrap();
    let garbage = "not a database, but long enough to be taken for one".repeat(100);
    std::fs::write(folder.path().join("journal.db"), garbage).unwrap();
    let refused = Journal::open(folder.path(), 31_337, Address::ZERO).await;
    assert!(matches!(refused, Err(JournalError::Database { .. })), "{refused:?}");
    let beneath_a_file = folder.path().join("journal.db/folder");
    let refused = Journal::open(&beneath_a_file, 31_337, Address::ZERO).await;
    assert!(matches!(refused, Err(JournalError::Io { .. })), "{refused:?}");
}

#[tokio::test]
async fn memories_survive() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path(), Address::ZERO).await;
    assert_eq!(journal.recall("sheet").await.unwrap(), None);
    for value in [b"one".as_slice(), b"", b"three"] {
        journal.remember("sheet", value).await.unwrap();
    }
    drop(journal);
    let again = open(folder.path(), Address::ZERO).await;
    assert_eq!(again.recall("sheet").await.unwrap(), Some(b"three".to_vec()));
}

#[tokio::test]
async fn the_key_is_not_shown() {
    let world = World::new().await;
    let account: Account = world.account(world.chain.rpc_client(), None).await;
    let shown = format!("{account:?}");
    assert!(!shown.contains(&alloy::primitives::hex::encode(world.key.to_bytes())), "{shown}");
}
