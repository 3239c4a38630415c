//! Objects with names, from servers that are honest, slow or hostile.

use std::time::{Duration, Instant};

use aiarena_store::{Error, Limits, ObjectName, Store};

use crate::{MAX_SIZE, artifact, limits, on_this_machine, s3::Service, server::Server};

fn name() -> ObjectName {
    ObjectName::new("84532-0xab/task-1/epoch-2.age").unwrap()
}

fn web(server: &Server) -> Store {
    Store::open(&server.url(), &on_this_machine()).unwrap()
}

#[tokio::test]
async fn a_bucket_holds_the_newest_object_of_a_name() {
    let service = Service::start().await;
    let stores = service.stores("s3://bucket/a");
    let store = &stores.stores()[0];
    let error = store.get_named(&name(), &limits()).await.unwrap_err();
    assert!(matches!(error, Error::NoObject { .. }), "{error}");
    for size in [1, 65_536, MAX_SIZE as usize] {
        let bytes = artifact(size);
        store.put_named(&name(), bytes.clone(), &limits()).await.unwrap();
        assert_eq!(store.get_named(&name(), &limits()).await.unwrap(), bytes);
    }
    let error = store.put_named(&name(), vec![0; MAX_SIZE as usize + 1], &limits()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_web_server_is_asked_for_the_name_and_only_read() {
    let bytes = artifact(5_000);
    let server = Server::honest(bytes.clone()).await;
    let store = web(&server);
    assert_eq!(store.get_named(&name(), &limits()).await.unwrap(), bytes);
    assert_eq!(server.requests()[0].path, "/store/84532-0xab/task-1/epoch-2.age");
    let error = store.put_named(&name(), "x", &limits()).await.unwrap_err();
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_is_too_large_too_slow_or_gone_is_given_up() {
    let large = Server::honest(artifact(MAX_SIZE as usize + 1)).await;
    let error = web(&large).get_named(&name(), &limits()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: MAX_SIZE, .. }), "{error}");

    let gone = Server::start(|_, answer| answer.reply("404 Not Found", "", b"")).await;
    let error = web(&gone).get_named(&name(), &limits()).await.unwrap_err();
    assert!(matches!(error, Error::NoObject { .. }), "{error}");

    let hasty = Limits {
        patience: Duration::from_millis(200),
        deadline: Duration::from_millis(600),
        min_rate: 1 << 20,
        ..limits()
    };
    let silent = Server::start(|_, answer| answer.silent()).await;
    let slow = Server::start(|request, answer| async move {
        answer.slow(&request, &artifact(5_000), 1, Duration::from_millis(20)).await;
    })
    .await;
    for server in [silent, slow] {
        let begun = Instant::now();
        let error = web(&server).get_named(&name(), &hasty).await.unwrap_err();
        assert!(matches!(error, Error::Slow { .. } | Error::Deadline { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    let broken = Server::start(|request, answer| async move {
        answer.broken(&request, &artifact(5_000), 700).await;
    })
    .await;
    let error = web(&broken).get_named(&name(), &limits()).await.unwrap_err();
    assert!(error.is_retryable(), "half of an object is none: {error}");
}
