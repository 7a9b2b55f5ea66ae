//! What is refused of a `[stores.NAME]`, and by which words.

use super::*;

/// The findings of a document of stores, one `store.key: message` a line.
fn judged(text: &str) -> Vec<String> {
    let stores: BTreeMap<String, StoreOptions> = toml::from_str(text).unwrap();
    let line = |misfit: Misfit| format!("{}.{}: {}", misfit.store, misfit.key, misfit.message);
    judge(&stores).into_iter().map(line).collect()
}

#[track_caller]
fn one(text: &str, key: &str, words: &str) {
    let found = judged(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with(&format!("{key}: ")) && found[0].contains(words),
        "{}",
        found[0]
    );
    assert!(!found[0].contains("hunter"), "{}", found[0]);
}

const S3: &str = "[raw]\nurl = 's3://raw'\n";
const AZURE: &str = "[raw]\nurl = 'az://raw'\naccount = 'acme1'\n";
const ROLE: &str = "role_arn = 'arn:aws:iam::123456789012:role/loader'";
const ZONE: &str =
    "type = 'landing_zone', endpoint = 'https://platform.example/credentials?type=x'";

#[test]
fn what_is_right_is_taken() {
    for text in [
        S3.to_owned(),
        "[raw]\nbucket = 'raw'\n".into(),
        AZURE.into(),
        format!("{S3}endpoint = 'http://127.0.0.1:9000'\nallow_http = true\n"),
        format!("{S3}encryption = 'sse-kms'\nkms_key_id = 'alias/x'\nbucket_key = true\n"),
        format!(
            "{S3}credentials = {{ type = 'static', access_key_id = 'AK', secret_access_key = 'file:/nope' }}"
        ),
        format!(
            "{S3}credentials = {{ type = 'assume_role', {ROLE}, external_id = 'a:b', duration_seconds = 43200 }}"
        ),
        format!(
            "{S3}credentials = {{ type = 'assume_role', {ROLE}, duration_seconds = 3600, source = {{ type = 'assume_role', {ROLE}, source = {{ type = 'web_identity' }} }} }}"
        ),
        format!(
            "{S3}credentials = {{ type = 'assume_role', role_arn = 'arn:xxx:xxx:xxx:xxxx', sts_endpoint = 'https://minio.example' }}"
        ),
        format!(
            "{AZURE}credentials = {{ type = 'managed_identity', endpoint = 'http://169.254.169.254/x' }}"
        ),
        format!(
            "[raw]\nurl = 'az://raw'\ncredentials = {{ {ZONE}, access_token = 'file:/t', headers = {{ x-api-key = 'k' }} }}"
        ),
        format!(
            "[raw]\nurl = 'az://raw'\ncredentials = {{ {ZONE}, token_url = 'http://127.0.0.1:1/t', client_id = 'c', client_secret = 's', scopes = ['a'] }}"
        ),
        "[a]\nurl = 's3://raw'\n[b]\nurl = 's3://raw/x'\n[c]\nurl = 'az://raw'\n".into(),
    ] {
        assert_eq!(judged(&text), [""; 0], "{text}");
    }
}

#[test]
fn a_store_names_one_place() {
    one("[raw]\nregion = 'x'", "raw.", "serves nothing");
    one(
        "[raw]\nurl = 's3://raw'\nbucket = 'raw'",
        "raw.url",
        "exclude each other",
    );
    one("[raw]\nurl = './lake'", "raw.url", "needs no store");
    one("[raw]\nurl = 'file:///lake'", "raw.url", "needs no store");
    one("[raw]\nbucket = 's3://raw'", "raw.bucket", "as in `raw`");
    one(
        "[raw]\nbucket = '<YOUR-BUCKET-NAME>'",
        "raw.bucket",
        "placeholder",
    );
    one("[raw]\nurl = 's3://k:hunter2@raw'", "raw.url", "no keys");
    one("[raw]\nurl = 'az://raw?sig=hunter2'", "raw.url", "sas");
    one(
        "[a]\nurl = 's3://raw'\n[b]\nbucket = 'raw'",
        "b.bucket",
        "stores=`a, b`",
    );
    one(
        "[a]\nurl = 's3://raw/x/'\n[b]\nurl = 's3a://raw/x'",
        "b.url",
        "another store",
    );
    one(
        "[raw]\nurl = 'abfss://raw@acme1.dfs.core.windows.net'\naccount = 'acme2'",
        "raw.url",
        "different accounts",
    );
    one(
        "[raw]\nurl = 'az://raw'\naccount = 'Acme'",
        "raw.url",
        "3 to 24",
    );
}

#[test]
fn keys_of_the_other_service_name_both() {
    one(
        &format!("{S3}account = 'acme1'"),
        "raw.account",
        "belongs to Azure, and `url` is in S3",
    );
    for option in [
        "region = 'eu-central-1'",
        "path_style = true",
        "encryption = 'sse-s3'",
        "checksum = 'sha256'",
    ] {
        let key = option.split(' ').next().unwrap();
        one(
            &format!("{AZURE}{option}"),
            &format!("raw.{key}"),
            "belongs to S3",
        );
    }
    for kind in [
        format!("{ZONE}, access_token = 't'"),
        "type = 'sas', token = 't'".into(),
        "type = 'account_key', key = 't'".into(),
        "type = 'entra'".into(),
        "type = 'managed_identity'".into(),
    ] {
        let text = format!("{S3}credentials = {{ {kind} }}");
        one(
            &text,
            "raw.credentials.type",
            "is of Azure, and `url` is in S3",
        );
    }
    for kind in [
        "type = 'static', access_key_id = 'a', secret_access_key = 's'".into(),
        "type = 'profile'".into(),
        format!("type = 'assume_role', {ROLE}"),
        "type = 'web_identity'".into(),
    ] {
        let text = format!("{AZURE}credentials = {{ {kind} }}");
        one(
            &text,
            "raw.credentials.type",
            "is of S3, and `url` is in Azure",
        );
    }
    one(
        &format!(
            "{S3}credentials = {{ type = 'assume_role', {ROLE}, source = {{ type = 'entra' }} }}"
        ),
        "raw.credentials.source.type",
        "`entra` is of Azure",
    );
}

#[test]
fn roles() {
    let role = |more: &str| format!("{S3}credentials = {{ type = 'assume_role', {ROLE}, {more} }}");
    for seconds in [899, 43_201] {
        one(
            &role(&format!("duration_seconds = {seconds}")),
            "raw.credentials.duration_seconds",
            "from 900 to 43200",
        );
    }
    one(
        &role("duration_seconds = 3601, source = { type = 'web_identity' }"),
        "raw.credentials.duration_seconds",
        "at most 3600",
    );
    one(
        &role("external_id = 'a b'"),
        "raw.credentials.external_id",
        "2 to 1224",
    );
    one(
        &role("external_id = '<EXTERNAL ID>'"),
        "raw.credentials.external_id",
        "placeholder",
    );
    one(
        &role("session_name = 'a/b'"),
        "raw.credentials.session_name",
        "2 to 64",
    );
    one(
        &role("sts_endpoint = 'http://sts'"),
        "raw.credentials.sts_endpoint",
        "allow_http",
    );
    one(
        &role("sts_region = 'Frankfurt'"),
        "raw.credentials.sts_region",
        "no region",
    );
    for arn in [
        "arn:aws:iam::123:role/x",
        "arn:aws:iam::123456789012:user/x",
        "arn:aws:iam::123456789012:role/",
        "loader",
    ] {
        let text = format!("{S3}credentials = {{ type = 'assume_role', role_arn = '{arn}' }}");
        one(
            &text,
            "raw.credentials.role_arn",
            "arn:aws:iam::123456789012:role/loader",
        );
    }
    let source = |inner: String| format!("type = 'assume_role', {ROLE}, source = {{ {inner} }}");
    let deep = (0..5).fold("type = 'environment'".to_owned(), |inner, _| source(inner));
    assert_eq!(judged(&format!("{S3}credentials = {{ {deep} }}")).len(), 1);
}

#[test]
fn landing_zones() {
    let zone = |more: &str| format!("[raw]\nurl = 'az://raw'\ncredentials = {{ {ZONE}{more} }}");
    one(&zone(""), "raw.credentials.access_token", "is missing");
    one(
        &zone(", token_url = 'https://ims.example', client_id = 'c'"),
        "raw.credentials.client_secret",
        "is missing",
    );
    one(
        &zone(", access_token = 'hunter2', client_id = 'c'"),
        "raw.credentials.access_token",
        "exclude",
    );
    one(
        &zone(", access_token = 't', scopes = ['a']"),
        "raw.credentials.scopes",
        "token_url",
    );
    one(
        &zone(", access_token = '<TOKEN>'"),
        "raw.credentials.access_token",
        "placeholder",
    );
    one(
        &zone(", access_token = ''"),
        "raw.credentials.access_token",
        "empty",
    );
    one(
        &zone(", access_token = 't', margin_seconds = -1"),
        "raw.credentials.margin_seconds",
        "from 0",
    );
    one(
        &zone(", access_token = 't', headers = { 'x key' = 'hunter2' }"),
        "raw.credentials.headers.x key",
        "header",
    );
    one(
        &zone(", access_token = 't', headers = { Authorization = 'hunter2' }"),
        "raw.credentials.headers.Authorization",
        "access_token",
    );
    one(
        "[raw]\nurl = 'az://raw'\ncredentials = { type = 'landing_zone', endpoint = 'http://platform.example', access_token = 't' }",
        "raw.credentials.endpoint",
        "https:",
    );
}

#[test]
fn ranges_and_addresses() {
    one(
        &format!("{S3}request_timeout_seconds = 0"),
        "raw.request_timeout_seconds",
        "from 0.1",
    );
    one(
        &format!("{S3}connect_timeout_seconds = 1e9"),
        "raw.connect_timeout_seconds",
        "to 600",
    );
    one(
        &format!("{S3}endpoint = 'http://minio:9000'"),
        "raw.endpoint",
        "allow_http = true",
    );
    one(
        &format!("{S3}endpoint = 'minio:9000'"),
        "raw.endpoint",
        "no URL",
    );
    one(
        &format!("{S3}endpoint = 'https://u:hunter2@minio'"),
        "raw.endpoint",
        "a user",
    );
    one(
        &format!("{S3}endpoint = 'https://minio/?hunter2'"),
        "raw.endpoint",
        "query",
    );
    one(
        &format!("{S3}endpoint = 'https://<HOST>'"),
        "raw.endpoint",
        "placeholder",
    );
    one(&format!("{S3}region = 'REGION'"), "raw.region", "no region");
    one(
        &format!("{S3}kms_key_id = 'k'"),
        "raw.kms_key_id",
        "encryption",
    );
    one(
        &format!("{S3}encryption = 'sse-s3'\nbucket_key = true"),
        "raw.bucket_key",
        "sse-kms",
    );
    one(
        &format!(
            "{AZURE}credentials = {{ type = 'entra', client_secret = 's', federated_token_file = '/t' }}"
        ),
        "raw.credentials.federated_token_file",
        "exclude",
    );
}

#[test]
fn temporary_credentials_are_of_a_table_or_a_path() {
    let s3 = |options: &str| format!("{S3}credentials = {{ type = 'unity_catalog', {options} }}");
    for right in [
        s3("connection = 'prod'"),
        s3("connection = 'prod', table = 'c.s.t', operation = 'read'"),
        s3("connection = 'prod', path = 's3://raw/x', operation = 'create_table'"),
        format!("{AZURE}credentials = {{ type = 'unity_catalog', connection = 'prod' }}"),
    ] {
        assert_eq!(judged(&right), Vec::<String>::new(), "{right}");
    }
    let wrong = |options: &str, key: &str, words: &str| {
        one(&s3(options), &format!("raw.credentials.{key}"), words);
    };
    wrong("connection = ''", "connection", "empty");
    wrong(
        "connection = 'p', table = 'c.s.t', path = 's3://raw'",
        "path",
        "exclude",
    );
    wrong(
        "connection = 'p', table = 's.t'",
        "table",
        "catalog.schema.table",
    );
    wrong(
        "connection = 'p', table = 'c.s.`t`'",
        "table",
        "without quotes",
    );
    wrong("connection = 'p', path = '/raw'", "path", "no URL");
    wrong(
        "connection = 'p', table = 'c.s.t', operation = 'create_table'",
        "operation",
        "`path`",
    );
    one(
        &format!(
            "{S3}credentials = {{ type = 'assume_role', {ROLE}, source = {{ type = 'unity_catalog', connection = 'p' }} }}"
        ),
        "raw.credentials.source.type",
        "assume no role",
    );
}
