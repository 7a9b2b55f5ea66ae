//! Tokens of other issuers, and Azure's.

use super::{ME, TOKEN, j_ok, me, numbered};
use crate::databricks::{ConnectionOptions, http::Outgoing, testing::*};
use serde_json::{Value, json as j};
use std::time::Duration;
use tokio::time::{advance, sleep};

fn federation(token: &str, client: Option<&str>) -> ConnectionOptions {
    options(j!({
        "host": "h.cloud.databricks.com",
        "auth": { "type": "oidc_federation", "token": token, "client_id": client },
    }))
}

#[tokio::test(start_paused = true)]
async fn a_federated_token_is_read_at_each_exchange() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwt");
    std::fs::write(&path, "jwt-one").unwrap();
    let fake = numbered(3600);
    let options = federation(&format!("file:{}", path.display()), Some("app"));
    let workspace = workspace(&options, &fake);
    me(&workspace).await.unwrap();
    std::fs::write(&path, "jwt-two\n").unwrap();
    advance(Duration::from_secs(3590)).await;
    me(&workspace).await.unwrap();
    let seen = fake.seen();
    let asked: Vec<&Outgoing> = seen
        .iter()
        .map(|(_, request)| request)
        .filter(|r| r.url.path() == TOKEN)
        .collect();
    let expected = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt";
    assert_eq!(
        body(asked[0]),
        format!("{expected}&subject_token=jwt-one&scope=all-apis&client_id=app")
    );
    assert!(body(asked[1]).contains("subject_token=jwt-two&"));
    assert!(header(asked[0], "authorization").is_none());
    // A file that is gone is told, and the token that serves is kept until its end.
    std::fs::remove_file(&path).unwrap();
    advance(Duration::from_secs(3590)).await;
    let error = me(&workspace).await.unwrap_err();
    assert!(error.to_string().contains("jwt`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_account_wide_policy_names_no_client() {
    let fake = numbered(3600);
    me(&workspace(&federation("jwt", None), &fake))
        .await
        .unwrap();
    assert!(!body(&fake.seen()[1].1).contains("client_id"));
}

fn entra(extra: Value) -> ConnectionOptions {
    let mut auth = j!({ "type": "entra", "client_id": "app", "client_secret": PLANTED });
    auth.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    options(j!({ "host": "adb-1.2.azuredatabricks.net", "auth": auth }))
}

#[tokio::test(start_paused = true)]
async fn entra_tells_databricks_and_management_tokens_apart() {
    let fake = Fake::new(|request, number| match request.url.path() {
        "/aad/auth" => with(
            302,
            "location",
            "https://login.microsoftonline.com/tenant-1/oauth2/authorize?x=y",
        ),
        "/tenant-1/oauth2/token" => {
            let databricks =
                body(request).contains("resource=2ff814a6-3304-4ab8-85cb-cd0e6f879c1d");
            let value = match databricks {
                true => format!("for-databricks-{number}"),
                false => "for-management".to_owned(),
            };
            j_ok(j!({ "access_token": value, "expires_in": "3599", "token_type": "Bearer" }))
        }
        _ => j_ok(j!({})),
    });
    let id = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Databricks/workspaces/w";
    let workspace = workspace(&entra(j!({ "workspace_resource_id": id })), &fake);
    me(&workspace).await.unwrap();
    let seen = fake.seen();
    let (_, call) = seen.last().unwrap();
    let first = header(call, "authorization").unwrap();
    assert_eq!(first, "Bearer for-databricks-1");
    assert_eq!(
        header(call, "x-databricks-azure-sp-management-token").unwrap(),
        "for-management"
    );
    assert_eq!(
        header(call, "x-databricks-azure-workspace-resource-id").unwrap(),
        id
    );
    let asked: Vec<&Outgoing> = seen
        .iter()
        .map(|(_, request)| request)
        .filter(|r| r.method == "POST")
        .collect();
    assert!(
        asked
            .iter()
            .all(|r| r.url.host_str() == Some("login.microsoftonline.com"))
    );
    assert!(body(asked[1]).contains("resource=https%3A%2F%2Fmanagement.core.windows.net%2F"));
    // Azure's tokens are used until 30 s before their end, so at 35 s the old one serves.
    let last = || {
        let mut calls = fake.seen();
        calls.retain(|(_, request)| request.url.path() == ME);
        header(&calls.pop().unwrap().1, "authorization").unwrap()
    };
    advance(Duration::from_secs(3599 - 35)).await;
    me(&workspace).await.unwrap();
    assert_eq!(last(), first);
    sleep(Duration::from_millis(1)).await;
    me(&workspace).await.unwrap();
    assert_ne!(last(), first);
}

#[tokio::test(start_paused = true)]
async fn without_a_resource_the_management_token_may_be_missing() {
    let script = |request: &Outgoing, _| match request.url.path() {
        "/t/oauth2/token" if body(request).contains("management") => {
            json(400, j!({ "error": "invalid_resource" }))
        }
        "/t/oauth2/token" => token(1, 3600),
        _ => j_ok(j!({})),
    };
    me(&workspace(
        &entra(j!({ "tenant_id": "t" })),
        &Fake::new(script),
    ))
    .await
    .unwrap();
    let id = "/subscriptions/s";
    let error = me(&workspace(
        &entra(j!({ "tenant_id": "t", "workspace_resource_id": id })),
        &Fake::new(script),
    ))
    .await
    .unwrap_err();
    assert!(error.to_string().contains("invalid_resource"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_management_token_that_is_refused_is_not_asked_for_at_each_call() {
    let is_management = |request: &Outgoing| body(request).contains("management");
    let fake = Fake::new(move |request, number| match request.url.path() {
        "/t/oauth2/token" if is_management(request) && number < 20 => {
            json(400, j!({ "error": "invalid_resource" }))
        }
        "/t/oauth2/token" => token(1, 36_000),
        _ => j_ok(j!({})),
    });
    let workspace = workspace(&entra(j!({ "tenant_id": "t" })), &fake);
    let asked = || {
        fake.seen()
            .iter()
            .filter(|(_, one)| is_management(one))
            .count()
    };
    for (seconds, expected) in [(0, 1), (0, 1), (59, 1), (2, 2), (0, 2), (59, 2), (2, 3)] {
        advance(Duration::from_secs(seconds)).await;
        me(&workspace).await.unwrap();
        assert_eq!(asked(), expected, "after {seconds} s more");
    }
    // Once it is offered it goes along, from the first time it is asked for.
    for _ in 0..10 {
        me(&workspace).await.unwrap();
    }
    advance(Duration::from_secs(61)).await;
    me(&workspace).await.unwrap();
    assert_eq!(asked(), 4);
    let (_, last) = fake.seen().pop().unwrap();
    assert!(header(&last, "x-databricks-azure-sp-management-token").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_workspace_that_does_not_tell_its_tenant_is_told_of() {
    let fake = Fake::new(|_, _| text(404, ""));
    let error = me(&workspace(&entra(j!({})), &fake)).await.unwrap_err();
    assert!(error.to_string().contains("set `tenant_id`"), "{error}");
}
