//! Tokens: how they are asked for, kept and renewed.

use crate::databricks::{Call, Error, Kind, Workspace, http::Failure, testing::*};
use serde_json::{Value, json as j};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, advance, sleep};

mod issuers;
mod unified;

const ME: &str = "/api/2.0/preview/scim/v2/Me";
const TOKEN: &str = "/oidc/v1/token";

async fn me(workspace: &Workspace) -> Result<Value, Error> {
    workspace.send(Call::get(ME)).await
}

/// A workspace without discovery whose tokens are numbered and live so many seconds.
fn numbered(seconds: u64) -> Arc<Fake> {
    let issued = AtomicUsize::new(0);
    Fake::new(move |request, _| match request.url.path() {
        TOKEN => token(issued.fetch_add(1, Ordering::Relaxed) + 1, seconds),
        ME => json(200, j!({ "by": header(request, "authorization").unwrap() })),
        _ => text(404, ""),
    })
}

fn by(answer: &Value) -> String {
    answer["by"]
        .as_str()
        .unwrap()
        .replace(&format!("-{PLANTED}"), "")
        .replace("Bearer ", "")
}

#[tokio::test(start_paused = true)]
async fn client_credentials_are_sent_as_the_workspace_wants_them() {
    let fake = Fake::new(|request, _| match request.url.path() {
        "/.well-known/databricks-config" => j_ok(
            j!({ "oidc_endpoint": "https://h.cloud.databricks.com/oidc/accounts/{account_id}", "account_id": "acc", "cloud": "AWS" }),
        ),
        "/oidc/accounts/acc/.well-known/oauth-authorization-server" => j_ok(
            j!({ "token_endpoint": "https://h.cloud.databricks.com/oidc/accounts/acc/v1/token" }),
        ),
        "/oidc/accounts/acc/v1/token" => token(1, 3600),
        _ => j_ok(j!({})),
    });
    let workspace = workspace(&m2m(), &fake);
    me(&workspace).await.unwrap();
    me(&workspace).await.unwrap();
    let expected = [
        "GET /.well-known/databricks-config",
        "GET /oidc/accounts/acc/.well-known/oauth-authorization-server",
        "POST /oidc/accounts/acc/v1/token",
        "GET /api/2.0/preview/scim/v2/Me",
        "GET /api/2.0/preview/scim/v2/Me",
    ];
    assert_eq!(fake.lines(), expected);
    let asked = &fake.seen()[2].1;
    assert_eq!(body(asked), "grant_type=client_credentials&scope=all-apis");
    // app:dose…
    let basic = header(asked, "authorization").unwrap();
    let decoded = base64::Engine::decode(
        &base64::prelude::BASE64_STANDARD,
        basic.strip_prefix("Basic ").unwrap(),
    )
    .unwrap();
    assert_eq!(decoded, format!("app:dose{PLANTED}").into_bytes());
    // Discovery carries no credential.
    assert!(header(&fake.seen()[0].1, "authorization").is_none());
    assert_eq!(
        header(&fake.seen()[3].1, "authorization").unwrap(),
        format!("Bearer t1-{PLANTED}")
    );
}

fn j_ok(body: Value) -> Reply {
    json(200, body)
}

#[tokio::test(start_paused = true)]
async fn without_discovery_the_usual_endpoint_is_asked() {
    for found in [
        text(404, "<html>"),
        text(200, "<html>login</html>"),
        json(
            200,
            j!({ "oidc_endpoint": "https://h.cloud.databricks.com/oidc/accounts/{account_id}" }),
        ),
    ] {
        let found = std::sync::Mutex::new(Some(found));
        let fake = Fake::new(move |request, _| match request.url.path() {
            "/.well-known/databricks-config" => found.lock().unwrap().take().unwrap(),
            TOKEN => token(1, 3600),
            _ => j_ok(j!({})),
        });
        me(&workspace(&m2m(), &fake)).await.unwrap();
        assert_eq!(fake.count(TOKEN), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_explicit_url_and_the_account_need_no_discovery() {
    for (host, extra, expected) in [
        (
            "h.cloud.databricks.com",
            j!({ "token_url": "https://accounts.cloud.databricks.com/oidc/accounts/a/v1/token" }),
            "https://accounts.cloud.databricks.com/oidc/accounts/a/v1/token",
        ),
        (
            "accounts.cloud.databricks.com",
            j!({ "account_id": "acc" }),
            "https://accounts.cloud.databricks.com/oidc/accounts/acc/v1/token",
        ),
    ] {
        let fake = Fake::new(|request, _| match request.url.path() {
            path if path.ends_with("/v1/token") => token(1, 3600),
            path if path.starts_with("/.well-known") => text(404, ""),
            _ => j_ok(j!({})),
        });
        let mut options = m2m();
        options.host = Some(host.into());
        options.token_url = extra["token_url"].as_str().map(str::to_owned);
        options.account_id = extra["account_id"].as_str().map(str::to_owned);
        me(&workspace(&options, &fake)).await.unwrap();
        let asked: Vec<String> = fake
            .seen()
            .iter()
            .filter(|(_, r)| r.method == "POST")
            .map(|(_, r)| r.url.to_string())
            .collect();
        assert_eq!(asked, [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_not_sent_where_a_stranger_sends_us() {
    let fake = Fake::new(|request, _| match request.url.path() {
        "/.well-known/databricks-config" => {
            j_ok(j!({ "oidc_endpoint": "https://h.cloud.databricks.com/oidc" }))
        }
        "/oidc/.well-known/oauth-authorization-server" => {
            j_ok(j!({ "token_endpoint": "https://evil.example/token" }))
        }
        _ => token(1, 3600),
    });
    let error = me(&workspace(&m2m(), &fake)).await.unwrap_err();
    assert!(
        error.to_string().contains("evil.example") && error.to_string().contains("token_url"),
        "{error}"
    );
    assert!(
        fake.seen()
            .iter()
            .all(|(_, request)| request.url.host_str() != Some("evil.example"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_ask_for_one_token() {
    let fake = Fake::new(|request, _| match request.url.path() {
        // Seconds as text, as some servers write them.
        TOKEN => Reply::After(
            Duration::from_secs(2),
            Box::new(j_ok(
                j!({ "access_token": PLANTED, "expires_in": "3600", "token_type": "Bearer" }),
            )),
        ),
        ME => j_ok(j!({})),
        _ => text(404, ""),
    });
    let workspace = workspace(&m2m(), &fake);
    let calls = (0..100).map(|_| me(&workspace));
    for result in futures::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!((fake.count(TOKEN), fake.count(ME)), (1, 100));
    // The text counted: the token is not asked for again within its life.
    advance(Duration::from_secs(2_000)).await;
    me(&workspace).await.unwrap();
    assert_eq!(fake.count(TOKEN), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_does_not_end_the_fetch_of_others() {
    let fake = Fake::new(|request, _| match request.url.path() {
        TOKEN => Reply::After(Duration::from_secs(5), Box::new(token(1, 3600))),
        ME => j_ok(j!({})),
        _ => text(404, ""),
    });
    let workspace = workspace(&m2m(), &fake);
    let gone = tokio::time::timeout(Duration::from_secs(1), me(&workspace)).await;
    assert!(gone.is_err());
    me(&workspace).await.unwrap();
    assert_eq!(fake.count(TOKEN), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_behind_the_scenes_and_not_used_at_its_end() {
    let fake = numbered(3600);
    let workspace = workspace(&m2m(), &fake);
    assert_eq!(by(&me(&workspace).await.unwrap()), "t1");
    // Stale with 20 minutes left; a minute before nothing happens.
    advance(Duration::from_secs(39 * 60)).await;
    assert_eq!(by(&me(&workspace).await.unwrap()), "t1");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(fake.count(TOKEN), 1);
    advance(Duration::from_secs(61)).await;
    // The old one serves while the new one is fetched.
    assert_eq!(by(&me(&workspace).await.unwrap()), "t1");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(fake.count(TOKEN), 2);
    assert_eq!(by(&me(&workspace).await.unwrap()), "t2");
    // With 40 s left it is not used: nobody asked in between.
    advance(Duration::from_secs(3600 - 40)).await;
    assert_eq!(by(&me(&workspace).await.unwrap()), "t3");
}

#[tokio::test(start_paused = true)]
async fn a_short_life_is_renewed_at_its_half() {
    let fake = numbered(300);
    let workspace = workspace(&m2m(), &fake);
    me(&workspace).await.unwrap();
    advance(Duration::from_secs(149)).await;
    me(&workspace).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(fake.count(TOKEN), 1);
    advance(Duration::from_secs(2)).await;
    assert_eq!(by(&me(&workspace).await.unwrap()), "t1");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(by(&me(&workspace).await.unwrap()), "t2");
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_next_renewal_waits_a_minute() {
    let issued = AtomicUsize::new(0);
    let fake = Fake::new(move |request, _| match request.url.path() {
        TOKEN if issued.fetch_add(1, Ordering::Relaxed) == 0 => token(1, 3600),
        TOKEN => json(
            401,
            j!({ "error": "invalid_client", "error_description": "no" }),
        ),
        ME => json(200, j!({ "by": header(request, "authorization").unwrap() })),
        _ => text(404, ""),
    });
    let workspace = workspace(&m2m(), &fake);
    me(&workspace).await.unwrap();
    advance(Duration::from_secs(41 * 60)).await;
    for _ in 0..10 {
        assert_eq!(by(&me(&workspace).await.unwrap()), "t1");
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(fake.count(TOKEN), 2);
    sleep(Duration::from_secs(55)).await;
    me(&workspace).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(fake.count(TOKEN), 3);
    // At the end of the old one there is none.
    advance(Duration::from_secs(3600)).await;
    let error = me(&workspace).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated);
    let words = error.to_string();
    assert!(
        words.contains("invalid_client: no")
            && words.contains("check the client id and its secret"),
        "{words}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_renewed_once_and_the_call_replayed() {
    let issued = AtomicUsize::new(0);
    let fake = Fake::new(move |request, _| match request.url.path() {
        TOKEN => token(issued.fetch_add(1, Ordering::Relaxed) + 1, 3600),
        ME => match header(request, "authorization").unwrap().contains("t1-") {
            true => json(
                401,
                j!({ "error_code": "UNAUTHENTICATED", "message": "revoked" }),
            ),
            false => j_ok(j!({ "ok": true })),
        },
        _ => text(404, ""),
    });
    let workspace = workspace(&m2m(), &fake);
    // Many at once, whom one renewal serves; and a call that must not be sent twice is, as it was refused.
    let once = || workspace.send::<Value>(Call::get(ME).once());
    for result in futures::future::join_all((0..20).map(|_| once())).await {
        assert_eq!(result.unwrap()["ok"], true);
    }
    assert_eq!(fake.count(TOKEN), 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_token_that_is_refused_too_ends_it() {
    let fake = Fake::new(|request, number| match request.url.path() {
        TOKEN => token(number, 3600),
        ME => json(
            401,
            j!({ "error_code": "UNAUTHENTICATED", "message": "who?" }),
        ),
        _ => text(404, ""),
    });
    let workspace = workspace(&m2m(), &fake);
    let error = me(&workspace).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated);
    assert_eq!((fake.count(TOKEN), fake.count(ME)), (2, 2));
    // The next call does not ask for a third at once.
    me(&workspace).await.unwrap_err();
    assert_eq!((fake.count(TOKEN), fake.count(ME)), (2, 3));
    advance(Duration::from_secs(10)).await;
    me(&workspace).await.unwrap_err();
    assert_eq!((fake.count(TOKEN), fake.count(ME)), (3, 5));
}

#[tokio::test(start_paused = true)]
async fn a_personal_access_token_is_final_until_its_file_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "dapi-old\n").unwrap();
    let fake = Fake::new(
        |request, _| match header(request, "authorization").as_deref() {
            Some("Bearer dapi-new") => j_ok(j!({})),
            _ => json(
                403,
                j!({ "error_code": "403", "message": "Invalid access token." }),
            ),
        },
    );
    let mut options = pat();
    options.auth =
        serde_json::from_value(j!({ "type": "pat", "token": format!("file:{}", path.display()) }))
            .unwrap();
    let workspace = workspace(&options, &fake);
    let error = me(&workspace).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthenticated);
    assert!(
        error
            .to_string()
            .contains("check the credential that `auth`"),
        "{error}"
    );
    assert_eq!(fake.count(ME), 1);
    std::fs::write(&path, "dapi-new").unwrap();
    me(&workspace).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn token_endpoints_refuse_in_two_forms_and_repeat_no_secret() {
    for (status, answer, kind, words) in [
        (
            400,
            j!({ "error": "invalid_client", "error_description": format!("no such client dose{PLANTED}") }),
            Kind::Unauthenticated,
            "invalid_client: no such client",
        ),
        (
            400,
            j!({ "errorCode": "E0000021", "errorSummary": "bad\r\ncredentials" }),
            Kind::Unauthenticated,
            "E0000021: bad credentials",
        ),
        (
            403,
            j!({ "error": { "x": 1 } }),
            Kind::Unauthenticated,
            "does not say why",
        ),
        (404, j!({}), Kind::NotFound, "check `token_url`"),
        (
            200,
            j!({ "token": PLANTED }),
            Kind::Unexpected,
            "not a token",
        ),
    ] {
        let fake = Fake::new(move |request, _| match request.url.path() {
            TOKEN => json(status, answer.clone()),
            _ => text(404, ""),
        });
        let error = me(&workspace(&m2m(), &fake)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!format!("{error} {error:?}").contains(PLANTED), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_endpoint_in_trouble_is_asked_again() {
    let fake = Fake::new(|request, number| match (request.url.path(), number) {
        (TOKEN, 1) => Reply::Fail(Failure::Lost("reset".into())),
        (TOKEN, 2) => text(500, ""),
        (TOKEN, 3) => with(429, "retry-after", "7"),
        (TOKEN, _) => token(1, 3600),
        (ME, _) => j_ok(j!({})),
        _ => text(404, ""),
    });
    let started = Instant::now();
    me(&workspace(&m2m(), &fake)).await.unwrap();
    assert_eq!(fake.count(TOKEN), 4);
    assert!(started.elapsed() > Duration::from_secs(1 + 2 + 7));
}
