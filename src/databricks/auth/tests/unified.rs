//! The environment and profiles, in the SDKs' order.

use super::{ME, TOKEN};
use crate::databricks::{
    Call, ConnectionOptions, Kind, Result, WarehouseId, WarehouseRef, auth::Surroundings,
    http::Failure, testing::*,
};
use serde_json::{Value, json as j};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
use tokio::time::advance;

const PROFILES: &str = "[DEFAULT]\nhost = https://default.cloud.databricks.com\ntoken = dapi-default\n\
    [prod]\nhost = https://prod.cloud.databricks.com/?o=1\nclient_id = app\nclient_secret = dose-prod\nwarehouse_id = 00112233aabbccdd\n\
    [both]\nhost = https://both.cloud.databricks.com\ntoken = dapi-both\nclient_id = app\nclient_secret = dose-both\n\
    [pinned]\nhost = https://both.cloud.databricks.com\ntoken = dapi-both\nclient_id = app\nclient_secret = dose-both\nauth_type = oauth-m2m\n\
    [cli]\nhost = https://cli.cloud.databricks.com\nauth_type = databricks-cli\n\
    [old]\nhost = https://old.cloud.databricks.com\nusername = u\npassword = p\n";

fn surroundings(home: &Path, variables: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>(),
        home: Some(home.to_owned()),
    }
}

fn echo() -> Arc<Fake> {
    Fake::new(|request, _| match request.url.path() {
        TOKEN => json(200, j!({ "access_token": "by-oauth", "expires_in": 3600 })),
        ME => json(
            200,
            j!({ "by": header(request, "authorization"), "at": request.url.host_str(), "ws": header(request, "x-databricks-workspace-id") }),
        ),
        _ => text(404, ""),
    })
}

/// What is tried, the connection, the variables, the file of profiles, what comes of it.
type Case<'a, T> = (&'a str, Value, &'a [(&'a str, &'a str)], Option<&'a str>, T);

/// Who calls which host, or what is wrong.
async fn who(
    options: Value,
    variables: &[(&str, &str)],
    profiles: Option<&str>,
) -> Result<(String, String)> {
    let home = tempfile::tempdir().unwrap();
    if let Some(text) = profiles {
        std::fs::write(home.path().join(".databrickscfg"), text).unwrap();
    }
    let options: ConnectionOptions = serde_json::from_value(options).unwrap();
    let workspace = try_workspace(&options, &surroundings(home.path(), variables), &echo())?;
    let me: Value = workspace.send(Call::get(ME)).await?;
    let text = |key: &str| {
        me[key]
            .as_str()
            .unwrap_or_default()
            .replace("Bearer ", "")
            .replace(".cloud.databricks.com", "")
    };
    Ok((text("at"), text("by")))
}

#[tokio::test(start_paused = true)]
async fn the_order_is_connection_environment_profile() {
    let with = Some(PROFILES);
    let env = [
        ("DATABRICKS_HOST", "https://env.cloud.databricks.com"),
        ("DATABRICKS_TOKEN", "dapi-env"),
    ];
    let cases: [Case<(&str, &str)>; 12] = [
        (
            "DEFAULT where nothing else is set",
            j!({}),
            &[],
            with,
            ("default", "dapi-default"),
        ),
        (
            "the environment before the file",
            j!({}),
            &env,
            with,
            ("env", "dapi-env"),
        ),
        (
            "a named profile",
            j!({ "profile": "prod" }),
            &[],
            with,
            ("prod", "by-oauth"),
        ),
        (
            "a profile named by the environment",
            j!({}),
            &[("DATABRICKS_CONFIG_PROFILE", "prod")],
            with,
            ("prod", "by-oauth"),
        ),
        (
            "the connection's profile before the environment's",
            j!({ "profile": "prod" }),
            &[("DATABRICKS_CONFIG_PROFILE", "both")],
            with,
            ("prod", "by-oauth"),
        ),
        (
            "an empty variable is none",
            j!({}),
            &[("DATABRICKS_HOST", "")],
            with,
            ("default", "dapi-default"),
        ),
        (
            "the environment's token for the same host",
            j!({ "profile": "DEFAULT" }),
            &[("DATABRICKS_TOKEN", "dapi-env")],
            with,
            ("default", "dapi-env"),
        ),
        (
            "auth_type chooses",
            j!({ "profile": "pinned" }),
            &[],
            with,
            ("both", "by-oauth"),
        ),
        (
            "auth_type of the environment chooses",
            j!({ "profile": "both" }),
            &[("DATABRICKS_AUTH_TYPE", "pat")],
            with,
            ("both", "dapi-both"),
        ),
        (
            "OAuth by the environment",
            j!({ "host": "env.cloud.databricks.com" }),
            &[
                ("DATABRICKS_CLIENT_ID", "a"),
                ("DATABRICKS_CLIENT_SECRET", "s"),
            ],
            with,
            ("env", "by-oauth"),
        ),
        (
            "a federated token of the environment",
            j!({ "host": "env.cloud.databricks.com" }),
            &[("DATABRICKS_OIDC_TOKEN", "jwt")],
            None,
            ("env", "by-oauth"),
        ),
        ("no file at all", j!({}), &env, None, ("env", "dapi-env")),
    ];
    for (what, options, variables, profiles, (host, by)) in cases {
        let found = who(options, variables, profiles)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(found, (host.to_owned(), by.to_owned()), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_told() {
    let with = Some(PROFILES);
    let other = [
        ("DATABRICKS_HOST", "https://env.cloud.databricks.com"),
        ("DATABRICKS_TOKEN", "dapi-env"),
    ];
    let cases: [Case<&str>; 14] = [
        (
            "two kinds",
            j!({ "profile": "both" }),
            &[],
            with,
            "kinds=`oauth and pat`",
        ),
        (
            "two kinds over two places",
            j!({ "profile": "prod" }),
            &[("DATABRICKS_TOKEN", "dapi-env")],
            with,
            "more than one kind",
        ),
        (
            "a profile that is not there",
            j!({ "profile": "prd" }),
            &[],
            with,
            "known=`DEFAULT, both, cli, old, pinned, prod`",
        ),
        (
            "no file for a profile",
            j!({ "profile": "prod" }),
            &[],
            None,
            "there is no file of profiles",
        ),
        (
            "a corrupt file",
            j!({}),
            &[],
            Some("[DEFAULT]\nplanted"),
            "line=`2`",
        ),
        (
            "a person's way",
            j!({ "profile": "cli" }),
            &[],
            with,
            "auth_type=`databricks-cli`",
        ),
        (
            "passwords",
            j!({ "profile": "old" }),
            &[],
            with,
            "no longer takes user names",
        ),
        ("nothing", j!({}), &[], None, "DATABRICKS_HOST"),
        (
            "a host alone",
            j!({ "host": "h.cloud.databricks.com" }),
            &[],
            with,
            "no credential is found",
        ),
        (
            "a token of another host",
            j!({ "host": "h.cloud.databricks.com" }),
            &other,
            None,
            "not sent to this one",
        ),
        (
            "a token of what is no host",
            j!({ "host": "h.cloud.databricks.com" }),
            &[
                ("DATABRICKS_HOST", "no host"),
                ("DATABRICKS_TOKEN", "dapi-x"),
            ],
            None,
            "not sent to this one",
        ),
        (
            "a subject's token of another host",
            j!({ "host": "h.cloud.databricks.com" }),
            &[
                ("DATABRICKS_HOST", "e.cloud.databricks.com"),
                ("DATABRICKS_OIDC_TOKEN", "planted"),
            ],
            None,
            "not sent to this one",
        ),
        (
            "a subject's file of another host",
            j!({ "host": "h.cloud.databricks.com" }),
            &[
                ("DATABRICKS_HOST", "e.cloud.databricks.com"),
                ("DATABRICKS_OIDC_TOKEN_FILEPATH", "/planted"),
            ],
            None,
            "not sent to this one",
        ),
        (
            "a profile of another host",
            j!({ "host": "h.cloud.databricks.com", "profile": "prod" }),
            &[],
            with,
            "the profile prod has a credential for another host",
        ),
    ];
    for (what, options, variables, profiles, words) in cases {
        let error = who(options, variables, profiles).await.expect_err(what);
        assert_eq!(error.kind(), Kind::Options, "{what}: {error}");
        let told = error.to_string();
        assert!(told.contains(words), "{what}: {told}");
        assert!(
            !told.contains("dapi-") && !told.contains("dose-") && !told.contains("planted"),
            "{told}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn other_attributes_come_along_and_secrets_are_read_again() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("profiles");
    std::fs::write(&file, "[__settings__]\ndefault_profile = p\n[p]\nhost=p.cloud.databricks.com\ntoken=dapi-one\nwarehouse_id = 00112233aabbccdd\nworkspace_id=42").unwrap();
    let around = surroundings(home.path(), &[("DATABRICKS_CONFIG_FILE", "~/profiles")]);
    let workspace = try_workspace(&ConnectionOptions::default(), &around, &echo()).unwrap();
    assert_eq!(
        workspace.warehouse(),
        Some(&WarehouseRef::Id(WarehouseId::new("00112233aabbccdd")))
    );
    let me: Value = workspace.send(Call::get(ME)).await.unwrap();
    assert_eq!(
        (me["ws"].as_str(), me["by"].as_str()),
        (Some("42"), Some("Bearer dapi-one"))
    );
    std::fs::write(&file, "[p]\nhost=p.cloud.databricks.com\ntoken=dapi-two").unwrap();
    let me: Value = workspace.send(Call::get(ME)).await.unwrap();
    assert_eq!(me["by"], "Bearer dapi-two");
}

/// The file is edited while the process runs.
#[tokio::test(start_paused = true)]
async fn a_profile_that_becomes_another_hosts_is_not_used_for_the_old_one() {
    for (kind, before, after) in [
        ("token", "token=dapi-one", "token=dapi-planted"),
        (
            "client secret",
            "client_id=app\nclient_secret=dose-one",
            "client_id=app\nclient_secret=dose-planted",
        ),
    ] {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".databrickscfg");
        let write = |host: &str, keys: &str| {
            let host = format!("host=https://{host}.cloud.databricks.com/?o=1");
            std::fs::write(&file, format!("[p]\n{host}\n{keys}\n")).unwrap();
        };
        write("old", before);
        let options = options(j!({ "profile": "p" }));
        let fake = echo();
        let workspace = try_workspace(&options, &surroundings(home.path(), &[]), &fake).unwrap();
        workspace.send::<Value>(Call::get(ME)).await.unwrap();
        // An OAuth token of the old host's serves it to its end.
        advance(Duration::from_secs(3_599)).await;
        write("new", after);
        let before = fake.seen().len();
        let error = workspace.send::<Value>(Call::get(ME)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthenticated);
        let told = error.to_string();
        for words in [
            kind,
            "profile=`p`",
            "of_credential=`https://new.cloud",
            "restart",
        ] {
            assert!(told.contains(words), "{words} {told}");
        }
        assert!(!told.contains("planted"), "{told}");
        assert_eq!(fake.seen().len(), before, "{:?}", fake.lines());
        write("old", after);
        workspace.send::<Value>(Call::get(ME)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_managed_identity_is_asked_for_by_the_machines_metadata_service() {
    let fake = Fake::new(|request, number| match request.url.host_str() {
        Some("169.254.169.254") => json(
            200,
            j!({ "access_token": format!("by-msi-{number}"), "expires_in": "86399", "token_type": "Bearer" }),
        ),
        _ => json(200, j!({})),
    });
    let variables = [
        ("DATABRICKS_HOST", "adb-1.2.azuredatabricks.net"),
        ("ARM_USE_MSI", "true"),
        ("ARM_CLIENT_ID", "assigned"),
        ("DATABRICKS_AZURE_RESOURCE_ID", "/subscriptions/s"),
    ];
    let around = surroundings(Path::new("/nowhere"), &variables);
    let workspace = try_workspace(&ConnectionOptions::default(), &around, &fake).unwrap();
    for _ in 0..2 {
        workspace.send::<Value>(Call::get(ME)).await.unwrap();
    }
    let seen = fake.seen();
    let asked = |resource: &str| {
        format!(
            "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}&client_id=assigned"
        )
    };
    let urls: Vec<&str> = seen.iter().map(|(_, one)| one.url.as_str()).collect();
    let me = format!("https://adb-1.2.azuredatabricks.net{ME}");
    assert_eq!(
        urls,
        [
            asked("2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"),
            asked("https%3A%2F%2Fmanagement.core.windows.net%2F"),
            me.clone(),
            me
        ]
    );
    assert_eq!(header(&seen[0].1, "metadata").unwrap(), "true");
    let (_, last) = &seen[3];
    for (name, value) in [
        ("authorization", "Bearer by-msi-0"),
        ("x-databricks-azure-sp-management-token", "by-msi-1"),
        (
            "x-databricks-azure-workspace-resource-id",
            "/subscriptions/s",
        ),
    ] {
        assert_eq!(header(last, name).unwrap(), value);
    }
    // On a machine that is none of Azure's nobody answers there.
    let fake = Fake::new(|_, _| Reply::Fail(Failure::Unreachable("no route".into())));
    let workspace = try_workspace(&ConnectionOptions::default(), &around, &fake).unwrap();
    let told = workspace.send::<Value>(Call::get(ME)).await.unwrap_err();
    assert_eq!(told.kind(), Kind::Network);
    assert!(told.to_string().contains("ARM_USE_MSI"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn two_workspaces_do_not_share_tokens() {
    let fake = echo();
    let of = |host: &str, token: &str| {
        let options = options(j!({ "host": host, "auth": { "type": "pat", "token": token } }));
        workspace(&options, &fake)
    };
    let (a, b) = (
        of("a.cloud.databricks.com", "dapi-a"),
        of("b.cloud.databricks.com", "dapi-b"),
    );
    let (a, b) = tokio::join!(
        a.send::<Value>(Call::get(ME)),
        b.send::<Value>(Call::get(ME))
    );
    assert_eq!(a.unwrap()["by"], "Bearer dapi-a");
    assert_eq!(b.unwrap()["by"], "Bearer dapi-b");
}

#[tokio::test(start_paused = true)]
async fn a_place_of_description_that_is_set_is_trusted() {
    let fake = Fake::new(|request, _| match request.url.as_str() {
        "https://sign.in.example/d" => json(
            200,
            j!({ "token_endpoint": "https://sign.in.example/token" }),
        ),
        "https://sign.in.example/token" => token(1, 3600),
        _ => json(200, j!({})),
    });
    let variables = [
        ("DATABRICKS_DISCOVERY_URL", "https://sign.in.example/d"),
        ("DATABRICKS_CLIENT_ID", "a"),
        ("DATABRICKS_CLIENT_SECRET", "s"),
        ("DATABRICKS_HOST", "h.cloud.databricks.com"),
    ];
    let around = surroundings(Path::new("/nowhere"), &variables);
    let workspace = try_workspace(&ConnectionOptions::default(), &around, &fake).unwrap();
    workspace.send::<Value>(Call::get(ME)).await.unwrap();
    assert_eq!(fake.lines()[..2], ["GET /d", "POST /token"]);
}
