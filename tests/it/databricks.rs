//! The Databricks commands and the check of connections, by the binary, against a workspace on loopback.
//!
//! Past 500 lines: the words of each command stand beside what the workspace is to hear of it.

mod interrupted;
mod odd;
mod out_of_reach;

use crate::support::{
    home::{Home, alluvium, text},
    workspace::{Answer, Asked, Workspace},
};
use serde_json::{Value, json};
use std::process::Output;

const TOKEN: &str = "dapiplanted0123456789abcdef";
/// Of the connections that name a warehouse or a cluster.
const WAREHOUSE: &str = "warehouse = \"00000000000000aa\"";
const CLUSTER: &str = "cluster = \"1-2-abc\"";

fn me() -> Value {
    json!({
        "id": "42", "userName": "5f0c1c9e-0000-4000-8000-000000000001", "displayName": "lander", "active": true,
        "groups": [{"display": "engineers", "value": "7"}], "entitlements": [{"value": "databricks-sql-access"}],
    })
}

/// A connection with a token.
fn connection(name: &str, workspace: &Workspace, token: &str, more: &str) -> String {
    format!(
        "[connections.{name}]\nhost = \"{}\"\nauth = {{ type = \"pat\", token = \"{token}\" }}\n{more}\n",
        workspace.url
    )
}

/// A home whose configuration is this text, and an admin address that no other test has.
fn home(text: &str) -> Home {
    let home = Home::bare();
    home.configure(&format!(
        "[lake]\nurl = \"{}\"\n[admin]\nlisten = \"\"\n{text}",
        home.lake().display()
    ));
    home
}

/// A home with one connection to this workspace.
fn connected(workspace: &Workspace, more: &str) -> Home {
    home(&connection("w", workspace, TOKEN, more))
}

fn out(run: &Output) -> Value {
    serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(run)))
}

/// Every request bears this connection's token and no other.
fn assert_only(workspace: &Workspace, token: &str) {
    let asked = workspace.asked();
    assert!(!asked.is_empty());
    for one in asked {
        assert_eq!(
            one.header("authorization"),
            format!("Bearer {token}"),
            "{}",
            one.line()
        );
    }
}

#[test]
fn two_workspaces_side_by_side_and_neither_sees_the_others_token() {
    let [a, b] = [(); 2].map(|()| {
        Workspace::start(|asked, _| asked.path.ends_with("/Me").then(|| Answer::ok(me())))
    });
    let (one, two) = ("dapiaaaaaaaaaaaaaaaa", "dapibbbbbbbbbbbbbbbb");
    let home = home(&(connection("dev", &a, one, "") + &connection("prod", &b, two, "")));
    for (name, other) in [("dev", "prod"), ("prod", "dev")] {
        let run = home.run(&["databricks", "me", "--connection", name]);
        assert!(run.status.success(), "{other} {}", text(&run));
        assert_eq!(out(&run)["displayName"], "lander");
    }
    assert_only(&a, one);
    assert_only(&b, two);
    let run = home.run(&["databricks", "me"]);
    assert_eq!(run.status.code(), Some(2), "{}", text(&run));
    assert!(
        text(&run).contains("connections=`dev, prod`"),
        "{}",
        text(&run)
    );
    assert_eq!(a.asked().len() + b.asked().len(), 2);
}

#[test]
fn with_nothing_configured_the_environment_and_profiles_count() {
    let workspace =
        Workspace::start(|asked, _| asked.path.ends_with("/Me").then(|| Answer::ok(me())));
    let folder = tempfile::tempdir().unwrap();
    let plain = || {
        let mut command = alluvium();
        for (name, _) in std::env::vars()
            .filter(|(name, _)| name.starts_with("DATABRICKS") || name.starts_with("ARM_"))
        {
            command.env_remove(name);
        }
        command.current_dir(&folder).env("HOME", folder.path());
        command
    };
    let run = plain()
        .args(["databricks", "me"])
        .env("DATABRICKS_HOST", &workspace.url)
        .env("DATABRICKS_TOKEN", TOKEN)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run));
    let file = folder.path().join(".databrickscfg");
    std::fs::write(
        &file,
        format!("[lab]\nhost = {}\ntoken = {TOKEN}\n", workspace.url),
    )
    .unwrap();
    let run = plain()
        .args(["databricks", "me", "--profile", "lab"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", text(&run));
    assert_only(&workspace, TOKEN);
    let run = plain()
        .args(["databricks", "me", "--profile", "nobody"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2), "{}", text(&run));
    let run = plain()
        .args(["databricks", "me"])
        .env_remove("HOME")
        .output()
        .unwrap();
    assert_ne!(run.status.code(), Some(0), "{}", text(&run));
}

/// Somebody who waits hears once what for and for how long, and no secret with it.
#[test]
fn an_address_that_nobody_answers_at_is_told_before_it_is_given_up() {
    let nobody = Workspace::nowhere();
    let oauth = connection("w", &nobody, TOKEN, "retry_budget_seconds = 4.0").replace(
        &format!("type = \"pat\", token = \"{TOKEN}\""),
        &format!("type = \"oauth_m2m\", client_id = \"app\", client_secret = \"{TOKEN}\""),
    );
    for connection in [
        connection("w", &nobody, TOKEN, "retry_budget_seconds = 4.0"),
        oauth,
    ] {
        let run = home(&connection).run(&["databricks", "me"]);
        assert_eq!(run.status.code(), Some(4), "{}", text(&run));
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        let told = said.lines().filter(|line| line.contains("tried again"));
        let told: Vec<&str> = told.collect();
        assert_eq!(told.len(), 1, "{said}");
        for words in [" UTC: ", "refused"] {
            assert!(told[0].contains(words), "{words}\n{said}");
        }
        assert!(!said.contains(TOKEN), "{said}");
    }
}

fn warehouse(state: &str) -> Value {
    json!({"id": "00000000000000aa", "name": "reporting", "state": state, "cluster_size": "2X-Small", "auto_stop_mins": 10})
}

#[test]
fn a_warehouse_is_started_and_waited_for_with_progress_on_stderr() {
    let workspace =
        Workspace::start(
            |asked, number| match asked.line().split('?').next().unwrap() {
                "GET /api/2.0/sql/warehouses" => {
                    Some(Answer::ok(json!({"warehouses": [warehouse("STOPPED")]})))
                }
                "GET /api/2.0/sql/warehouses/00000000000000aa" => Some(Answer::ok(warehouse(
                    ["STOPPED", "STARTING", "RUNNING"][number.min(2)],
                ))),
                "POST /api/2.0/sql/warehouses/00000000000000aa/start" => {
                    Some(Answer::ok(json!({})))
                }
                _ => None,
            },
        );
    let home = connected(&workspace, "warehouse = \"reporting\"");
    let run = home.run(&["databricks", "warehouses", "start", "--wait"]);
    assert!(run.status.success(), "{}", text(&run));
    assert_eq!(out(&run)["state"], "RUNNING");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains("00000000000000aa is STARTING"), "{said}");
    let starts = workspace
        .lines()
        .iter()
        .filter(|line| line.ends_with("/start"))
        .count();
    assert_eq!(starts, 1, "{:?}", workspace.lines());
}

fn cluster(state: &str) -> Value {
    json!({"cluster_id": "1-2-abc", "cluster_name": "c", "state": state, "spark_version": "15.4.x-scala2.12"})
}

/// Nothing but a job of its own starts a terminated cluster, so a command says what to do, and starts one only when told.
#[test]
fn a_terminated_cluster_is_started_before_a_context_only_where_it_is_told() {
    let rules = |asked: &Asked, number: usize| match asked.line().split('?').next().unwrap() {
        "GET /api/2.1/clusters/get" => Some(Answer::ok(cluster(if number < 2 {
            "TERMINATED"
        } else {
            "RUNNING"
        }))),
        "POST /api/2.1/clusters/start" => Some(Answer::ok(json!({}))),
        "POST /api/1.2/contexts/create" => Some(Answer::ok(json!({"id": "77"}))),
        _ => None,
    };
    let workspace = Workspace::start(rules);
    let home = connected(&workspace, CLUSTER);
    let run = home.run(&["databricks", "contexts", "create"]);
    assert_eq!(run.status.code(), Some(4), "{}", text(&run));
    assert!(
        text(&run).contains("--start") && text(&run).contains("state=`TERMINATED`"),
        "{}",
        text(&run)
    );
    assert!(
        workspace
            .lines()
            .iter()
            .all(|line| line.starts_with("GET ")),
        "{:?}",
        workspace.lines()
    );
    let run = home.run(&[
        "databricks",
        "contexts",
        "create",
        "--start",
        "--language",
        "sql",
    ]);
    assert!(run.status.success(), "{}", text(&run));
    assert_eq!(
        out(&run),
        json!({"id": "77", "cluster_id": "1-2-abc", "language": "sql"})
    );
    let posts: Vec<String> = workspace
        .lines()
        .into_iter()
        .filter(|line| line.starts_with("POST"))
        .collect();
    assert_eq!(
        posts,
        [
            "POST /api/2.1/clusters/start",
            "POST /api/1.2/contexts/create"
        ]
    );
}

#[test]
fn code_that_fails_is_shown_and_ends_with_exit_code_5() {
    let workspace = Workspace::start(|asked, number| {
        match asked.line().split('?').next().unwrap() {
            "GET /api/2.1/clusters/get" => Some(Answer::ok(cluster("RUNNING"))),
            "POST /api/1.2/commands/execute" => Some(Answer::ok(json!({"id": "k"}))),
            "GET /api/1.2/commands/status" if number == 0 => Some(Answer::ok(
                json!({"id": "k", "status": "Running", "results": null}),
            )),
            "GET /api/1.2/commands/status" => Some(Answer::ok(
                json!({"id": "k", "status": "Finished", "results":
            {"resultType": "error", "summary": "ZeroDivisionError: division by zero", "cause": "Traceback …"}}),
            )),
            _ => None,
        }
    });
    let home = connected(&workspace, CLUSTER);
    let run = home.run(&[
        "databricks",
        "commands",
        "run",
        "--context",
        "77",
        "1/0",
        "--wait",
    ]);
    assert_eq!(run.status.code(), Some(5), "{}", text(&run));
    assert_eq!(out(&run)["results"]["resultType"], "error");
    assert!(text(&run).contains("ZeroDivisionError"), "{}", text(&run));
    let sent = workspace
        .asked()
        .into_iter()
        .find(|asked| asked.path.ends_with("/execute"))
        .unwrap();
    assert_eq!(
        sent.json(),
        json!({"clusterId": "1-2-abc", "contextId": "77", "language": "python", "command": "1/0"})
    );
}

fn statement(state: &str) -> Value {
    let mut told = json!({"statement_id": "s1", "status": {"state": state}});
    match state {
        "SUCCEEDED" => {
            let columns = json!([{"name": "n", "type_text": "INT", "type_name": "INT", "position": 0}, {"name": "t", "type_text": "STRING"}]);
            told["manifest"] = json!({"format": "JSON_ARRAY", "schema": {"columns": columns}, "total_row_count": 3, "total_chunk_count": 2});
            told["result"] = json!({"chunk_index": 0, "data_array": [["1", "a"], ["2", null]], "next_chunk_index": 1});
        }
        "FAILED" => {
            told["status"]["error"] =
                json!({"error_code": "BAD_REQUEST", "message": "[UNRESOLVED_COLUMN] nope"});
            told["status"]["sql_state"] = json!("42703");
        }
        _ => {}
    }
    told
}

#[test]
fn a_statement_is_sent_with_its_parameters_and_its_chunks_come_as_one_document() {
    let workspace = Workspace::start(|asked, number| match asked.line().as_str() {
        "POST /api/2.0/sql/statements" => Some(Answer::ok(statement("PENDING"))),
        "GET /api/2.0/sql/statements/s1" => Some(Answer::ok(statement(
            ["RUNNING", "SUCCEEDED"][number.min(1)],
        ))),
        "GET /api/2.0/sql/statements/s1/result/chunks/1" => Some(Answer::ok(
            json!({"chunk_index": 1, "data_array": [["3", "c"]]}),
        )),
        _ => None,
    });
    let home = connected(&workspace, WAREHOUSE);
    home.write("q.sql", "select :a, :n");
    let given = r#"[{"name": "a", "value": "x"}]"#;
    let words = [
        "databricks",
        "sql",
        "-f",
        "q.sql",
        "--params",
        given,
        "--param",
        "n:INT=7",
        "--catalog",
        "main",
        "--schema",
        "web",
    ];
    let run = home.run(&words);
    assert!(run.status.success(), "{}", text(&run));
    let told = out(&run);
    assert_eq!(told["rows"], json!([["1", "a"], ["2", null], ["3", "c"]]));
    assert_eq!(
        told["columns"],
        json!([{"name": "n", "type": "INT"}, {"name": "t", "type": "STRING"}])
    );
    let sent = workspace.asked()[0].json();
    assert_eq!(sent["statement"], "select :a, :n");
    assert_eq!(
        sent["parameters"],
        json!([{"name": "a", "value": "x"}, {"name": "n", "value": "7", "type": "INT"}])
    );
    assert_eq!(
        (&sent["catalog"], &sent["schema"], &sent["warehouse_id"]),
        (&json!("main"), &json!("web"), &json!("00000000000000aa"))
    );

    let shown = home.run(&["databricks", "statement", "get", "s1", "--format", "table"]);
    assert!(
        String::from_utf8_lossy(&shown.stdout).starts_with("n  t\n1  a\n2  NULL\n3  c\n"),
        "{}",
        text(&shown)
    );
    let broken = home.run(&[
        "databricks",
        "sql",
        "select 1",
        "--params",
        r#"[{ "name": "my_name", "value": "the name" }"#,
    ]);
    assert_eq!(broken.status.code(), Some(2), "{}", text(&broken));
    assert!(text(&broken).contains("column=`43`"), "{}", text(&broken));
}

#[test]
fn a_statement_that_fails_ends_with_exit_code_5_and_one_not_waited_for_goes_on() {
    let workspace = Workspace::start(|asked, _| match asked.line().as_str() {
        "POST /api/2.0/sql/statements" if asked.json()["wait_timeout"] == "0s" => {
            Some(Answer::ok(statement("PENDING")))
        }
        "POST /api/2.0/sql/statements" => Some(Answer::ok(statement("FAILED"))),
        "GET /api/2.0/sql/statements/s1" => Some(Answer::ok(statement("FAILED"))),
        "POST /api/2.0/sql/statements/s1/cancel" => Some(Answer::ok(json!({}))),
        _ => None,
    });
    let home = connected(&workspace, WAREHOUSE);
    let run = home.run(&["databricks", "sql", "select nope"]);
    assert_eq!(run.status.code(), Some(5), "{}", text(&run));
    assert!(
        text(&run).contains("UNRESOLVED_COLUMN") && text(&run).contains("sql_state=`42703`"),
        "{}",
        text(&run)
    );
    let run = home.run(&["databricks", "sql", "--async", "select 1"]);
    assert_eq!(
        out(&run),
        json!({"statement_id": "s1", "state": "PENDING"}),
        "{}",
        text(&run)
    );
    let run = home.run(&["databricks", "statement", "get", "s1"]);
    assert_eq!(
        (run.status.code(), &out(&run)["error"]["sql_state"]),
        (Some(5), &json!("42703"))
    );
    let run = home.run(&["databricks", "statement", "cancel", "s1"]);
    assert_eq!(out(&run), json!({"statement_id": "s1", "state": "FAILED"}));
}

/// What cannot be written is told before anything is asked for, and what stands in a file stays until there is another result.
#[test]
fn an_output_that_cannot_be_is_told_before_the_work_and_an_old_one_stays_until_there_is_another() {
    let workspace = Workspace::start(|asked, _| match asked.line().as_str() {
        "POST /api/2.0/sql/statements" => Some(Answer::ok(statement("FAILED"))),
        "GET /api/2.0/sql/statements/s1" => Some(Answer::ok(statement("SUCCEEDED"))),
        "GET /api/2.0/sql/statements/s2" => Some(Answer::ok(statement("FAILED"))),
        "GET /api/2.0/sql/statements/s1/result/chunks/1" => Some(Answer::ok(
            json!({"chunk_index": 1, "data_array": [["3", "c"]]}),
        )),
        _ => None,
    });
    let home = home(&connection(
        "w",
        &workspace,
        TOKEN,
        "warehouse = \"00000000000000aa\"",
    ));
    let commands = [
        &["statement", "get", "s1", "--wait"][..],
        &["sql", "select 1"],
        &["request", "/2.0/sql/statements/s1"],
    ];
    for words in commands {
        let output = ["--output", "not/there/rows.json"];
        let run = home.run(&[&["databricks"], words, &output].concat());
        assert_eq!(run.status.code(), Some(2), "{}", text(&run));
        assert!(
            text(&run).contains("file=`not/there/rows.json`"),
            "{}",
            text(&run)
        );
    }
    assert_eq!(workspace.lines(), Vec::<String>::new());

    home.write("rows.json", "x".repeat(10_000));
    let to = ["--output", "rows.json"];
    for words in [&["sql", "select nope"][..], &["statement", "get", "s2"]] {
        let run = home.run(&[&["databricks"], words, &to].concat());
        assert_eq!(run.status.code(), Some(5), "{}", text(&run));
        let kept = std::fs::read_to_string(home.path("rows.json")).unwrap();
        assert_eq!(kept.len(), 10_000);
    }
    let run = home.run(&[&["databricks"], commands[0], &to].concat());
    assert!(run.status.success(), "{}", text(&run));
    let rows: Value =
        serde_json::from_slice(&std::fs::read(home.path("rows.json")).unwrap()).unwrap();
    assert_eq!(rows["rows"].as_array().unwrap().len(), 3);
}

#[test]
fn a_wait_in_vain_cancels_the_statement() {
    let workspace = Workspace::start(|asked, number| match asked.line().as_str() {
        "POST /api/2.0/sql/statements" => Some(Answer::ok(statement("RUNNING"))),
        "GET /api/2.0/sql/statements/s1" => Some(Answer::ok(statement(if number < 4 {
            "RUNNING"
        } else {
            "CANCELED"
        }))),
        "POST /api/2.0/sql/statements/s1/cancel" => Some(Answer::ok(json!({}))),
        _ => None,
    });
    let home = connected(&workspace, WAREHOUSE);
    let run = home.run(&["databricks", "sql", "select 1", "--wait-timeout", "1s"]);
    assert_eq!(run.status.code(), Some(4), "{}", text(&run));
    assert!(
        text(&run).contains("the statement was canceled"),
        "{}",
        text(&run)
    );
    assert!(
        workspace
            .lines()
            .contains(&"POST /api/2.0/sql/statements/s1/cancel".to_owned())
    );
}

#[test]
fn a_raw_request_sends_what_it_is_told_and_shows_what_comes() {
    let workspace = Workspace::start(|asked, _| match asked.line().as_str() {
        "PATCH /api/2.0/x?a=1&a=2+3" => {
            Some(Answer::ok(json!({"ok": true})).header("x-request-id", "r1"))
        }
        "POST /api/2.0/form" => Some(Answer::ok(json!({}))),
        "GET /api/2.0/bytes" => Some(Answer {
            status: 200,
            headers: Vec::new(),
            body: vec![0, 255, 10],
        }),
        "GET /api/2.0/denied" => Some(Answer::error(403, "PERMISSION_DENIED", "not yours")),
        _ => None,
    });
    let home = connected(&workspace, "");
    let words = [
        "databricks",
        "request",
        "/2.0/x",
        "-X",
        "PATCH",
        "--data",
        r#"{"k": 1}"#,
        "--query",
        "a=1",
        "--query",
        "a=2 3",
        "--header",
        "X-Own: v",
    ];
    let run = home.run(&words);
    assert_eq!(out(&run), json!({"ok": true}), "{}", text(&run));
    let asked = workspace.asked();
    assert_eq!(asked[0].body, br#"{"k": 1}"#);
    assert_eq!(asked[0].header("x-own"), "v");
    let run = home.run(&[&words[..], &["--include"]].concat());
    assert_eq!(
        (&out(&run)["status"], &out(&run)["tries"]),
        (&json!(200), &json!(1)),
        "{}",
        text(&run)
    );

    home.write("part.bin", [1, 2, 254]);
    let run = home.run(&[
        "databricks",
        "request",
        "2.0/form",
        "--form",
        "path=/a",
        "--file",
        "content=part.bin",
        "--file-name",
        "content=other.bin",
    ]);
    assert!(run.status.success(), "{}", text(&run));
    let sent = workspace.asked().pop().unwrap();
    assert!(
        sent.header("content-type")
            .starts_with("multipart/form-data"),
        "{sent:?}"
    );
    let body = String::from_utf8_lossy(&sent.body).into_owned();
    assert!(
        body.contains("filename=\"other.bin\"") && body.contains("name=\"path\""),
        "{body}"
    );

    let run = home.run(&[
        "databricks",
        "request",
        "/2.0/bytes",
        "--response",
        "binary",
    ]);
    assert_eq!(run.stdout, [0, 255, 10], "{}", text(&run));
    let run = home.run(&[
        "databricks",
        "request",
        "/2.0/bytes",
        "--response",
        "binary",
        "-o",
        "got.bin",
    ]);
    assert!(
        run.status.success() && run.stdout.is_empty(),
        "{}",
        text(&run)
    );
    assert_eq!(std::fs::read(home.path("got.bin")).unwrap(), [0, 255, 10]);

    let run = home.run(&["databricks", "request", "/2.0/denied"]);
    assert_eq!(run.status.code(), Some(3), "{}", text(&run));
    assert_eq!(out(&run)["error_code"], "PERMISSION_DENIED");
    assert!(text(&run).contains("not yours"), "{}", text(&run));
    for words in [
        &["--header", "Authorization: Bearer other"][..],
        &["--header", "X: a\r\nY: b"],
    ] {
        let run = home.run(&[&["databricks", "request", "/2.0/x"], words].concat());
        assert_eq!(run.status.code(), Some(2), "{}", text(&run));
    }
}

/// Method × status × flag: how often the server is asked with three repetitions allowed.
#[test]
fn raw_requests_are_repeated_as_the_matrix_says() {
    let workspace = Workspace::start(|asked, _| {
        let status = asked.path.rsplit('/').next()?.parse().ok()?;
        Some(Answer::error(status, "X", "x"))
    });
    let home = connected(&workspace, "");
    let mut number = 0;
    for method in ["GET", "PUT", "POST", "PATCH"] {
        for status in [400, 429, 500, 503] {
            for all in [false, true] {
                number += 1;
                let path = format!("/2.0/{number}/{status}");
                let mut words = vec![
                    "databricks",
                    "request",
                    &path,
                    "-X",
                    method,
                    "--max-retries",
                    "2",
                ];
                if all {
                    words.push("--retry-all-errors");
                }
                let run = home.run(&words);
                assert!(!run.status.success(), "{}", text(&run));
                let tries = workspace
                    .asked()
                    .iter()
                    .filter(|asked| asked.path == format!("/api{path}"))
                    .count();
                let idempotent = matches!(method, "GET" | "PUT");
                let repeated = all || idempotent && status != 400;
                assert_eq!(
                    tries,
                    if repeated { 3 } else { 1 },
                    "{method} {status} all={all} {}",
                    text(&run)
                );
            }
        }
    }
}

#[test]
fn debug_shows_requests_and_no_secret() {
    let workspace = Workspace::start(|asked, _| {
        asked
            .path
            .starts_with("/api/2.0/x")
            .then(|| Answer::ok(json!({"token_value": "planted-in-the-answer", "plain": "seen"})))
    });
    let home = connected(&workspace, "");
    let run = home.run(&[
        "databricks",
        "request",
        "/2.0/x?sig=planted-in-the-query",
        "-d",
        r#"{"client_secret": "planted-in-the-body"}"#,
        "--header",
        "X-Api-Key: planted-in-a-header",
        "--debug",
    ]);
    assert!(run.status.success(), "{}", text(&run));
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(
        said.contains("/api/2.0/x") && said.contains("POST"),
        "{said}"
    );
    assert!(!said.contains("planted"), "{said}");
    assert!(!said.contains(TOKEN), "{said}");
    let quiet = home.run(&["databricks", "request", "/2.0/x"]);
    assert!(quiet.stderr.is_empty(), "{}", text(&quiet));
}

/// A workspace with Unity Catalog, a warehouse that does not run, and a token that never ends.
fn governed(asked: &Asked, metastore: bool) -> Option<Answer> {
    Some(match asked.line().split('?').next().unwrap() {
        "GET /.well-known/databricks-config" => Answer::ok(
            json!({"oidc_endpoint": "http://127.0.0.1:1/oidc", "workspace_id": "99", "cloud": "AWS"}),
        ),
        "GET /api/2.0/preview/scim/v2/Me" => Answer::ok(me()),
        "GET /api/2.0/token/list" => {
            Answer::ok(json!({"token_infos": [{"token_id": "t", "expiry_time": -1}]}))
        }
        "GET /api/2.1/unity-catalog/metastore_summary" if metastore => Answer::ok(
            json!({"metastore_id": "m", "name": "main", "external_access_enabled": false}),
        ),
        "GET /api/2.1/unity-catalog/metastore_summary"
        | "GET /api/2.1/unity-catalog/current-metastore-assignment" => {
            Answer::error(404, "METASTORE_DOES_NOT_EXIST", "no metastore assigned")
        }
        "GET /api/2.0/sql/warehouses/00000000000000aa" => Answer::ok(warehouse("STOPPED")),
        _ => return None,
    })
}

#[test]
fn check_tells_of_a_connection_and_starts_nothing() {
    let workspace = Workspace::start(|asked, _| governed(asked, true));
    let home = connected(&workspace, WAREHOUSE);
    let run = home.run(&["check"]);
    let said = text(&run);
    assert!(
        run.status.success() && run.stdout.ends_with(b"Success!\n"),
        "{said}"
    );
    for words in [
        "connection w http://127.0.0.1",
        "workspace_id=`99`",
        "authenticated as service principal lander",
        "the personal access token never ends",
        "Unity Catalog is enabled, metastore=`main`",
        "is STOPPED; it is started where",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert!(
        workspace
            .lines()
            .iter()
            .all(|line| line.starts_with("GET ")),
        "{:?}",
        workspace.lines()
    );
    assert!(!said.contains(TOKEN));
    let run = home.run(&["check", "--json"]);
    assert_eq!(out(&run)["success"], true);
}

#[test]
fn each_fault_of_a_connection_is_its_own() {
    let gone = Workspace::start(|_, _| None);
    let bare = Workspace::start(|asked, _| governed(asked, false));
    let strange = Workspace::start(|asked, _| match asked.path.ends_with("/Me") {
        true => Some(Answer::error(
            401,
            "UNAUTHENTICATED",
            "Invalid access token.",
        )),
        false => governed(asked, true),
    });
    let missing = Workspace::start(|asked, _| governed(asked, true));
    let nobody = Workspace::nowhere();
    for (workspace, code, words) in [
        (&nobody, 4, "not to be reached"),
        (&gone, 2, "the host is no workspace"),
        (&bare, 1, "no metastore is assigned"),
        (&strange, 3, "the credential is refused"),
    ] {
        let home = connected(workspace, "");
        let run = home.run(&["check"]);
        assert_eq!(run.status.code(), Some(code), "{words} {}", text(&run));
        assert!(text(&run).contains(words), "{words} {}", text(&run));
        assert!(!text(&run).contains("Success!"));
    }
    let home = connected(&missing, "warehouse = \"00000000000000bb\"");
    let said = text(&home.run(&["check"]));
    let grant = "--data '{\"access_control_list\": [{\"service_principal_name\": \"5f0c1c9e-0000-4000-8000-000000000001\", \"permission_level\": \"CAN_USE\"}]}'";
    assert!(
        said.contains("the SQL warehouse is not to be had") && said.contains(grant),
        "{said}"
    );
}
