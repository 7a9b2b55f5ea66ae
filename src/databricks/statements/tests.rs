//! Statements from submission to results. Past 500 lines: each state and each form of results has its test.

use super::*;
use crate::databricks::{
    WarehouseId,
    scripted::{Reply, Seen, Server, TOKEN, refusal},
    wait::Waiting,
};
use ::arrow::{
    array::{Int32Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
    ipc::writer::StreamWriter,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

fn statement() -> Statement {
    Statement::new(&WarehouseId::new("w"), "SELECT 1")
}

fn answer(state: &str) -> Value {
    json!({ "statement_id": "s-1", "status": { "state": state } })
}

fn columns(format: &str, chunks: u64) -> Value {
    json!({
        "format": format, "total_chunk_count": chunks, "total_row_count": 3, "truncated": false,
        "schema": { "columns": [
            { "name": "n", "position": 0, "type_name": "INT", "type_text": "INT" },
            { "name": "t", "position": 1, "type_name": "STRING", "type_text": "STRING" },
        ] },
    })
}

fn text(values: &[&[Option<&str>]]) -> Vec<Vec<Option<String>>> {
    let row = |row: &&[Option<&str>]| row.iter().map(|value| value.map(str::to_owned)).collect();
    values.iter().map(row).collect()
}

async fn executed(server: &Server) -> Result<Outcome> {
    Statements::new(&server.workspace())
        .execute(&statement())
        .await
}

/// Answers the submission and then each look in its turn; the last state stays.
async fn going_through(states: &'static [&'static str]) -> Server {
    let looks = Mutex::new(0);
    Server::start(move |seen| match seen.line().as_str() {
        "POST /api/2.0/sql/statements" => answer(states[0]).into(),
        "POST /api/2.0/sql/statements/s-1/cancel" => json!({}).into(),
        "GET /api/2.0/sql/statements/s-1" => {
            let mut looks = looks.lock();
            *looks = (*looks + 1).min(states.len() - 1);
            answer(states[*looks]).into()
        }
        other => panic!("{other}"),
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_statement_is_looked_at_ever_more_rarely_until_it_ends() {
    let server = going_through(&[
        "PENDING",
        "PENDING",
        "RUNNING",
        "RUNNING",
        "RUNNING",
        "SUCCEEDED",
    ])
    .await;
    let outcome = executed(&server).await.unwrap();
    assert_eq!(outcome.statement.as_str(), "s-1");
    let seen = server.seen();
    assert_eq!(seen.len(), 6);
    let pauses: Vec<f64> = seen
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at).as_secs_f64())
        .collect();
    for pair in pauses[1..].windows(2) {
        assert!(pair[1] > pair[0] * 1.1, "{pauses:?}");
    }
    assert!(pauses[1] >= 0.5 && pauses[4] <= 2.5, "{pauses:?}");
    assert_eq!(seen[0].json()["wait_timeout"], "10s");
}

#[tokio::test(start_paused = true)]
async fn failure_is_an_answer_of_200_with_its_state_and_code() {
    let server = Server::start(|_| {
        json!({
            "statement_id": "s-1",
            "status": {
                "state": "FAILED", "sql_state": "42703",
                "error": { "error_code": "BAD_REQUEST", "message": "no column `x` near CREDENTIAL (AWS_SECRET_KEY='planted')" },
            },
        })
        .into()
    })
    .await;
    let error = executed(&server).await.unwrap_err();
    assert_eq!(error.kind(), Kind::StatementFailed);
    let Error::Statement(failure) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(failure.sql_state.as_deref(), Some("42703"));
    assert_eq!(failure.error_code.as_deref(), Some("BAD_REQUEST"));
    assert_eq!(failure.statement.as_str(), "s-1");
    assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_canceled_is_canceled_and_what_was_closed_has_no_results() {
    let server = going_through(&["RUNNING", "CANCELED"]).await;
    let error = executed(&server).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Canceled);
    assert!(
        !server.lines().iter().any(|line| line.contains("cancel")),
        "nobody here asked for it"
    );
    let server = going_through(&["PENDING", "CLOSED"]).await;
    let statements = Statements::new(&server.workspace());
    let outcome = statements.execute(&statement()).await.unwrap();
    assert!(outcome.closed);
    assert_eq!(
        statements.rows(outcome).await.unwrap_err().kind(),
        Kind::NotFound
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancellation_that_comes_too_late_yields_the_outcome() {
    for (end, kind) in [
        ("SUCCEEDED", None),
        ("CANCELED", Some(Kind::Canceled)),
        ("FAILED", Some(Kind::StatementFailed)),
    ] {
        let canceled = Arc::new(Mutex::new(0));
        let asked = Arc::clone(&canceled);
        let server = Server::start(move |seen| {
            if seen.path.ends_with("/cancel") {
                *asked.lock() = 1;
                return json!({}).into();
            }
            let mut asked = asked.lock();
            // It goes on for two looks after it was asked to stop.
            if *asked > 0 {
                *asked += 1;
            }
            answer(if *asked > 3 { end } else { "RUNNING" }).into()
        })
        .await;
        let stop = CancellationToken::new();
        let waiting = Waiting::default().stop(stop.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            stop.cancel();
        });
        let ended = Statements::new(&server.workspace())
            .execute_with(&statement(), &waiting)
            .await;
        assert_eq!(
            ended.as_ref().err().map(Error::kind),
            kind,
            "{end}: {ended:?}"
        );
        assert_eq!(
            server
                .lines()
                .iter()
                .filter(|line| line.ends_with("/cancel"))
                .count(),
            1
        );
        assert!(*canceled.lock() > 3, "it was looked at to its end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_is_waited_for_in_vain_is_canceled() {
    let server = Server::start(|seen| {
        let canceled = seen.number > 3 && seen.method == "GET";
        answer(if canceled { "CANCELED" } else { "RUNNING" }).into()
    })
    .await;
    let waiting = Waiting::default().limit(Duration::from_secs(3));
    let error = Statements::new(&server.workspace())
        .execute_with(&statement(), &waiting)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(
        server
            .lines()
            .iter()
            .any(|line| line.ends_with("s-1/cancel"))
    );
}

/// A service that is away for some minutes ends no statement of an hour; one that stays away leaves none running unasked.
#[tokio::test(start_paused = true)]
async fn looks_that_fail_in_passing_are_no_end() {
    for (back, minutes) in [(8, 60), (1_000, 1)] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "POST" => answer("RUNNING").into(),
            _ if seen.number < back => refusal(503, "TEMPORARILY_UNAVAILABLE", "later"),
            _ => answer("SUCCEEDED").into(),
        })
        .await;
        let workspace = server.workspace_with(|options| options.retry_budget_seconds = Some(1.0));
        let waiting = Waiting::default().limit(Duration::from_secs(minutes * 60));
        let ran = Statements::new(&workspace)
            .execute_with(&statement(), &waiting)
            .await;
        let canceled = server.lines().iter().any(|line| line.ends_with("/cancel"));
        assert_eq!((ran.is_ok(), canceled), (back == 8, back != 8), "{ran:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_that_would_be_refused_and_async_comes_back_at_once() {
    let server = going_through(&["PENDING"]).await;
    let statements = Statements::new(&server.workspace());
    let error = statements
        .execute(&statement().wait_seconds(3))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidParameter);
    assert!(server.seen().is_empty());
    let snapshot = statements
        .submit(&statement().wait_seconds(0))
        .await
        .unwrap();
    assert_eq!(
        (snapshot.state.clone(), server.seen().len()),
        (StatementState::Pending, 1)
    );
    assert_eq!(
        snapshot.into_outcome().unwrap_err().kind(),
        Kind::Unexpected
    );
}

#[tokio::test(start_paused = true)]
async fn only_what_says_that_it_may_be_sent_again_is() {
    let cut_once = |seen: &Seen| match seen.number {
        0 => Reply::Cut,
        _ => answer("SUCCEEDED").into(),
    };
    let server = Server::start(cut_once).await;
    let error = executed(&server).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
    assert_eq!(server.seen().len(), 1);
    let server = Server::start(cut_once).await;
    Statements::new(&server.workspace())
        .execute(&statement().repeatable())
        .await
        .unwrap();
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_quotes_no_credential() {
    let server = Server::start(|_| {
        refusal(
            400,
            "BAD_REQUEST",
            "near WITH (CREDENTIAL (AZURE_SAS_TOKEN='sig=planted'",
        )
    })
    .await;
    let error = executed(&server).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn chunks_are_followed_by_their_index() {
    let server = Server::start(|seen| match seen.path.as_str() {
        "/api/2.0/sql/statements" => {
            let mut first = answer("SUCCEEDED");
            first["manifest"] = columns("JSON_ARRAY", 3);
            first["result"] = json!({ "chunk_index": 0, "row_offset": 0, "row_count": 1, "data_array": [["1", null]], "next_chunk_index": 1 });
            first.into()
        }
        "/api/2.0/sql/statements/s-1/result/chunks/1" => {
            json!({ "chunk_index": 1, "data_array": [["2", "b"]], "next_chunk_index": 2 }).into()
        }
        "/api/2.0/sql/statements/s-1/result/chunks/2" => json!({ "chunk_index": 2, "data_array": [["3", ""]] }).into(),
        other => panic!("{other}"),
    })
    .await;
    let statements = Statements::new(&server.workspace());
    let outcome = statements.execute(&statement()).await.unwrap();
    let rows = statements.rows(outcome).await.unwrap();
    assert_eq!(
        rows.rows,
        text(&[
            &[Some("1"), None],
            &[Some("2"), Some("b")],
            &[Some("3"), Some("")]
        ])
    );
    assert_eq!(rows.columns[1].type_text, "STRING");
    let n: Vec<_> = rows.column("T").unwrap().collect();
    assert_eq!(n, [None, Some("b"), Some("")]);
    assert!(rows.column("x").is_none());
}

#[tokio::test(start_paused = true)]
async fn no_rows_are_no_rows_and_a_circle_is_told() {
    let server = Server::start(|_| {
        let mut first = answer("SUCCEEDED");
        first["result"] = json!({});
        first.into()
    })
    .await;
    let statements = Statements::new(&server.workspace());
    let outcome = statements.execute(&statement()).await.unwrap();
    assert_eq!(statements.rows(outcome).await.unwrap(), Rows::default());
    let server = Server::start(|seen| {
        if seen.method == "GET" {
            return json!({ "chunk_index": 1, "data_array": [], "next_chunk_index": 1 }).into();
        }
        let mut first = answer("SUCCEEDED");
        first["result"] = json!({ "chunk_index": 0, "data_array": [], "next_chunk_index": 1 });
        first.into()
    })
    .await;
    let statements = Statements::new(&server.workspace());
    let outcome = statements.execute(&statement()).await.unwrap();
    let error = statements.rows(outcome).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unexpected);
    assert_eq!(server.seen().len(), 2);
}

/// A result of two chunks by links to a storage that is another server.
async fn by_links(
    format: &'static str,
    chunks: [Vec<u8>; 2],
    storage: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static,
    expiration: &'static str,
) -> (Server, Server) {
    let storage = Server::start(move |seen| {
        let chunk = usize::from(seen.path.starts_with("/chunk/1"));
        storage(seen).unwrap_or_else(|| Reply::Bytes(200, chunks[chunk].clone()))
    })
    .await;
    let address = storage.address.clone();
    let workspace = Server::start(move |seen| {
        let link = |chunk: u64| {
            let mut link = json!({
                "chunk_index": chunk, "external_link": format!("{address}/chunk/{chunk}?sig=planted&n={}", seen.number),
                "expiration": if seen.method == "POST" { expiration } else { "2999-01-01T00:00:00.000Z" },
                "http_headers": { "x-amz-server-side-encryption-customer-key": "planted-key" },
            });
            if chunk == 0 {
                link["next_chunk_index"] = 1.into();
            }
            json!({ "external_links": [link] })
        };
        if seen.method == "POST" {
            let mut first = answer("SUCCEEDED");
            first["manifest"] = columns(format, 2);
            first["result"] = link(0);
            return first.into();
        }
        match seen.path.as_str() {
            "/api/2.0/sql/statements/s-1/result/chunks/0" => link(0).into(),
            "/api/2.0/sql/statements/s-1/result/chunks/1" => link(1).into(),
            other => panic!("{other}"),
        }
    })
    .await;
    (workspace, storage)
}

const FAR: &str = "2999-01-01T00:00:00.000Z";

#[tokio::test(start_paused = true)]
async fn links_are_fetched_without_our_token_and_with_their_headers() {
    let (server, storage) = by_links(
        "CSV",
        [b"n,t\n1,a\n2,\"b,\nc\"\n".to_vec(), b"3,d\n".to_vec()],
        |_| None,
        FAR,
    )
    .await;
    let statements = Statements::new(&server.workspace());
    let outcome = statements
        .execute(&statement().external(Format::Csv))
        .await
        .unwrap();
    let shown = format!("{outcome:?}");
    assert!(!shown.contains("planted"), "{shown}");
    let rows = statements.rows(outcome).await.unwrap();
    let expected = text(&[
        &[Some("1"), Some("a")],
        &[Some("2"), Some("b,\nc")],
        &[Some("3"), Some("d")],
    ]);
    assert_eq!(rows.rows, expected, "only the first chunk has a header");
    for seen in storage.seen() {
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(
            seen.header("x-amz-server-side-encryption-customer-key"),
            Some("planted-key")
        );
        assert!(!format!("{:?}", seen.headers).contains(TOKEN));
    }
    assert_eq!(server.lines().len(), 2, "{:?}", server.lines());
}

#[tokio::test(start_paused = true)]
async fn a_link_that_has_expired_is_asked_for_again() {
    // By its own word: it is not even tried.
    let json_chunks = || [br#"[["1","a"]]"#.to_vec(), br#"[["2",null]]"#.to_vec()];
    let (server, storage) = by_links(
        "JSON_ARRAY",
        json_chunks(),
        |_| None,
        "2020-01-01T00:00:00Z",
    )
    .await;
    let statements = Statements::new(&server.workspace());
    let outcome = statements
        .execute(&statement().external(Format::JsonArray))
        .await
        .unwrap();
    let rows = statements.rows(outcome).await.unwrap();
    assert_eq!(
        rows.rows,
        text(&[&[Some("1"), Some("a")], &[Some("2"), None]])
    );
    assert_eq!(storage.seen().len(), 2);
    let asked = [
        "POST /api/2.0/sql/statements",
        "GET /api/2.0/sql/statements/s-1/result/chunks/0",
        "GET /api/2.0/sql/statements/s-1/result/chunks/1",
    ];
    assert_eq!(server.lines(), asked);
    // By the storage's: once.
    let refused = |seen: &Seen| {
        seen.path
            .ends_with("n=0")
            .then(|| Reply::Bytes(403, b"<Code>AccessDenied</Code>".to_vec()))
    };
    let (server, storage) = by_links("JSON_ARRAY", json_chunks(), refused, FAR).await;
    let statements = Statements::new(&server.workspace());
    let outcome = statements
        .execute(&statement().external(Format::JsonArray))
        .await
        .unwrap();
    assert_eq!(statements.rows(outcome).await.unwrap().rows.len(), 2);
    assert_eq!(storage.seen().len(), 3);
    assert_eq!(server.lines(), asked);
    // A storage that refuses every link is told.
    let (server, storage) = by_links(
        "JSON_ARRAY",
        json_chunks(),
        |_| Some(Reply::Bytes(403, Vec::new())),
        FAR,
    )
    .await;
    let statements = Statements::new(&server.workspace());
    let outcome = statements
        .execute(&statement().external(Format::JsonArray))
        .await
        .unwrap();
    let error = statements.rows(outcome).await.unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
    assert_eq!(storage.seen().len(), 4);
    assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn arrow_streams_are_read() {
    let stream = |numbers: Vec<i32>, words: Vec<Option<&str>>| {
        let schema = Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int32, false),
            Field::new("t", DataType::Utf8, true),
        ]));
        let columns: Vec<::arrow::array::ArrayRef> = vec![
            Arc::new(Int32Array::from(numbers)),
            Arc::new(StringArray::from(words)),
        ];
        let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), &schema).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    };
    let chunks = [
        stream(vec![1, 2], vec![Some("a"), None]),
        stream(vec![3], vec![Some("")]),
    ];
    let (server, _storage) = by_links("ARROW_STREAM", chunks, |_| None, FAR).await;
    let statements = Statements::new(&server.workspace());
    let outcome = statements
        .execute(&statement().external(Format::ArrowStream))
        .await
        .unwrap();
    let rows = statements.rows(outcome).await.unwrap();
    assert_eq!(
        rows.rows,
        text(&[
            &[Some("1"), Some("a")],
            &[Some("2"), None],
            &[Some("3"), Some("")]
        ])
    );
}
