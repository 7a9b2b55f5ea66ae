//! Flags over environment over file over defaults.

use super::*;
use crate::config::SourceOptions;
use crate::storage::CredentialOptions;

const FILE: &str = "pipeline = 'file'\n[lake]\nurl = './file'\n[sources.My-Web]\ntype = 'http'\nlisten = '127.0.0.1:1'\n";

fn load(env: &[(&str, &str)], flags: Flags) -> Result<Config, Vec<String>> {
    Config::parse(FILE, &Environment::fixed(env.iter().copied(), []), &flags)
        .map_err(|errors| errors.problems.iter().map(ToString::to_string).collect())
}

fn listen(config: &Config) -> &str {
    match &config.sources["My-Web"] {
        SourceOptions::Http(http) => &http.listen,
        SourceOptions::Kafka(_) => panic!("My-Web is HTTP"),
    }
}

#[test]
fn each_layer_lies_over_the_one_below() {
    let config = load(&[], Flags::default()).unwrap();
    assert_eq!(
        (config.pipeline.as_str(), listen(&config)),
        ("file", "127.0.0.1:1")
    );
    let env = [
        ("ALLUVIUM_PIPELINE", "env"),
        ("ALLUVIUM_LAKE_URL", "./env"),
        ("ALLUVIUM_SOURCES__MY_WEB__LISTEN", "127.0.0.1:2"),
    ];
    let config = load(&env, Flags::default()).unwrap();
    assert_eq!(
        (
            config.pipeline.as_str(),
            config.lake.url.as_str(),
            listen(&config)
        ),
        ("env", "./env", "127.0.0.1:2")
    );
    let flags = Flags {
        listen: Some("127.0.0.1:3".into()),
        lake: Some("./flag".into()),
    };
    let config = load(&env, flags).unwrap();
    assert_eq!(
        (config.lake.url.as_str(), listen(&config)),
        ("./flag", "127.0.0.1:3")
    );
}

#[test]
fn variables_have_the_type_of_their_key() {
    let env = [
        ("ALLUVIUM_LAKE__MAX_TABLES", "7"),
        ("ALLUVIUM_DEAD_LETTERS_TABLE", "rejects"),
        ("ALLUVIUM_SHUTDOWN_TIMEOUT_SECONDS", "1.5"),
        ("ALLUVIUM_TABLE_DEFAULTS_INFER_TIMESTAMPS", "true"),
        ("ALLUVIUM_TABLES__CLICKS__PARTITION_BY", "[\"day\"]"),
        (
            "ALLUVIUM_TABLES__CLICKS__COLUMNS",
            "[{name = \"day\", type = \"date\"}]",
        ),
        ("ALLUVIUM_SOURCES__K__BROKERS", "b:9092"),
        ("ALLUVIUM_SOURCES__K__TOPICS", "[\"t\"]"),
        ("ALLUVIUM_SOURCES__K__TYPE", "kafka"),
        ("ALLUVIUM_SOURCES__K__PROPERTIES__SASL_USERNAME", "me"),
        ("ALLUVIUM_STORES__RAW__URL", "az://raw"),
        ("ALLUVIUM_STORES__RAW__CREDENTIALS__ENDPOINT", "https://h/x"),
        ("ALLUVIUM_STORES__RAW__CREDENTIALS__TYPE", "landing_zone"),
        ("ALLUVIUM_STORES__RAW__CREDENTIALS__ACCESS_TOKEN", "file:/t"),
        ("ALLUVIUM_STORES__RAW__CREDENTIALS__HEADERS__X_API_KEY", "k"),
        (
            "ALLUVIUM_STORES__S3",
            "{ bucket = \"events\", credentials = { type = \"profile\" } }",
        ),
    ];
    let config = load(&env, Flags::default()).unwrap();
    assert_eq!(config.lake.max_tables, 7);
    assert_eq!(config.dead_letters.table, "rejects");
    assert_eq!(config.shutdown_timeout_seconds, 1.5);
    assert!(config.table("x").infer_timestamps);
    assert_eq!(config.table("clicks").partition_by, ["day"]);
    let SourceOptions::Kafka(kafka) = &config.sources["k"] else {
        panic!("k is Kafka");
    };
    assert_eq!(kafka.topics, ["t"]);
    assert!(kafka.properties.contains_key("sasl.username"));
    let CredentialOptions::LandingZone(zone) = &config.stores["raw"].credentials else {
        panic!("raw is a landing zone");
    };
    assert!(zone.headers.contains_key("x-api-key"));
    assert!(zone.access_token.as_ref().unwrap().file().is_some());
    assert_eq!(config.stores["s3"].credentials.kind(), "profile");
}

#[test]
fn variables_that_name_no_key_are_refused_with_the_nearest() {
    let found = load(
        &[
            ("ALLUVIUM_PIPLINE", "x"),
            ("ALLUVIUM_LAKE__URI", "x"),
            ("ALLUVIUM_LAKE_MAX_TABLES", "many"),
        ],
        Flags::default(),
    )
    .unwrap_err();
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found
            .iter()
            .any(|p| p.starts_with("ALLUVIUM_PIPLINE: ") && p.contains("did you mean `pipeline`"))
    );
    assert!(
        found
            .iter()
            .any(|p| p.starts_with("ALLUVIUM_LAKE__URI: ") && p.contains("`lake`"))
    );
    assert!(
        found
            .iter()
            .any(|p| p.contains("must hold an integer") && !p.contains("many"))
    );
}

#[test]
fn variables_of_others_are_left_alone() {
    let env = [
        ("ALLUVIUM_LOG", "debug"),
        ("ALLUVIUM_CONFIG", "x.toml"),
        ("ALLUVIUM_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("ALLUVIUM_SERVICE_HOST", "10.0.0.1"),
        ("OTHER", "x"),
    ];
    assert!(load(&env, Flags::default()).is_ok());
    let text = "pipeline = '${ALLUVIUM_MY_OWN}'";
    let environment = Environment::fixed([("ALLUVIUM_MY_OWN", "mine")], []);
    let config = Config::parse(text, &environment, &Flags::default()).unwrap();
    assert_eq!(config.pipeline, "mine");
}

#[test]
fn listen_wants_one_http_source() {
    let flags = Flags {
        listen: Some("127.0.0.1:3".into()),
        lake: None,
    };
    let none = Config::parse("", &nothing(), &flags).unwrap_err();
    assert!(none.to_string().contains("--listen: "), "{none}");
}

#[test]
fn a_file_has_only_its_own_sources() {
    assert!(parse("pipeline = 'x'").unwrap().sources.is_empty());
}

/// Delta finds a column by the spelling that its schema has.
#[test]
fn columns_of_the_layout_are_spelled_as_they_are_declared() {
    for key in ["cluster_by", "partition_by"] {
        let text = format!(
            "[tables.t]\n{key} = ['ID', '_event_time']\ncolumns = [{{ name = 'id', type = 'long' }}]"
        );
        let config = parse(&text).unwrap();
        let table = config.table("t");
        let layout = [table.cluster_by, table.partition_by].concat();
        assert_eq!(layout, ["id", "_event_time"], "{key}");
    }
}
