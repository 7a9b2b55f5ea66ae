//! One committer for all producers of a table: whatever is ready becomes one version.
//!
//! A log takes one version per conditional PUT, some ten a second, so producers that committed each
//! for itself would wait for one another; together they do not.

use super::{
    error::{CommitError, Result},
    options::MAX_FILES_PER_COMMIT,
    table_log::TableLog,
    upload::{CommitOutcome, Upload},
};
use crate::event::{CommitRange, Offset, SourcePartition};
use std::{
    collections::{HashSet, VecDeque},
    future::Future,
    sync::Arc,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// What a group is committed through: a [`TableLog`].
pub trait Lander: Send + Sync + 'static {
    /// As [`TableLog::commit`].
    fn land(
        &self,
        upload: Upload,
        cancel: CancellationToken,
    ) -> impl Future<Output = Result<CommitOutcome>> + Send;

    /// Named in errors.
    fn name(&self) -> &str;
}

impl Lander for TableLog {
    fn land(
        &self,
        upload: Upload,
        cancel: CancellationToken,
    ) -> impl Future<Output = Result<CommitOutcome>> + Send {
        Box::pin(self.commit(upload, cancel))
    }

    fn name(&self) -> &str {
        TableLog::name(self)
    }
}

struct Job {
    upload: Upload,
    answer: oneshot::Sender<Result<CommitOutcome>>,
}

/// The queue before a table's log. Its length is bounded by the byte budget, whose permits the
/// producers hold until they are answered.
pub struct GroupCommitter {
    name: Arc<str>,
    sender: mpsc::UnboundedSender<Job>,
    task: JoinHandle<()>,
}

impl GroupCommitter {
    /// Starts the committer of one table. It ends when it is closed or dropped and its queue is
    /// empty, or, after `cancel`, as soon as the log lets it.
    pub fn spawn<L: Lander>(log: Arc<L>, cancel: CancellationToken) -> Self {
        let name: Arc<str> = log.name().into();
        let (sender, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(log, receiver, cancel));
        Self { name, sender, task }
    }

    /// Queues an upload behind those submitted before, at once; the future is its answer. Dropping
    /// the future does not withdraw the upload.
    ///
    /// An upload shares the outcome of its group: after Stale, Fenced or an error, every upload of
    /// the group gets it, and so do those queued behind whose ranges continue a range that failed.
    pub fn submit(
        &self,
        upload: Upload,
    ) -> impl Future<Output = Result<CommitOutcome>> + Send + 'static + use<> {
        let (answer, answered) = oneshot::channel();
        // A committer that has ended drops the job, and with it the answer's sender.
        let _ = self.sender.send(Job { upload, answer });
        let name = self.name.clone();
        async move {
            answered.await.unwrap_or_else(|_| {
                Err(CommitError::Cancelled {
                    table: name.to_string(),
                })
            })
        }
    }

    /// Lets the queue drain and waits for its end.
    pub async fn close(self) {
        drop(self.sender);
        let _ = self.task.await;
    }
}

async fn run<L: Lander>(
    log: Arc<L>,
    mut receiver: mpsc::UnboundedReceiver<Job>,
    cancel: CancellationToken,
) {
    let mut queue = VecDeque::new();
    loop {
        if queue.is_empty() {
            match receiver.recv().await {
                Some(job) => queue.push_back(job),
                None => return,
            }
        }
        take_ready(&mut receiver, &mut queue);
        let Some((upload, answers)) = take_group(&mut queue) else {
            continue;
        };
        let ends: Vec<(SourcePartition, Offset)> = ends(&upload.ranges).collect();
        let outcome = log.land(upload, cancel.clone()).await;
        if !matches!(outcome, Ok(CommitOutcome::Committed { .. })) {
            take_ready(&mut receiver, &mut queue);
            fail_followers(&mut queue, ends, &outcome);
        }
        for answer in answers {
            let _ = answer.send(outcome.clone());
        }
    }
}

fn take_ready(receiver: &mut mpsc::UnboundedReceiver<Job>, queue: &mut VecDeque<Job>) {
    while let Ok(job) = receiver.try_recv() {
        queue.push_back(job);
    }
}

fn ends(ranges: &[CommitRange]) -> impl Iterator<Item = (SourcePartition, Offset)> + '_ {
    ranges
        .iter()
        .map(|range| (range.partition.id.clone(), range.range.end))
}

/// Takes the longest run from the front of the queue that can be one upload, merged.
fn take_group(
    queue: &mut VecDeque<Job>,
) -> Option<(Upload, Vec<oneshot::Sender<Result<CommitOutcome>>>)> {
    let Job { mut upload, answer } = queue.pop_front()?;
    let mut answers = vec![answer];
    while queue
        .front()
        .is_some_and(|next| joins(&upload, &next.upload))
    {
        let Some(next) = queue.pop_front() else { break };
        merge(&mut upload, next.upload);
        answers.push(next.answer);
    }
    Some((upload, answers))
}

/// Whether `next` can land in the same version as `group`: of one schema, each of its ranges of a
/// new partition or continuing the group's.
fn joins(group: &Upload, next: &Upload) -> bool {
    group.schema.fingerprint == next.schema.fingerprint
        && group.earlier.is_empty()
        && next.earlier.is_empty()
        && group.files.len() + next.files.len() <= MAX_FILES_PER_COMMIT
        && next.ranges.iter().all(|range| {
            group
                .ranges
                .iter()
                .find(|held| held.partition.id == range.partition.id)
                .is_none_or(|held| range.expected == Some(held.range.end))
        })
}

fn merge(group: &mut Upload, next: Upload) {
    group.files.extend(next.files);
    for range in next.ranges {
        match group
            .ranges
            .iter_mut()
            .find(|held| held.partition.id == range.partition.id)
        {
            Some(held) => {
                held.range.end = range.range.end;
                held.counts.add(&range.counts);
            }
            None => group.ranges.push(range),
        }
    }
    for mark in next.marks {
        match group
            .marks
            .iter_mut()
            .find(|held| held.app_id == mark.app_id)
        {
            Some(held) => held.version = held.version.max(mark.version),
            None => group.marks.push(mark),
        }
    }
}

/// Gives `outcome` to queued uploads that continue a range that failed, and to theirs in turn.
fn fail_followers(
    queue: &mut VecDeque<Job>,
    ends: Vec<(SourcePartition, Offset)>,
    outcome: &Result<CommitOutcome>,
) {
    let mut failed: HashSet<(SourcePartition, Offset)> = ends.into_iter().collect();
    let mut kept = VecDeque::with_capacity(queue.len());
    for job in queue.drain(..) {
        let follows = job.upload.ranges.iter().any(|range| {
            range
                .expected
                .is_some_and(|at| failed.contains(&(range.partition.id.clone(), at)))
        });
        if follows {
            failed.extend(self::ends(&job.upload.ranges));
            let _ = job.answer.send(outcome.clone());
        } else {
            kept.push_back(job);
        }
    }
    *queue = kept;
}
