//! Containers of Azurite, a server we did not write. Ignored unless asked for:
//!
//! `ALLUVIUM_AZURITE=http://127.0.0.1:10000 cargo test azurite -- --ignored`, with Azurite started with `--loose`.
//!
//! Past 500 lines: the signing of signatures and policies stands beside the tests.

use super::{Right, open};
use crate::{
    error::Kind,
    secret::LiveSecret,
    storage::{
        AccountKeyOptions, CredentialOptions, Error, Opened, SasOptions, StoreOptions, kind_of,
        ours,
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{Duration, Utc};
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, PutMode, path::Path};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const VERSION: &str = "2021-12-02";

fn mac(text: &str) -> String {
    let mut key = BASE64_STANDARD.decode(KEY).unwrap();
    key.resize(64, 0);
    let padded = |byte: u8| key.iter().map(|k| k ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::digest([padded(0x36), text.as_bytes().to_vec()].concat());
    BASE64_STANDARD.encode(Sha256::digest([padded(0x5c), inner.to_vec()].concat()))
}

/// A container of its own.
struct Container {
    server: String,
    name: String,
}

impl Container {
    async fn create() -> Self {
        let server = std::env::var("ALLUVIUM_AZURITE").expect("the address of Azurite");
        let name = format!("c{}", uuid::Uuid::new_v4().simple());
        let container = Self { server, name };
        container
            .manage(&[("restype", "container")], String::new())
            .await;
        container
    }

    /// A request with the account's key (`SharedKey`).
    async fn manage(&self, query: &[(&str, &str)], body: String) {
        let date = Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let length = if body.is_empty() {
            String::new()
        } else {
            body.len().to_string()
        };
        let mut text = format!(
            "PUT\n\n\n{length}\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{VERSION}\n/{ACCOUNT}/{ACCOUNT}/{}",
            self.name
        );
        let mut sorted = query.to_vec();
        sorted.sort_unstable();
        for (name, value) in sorted {
            write!(text, "\n{name}:{value}").unwrap();
        }
        let mut url = url::Url::parse(&format!("{}/{ACCOUNT}/{}", self.server, self.name)).unwrap();
        url.query_pairs_mut().extend_pairs(query);
        let request = reqwest::Client::new()
            .put(url)
            .header("x-ms-date", date)
            .header("x-ms-version", VERSION)
            .header("content-length", body.len())
            .header(
                "authorization",
                format!("SharedKey {ACCOUNT}:{}", mac(&text)),
            )
            .body(body);
        let answer = request.send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap()
        );
    }

    /// The one stored access policy of the container from now on.
    async fn policy(&self, id: &str, rights: &str) {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><SignedIdentifiers><SignedIdentifier><Id>{id}</Id><AccessPolicy><Start>2020-01-01T00:00:00Z</Start><Expiry>2099-01-01T00:00:00Z</Expiry><Permission>{rights}</Permission></AccessPolicy></SignedIdentifier></SignedIdentifiers>"
        );
        self.manage(&[("restype", "container"), ("comp", "acl")], body)
            .await;
    }

    fn signed(&self, rights: &str, ends: &str, policy: &str) -> String {
        let text = format!(
            "{rights}\n\n{ends}\n/blob/{ACCOUNT}/{}\n{policy}\n\n\n{VERSION}\nc\n\n\n\n\n\n\n",
            self.name
        );
        let mut token = url::form_urlencoded::Serializer::new(String::new());
        token.append_pair("sv", VERSION).append_pair("sr", "c");
        for (name, value) in [("sp", rights), ("se", ends), ("si", policy)] {
            if !value.is_empty() {
                token.append_pair(name, value);
            }
        }
        token.append_pair("sig", &mac(&text)).finish()
    }

    fn for_an_hour(&self, rights: &str) -> String {
        let ends = (Utc::now() + Duration::hours(1)).format("%Y-%m-%dT%H:%M:%SZ");
        self.signed(rights, &ends.to_string(), "")
    }

    fn open(&self, credentials: CredentialOptions) -> Opened {
        let options = StoreOptions {
            credentials,
            endpoint: Some(format!("{}/{ACCOUNT}", self.server)),
            allow_http: true,
            ..StoreOptions::default()
        };
        open("lake", &self.name, None, &options).unwrap()
    }

    fn sas(&self, token: &str) -> Opened {
        self.open(CredentialOptions::Sas(SasOptions {
            token: LiveSecret::new(token),
        }))
    }
}

fn refused(result: object_store::Result<()>) -> Result<(), (Kind, String, Option<String>)> {
    result.map_err(|error| {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("sig="), "{shown}");
        match ours(&error) {
            Some(Error::Answer { message, right, .. }) => {
                (kind_of(&error), message.clone(), right.clone())
            }
            _ => (kind_of(&error), error.to_string(), None),
        }
    })
}

/// Everything we do with a container.
async fn use_all(opened: &Opened) -> Vec<(Right, Result<(), (Kind, String, Option<String>)>)> {
    let store = &opened.store;
    let path = Path::from("t/_delta_log/base.json");
    let new = Path::from(format!("t/{}", uuid::Uuid::new_v4()));
    let create = store
        .put_opts(&new, "x".into(), PutMode::Create.into())
        .await
        .map(drop);
    let overwrite = store.put(&path, "x".into()).await.map(drop);
    let parts = async {
        let mut upload = store.put_multipart(&Path::from("t/parts")).await?;
        upload.put_part("one".into()).await?;
        upload.put_part("two".into()).await?;
        upload.complete().await.map(drop)
    };
    let parts = parts.await;
    let get = store.get(&path).await.map(drop);
    let head = store.head(&path).await.map(drop);
    let list = store
        .list(Some(&Path::from("t")))
        .try_collect::<Vec<_>>()
        .await
        .map(drop);
    let level = store.list_with_delimiter(None).await.map(drop);
    let delete = store.delete(&Path::from("t/gone")).await.map(drop);
    [
        (Right::Write, create),
        (Right::Write, overwrite),
        (Right::Write, parts),
        (Right::Read, get),
        (Right::Read, head),
        (Right::List, list),
        (Right::List, level),
        (Right::Delete, delete),
    ]
    .map(|(right, result)| (right, refused(result)))
    .into()
}

#[tokio::test]
#[ignore = "needs Azurite"]
async fn azurite_each_missing_letter_is_named_by_us_or_from_the_answer() {
    let container = Container::create().await;
    let whole = container.sas(&container.for_an_hour("rwdl"));
    for path in ["t/_delta_log/base.json", "t/gone"] {
        whole
            .store
            .put(&Path::from(path), "x".into())
            .await
            .unwrap();
    }
    for (right, result) in use_all(&whole).await {
        assert_eq!(result, Ok(()), "{right:?}");
    }
    for missing in Right::ALL {
        let kept: String = "rwdl".chars().filter(|c| *c != missing.letter()).collect();
        // Once `sp` tells us; once only the service knows, from its stored access policy.
        container.policy("p", &kept).await;
        for told in [container.for_an_hour(&kept), container.signed("", "", "p")] {
            let known = told.contains("sp=");
            for (right, result) in use_all(&container.sas(&told)).await {
                // A writer is refused at once for all that it will need.
                let needed = match right {
                    Right::Write if known => Right::TO_WRITE,
                    Right::Delete if known => Right::TO_DELETE,
                    _ => &[right][..],
                };
                if !needed.contains(missing) {
                    assert!(
                        result.is_ok() || right == Right::Delete,
                        "{kept} {right:?}: {result:?}"
                    );
                    continue;
                }
                let (kind, message, named) = result.unwrap_err();
                assert_eq!(kind, Kind::Unauthorized, "{message}");
                let named = named.unwrap_or_else(|| panic!("{kept} {right:?}: {message}"));
                assert!(
                    named.contains(missing.letter()),
                    "{kept} {right:?}: {named} {message}"
                );
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs Azurite"]
async fn azurite_ended_tampered_and_revoked_signatures_are_not_accepted() {
    let container = Container::create().await;
    container.policy("one", "rwdl").await;
    let good = container.signed("rwdl", "", "one");
    for (_, result) in use_all(&container.sas(&good)).await {
        assert!(
            result.is_ok()
                || result
                    .as_ref()
                    .is_err_and(|e| e.1.contains("BlobNotFound") || e.1.contains("404")),
            "{result:?}"
        );
    }
    let of_another = container
        .signed("rwdl", "2099-01-01T00:00:00Z", "")
        .replace("2099", "2098");
    container.policy("two", "rwdl").await;
    for token in [good.as_str(), of_another.as_str()] {
        let opened = container.sas(token);
        for (right, result) in use_all(&opened).await {
            let (kind, message, named) = result.unwrap_err();
            assert_eq!(kind, Kind::Unauthorized);
            assert_eq!(named, None);
            assert!(message.contains("not accepted"), "{right:?}: {message}");
        }
        // Each refusal asks for another credential, at a growing distance; the same one comes.
        assert!(opened.credentials.unwrap().generation() >= 2);
    }
}

#[tokio::test]
#[ignore = "needs Azurite"]
async fn azurite_a_new_signature_in_the_file_is_taken_up_without_a_failure() {
    let container = Container::create().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sas");
    let opened = container.open(CredentialOptions::Sas(SasOptions {
        token: LiveSecret::new(&format!("file:{}", file.display())),
    }));
    let mut upload = None;
    for n in 0..3 {
        container.policy(&format!("p{n}"), "rwdl").await;
        std::fs::write(&file, container.signed("", "", &format!("p{n}"))).unwrap();
        for (right, result) in use_all(&opened).await {
            assert!(
                result.is_ok() || right == Right::Delete,
                "{n} {right:?}: {result:?}"
            );
        }
        // An upload goes on over the change.
        if upload.is_none() {
            upload = Some(
                opened
                    .store
                    .put_multipart(&Path::from("t/long"))
                    .await
                    .unwrap(),
            );
        }
        upload
            .as_mut()
            .unwrap()
            .put_part(format!("{n}").into())
            .await
            .unwrap();
    }
    upload.unwrap().complete().await.unwrap();
    let long = opened
        .store
        .get(&Path::from("t/long"))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(long, "012");
}

#[tokio::test]
#[ignore = "needs Azurite"]
async fn azurite_commits_are_created_once_and_lists_begin_after_their_offset() {
    let container = Container::create().await;
    let key = CredentialOptions::AccountKey(AccountKeyOptions {
        key: LiveSecret::new(KEY),
    });
    let opened = container.open(key);
    let store = &opened.store;
    let path = |n: u32| Path::from(format!("t/_delta_log/{n:020}.json"));
    let racing = (0..16).map(|_| async {
        store
            .put_opts(&path(0), "x".into(), PutMode::Create.into())
            .await
    });
    let results = futures::future::join_all(racing).await;
    let won = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(won, 1);
    for result in results {
        assert!(
            matches!(
                result,
                Ok(_) | Err(object_store::Error::AlreadyExists { .. })
            ),
            "{result:?}"
        );
    }
    for n in 1..5 {
        store.put(&path(n), "x".into()).await.unwrap();
    }
    let prefix = Path::from("t/_delta_log");
    let after = store
        .list_with_offset(Some(&prefix), &path(2))
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    let after: Vec<Path> = after.into_iter().map(|object| object.location).collect();
    assert_eq!(after, [path(3), path(4)]);
    assert!(matches!(
        store.get(&path(9)).await,
        Err(object_store::Error::NotFound { .. })
    ));
    let gone = futures::StreamExt::boxed(futures::stream::iter(
        (0..5).map(path).map(Ok).collect::<Vec<_>>(),
    ));
    assert_eq!(
        store
            .delete_stream(gone)
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
            .len(),
        5
    );
    let missing = container_of_nobody(&container)
        .store
        .put(&path(0), "x".into())
        .await
        .unwrap_err();
    assert!(
        missing.to_string().contains("no such container"),
        "{missing}"
    );
}

fn container_of_nobody(container: &Container) -> Opened {
    let nobody = Container {
        server: container.server.clone(),
        name: "nobody".into(),
    };
    nobody.open(CredentialOptions::AccountKey(AccountKeyOptions {
        key: LiveSecret::new(KEY),
    }))
}

/// A landing zone's service over a container of Azurite: one signature at a time, by one stored access policy.
struct Zone {
    container: Container,
    life: Duration,
    state: tokio::sync::Mutex<(u32, chrono::DateTime<Utc>)>,
    refreshes: std::sync::atomic::AtomicU32,
}

impl Zone {
    async fn answer(&self, method: &str, query: &str) -> (u16, String) {
        let mut state = self.state.lock().await;
        let refresh = query == "type=dlz&action=refresh";
        if refresh && method != "POST" {
            return (405, String::new());
        }
        assert!(refresh || query == "type=dlz", "{query}");
        if refresh {
            self.refreshes
                .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        if refresh || state.0 == 0 || Utc::now() >= state.1 {
            state.0 += 1;
            self.container
                .policy(&format!("dlz-{}", state.0), "racwdl")
                .await;
            state.1 = Utc::now() + self.life;
        }
        let body = serde_json::json!({
            "containerName": self.container.name,
            "SASToken": self.container.signed("", "", &format!("dlz-{}", state.0)),
            "storageAccountName": ACCOUNT,
            "expiryDate": state.1.to_rfc3339(),
        });
        (200, body.to_string())
    }

    async fn serve(self: std::sync::Arc<Self>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!(
            "http://{}/credentials?type=dlz",
            listener.local_addr().unwrap()
        );
        let router = axum::Router::new().fallback(async move |request: axum::extract::Request| {
            let query = request.uri().query().unwrap_or_default();
            let (status, body) = self.answer(request.method().as_str(), query).await;
            (axum::http::StatusCode::from_u16(status).unwrap(), body)
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}

#[tokio::test]
#[ignore = "needs Azurite"]
async fn azurite_two_daemons_on_a_landing_zone_write_across_every_refresh() {
    use crate::storage::{LandingZoneOptions, RefreshMethod};
    let container = Container::create().await;
    let (server, name) = (container.server.clone(), container.name.clone());
    let zone = std::sync::Arc::new(Zone {
        container,
        life: Duration::seconds(5),
        state: tokio::sync::Mutex::new((0, Utc::now())),
        refreshes: Default::default(),
    });
    let address = zone.clone().serve().await;
    let container = Container { server, name };
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(40);
    let daemons = (0..2).map(|daemon| {
        let opened = container.open(CredentialOptions::LandingZone(Box::new(
            LandingZoneOptions {
                endpoint: address.clone(),
                headers: Default::default(),
                access_token: Some(LiveSecret::new("token")),
                token_url: None,
                client_id: None,
                client_secret: None,
                scopes: Vec::new(),
                refresh: true,
                refresh_method: RefreshMethod::Post,
                margin_seconds: 2.0,
            },
        )));
        tokio::spawn(async move {
            let (mut written, mut failed) = (0, Vec::new());
            let mut upload = opened
                .store
                .put_multipart(&Path::from(format!("long-{daemon}")))
                .await
                .unwrap();
            while tokio::time::Instant::now() < until {
                let path = Path::from(format!("t/{daemon}/{written:06}"));
                match opened
                    .store
                    .put_opts(&path, "x".into(), PutMode::Create.into())
                    .await
                {
                    Ok(_) => written += 1,
                    Err(error) => failed.push(error.to_string()),
                }
                if written % 50 == 0 {
                    upload.put_part("part".into()).await.unwrap();
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            upload.complete().await.unwrap();
            (written, failed)
        })
    });
    let mut written = 0;
    for daemon in daemons.collect::<Vec<_>>() {
        let (count, failed) = daemon.await.unwrap();
        assert!(
            failed.is_empty(),
            "{count} written, {} failed: {:?}",
            failed.len(),
            &failed[..1]
        );
        written += count;
    }
    let key = CredentialOptions::AccountKey(AccountKeyOptions {
        key: LiveSecret::new(KEY),
    });
    let store = container.open(key).store;
    let found = store
        .list(Some(&Path::from("t")))
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    assert_eq!(found.len(), written);
    let issued = zone.state.lock().await.0;
    let refreshes = zone.refreshes.load(std::sync::atomic::Ordering::SeqCst);
    eprintln!("{written} written under {issued} signatures, {refreshes} refreshes");
    assert!(issued >= 10, "{issued}");
    assert!(
        refreshes < issued * 2,
        "{refreshes} refreshes for {issued} signatures"
    );
}
