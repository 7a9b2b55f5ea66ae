//! Which store serves a place, and how often it is opened.

use super::*;
use crate::storage::testing;
use object_store::{ObjectStoreExt, path::Path};
use std::sync::atomic::{AtomicUsize, Ordering};

fn remote(text: &str) -> Remote {
    match Place::parse(text) {
        Ok(Place::Remote(remote)) => remote,
        other => panic!("{text}: {other:?}"),
    }
}

fn options(url: &str) -> StoreOptions {
    StoreOptions {
        url: Some(url.into()),
        ..StoreOptions::default()
    }
}

fn stores<const N: usize>(stores: [(&str, StoreOptions); N]) -> Stores {
    let stores = stores
        .map(|(name, options)| (name.to_owned(), options))
        .into();
    Stores::opening(&stores, testing::in_memory).unwrap()
}

#[test]
fn the_longest_url_serves() {
    let account = StoreOptions {
        account: Some("acme1".into()),
        ..options("az://zone")
    };
    let stores = stores([
        ("all", options("s3://raw")),
        ("lake", options("s3a://raw/lake/")),
        ("deep", options("s3://raw/lake/t")),
        (
            "named",
            StoreOptions {
                bucket: Some("named".into()),
                ..StoreOptions::default()
            },
        ),
        ("zone", account),
        (
            "gov",
            options("abfss://zone@acme1.dfs.core.usgovcloudapi.net"),
        ),
    ]);
    for (place, name) in [
        ("s3://raw", Some("all")),
        ("s3://raw/lakes", Some("all")),
        ("s3://raw/lake", Some("lake")),
        ("s3a://raw/lake/table", Some("lake")),
        ("s3://raw/lake/t/x", Some("deep")),
        ("s3://named/x", Some("named")),
        ("s3://other", None),
        ("az://zone/x", None),
        ("abfss://zone@acme1.dfs.core.windows.net", Some("zone")),
        ("https://acme1.blob.core.windows.net/zone/x", Some("zone")),
        ("abfss://zone@acme2.dfs.core.windows.net", None),
        (
            "abfss://zone@acme1.dfs.core.usgovcloudapi.net/x",
            Some("gov"),
        ),
    ] {
        let place = remote(place);
        assert_eq!(
            stores.serving(&place).map(|found| found.0),
            name,
            "{}",
            place.url()
        );
    }
    assert_eq!(stores.canonical("az://zone/x"), "az://zone/x/");
    assert_eq!(stores.canonical("s3a://raw/lake"), "s3://raw/lake/");
}

#[test]
fn a_url_without_an_account_takes_that_of_its_store() {
    let url = "https://acme1.blob.core.windows.net/zone";
    let stores = stores([("zone", options(url))]);
    let place = stores.resolved(&remote("az://zone/x")).unwrap();
    assert_eq!(
        place.url().as_str(),
        "abfss://zone@acme1.dfs.core.windows.net/x/"
    );
    assert_eq!(stores.canonical("az://zone/x"), place.url().as_str());
}

#[tokio::test]
async fn a_bucket_is_opened_once_for_each_store() {
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    fn counting(name: &str, place: &Remote, options: &StoreOptions) -> Result<Opened> {
        OPENED.fetch_add(1, Ordering::Relaxed);
        testing::in_memory(name, place, options)
    }
    let two = [
        ("all".to_owned(), options("s3://raw")),
        ("lake".to_owned(), options("s3://raw/lake")),
    ];
    let stores = Stores::opening(&two.into(), counting).unwrap();
    let path = Path::from("x");
    let first = stores.open(&remote("s3://raw/a")).unwrap();
    first.store.put(&path, "x".into()).await.unwrap();
    let again = stores.clone().open(&remote("s3a://raw/b")).unwrap();
    assert!(again.store.head(&path).await.is_ok());
    assert_eq!(OPENED.load(Ordering::Relaxed), 1);
    let other = stores.open(&remote("s3://raw/lake")).unwrap();
    assert!(other.store.head(&path).await.is_err());
    assert_eq!(
        stores.open(&remote("s3://elsewhere")).unwrap().identity,
        BY_ENVIRONMENT
    );
    assert_eq!(OPENED.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn every_store_is_guarded() {
    let stores = stores([("raw", options("s3://raw"))]);
    for place in ["s3://raw", "s3://other", "az://zone"] {
        let store = stores.open(&remote(place)).unwrap().store;
        let path = Path::from("adobe-managed-staging/x");
        assert!(store.put(&path, "x".into()).await.is_err(), "{place}");
    }
}

#[test]
fn what_follows_from_the_place_is_filled_in() {
    let gov = remote("abfss://zone@acme1.dfs.core.usgovcloudapi.net");
    assert_eq!(
        completed(StoreOptions::default(), &gov).endpoint.as_deref(),
        Some("https://acme1.blob.core.usgovcloudapi.net")
    );
    let own = StoreOptions {
        endpoint: Some("https://proxy.example".into()),
        ..StoreOptions::default()
    };
    assert_eq!(
        completed(own, &gov).endpoint.as_deref(),
        Some("https://proxy.example")
    );
    let public = remote("abfss://zone@acme1.dfs.core.windows.net");
    assert_eq!(completed(StoreOptions::default(), &public).endpoint, None);
}

#[test]
fn options_that_make_no_store_are_refused() {
    let stores = [("raw".to_owned(), StoreOptions::default())].into();
    let error = Stores::new(&stores).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Config);
    assert!(error.to_string().contains("[stores.raw]"), "{error}");
}
