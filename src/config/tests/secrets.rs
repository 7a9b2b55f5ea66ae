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
    assert_eq!(shown.matches("[redacted]").count(), 10, "{shown}");
    let config = Config::load(Some(file.path()), &environment(), &Flags::default()).unwrap();
    let debugged = format!("{config:?} {config:#?} {:?}", environment());
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
