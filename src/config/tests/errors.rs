//! What is refused, and how it is told.
//!
//! Past 500 lines: all that is refused stands together.

use super::*;

#[test]
fn all_errors_at_once_with_path_and_line() {
    let found = problems(
        r#"pipelin = "x"
memory_budget_bytes = 1
[lake]
url = "gs://bucket/lake"
[sources.web]
type = "http"
lissten = "127.0.0.1:1"
max_requests = "many"
[sources.k]
type = "kafka"
topics = ["a"]
properties = { "group.id" = "x" }
[tables.t]
source = "nobody"
flush_interval_seconds = -1
evolution = "atuo"
"#,
    );
    let expected = [
        "pipelin: unknown key, did you mean `pipeline`? (line 1)",
        "memory_budget_bytes: must be from 16777216 to",
        "lake.url: storage of this kind is not supported",
        "sources.web.lissten: unknown key, did you mean `listen`? (line 7)",
        "sources.web.max_requests: must be an integer, not a string (line 8)",
        "sources.k.brokers: is missing",
        "sources.k.properties.\"group.id\": is reserved: ",
        "tables.t.source: there is no `[sources.nobody]`",
        "tables.t.flush_interval_seconds: must be from 0.01 to 86400, not `-1` (line 15)",
        "tables.t.evolution: must be one of `auto`, `plan`, `none`, not `atuo`, did you mean `auto`? (line 16)",
    ];
    for (index, words) in expected.iter().enumerate() {
        assert!(
            found.iter().any(|problem| problem.starts_with(words)),
            "{index}: {words}\n{found:#?}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn unknown_keys_everywhere() {
    for (text, path) in [
        ("x = 1", "x"),
        ("[lake]\nx = 1", "lake.x"),
        ("[spool]\nx = 1", "spool.x"),
        ("[admin]\nx = 1", "admin.x"),
        ("[dead_letters]\nx = 1", "dead_letters.x"),
        ("[table_defaults]\nx = 1", "table_defaults.x"),
        ("[tables.t]\nx = 1", "tables.t.x"),
        (
            "[tables.t]\ncolumns = [{name='a',type='long',x=1}]",
            "tables.t.columns[0].x",
        ),
        ("[sources.s]\ntype='http'\nx=1", "sources.s.x"),
        (
            "[sources.s]\ntype='kafka'\nbrokers='b'\ntopics=['t']\nx=1",
            "sources.s.x",
        ),
        (
            "[sources.s]\ntype='http'\ntls={cert='-----BEGIN CERTIFICATE-----',key='PRIVATE KEY-----',x=1}",
            "sources.s.tls.x",
        ),
        (
            "[sources.s]\ntype='http'\nkeys=[{key='k',tables=['*'],x=1}]",
            "sources.s.keys[0].x",
        ),
    ] {
        one_problem(text, path, "unknown key");
    }
}

#[test]
fn types_and_choices() {
    one_problem(
        "pipeline = 1",
        "pipeline",
        "must be a string, not an integer",
    );
    one_problem("[sources.s]\nlisten='x'", "sources.s.type", "is missing");
    one_problem(
        "[sources.s]\ntype='htp'",
        "sources.s.type",
        "did you mean `http`",
    );
    one_problem("sources = []", "sources", "must be a table, not a list");
    one_problem(
        "[tables.t]\ncolumns = [{type='long'}]",
        "tables.t.columns[0].name",
        "is missing",
    );
    one_problem(
        "[lake]\nmax_tables = -1",
        "lake.max_tables",
        "must not be negative",
    );
    one_problem(
        "shutdown_timeout_seconds = nan",
        "shutdown_timeout_seconds",
        "finite",
    );
    one_problem(
        "[sources.s]\ntype='kafka'\nbrokers='b'\ntopics=['t']\nstart='soon'",
        "sources.s.start",
        "earliest",
    );
}

#[test]
fn a_date_may_stand_where_a_time_is_wanted() {
    let text = "[sources.s]\ntype='kafka'\nbrokers='b'\ntopics=['t']\nstart=2026-01-01T00:00:00Z";
    assert_eq!(problems(text), [""; 0]);
}

#[test]
fn listening_beyond_loopback_needs_keys_or_consent() {
    let open = "[sources.s]\ntype='http'\nlisten='0.0.0.0:80'\n";
    one_problem(open, "sources.s.listen", "keys = [");
    one_problem(open, "sources.s.listen", "allow_anonymous = true");
    assert_eq!(problems(&format!("{open}allow_anonymous=true")), [""; 0]);
    assert_eq!(
        problems(&format!("{open}keys=[{{key='k',tables=['*']}}]")),
        [""; 0]
    );
    for local in ["127.0.0.1:0", "[::1]:8080", "localhost:1", "127.9.9.9:1"] {
        let text = format!("[sources.s]\ntype='http'\nlisten='{local}'\n");
        assert_eq!(problems(&text), [""; 0], "{local}");
    }
    one_problem(
        "[sources.s]\ntype='http'\nlisten='8080'\n",
        "sources.s.listen",
        "IP:PORT",
    );
}

#[test]
fn addresses_are_not_shared() {
    let two = |a: &str, b: &str| {
        format!(
            "[sources.a]\ntype='http'\nlisten='{a}'\n[sources.b]\ntype='http'\nallow_anonymous=true\nlisten='{b}'\n"
        )
    };
    one_problem(
        &two("127.0.0.1:1", "127.0.0.1:1"),
        "sources.b.listen",
        "sources.a.listen",
    );
    one_problem(
        &two("127.0.0.1:1", "0.0.0.0:1"),
        "sources.b.listen",
        "share",
    );
    one_problem(
        &two("127.0.0.1:1", "127.0.0.1:9464"),
        "admin.listen",
        "sources.b.listen",
    );
    assert_eq!(problems(&two("127.0.0.1:0", "127.0.0.1:0")), [""; 0]);
    assert_eq!(problems("[admin]\nlisten = ''"), [""; 0]);
}

const KAFKA: &str = "[sources.k]\ntype='kafka'\nbrokers='b:9092'\ntopics=['a','b']\n";

#[test]
fn tables_do_not_want_the_same_events() {
    let tables = |first: &str, second: &str| {
        format!("{KAFKA}[tables.x]\nsource='k'\n{first}\n[tables.y]\nsource='k'\n{second}\n")
    };
    one_problem(&tables("", ""), "tables.y.source", "tables.x");
    one_problem(&tables("topics=['a']", ""), "tables.y.source", "tables.x");
    one_problem(
        &tables("topics=['a']", "topics=['b','a']"),
        "tables.y.source",
        "topic=`a`",
    );
    assert_eq!(problems(&tables("topics=['a']", "topics=['b']")), [""; 0]);
    one_problem(
        &format!("{KAFKA}[tables.x]\nsource='k'\ntopics=['c']"),
        "tables.x.topics[0]",
        "not read",
    );
    one_problem(
        &format!("{KAFKA}[tables.x]\ntopics=['a']"),
        "tables.x.topics",
        "missing",
    );
    one_problem(
        &format!("{KAFKA}[tables.x]\nsource='kk'"),
        "tables.x.source",
        "no `[sources.kk]`",
    );
}

#[test]
fn reserved_properties_are_refused_with_the_reason() {
    for (name, why) in crate::source::kafka::RESERVED {
        one_problem(
            &format!("{KAFKA}properties = {{ '{name}' = 'x' }}"),
            &format!("sources.k.properties.\"{name}\""),
            why,
        );
    }
}

#[test]
fn tables_and_their_columns() {
    one_problem(
        "[tables.t]\nauthority='warehouse'",
        "tables.t.authority",
        "Databricks",
    );
    let connected = "[connections.prod]\nhost='https://a.cloud.databricks.com'\n";
    let placed = "connection='prod'\ncatalog='c'\nschema='s'\n";
    for (text, path, words) in [
        (
            "[tables.t]\ncatalog='c'".to_owned(),
            "tables.t.catalog",
            "goes with others",
        ),
        (
            format!("[tables.t]\n{placed}"),
            "tables.t.connection",
            "[connections.prod]",
        ),
        (
            format!("{connected}[tables.t]\n{placed}authority='warehouse'\ntable_name='a b'"),
            "tables.t.table_name",
            "a space",
        ),
        (
            format!(
                "{connected}[table_defaults]\nconnection='prod'\ncatalog='hive_metastore'\nschema='s'"
            ),
            "table_defaults.catalog",
            "Unity Catalog",
        ),
        (
            "[table_defaults]\ntable_name='x'".to_owned(),
            "table_defaults.table_name",
            "every table",
        ),
        (
            format!("{connected}[table_defaults]\n{placed}[tables.a]\n[tables.b]\ntable_name='A'"),
            "tables.b.table_name",
            "another table",
        ),
        (
            format!(
                "{connected}[dead_letters]\ntable_name='x'\n[table_defaults]\n{placed}[tables.b]\ntable_name='X'"
            ),
            "tables.b.table_name",
            "another table",
        ),
        (
            "[dead_letters]\ntable_name='x'".to_owned(),
            "dead_letters.table_name",
            "[table_defaults]",
        ),
        (
            format!("{connected}[dead_letters]\ntable_name='a b'\n[table_defaults]\n{placed}"),
            "dead_letters.table_name",
            "a space",
        ),
        (
            format!(
                "{connected}[table_defaults]\n{placed}[tables.a]\nurl='s3://bucket/x'\n[tables.b]\nurl='s3://bucket/x/y'"
            ),
            "tables.b.url",
            "overlap",
        ),
        (
            format!("{connected}[tables.a]\n{placed}url='s3://bucket/__unitystorage/x'"),
            "tables.a.url",
            "managed",
        ),
    ] {
        one_problem(&text, path, words);
    }
    one_problem("[tables.'a/b']\n", "tables.\"a/b\"", "letters");
    one_problem(
        "[tables._dead_letters]\n",
        "tables._dead_letters",
        "dead letters",
    );
    one_problem(
        "[tables.t]\non_conflict=['widen']",
        "tables.t.on_conflict",
        "rescue",
    );
    one_problem(
        "[tables.t]\non_conflict=['rescue','widen']",
        "tables.t.on_conflict",
        "never reached",
    );
    one_problem(
        "[tables.t]\npartition_by=['a','A']\ncolumns=[{name='a',type='long'}]",
        "tables.t.partition_by[1]",
        "twice",
    );
    for (text, path) in [
        ("[tables.t]\npartition_by=['day']", "tables.t.partition_by"),
        (
            "[tables.t]\npartition_by=['day']\ncolumns=[{name='a',type='long'}]",
            "tables.t.partition_by",
        ),
        (
            "[table_defaults]\npartition_by=['day']\n[tables.t]\nmax_depth=3",
            "table_defaults.partition_by",
        ),
    ] {
        one_problem(text, path, "must be declared");
    }
    one_problem(
        "[tables.t]\npartition_by=['a']\ncolumns=[{name='a',type='Binary'}]",
        "tables.t.partition_by",
        "type=`binary`",
    );
    let declared = "columns=[{name='a',type='long'},{name='b',type='struct<x: long>'}]";
    for (keys, key, words) in [
        ("cluster_by=['a','A']", "cluster_by[1]", "twice"),
        ("cluster_by=['day']", "cluster_by", "must be declared"),
        ("cluster_by=['_key']", "cluster_by", "metadata_columns"),
        ("cluster_by=['b']", "cluster_by", "no statistics"),
        (
            "cluster_by=['_event_time']\npartition_by=['a']",
            "cluster_by",
            "not both",
        ),
        (
            "cluster_by=['a','_source','_offset','_index','_partition']",
            "cluster_by",
            "at most 4",
        ),
        (
            "properties={'delta.setTransactionRetentionDuration'='interval 1 day'}",
            "properties.\"delta.setTransactionRetentionDuration\"",
            "land twice",
        ),
        (
            "properties={'delta.columnMapping.mode'='name'}",
            "properties.\"delta.columnMapping.mode\"",
            "with SQL first",
        ),
        ("properties={'x'=1}", "properties.x", "string"),
    ] {
        let text = format!("[tables.t]\n{declared}\n{keys}");
        one_problem(&text, &format!("tables.t.{key}"), words);
    }
    one_problem(
        "[table_defaults]\ncomment='x'",
        "table_defaults.comment",
        "every table",
    );
    one_problem(
        "memory_budget_bytes=1073741824\n[tables.t]\nmax_event_bytes=67108865",
        "tables.t.max_event_bytes",
        "67108864",
    );
    one_problem(
        "[sources.s]\ntype='http'\nmax_decompressed_bytes=1073741824\nmax_event_bytes=67108865",
        "sources.s.max_event_bytes",
        "67108864",
    );
    for bytes in [67_108_865u64, 1 << 40] {
        one_problem(
            &format!(
                "[sources.s]\ntype='kafka'\nbrokers='b'\ntopics=['t']\nmax_event_bytes={bytes}"
            ),
            "sources.s.max_event_bytes",
            "67108864",
        );
    }
    one_problem("[tables.t]\nurl='gs://x/y'", "tables.t.url", "scheme=`gs`");
    one_problem(
        "[tables.t]\nurl='./lake/u/'\n[tables.u]\n",
        "tables.t.url",
        "table=`u`",
    );
    one_problem(
        "[tables.t]\ncolumns=[{name='_offset',type='long'}]",
        "tables.t.columns[0].name",
        "itself",
    );
    one_problem(
        "[tables.t]\ncolumns=[{name='a',type='text'}]",
        "tables.t.columns[0].type",
        "no such type",
    );
    one_problem(
        "[tables.t]\ncolumns=[{name='a',type='long',timestamp_unit='seconds'}]",
        "tables.t.columns[0].timestamp_unit",
        "another type",
    );
    one_problem(
        "[table_defaults]\nsource='x'",
        "table_defaults.source",
        "every table",
    );
    one_problem(
        "[sources.backfill-1]\ntype='http'",
        "sources.backfill-1",
        "backfill",
    );
    one_problem(
        &format!("{KAFKA}[tables.t]\nsource='k'\nmetadata_columns=['_source','_key']"),
        "tables.t.metadata_columns",
        "keep_headers",
    );
    one_problem(
        "[sources.s]\ntype='http'\nkeys=[{key='k',tables=['_dead_letters']}]",
        "sources.s.keys[0].tables[0]",
        "dead letters",
    );
    one_problem("pipeline='a/b'", "pipeline", "position");
}

#[test]
fn stores_and_their_credentials() {
    one_problem("[stores.raw]\nregion='x'", "stores.raw", "serves nothing");
    one_problem("[stores.'a/b']\nbucket='raw'", "stores.\"a/b\"", "letters");
    one_problem(
        "[stores.raw]\nbuket='raw'",
        "stores.raw.buket",
        "did you mean `bucket`",
    );
    one_problem(
        "[stores.raw]\nbucket='raw'\ncredentials={type='assume_rol'}",
        "stores.raw.credentials.type",
        "did you mean `assume_role`",
    );
    one_problem(
        "[stores.raw]\nbucket='raw'\ncredentials={type='environment', token='x'}",
        "stores.raw.credentials.token",
        "unknown key",
    );
    let nested = |source: &str| {
        format!(
            "[stores.raw]\nbucket='raw'\n[stores.raw.credentials]\ntype='assume_role'\nrole_arn='arn:aws:iam::123456789012:role/x'\nsource={source}"
        )
    };
    one_problem(
        &nested("{type='static', access_key_id='a'}"),
        "stores.raw.credentials.source.secret_access_key",
        "is missing",
    );
    one_problem(
        &nested(
            "{type='assume_role', role_arn='arn:aws:iam::123456789012:role/y', source={type='sas', token='t'}}",
        ),
        "stores.raw.credentials.source.source.type",
        "of Azure",
    );
    one_problem(
        &nested("{type='static', access_key_id='a', secret_access_key='${NOT_SET}'}"),
        "stores.raw.credentials.source.secret_access_key",
        "variable=`NOT_SET`",
    );
    one_problem("[lake]\nurl='s3://Bucket'", "lake.url", "as in `bucket`");
    one_problem(
        "[lake]\nurl='https://acme1.blob.core.windows.net/c?sig=x'",
        "lake.url",
        "type = \"sas\"",
    );
    one_problem(
        "[lake]\nurl='s3://raw'\n[tables.t]\nurl='s3a://raw/u/'\n[tables.u]\n",
        "tables.t.url",
        "table=`u`",
    );
}

#[test]
fn references_that_fail_are_told_once() {
    one_problem(
        "[sources.s]\ntype='http'\nkeys=[{key='${NOT_SET}',tables=['*']}]",
        "sources.s.keys[0].key",
        "variable=`NOT_SET`",
    );
    one_problem(
        "[sources.s]\ntype='http'\nlisten='0.0.0.0:1'\nkeys=[{key='${NOT_SET}',tables=['*']}]",
        "sources.s.keys[0].key",
        "variable=`NOT_SET`",
    );
}

#[test]
fn a_file_that_is_not_there_or_not_toml() {
    let missing = Config::load(
        Some(std::path::Path::new("/nowhere/alluvium.toml")),
        &nothing(),
        &Flags::default(),
    )
    .unwrap_err();
    assert!(missing.to_string().contains("/nowhere/alluvium.toml"));
    assert!(
        problems("a = [")
            .iter()
            .all(|problem| problem.contains("line 1"))
    );
}

proptest::proptest! {
    #[test]
    fn no_document_panics(
        keys in proptest::collection::vec(("[a-z_]{1,12}|sources\\.[ab]|tables\\.t|lake|type|listen|keys|columns", "[0-9]{1,20}|'[a-z$\\{\\}:]{0,9}'|\\[\\]|\\{\\}|true|-1\\.5|\\[\\{\\}\\]"), 0..8)
    ) {
        let text: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let _ = parse(&text);
    }
}
