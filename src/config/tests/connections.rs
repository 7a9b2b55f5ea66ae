//! `[connections.NAME]`.

use super::*;
use crate::{
    config::show,
    databricks::{AuthOptions, WarehouseId, WarehouseRef},
};

const PLANTED: &str = "planted-7f3a9c";

const FILE: &str = r#"
[connections.prod]
host = "https://dbc-1a2b.cloud.databricks.com/?o=1"
warehouse = "schema changes"
auth = { type = "oauth_m2m", client_id = "2f9b3c1e-0000-4000-8000-000000000000", client_secret = "file:/run/secret" }
[connections.old]
host = "jdbc:spark://dbc-1a2b.cloud.databricks.com:443/default;httpPath=sql/protocolv1/o/1/0123-456789-abcdefgh;PWD=planted-7f3a9c"
warehouse = "00112233aabbccdd"
[connections.old.auth]
type = "pat"
token = "planted-7f3a9c"
[connections.federated]
host = "adb-1.2.azuredatabricks.net"
auth = { type = "oidc_federation", token = "${TOKEN}" }
[connections.entra]
host = "adb-1.2.azuredatabricks.net"
auth = { type = "entra", client_id = "x", client_secret = "planted-7f3a9c" }
[connections.here]
"#;

fn environment() -> Environment {
    Environment::fixed([("TOKEN", "planted-7f3a9c-env")], [])
}

#[test]
fn connections_are_read_and_secrets_stay_where_they_are() {
    let config = Config::parse(FILE, &environment(), &Flags::default()).unwrap();
    let prod = &config.connections["prod"];
    assert_eq!(
        prod.warehouse,
        Some(WarehouseRef::Name("schema changes".into()))
    );
    let AuthOptions::OauthM2m(auth) = &prod.auth else {
        panic!("OAuth");
    };
    // The file is not there: it is read when the secret is needed.
    assert!(auth.client_secret.file().is_some());
    assert_eq!(auth.scopes, ["all-apis"]);
    let old = &config.connections["old"];
    assert_eq!(
        old.warehouse,
        Some(WarehouseRef::Id(WarehouseId::new("00112233aabbccdd")))
    );
    assert!(matches!(
        config.connections["here"].auth,
        AuthOptions::Environment
    ));
    assert_eq!(config.connections["here"].timeout_seconds, 60.0);
}

#[test]
fn nothing_prints_a_secret() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), FILE).unwrap();
    let shown = show(Some(file.path()), &environment(), &Flags::default()).unwrap();
    assert!(!shown.contains(PLANTED), "{shown}");
    assert!(
        shown.contains("client_secret = \"file:/run/secret\""),
        "{shown}"
    );
    let config = Config::parse(FILE, &environment(), &Flags::default()).unwrap();
    assert!(!format!("{config:?}").contains(PLANTED));
}

#[test]
fn what_is_wrong_has_its_path() {
    let pat = "auth={type='pat',token='dapi1'}";
    let host = "host='h.cloud.databricks.com'";
    for (keys, path, words) in [
        ("x=1".to_owned(), "x", "unknown key"),
        (
            format!("{host}\nauth={{type='path'}}"),
            "auth.type",
            "did you mean `pat`",
        ),
        (
            format!("{host}\nauth={{type='pat'}}"),
            "auth.token",
            "is missing",
        ),
        (
            format!("{host}\nauth={{type='pat',token=''}}"),
            "auth.token",
            "is empty",
        ),
        (
            format!("{host}\nauth={{type='pat',token='a b'}}"),
            "auth.token",
            "white space",
        ),
        (pat.to_owned(), "host", "is missing"),
        (format!("host='dbc-1'\n{pat}"), "host", "whole domain"),
        (
            format!("host='docs.databricks.com'\n{pat}"),
            "host",
            "not a workspace",
        ),
        (
            format!("host='accounts.cloud.databricks.com'\n{pat}"),
            "host",
            "account_id",
        ),
        (
            format!("host='jdbc:mysql://h'\n{pat}"),
            "host",
            "something else",
        ),
        (
            format!("{host}\nprofile='p'\n{pat}"),
            "profile",
            "read only where",
        ),
        (
            format!("{host}\ntoken_url='https://x'\n{pat}"),
            "token_url",
            "means nothing",
        ),
        (
            format!("{host}\ntoken_url='http://h.example/x'"),
            "token_url",
            "must be an https",
        ),
        (
            format!(
                "{host}\ntoken_url='https://dbc-REPLACE-ME.cloud.databricks.com/oidc/v1/token'"
            ),
            "token_url",
            "placeholder",
        ),
        (
            format!("{host}\nauth={{type='oauth_m2m',client_id='<id>',client_secret='s'}}"),
            "auth.client_id",
            "placeholder",
        ),
        (
            format!("{host}\nauth={{type='oauth_m2m',client_id='i',client_secret='s',scopes=[]}}"),
            "auth.scopes",
            "must name scopes",
        ),
        (
            format!(
                "{host}\nauth={{type='entra',client_id='i',client_secret='s',authority='http://x'}}"
            ),
            "auth.authority",
            "https",
        ),
        (
            format!(
                "{host}\nauth={{type='entra',client_id='i',client_secret='s',workspace_resource_id='w'}}"
            ),
            "auth.workspace_resource_id",
            "/subscriptions/",
        ),
        (
            format!("{host}\nwarehouse=''\n{pat}"),
            "warehouse",
            "is empty",
        ),
        (
            format!("{host}\nwarehouse='id:a/b'\n{pat}"),
            "warehouse",
            "no id",
        ),
        (
            format!("{host}\ntimeout_seconds=0\n{pat}"),
            "timeout_seconds",
            "must be from",
        ),
        (
            format!("{host}\nvending_api_version='3'\n{pat}"),
            "vending_api_version",
            "`2.0` or `2.1`",
        ),
        (
            format!("{host}\ntrusted_hosts=['a b']\n{pat}"),
            "trusted_hosts[0]",
            "white space",
        ),
        (
            format!("{host}\nworkspace_id='1/2'\n{pat}"),
            "workspace_id",
            "no id has",
        ),
    ] {
        one_problem(
            &format!("[connections.c]\n{keys}"),
            &format!("connections.c.{path}"),
            words,
        );
    }
    one_problem(
        &format!("[connections.'a b']\n{host}\n{pat}"),
        "connections.\"a b\"",
        "a connection's name",
    );
}

#[test]
fn a_variable_may_hold_a_token() {
    let environment = Environment::fixed(
        [("ALLUVIUM_CONNECTIONS__PROD__AUTH__TOKEN", "dapi-variable")],
        [],
    );
    let text =
        "[connections.prod]\nhost='h.cloud.databricks.com'\nauth={type='pat',token='dapi-file'}";
    let config = Config::parse(text, &environment, &Flags::default()).unwrap();
    let AuthOptions::Pat(pat) = &config.connections["prod"].auth else {
        panic!("a token");
    };
    assert_eq!(pat.token.read().unwrap().expose(), "dapi-variable");
}
