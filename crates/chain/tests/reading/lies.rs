//! An answer that is not the chain's is refused, and reading goes on elsewhere or later.

use aiarena_chain::follow::{FollowError, Follower, Proof};
use alloy::providers::{DynProvider, Provider, ProviderBuilder, ext::AnvilApi};

use crate::{
    arena::{Stage, assert_same, deploy_on, people, places},
    endpoints,
    proxy::{Fault, Plan, Proxy},
};

fn plain(proxy: &Proxy) -> DynProvider {
    ProviderBuilder::new().disable_recommended_fillers().connect_http(proxy.url.parse().unwrap()).erased()
}

fn lies() -> Vec<Fault> {
    use Fault::*;
    vec![
        DropLog,
        DropLogs,
        AlterLog,
        HalfRange,
        AlterHeader,
        EmptyBloom,
        EmptyReceipts,
        DropReceipt,
        TruncateBatch,
        OtherId,
        Garbage,
    ]
}

#[tokio::test]
async fn every_lie_is_refused() {
    let mut stage = Stage::embedded(20).await;
    stage.mine(30).await;
    let expected = stage.fresh().await;
    for lie in lies() {
        let proxy = Proxy::start(stage.provider.clone(), Plan::Honest).await;
        let mut follower = Follower::connect(plain(&proxy), stage.deployment).await.unwrap();
        proxy.always(lie.clone());
        // These two are bad at batches, and tell the truth when they are asked for one header after the other.
        if !matches!(lie, Fault::TruncateBatch | Fault::OtherId) {
            let error = follower.sync().await.unwrap_err();
            assert!(error.is_retryable(), "{lie:?}: {error}");
            assert_eq!((follower.head(), follower.now()), (None, 0), "{lie:?}: nothing of it was used");
            proxy.set(Plan::Honest);
        }
        let synced = follower.sync().await.unwrap();
        assert_same(&follower, &expected);
        assert_eq!((synced.head, synced.rolled_back_to), (expected.head(), None));
        assert!(!synced.records.is_empty());
        assert!(follower.sync().await.unwrap().records.is_empty());

        // With another endpoint nobody notices.
        let honest = Proxy::start(stage.provider.clone(), Plan::Honest).await;
        let both = endpoints(&[proxy.url.clone(), honest.url.clone()]);
        let mut follower = Follower::connect(both.provider(), stage.deployment).await.unwrap();
        proxy.always(lie.clone());
        follower.sync().await.unwrap();
        assert_same(&follower, &expected);
        assert!(both.health()[0].errors > 0, "{lie:?}: {:?}", both.health());
        assert_eq!(both.health()[1].errors, 0, "{lie:?}: {:?}", both.health());
    }
}

#[tokio::test]
async fn without_receipts_a_second_answer_must_agree() {
    let mut stage = Stage::embedded(21).await;
    stage.mine(30).await;
    let expected = stage.fresh().await;
    let lacks = || Fault::Lacks("eth_getBlockReceipts");

    let alone = Proxy::start(stage.provider.clone(), Plan::Always(vec![lacks()])).await;
    let mut follower = Follower::connect(plain(&alone), stage.deployment).await.unwrap();
    follower.sync().await.unwrap();
    assert_same(&follower, &expected);
    assert!(alone.seen("eth_getLogs") > 10, "by the hash of each block");

    // A range that is cut off shows when each block is asked for.
    for lie in [Fault::HalfRange, Fault::AlterHeader] {
        alone.set(Plan::Honest);
        let mut follower = Follower::connect(plain(&alone), stage.deployment).await.unwrap();
        alone.set(Plan::Always(vec![lacks(), lie.clone()]));
        let error = follower.sync().await.unwrap_err();
        assert!(matches!(error, FollowError::Untrue { .. }), "{lie:?}: {error}");
    }

    // A liar in both needs a second endpoint. Where receipts are to be had, it is known who lies.
    for (first, second, proof) in [
        (vec![lacks(), Fault::DropLog], vec![], Proof::Receipts),
        (vec![Fault::DropLogs], vec![], Proof::Agreement),
        (vec![Fault::DropLog], vec![], Proof::Agreement),
        (vec![lacks()], vec![Fault::DropLog], Proof::Receipts),
        (vec![], vec![], Proof::Agreement),
    ] {
        let one = Proxy::start(stage.provider.clone(), Plan::Honest).await;
        let two = Proxy::start(stage.provider.clone(), Plan::Honest).await;
        let both = endpoints(&[one.url.clone(), two.url.clone()]);
        let follower = Follower::connect(both.provider(), stage.deployment).await.unwrap();
        let mut follower = follower.with_proof(proof);
        let lying = (!first.is_empty(), !second.is_empty());
        one.set(Plan::Always(first.clone()));
        two.set(Plan::Always(second.clone()));
        let mut synced = follower.sync().await;
        // Two that do not agree are asked again, until the turn is that of the honest one.
        for _ in 0..10 {
            if synced.is_ok() {
                break;
            }
            synced = follower.sync().await;
        }
        synced.unwrap();
        assert_same(&follower, &expected);
        let health = both.health();
        assert!((health[0].errors > 0) <= lying.0, "{first:?} {second:?}: {health:?}");
        assert!((health[1].errors > 0) == lying.1, "{first:?} {second:?}: {health:?}");
    }
}

#[tokio::test]
async fn limits_of_endpoints_are_found() {
    let mut stage = Stage::embedded(22).await;
    stage.mine(200).await;
    let expected = stage.fresh().await;
    for (blocks, batch) in [(1, 1), (7, 3), (1_000, 10)] {
        let proxy =
            Proxy::start(stage.provider.clone(), Plan::Always(vec![Fault::Limits { blocks, batch }])).await;
        for provider in [plain(&proxy), endpoints(std::slice::from_ref(&proxy.url)).provider()] {
            let mut follower = Follower::connect(provider, stage.deployment).await.unwrap();
            follower.sync().await.unwrap();
            assert_same(&follower, &expected);
        }
    }
}

#[tokio::test]
async fn reorganisations_of_up_to_64_blocks_are_followed() {
    let mut stage = Stage::embedded(23).await;
    stage.mine(10).await;
    let mut follower = stage.fresh().await;
    let mut told = Vec::new();
    for (depth, more) in [(1, 1), (1, 2), (3, 2), (5, 9), (9, 10), (2, 2)] {
        told.extend(places(&follower.sync().await.unwrap().records));
        let head = stage.head().await;
        stage.reorganise(depth, more).await;
        let synced = follower.sync().await.unwrap();
        assert_eq!(synced.rolled_back_to, Some(head - depth));
        assert_eq!(synced.head.unwrap().number, head - depth + more);
        assert!(synced.records.iter().all(|record| record.block > head - depth));
        assert_same(&follower, &stage.fresh().await);
    }
    assert!(follower.confirmed(follower.head().unwrap().number, 0));
    assert!(follower.confirmed(follower.head().unwrap().number - 3, 3));
    assert!(!follower.confirmed(follower.head().unwrap().number - 2, 3));
    assert!(!follower.confirmed(0, u64::MAX));

    for (depth, followed) in [(64, true), (65, false)] {
        stage.mine(70).await;
        follower.sync().await.unwrap();
        let id = stage.provider.anvil_snapshot().await.unwrap();
        let start = stage.head().await;
        stage.provider.anvil_mine(Some(depth), None).await.unwrap();
        follower.sync().await.unwrap();
        assert!(stage.provider.anvil_revert(id).await.unwrap());
        stage.provider.anvil_increase_time(7).await.unwrap();
        stage.provider.anvil_mine(Some(depth + 1), None).await.unwrap();
        match follower.sync().await {
            Ok(synced) => {
                assert!(followed);
                assert_eq!(synced.rolled_back_to, Some(start));
                assert_same(&follower, &stage.fresh().await);
            }
            Err(error) => {
                assert!(!followed && !error.is_retryable(), "{error}");
                assert!(error.to_string().contains("more than 64 blocks"), "{error}");
                assert!(matches!(error, FollowError::TooDeep { depth: 64, .. }), "{error}");
            }
        }
    }
}

/// A node that lags behind what was read is no reorganisation.
#[tokio::test]
async fn an_older_head_changes_nothing() {
    let mut stage = Stage::embedded(24).await;
    stage.mine(80).await;
    let proxy = Proxy::start(stage.provider.clone(), Plan::Honest).await;
    let mut follower = Follower::connect(plain(&proxy), stage.deployment).await.unwrap();
    follower.sync().await.unwrap();
    proxy.always(Fault::Stale(20));
    let synced = follower.sync().await.unwrap();
    assert!(synced.records.is_empty() && synced.rolled_back_to.is_none());
    proxy.always(Fault::Stale(79));
    let error = follower.sync().await.unwrap_err();
    assert!(matches!(error, FollowError::Moved { .. }) && error.is_retryable(), "{error}");
    assert_same(&follower, &stage.fresh().await);
}

/// As long as all that was read is among the last blocks, all of it may go.
#[tokio::test]
async fn the_whole_history_may_be_replaced() {
    let config = people().iter().fold(aiarena_chain::embedded::Config::default(), |config, key| {
        config.with_balance(key.address(), alloy::primitives::U256::from(crate::arena::WAD) << 20)
    });
    let genesis = config.genesis_timestamp + 1_000_000;
    let chain = aiarena_chain::embedded::EmbeddedChain::new(config).unwrap();
    let mut deployment = deploy_on(chain.rpc_client(), genesis).await;
    let provider = chain.provider();
    deployment.from_block = provider.get_block_number().await.unwrap() + 1;
    let mut follower = Follower::connect(provider.clone(), deployment).await.unwrap();
    assert_eq!(follower.sync().await.unwrap().head, None);
    for blocks in [3, 5, 2, 63] {
        let id = provider.anvil_snapshot().await.unwrap();
        provider.anvil_increase_time(blocks).await.unwrap();
        provider.anvil_mine(Some(blocks), None).await.unwrap();
        let synced = follower.sync().await.unwrap();
        assert_eq!(synced.head.unwrap().number, deployment.from_block + blocks - 1);
        assert_eq!(synced.rolled_back_to, (blocks != 3).then_some(0));
        assert!(provider.anvil_revert(id).await.unwrap());
    }
}
