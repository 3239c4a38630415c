//! Transactions that are not mined: replaced with a higher fee, up to a cap and a deadline.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use aiarena_chain::{
    account::{Account, FeePolicy},
    bindings::ArenaToken,
    client::ClientError,
};
use alloy::{
    consensus::Transaction,
    eips::BlockNumberOrTag,
    primitives::{Address, U256},
    providers::{Provider, ext::AnvilApi},
    rpc::types::TransactionRequest,
};

use crate::{
    faults::with_own_answers,
    miner::waiting,
    world::{QUICK, World},
};

#[tokio::test]
async fn a_stuck_transaction_is_offered_more_up_to_the_cap() {
    let world = World::new().await;
    world.provider.anvil_set_auto_mine(false).await.unwrap();
    let policy = FeePolicy { cap: 20_000_000, ..QUICK };
    let journal = world.journal().await;
    let account =
        Account::with_journal(world.chain.rpc_client(), world.key.clone(), journal, policy).await.unwrap();
    let stuck = world.mint(&account, 0);
    let mined = async {
        // Long enough for more raises than the cap allows.
        tokio::time::sleep(QUICK.raise_after * 12).await;
        let block = world.provider.get_block_by_number(BlockNumberOrTag::Pending).full().await;
        let fees: Vec<u128> = block
            .unwrap()
            .unwrap()
            .transactions
            .txns()
            .map(|tx| alloy::consensus::Transaction::max_fee_per_gas(tx.inner.inner()))
            .collect();
        world.provider.evm_mine(None).await.unwrap();
        fees
    };
    let (sent, fees) = tokio::join!(stuck, mined);
    let sent = sent.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (1, 2));
    // The market asks 11 million wei: four raises by an eighth leave room for one that would take its place.
    assert!(fees.len() == 1 && fees[0] > 16_000_000 && fees[0] <= 17_800_000, "{fees:?}");
    let receipt = world.provider.get_transaction_receipt(sent.hash).await.unwrap().unwrap();
    assert!(receipt.status());
}

#[tokio::test]
async fn after_its_deadline_it_makes_way_without_effect() {
    let world = World::new().await;
    world.provider.anvil_set_auto_mine(false).await.unwrap();
    let account = world.account(world.chain.rpc_client(), None).await;
    let now = world.dev().await.now().await.unwrap();
    let call = ArenaToken::mintCall { to: Address::repeat_byte(1), amount: U256::from(1) };
    let late = account.send_once("late".to_owned(), now, world.token, &call);
    let mine = async {
        tokio::time::sleep(QUICK.raise_after * 3).await;
        world.provider.evm_mine(None).await.unwrap();
    };
    let (result, ()) = tokio::join!(late, mine);
    assert!(matches!(result, Err(ClientError::Cancelled { .. })), "{result:?}");
    assert_eq!(
        (world.supply().await, world.nonce().await),
        (0, 2),
        "the nonce was used by a transfer of nothing"
    );
    world.provider.anvil_set_auto_mine(true).await.unwrap();
    // The name is free again: it had no effect.
    world.mint(&account, 0).await.unwrap();
    account.send_once("late".to_owned(), u64::MAX, world.token, &call).await.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (2, 4));
}

#[tokio::test]
async fn what_a_reorganisation_undid_is_sent_again() {
    let world = World::new().await;
    let account = world.account(world.chain.rpc_client(), None).await;
    let snapshot = world.provider.anvil_snapshot().await.unwrap();
    for number in 0..3 {
        world.mint(&account, number).await.unwrap();
    }
    assert_eq!(world.supply().await, 7);
    assert!(world.provider.anvil_revert(snapshot).await.unwrap());
    assert_eq!(world.supply().await, 0, "the branch is gone");
    let head = world.provider.get_block_number().await.unwrap();
    account.confirm(head, 10).await.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (7, 4));
    // Deep enough, it is looked at no more.
    account.confirm(head + 100, 10).await.unwrap();
    for number in 0..3 {
        world.mint(&account, number).await.unwrap();
    }
    assert_eq!((world.supply().await, world.nonce().await), (7, 4));
}

#[tokio::test]
async fn an_endpoint_that_knows_no_receipts_undoes_nothing() {
    let world = World::new().await;
    let blind = Arc::new(AtomicBool::new(false));
    let no_receipts = Arc::clone(&blind);
    let rpc = with_own_answers(&world.chain.rpc_client(), move |request| {
        let hidden = request.method() == "eth_getTransactionReceipt" && no_receipts.load(Ordering::SeqCst);
        hidden.then_some(Ok("null"))
    });
    let account = world.account(rpc, None).await;
    for number in 0..2 {
        world.mint(&account, number).await.unwrap();
    }
    blind.store(true, Ordering::SeqCst);
    let head = world.provider.get_block_number().await.unwrap();
    account.confirm(head + 100, 10).await.unwrap();
    assert_eq!(account.journal().unwrap().unresolved().await.unwrap(), 0);
    blind.store(false, Ordering::SeqCst);
    account.confirm(head + 100, 10).await.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (3, 3));
}

#[tokio::test]
async fn what_was_taken_is_not_dropped_because_more_is_too_dear() {
    let world = World::new().await;
    world.provider.anvil_set_auto_mine(false).await.unwrap();
    let account = world.account(world.chain.rpc_client(), None).await;
    let stuck = world.mint(&account, 0);
    let poor = async {
        while waiting(&world.provider).await.is_empty() {
            tokio::task::yield_now().await;
        }
        let block =
            world.provider.get_block_by_number(BlockNumberOrTag::Pending).full().await.unwrap().unwrap();
        let sent = block.transactions.txns().next().expect("the first attempt waits").inner.inner().clone();
        let cost = U256::from(sent.gas_limit()) * U256::from(sent.max_fee_per_gas());
        // Enough for it, and not for an eighth more.
        world.provider.anvil_set_balance(world.key.address(), cost + cost / U256::from(20)).await.unwrap();
        tokio::time::sleep(QUICK.raise_after * 3).await;
        world.provider.evm_mine(None).await.unwrap();
    };
    let (sent, ()) = tokio::join!(stuck, poor);
    sent.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (1, 2));
    assert_eq!(account.journal().unwrap().unresolved().await.unwrap(), 0);
}

#[tokio::test]
async fn while_the_market_is_above_the_cap_it_is_given_up_for_now_and_sent_later() {
    let world = World::new().await;
    let policy = FeePolicy { cap: 1_000, ..QUICK };
    let account = |policy| {
        let (rpc, key) = (world.chain.rpc_client(), world.key.clone());
        let journal = world.journal();
        async move { Account::with_journal(rpc, key, journal.await, policy).await.unwrap() }
    };
    let poor = account(policy).await;
    assert!(world.mint(&poor, 0).await.is_err(), "no node takes less than the base fee");
    assert_eq!(poor.journal().unwrap().unresolved().await.unwrap(), 1, "and nobody forgets what was signed");
    drop(poor);
    let rich = account(QUICK).await;
    rich.resume().await.unwrap();
    world.mint(&rich, 0).await.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (1, 2));
}

#[tokio::test]
async fn a_key_that_is_used_elsewhere_wastes_nothing() {
    let world = World::new().await;
    world.provider.anvil_set_auto_mine(false).await.unwrap();
    let account = world.account(world.chain.rpc_client(), None).await;
    let ours = world.mint(&account, 0);
    let theirs = async {
        tokio::time::sleep(QUICK.raise_after / 4).await;
        // The same nonce at a much higher fee, as another wallet with the key would send it.
        let wallet = alloy::network::EthereumWallet::from(world.key.clone());
        let other =
            alloy::providers::ProviderBuilder::new().wallet(wallet).connect_client(world.chain.rpc_client());
        let request = TransactionRequest {
            nonce: Some(1),
            max_fee_per_gas: Some(900_000_000),
            max_priority_fee_per_gas: Some(900_000_000),
            to: Some(Address::repeat_byte(9).into()),
            gas: Some(21_000),
            ..Default::default()
        };
        let _pending = other.send_transaction(request).await.unwrap();
        world.provider.anvil_set_auto_mine(true).await.unwrap();
        world.provider.evm_mine(None).await.unwrap();
    };
    let (sent, ()) = tokio::join!(ours, theirs);
    sent.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (1, 3), "signed again with the next nonce");
}

#[tokio::test]
async fn at_the_cap_there_is_room_to_make_way() {
    let world = World::new().await;
    world.provider.anvil_set_auto_mine(false).await.unwrap();
    // The market asks 11 million wei: the first attempt is at the most that an ordinary one may offer.
    let policy = FeePolicy { cap: 11_500_000, ..QUICK };
    let journal = world.journal().await;
    let account =
        Account::with_journal(world.chain.rpc_client(), world.key.clone(), journal, policy).await.unwrap();
    let now = world.dev().await.now().await.unwrap();
    let call = ArenaToken::mintCall { to: Address::repeat_byte(1), amount: U256::from(1) };
    let late = account.send_once("late".to_owned(), now, world.token, &call);
    let mine = async {
        tokio::time::sleep(QUICK.raise_after * 3).await;
        world.provider.evm_mine(None).await.unwrap();
    };
    let (result, ()) = tokio::join!(late, mine);
    assert!(matches!(result, Err(ClientError::Cancelled { .. })), "{result:?}");
    assert_eq!((world.supply().await, world.nonce().await), (0, 2));
}

#[tokio::test]
async fn what_made_way_is_sent_again_after_a_reorganisation() {
    let world = World::new().await;
    let account = world.account(world.chain.rpc_client(), None).await;
    let snapshot = world.provider.anvil_snapshot().await.unwrap();
    world.provider.anvil_set_auto_mine(false).await.unwrap();
    let now = world.dev().await.now().await.unwrap();
    let call = ArenaToken::mintCall { to: Address::repeat_byte(1), amount: U256::from(1) };
    let late = account.send_once("late".to_owned(), now, world.token, &call);
    let mine = async {
        tokio::time::sleep(QUICK.raise_after * 3).await;
        world.provider.evm_mine(None).await.unwrap();
    };
    let (result, ()) = tokio::join!(late, mine);
    assert!(matches!(result, Err(ClientError::Cancelled { .. })), "{result:?}");
    world.provider.anvil_set_auto_mine(true).await.unwrap();
    world.mint(&account, 1).await.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (2, 3));
    assert!(world.provider.anvil_revert(snapshot).await.unwrap());
    world.provider.anvil_set_auto_mine(true).await.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (0, 1), "the branch is gone");
    let head = world.provider.get_block_number().await.unwrap();
    account.confirm(head, 10).await.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (2, 3), "no gap, and nothing came too late");
}

#[tokio::test]
async fn a_count_that_was_too_high_leaves_no_gap() {
    let world = World::new().await;
    let lied = AtomicBool::new(false);
    let rpc = with_own_answers(&world.chain.rpc_client(), move |request| {
        let first = request.method() == "eth_getTransactionCount" && !lied.swap(true, Ordering::SeqCst);
        first.then_some(Ok("\"0x14\""))
    });
    let account = world.account(rpc, None).await;
    world.mint(&account, 0).await.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (1, 21), "19 nonces were filled");
    world.mint(&account, 1).await.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (3, 22));
}

#[tokio::test]
async fn a_count_beyond_all_reason_is_not_believed_twice() {
    let world = World::new().await;
    let lied = AtomicBool::new(false);
    let rpc = with_own_answers(&world.chain.rpc_client(), move |request| {
        let first = request.method() == "eth_getTransactionCount" && !lied.swap(true, Ordering::SeqCst);
        first.then_some(Ok("\"0xffffff\""))
    });
    let account = world.account(rpc, None).await;
    world.mint(&account, 0).await.unwrap();
    world.mint(&account, 1).await.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (3, 3), "and the key goes on");
}

#[tokio::test]
async fn what_nobody_takes_makes_way() {
    let world = World::new().await;
    let picky = Arc::new(AtomicBool::new(true));
    let refuses = Arc::clone(&picky);
    let rpc = with_own_answers(&world.chain.rpc_client(), move |request| {
        // A call is longer than a transfer.
        let call = request.method() == "eth_sendRawTransaction" && request.serialized().get().len() > 400;
        (call && refuses.load(Ordering::SeqCst)).then_some(Err("it is not to our taste"))
    });
    let account = world.account(rpc, None).await;
    let result = world.mint(&account, 0).await;
    assert!(matches!(result, Err(ClientError::Cancelled { .. })), "{result:?}");
    assert_eq!((world.supply().await, world.nonce().await), (0, 2), "a transfer of nothing took its place");
    assert_eq!(account.journal().unwrap().unresolved().await.unwrap(), 0);
    picky.store(false, Ordering::SeqCst);
    world.mint(&account, 0).await.unwrap();
    assert_eq!((world.supply().await, world.nonce().await), (1, 3));
}
