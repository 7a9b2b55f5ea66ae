use super::*;
use crate::databricks::scripted::{Reply, Server, refusal};
use parking_lot::Mutex;
use serde_json::json;
use std::sync::Arc;

fn shown(id: &str, name: &str, state: &str) -> Value {
    json!({
        "id": id, "name": name, "state": state, "cluster_size": "Small", "auto_stop_mins": 10,
        "min_num_clusters": 1, "max_num_clusters": 2, "warehouse_type": "PRO", "enable_photon": true,
        "creator_name": "somebody", "jdbc_url": "jdbc:spark://x", "num_active_sessions": 0, "num_clusters": 0,
        "tags": { "custom_tags": [{ "key": "team", "value": "data" }] }, "channel": { "name": "CHANNEL_NAME_CURRENT" },
        "odbc_params": { "hostname": "h", "path": "/sql/1.0/warehouses/x", "port": 443, "protocol": "https" },
        "field_of_tomorrow": { "a": 1 },
    })
}

async fn listing(pages: Vec<Value>) -> Server {
    Server::start(move |seen| {
        let page = pages
            .iter()
            .position(|_| !seen.path.contains("page_token="))
            .unwrap_or(1);
        pages[page].clone().into()
    })
    .await
}

#[tokio::test]
async fn a_warehouse_is_found_by_id_or_name_over_all_pages() {
    let server = listing(vec![
        json!({ "warehouses": [shown("0123456789abcdef", "Small one", "RUNNING"), shown("w2", "twice", "STOPPED")], "next_page_token": "more" }),
        json!({ "warehouses": [shown("w3", "twice", "STOPPED"), shown("w4", "Last", "STARTING")] }),
    ])
    .await;
    let warehouses = Warehouses::new(&server.workspace());
    assert_eq!(warehouses.list().await.unwrap().len(), 4);
    for (text, id) in [
        ("0123456789abcdef", "0123456789abcdef"),
        ("Small one", "0123456789abcdef"),
        ("last", "w4"),
        ("w2", "w2"),
    ] {
        assert_eq!(warehouses.find(text).await.unwrap().id.as_str(), id);
    }
    let error = warehouses.find("twice").await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidParameter);
    assert!(error.to_string().contains("ids=`w2, w3`"), "{error}");
    let error = warehouses.find("none").await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("Small one, twice"), "{error}");
}

#[tokio::test]
async fn a_list_may_be_empty_or_missing() {
    for page in [
        json!({}),
        json!({ "warehouses": [] }),
        json!({ "next_page_token": "" }),
    ] {
        let server = listing(vec![page]).await;
        assert!(
            Warehouses::new(&server.workspace())
                .list()
                .await
                .unwrap()
                .is_empty()
        );
    }
}

#[tokio::test]
async fn an_edit_keeps_what_it_does_not_change() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "GET" => shown("w", "one", "STOPPED").into(),
        _ => json!({}).into(),
    })
    .await;
    let warehouses = Warehouses::new(&server.workspace());
    let id = WarehouseId::new("w");
    let mut spec = warehouses.get(&id).await.unwrap().spec();
    spec.auto_stop_mins = Some(20);
    warehouses.edit(&id, &spec).await.unwrap();
    let sent = server.seen().pop().unwrap();
    assert_eq!(sent.line(), "POST /api/2.0/sql/warehouses/w/edit");
    let expected = json!({
        "name": "one", "cluster_size": "Small", "auto_stop_mins": 20, "min_num_clusters": 1, "max_num_clusters": 2,
        "warehouse_type": "PRO", "enable_photon": true, "tags": { "custom_tags": [{ "key": "team", "value": "data" }] },
        "channel": { "name": "CHANNEL_NAME_CURRENT" }, "field_of_tomorrow": { "a": 1 },
    });
    assert_eq!(sent.json(), expected);
}

#[tokio::test]
async fn what_the_service_would_refuse_is_not_sent() {
    let server = Server::start(|_| json!({ "id": "new" }).into()).await;
    let warehouses = Warehouses::new(&server.workspace());
    let spec = |change: fn(&mut WarehouseSpec)| {
        let mut spec = WarehouseSpec::new("one");
        change(&mut spec);
        spec
    };
    let wrong: [fn(&mut WarehouseSpec); 9] = [
        |s| s.name = " ".into(),
        |s| s.name = "x".repeat(100),
        |s| s.cluster_size = Some("small".into()),
        |s| s.min_num_clusters = Some(0),
        |s| (s.min_num_clusters, s.max_num_clusters) = (Some(3), Some(2)),
        |s| s.max_num_clusters = Some(41),
        |s| s.auto_stop_mins = Some(9),
        |s| s.warehouse_type = Some("FAST".into()),
        |s| (s.warehouse_type, s.enable_serverless_compute) = (Some("CLASSIC".into()), Some(true)),
    ];
    for change in wrong {
        let error = warehouses.create(&spec(change)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidParameter, "{error}");
    }
    assert!(server.seen().is_empty());
    let right: [fn(&mut WarehouseSpec); 3] = [
        |s| s.name = "x".repeat(99),
        |s| s.auto_stop_mins = Some(0),
        |s| (s.cluster_size, s.max_num_clusters) = (Some("5X-Large".into()), Some(40)),
    ];
    for change in right {
        assert_eq!(
            warehouses.create(&spec(change)).await.unwrap().as_str(),
            "new"
        );
    }
}

/// A warehouse that goes from state to state, one at each look; a start makes STOPPED STARTING.
async fn going_through(states: &'static [&'static str]) -> (Server, Arc<Mutex<usize>>) {
    let at = Arc::new(Mutex::new(0));
    let looks = Arc::clone(&at);
    let server = Server::start(move |seen| {
        let mut at = looks.lock();
        if seen.method == "POST" {
            assert_eq!(states[*at - 1], "STOPPED", "{}", seen.line());
            return Reply::Json(200, json!({}));
        }
        let mut one = shown("w", "one", states[(*at).min(states.len() - 1)]);
        one["health"] = json!({
            "status": "FAILED", "message": "no machines",
            "failure_reason": { "code": "CLOUD_FAILURE", "type": "CLOUD_FAILURE", "parameters": { "zone": "a" } },
        });
        *at += 1;
        one.into()
    })
    .await;
    (server, at)
}

#[tokio::test(start_paused = true)]
async fn a_warehouse_is_started_where_it_stands_still_and_waited_for() {
    for (states, starts) in [
        (&["RUNNING"][..], 0),
        (&["STARTING", "STARTING", "RUNNING"], 0),
        (&["STOPPED", "STARTING", "RUNNING"], 1),
        (
            &["STOPPING", "STOPPING", "STOPPED", "STARTING", "RUNNING"],
            1,
        ),
    ] {
        let (server, _) = going_through(states).await;
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&told);
        let waiting =
            Waiting::default().progress(move |progress| heard.lock().push(progress.state.clone()));
        let warehouses = Warehouses::new(&server.workspace());
        let running = warehouses
            .ensure_running(&WarehouseId::new("w"), &waiting)
            .await
            .unwrap();
        assert_eq!(running.state, WarehouseState::Running);
        let lines = server.lines();
        assert_eq!(
            lines.iter().filter(|line| line.ends_with("/start")).count(),
            starts,
            "{lines:?}"
        );
        assert!(
            told.lock()
                .iter()
                .all(|state| state == "STARTING" || state == "STOPPING")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_stops_while_it_starts_is_told_with_its_health() {
    for end in ["STOPPED", "DELETED", "DELETING"] {
        let states: &'static [&'static str] = match end {
            "STOPPED" => &["STARTING", "STOPPED"],
            "DELETED" => &["STARTING", "DELETED"],
            _ => &["STARTING", "DELETING"],
        };
        let (server, _) = going_through(states).await;
        let warehouses = Warehouses::new(&server.workspace());
        let error = warehouses
            .wait_running(&WarehouseId::new("w"), &Waiting::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        let text = error.to_string();
        assert!(
            text.contains(end) && text.contains("FAILED: no machines: CLOUD_FAILURE, zone=a"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_missing_right_passes_through() {
    let server = Server::start(|_| refusal(403, "PERMISSION_DENIED", "no CAN USE")).await;
    let error = Warehouses::new(&server.workspace())
        .start(&WarehouseId::new("a/b"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
    assert_eq!(server.lines(), ["POST /api/2.0/sql/warehouses/a%2Fb/start"]);
}
