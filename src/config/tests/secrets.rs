//! Planted secrets are found nowhere (invariant 7).

use super::*;
use crate::config::show;

const PLANTED: &str = "planted-7f3a9c";

const FILE: &str = r#"
[sources.web]
type = "http"
listen = "127.0.0.1:1"
tls = { cert = "file:/tls.crt", key = "file:/tls.key" }
keys = [{ key = "${KEY}", tables = ["*"] }, { key = "planted-7f3a9c-literal", tables = ["*"] }]
[stores.raw]
bucket = "raw"
[stores.raw.credentials]
type = "assume_role"
role_arn = "arn:aws:iam::123456789012:role/loader"
[stores.raw.credentials.source]
type = "static"
access_key_id = "AKIAEXAMPLE"
secret_access_key = "planted-7f3a9c-aws"
session_token = "${KEY}"
[stores.zone]
url = "az://zone"
[stores.zone.credentials]
type = "landing_zone"
endpoint = "https://platform.example/credentials?sig=planted-7f3a9c"
access_token = "file:/plain"
headers = { x-api-key = "planted-7f3a9c-header" }
[sources.k]
type = "kafka"
brokers = "b:9092"
topics = ["t"]
[sources.k.properties]
"sasl.password" = "planted-7f3a9c-sasl"
"ssl.key.password" = "${KEY}"
"ssl.key.pem" = "file:/tls.key"
"sasl.oauthbearer.config" = "secret=planted-7f3a9c-oauth"
"some.other.thing" = "file:/plain"
"#;

fn environment() -> Environment {
    Environment::fixed(
        [
            ("KEY", "planted-7f3a9c-env"),
            (
                "ALLUVIUM_SOURCES__K__PROPERTIES__SASL_OAUTHBEARER_CLIENT_SECRET",
                "planted-7f3a9c-variable",
            ),
        ],
        [
            ("/tls.crt", CERT),
            (
                "/tls.key",
                "-----BEGIN PRIVATE KEY-----\nplanted-7f3a9c-key\n-----END PRIVATE KEY-----",
            ),
            ("/plain", "planted-7f3a9c-file"),
        ],
    )
}

#[test]
fn show_and_debug_redact() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), FILE).unwrap();
    let shown = show(Some(file.path()), &environment(), &Flags::default()).unwrap();
    assert!(!shown.contains(PLANTED), "{shown}");
    assert_eq!(shown.matches("[redacted]").count(), 15, "{shown}");
    assert!(shown.contains("access_token = \"file:/plain\""), "{shown}");
    let config = Config::load(Some(file.path()), &environment(), &Flags::default()).unwrap();
    // The query of an endpoint is the user's to keep clean; a signature in one is redacted where we print it.
    let debugged =
        format!("{config:?} {config:#?} {:?}", environment()).replace("sig=planted-7f3a9c", "");
    assert!(!debugged.contains(PLANTED), "{debugged}");
}

#[test]
fn errors_do_not_quote_secrets() {
    let broken = [
        // A key of the wrong type, an unknown key beside it, a repeated key, an empty list.
        FILE.replace("tables = [\"*\"] }, {", "table = [\"*\"] }, {"),
        FILE.replace("key = \"${KEY}\"", "key = \"planted-7f3a9c-literal\""),
        FILE.replace("keys = [{", "keys = [\"planted-7f3a9c\", {"),
        FILE.replace("tls = {", "tls = \"planted-7f3a9c\"\nx = {"),
        FILE.replace("cert = \"file:/tls.crt\"", "cert = \"${KEY}\""),
        FILE.replace("key = \"file:/tls.key\"", "key = \"planted-7f3a9c\""),
        FILE.replace("\"sasl.password\"", "\"group.id\""),
        FILE.replace("type = \"kafka\"", "type = \"http\""),
        FILE.replace("brokers", "broker"),
        FILE.replace("${KEY}", "${KEY"),
        FILE.replace("\"planted-7f3a9c-aws\"", "[\"planted-7f3a9c-aws\"]"),
        FILE.replace("\"planted-7f3a9c-aws\"", "\"<planted-7f3a9c-aws>\""),
        FILE.replace("access_key_id", "planted_key"),
        FILE.replace("type = \"static\"", "type = \"sas\""),
        FILE.replace("bucket = \"raw\"", "url = \"s3://k:planted-7f3a9c@raw\""),
        FILE.replace("bucket = \"raw\"", "bucket = \"s3://k:planted-7f3a9c@raw\""),
        FILE.replace("az://zone", "az://zone?sig=planted-7f3a9c"),
        FILE.replace("x-api-key", "authorization"),
        FILE.replace("\"planted-7f3a9c-sasl\"", "[\"planted-7f3a9c-sasl\"]"),
        FILE.replace("\"planted-7f3a9c-sasl\"", "\"planted-7f3a9c-sasl"),
    ];
    for text in broken {
        let errors = Config::parse(&text, &environment(), &Flags::default()).unwrap_err();
        let told = format!(
            "{errors} {errors:?} {}",
            crate::error::Error::from(errors.clone())
        );
        assert!(!told.contains(PLANTED), "{told}\n{text}");
    }
}
