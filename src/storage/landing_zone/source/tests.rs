//! A landing zone's daemons on a virtual clock: one, and two that share the container.
//!
//! Past 500 lines: the service they ask stands beside them.

use super::*;
use crate::{
    secret::LiveSecret,
    storage::{
        RefreshMethod,
        azure::{
            oauth::Answer,
            testing::{Asked, Service, answer, serve},
        },
        credentials::{Cached, Renewable as _, Timing},
    },
};
use base64::Engine as _;
use std::time::UNIX_EPOCH;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const URL: &str = "https://zone.example/credentials?type=dlz_databricks_source";

/// The container's service, and the container: one signature is good at a time.
#[derive(Clone)]
struct Zone(Arc<Mutex<Container>>);

struct Container {
    began: Instant,
    /// How long a signature lives.
    life: Duration,
    issued: u32,
    ends: SystemTime,
    verb: &'static str,
    refreshes: u32,
    /// The next answers to refreshes are lost; with `true` they are done all the same.
    lose: Vec<bool>,
    /// Answers the service gives instead of its own, in turn.
    instead: Vec<u16>,
    container: &'static str,
}

fn sig(n: u32) -> String {
    base64::prelude::BASE64_STANDARD.encode([n.to_be_bytes(); 8].concat())
}

impl Zone {
    fn new(life: Duration) -> Self {
        let began = Instant::now();
        Self(Arc::new(Mutex::new(Container {
            began,
            life,
            issued: 1,
            ends: noon() + life,
            verb: "POST",
            refreshes: 0,
            lose: Vec::new(),
            instead: Vec::new(),
            container: "lake",
        })))
    }

    fn clock(&self) -> Clock {
        let began = self.0.lock().began;
        Clock::new(move || noon() + began.elapsed())
    }

    fn service(&self) -> Service {
        let zone = self.clone();
        Service::new(move |asked| zone.answer(asked))
    }

    fn answer(&self, asked: &Asked) -> Result<Answer, String> {
        let now = self.clock().now();
        let mut zone = self.0.lock();
        let refresh = asked.url == format!("{URL}&action=refresh");
        assert!(refresh || asked.url == URL, "{}", asked.url);
        if let Some(status) = zone.instead.pop() {
            return answer(status, "");
        }
        if now >= zone.ends || (refresh && asked.method == zone.verb) {
            if refresh {
                zone.refreshes += 1;
                if let Some(done) = zone.lose.pop() {
                    if done {
                        zone.issued += 1;
                        zone.ends = now + zone.life;
                    }
                    return Err("connection reset".into());
                }
            }
            zone.issued += 1;
            zone.ends = now + zone.life;
        } else if refresh {
            return answer(405, "");
        }
        answer(
            200,
            serde_json::json!({
                "containerName": zone.container,
                "SASToken": format!("sv=2020-10-02&si=dlz-{}&sr=c&sp=racwdlm&sig={}", zone.issued, sig(zone.issued)),
                "storageAccountName": "acc",
                "expiryDate": chrono::DateTime::<chrono::Utc>::from(zone.ends).to_rfc3339(),
            })
            .to_string(),
        )
    }

    /// Whether the container takes this credential.
    fn takes(&self, credential: &AzureCredential) -> bool {
        sig_of(credential) == sig(self.0.lock().issued)
    }

    fn refreshes(&self) -> u32 {
        self.0.lock().refreshes
    }

    fn revoke(&self) {
        self.0.lock().issued += 1;
    }
}

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_751_716_800)
}

fn sig_of(credential: &AzureCredential) -> &str {
    match credential {
        AzureCredential::SASToken(pairs) => {
            &pairs.iter().find(|(name, _)| name == "sig").unwrap().1
        }
        _ => panic!("not a signature"),
    }
}

fn options(refresh: bool, margin: Duration) -> LandingZoneOptions {
    LandingZoneOptions {
        endpoint: URL.into(),
        headers: [("x-api-key".to_owned(), LiveSecret::new("planted-key"))].into(),
        access_token: Some(LiveSecret::new("planted-token")),
        token_url: None,
        client_id: None,
        client_secret: None,
        scopes: Vec::new(),
        refresh,
        refresh_method: RefreshMethod::Post,
        margin_seconds: margin.as_secs_f64(),
    }
}

fn daemon_with(zone: &Zone, service: &Service, options: &LandingZoneOptions) -> Arc<LandingZone> {
    let store = StoreOptions::default();
    let settling = Arc::default();
    Arc::new(
        LandingZone::new(
            service.http(),
            "lake",
            None,
            options,
            &store,
            settling,
            zone.clock(),
        )
        .unwrap(),
    )
}

fn daemon(zone: &Zone, service: &Service, refresh: bool) -> Arc<LandingZone> {
    daemon_with(zone, service, &options(refresh, HOUR / 4))
}

fn verbs(service: &Service) -> Vec<String> {
    let name = |asked: &Asked| match asked.url.contains("action=refresh") {
        true => format!("{} refresh", asked.method),
        false => asked.method.clone(),
    };
    service.asked().iter().map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn far_from_its_end_a_signature_is_only_read() {
    let zone = Zone::new(HOUR * 24);
    let service = zone.service();
    let source = daemon(&zone, &service, true);
    let lease = source.fetch(Ask::Ahead).await.unwrap();
    assert!(zone.takes(&lease.credential));
    let left = lease
        .expires
        .unwrap()
        .duration_since(zone.clock().now())
        .unwrap();
    assert!(left <= HOUR * 24 - HOUR / 4 && left > HOUR * 23, "{left:?}");
    source.fetch(Ask::Ahead).await.unwrap();
    assert_eq!(verbs(&service), ["GET", "GET"]);
    let asked = &service.asked()[0];
    assert_eq!(asked.header("authorization"), "Bearer planted-token");
    assert_eq!(asked.header("x-api-key"), "planted-key");
    assert_eq!(asked.header("content-type"), "application/json");
    assert_eq!(source.account().as_deref(), Some("acc"));
    assert!(!format!("{source:?} {}", source.describe()).contains("planted"));
}

#[tokio::test(start_paused = true)]
async fn inside_the_margin_it_is_replaced_only_if_allowed() {
    let zone = Zone::new(HOUR);
    let service = zone.service();
    let timid = daemon(&zone, &service, false);
    let bold = daemon(&zone, &service, true);
    sleep(HOUR * 3 / 4).await;
    let error = timid.fetch(Ask::Ahead).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "it is waited for: {error}");
    assert!(error.to_string().contains("refresh = true"), "{error}");
    assert_eq!(verbs(&service), ["GET"]);
    let lease = bold.fetch(Ask::Ahead).await.unwrap();
    assert!(zone.takes(&lease.credential));
    assert_eq!(verbs(&service), ["GET", "GET", "GET", "POST refresh"]);
    // The timid one has it from a GET now.
    assert!(zone.takes(&timid.fetch(Ask::Ahead).await.unwrap().credential));
    assert_eq!(zone.refreshes(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_leave_to_refresh_a_get_after_the_end_brings_the_next() {
    let zone = Zone::new(HOUR);
    let service = zone.service();
    let cached = Cached::with(
        "lake",
        daemon(&zone, &service, false),
        Timing::default(),
        zone.clock(),
    );
    let began = Instant::now();
    let mut paused = Duration::ZERO;
    let mut asked = 0;
    while began.elapsed() < HOUR * 3 {
        match cached.get().await {
            Ok(credential) => {
                assert!(zone.takes(&credential));
                asked = service.asked().len();
            }
            Err(error) => {
                assert!(error.to_string().contains("ends too soon"), "{error}");
                paused += SECOND;
                // A pause of an hour's quarter asks some twenty times, not nine hundred.
                assert!(service.asked().len() < asked + 30);
            }
        }
        sleep(SECOND).await;
    }
    assert!(paused >= HOUR / 2 && paused < HOUR, "{paused:?}");
    assert_eq!(zone.refreshes(), 0);
}

#[tokio::test(start_paused = true)]
async fn refused_by_the_store_it_looks_and_demands_nothing_outside_the_margin() {
    for refresh in [true, false] {
        let zone = Zone::new(HOUR * 24);
        let service = zone.service();
        let source = daemon(&zone, &service, refresh);
        source.fetch(Ask::Ahead).await.unwrap();
        // Somebody had it replaced.
        zone.revoke();
        let lease = source.fetch(Ask::Refused).await.unwrap();
        assert!(zone.takes(&lease.credential));
        assert_eq!(verbs(&service), ["GET", "GET"]);
        // The store refuses what the service still hands out: at first it may only not have taken effect.
        let young = source.fetch(Ask::Refused).await.unwrap();
        assert_eq!(sig_of(&young.credential), sig_of(&lease.credential));
        assert_eq!(verbs(&service)[2..], ["GET", "GET", "GET", "GET"]);
        sleep(SECOND * 30).await;
        let error = source.fetch(Ask::Refused).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthorized);
        assert!(error.to_string().contains("still hands out"), "{error}");
        assert_eq!(verbs(&service)[6..], ["GET", "GET", "GET", "GET"]);
        assert_eq!(zone.refreshes(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn refused_inside_the_margin_it_is_replaced_if_allowed() {
    for refresh in [true, false] {
        let zone = Zone::new(HOUR);
        let service = zone.service();
        let source = daemon(&zone, &service, refresh);
        let old = source.fetch(Ask::Ahead).await.unwrap();
        sleep(HOUR * 3 / 4).await;
        match source.fetch(Ask::Refused).await {
            Ok(lease) => {
                assert!(refresh && zone.takes(&lease.credential));
                assert_ne!(sig_of(&lease.credential), sig_of(&old.credential));
            }
            Err(error) => assert!(!refresh && error.kind() == Kind::Unavailable, "{error}"),
        }
        assert_eq!(zone.refreshes(), u32::from(refresh));
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_the_store_refuses_nothing_is_demanded() {
    let zone = Zone::new(HOUR * 24 * 365);
    let service = zone.service();
    let source = daemon(&zone, &service, true);
    source.fetch(Ask::Ahead).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < HOUR * 24 {
        let _ = source.fetch(Ask::Refused).await;
        sleep(SECOND * 30).await;
    }
    assert_eq!(zone.refreshes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_followed_by_a_look_never_by_another_demand() {
    for done in [true, false] {
        let zone = Zone::new(HOUR);
        let service = zone.service();
        let source = daemon(&zone, &service, true);
        sleep(HOUR * 3 / 4).await;
        zone.0.lock().lose.push(done);
        let answer = source.fetch(Ask::Ahead).await;
        assert_eq!(verbs(&service), ["GET", "GET", "POST refresh", "GET"]);
        match done {
            true => assert!(zone.takes(&answer.unwrap().credential)),
            false => {
                assert_eq!(answer.unwrap_err().kind(), Kind::Unavailable);
                // Not again before the distance is over.
                source.fetch(Ask::Ahead).await.unwrap_err();
                assert_eq!(zone.refreshes(), 1);
                sleep(SECOND * 301).await;
                assert!(zone.takes(&source.fetch(Ask::Ahead).await.unwrap().credential));
                assert_eq!(zone.refreshes(), 2);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_verb_the_service_does_not_take_is_named() {
    let zone = Zone::new(HOUR);
    zone.0.lock().verb = "GET";
    let service = zone.service();
    let posting = daemon(&zone, &service, true);
    sleep(HOUR * 3 / 4).await;
    let error = posting.fetch(Ask::Ahead).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(
        error.to_string().contains("refresh_method=`GET`"),
        "{error}"
    );
    let getting = LandingZoneOptions {
        refresh_method: RefreshMethod::Get,
        ..options(true, HOUR / 4)
    };
    let getting = daemon_with(&zone, &service, &getting);
    assert!(zone.takes(&getting.fetch(Ask::Ahead).await.unwrap().credential));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stumbles_is_asked_again_and_one_that_refuses_is_not() {
    let zone = Zone::new(HOUR);
    let service = zone.service();
    let source = daemon(&zone, &service, true);
    zone.0.lock().instead = vec![500, 429];
    source.fetch(Ask::Ahead).await.unwrap();
    assert_eq!(service.asked().len(), 3);
    for (status, kind, told) in [
        (401, Kind::Unauthorized, "access token"),
        (403, Kind::Unauthorized, "x-api-key"),
        (400, Kind::Unauthorized, "headers"),
        (404, Kind::Unauthorized, "address"),
        (302, Kind::Unauthorized, "redirects"),
    ] {
        let before = service.asked().len();
        zone.0.lock().instead = vec![status];
        let error = source.fetch(Ask::Ahead).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(
            text.contains(told) && text.contains(&format!("status=`{status}`")),
            "{text}"
        );
        assert!(
            !text.contains("planted") && !text.contains("type="),
            "{text}"
        );
        assert_eq!(service.asked().len(), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn another_container_or_account_than_the_urls_is_refused() {
    let zone = Zone::new(HOUR);
    let service = zone.service();
    zone.0.lock().container = "pond";
    let error = daemon(&zone, &service, true)
        .fetch(Ask::Ahead)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(
        error.to_string().contains("landing_zone=`pond` url=`lake`"),
        "{error}"
    );
    zone.0.lock().container = "lake";
    let store = StoreOptions::default();
    let other = LandingZone::new(
        service.http(),
        "lake",
        Some("elsewhere"),
        &options(true, SECOND),
        &store,
        Arc::default(),
        zone.clock(),
    );
    let error = Arc::new(other.unwrap())
        .fetch(Ask::Ahead)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("landing_zone=`acc` url=`elsewhere`"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_life_shorter_than_the_margin_is_not_answered_by_endless_refreshes() {
    let zone = Zone::new(HOUR / 5);
    let service = zone.service();
    let source = daemon(&zone, &service, true);
    let error = source.fetch(Ask::Ahead).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(error.to_string().contains("margin_seconds"), "{error}");
    let began = Instant::now();
    while began.elapsed() < HOUR {
        let _ = source.fetch(Ask::Ahead).await;
        sleep(SECOND).await;
    }
    assert!(zone.refreshes() <= 5, "{}", zone.refreshes());
}

#[tokio::test(start_paused = true)]
async fn its_own_token_is_kept_and_renewed_once_when_refused() {
    let accepted = Arc::new(Mutex::new(1));
    let issued = Arc::new(Mutex::new(0));
    let zone = Zone::new(HOUR * 24);
    let service = {
        let (accepted, issued, zone) = (accepted.clone(), issued.clone(), zone.clone());
        Service::new(
            move |asked| match asked.url.starts_with("https://ims.example/token") {
                true => {
                    assert_eq!(
                        asked.body,
                        "grant_type=client_credentials&client_id=cli&client_secret=planted&scope=openid+AdobeID"
                    );
                    *issued.lock() += 1;
                    let n = *issued.lock();
                    answer(
                        200,
                        format!(
                            r#"{{"access_token":"token-{n}","token_type":"bearer","expires_in":"86399"}}"#
                        ),
                    )
                }
                false
                    if asked.header("authorization")
                        == format!("Bearer token-{}", accepted.lock()) =>
                {
                    zone.answer(asked)
                }
                false => answer(
                    401,
                    r#"{"error_code":"401013","message":"Oauth token is not valid"}"#,
                ),
            },
        )
    };
    let own = LandingZoneOptions {
        access_token: None,
        token_url: Some("https://ims.example/token/v3".into()),
        client_id: Some("cli".into()),
        client_secret: Some(LiveSecret::new("planted")),
        scopes: vec!["openid".into(), "AdobeID".into()],
        ..options(true, HOUR / 4)
    };
    let source = daemon_with(&zone, &service, &own);
    source.fetch(Ask::Ahead).await.unwrap();
    source.fetch(Ask::Ahead).await.unwrap();
    assert_eq!(*issued.lock(), 1, "kept");
    *accepted.lock() = 2;
    source.fetch(Ask::Ahead).await.unwrap();
    assert_eq!(*issued.lock(), 2, "renewed");
    *accepted.lock() = 9;
    let error = source.fetch(Ask::Ahead).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unauthorized);
    assert!(
        error.to_string().contains("Oauth token is not valid"),
        "{error}"
    );
    assert_eq!(*issued.lock(), 3, "once");
    *accepted.lock() = 4;
    sleep(HOUR * 24).await;
    source.fetch(Ask::Ahead).await.unwrap();
    assert_eq!(*issued.lock(), 4, "before its end");
}

#[tokio::test(start_paused = true)]
async fn a_token_in_a_file_is_read_anew_when_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old").unwrap();
    let zone = Zone::new(HOUR * 24);
    let service = {
        let (zone, file) = (zone.clone(), file.clone());
        Service::new(move |asked| {
            let good = asked.header("authorization") == "Bearer new";
            // Whoever keeps it fresh does so while the old one is refused.
            std::fs::write(&file, "new").unwrap();
            if good {
                zone.answer(asked)
            } else {
                answer(401, "")
            }
        })
    };
    let given = LandingZoneOptions {
        access_token: Some(LiveSecret::new(&format!("file:{}", file.display()))),
        ..options(true, HOUR / 4)
    };
    daemon_with(&zone, &service, &given)
        .fetch(Ask::Ahead)
        .await
        .unwrap();
    assert_eq!(service.asked().len(), 2);
}

#[test]
fn options_that_cannot_work_are_refused() {
    let zone = |change: &dyn Fn(&mut LandingZoneOptions)| {
        let mut options = options(true, SECOND);
        change(&mut options);
        let service = Service::new(|_| answer(500, ""));
        let store = StoreOptions::default();
        LandingZone::new(
            service.http(),
            "lake",
            None,
            &options,
            &store,
            Arc::default(),
            Clock::default(),
        )
    };
    assert!(zone(&|_| ()).is_ok());
    assert!(zone(&|o| o.endpoint = "http://127.0.0.1:9/c".into()).is_ok());
    type Change<'a> = &'a dyn Fn(&mut LandingZoneOptions);
    let faults: [(Change<'_>, &str); 8] = [
        (
            &|o| o.endpoint = "http://zone.example/c?k=planted".into(),
            "allow_http",
        ),
        (&|o| o.endpoint = "nowhere".into(), "not an address"),
        (
            &|o| o.endpoint.push_str("&action=refresh"),
            "leave `action` out",
        ),
        (
            &|o| o.token_url = Some("https://t.example".into()),
            "not both",
        ),
        (&|o| o.access_token = None, ""),
        (
            &|o| drop(o.headers.insert("a b".into(), LiveSecret::new("x"))),
            "header=`a b`",
        ),
        (
            &|o| {
                drop(
                    o.headers
                        .insert("Authorization".into(), LiveSecret::new("x")),
                )
            },
            "not both",
        ),
        (&|o| o.margin_seconds = f64::NAN, "margin_seconds"),
    ];
    for (change, told) in faults {
        match zone(change) {
            Err(error) => {
                assert_eq!(error.kind(), Kind::Config);
                let text = error.to_string();
                assert!(text.contains(told) && !text.contains("planted"), "{text}");
            }
            Ok(_) => assert_eq!(told, "", "{told}"),
        }
    }
    let half = zone(&|o| {
        o.access_token = None;
        o.token_url = Some("https://t.example".into());
    });
    assert!(half.unwrap_err().to_string().contains("belong together"));
}

#[tokio::test]
async fn on_the_wire_it_is_what_adobe_documents() {
    let (address, served) = serve(vec![(500, ""), (405, "")]).await;
    let zone = LandingZoneOptions {
        endpoint: format!("{address}/credentials?type=dlz_databricks_source"),
        ..options(true, SECOND)
    };
    let http = crate::storage::azure::oauth::client(&StoreOptions::default()).unwrap();
    let client = Client::new(http, &zone, &StoreOptions::default()).unwrap();
    for _ in 0..2 {
        assert!(!matches!(client.refresh().await, Demanded::Answered(_)));
    }
    let asked = served.await.unwrap();
    assert_eq!(asked.len(), 2, "each is sent once");
    let head = asked[0].to_lowercase();
    assert!(
        asked[0].starts_with(
            "POST /credentials?type=dlz_databricks_source&action=refresh HTTP/1.1\r\n"
        ),
        "{head}"
    );
    for line in [
        "authorization: bearer planted-token",
        "x-api-key: planted-key",
        "content-type: application/json",
        "content-length: 0",
    ] {
        assert_eq!(head.matches(line).count(), 1, "{line}: {head}");
    }
}

/// What a daemon did.
#[derive(Default)]
struct Done {
    written: u32,
    refused: u32,
    failed: u32,
}

/// Writes ten times a second, as `Renewing` does: one renewal and one replay for a refusal.
async fn writes(zone: Zone, credentials: Cached<Arc<LandingZone>>, until: Instant) -> Done {
    let mut done = Done::default();
    while Instant::now() < until {
        sleep(SECOND / 10).await;
        let seen = credentials.generation();
        let Ok(credential) = credentials.get().await else {
            done.failed += 1;
            continue;
        };
        if zone.takes(&credential) {
            done.written += 1;
            continue;
        }
        done.refused += 1;
        let renewed = credentials.renew(seen).await.is_ok();
        match renewed && zone.takes(&credentials.get().await.unwrap()) {
            true => done.written += 1,
            false => done.failed += 1,
        }
    }
    done
}

#[tokio::test(start_paused = true)]
async fn two_daemons_on_one_container_do_not_revoke_each_other_for_ever() {
    for life in [HOUR * 24 * 7, SECOND * 30] {
        let margin = (life / 6).min(HOUR / 4);
        // Both at the same moment; and one so late that it is always refused, for the other was there before it.
        for margins in [[margin, margin], [margin, margin / 3]] {
            two_daemons(life, margins).await;
        }
    }
}

async fn two_daemons(life: Duration, margins: [Duration; 2]) {
    let lives = 12;
    let zone = Zone::new(life);
    let services = [zone.service(), zone.service()];
    let daemons = [0, 1].map(|n| {
        let source = daemon_with(&zone, &services[n], &options(true, margins[n]));
        let timing = Timing {
            fetch: FETCH,
            ..Timing::default()
        };
        Cached::with("lake", source, timing, zone.clock())
    });
    let mut done = [Done::default(), Done::default()];
    while zone.refreshes() < lives {
        // The days between are passed over.
        let ends = zone.0.lock().ends;
        let quiet = (ends - margins[0]).duration_since(zone.clock().now());
        sleep(quiet.unwrap_or_default().saturating_sub(SECOND * 15)).await;
        let until = Instant::now() + SECOND * 60;
        let tasks = [0, 1].map(|n| tokio::spawn(writes(zone.clone(), daemons[n].clone(), until)));
        for (task, done) in tasks.into_iter().zip(&mut done) {
            let more = task.await.unwrap();
            done.written += more.written;
            done.refused += more.refused;
            done.failed += more.failed;
        }
    }
    let told = format!("life {life:?}, margins {margins:?}");
    for done in &done {
        assert!(done.written > 1_000, "{told}: {} written", done.written);
        let (failed, written) = (done.failed, done.written);
        assert!(
            failed * 50 < written,
            "{told}: {failed} of {written} failed"
        );
    }
    // At best each signature is replaced once; of two who come at the same moment both may do it now and then.
    let issued = zone.0.lock().issued - 1;
    let passed = zone.0.lock().began.elapsed();
    let most = match margins[0] == margins[1] {
        true => lives * 2,
        false => passed.div_duration_f64(life - margins[0]).ceil() as u32 + 1,
    };
    assert!(issued <= most, "{told}: {issued} issued, {most} at most");
    assert!(margins[0] == margins[1] || done[1].refused > 0, "{told}");
}
