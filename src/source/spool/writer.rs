//! The one thread that writes: takes what is queued, writes it in one go, fsyncs once, answers all.

mod upkeep;

use super::{
    Shared,
    disk::{self, Disk},
    error::{Result, SpoolError},
    keys::Claim,
    queue::{Next, Queue},
    recent::Request,
    record::{self, Encoded, KeyPart},
    segment::{self, HEADER, Segment},
};
use crate::event::{BytePermit, Offset, OffsetRange};
use std::{
    fs::{self, File},
    io::IoSlice,
    ops::Range,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// A group is closed at this many bytes or requests.
const GROUP_BYTES: u64 = 16 << 20;
const GROUP_REQUESTS: usize = 4_096;
/// How often a failed disk is tried again while nothing is asked of it.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// So much is written before the system is told that it may forget it: a call a group would cost as much as small ones do.
const FORGET_BYTES: u64 = 256 << 10;
/// The system keeps files in pages of this size or a multiple.
const PAGE_BYTES: u64 = 4 << 10;
/// With less room than this the spool reports itself full before anything is refused.
const LITTLE_ROOM: u64 = 4 << 10;

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all commands are appends; a box would be an allocation a request"
)]
pub(super) enum Command {
    Append(Job),
    Truncate(Offset),
    Confirm(oneshot::Sender<Result<()>>),
    Adopt(oneshot::Sender<Result<()>>),
    Close(oneshot::Sender<Result<()>>),
}

/// One append and who waits for it.
pub(super) struct Job {
    pub(super) request: Encoded,
    pub(super) key: Option<KeyPart>,
    pub(super) received_at: i64,
    pub(super) claim: Option<Claim>,
    pub(super) permit: Option<BytePermit>,
    /// What the reader may get from memory.
    pub(super) recent: Option<Request>,
    pub(super) done: oneshot::Sender<Result<OffsetRange>>,
}

impl Job {
    /// The claim goes first: whoever waited for the same key finds it settled.
    fn answer(self, answer: Result<OffsetRange>) {
        drop(self.claim);
        drop(self.permit);
        // A client that went away is not told.
        let _ = self.done.send(answer);
    }
}

/// A group that is durable.
struct Written {
    ranges: Vec<OffsetRange>,
    /// The first number of its segment.
    segment: Offset,
    file: Arc<File>,
    /// Where in the segment it lies.
    bytes: Range<u64>,
}

pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    /// The next number to give out; only ever rises.
    next: Offset,
    state: State,
    /// How many requests the last group held: whether there is somebody to wait for.
    last_group: usize,
    /// Where in the current segment the system was not yet told to forget.
    forget_from: u64,
    key_files: Vec<(PathBuf, i64)>,
    _lock: File,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.end();
    }
}

/// The segment being written, which is the last of the log.
enum State {
    /// The next append begins one.
    Idle,
    Open(Segment),
    /// A write or fsync of it failed: nothing beyond `len` may be trusted or written again, since a
    /// second fsync of pages that failed once proves nothing.
    Failed(Segment),
}

impl Writer {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        shared: Arc<Shared>,
        queue: Arc<Queue>,
        next: Offset,
        key_files: Vec<(PathBuf, i64)>,
        lock: File,
    ) -> Self {
        Self {
            disk,
            shared,
            queue,
            next,
            state: State::Idle,
            last_group: 0,
            forget_from: HEADER,
            key_files,
            _lock: lock,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let command = match self.queue.next(PROBE_INTERVAL) {
                Next::Command(command) => command,
                Next::Idle => {
                    self.probe();
                    continue;
                }
                Next::Abandoned => return,
            };
            match command {
                Command::Append(job) => {
                    let group = self.gather(job);
                    self.last_group = group.len();
                    self.append(group);
                }
                Command::Truncate(low_water) => self.truncate(low_water),
                Command::Confirm(done) => {
                    let _ = done.send(self.confirm());
                }
                Command::Adopt(done) => {
                    let _ = done.send(self.adopt());
                }
                Command::Close(done) => {
                    let closed = self.close();
                    drop(self); // The lock is free before the caller hears of it.
                    let _ = done.send(closed);
                    return;
                }
            }
        }
    }

    /// Takes what is queued behind the first append. Waits for more only if there was company last
    /// time: a lone client would wait for nobody. Another command ends the group and comes after it.
    fn gather(&mut self, first: Job) -> Vec<Job> {
        let mut bytes = first.request.len;
        if self.last_group > 1 {
            let deadline = Instant::now() + self.shared.options.group_commit;
            let left = GROUP_BYTES.saturating_sub(bytes);
            self.queue.wait_for(self.last_group - 1, left, deadline);
        }
        let mut group = Vec::with_capacity(self.last_group.max(1));
        group.push(first);
        if bytes < GROUP_BYTES {
            self.queue.appends(|job| {
                bytes += job.request.len;
                group.push(job);
                bytes < GROUP_BYTES && group.len() < GROUP_REQUESTS
            });
        }
        group
    }

    fn append(&mut self, group: Vec<Job>) {
        let mut fitting = Vec::with_capacity(group.len());
        let mut bytes = 0;
        for job in group {
            match self.room(bytes, job.request.len) {
                Ok(()) => {
                    bytes += job.request.len;
                    fitting.push(job);
                }
                Err(error) => job.answer(Err(error)),
            }
        }
        if !fitting.is_empty() {
            match self.write(&mut fitting) {
                Ok(written) => self.publish(fitting, written),
                Err(error) => {
                    metrics::counter!("alluvium_errors_total", "stage" => "spool", "kind" => error.kind().as_str()).increment(1);
                    self.set_health(Err(error.clone()));
                    for job in fitting {
                        job.answer(Err(error.clone()));
                    }
                }
            }
        }
        self.report_room();
    }

    /// Whether `bytes` more fit beside `taken`, letting go of the current segment if all of it is committed.
    fn room(&mut self, taken: u64, bytes: u64) -> Result<()> {
        let max = self.shared.options.max_bytes;
        let need = bytes.saturating_add(HEADER);
        if need > max {
            return Err(SpoolError::TooLarge { bytes, max });
        }
        let (mut used, low_water) = {
            let log = self.shared.log.lock();
            (log.bytes(), log.low_water)
        };
        if used + taken + need > max
            && taken == 0
            && let State::Open(segment) = &self.state
            && segment.end <= low_water
        {
            self.state = State::Idle;
            self.let_go(low_water);
            used = self.shared.log.lock().bytes();
        }
        if used + taken + need > max {
            return Err(SpoolError::Full { used, max });
        }
        Ok(())
    }

    /// Numbers, writes and fsyncs a group. On an error the numbers stay used.
    fn write(&mut self, group: &mut [Job]) -> Result<Written> {
        let mut segment = self.segment()?;
        let mut ranges = Vec::with_capacity(group.len());
        for job in &mut *group {
            let start = self.next;
            for chunk in &mut job.request.chunks {
                self.next = chunk.seal(self.next, segment.len);
            }
            debug_assert_eq!(self.next - start, job.request.events);
            ranges.push(OffsetRange {
                start,
                end: self.next,
            });
        }
        let mut slices: Vec<_> = group
            .iter()
            .flat_map(|job| &job.request.chunks)
            .flat_map(|chunk| [IoSlice::new(&chunk.head), IoSlice::new(&chunk.payload)])
            .collect();
        let bytes: u64 = group.iter().map(|job| job.request.len).sum();
        let began = Instant::now();
        let written = disk::write_all(&*self.disk, &segment.file, &mut slices)
            .map_err(SpoolError::io("write", &segment.path))
            .and_then(|()| {
                self.disk
                    .sync(&segment.file)
                    .map_err(SpoolError::io("fsync", &segment.path))
            });
        metrics::histogram!("alluvium_spool_group_duration_seconds")
            .record(began.elapsed().as_secs_f64());
        metrics::histogram!("alluvium_spool_group_requests").record(group.len() as f64);
        if let Err(error) = written {
            self.state = State::Failed(segment);
            return Err(error);
        }
        let written = Written {
            ranges,
            bytes: segment.len..segment.len + bytes,
            segment: segment.first,
            file: Arc::clone(&segment.file),
        };
        segment.len += bytes;
        segment.end = self.next;
        {
            let mut log = self.shared.log.lock();
            if let Some(last) = log.segments.back_mut() {
                last.len = segment.len;
                last.end = segment.end;
            }
        }
        self.state = if segment.len >= self.shared.options.segment_bytes {
            State::Idle
        } else {
            State::Open(segment)
        };
        Ok(written)
    }

    /// The group is durable: first the keys, then readers, then those who wait.
    fn publish(&mut self, mut group: Vec<Job>, written: Written) {
        let mut at = written.bytes.start;
        for (job, range) in group.iter_mut().zip(&written.ranges) {
            at += job.request.len;
            if let Some(key) = &job.key {
                let answer = segment::answer(key, range.start, range.end, job.received_at);
                self.shared.keys.insert(key.key, key.body, answer);
            }
            let next = (written.segment, at);
            if let Some(request) = job.recent.take() {
                self.shared.recent.keep(*range, request, next);
            }
        }
        metrics::counter!("alluvium_spool_appended_bytes_total")
            .increment(written.bytes.end - written.bytes.start);
        self.set_health(Ok(()));
        self.shared.durable.send_replace(self.next);
        for (job, range) in group.into_iter().zip(written.ranges) {
            job.answer(Ok(range));
        }
        // The reader has what is kept, and for the rest the disk is as good a place as memory: the pages can serve the
        // next groups. The page that the next group begins in stays, or its write would read it back from the disk; so may
        // larger pieces that hold it, which the next call comes back for.
        let from = self.forget_from.min(written.bytes.start);
        if at - from >= FORGET_BYTES {
            disk::forget(&written.file, from..at / PAGE_BYTES * PAGE_BYTES);
            self.forget_from = written.bytes.start;
        } else {
            self.forget_from = from;
        }
    }

    /// The segment to write to; mends or begins one where needed.
    fn segment(&mut self) -> Result<Segment> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Open(segment) => return Ok(segment),
            State::Idle => {}
            State::Failed(segment) => {
                if let Err(error) = self.abandon(&segment) {
                    self.state = State::Failed(segment);
                    return Err(error);
                }
            }
        }
        let path = segment::path(&self.shared.folder, self.next);
        match self.begin(&path) {
            Ok(segment) => {
                self.shared.log.lock().segments.push_back(segment.clone());
                Ok(segment)
            }
            Err(error) => {
                // Whatever came of it holds no record; a name left behind would be in the way.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Creates a segment; it and its name are durable before it takes a record.
    fn begin(&mut self, path: &std::path::Path) -> Result<Segment> {
        let first = self.next;
        let file = self
            .disk
            .create(path)
            .map_err(SpoolError::io("create", path))?;
        let header = segment::header(first, now_micros());
        disk::write_all(&*self.disk, &file, &mut [IoSlice::new(&header)])
            .map_err(SpoolError::io("write", path))?;
        self.disk
            .sync(&file)
            .map_err(SpoolError::io("fsync", path))?;
        self.disk
            .sync_folder(&self.shared.folder)
            .map_err(SpoolError::io("fsync", &self.shared.folder))?;
        Ok(Segment {
            path: path.into(),
            file: Arc::new(file),
            first,
            end: first,
            len: HEADER,
        })
    }

    /// Cuts a failed segment to what is durable, so that it can stand before the next one.
    fn abandon(&mut self, segment: &Segment) -> Result<()> {
        if segment.end > segment.first {
            return self
                .disk
                .cut(&segment.file, segment.len)
                .map_err(SpoolError::io("cut", &segment.path));
        }
        match fs::remove_file(&segment.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(SpoolError::io("remove", &segment.path)(error));
            }
            _ => {}
        }
        self.shared
            .log
            .lock()
            .segments
            .retain(|other| other.first != segment.first);
        Ok(())
    }

    /// After a failure, finds out whether the disk has healed: readiness must not wait for a request
    /// that an unready process never gets.
    fn probe(&mut self) {
        let failed = matches!(*self.shared.health.borrow(), Err(SpoolError::Io { .. }));
        if failed {
            match self.segment() {
                Ok(segment) => {
                    self.state = State::Open(segment);
                    self.set_health(Ok(()));
                }
                Err(error) => self.set_health(Err(error)),
            }
        }
    }

    fn close(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Open(segment) if segment.end > segment.first => {
                let mut marker = record::marker();
                marker.seal(segment.end, segment.len);
                disk::write_all(
                    &*self.disk,
                    &segment.file,
                    &mut [IoSlice::new(&marker.head)],
                )
                .map_err(SpoolError::io("write", &segment.path))?;
                self.disk
                    .sync(&segment.file)
                    .map_err(SpoolError::io("fsync", &segment.path))
            }
            State::Failed(segment) => self.abandon(&segment),
            _ => Ok(()),
        }
    }

    fn report_room(&self) {
        let (used, waiting) = {
            let log = self.shared.log.lock();
            (
                log.bytes(),
                self.shared.durable.borrow().saturating_sub(log.low_water),
            )
        };
        let max = self.shared.options.max_bytes;
        metrics::gauge!("alluvium_spool_bytes").set(used as f64);
        metrics::gauge!("alluvium_spool_uncommitted_events").set(waiting as f64);
        let full = matches!(*self.shared.health.borrow(), Err(SpoolError::Full { .. }));
        let fuller = used + LITTLE_ROOM > max;
        if fuller && !full && self.shared.health.borrow().is_ok() {
            self.set_health(Err(SpoolError::Full { used, max }));
        } else if full && !fuller {
            self.set_health(Ok(()));
        }
    }

    fn set_health(&self, health: Result<()>) {
        let was_ok = self.shared.health.borrow().is_ok();
        match &health {
            Err(error) if was_ok => tracing::error!(%error, "the spool takes no events"),
            Ok(()) if !was_ok => tracing::info!("the spool takes events again"),
            // Told once, not with every request that fails.
            _ => {}
        }
        if was_ok != health.is_ok() || health.is_err() {
            let _ = self.shared.health.send_replace(health);
        }
    }
}

fn now_micros() -> i64 {
    chrono::Utc::now().timestamp_micros()
}
