//! The sources of credentials, and what opening a container refuses.

use super::{
    account_key::AccountKey,
    entra::Entra,
    environment::Variables,
    managed_identity::ManagedIdentity,
    open::open_with,
    signature::GivenSignature,
    testing::{Service, answer, serve},
};
use crate::{
    error::Kind,
    secret::LiveSecret,
    storage::{
        CredentialOptions, EntraOptions, Error, ManagedIdentityOptions, SasOptions, StoreOptions,
        credentials::{Ask, Clock, Source},
    },
};
use object_store::azure::AzureCredential;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SIG: &str = "sig=zVQfmuElZJzOKkUk8z5lChrJ3YQUE2h6EShDZOsVeMc%3D";
const NONE: EntraOptions = EntraOptions {
    tenant_id: None,
    client_id: None,
    client_secret: None,
    federated_token_file: None,
    authority: None,
};

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_751_716_800)
}

fn clock() -> Clock {
    Clock::new(noon)
}

fn bearer(credential: &AzureCredential) -> &str {
    match credential {
        AzureCredential::BearerToken(token) => token,
        _ => panic!("not a bearer token"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_proves_itself_by_a_secret_or_a_token_read_anew() {
    let issuer = Service::new(|_| {
        answer(
            200,
            r#"{"access_token":"t","token_type":"Bearer","expires_in":3599}"#,
        )
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let variables = Variables::of(&[("AZURE_TENANT_ID", "ten"), ("AZURE_CLIENT_ID", "cli")]);
    let by_secret = EntraOptions {
        client_secret: Some(LiveSecret::new("se+cret")),
        ..NONE
    };
    let by_token = EntraOptions {
        federated_token_file: Some(file.clone()),
        authority: Some("https://login.microsoftonline.us/".into()),
        ..NONE
    };
    let source = Entra::new(issuer.http(), &by_secret, &variables, clock()).unwrap();
    let lease = source.fetch(Ask::Ahead).await.unwrap();
    assert_eq!(bearer(&lease.credential), "t");
    assert_eq!(lease.expires, Some(noon() + Duration::from_secs(3_599)));
    assert!(!format!("{source:?}").contains("se+cret"));

    let source = Entra::new(issuer.http(), &by_token, &variables, clock()).unwrap();
    let error = source.fetch(Ask::Ahead).await.unwrap_err();
    assert_eq!(
        error.kind(),
        Kind::Unavailable,
        "the file may come: {error}"
    );
    for jwt in ["one", "two"] {
        std::fs::write(&file, jwt).unwrap();
        source.fetch(Ask::Ahead).await.unwrap();
    }
    let asked = issuer.asked();
    assert_eq!(
        asked[0].url,
        "https://login.microsoftonline.com/ten/oauth2/v2.0/token"
    );
    assert_eq!(
        asked[0].body,
        "grant_type=client_credentials&client_id=cli&scope=https%3A%2F%2Fstorage.azure.com%2F.default&client_secret=se%2Bcret"
    );
    assert_eq!(
        asked[1].url,
        "https://login.microsoftonline.us/ten/oauth2/v2.0/token"
    );
    assert!(
        asked[1]
            .body
            .contains("client_assertion=one&client_assertion_type=urn"),
        "{}",
        asked[1].body
    );
    assert!(
        asked[2].body.contains("client_assertion=two&"),
        "{}",
        asked[2].body
    );
}

#[tokio::test(start_paused = true)]
async fn what_entra_says_is_told_without_the_secret() {
    let issuer = Service::new(|_| {
        answer(
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret 'planted' provided."}"#,
        )
    });
    let options = EntraOptions {
        tenant_id: Some("ten".into()),
        client_id: Some("cli".into()),
        client_secret: Some(LiveSecret::new("planted")),
        ..NONE
    };
    let source = Entra::new(issuer.http(), &options, &Variables::of(&[]), clock()).unwrap();
    let error = source.fetch(Ask::Ahead).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    let text = error.to_string();
    assert!(
        text.contains("AADSTS7000215") && text.contains("status=`401`"),
        "{text}"
    );
    assert!(!text.contains("planted"), "{text}");
}

#[test]
fn options_of_entra_that_cannot_work_are_refused() {
    let whole = EntraOptions {
        tenant_id: Some("ten".into()),
        client_id: Some("cli".into()),
        client_secret: Some(LiveSecret::new("s")),
        ..NONE
    };
    let http = EntraOptions {
        authority: Some("http://login.example".into()),
        ..whole.clone()
    };
    let path = EntraOptions {
        tenant_id: Some("a/../b".into()),
        ..whole.clone()
    };
    let both = EntraOptions {
        federated_token_file: Some("/t".into()),
        ..whole.clone()
    };
    let neither = EntraOptions {
        client_secret: None,
        ..whole.clone()
    };
    let nobody = EntraOptions {
        client_id: None,
        ..whole
    };
    for (options, told) in [
        (http, "https only"),
        (path, "tenant"),
        (both, "not both"),
        (neither, "AZURE_FEDERATED_TOKEN_FILE"),
        (nobody, "AZURE_CLIENT_ID"),
    ] {
        let service = Service::new(|_| answer(500, ""));
        let error = Entra::new(service.http(), &options, &Variables::of(&[]), clock()).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[tokio::test]
async fn machines_and_apps_are_asked_as_azure_wants_it() {
    let token =
        r#"{"access_token":"m","expires_on":"1751720400","resource":"https://storage.azure.com/"}"#;
    let (address, served) = serve(vec![
        (429, ""),
        (200, token),
        (200, token),
        (
            400,
            r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
        ),
    ])
    .await;
    let options = ManagedIdentityOptions {
        client_id: Some("cli".into()),
        endpoint: Some(address.clone()),
    };
    let machine = ManagedIdentity::new(&options, &Variables::of(&[]), clock()).unwrap();
    let lease = machine.fetch(Ask::Ahead).await.unwrap();
    assert_eq!(bearer(&lease.credential), "m");
    assert_eq!(lease.expires, Some(noon() + Duration::from_secs(3_600)));

    let endpoint = format!("{address}/msi/token");
    let variables = Variables::of(&[
        ("IDENTITY_ENDPOINT", &endpoint),
        ("IDENTITY_HEADER", "planted"),
    ]);
    let app =
        ManagedIdentity::new(&ManagedIdentityOptions::default(), &variables, clock()).unwrap();
    app.fetch(Ask::Ahead).await.unwrap();
    let error = app.fetch(Ask::Ahead).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(error.to_string().contains("Identity not found"), "{error}");
    assert!(!format!("{error} {app:?}").contains("planted"));

    let asked = served.await.unwrap();
    let get = "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F&client_id=cli HTTP/1.1\r\n";
    assert!(
        asked[1].starts_with(get) && asked[1].contains("metadata: true"),
        "{}",
        asked[1]
    );
    assert!(
        asked[2].starts_with("GET /msi/token?api-version=2019-08-01&"),
        "{}",
        asked[2]
    );
    assert!(
        asked[2].contains("x-identity-header: planted") && !asked[2].contains("metadata: true"),
        "{}",
        asked[2]
    );
}

#[test]
fn an_identity_endpoint_without_its_header_is_refused() {
    let variables = Variables::of(&[("IDENTITY_ENDPOINT", "http://127.0.0.1:40342/x")]);
    let error =
        ManagedIdentity::new(&ManagedIdentityOptions::default(), &variables, clock()).unwrap_err();
    assert!(error.to_string().contains("Arc"), "{error}");
}

#[tokio::test]
async fn a_signature_is_read_anew_and_must_be_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sas");
    let source = GivenSignature {
        token: LiveSecret::new(&format!("file:{}", file.display())),
        account: "acc".into(),
        container: "lake".into(),
        plain_http: false,
        clock: clock(),
    };
    let fetch = async |text: &str| {
        std::fs::write(&file, text).unwrap();
        source.fetch(Ask::Refused).await
    };
    let lease = fetch(&format!("?sv=1&sr=c&sp=rl&se=2025-07-05T13:00Z&{SIG}\n"))
        .await
        .unwrap();
    assert_eq!(lease.expires, Some(noon() + Duration::from_secs(3_600)));
    let place = "https://acc.blob.core.windows.net/lake";
    assert!(
        fetch(&format!("{place}?sv=1&sr=c&{SIG}"))
            .await
            .unwrap()
            .expires
            .is_none()
    );
    for (text, kind, told) in [
        (
            format!("https://other.blob.core.windows.net/lake?sv=1&sr=c&{SIG}"),
            Kind::Unauthorized,
            "another account",
        ),
        (
            format!("https://acc.blob.core.windows.net/pond?sv=1&sr=c&{SIG}"),
            Kind::Unauthorized,
            "another container",
        ),
        (format!("sv=1&sr=b&{SIG}"), Kind::Unauthorized, "sr=`c`"),
        (
            format!("sv=1&sr=c&se=2025-07-05T11:00Z&{SIG}"),
            Kind::Unauthorized,
            "has ended",
        ),
        ("planted".into(), Kind::Unauthorized, "no `sig`"),
    ] {
        let error = fetch(&text).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(told), "{error}");
        assert!(
            !error.to_string().contains("planted") && !error.to_string().contains("zVQ"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_account_key_that_is_none_is_not_quoted() {
    let error = AccountKey(LiveSecret::new("planted!"))
        .fetch(Ask::Ahead)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(!error.to_string().contains("planted"), "{error}");
    assert!(
        AccountKey(LiveSecret::new("cGxhbnRlZA=="))
            .fetch(Ask::Ahead)
            .await
            .is_ok()
    );
}

fn sas(token: &str) -> StoreOptions {
    StoreOptions {
        credentials: CredentialOptions::Sas(SasOptions {
            token: LiveSecret::new(token),
        }),
        ..StoreOptions::default()
    }
}

#[tokio::test]
async fn opening_asks_nobody_and_finds_the_account() {
    let open =
        |account: Option<&str>, options: &StoreOptions, variables: &[(&'static str, &str)]| {
            open_with(
                "lake",
                "c1",
                account,
                options,
                &Variables::of(variables),
                clock(),
            )
        };
    let token = format!("sv=1&sr=c&sp=rl&{SIG}");
    let uri = format!("https://acc.blob.core.windows.net/c1?{token}");
    let named = |opened: crate::storage::Opened| opened.store.to_string();
    assert_eq!(
        named(open(Some("acc"), &sas(&token), &[]).unwrap()),
        "azure container c1 of acc"
    );
    assert_eq!(
        named(open(None, &sas(&uri), &[]).unwrap()),
        "azure container c1 of acc"
    );
    let variables = [("AZURE_STORAGE_ACCOUNT_NAME", "acc")];
    assert_eq!(
        named(open(None, &sas(&token), &variables).unwrap()),
        "azure container c1 of acc"
    );
    let emulator = StoreOptions {
        endpoint: Some("http://127.0.0.1:10000/devstoreaccount1".into()),
        allow_http: true,
        ..sas(&token)
    };
    assert_eq!(
        named(open(None, &emulator, &[]).unwrap()),
        "azure container c1 of devstoreaccount1"
    );
    let gov = StoreOptions {
        endpoint: Some("https://acc.blob.core.usgovcloudapi.net/".into()),
        ..sas(&token)
    };
    let opened = open(None, &gov, &[]).unwrap();
    assert_eq!(opened.identity, "shared access signature sr=`c` sp=`rl`");
    assert_eq!(named(opened), "azure container c1 of acc");

    let region = StoreOptions {
        region: Some("westeurope".into()),
        ..sas(&token)
    };
    let http = StoreOptions {
        allow_http: false,
        ..emulator.clone()
    };
    let query = StoreOptions {
        endpoint: Some("https://h/?sig=planted".into()),
        ..sas(&token)
    };
    let https = StoreOptions {
        credentials: sas(&format!("{token}&spr=https")).credentials,
        ..emulator
    };
    for (account, options, told) in [
        (None, sas(&token), "set `account`"),
        (Some("Acc"), sas(&token), "lower-case"),
        (Some("acc"), region, "`region` is for S3"),
        (None, http, "allow_http"),
        (Some("acc"), query, "query"),
        (None, https, "https only"),
        (Some("other"), sas(&uri), "another account"),
        (Some("acc"), sas("sv=1"), "no `sig`"),
    ] {
        let error = open(account, &options, &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "{error}");
        let text = error.to_string();
        assert!(text.contains(told) && !text.contains("planted"), "{text}");
    }
    assert!(matches!(
        super::open("lake", "c1", Some("acc"), &sas("sv=1")),
        Err(Error::InvalidStore { .. })
    ));
}

#[tokio::test]
async fn a_request_the_signature_is_no_good_for_is_not_sent() {
    use object_store::{ObjectStoreExt, path::Path};
    // Nothing listens there: a request would fail otherwise.
    let options = StoreOptions {
        endpoint: Some("http://127.0.0.1:1/devstoreaccount1".into()),
        allow_http: true,
        ..sas(&format!("sv=1&sr=c&sp=rl&{SIG}"))
    };
    let opened = open_with("lake", "c1", None, &options, &Variables::of(&[]), clock()).unwrap();
    let path = Path::from("t/_delta_log/0.json");
    let error = opened.store.put(&path, "x".into()).await.unwrap_err();
    let Some(Error::Answer { right, message, .. }) = crate::storage::ours(&error) else {
        panic!("{error}")
    };
    assert_eq!(right.as_deref(), Some("sp w"));
    assert!(message.contains("`w` (to upload"), "{message}");
    let error = opened.store.delete(&path).await.unwrap_err();
    let Some(Error::Answer { right, .. }) = crate::storage::ours(&error) else {
        panic!("{error}")
    };
    assert_eq!(right.as_deref(), Some("sp dw"));
}

#[tokio::test]
async fn a_landing_zone_names_the_account_that_the_url_does_not() {
    use crate::storage::{LandingZoneOptions, RefreshMethod};
    use object_store::{ObjectStoreExt, path::Path};
    let reply = r#"{"containerName":"c1","storageAccountName":"acc","expiryDate":"2025-07-06","SASToken":"sv=1&sr=c&sp=racwdlm&sig=zVQfmuElZJzOKkUk8z5lChrJ3YQUE2h6EShDZOsVeMc%3D"}"#;
    let (address, served) = serve(vec![
        (200, reply),
        (404, "<Error><Code>BlobNotFound</Code></Error>"),
    ])
    .await;
    let options = StoreOptions {
        // Neither host nor path names an account.
        endpoint: Some(address.clone()),
        allow_http: true,
        credentials: CredentialOptions::LandingZone(Box::new(LandingZoneOptions {
            endpoint: format!("{address}/credentials"),
            headers: Default::default(),
            access_token: Some(LiveSecret::new("planted")),
            token_url: None,
            client_id: None,
            client_secret: None,
            scopes: Vec::new(),
            refresh: false,
            refresh_method: RefreshMethod::Post,
            margin_seconds: 900.0,
        })),
        ..StoreOptions::default()
    };
    let opened = open_with(
        "lake",
        "c1",
        None,
        &options,
        &Variables::of(&[("AZURE_STORAGE_ACCOUNT", "other")]),
        clock(),
    )
    .unwrap();
    assert_eq!(opened.store.to_string(), "azure container c1");
    let error = opened.store.get(&Path::from("t/x")).await.unwrap_err();
    assert!(
        matches!(error, object_store::Error::NotFound { .. }),
        "{error}"
    );
    let asked = served.await.unwrap();
    assert!(
        asked[0].starts_with("GET /credentials HTTP/1.1"),
        "{}",
        asked[0]
    );
    // The signature as it came, `sig` to the byte.
    let get = "GET /c1/t/x?sv=1&sr=c&sp=racwdlm&sig=zVQfmuElZJzOKkUk8z5lChrJ3YQUE2h6EShDZOsVeMc%3D HTTP/1.1";
    assert!(asked[1].starts_with(get), "{}", asked[1]);
}
