//! Starting and stopping a Kafka source.

use super::{
    KafkaOptions,
    error::KafkaSourceError,
    fetch::FetchQueue,
    positions::{Positioner, group_consumer},
    reader::{Control, Note, Reader, State},
    slab::Limits,
};
use crate::{
    error::{Error, Result},
    event::{ByteBudget, Intake},
};
use parking_lot::Mutex;
use rdkafka::consumer::Consumer;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering, mpsc},
    time::Duration,
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// A member of a consumer group that feeds the pipeline.
pub struct KafkaSource;

/// A source at work. Dropping it stops the source without waiting.
pub struct Running {
    source: Arc<str>,
    control: Arc<Control>,
    done: Option<oneshot::Receiver<Result<(), KafkaSourceError>>>,
}

impl KafkaSource {
    /// Joins the group and reads. `pipeline` and `source` are parts of every position; `shutdown` has
    /// the effect of [`Running::stop_intake`]. Must be called within a tokio runtime.
    ///
    /// Errors are those of the options; brokers that do not answer are waited for.
    pub fn start(
        options: &KafkaOptions,
        pipeline: &str,
        source: &str,
        intake: Arc<dyn Intake>,
        budget: ByteBudget,
        shutdown: CancellationToken,
    ) -> Result<Running> {
        let source: Arc<str> = source.into();
        let consumer = Arc::new(group_consumer(&source, options, budget.limit())?);
        let topics: Vec<&str> = options.topics.iter().map(String::as_str).collect();
        consumer
            .subscribe(&topics)
            .map_err(|e| KafkaSourceError::Option {
                source_name: source.to_string(),
                key: "topics".into(),
                what: e.to_string(),
            })?;
        let runtime = tokio::runtime::Handle::current();
        let (notes_in, notes) = mpsc::channel();
        let events = runtime.spawn(forward(Arc::clone(&intake), notes_in.clone()));
        let control = Arc::new(Control::default());
        let reader = Reader {
            queue: Arc::new(FetchQueue::new(Arc::clone(&consumer))?),
            positioner: Arc::new(Positioner {
                consumer: Arc::clone(&consumer),
                intake: Arc::clone(&intake),
                pipeline: pipeline.into(),
                source: Arc::clone(&source),
                start: options.start.clone(),
                ids: Mutex::new(BTreeMap::new()),
            }),
            consumer,
            intake,
            budget,
            limits: Limits {
                max_event_bytes: options.max_event_bytes,
                batch_bytes: options.batch_bytes,
                batch_age: Duration::from_millis(options.batch_milliseconds),
                keep_headers: options.keep_headers,
                magic_byte: options.magic_byte,
            },
            drain_timeout: Duration::from_secs_f64(options.drain_timeout_seconds),
            control: Arc::clone(&control),
            shutdown,
            runtime,
            notes,
            notes_in,
            state: State::new(&source),
            source: Arc::clone(&source),
        };
        let (tell, done) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("kafka-{source}"))
            .spawn(move || {
                let result = reader.run();
                events.abort();
                let _ = tell.send(result);
            })
            .map_err(|e| {
                Error::new(
                    crate::error::Kind::Unavailable,
                    "no thread for a kafka source",
                )
                .with_source(e)
            })?;
        Ok(Running {
            source,
            control,
            done: Some(done),
        })
    }
}

/// Passes the pipeline's events to the thread.
async fn forward(intake: Arc<dyn Intake>, notes: mpsc::Sender<Note>) {
    while let Some(event) = intake.event().await {
        if notes.send(Note::Event(event)).is_err() {
            return;
        }
    }
    let _ = notes.send(Note::PipelineGone);
}

impl Running {
    /// Stops reading: partitions are paused, what was read is offered, the group is not left. New
    /// partitions are no longer taken on; revoked ones are still drained.
    pub fn stop_intake(&self) {
        self.control.stop_intake.store(true, Ordering::Release);
    }

    /// Waits until nothing more will be offered.
    pub async fn intake_stopped(&self) {
        self.control.intake_stopped.cancelled().await;
    }

    /// Ends the source: stores the last low-water marks as group offsets, gives the partitions up and
    /// leaves the group. Call it after the pipeline has drained. Returns what the source ended with.
    pub async fn stop(mut self) -> Result<()> {
        self.control.stop.store(true, Ordering::Release);
        self.finished().await
    }

    /// Waits until the source has ended; an error if it failed. Cancel safe. Once it has been told,
    /// further calls return at once.
    pub async fn finished(&mut self) -> Result<()> {
        let Some(done) = &mut self.done else {
            return Ok(());
        };
        let result = done.await;
        self.done = None;
        match result {
            Ok(result) => result.map_err(Error::from),
            Err(_) => Err(KafkaSourceError::Ended(self.source.to_string()).into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.stop.store(true, Ordering::Release);
    }
}
