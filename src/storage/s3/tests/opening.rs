//! Options that are refused without asking anybody, and where a bucket is looked for.

use super::*;
use crate::storage::{ProfileOptions, SasOptions};

fn refused(options: StoreOptions) -> String {
    let error = open("lake", "bucket", &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Config, "{error}");
    let text = error.to_string();
    assert!(text.contains("store=`lake`"), "{text}");
    text
}

fn with(credentials: CredentialOptions) -> StoreOptions {
    StoreOptions {
        credentials,
        ..StoreOptions::default()
    }
}

fn a_role(change: impl FnOnce(&mut AssumeRoleOptions)) -> StoreOptions {
    let mut role = AssumeRoleOptions {
        role_arn: ROLE.into(),
        external_id: None,
        session_name: "alluvium".into(),
        duration_seconds: 3_600,
        sts_endpoint: None,
        sts_region: None,
        source: keys("AKIDROOT"),
    };
    change(&mut role);
    with(CredentialOptions::AssumeRole(Box::new(role)))
}

#[test]
fn what_contradicts_itself_is_refused_at_once() {
    let sas = SasOptions {
        token: LiveSecret::new("planted"),
    };
    let inner = |duration| {
        a_role(|role| {
            role.source = a_role(|_| {}).credentials;
            role.duration_seconds = duration;
        })
    };
    let cases = [
        (with(CredentialOptions::Sas(sas)), "for Azure"),
        (with(keys("<YOUR-KEY>")), "not an access key's id"),
        (a_role(|role| role.role_arn = "lake".into()), "not the ARN"),
        (
            a_role(|role| role.session_name = "a b".into()),
            "session_name=`a b`",
        ),
        (
            a_role(|role| role.external_id = Some("<x>".into())),
            "external_id",
        ),
        (a_role(|role| role.duration_seconds = 60), "900 to 43200"),
        (inner(7_200), "role chaining"),
        (
            a_role(|role| role.sts_endpoint = Some("http://sts".into())),
            "`allow_http`",
        ),
        (
            with(CredentialOptions::Profile(ProfileOptions {
                config_file: Some("/nowhere/config".into()),
                ..ProfileOptions::default()
            })),
            "/nowhere/config",
        ),
        (
            with(CredentialOptions::WebIdentity(WebIdentityOptions {
                role_arn: Some(ROLE.into()),
                token_file: Some("/nowhere/token".into()),
                ..WebIdentityOptions::default()
            })),
            "/nowhere/token",
        ),
        (
            StoreOptions {
                endpoint: Some("http://localhost:9000".into()),
                ..with(keys("AKID"))
            },
            "`allow_http`",
        ),
        (
            StoreOptions {
                endpoint: Some("https://user:planted@host".into()),
                ..with(keys("AKID"))
            },
            "`endpoint` holds a user or password",
        ),
        (
            StoreOptions {
                kms_key_id: Some("k".into()),
                ..with(keys("AKID"))
            },
            "`kms_key_id` needs",
        ),
        (
            StoreOptions {
                bucket_key: Some(true),
                encryption: Some(Encryption::SseS3),
                ..with(keys("AKID"))
            },
            "`bucket_key` needs",
        ),
        (
            StoreOptions {
                account: Some("a".into()),
                ..with(keys("AKID"))
            },
            "`account` is for Azure",
        ),
        (
            StoreOptions {
                region: Some("Frankfurt".into()),
                ..with(keys("AKID"))
            },
            "`region` is",
        ),
        (
            StoreOptions {
                path_style: Some(false),
                endpoint: Some("https://10.0.0.1:9000".into()),
                ..with(keys("AKID"))
            },
            "`path_style = true`",
        ),
        (
            StoreOptions {
                connect_timeout_seconds: -1.0,
                ..with(keys("AKID"))
            },
            "connect_timeout_seconds",
        ),
    ];
    for (options, part) in cases {
        let text = refused(options);
        assert!(text.contains(part), "{part} is not in {text}");
        assert!(!text.contains("planted"), "{text}");
    }
    assert!(open("lake", "bucket", &inner(3_600)).is_ok());
    assert!(
        open(
            "lake",
            "bucket",
            &a_role(|role| role.duration_seconds = 43_200)
        )
        .is_ok()
    );
}

/// Where a client of these options sends its requests, by the URL it signs.
async fn address(bucket: &str, change: impl FnOnce(&mut StoreOptions)) -> String {
    let mut options = with(keys("AKID"));
    options.region = Some("eu-central-1".into());
    change(&mut options);
    let place = crate::storage::s3::open::place(bucket, &options.region.clone().unwrap(), &options);
    let place = place.unwrap();
    format!("{:?} {}", place.endpoint, place.virtual_hosted)
}

#[tokio::test]
async fn buckets_are_hosts_of_their_own_where_that_works() {
    assert_eq!(address("bucket", |_| {}).await, "None true");
    assert_eq!(address("my.bucket", |_| {}).await, "None false");
    let local = |options: &mut StoreOptions| options.endpoint = Some("https://minio:9000/".into());
    assert_eq!(
        address("bucket", local).await,
        "Some(\"https://minio:9000\") false"
    );
    let hosted = |options: &mut StoreOptions| {
        local(options);
        options.path_style = Some(false);
    };
    assert_eq!(
        address("bucket", hosted).await,
        "Some(\"https://bucket.minio:9000\") true"
    );
    let china = |options: &mut StoreOptions| options.region = Some("cn-north-1".into());
    assert_eq!(
        address("bucket", china).await,
        "Some(\"https://bucket.s3.cn-north-1.amazonaws.com.cn\") true"
    );
}
