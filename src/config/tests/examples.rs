//! The files we ship, and the reference, are as good as the code.

use super::*;
use crate::config::{SourceOptions, markdown, schema, show};
use crate::schema::{Authority, Evolution, OnConflict};
use crate::storage::CredentialOptions;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn secrets() -> Environment {
    Environment::fixed(
        [("CLICKS_KEY", "clicks-key"), ("ALL_KEY", "all-key")],
        [
            ("/etc/alluvium/tls.crt", CERT),
            ("/etc/alluvium/tls.key", KEY),
            ("/etc/alluvium/web.key", "web-key\n"),
            ("/etc/alluvium/kafka.password", "kafka-password\n"),
            ("/run/secrets/kafka-password", "kafka-password\n"),
        ],
    )
}

fn load(name: &str) -> Config {
    Config::load(
        Some(&root().join("config").join(name)),
        &secrets(),
        &Flags::default(),
    )
    .unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_example_loads() {
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("config")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "toml") {
            let config = load(path.file_name().unwrap().to_str().unwrap());
            assert!(!config.sources.is_empty(), "{}", path.display());
            seen += 1;
        }
    }
    assert_eq!(seen, 9);
}

#[test]
fn quickstart() {
    let config = load("quickstart.toml");
    assert_eq!(
        config.table("clicks").flush_interval,
        Duration::from_secs(2)
    );
    assert_eq!(config.spool_path(), Path::new("./lake/.spool"));
}

#[test]
fn http_with_tls_and_keys() {
    let config = load("http.toml");
    let SourceOptions::Http(http) = &config.sources["web"] else {
        panic!("web is HTTP");
    };
    assert_eq!(http.keys[0].key.expose(), "clicks-key");
    assert_eq!(http.keys[1].tables, ["*"]);
    assert_eq!(http.tls.as_ref().unwrap().cert.expose(), CERT.trim_end());
}

#[test]
fn kafka_topic() {
    let config = load("kafka.toml");
    let table = config.table("clicks");
    assert_eq!(table.source.as_deref(), Some("clicks"));
    assert_eq!(table.flush_interval, Duration::from_secs(30));
}

#[test]
fn kafka_pattern_with_sasl() {
    let config = load("kafka-pattern.toml");
    let SourceOptions::Kafka(kafka) = &config.sources["events"] else {
        panic!("events is Kafka");
    };
    assert_eq!(kafka.topics, ["^events\\."]);
    assert!(kafka.brokers.starts_with("kafka-1:9093,"));
    assert!(kafka.properties.contains_key("sasl.password"));
    assert_eq!(config.table("payments").topics.len(), 2);
}

#[test]
fn declared_columns() {
    let orders = load("columns.toml").table("orders");
    assert_eq!(orders.evolution, Evolution::None);
    assert_eq!(orders.partition_by, ["order_date"]);
    assert_eq!(orders.columns.len(), 6);
    assert_eq!(orders.columns[1].field.as_deref(), Some("order.placed_at"));
}

#[test]
fn production() {
    let config = load("production.toml");
    assert_eq!(config.sources.len(), 2);
    let changes = config.table("order_changes");
    assert_eq!(changes.on_conflict, [OnConflict::Widen, OnConflict::Reject]);
    assert_eq!(changes.flush_interval, Duration::from_secs(30));
}

#[test]
fn s3_by_an_assumed_role() {
    let config = load("s3.toml");
    let CredentialOptions::AssumeRole(role) = &config.stores["lake"].credentials else {
        panic!("a role is assumed");
    };
    assert_eq!(role.external_id.as_deref(), Some("acme-7"));
    assert!(matches!(&role.source, CredentialOptions::Static(keys)
        if keys.secret_access_key.file() == Some(Path::new("/etc/alluvium/aws.secret"))));
    assert_eq!(config.stores["backup"].bucket.as_deref(), Some("backup"));
    assert_eq!(config.table("clicks").url, "s3://acme-lake/events/clicks");
}

#[test]
fn azure_and_a_landing_zone() {
    let config = load("azure.toml");
    let CredentialOptions::LandingZone(zone) = &config.stores["zone"].credentials else {
        panic!("a landing zone");
    };
    assert_eq!(zone.headers.len(), 3);
    assert_eq!(zone.margin_seconds, 900.0);
    assert_eq!(
        config.table("handover").url,
        "az://dlz-user-container/handover"
    );
}

#[test]
fn tables_of_a_databricks_catalog() {
    let config = load("databricks.toml");
    let registered = |table: &str| {
        let table = config.table(table);
        let registration = table.registration.unwrap();
        let (catalog, schema) = (registration.catalog, registration.schema);
        let name = format!("{catalog}.{schema}.{}", registration.table);
        (registration.connection, name, table.authority)
    };
    for (table, name) in [
        ("clicks", "main.bronze.clicks"),
        ("payments", "main.bronze.payments_raw"),
        ("another", "main.bronze.another"),
    ] {
        let expected = ("prod".to_owned(), name.to_owned(), Authority::Warehouse);
        assert_eq!(registered(table), expected);
    }
    assert_eq!(config.table("payments").evolution, Evolution::Plan);
    let connection = &config.connections["prod"];
    let crate::databricks::AuthOptions::OauthM2m(principal) = &connection.auth else {
        panic!("a service principal");
    };
    assert_eq!(
        principal.client_secret.file(),
        Some(Path::new("/etc/alluvium/databricks.secret"))
    );
}

#[test]
fn a_lake_in_a_store_has_its_spool_on_the_disk() {
    let config = parse("[lake]\nurl = 's3://acme-lake'").unwrap();
    assert_eq!(config.spool_path(), Path::new("./spool"));
    let config = parse("[lake]\nurl = 's3://acme-lake'\n[spool]\npath = '/var/spool'").unwrap();
    assert_eq!(config.spool_path(), Path::new("/var/spool"));
}

#[test]
fn the_sample_of_every_key_loads() {
    let text = r#"
pipeline = "default"
[lake]
url = "./lake"
[spool]
path = "./lake/.spool"
[dead_letters]
table = "_dead_letters"
[sources.web]
type = "http"
listen = "127.0.0.1:8080"
tls = { cert = "file:/etc/alluvium/tls.crt", key = "file:/etc/alluvium/tls.key" }
keys = [{ key = "${CLICKS_KEY}", tables = ["clicks"] }]
[sources.clicks]
type = "kafka"
brokers = "127.0.0.1:9092"
topics = ["clicks"]
group = "alluvium"
properties = { "security.protocol" = "SASL_SSL" }
[tables.clicks]
source = "clicks"
flush_interval_seconds = 30
evolution = "auto"
authority = "log"
on_conflict = ["widen", "sibling", "rescue"]
target_file_size_bytes = 134217728
partition_by = ["event_date"]
[[tables.clicks.columns]]
name = "event_date"
type = "date"
field = "timestamp"
"#;
    let config = Config::parse(text, &secrets(), &Flags::default()).unwrap();
    let clicks = config.table("clicks");
    assert_eq!(clicks.authority, Authority::Log);
    assert_eq!(clicks.url, "./lake/clicks");
    assert_eq!(clicks.columns[0].name, "event_date");
}

#[test]
fn the_embedded_default_is_http_on_loopback() {
    let config = Config::load(None, &nothing(), &Flags::default()).unwrap();
    let SourceOptions::Http(http) = &config.sources["web"] else {
        panic!("web is HTTP");
    };
    assert_eq!(http.listen, "127.0.0.1:8080");
    assert_eq!(config.sources.len(), 1);
    assert_eq!(config.lake.url, "./lake");
    let table = config.table("anything");
    assert_eq!(table.url, "./lake/anything");
    assert_eq!(table.flush_interval, Duration::from_secs(10));
    assert_eq!(table.target_file_size_bytes, 128 << 20);
    assert_eq!(table.metadata_columns.len(), 6);
    assert_eq!(
        table.on_conflict,
        [OnConflict::Widen, OnConflict::Sibling, OnConflict::Rescue]
    );
}

#[test]
fn what_show_prints_reads_back_as_the_same() {
    for name in ["quickstart.toml", "kafka.toml", "columns.toml", "s3.toml"] {
        let file = root().join("config").join(name);
        let shown = show(Some(&file), &secrets(), &Flags::default()).unwrap();
        let again = parse(&shown).unwrap_or_else(|errors| panic!("{errors}\n{shown}"));
        let config = load(name);
        for table in ["orders", "clicks", "other"] {
            assert_eq!(again.table(table), config.table(table), "{shown}");
        }
        assert_eq!(
            format!("{:?}", again.sources),
            format!("{:?}", config.sources),
            "{shown}"
        );
        assert_eq!(
            format!("{:?}", again.stores),
            format!("{:?}", config.stores),
            "{shown}"
        );
    }
}

#[test]
fn show_says_where_values_come_from() {
    let file = root().join("config/quickstart.toml");
    let environment = Environment::fixed([("ALLUVIUM_PIPELINE", "p")], []);
    let flags = Flags {
        lake: Some("/data".into()),
        listen: None,
    };
    let shown = show(Some(&file), &environment, &flags).unwrap();
    for line in [
        "pipeline = \"p\"  # ALLUVIUM_PIPELINE",
        "url = \"/data\"  # --lake",
        "listen = \"127.0.0.1:8080\"  # line 11",
        "path = \"/data/.spool\"  # default",
        "max_tables = 1000  # default",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn the_schema_is_json_and_knows_every_kind() {
    let schema: serde_json::Value = serde_json::from_str(&schema()).unwrap();
    let credentials = &schema["$defs"]["CredentialOptions"]["oneOf"];
    assert_eq!(credentials[0]["properties"]["type"]["const"], "environment");
    assert_eq!(
        credentials[3]["properties"]["source"]["$ref"],
        "#/$defs/CredentialOptions"
    );
    assert_eq!(
        credentials[1]["required"],
        serde_json::json!(["type", "access_key_id", "secret_access_key"])
    );
    let kinds = &schema["$defs"]["SourceOptions"]["oneOf"];
    assert_eq!(kinds[0]["properties"]["type"]["const"], "http");
    assert_eq!(kinds[1]["properties"]["type"]["const"], "kafka");
    assert_eq!(kinds[0]["additionalProperties"], false);
    assert_eq!(
        schema["$defs"]["TableOptions"]["properties"]["flush_interval_seconds"]["default"],
        10.0
    );
}

/// `UPDATE_DOCS=1 cargo test --lib config::` writes the file anew.
#[test]
fn the_reference_is_fresh() {
    let path = root().join("docs/configuration.md");
    let fresh = markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == fresh,
        "docs/configuration.md is stale; run UPDATE_DOCS=1 cargo test --lib config::"
    );
}
