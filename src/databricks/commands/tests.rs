use super::*;
use crate::databricks::{
    contexts::ContextStatus,
    scripted::{Reply, Server, refusal},
};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

fn cluster() -> ClusterId {
    ClusterId::new("c-1")
}

fn command() -> CommandRef {
    CommandRef {
        cluster_id: cluster(),
        context_id: ContextId::new("x-1"),
        command_id: CommandId::new("m-1"),
    }
}

/// A cluster whose command goes through these states, one a look, and ends with `results`.
async fn running(states: &'static [&'static str], results: Value) -> Server {
    let looks = Mutex::new((0, 0));
    Server::start(move |seen| {
        let path = seen.path.split('?').next().unwrap();
        let mut looks = looks.lock();
        match (seen.method.as_str(), path) {
            ("POST", "/api/1.2/contexts/create") => {
                assert_eq!(seen.json(), json!({ "clusterId": "c-1", "language": "python" }));
                json!({ "id": "x-1" })
            }
            ("GET", "/api/1.2/contexts/status") => {
                looks.1 += 1;
                json!({ "id": "x-1", "status": if looks.1 < 3 { "Pending" } else { "Running" } })
            }
            ("POST", "/api/1.2/commands/execute") => {
                let expected = json!({ "clusterId": "c-1", "contextId": "x-1", "language": "python", "command": "print(1)" });
                assert_eq!(seen.json(), expected);
                json!({ "id": "m-1" })
            }
            ("GET", "/api/1.2/commands/status") => {
                assert_eq!(seen.path, "/api/1.2/commands/status?clusterId=c-1&contextId=x-1&commandId=m-1");
                let state = states[looks.0];
                looks.0 = (looks.0 + 1).min(states.len() - 1);
                let ended = ["Finished", "Error", "Cancelled"].contains(&state);
                json!({ "id": "m-1", "status": state, "results": if ended { results.clone() } else { Value::Null } })
            }
            ("POST", "/api/1.2/contexts/destroy") => json!({ "id": "x-1" }),
            (method, path) => panic!("{method} {path}"),
        }
        .into()
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_cluster_has_ended_is_not_waited_for() {
    let server = Server::start(|seen| match seen.path.split('?').next().unwrap() {
        "/api/1.2/commands/status" => refusal(
            500,
            "INTERNAL_ERROR",
            "ClusterNotReadyException: no such cluster",
        ),
        "/api/2.0/clusters/get" | "/api/2.1/clusters/get" => {
            json!({ "cluster_id": "c-1", "cluster_name": "c", "state": "TERMINATED" }).into()
        }
        other => panic!("{other}"),
    })
    .await;
    let workspace = server.workspace_with(|options| options.retry_budget_seconds = Some(1.0));
    let began = tokio::time::Instant::now();
    let error = Commands::new(&workspace)
        .wait(&command(), &Waiting::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(
        error.to_string().contains("the cluster has ended"),
        "{error}"
    );
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn code_runs_in_a_context_of_its_own_which_is_destroyed() {
    let server = running(
        &["Queued", "Running", "Running", "Finished"],
        json!({ "resultType": "text", "data": "1" }),
    )
    .await;
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&told);
    let waiting =
        Waiting::default().progress(move |p| heard.lock().push(format!("{} {}", p.what, p.state)));
    let commands = Commands::new(&server.workspace());
    let result = commands
        .run(&cluster(), Language::Python, "print(1)", &waiting)
        .await
        .unwrap();
    assert_eq!(
        result,
        CommandResult::Text {
            data: "1".into(),
            truncated: false
        }
    );
    let expected = [
        "context Pending",
        "context Pending",
        "command Queued",
        "command Running",
        "command Running",
    ];
    assert_eq!(*told.lock(), expected);
    assert_eq!(
        server.lines().last().unwrap(),
        "POST /api/1.2/contexts/destroy"
    );
}

#[tokio::test(start_paused = true)]
async fn finished_with_an_error_is_a_failure_of_the_users_code() {
    let results = json!({
        "resultType": "error", "summary": "<span>ZeroDivisionError</span>: \u{1b}[0;31mdivision by zero\u{1b}[0m",
        "cause": "Traceback\n\u{1b}[1;32m<cmd>\u{1b}[0m in line 1\nZeroDivisionError: division by zero", "truncated": true,
    });
    let server = running(&["Running", "Finished"], results).await;
    let commands = Commands::new(&server.workspace());
    let error = commands
        .run(
            &cluster(),
            Language::Python,
            "print(1)",
            &Waiting::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::CommandFailed);
    let Error::Command(failure) = &error else {
        panic!("{error:?}")
    };
    assert!(
        failure.truncated && failure.summary.ends_with(": division by zero"),
        "{failure:?}"
    );
    assert!(
        failure.cause.starts_with("Traceback\n<cmd> in line 1"),
        "{failure:?}"
    );
    assert_eq!(failure.command, Some(CommandId::new("m-1")));
    assert_eq!(
        server.lines().last().unwrap(),
        "POST /api/1.2/contexts/destroy",
        "the context is not left behind"
    );
}

#[tokio::test(start_paused = true)]
async fn what_could_not_run_and_what_was_canceled_are_other_errors() {
    let lost = json!({ "resultType": "error", "cause": "ContextNotFound\nthe context is gone" });
    let server = running(&["Running", "Error"], lost).await;
    let error = Commands::new(&server.workspace())
        .wait(&command(), &Waiting::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("the context is gone"), "{error}");
    let server = running(&["Cancelling", "Cancelled"], Value::Null).await;
    let error = Commands::new(&server.workspace())
        .wait(&command(), &Waiting::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Canceled);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_stopped_still_destroys_the_context() {
    let server = running(&["Running"], Value::Null).await;
    let stop = CancellationToken::new();
    let waiting = Waiting::default().stop(stop.clone());
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(30)).await;
        stop.cancel();
    });
    let commands = Commands::new(&server.workspace());
    let error = commands
        .run(&cluster(), Language::Python, "print(1)", &waiting)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Canceled);
    assert_eq!(
        server.lines().last().unwrap(),
        "POST /api/1.2/contexts/destroy"
    );
}

#[tokio::test]
async fn results_of_every_type_are_read() {
    let of = async |results: Value| {
        let server = running(&["Finished"], results).await;
        Commands::new(&server.workspace())
            .status(&command())
            .await
            .unwrap()
            .result
    };
    let table = json!({
        "resultType": "table", "truncated": true, "isJsonSchema": true,
        "schema": [{ "name": "n", "type": "\"long\"", "metadata": "{}" }, { "name": "s", "type": { "type": "struct", "fields": [] } }],
        "data": [[1, null], [2, { "a": "b" }]],
    });
    let Some(CommandResult::Table {
        schema,
        data,
        truncated,
    }) = of(table).await
    else {
        panic!()
    };
    assert!(
        truncated
            && schema[0].name == "n"
            && schema[0].kind == "\"long\""
            && schema[1].kind.contains("struct")
    );
    assert_eq!(
        data,
        [
            vec![json!(1), Value::Null],
            vec![json!(2), json!({ "a": "b" })]
        ]
    );
    for (results, expected) in [
        (
            json!({ "resultType": "text", "data": "x", "truncated": true }),
            Some(CommandResult::Text {
                data: "x".into(),
                truncated: true,
            }),
        ),
        (
            json!({ "resultType": "text" }),
            Some(CommandResult::Text {
                data: String::new(),
                truncated: false,
            }),
        ),
        (
            json!({ "resultType": "text", "data": { "a": 1 } }),
            Some(CommandResult::Text {
                data: "{\"a\":1}".into(),
                truncated: false,
            }),
        ),
        (
            json!({ "resultType": "image", "fileName": "/plots/1.png" }),
            Some(CommandResult::Image {
                file: "/plots/1.png".into(),
            }),
        ),
        (
            json!({ "resultType": "image", "data": "data:image/png;base64,AA" }),
            Some(CommandResult::Image {
                file: "data:image/png;base64,AA".into(),
            }),
        ),
        (
            json!({ "resultType": "images", "fileNames": ["a", "b"] }),
            Some(CommandResult::Images {
                files: vec!["a".into(), "b".into()],
            }),
        ),
        (
            json!({ "resultType": "tomorrow", "data": 7 }),
            Some(CommandResult::Other {
                kind: "tomorrow".into(),
                data: json!(7),
            }),
        ),
        (json!({ "data": "x" }), None),
        (Value::Null, None),
    ] {
        assert_eq!(of(results.clone()).await, expected, "{results}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_context_that_comes_to_nothing_is_told_and_one_may_cancel() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "GET" => json!({ "id": "x-1", "status": "Error" }).into(),
        _ => Reply::Json(200, json!({ "id": "m-1" })),
    })
    .await;
    let workspace = server.workspace();
    let contexts = Contexts::new(&workspace);
    let context = ContextId::new("x-1");
    assert_eq!(
        contexts.status(&cluster(), &context).await.unwrap(),
        ContextStatus::Error
    );
    let error = contexts
        .wait_running(&cluster(), &context, &Waiting::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    Commands::new(&workspace).cancel(&command()).await.unwrap();
    let seen = server.seen().pop().unwrap();
    assert_eq!(seen.line(), "POST /api/1.2/commands/cancel");
    assert_eq!(
        seen.json(),
        json!({ "clusterId": "c-1", "contextId": "x-1", "commandId": "m-1" })
    );
    for (text, language) in [
        ("Python", Language::Python),
        (" r", Language::R),
        ("SQL", Language::Sql),
        ("scala", Language::Scala),
    ] {
        assert_eq!(text.parse::<Language>().unwrap(), language);
    }
    assert!("java".parse::<Language>().is_err());
}
