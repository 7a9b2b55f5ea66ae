use super::*;
use crate::databricks::scripted::{Reply, Server, refusal};
use parking_lot::Mutex;
use std::sync::Arc;

fn shown(state: &str) -> Value {
    json!({
        "cluster_id": "c-1", "cluster_name": "one", "state": state, "state_message": "because",
        "spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 4,
        "autoscale": { "min_workers": 1, "max_workers": 8 },
        "spark_conf": { "a": "1", "b": "2" }, "custom_tags": { "team": "data" },
        "aws_attributes": { "instance_profile_arn": "arn:aws:iam::1:instance-profile/p", "zone_id": "auto" },
        "default_tags": { "Vendor": "Databricks" }, "driver": { "node_id": "x" }, "executors": [], "jdbc_port": 10000,
        "spark_context_id": 12345678901234567890u64, "start_time": 1, "terminated_time": 2, "creator_user_name": "somebody",
        "termination_reason": { "code": "INACTIVITY", "type": "SUCCESS", "parameters": { "inactivity_duration_min": "30" } },
        "field_of_tomorrow": { "deep": [1, { "x": null }] },
    })
}

fn id() -> ClusterId {
    ClusterId::new("c-1")
}

async fn ensured(server: &Server) -> Result<Cluster> {
    Clusters::new(&server.workspace())
        .ensure_running(&id(), &Waiting::default())
        .await
}

#[tokio::test]
async fn an_edit_sends_the_whole_settings_back_unknown_ones_too() {
    for with_spec in [false, true] {
        let server = Server::start(move |seen| {
            if seen.method == "POST" {
                return json!({}).into();
            }
            let mut one = shown("RUNNING");
            if with_spec {
                one["spec"] = json!({
                    "cluster_name": "one", "spark_version": "auto:latest-lts", "spark_conf": { "a": "1" },
                    "apply_policy_default_values": true, "field_of_tomorrow": 7,
                });
            }
            one.into()
        })
        .await;
        let clusters = Clusters::new(&server.workspace());
        let key = "fs.azure.sas.c.a.blob.core.windows.net";
        let sent = clusters
            .edit(&id(), |spec| spec.set_spark_conf(key, "x"))
            .await
            .unwrap();
        assert!(sent);
        let seen = server.seen().pop().unwrap();
        assert_eq!(seen.line(), "POST /api/2.1/clusters/edit");
        let expected = match with_spec {
            true => json!({
                "cluster_id": "c-1", "cluster_name": "one", "spark_version": "auto:latest-lts",
                "spark_conf": { "a": "1", key: "x" }, "apply_policy_default_values": true, "field_of_tomorrow": 7,
            }),
            false => json!({
                "cluster_id": "c-1", "cluster_name": "one", "spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge",
                "autoscale": { "min_workers": 1, "max_workers": 8 },
                "spark_conf": { "a": "1", "b": "2", key: "x" }, "custom_tags": { "team": "data" },
                "aws_attributes": { "instance_profile_arn": "arn:aws:iam::1:instance-profile/p", "zone_id": "auto" },
                "field_of_tomorrow": { "deep": [1, { "x": null }] },
            }),
        };
        assert_eq!(seen.json(), expected);
        assert!(
            !clusters
                .edit(&id(), |spec| spec.set_spark_conf("a", "1"))
                .await
                .unwrap(),
            "nothing changed"
        );
        assert_eq!(
            server
                .lines()
                .iter()
                .filter(|line| line.starts_with("POST"))
                .count(),
            1
        );
    }
}

#[tokio::test]
async fn what_is_shown_is_read() {
    let server = Server::start(|seen| {
        if seen.path.starts_with("/api/2.1/clusters/list?") {
            let page = match seen.path.contains("page_token") {
                false => json!({ "clusters": [shown("RUNNING")], "next_page_token": "2" }),
                true => json!({ "clusters": [shown("SOMETHING_NEW")] }),
            };
            return page.into();
        }
        match seen.path.as_str() {
            "/api/2.1/clusters/get?cluster_id=c-1" => shown("TERMINATED").into(),
            "/api/2.1/clusters/spark-versions" => json!({ "versions": [{ "key": "15.4.x-scala2.12", "name": "15.4 LTS" }] }).into(),
            "/api/2.1/clusters/list-node-types" => {
                json!({ "node_types": [{ "node_type_id": "i3.xlarge", "num_cores": 4.0, "memory_mb": 31232, "new": 1 }] }).into()
            }
            other => panic!("{other}"),
        }
    })
    .await;
    let workspace = server.workspace();
    let clusters = Clusters::new(&workspace);
    let listed = clusters.list().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1].state, ClusterState::Other("SOMETHING_NEW".into()));
    let one = clusters.get(&id()).await.unwrap();
    assert_eq!(
        one.runtime(),
        Some(RuntimeVersion {
            major: 15,
            minor: 4
        })
    );
    assert_eq!(
        one.instance_profile_arn(),
        Some("arn:aws:iam::1:instance-profile/p")
    );
    assert_eq!(
        clusters.spark_versions().await.unwrap()[0].key,
        "15.4.x-scala2.12"
    );
    let types = crate::databricks::node_types::list(&workspace)
        .await
        .unwrap();
    assert_eq!(types[0].rest["new"], 1);
}

#[tokio::test]
async fn a_missing_cluster_is_not_found_though_the_service_says_otherwise() {
    let server =
        Server::start(|_| refusal(400, "INVALID_PARAMETER_VALUE", "Cluster c-1 does not exist"))
            .await;
    let clusters = Clusters::new(&server.workspace());
    assert_eq!(
        clusters.get(&id()).await.unwrap_err().kind(),
        Kind::NotFound
    );
    assert_eq!(
        clusters.start(&id()).await.unwrap_err().kind(),
        Kind::NotFound
    );
    let server =
        Server::start(|_| refusal(400, "INVALID_PARAMETER_VALUE", "cluster_id is malformed")).await;
    let clusters = Clusters::new(&server.workspace());
    assert_eq!(
        clusters.get(&id()).await.unwrap_err().kind(),
        Kind::InvalidParameter
    );
}

#[tokio::test(start_paused = true)]
async fn a_terminated_cluster_is_started_and_waited_for() {
    for (states, starts) in [
        (&["RUNNING"][..], 0),
        (&["RESIZING"], 0),
        (&["PENDING", "RUNNING"], 0),
        (&["RESTARTING", "RUNNING"], 0),
        (&["TERMINATED", "PENDING", "PENDING", "RUNNING"], 1),
        (
            &[
                "TERMINATING",
                "TERMINATING",
                "TERMINATED",
                "PENDING",
                "RUNNING",
            ],
            1,
        ),
    ] {
        let at = Mutex::new(0);
        let server = Server::start(move |seen| {
            let mut at = at.lock();
            if seen.method == "POST" {
                assert_eq!(seen.path, "/api/2.1/clusters/start");
                assert_eq!(seen.json(), json!({ "cluster_id": "c-1" }));
                assert_eq!(states[*at - 1], "TERMINATED");
                return json!({}).into();
            }
            *at = (*at + 1).min(states.len());
            shown(states[*at - 1]).into()
        })
        .await;
        let clusters = Clusters::new(&server.workspace());
        let running = clusters
            .ensure_running(&id(), &Waiting::default())
            .await
            .unwrap();
        assert!(running.state.works());
        assert_eq!(
            server
                .lines()
                .iter()
                .filter(|line| line.starts_with("POST"))
                .count(),
            starts,
            "{states:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_second_to_start_it_waits_for_it_too() {
    let server = Server::start(|seen| match (seen.method.as_str(), seen.number) {
        ("POST", _) => refusal(
            400,
            "INVALID_STATE",
            "Cluster c-1 is in unexpected state Pending.",
        ),
        (_, 0) => shown("TERMINATED").into(),
        (_, 1..4) => shown("PENDING").into(),
        _ => shown("RUNNING").into(),
    })
    .await;
    ensured(&server).await.unwrap();
    let server = Server::start(|seen| match seen.method.as_str() {
        "POST" => refusal(403, "PERMISSION_DENIED", "no CAN_RESTART"),
        _ => shown("TERMINATED").into(),
    })
    .await;
    let error = ensured(&server).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn one_that_ends_while_it_starts_is_told_with_the_reason() {
    for state in ["TERMINATED", "ERROR"] {
        let server = Server::start(move |seen| {
            shown(if seen.number == 0 { "PENDING" } else { state }).into()
        })
        .await;
        let clusters = Clusters::new(&server.workspace());
        let error = clusters
            .wait_running(&id(), &Waiting::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        let text = error.to_string();
        assert!(
            text.contains(state)
                && text.contains("because: INACTIVITY (SUCCESS), inactivity_duration_min=30"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn each_verb_has_its_path() {
    let journal: Arc<Mutex<Vec<Value>>> = Arc::default();
    let server = Server::start(|_| Reply::Json(200, json!({}))).await;
    let clusters = Clusters::new(&server.workspace());
    clusters.start(&id()).await.unwrap();
    clusters.restart(&id()).await.unwrap();
    clusters.terminate(&id()).await.unwrap();
    clusters.permanent_delete(&id()).await.unwrap();
    journal
        .lock()
        .extend(server.seen().iter().map(|seen| seen.json()));
    assert!(
        journal
            .lock()
            .iter()
            .all(|body| *body == json!({ "cluster_id": "c-1" }))
    );
    let verbs: Vec<String> = ["start", "restart", "delete", "permanent-delete"]
        .map(|v| format!("POST /api/2.1/clusters/{v}"))
        .into();
    assert_eq!(server.lines(), verbs);
}
