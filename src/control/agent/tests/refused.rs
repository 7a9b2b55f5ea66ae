//! What is refused, or fails for a while: how often it is tried, and what is told of it.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_told_once_with_its_grant_and_tried_ever_more_rarely() {
    let (lines, _listening) = listen();
    let bench = Bench::new();
    let target = bench.table("clicks");
    let tries = AtomicUsize::new(0);
    bench.warehouse.fails(move |_| {
        // As a workspace does, with an id of each statement and request.
        let id = tries.fetch_add(1, Ordering::Relaxed);
        Some(Fault::Refused(ControlError::Statement {
            kind: Kind::Unauthorized,
            condition: Some("INSUFFICIENT_PERMISSIONS".into()),
            message: format!(
                "no [ReqId: 036b6a39-1e9e-45ba-bd34-{id:012x}], statement=`01f1ca7c-9f58-4c11-83dc-{id:012x}`"
            ),
        }))
    });
    bench.agent.want(&target, &[add("a", "long")]);
    after(6 * 3_600).await;
    let times: Vec<_> = bench
        .warehouse
        .journal
        .lock()
        .iter()
        .map(|(at, _)| *at)
        .collect();
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] < Duration::from_secs(30), "{pauses:?}");
    assert!(pauses[4] > Duration::from_secs(120), "{pauses:?}");
    let longest = pauses.iter().max().unwrap();
    assert!(
        *longest <= REFUSED_PAUSE + Duration::from_secs(60),
        "{pauses:?}"
    );
    assert!(pauses.len() < 25, "{pauses:?}");
    let text = lines.text();
    assert_eq!(text.matches("could not be changed").count(), 1, "{text}");
    for part in [
        "INSUFFICIENT_PERMISSIONS",
        "GRANT MODIFY ON TABLE `main`.`web`.`clicks` TO `app-1`",
        "ALTER TABLE `main`.`web`.`clicks` ADD COLUMNS (`a` BIGINT)",
        "data goes on",
        "at once by `alluvium schema apply`",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(bench.columns(&target), ["id"]);
    assert_eq!(bench.agent.pending(&target), [add("a", "long")]);

    *bench.warehouse.judge.lock() = None;
    after(REFUSED_PAUSE.as_secs() + 60).await;
    assert_eq!(bench.columns(&target), ["id", "a"]);
    assert_eq!(bench.agent.problem(&target), None);
}

/// Each try wakes the warehouse, and a person is to mend it.
#[tokio::test(start_paused = true)]
async fn what_is_refused_wakes_a_warehouse_a_few_times_a_day() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.refuse_all();
    bench.agent.want(&target, &[add("a", "long")]);
    after(86_400).await;
    let first = bench.starts();
    after(7 * 86_400).await;
    let more = bench.starts() - first;
    assert!((28..40).contains(&more), "{more} in a week");
    // Another column is tried at once, and brings the first one along.
    *bench.warehouse.judge.lock() = None;
    bench.agent.want(&target, &[add("b", "long")]);
    after(10).await;
    assert_eq!(bench.columns(&target), ["id", "a", "b"]);
    assert_eq!(bench.agent.problem(&target), None);
}

/// Fields that appear again and again do not wake it each.
#[tokio::test(start_paused = true)]
async fn news_that_is_refused_like_the_rest_comes_ever_more_rarely() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.refuse_all();
    for n in 0..600 {
        bench.agent.want(&target, &[add(&format!("a{n}"), "long")]);
        after(60).await;
    }
    let tries = bench.warehouse.statements().len();
    assert!((20..45).contains(&tries), "{tries} in ten hours");
}

/// A column that is refused as it is stays out of the way of the next.
#[tokio::test(start_paused = true)]
async fn a_refused_column_stands_aside_for_new_ones() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.warehouse.fails(|read| match read {
        Read::AddColumns(_, columns) if columns.iter().any(|(_, f)| f.name() == "bad") => {
            Some(Fault::Refused(refused(Kind::InvalidData, "INVALID_NAME")))
        }
        _ => None,
    });
    bench.agent.want(&target, &[add("bad", "long")]);
    after(6 * 3_600).await;
    let before = bench.warehouse.statements().len();
    let may_come = || bench.agent.waiting().iter().any(Waiting::may_come);
    assert!(!may_come());
    for name in ["b", "c"] {
        bench
            .agent
            .want(&target, &[add(name, "long"), add("bad", "long")]);
        assert!(may_come(), "`{name}` is worth to wait for");
        after(10).await;
        assert!(!may_come());
    }
    assert_eq!(bench.columns(&target), ["id", "b", "c"]);
    let news = &bench.warehouse.statements()[before..];
    assert_eq!(
        news,
        [
            "ALTER TABLE `main`.`web`.`clicks` ADD COLUMNS (`b` BIGINT)",
            "ALTER TABLE `main`.`web`.`clicks` ADD COLUMNS (`c` BIGINT)",
        ]
    );
    assert_eq!(bench.agent.pending(&target), [add("bad", "long")]);
    assert!(bench.agent.problem(&target).is_some());
    // Its own time comes too.
    *bench.warehouse.judge.lock() = None;
    after(REFUSED_PAUSE.as_secs() + 60).await;
    assert_eq!(bench.columns(&target), ["id", "b", "c", "bad"]);
    assert_eq!(bench.agent.problem(&target), None);
}

/// A warehouse that does not answer says nothing of what is new.
#[tokio::test(start_paused = true)]
async fn news_that_meets_a_passing_error_does_not_wait_for_what_was_refused() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    let passing = Mutex::new(None);
    let passing = Arc::new(passing);
    let once = passing.clone();
    bench.warehouse.fails(move |read| match read {
        Read::AddColumns(_, columns) if columns.iter().any(|(_, f)| f.name() == "bad") => {
            Some(Fault::Refused(refused(Kind::InvalidData, "INVALID_NAME")))
        }
        _ => once.lock().take(),
    });
    bench.agent.want(&target, &[add("bad", "long")]);
    after(6 * 3_600).await;
    *passing.lock() = Some(Fault::Refused(ControlError::Service {
        kind: Kind::Unavailable,
        message: "503".into(),
    }));
    bench.agent.want(&target, &[add("b", "long")]);
    after(60).await;
    assert!(passing.lock().is_none(), "it has failed");
    assert_eq!(bench.columns(&target), ["id", "b"]);
    bench.agent.want(&target, &[add("c", "long")]);
    after(10).await;
    assert_eq!(bench.columns(&target), ["id", "b", "c"]);
}

/// A run need not wait for a token that a person is to renew; a daemon goes on soon once it is.
#[tokio::test(start_paused = true)]
async fn news_that_meets_a_lost_token_is_not_worth_to_wait_for() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.warehouse.fails(|read| match read {
        Read::AddColumns(_, columns) if columns.iter().any(|(_, f)| f.name() == "bad") => {
            Some(Fault::Refused(refused(Kind::InvalidData, "INVALID_NAME")))
        }
        _ => None,
    });
    bench.agent.want(&target, &[add("bad", "long")]);
    after(6 * 3_600).await;
    *bench.warehouse.unreachable.lock() = Some(ControlError::Connection {
        kind: Kind::Unauthorized,
        message: "the workspace does not take the token".into(),
    });
    bench.agent.want(&target, &[add("b", "long")]);
    after(10).await;
    assert!(!bench.agent.waiting().iter().any(Waiting::may_come));
    *bench.warehouse.unreachable.lock() = None;
    after(90).await;
    assert_eq!(bench.columns(&target), ["id", "b"]);
}

/// `alluvium schema apply` is another process: the writer sees the log change, and tells.
#[tokio::test(start_paused = true)]
async fn what_a_person_mends_by_hand_is_over_at_once() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    bench.refuse_all();
    bench.agent.want(&target, &[add("a", "long")]);
    after(6 * 3_600).await;
    *bench.warehouse.judge.lock() = None;
    let changes = bench.agent.pending(&target);
    let done = turn::apply(&*bench.warehouse, &target, changes, false).await;
    assert_eq!(done.unwrap().len(), 1);
    let tries = bench.warehouse.statements().len();
    bench.agent.register(&target);
    after(10).await;
    assert_eq!(bench.agent.problem(&target), None);
    assert_eq!(bench.agent.pending(&target), []);
    assert_eq!(bench.warehouse.statements().len(), tries);
}

/// The token ends while many tables want something: one line, and DDL goes on with the new one, soon.
#[tokio::test(start_paused = true)]
async fn a_lost_token_is_told_once_for_all_tables_and_a_new_one_is_found_soon() {
    let (lines, _listening) = listen();
    let bench = Bench::new();
    let tables: Vec<Target> = (0..20)
        .map(|n| bench.unregistered(&format!("t{n}")))
        .collect();
    *bench.warehouse.unreachable.lock() = Some(ControlError::Connection {
        kind: Kind::Unauthorized,
        message: "the workspace does not take the token".into(),
    });
    for table in &tables {
        bench.agent.want(table, &[add("a", "long")]);
    }
    after(6 * 3_600).await;
    let text = lines.text();
    assert_eq!(text.matches("does not take the token").count(), 1, "{text}");
    let looks = bench.warehouse.looks.load(Ordering::Relaxed);
    assert!(looks < 500, "one of them asks for all: {looks}");
    assert_eq!(bench.starts(), 0);
    *bench.warehouse.unreachable.lock() = None;
    after(150).await;
    for table in &tables {
        assert_eq!(bench.columns(table), ["id", "a"]);
    }
    // And when it is lost again, that is told again.
    *bench.warehouse.unreachable.lock() = Some(ControlError::Connection {
        kind: Kind::Unauthorized,
        message: "the workspace does not take the token".into(),
    });
    bench
        .agent
        .want(&bench.unregistered("late"), &[add("a", "long")]);
    after(60).await;
    let text = lines.text();
    assert_eq!(text.matches("does not take the token").count(), 2, "{text}");
}

/// No grant of a table's mends it, and who we are is not asked for each of them.
#[tokio::test(start_paused = true)]
async fn of_a_lost_token_no_table_is_told_its_grants() {
    let bench = Bench::new();
    let tables: Vec<Target> = (0..20).map(|n| bench.table(&format!("t{n}"))).collect();
    for table in &tables {
        bench.agent.register(table);
    }
    after(60).await;
    *bench.warehouse.broken.lock() = Some(ControlError::Connection {
        kind: Kind::Unauthorized,
        message: "the workspace does not take the token".into(),
    });
    for table in &tables {
        bench.agent.want(table, &[add("a", "long")]);
    }
    after(3_600).await;
    assert_eq!(bench.warehouse.principals.load(Ordering::Relaxed), 0);
    for table in &tables {
        let problem = bench.agent.problem(table).unwrap();
        assert!(problem.contains("ADD COLUMNS"), "{problem}");
        assert!(!problem.contains("GRANT"), "{problem}");
    }
    *bench.warehouse.broken.lock() = None;
    after(100).await;
    assert_eq!(bench.columns(&tables[0]), ["id", "a"]);
}

/// It is read again and run again, not put off.
#[tokio::test(start_paused = true)]
async fn a_transaction_that_was_aborted_is_tried_again_at_once() {
    let bench = Bench::new();
    let target = bench.table("clicks");
    let first = Mutex::new(true);
    bench.warehouse.fails(move |_| {
        let is_first = std::mem::take(&mut *first.lock());
        is_first.then(|| Fault::Refused(refused(Kind::Conflict, "DELTA_CONCURRENT_WRITE")))
    });
    bench.agent.want(&target, &[add("a", "long")]);
    after(9).await;
    assert_eq!(bench.columns(&target), ["id", "a"]);
}

/// Who may not make schemas need not, where there is one: told is the right to make the table.
#[tokio::test(start_paused = true)]
async fn of_a_schema_that_is_there_no_right_is_missed() {
    let bench = Bench::new();
    let target = bench.unregistered("clicks");
    bench.warehouse.schemas.lock().insert("main.web".into());
    bench.warehouse.fails(|read| {
        let refused = refused(Kind::Unauthorized, "INSUFFICIENT_PERMISSIONS");
        matches!(read, Read::CreateSchema(_) | Read::CreateTable { .. })
            .then_some(Fault::Refused(refused))
    });
    bench.agent.register(&target);
    after(10).await;
    let problem = bench.agent.problem(&target).unwrap();
    for part in ["GRANT CREATE TABLE ON SCHEMA", "CREATE TABLE IF NOT EXISTS"] {
        assert!(problem.contains(part), "{part} in {problem}");
    }
    assert!(!problem.contains("CREATE SCHEMA"), "{problem}");
}

#[test]
fn ids_are_no_news() {
    let told = |text| {
        is_told(
            Some("refused [ReqId: 036b6a39-1e9e-45ba-bd34-0ab1e60520fd] of table a"),
            text,
        )
    };
    assert!(told(
        "refused [ReqId: f608561f-274c-4f32-8892-5bba779161ea] of table a"
    ));
    assert!(!told(
        "refused [ReqId: f608561f-274c-4f32-8892-5bba779161ea] of table b"
    ));
    assert!(!is_told(None, ""));
    assert_eq!(
        without_ids("né 0123456789abcdef à d-ecade"),
        "né  à d-ecade"
    );
}
