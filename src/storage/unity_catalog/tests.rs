use super::*;
use crate::{
    databricks::{
        AuthOptions, ConnectionOptions, PatOptions,
        scripted::{Reply, Seen, Server, TOKEN, refusal},
    },
    secret::LiveSecret,
    storage::{CredentialOptions, StoreOptions, Stores},
};
use object_store::{ObjectStoreExt, path::Path};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

const SIG: &str = "c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmE%3D";

fn connections(server: &Server) -> Connections {
    let options = ConnectionOptions {
        host: Some(server.address.clone()),
        auth: AuthOptions::Pat(PatOptions {
            token: LiveSecret::new(TOKEN),
        }),
        ..ConnectionOptions::default()
    };
    Connections::new(&BTreeMap::from([("prod".to_owned(), options)]))
}

fn remote(url: &str) -> Remote {
    match Place::parse(url).unwrap() {
        Place::Remote(remote) => remote,
        local => panic!("{local:?}"),
    }
}

fn vending(server: &Server, url: &str, options: Value) -> Vending {
    let mut options: UnityCatalogOptions = serde_json::from_value(options).unwrap();
    options.connect(&remote(url), &connections(server)).unwrap();
    options.vending().unwrap()
}

fn millis(of: SystemTime) -> u64 {
    of.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_millis()
        .try_into()
        .unwrap()
}

fn keys(number: usize, ends: SystemTime, url: &str) -> Value {
    json!({
        "aws_temp_credentials": { "access_key_id": format!("AKID{number}"), "secret_access_key": "planted", "session_token": "planted-session" },
        "expiration_time": millis(ends), "url": url,
    })
}

/// A workspace with the table `c.s.t` at `s3://lake/t`, whose credentials live `life`.
fn of_table(life: Duration) -> impl Fn(&Seen) -> Reply {
    move |seen| {
        match seen.line().as_str() {
        "GET /api/2.1/unity-catalog/tables/c.s.t" => {
            json!({ "name": "t", "table_type": "EXTERNAL", "table_id": "t-1", "storage_location": "s3://lake/t" }).into()
        }
        "POST /api/2.0/unity-catalog/temporary-table-credentials" => {
            assert_eq!(seen.json(), json!({ "table_id": "t-1", "operation": "READ_WRITE" }));
            keys(seen.number, SystemTime::now() + life, "s3://lake/t").into()
        }
        other => panic!("{other}"),
    }
    }
}

#[tokio::test]
async fn a_tables_keys_sign_and_end_when_the_service_says() {
    let server = Server::start(of_table(Duration::from_secs(3600))).await;
    let source = TableKeys(vending(
        &server,
        "s3://lake/t",
        json!({ "connection": "prod", "table": "c.s.t" }),
    ));
    let lease = source.fetch(Ask::Ahead).await.unwrap();
    assert_eq!(
        (
            lease.credential.key_id.as_str(),
            lease.credential.token.as_deref()
        ),
        ("AKID1", Some("planted-session"))
    );
    let left = lease
        .expires
        .unwrap()
        .duration_since(SystemTime::now())
        .unwrap();
    assert!((3500..=3600).contains(&left.as_secs()), "{left:?}");
    assert!(
        source
            .describe()
            .contains("table=`c.s.t` connection=`prod`"),
        "{}",
        source.describe()
    );
    let shown = format!("{source:?} {lease:?}");
    assert!(!shown.contains("planted"), "{shown}");
}

#[tokio::test]
async fn a_store_asks_for_the_next_ones_before_the_end() {
    // A life shorter than twice the usual margin is renewed after its half.
    let server = Server::start(of_table(Duration::from_millis(1200))).await;
    let bucket = Server::start(|_| Reply::Bytes(200, b"data".to_vec())).await;
    let options = StoreOptions {
        url: Some("s3://lake/t".into()),
        endpoint: Some(bucket.address.clone()),
        allow_http: true,
        credentials: serde_json::from_value::<CredentialOptions>(
            json!({ "type": "unity_catalog", "connection": "prod", "table": "c.s.t" }),
        )
        .unwrap(),
        ..StoreOptions::default()
    };
    let all = BTreeMap::from([("lake".to_owned(), options)]);
    let stores = Stores::connected(&all, &connections(&server)).unwrap();
    let opened = stores.open(&remote("s3://lake/t/part")).unwrap();
    assert!(opened.identity.contains("c.s.t"), "{}", opened.identity);
    assert!(server.seen().is_empty(), "opening asks nobody");
    for _ in 0..12 {
        // The loopback bucket is no real one; what counts is who signed.
        let _ = opened.store.get(&Path::from("t/part")).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let signers: Vec<String> = bucket
        .seen()
        .iter()
        .filter_map(|seen| {
            seen.header("authorization")?
                .split("Credential=")
                .nth(1)?
                .split('/')
                .next()
                .map(str::to_owned)
        })
        .collect();
    assert!(signers.len() >= 12, "{signers:?}");
    let mut distinct = signers.clone();
    distinct.dedup();
    assert!((3..=5).contains(&distinct.len()), "{distinct:?}");
    assert!(
        bucket
            .seen()
            .iter()
            .all(|seen| !format!("{:?}", seen.headers).contains(TOKEN))
    );
    assert!(bucket.seen()[0].header("x-amz-security-token").is_some());
}

#[tokio::test]
async fn a_path_is_the_stores_own_where_none_is_named() {
    let sas = format!("sv=2023-11-03&sr=d&sdd=1&sp=rwdl&se=2999-01-01T00%3A00%3A00Z&sig={SIG}");
    let ends = SystemTime::now() + Duration::from_secs(60);
    let server = Server::start(move |seen| {
        assert_eq!(seen.path, "/api/2.0/unity-catalog/temporary-path-credentials");
        let url = seen.json()["url"].clone();
        json!({ "azure_user_delegation_sas": { "sas_token": sas }, "expiration_time": millis(ends), "url": url }).into()
    })
    .await;
    let of = |url: &str, options: Value| TableSignature(vending(&server, url, options));
    let source = of(
        "abfss://zone@account1.dfs.core.windows.net/lake",
        json!({ "connection": "prod", "operation": "read" }),
    );
    let lease = source.fetch(Ask::Refused).await.unwrap();
    let left = lease
        .expires
        .unwrap()
        .duration_since(SystemTime::now())
        .unwrap();
    assert!(left.as_secs() <= 60, "the earlier of both ends: {left:?}");
    let AzureCredential::SASToken(pairs) = lease.credential.as_ref() else {
        panic!()
    };
    assert!(
        pairs
            .iter()
            .any(|(name, value)| name == "sr" && value == "d")
    );
    let asked = server.seen()[0].json();
    assert_eq!(
        asked,
        json!({ "url": "abfss://zone@account1.dfs.core.windows.net/lake/", "operation": "PATH_READ" })
    );
    let path = "abfss://zone@account1.dfs.core.windows.net/";
    let source = of(
        "az://zone/lake",
        json!({ "connection": "prod", "path": path, "operation": "create_table" }),
    );
    source.fetch(Ask::Ahead).await.unwrap();
    assert_eq!(
        server.seen()[1].json(),
        json!({ "url": path, "operation": "PATH_CREATE_TABLE" })
    );
    let mut nameless: UnityCatalogOptions =
        serde_json::from_value(json!({ "connection": "prod" })).unwrap();
    nameless
        .connect(&remote("az://zone/lake"), &connections(&server))
        .unwrap();
    assert!(nameless.vending().unwrap_err().contains("account"));
}

#[tokio::test]
async fn credentials_that_are_of_no_use_are_told_and_not_used() {
    let hour = SystemTime::now() + Duration::from_secs(3600);
    let table = |kind: &'static str| json!({ "name": "t", "table_type": kind, "table_id": "t-1", "storage_location": "s3://lake/t" });
    let cases: [(&str, Value, Reply, &str, Kind); 7] = [
        (
            "s3://lake/t",
            table("EXTERNAL"),
            keys(0, hour, "s3://lake/other").into(),
            "another place",
            Kind::Unauthorized,
        ),
        (
            "s3://lake",
            table("EXTERNAL"),
            keys(0, hour, "s3://lake/t").into(),
            "set the store's `url` to it",
            Kind::Unauthorized,
        ),
        (
            "s3://lake/t",
            table("MANAGED"),
            keys(0, hour, "s3://lake/t").into(),
            "managed",
            Kind::Unauthorized,
        ),
        (
            "s3://lake/t",
            json!({ "name": "t", "table_type": "EXTERNAL" }),
            keys(0, hour, "").into(),
            "no id",
            Kind::Unauthorized,
        ),
        (
            "s3://lake/t",
            table("EXTERNAL"),
            json!({ "azure_user_delegation_sas": { "sas_token": "planted" } }).into(),
            "a signature of Azure, and the store is in S3",
            Kind::Unauthorized,
        ),
        (
            "s3://lake/t",
            table("EXTERNAL"),
            json!({ "gcp_oauth_token": { "oauth_token": "planted" } }).into(),
            "gcp_oauth_token",
            Kind::Unsupported,
        ),
        (
            "s3://lake/t",
            table("EXTERNAL"),
            refusal(
                403,
                "PERMISSION_DENIED",
                "User does not have EXTERNAL USE SCHEMA on Schema 'c.s'.",
            ),
            "EXTERNAL USE SCHEMA",
            Kind::Unauthorized,
        ),
    ];
    for (url, table, vended, said, kind) in cases {
        let vended = parking_lot::Mutex::new(Some(vended));
        let server = Server::start(move |seen| match seen.method.as_str() {
            "GET" => table.clone().into(),
            _ => vended.lock().take().unwrap_or(Reply::Cut),
        })
        .await;
        let source = TableKeys(vending(
            &server,
            url,
            json!({ "connection": "prod", "table": "c.s.t" }),
        ));
        let error = source.fetch(Ask::Ahead).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let text = format!("{error} {error:?}");
        assert!(
            text.contains(said) && text.contains("connection=`prod`") && !text.contains("planted"),
            "{text}"
        );
    }
}

#[test]
fn a_store_of_a_connection_that_is_not_there_is_not_opened() {
    let options = StoreOptions {
        url: Some("s3://lake/t".into()),
        credentials: serde_json::from_value(
            json!({ "type": "unity_catalog", "connection": "gone" }),
        )
        .unwrap(),
        ..StoreOptions::default()
    };
    let stores = Stores::new(&BTreeMap::from([("lake".to_owned(), options)])).unwrap();
    let error = stores.open(&remote("s3://lake/t")).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("[connections.gone]"), "{error}");
}
