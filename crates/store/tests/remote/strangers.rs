//! Locations that strangers name.

use std::sync::Arc;

use aiarena_store::{ContentHash, Error, Location, LocationError, Policy, Settings, Stores};

use crate::{Cache, artifact, blamed, limits, location, on_this_machine, open, server::Server, tried};

#[tokio::test]
async fn a_location_is_tried_after_the_stores() {
    let bytes = artifact(2_000);
    let hash = ContentHash::of(&bytes);
    let store = Server::start(|_, answer| answer.reply("404 Not Found", "", b"")).await;
    let stranger = Server::honest(bytes.clone()).await;
    let cache = Cache::new();
    let named = location(&format!("{}/model?token=1", stranger.url()));
    // A hash of something else is a wrong hint and no more.
    let locations = [Location::Stores(ContentHash::of(b"other")), named.clone(), named.clone()];
    let fetched = open(&[&store.url()]).fetch(hash, &locations, &cache.store, &limits()).await.unwrap();
    assert_eq!(fetched.from, Some(named.to_string()));
    assert!(cache.holds(&bytes));
    assert_eq!((store.requests().len(), stranger.requests()[0].path.as_str()), (1, "/store/model?token=1"));
}

#[tokio::test]
async fn few_locations_are_tried() {
    let server = Server::start(|_, answer| answer.reply("404 Not Found", "", b"")).await;
    let locations: Vec<_> = (0..20).map(|n| location(&format!("{}/{n}", server.url()))).collect();
    let result = open(&[]).fetch(ContentHash::of(b"x"), &locations, &Cache::new().store, &limits()).await;
    assert!(matches!(result, Err(Error::NotFound { .. })));
    assert_eq!(server.requests().len(), 4);
}

/// The name is public as far as its spelling goes; only its address is not.
#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
    let server = Server::honest(b"x".to_vec()).await;
    let stores = Stores::open([], &Settings::default()).unwrap();
    let cache = Cache::new();
    for name in ["localhost", "LOCALHOST", "localhost."] {
        let named = Location::parse(&format!("https://{name}:{}/x", server.port()), Policy::Public).unwrap();
        let error = blamed(stores.fetch(ContentHash::of(b"x"), &[named], &cache.store, &limits()).await);
        // Some systems do not know the name with a dot; then there is no address to refuse.
        let refused = matches!(error, Error::Location(LocationError::Address { got }) if got.is_loopback());
        assert!(refused || name.ends_with('.'), "{name}: {error}");
    }
    assert!(server.requests().is_empty() && cache.is_empty());
}

/// What was read under one policy is judged by that of the stores.
#[tokio::test]
async fn the_policy_of_the_stores_counts() {
    let server = Server::honest(b"x".to_vec()).await;
    let stores = Stores::open([], &Settings::default()).unwrap();
    let named = location(&server.url());
    let error = blamed(stores.fetch(ContentHash::of(b"x"), &[named], &Cache::new().store, &limits()).await);
    assert!(matches!(error, Error::Location(LocationError::Scheme { .. })), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn no_redirect_leads_where_a_location_may_not() {
    let secret = Server::honest(b"x".to_vec()).await;
    let port = secret.port();
    for (policy, target) in [
        (Policy::Loopback, "file:///etc/passwd".to_owned()),
        (Policy::Loopback, "http://169.254.169.254/latest/meta-data".to_owned()),
        (Policy::Loopback, "http://10.0.0.1:8080/".to_owned()),
        (Policy::Loopback, "//192.168.0.1/".to_owned()),
        (Policy::Loopback, "http://127.0.0.1:22/".to_owned()),
        (Policy::Loopback, format!("http://user:password@127.0.0.1:{port}/")),
        (Policy::Loopback, "http://[::ffff:10.0.0.1]:8080/".to_owned()),
        (Policy::Loopback, "https://".to_owned()),
        // An operator's own store may be here, but it must not lead to another port.
        (Policy::Public, format!("http://127.0.0.1:{port}/")),
        (Policy::Public, format!("https://127.0.0.1:{port}/")),
        (Policy::Public, format!("https://2130706433:{port}/")),
        (Policy::Public, format!("https://localhost:{port}/")),
        (Policy::Public, format!("https://[::1]:{port}/")),
    ] {
        let header = Arc::new(format!("location: {target}\r\n"));
        let redirecting = Server::start(move |_, answer| {
            let header = header.clone();
            async move { answer.reply("302 Found", &header, b"").await }
        })
        .await;
        let hash = ContentHash::of(b"x");
        let (urls, locations) = match policy {
            Policy::Public => (vec![redirecting.url()], Vec::new()),
            Policy::Loopback => (Vec::new(), vec![location(&redirecting.url())]),
        };
        let settings = Settings { policy, ..on_this_machine() };
        let stores = Stores::open(urls.iter().map(String::as_str), &settings).unwrap();
        let error = blamed(stores.fetch(hash, &locations, &Cache::new().store, &limits()).await);
        assert!(matches!(error, Error::Location(_)), "{target}: {error:?}");
        assert_eq!(redirecting.requests().len(), 1, "{target}");
    }
    assert!(secret.requests().is_empty());
}

#[tokio::test]
async fn all_that_failed_is_named() {
    let bytes = artifact(10);
    let liar = Server::honest(artifact(11)).await;
    let absent = Server::start(|_, answer| answer.reply("404 Not Found", "", b"")).await;
    let stores = open(&[&absent.url(), &liar.url()]);
    let hash = ContentHash::of(&bytes);
    let result =
        stores.fetch(hash, &[location("http://127.0.0.1:1024/")], &Cache::new().store, &limits()).await;
    let text = result.as_ref().unwrap_err().to_string();
    assert!(!text.contains('\n') && text.contains(&liar.url()), "{text}");
    let tried = tried(result);
    assert_eq!(tried.len(), 3);
    assert!(
        matches!(tried[0].error, Error::NotFound { .. }) && matches!(tried[1].error, Error::Corrupt { .. })
    );
}
