//! Ctrl-C while something of a workspace is waited for.

use super::*;
use crate::support::{daemon::Daemon, until};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Runs `words` until the workspace has heard `line`, and interrupts them: the exit code, and what was said.
async fn interrupted(
    home: &Home,
    words: &[&str],
    workspace: &Workspace,
    line: &str,
) -> (Option<i32>, String) {
    let run = Daemon::spawn(home.command(words));
    until("the wait begins", || {
        let heard = workspace.lines();
        heard.iter().filter(|heard| heard.starts_with(line)).count() > 1
    })
    .await;
    run.signal("INT");
    let (status, log) = run.ended().await;
    (status.code(), log)
}

#[tokio::test]
async fn a_statement_is_canceled_and_its_end_waited_for() {
    let canceled = Arc::new(AtomicBool::new(false));
    let is_canceled = canceled.clone();
    let workspace = Workspace::start(move |asked, _| {
        let state = match is_canceled.load(Ordering::SeqCst) {
            true => "CANCELED",
            false => "RUNNING",
        };
        let told = json!({"statement_id": "s1", "status": {"state": state}});
        match asked.line().as_str() {
            "POST /api/2.0/sql/statements" | "GET /api/2.0/sql/statements/s1" => {
                Some(Answer::ok(told))
            }
            "POST /api/2.0/sql/statements/s1/cancel" => {
                is_canceled.store(true, Ordering::SeqCst);
                Some(Answer::ok(json!({})))
            }
            _ => None,
        }
    });
    let home = connected(&workspace, WAREHOUSE);
    let words = ["databricks", "sql", "select 1"];
    let (code, log) =
        interrupted(&home, &words, &workspace, "GET /api/2.0/sql/statements/s1").await;
    assert_eq!(code, Some(4), "{log}");
    assert!(log.contains("the statement was canceled"), "{log}");
    let lines = workspace.lines();
    let cancels = lines
        .iter()
        .filter(|line| line.ends_with("/cancel"))
        .count();
    assert_eq!(cancels, 1, "{lines:?}");
    assert_eq!(
        lines.last().unwrap(),
        "GET /api/2.0/sql/statements/s1",
        "its end is looked at: {lines:?}"
    );
}

/// A workspace whose warehouse goes on starting.
fn starting() -> Workspace {
    Workspace::start(|asked, _| match asked.line().split('?').next().unwrap() {
        "GET /api/2.0/sql/warehouses/00000000000000aa" => Some(Answer::ok(warehouse("STARTING"))),
        _ => governed(asked, true),
    })
}

const LOOK: &str = "GET /api/2.0/sql/warehouses/00000000000000aa";

#[tokio::test]
async fn a_wait_for_a_warehouse_ends_and_nothing_else_is_done() {
    let workspace = starting();
    let home = connected(&workspace, WAREHOUSE);
    let words = ["databricks", "warehouses", "start", "--wait"];
    let (code, log) = interrupted(&home, &words, &workspace, LOOK).await;
    assert_ne!(code, Some(0), "{log}");
    assert!(log.contains("is STARTING"), "{log}");
    let lines = workspace.lines();
    assert!(
        lines.iter().all(|line| line.starts_with("GET ")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_check_ends_with_what_it_found_and_makes_no_table() {
    let workspace = starting();
    let home = connected(&workspace, WAREHOUSE);
    let (code, log) = interrupted(&home, &["check", "--thorough"], &workspace, LOOK).await;
    assert_eq!(code, Some(4), "{log}");
    let lines = workspace.lines();
    assert!(
        lines.iter().all(|line| line.starts_with("GET ")),
        "{lines:?}"
    );
    assert!(!home.lake().join("_alluvium_probe").exists());
}
