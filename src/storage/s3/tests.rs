//! Against an STS and an S3 of our own on a loopback address: sessions that end after a few requests.
//!
//! Past 500 lines: each way in which a session may end has its test.

mod environment;
mod opening;
mod servers;

use crate::{
    error::Kind,
    secret::LiveSecret,
    storage::{
        self, AssumeRoleOptions, CredentialOptions, Encryption, Opened, StaticKeys, StoreOptions,
        WebIdentityOptions, credentials::Timing, explain::chain, kind_of, ours,
        s3::open::open_with,
    },
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use servers::Servers;
use std::time::Duration;

const ROLE: &str = "arn:aws:iam::123456789012:role/lake";

/// Opens a store that may fetch credentials as often as it likes: sessions here live for milliseconds.
fn open(name: &str, bucket: &str, options: &StoreOptions) -> storage::Result<Opened> {
    let timing = Timing {
        pause: Duration::from_millis(4),
        longest_pause: Duration::from_millis(8),
        ..Timing::default()
    };
    open_with(name, bucket, options, timing)
}

fn keys(id: &str) -> CredentialOptions {
    CredentialOptions::Static(StaticKeys {
        access_key_id: LiveSecret::new(id),
        secret_access_key: LiveSecret::new("planted-secret"),
        session_token: None,
    })
}

fn role(servers: &Servers, source: CredentialOptions) -> AssumeRoleOptions {
    AssumeRoleOptions {
        role_arn: ROLE.into(),
        external_id: Some("outside-7".into()),
        session_name: "night@lake".into(),
        duration_seconds: 3_600,
        sts_endpoint: Some(servers.url.clone()),
        sts_region: Some("eu-west-2".into()),
        source,
    }
}

fn options(servers: &Servers, credentials: CredentialOptions) -> StoreOptions {
    StoreOptions {
        endpoint: Some(servers.url.clone()),
        allow_http: true,
        region: Some("eu-central-1".into()),
        credentials,
        ..StoreOptions::default()
    }
}

fn with_role(servers: &Servers) -> Opened {
    let credentials = CredentialOptions::AssumeRole(Box::new(role(servers, keys("AKIDROOT"))));
    open("lake", "bucket", &options(servers, credentials)).unwrap()
}

#[tokio::test]
async fn a_role_is_assumed_as_the_options_say() {
    let servers = Servers::start(u32::MAX).await;
    let opened = with_role(&servers);
    assert!(servers.sts_calls().is_empty(), "opening asks nobody");
    assert!(opened.identity.contains(ROLE) && opened.identity.contains("AKID…"));
    let shown = format!("{opened:?}");
    assert!(!shown.contains("planted"), "{shown}");
    opened
        .store
        .put(&Path::from("a"), "x".into())
        .await
        .unwrap();
    let calls = servers.sts_calls();
    assert_eq!(calls.len(), 1);
    let form = |name: &str| calls[0].form.get(name).cloned().unwrap_or_default();
    assert_eq!(form("Action"), "AssumeRole");
    assert_eq!(form("RoleArn"), ROLE);
    assert_eq!(form("ExternalId"), "outside-7");
    assert_eq!(form("RoleSessionName"), "night@lake");
    assert_eq!(form("DurationSeconds"), "3600");
    let signed = &calls[0].authorization;
    assert!(signed.contains("Credential=AKIDROOT/"), "{signed}");
    assert!(signed.contains("/eu-west-2/sts/aws4_request"), "{signed}");
}

#[tokio::test]
async fn everything_goes_on_across_sessions_that_end_every_few_requests() {
    let servers = Servers::start(3).await;
    let store = with_role(&servers).store;
    for n in 0..20 {
        let path = Path::from(format!("t/{n:02}"));
        store.put(&path, format!("{n}").into()).await.unwrap();
        assert!(store.head(&path).await.unwrap().size > 0);
    }
    let listed: Vec<_> = store
        .list(Some(&Path::from("t")))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(listed.len(), 20);
    for n in 0..20 {
        let got = store.get(&Path::from(format!("t/{n:02}"))).await.unwrap();
        assert_eq!(got.bytes().await.unwrap(), format!("{n}"));
    }
    let big = Path::from("big");
    let mut upload = store.put_multipart(&big).await.unwrap();
    let parts: Vec<_> = (0..12)
        .map(|n| upload.put_part(Bytes::from(format!("{n},")).into()))
        .collect();
    let stored: Vec<_> = stream::iter(parts).buffered(1).collect().await;
    assert!(stored.iter().all(Result::is_ok), "{stored:?}");
    upload.complete().await.unwrap();
    let got = store.get(&big).await.unwrap().bytes().await.unwrap();
    assert_eq!(got, "0,1,2,3,4,5,6,7,8,9,10,11,");
    let mut upload = store.put_multipart(&big).await.unwrap();
    upload.put_part("x".into()).await.unwrap();
    upload.abort().await.unwrap();
    assert_eq!(servers.uploads(), 0);
    let create = || PutOptions::from(PutMode::Create);
    store
        .put_opts(&Path::from("0.json"), "a".into(), create())
        .await
        .unwrap();
    let second = store
        .put_opts(&Path::from("0.json"), "b".into(), create())
        .await;
    assert!(
        matches!(second, Err(object_store::Error::AlreadyExists { .. })),
        "{second:?}"
    );
    let paths = (0..20).map(|n| Ok(Path::from(format!("t/{n:02}"))));
    let gone: Vec<_> = store
        .delete_stream(stream::iter(paths).boxed())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(gone.len(), 20);
    let sessions = servers.sts_calls().len();
    assert!(sessions >= 20, "{sessions}");
}

#[tokio::test]
async fn many_at_once_share_each_session() {
    let servers = Servers::start(50).await;
    let store = with_role(&servers).store;
    let puts = (0..400).map(|n| {
        let store = store.clone();
        async move {
            let path = Path::from(format!("t/{n}"));
            // One replay each: whoever is refused twice tries again, as the callers of a store do.
            for _ in 0..5 {
                match store.put(&path, "x".into()).await {
                    Ok(_) => return true,
                    Err(error) => assert_eq!(kind_of(&error), Kind::Unauthorized, "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            false
        }
    });
    let done: Vec<bool> = stream::iter(puts).buffer_unordered(16).collect().await;
    assert!(done.iter().all(|done| *done));
    let sessions = servers.sts_calls().len();
    assert!((8..=20).contains(&sessions), "{sessions}");
}

#[tokio::test]
async fn a_chain_of_roles_asks_with_what_the_first_gave() {
    let servers = Servers::start(u32::MAX).await;
    let first = CredentialOptions::AssumeRole(Box::new(role(&servers, keys("AKIDROOT"))));
    let mut second = role(&servers, first);
    second.role_arn = "arn:aws:iam::123456789012:role/second".into();
    second.external_id = None;
    let credentials = CredentialOptions::AssumeRole(Box::new(second));
    let opened = open("lake", "bucket", &options(&servers, credentials)).unwrap();
    opened
        .store
        .put(&Path::from("a"), "x".into())
        .await
        .unwrap();
    let calls = servers.sts_calls();
    assert_eq!(calls.len(), 2);
    assert!(
        calls[1].authorization.contains("Credential=ASIA1/"),
        "{:?}",
        calls[1]
    );
    assert_eq!(calls[1].token.as_deref(), Some("planted-token-1"));
    assert!(!calls[1].form.contains_key("ExternalId"));
}

#[tokio::test]
async fn an_oidc_token_is_read_at_every_fetch_and_not_signed_with() {
    let servers = Servers::start(2).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "planted-jwt-1\n").unwrap();
    let credentials = CredentialOptions::WebIdentity(WebIdentityOptions {
        role_arn: Some(ROLE.into()),
        token_file: Some(file.clone()),
        session_name: None,
        sts_endpoint: Some(servers.url.clone()),
        sts_region: None,
    });
    let opened = open("lake", "bucket", &options(&servers, credentials)).unwrap();
    let path = Path::from("a");
    for _ in 0..2 {
        opened.store.put(&path, "x".into()).await.unwrap();
    }
    std::fs::write(&file, "planted-jwt-2\n").unwrap();
    opened.store.put(&path, "x".into()).await.unwrap();
    let calls = servers.sts_calls();
    let tokens: Vec<&str> = calls
        .iter()
        .map(|call| call.form["WebIdentityToken"].as_str())
        .collect();
    assert_eq!(tokens, ["planted-jwt-1", "planted-jwt-2"]);
    assert!(calls[0].authorization.is_empty());
    assert_eq!(calls[0].form["RoleSessionName"], "alluvium");
    assert!(!format!("{opened:?}{}", opened.identity).contains("planted"));
}

#[tokio::test]
async fn what_sts_refuses_is_told_with_its_remedy_and_heals() {
    let servers = Servers::start(u32::MAX).await;
    servers.sts_refuses(
        "AccessDenied",
        "User: x is not authorized to perform: sts:AssumeRole",
    );
    let opened = with_role(&servers);
    let path = Path::from("a");
    let error = opened.store.put(&path, "x".into()).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(kind_of(&error), Kind::Unauthorized, "{text}");
    for part in [
        "external_id",
        ROLE,
        "AccessDenied",
        "not authorized",
        "AKID…",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!chain(&error).contains("planted"), "{error:?}");
    servers.sts_says("<Response><Errors><Error><Code>AccessDenied</Code><Message>no</Message></Error></Errors></Response>");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let error = opened.store.put(&path, "x".into()).await.unwrap_err();
    assert_eq!(kind_of(&error), Kind::Unauthorized, "{error}");
    assert!(
        error.to_string().contains("code=`AccessDenied` said=`no`"),
        "{error}"
    );
    servers.sts_accepts();
    tokio::time::sleep(Duration::from_millis(50)).await;
    opened.store.put(&path, "x".into()).await.unwrap();
}

#[tokio::test]
async fn an_sts_that_is_down_is_waited_for() {
    let servers = Servers::start(u32::MAX).await;
    let mut role = role(&servers, keys("AKIDROOT"));
    role.sts_endpoint = Some("http://127.0.0.1:9".into());
    let credentials = CredentialOptions::AssumeRole(Box::new(role));
    let opened = open("lake", "bucket", &options(&servers, credentials)).unwrap();
    let error = opened.store.head(&Path::from("a")).await.unwrap_err();
    assert_eq!(kind_of(&error), Kind::Unavailable, "{error}");
    assert!(
        error.to_string().contains("sts=`http://127.0.0.1:9`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_right_is_named_and_asks_sts_for_nothing() {
    let servers = Servers::start(u32::MAX).await;
    let store = with_role(&servers).store;
    let path = Path::from("a/b");
    servers.s3_refuses(
        403,
        "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
    );
    for _ in 0..5 {
        let error = store.put(&path, "x".into()).await.unwrap_err();
        assert_eq!(kind_of(&error), Kind::Unauthorized);
        let text = error.to_string();
        assert!(
            text.contains("s3:PutObject") && text.contains("arn:aws:s3:::bucket/a/b"),
            "{text}"
        );
        assert_eq!(right(&error).as_deref(), Some("s3:PutObject"));
    }
    let error = store.list(None).next().await.unwrap().unwrap_err();
    assert_eq!(right(&error).as_deref(), Some("s3:ListBucket"));
    let error = store.delete(&path).await.unwrap_err();
    assert_eq!(right(&error).as_deref(), Some("s3:DeleteObject"));
    assert!(
        error.to_string().contains("arn:aws:s3:::bucket/a/b"),
        "{error}"
    );
    servers.s3_refuses(403, "<Error><Code>AccessDenied</Code><Message>User: u is not authorized to perform: kms:GenerateDataKey on resource: k because no identity-based policy allows it</Message></Error>");
    let error = store.put(&path, "x".into()).await.unwrap_err();
    assert_eq!(right(&error).as_deref(), Some("kms:GenerateDataKey"));
    assert_eq!(servers.sts_calls().len(), 1);
    servers.s3_refuses(403, "");
    for _ in 0..20 {
        store.head(&path).await.unwrap_err();
    }
    assert_eq!(
        servers.sts_calls().len(),
        2,
        "a bare refusal is looked into once"
    );
}

fn right(error: &object_store::Error) -> Option<String> {
    match ours(error)? {
        storage::Error::Answer { right, .. } => right.clone(),
        _ => None,
    }
}

#[tokio::test]
async fn answers_in_our_words() {
    let servers = Servers::start(u32::MAX).await;
    let store = with_role(&servers).store;
    let cases = [
        (
            400,
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-west-2</Region></Error>",
            "region = \"us-west-2\"",
            Kind::Config,
        ),
        (
            301,
            "<Error><Code>PermanentRedirect</Code><Region>us-west-2</Region></Error>",
            "region = \"us-west-2\"",
            Kind::Config,
        ),
        (
            301,
            "<Error><Code>PermanentRedirect</Code></Error>",
            "get-bucket-location",
            Kind::Config,
        ),
        (
            404,
            "<Error><Code>NoSuchBucket</Code></Error>",
            "no such bucket",
            Kind::Unauthorized,
        ),
        (
            403,
            "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>planted</StringToSign></Error>",
            "secret key does not belong",
            Kind::Unauthorized,
        ),
        (
            403,
            "<Error><Code>RequestTimeTooSkewed</Code><ServerTime>2026-11-21T17:00:00Z</ServerTime></Error>",
            "NTP",
            Kind::Unavailable,
        ),
        (
            400,
            "<Error><Code>KMS.DisabledException</Code></Error>",
            "kms_key_id",
            Kind::Unauthorized,
        ),
        (
            403,
            "<Error><Code>ExpiredToken</Code><Token-0>planted</Token-0></Error>",
            "have ended",
            Kind::Unauthorized,
        ),
    ];
    for (status, body, part, kind) in cases {
        servers.s3_refuses(status, body);
        let error = store.get(&Path::from("a")).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(kind_of(&error), kind, "{error}");
        assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    }
    servers.s3_refuses(501, "<Error><Code>NotImplemented</Code></Error>");
    let create = PutOptions::from(PutMode::Create);
    let error = store
        .put_opts(&Path::from("a"), "x".into(), create)
        .await
        .unwrap_err();
    assert_eq!(kind_of(&error), Kind::Unsupported, "{error}");
    assert!(error.to_string().contains("single_writer"), "{error}");
    servers.s3_refuses(404, "<Error><Code>NoSuchKey</Code></Error>");
    let error = store.get(&Path::from("a")).await.unwrap_err();
    assert!(
        matches!(error, object_store::Error::NotFound { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_conflict_that_wrote_nothing_is_no_object_that_is_there() {
    let servers = Servers::start(u32::MAX).await;
    let store = with_role(&servers).store;
    let path = Path::from("t/0.json");
    for code in ["ConditionalRequestConflict", "OperationAborted"] {
        servers.s3_refuses(409, &format!("<Error><Code>{code}</Code></Error>"));
        let create = PutOptions::from(PutMode::Create);
        let error = store.put_opts(&path, "x".into(), create).await.unwrap_err();
        assert!(
            matches!(error, object_store::Error::Generic { .. }),
            "{error}"
        );
        assert_eq!(kind_of(&error), Kind::Unavailable, "{error}");
        assert!(error.to_string().contains("nothing was done"), "{error}");
    }
    assert_eq!(servers.sts_calls().len(), 1);
}

#[tokio::test]
async fn a_signature_that_does_not_match_is_renewed_but_rarely() {
    let servers = Servers::start(u32::MAX).await;
    let store = with_role(&servers).store;
    let path = Path::from("a");
    store.put(&path, "x".into()).await.unwrap();
    servers.s3_refuses(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>");
    for _ in 0..20 {
        let error = store.get(&path).await.unwrap_err();
        assert!(error.to_string().contains("secret key"), "{error}");
        store.head(&path).await.unwrap_err();
    }
    assert_eq!(servers.sts_calls().len(), 2);
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_told_with_the_cause() {
    let servers = Servers::start(u32::MAX).await;
    let mut options = options(&servers, keys("AKIDROOT"));
    options.endpoint = Some("http://127.0.0.1:9".into());
    let opened = open("lake", "bucket", &options).unwrap();
    let error = opened.store.head(&Path::from("a")).await.unwrap_err();
    assert!(error.to_string().contains("nothing listens"), "{error}");
    assert_eq!(kind_of(&error), Kind::Unavailable);
}

#[tokio::test]
async fn a_refused_static_key_is_read_again_from_its_file() {
    let servers = Servers::start(1).await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let (id, secret, token) = (file("id"), file("secret"), file("token"));
    std::fs::write(&id, "ASIAFILE").unwrap();
    std::fs::write(&secret, "planted-secret").unwrap();
    std::fs::write(&token, "planted-token-a").unwrap();
    servers.knows("ASIAFILE", "planted-token-a");
    let of = |path: &std::path::Path| LiveSecret::new(&format!("file:{}", path.display()));
    let credentials = CredentialOptions::Static(StaticKeys {
        access_key_id: of(&id),
        secret_access_key: of(&secret),
        session_token: Some(of(&token)),
    });
    let opened = open("lake", "bucket", &options(&servers, credentials)).unwrap();
    let path = Path::from("a");
    opened.store.put(&path, "x".into()).await.unwrap();
    let error = opened.store.put(&path, "x".into()).await.unwrap_err();
    assert_eq!(kind_of(&error), Kind::Unauthorized, "{error}");
    std::fs::write(&id, "ASIANEXT").unwrap();
    std::fs::write(&token, "planted-token-b").unwrap();
    servers.knows("ASIANEXT", "planted-token-b");
    tokio::time::sleep(Duration::from_millis(50)).await;
    opened.store.put(&path, "x".into()).await.unwrap();
}

#[tokio::test]
async fn encryption_and_checksums_go_with_what_is_written() {
    let servers = Servers::start(u32::MAX).await;
    let mut options = options(&servers, keys("AKIDROOT"));
    options.encryption = Some(Encryption::SseKms);
    options.kms_key_id = Some("arn:aws:kms:eu-central-1:1:key/k".into());
    options.bucket_key = Some(true);
    options.checksum = storage::Checksum::Sha256;
    let opened = open("lake", "bucket", &options).unwrap();
    opened
        .store
        .put(&Path::from("a"), "x".into())
        .await
        .unwrap();
    let headers = servers.last_put();
    let header = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(
        header("x-amz-server-side-encryption").as_deref(),
        Some("aws:kms")
    );
    let key = header("x-amz-server-side-encryption-aws-kms-key-id");
    assert_eq!(key.as_deref(), Some("arn:aws:kms:eu-central-1:1:key/k"));
    let bucket_key = header("x-amz-server-side-encryption-bucket-key-enabled");
    assert_eq!(bucket_key.as_deref(), Some("true"));
    assert_eq!(
        header("x-amz-checksum-sha256").as_deref(),
        Some("LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=")
    );
}
