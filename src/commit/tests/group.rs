//! The group committer: order, merging, shared outcomes.

use super::support::{assert_once, landed, memory, open, schema, token, upload};
use crate::commit::{CommitError, CommitOutcome, GroupCommitter, Lander, Upload, error::Result};
use crate::event::Offset;
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// App id, expected position and end of a range.
type Seen = (String, Option<Offset>, Offset);

/// Answers from a list, once for each permit, and notes what it was given.
struct Scripted {
    gate: Semaphore,
    answers: Mutex<VecDeque<Result<CommitOutcome>>>,
    seen: Mutex<Vec<Vec<Seen>>>,
}

impl Lander for Scripted {
    async fn land(&self, upload: Upload, _cancel: CancellationToken) -> Result<CommitOutcome> {
        self.seen.lock().push(
            upload
                .ranges
                .iter()
                .map(|range| {
                    (
                        range.partition.id.app_id().to_owned(),
                        range.expected,
                        range.range.end,
                    )
                })
                .collect(),
        );
        self.gate.acquire().await.unwrap().forget();
        self.answers.lock().pop_front().unwrap()
    }

    fn name(&self) -> &str {
        "t"
    }
}

fn lost() -> Result<CommitOutcome> {
    Err(CommitError::Cancelled { table: "t".into() })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ready_is_merged_and_followers_share_a_failure() {
    let log = Arc::new(Scripted {
        gate: Semaphore::new(0),
        answers: Mutex::new([lost(), lost(), lost()].into()),
        seen: Mutex::default(),
    });
    let group = GroupCommitter::spawn(log.clone(), token());
    let schema = schema();
    let first = group.submit(upload(&schema, "p", None, 2));
    while log.seen.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    // Queued behind the first: two that continue it, one of another partition, one that jumps.
    let second = group.submit(upload(&schema, "p", Some(2), 4));
    let third = group.submit(upload(&schema, "p", Some(4), 6));
    let other = group.submit(upload(&schema, "q", None, 3));
    let other_next = group.submit(upload(&schema, "q", Some(3), 5));
    let jump = group.submit(upload(&schema, "q", Some(9), 10));
    log.gate.add_permits(1);
    for answer in [first.await, second.await, third.await] {
        assert!(answer.is_err());
    }
    log.gate.add_permits(2);
    assert!(other.await.is_err());
    assert!(other_next.await.is_err());
    assert!(jump.await.is_err());
    group.close().await;
    let seen = log.seen.lock();
    assert_eq!(seen[0], [("p".to_owned(), None, 2)]);
    assert_eq!(
        seen[1],
        [("q".to_owned(), None, 5)],
        "consecutive ranges are one"
    );
    assert_eq!(
        seen[2],
        [("q".to_owned(), Some(9), 10)],
        "a jump is not merged"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_producers_share_few_versions_and_land_once() {
    let location = memory();
    let log = open(&location);
    let group = Arc::new(GroupCommitter::spawn(log.clone(), token()));
    let schema = schema();
    let mut answers = Vec::new();
    for round in 0..10u64 {
        for producer in 0..8 {
            let position = (round > 0).then_some(round);
            let name = format!("p{producer}");
            answers.push(group.submit(upload(&schema, &name, position, round + 1)));
        }
    }
    for answer in answers {
        let outcome = answer.await.unwrap();
        assert!(
            matches!(outcome, CommitOutcome::Committed { .. }),
            "{outcome:?}"
        );
    }
    let rows = landed(&location).await;
    for producer in 0..8 {
        assert_once(&rows, &format!("p{producer}"), 10, "group");
    }
    let version = log.state().unwrap().version;
    assert!(version < 40, "{version} versions for 80 uploads");
}
