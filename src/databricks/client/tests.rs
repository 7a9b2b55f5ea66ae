//! Calls: what is sent, what is repeated, what is read.
//!
//! Past 500 lines: each way in which a call can end has its test.

use super::*;
use crate::databricks::testing::*;
use serde::Deserialize;
use serde_json::{Value, json as j};
use tokio::time::Instant;

type First = Box<dyn Fn() -> Reply + Send + Sync>;

const PATH: &str = "/api/2.0/x";

async fn call(fake: &Arc<Fake>, call: Call) -> Result<Value> {
    workspace(&pat(), fake).send(call).await
}

/// How many requests a call makes of a service that first answers so and then well.
async fn tries(
    first: impl Fn() -> Reply + Send + Sync + 'static,
    call: Call,
) -> (usize, bool, Duration) {
    let fake = Fake::new(move |_, number| {
        if number == 0 {
            first()
        } else {
            json(200, j!({}))
        }
    });
    let started = Instant::now();
    let result = self::call(&fake, call).await;
    (fake.seen().len(), result.is_ok(), started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_call_is_sent_whole() {
    let fake = Fake::new(|_, _| json(200, j!({ "n": 1 })));
    let mut options = pat();
    options.workspace_id = Some("42".into());
    let call = Call::post("/api/2.0/a b/é")
        .query("k", "v w")
        .query("k", 2)
        .json(j!({ "x": "y" }));
    let answer: Value = workspace(&options, &fake).send(call).await.unwrap();
    assert_eq!(answer["n"], 1);
    let (_, sent) = &fake.seen()[0];
    assert_eq!(
        sent.url.as_str(),
        "https://h.cloud.databricks.com/api/2.0/a%20b/%C3%A9?k=v+w&k=2"
    );
    assert_eq!(body(sent), r#"{"x":"y"}"#);
    assert_eq!(header(sent, "content-type").unwrap(), "application/json");
    assert_eq!(header(sent, "x-databricks-workspace-id").unwrap(), "42");
    assert_eq!(
        header(sent, "authorization").unwrap(),
        format!("Bearer dapi{PLANTED}")
    );
    for bad in ["api/x", "//evil/x", "/x?y", "/x#y"] {
        let error = self::call(&fake, Call::get(bad)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidParameter, "{bad}");
    }
}

#[test]
fn names_are_one_segment() {
    assert_eq!(
        crate::databricks::segment("a/b?c d.é"),
        "a%2Fb%3Fc%20d.%C3%A9"
    );
    assert_eq!(crate::databricks::segment(".."), "%2E%2E");
}

#[tokio::test(start_paused = true)]
async fn empty_answers_are_read_as_what_is_wanted() {
    #[derive(Deserialize)]
    struct Nothing {}
    for answer in ["", "{}", " \n"] {
        let fake = Fake::new(move |_, _| text(200, answer));
        let workspace = workspace(&pat(), &fake);
        workspace.send::<Nothing>(Call::get(PATH)).await.unwrap();
        if answer != "{}" {
            workspace.send::<()>(Call::get(PATH)).await.unwrap();
        }
    }
    let fake = Fake::new(|_, _| text(200, "<html>login</html>"));
    let error = call(&fake, Call::get(PATH)).await.unwrap_err();
    assert!(
        error.kind() == Kind::Unexpected
            && error
                .to_string()
                .contains("check that `host` is a workspace"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_shape_is_told_by_its_place_and_not_quoted() {
    #[derive(Debug, Deserialize)]
    struct Keys {
        #[serde(rename = "keys")]
        _keys: Vec<Key>,
    }
    #[derive(Debug, Deserialize)]
    struct Key {
        #[serde(rename = "life")]
        _life: u64,
        #[serde(rename = "form")]
        _form: Option<Form>,
    }
    #[derive(Debug, Deserialize)]
    enum Form {
        Plain,
    }
    for (answer, path) in [
        (
            format!(r#"{{"keys": [{{"life": "{PLANTED}"}}]}}"#),
            "keys[0].life",
        ),
        (
            format!(r#"{{"keys": [{{"life": 1, "form": "{PLANTED}"}}]}}"#),
            "keys[0].form",
        ),
        (format!(r#"{{"keys": "{PLANTED}"}}"#), "keys"),
        (format!(r#"{{"keys": []}} {PLANTED}"#), ""),
        (
            format!(r#"{{"keys": [{{"life": 1}}, "{PLANTED}"#),
            "keys[1]",
        ),
    ] {
        let fake = Fake::new(move |_, _| text(200, &answer));
        let told = workspace(&pat(), &fake)
            .send::<Keys>(Call::get(PATH))
            .await
            .unwrap_err();
        assert_eq!(told.kind(), Kind::Unexpected);
        let told = told.to_string();
        assert!(told.contains(&format!("path=`{path}")), "{path} {told}");
        assert!(!told.contains("planted"), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_repeated_and_what_is_not() {
    let lost = || Reply::Fail(Failure::Lost("reset".into()));
    let unreachable = || Reply::Fail(Failure::Unreachable("refused".into()));
    let tls = || Reply::Fail(Failure::WrongAddress("certificate".into()));
    let late = || Reply::After(Duration::from_secs(100), Box::new(json(200, j!({}))));
    let phrase = || json(400, j!({ "message": "ClusterNotReadyException: wait" }));
    // (first answer, repeated, repeated where it may not be carried out twice)
    let cases: Vec<(&str, First, bool, bool)> = vec![
        ("429", Box::new(|| with(429, "x-a", "b")), true, true),
        ("503", Box::new(|| text(503, "")), true, false),
        (
            "503 with a time",
            Box::new(|| with(503, "retry-after", "3")),
            true,
            true,
        ),
        ("500", Box::new(|| text(500, "")), false, false),
        ("502", Box::new(|| text(502, "")), false, false),
        ("504", Box::new(|| text(504, "")), false, false),
        ("400", Box::new(|| text(400, "")), false, false),
        ("404", Box::new(|| text(404, "")), false, false),
        ("a phrase", Box::new(phrase), true, false),
        ("a lost connection", Box::new(lost), true, false),
        ("no connection", Box::new(unreachable), true, true),
        ("a wrong certificate", Box::new(tls), false, false),
        ("a timeout", Box::new(late), true, false),
    ];
    for (what, first, repeated, once) in cases {
        let first: Arc<dyn Fn() -> Reply + Send + Sync> = first.into();
        for (call, expected) in [
            (Call::post(PATH), repeated),
            (Call::post(PATH).once(), once),
        ] {
            let first = Arc::clone(&first);
            let (sent, ok, _) = tries(move || first(), call).await;
            assert_eq!((sent, ok), (1 + usize::from(expected), expected), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_names_the_pause() {
    let date = (chrono::Utc::now() + chrono::TimeDelta::seconds(30)).to_rfc2822();
    for (value, low, high) in [
        ("7", 7, 8),
        ("0", 0, 1),
        ("soon", 1, 2),
        (date.as_str(), 28, 32),
        ("-1", 1, 2),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0, 1),
    ] {
        let value = value.to_owned();
        let what = value.clone();
        let (sent, ok, took) =
            tries(move || with(429, "retry-after", &value), Call::get(PATH)).await;
        assert_eq!((sent, ok), (2, true));
        assert!(
            took >= Duration::from_secs(low) && took < Duration::from_secs(high),
            "{what} {took:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_the_budget_ends_them() {
    let fake = Fake::new(|_, _| Reply::Fail(Failure::Unreachable("refused".into())));
    let started = Instant::now();
    let error = call(&fake, Call::get(PATH)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(
        error.to_string().contains("request=`GET /api/2.0/x`"),
        "{error}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(300)
            && started.elapsed() > Duration::from_secs(280)
    );
    let at: Vec<Instant> = fake.seen().iter().map(|(at, _)| *at).collect();
    for (index, pair) in at.windows(2).enumerate() {
        let (pause, base) = (
            pair[1] - pair[0],
            Duration::from_secs((index as u64 + 1).min(10)),
        );
        assert!(
            pause > base && pause < base + Duration::from_secs(1),
            "{index} {pause:?}"
        );
    }
    // A pause beyond the budget is not begun.
    let fake = Fake::new(|_, _| with(429, "retry-after", "3600"));
    let started = Instant::now();
    assert_eq!(
        call(&fake, Call::get(PATH)).await.unwrap_err().kind(),
        Kind::RateLimited
    );
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_call_has_its_own_timeout() {
    let fake = Fake::new(|_, _| Reply::After(Duration::from_secs(10_000), Box::new(text(200, ""))));
    let started = Instant::now();
    let error = call(
        &fake,
        Call::get(PATH).timeout(Duration::from_secs(5)).once(),
    )
    .await
    .unwrap_err();
    assert_eq!(
        (error.kind(), started.elapsed()),
        (Kind::Timeout, Duration::from_secs(5))
    );
    let started = Instant::now();
    call(&fake, Call::get(PATH)).await.unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(301),
        "{:?}",
        started.elapsed()
    );
}

/// The budget of a person who waits is as long as one timeout.
#[tokio::test(start_paused = true)]
async fn a_try_that_hangs_leaves_room_for_others() {
    let short = crate::databricks::ConnectionOptions {
        retry_budget_seconds: Some(60.0),
        ..pat()
    };
    let hung = || Reply::After(Duration::from_secs(10_000), Box::new(text(200, "")));
    let fake = Fake::new(move |_, number| match number {
        0 => hung(),
        _ => text(200, "{}"),
    });
    let workspace = workspace(&short, &fake);
    workspace.send::<Value>(Call::get(PATH)).await.unwrap();
    // What is sent once has its whole time.
    let once = fake.seen().len();
    let _ = workspace.send::<Value>(Call::post(PATH).once()).await;
    let timeouts: Vec<u64> = fake.seen()[..=once]
        .iter()
        .map(|(_, request)| request.timeout.as_secs())
        .collect();
    assert_eq!((timeouts[0], timeouts[once]), (20, 60));
}

#[derive(Deserialize)]
struct Things {
    #[serde(default)]
    things: Vec<u32>,
    next_page_token: Option<String>,
}

impl Page for Things {
    type Item = u32;

    fn into_parts(self) -> (Vec<u32>, Option<String>) {
        (self.things, self.next_page_token)
    }
}

#[tokio::test(start_paused = true)]
async fn pages_are_followed_to_the_end() {
    let fake = Fake::new(|request, _| {
        let token = request
            .url
            .query_pairs()
            .find(|(key, _)| key == "page_token")
            .map(|(_, value)| value.into_owned());
        json(
            200,
            match token.as_deref() {
                None => j!({ "things": [1, 2], "next_page_token": "a+b" }),
                Some("a+b") => j!({ "next_page_token": "c" }),
                _ => j!({ "things": [3], "next_page_token": "" }),
            },
        )
    });
    let workspace = workspace(&pat(), &fake);
    let things = workspace
        .whole::<_, Things>(Call::get(PATH).query("page_size", 2))
        .await
        .unwrap();
    assert_eq!(things, [1, 2, 3]);
    assert!(
        fake.seen()[2]
            .1
            .url
            .query()
            .unwrap()
            .contains("page_size=2&page_token=c")
    );
    let fake = Fake::new(|_, _| json(200, j!({ "things": [1], "next_page_token": "same" })));
    let error = self::workspace(&pat(), &fake)
        .whole::<_, Things>(Call::get(PATH))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("without an end"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn links_to_results_get_their_headers_and_no_token() {
    let link = format!("https://bucket.s3.amazonaws.com/chunk?X-Amz-Signature={PLANTED}");
    let headers = BTreeMap::from([(
        "x-amz-server-side-encryption".to_owned(),
        Secret::new("aws:kms"),
    )]);
    let fake = Fake::new(|_, number| match number {
        0 => text(500, ""),
        1 => Reply::Fail(Failure::Lost("reset".into())),
        2 => text(200, "data"),
        _ => text(403, &format!("<Error>{PLANTED}</Error>")),
    });
    let mut options = pat();
    options.workspace_id = Some("42".into());
    let workspace = workspace(&options, &fake);
    let link = ExternalUrl::new(&link);
    assert_eq!(
        workspace.fetch_external(&link, &headers).await.unwrap(),
        "data"
    );
    for (_, sent) in fake.seen() {
        let names: Vec<&str> = sent.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-amz-server-side-encryption"]);
    }
    let error = workspace.fetch_external(&link, &headers).await.unwrap_err();
    assert_eq!(
        (error.kind(), fake.seen().len()),
        (Kind::PermissionDenied, 4)
    );
    assert!(
        error.to_string().contains("ask for the chunk again")
            && !format!("{error:?} {link:?}").contains(PLANTED),
        "{error}"
    );
    let plain = ExternalUrl::new("http://bucket.example/x");
    assert!(workspace.fetch_external(&plain, &headers).await.is_err());
}

#[test]
fn lost_rights_are_shown_until_they_are_back() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let fake = Fake::new(|request, number| match (number, request.url.path()) {
                (0, _) => json(200, j!({})),
                (1 | 2, _) => json(
                    403,
                    j!({ "error_code": "PERMISSION_DENIED", "message": "no" }),
                ),
                (3, _) => json(200, j!({})),
                (4, _) => json(200, j!({})),
                (5, _) => json(401, j!({})),
                _ => json(200, j!({})),
            });
            let workspace = workspace(&pat(), &fake);
            let statements = "/api/2.0/sql/statements";
            let shown = |value: u32| {
                let text = handle.render();
                let line =
                    format!("alluvium_databricks_unauthorized{{connection=\"test\"}} {value}");
                assert!(text.contains(&line), "{text}");
            };
            for (path, expected) in [
                (PATH, 0),
                (statements, 1),
                (statements, 1),
                (PATH, 1),
                (statements, 0),
                (PATH, 1),
                (statements, 0),
            ] {
                let _ = workspace.send::<Value>(Call::get(path)).await;
                shown(expected);
            }
            let text = handle.render();
            assert!(
                text.contains(
                    "alluvium_databricks_requests_total{connection=\"test\",status=\"403\"} 2"
                ),
                "{text}"
            );
            let oauth = Fake::new(|request, _| match request.url.path() {
                "/oidc/v1/token" => token(1, 3600),
                _ => text_404(),
            });
            let _ = self::workspace(&m2m(), &oauth)
                .send::<Value>(Call::get(PATH))
                .await;
            assert!(
                handle
                    .render()
                    .contains("alluvium_databricks_token_expiry_seconds{connection=\"test\"} 1")
            );
        });
    });
}

fn text_404() -> Reply {
    text(404, "")
}

#[tokio::test(start_paused = true)]
async fn options_that_cannot_be_are_refused_at_once() {
    let fake = Fake::new(|_, _| text(200, ""));
    for (key, value) in [
        ("host", j!("accounts.cloud.databricks.com")),
        ("timeout_seconds", j!(0)),
        ("trusted_hosts", j!(["u:p@h.example"])),
    ] {
        let mut all =
            j!({ "host": "h.cloud.databricks.com", "auth": { "type": "pat", "token": "dapi1" } });
        all[key] = value;
        let error = try_workspace(&options(all), &Surroundings::default(), &fake).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("[connections.test] {key}")),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_jdbc_url_gives_host_and_warehouse() {
    let fake = Fake::new(|_, _| json(200, j!({})));
    let mut options = pat();
    options.host = Some(format!(
        "jdbc:databricks://h.cloud.databricks.com:443/default;httpPath=/sql/1.0/warehouses/00112233aabbccdd;PWD={PLANTED}"
    ));
    let workspace = workspace(&options, &fake);
    assert_eq!(
        workspace.warehouse(),
        Some(&WarehouseRef::Id(WarehouseId::new("00112233aabbccdd")))
    );
    let _: Value = workspace.send(Call::get(PATH)).await.unwrap();
    assert_eq!(
        fake.seen()[0].1.url.host_str(),
        Some("h.cloud.databricks.com")
    );
}

#[test]
fn a_path_that_climbs_is_known() {
    for path in [
        "/api/2.0/../x",
        "/api/./x",
        "/a/..",
        "/a/%2E./x",
        "/a/%2e",
        "/a/.\t./x",
    ] {
        assert!(super::climbs(path), "{path}");
    }
    for path in [
        "/api/2.0/x",
        "/Volumes/a/.hidden/..x/x..",
        "/a/%252e%252e/x",
        "/",
    ] {
        assert!(!super::climbs(path), "{path}");
    }
}
