//! Records taken many at a time, without the call, the event and the reference count that rdkafka's `poll` spends on each.
//!
//! rdkafka 0.39 has no safe call for `rd_kafka_consume_batch_queue`, so this file calls it through rdkafka-sys; every
//! block says why it holds. What it relies on in librdkafka 2.12:
//!
//! - The consumer's queue also carries rebalances, broker errors, statistics, logs and token requests, as events that the
//!   batch call would swallow (`rd_kafka_poll_cb` answers a rebalance by unassigning). So records get a queue of their
//!   own: a partition is attached to it before it is assigned, and an assignment leaves that alone
//!   (`rd_kafka_toppar_op_fetch_start`, `RD_KAFKA_Q_F_FWD_APP`).
//! - When a partition is given up, its detachment happens later on another thread (`rd_kafka_toppar_fetch_stop`): one that
//!   comes back at once may be detached after it was attached. Attaching again loses nothing, as what has gathered is
//!   appended (`rd_kafka_q_fwd_set0`); callers do so for partitions that are silent.
//! - `rd_kafka_q_serve_rkmessages` drops records of an older assignment, seek or pause, stores the position behind the
//!   last record it returns, and passes transaction markers. But it also stores a position behind the offset that an
//!   *error* names, as if that record had been read: see [`Failure::passes_over`]. The call for one record leaves the
//!   position alone at an error (`rd_kafka_fetch_op_app_prepare`).
#![allow(unsafe_code)]

use super::{error::KafkaSourceError, positions::GroupConsumer};
use crate::event::Offset;
use rdkafka::{
    bindings as sys,
    consumer::Consumer,
    error::{KafkaError, RDKafkaErrorCode},
    types::{RDKafkaMessage, RDKafkaRespErr},
};
use std::{
    borrow::Cow,
    ffi::{CStr, CString, c_char, c_void},
    marker::PhantomData,
    ptr::{self, NonNull},
    slice,
    sync::Arc,
    time::Duration,
};

/// How many records before it is read a value is asked for: another thread, on another core, has just decompressed it.
const AHEAD: usize = 8;
/// Of a longer value, what comes behind follows by itself.
const PREFETCHED: usize = 512;

/// The queue of a consumer's records.
pub(crate) struct FetchQueue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// Keeps the client alive, which must be destroyed after its queues.
    consumer: Arc<GroupConsumer>,
}

// SAFETY: librdkafka locks a queue at every access, and its functions may be called from any thread.
unsafe impl Send for FetchQueue {}
// SAFETY: as above.
unsafe impl Sync for FetchQueue {}

impl FetchQueue {
    pub(crate) fn new(consumer: Arc<GroupConsumer>) -> Result<Self, KafkaSourceError> {
        // SAFETY: the client is live; the queue is ours until `drop`.
        let queue = unsafe { sys::rd_kafka_queue_new(consumer.client().native_ptr()) };
        let Some(queue) = NonNull::new(queue) else {
            let error = KafkaError::Global(RDKafkaErrorCode::Fail);
            return Err(KafkaSourceError::broker("making a queue", &error));
        };
        Ok(Self { queue, consumer })
    }

    /// Has the records of a partition, those fetched already included, delivered here. Call it before the partition is
    /// assigned, and again while it is assigned and silent.
    pub(crate) fn attach(&self, topic: &str, number: i32) {
        let Ok(topic) = CString::new(topic) else {
            return;
        };
        // SAFETY: client and queue are live; `topic` is copied. What `get_partition` returns is null or a reference of
        // ours, given back once; the forward keeps references of its own.
        unsafe {
            let partition = sys::rd_kafka_queue_get_partition(
                self.consumer.client().native_ptr(),
                topic.as_ptr(),
                number,
            );
            if !partition.is_null() {
                sys::rd_kafka_queue_forward(partition, self.queue.as_ptr());
                sys::rd_kafka_queue_destroy(partition);
            }
        }
    }

    /// Takes what is there, `most` at most; where nothing is, waits for one record.
    pub(crate) fn take(&self, most: usize, wait: Duration) -> Batch<'_> {
        let mut messages: Vec<*mut RDKafkaMessage> = Vec::with_capacity(most.max(1));
        let mut together = true;
        // SAFETY: the queue is live; the vector has room for `most` pointers, and the call says how many it has written.
        // Each is a message that is now ours.
        unsafe {
            let queue = self.queue.as_ptr();
            let count = sys::rd_kafka_consume_batch_queue(queue, 0, messages.as_mut_ptr(), most);
            messages.set_len(usize::try_from(count).unwrap_or(0).min(most));
            if messages.is_empty() && !wait.is_zero() {
                let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
                let message = sys::rd_kafka_consume_queue(queue, millis);
                together = false;
                if !message.is_null() {
                    messages.push(message);
                }
            }
        }
        Batch {
            messages,
            together,
            queue: PhantomData,
        }
    }

    /// Tells the consumer's context of a failure, as `poll` does of errors, and returns the error that `poll` would.
    pub(crate) fn tell(&self, failure: &Failure) -> KafkaError {
        use rdkafka::client::ClientContext;
        let code = failure.code;
        let context = self.consumer.context();
        context.error(KafkaError::Global(code), failure.reason.trim());
        match code {
            RDKafkaErrorCode::PartitionEOF => KafkaError::PartitionEOF(failure.partition),
            RDKafkaErrorCode::Fatal => KafkaError::MessageConsumptionFatal(code),
            code => KafkaError::MessageConsumption(code),
        }
    }
}

impl Drop for FetchQueue {
    fn drop(&mut self) {
        // SAFETY: the queue is ours and destroyed once, before the client. Batches borrow from it, so none is left;
        // partitions still forwarded to it keep their own reference, and find it disabled.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// Records and errors taken together, in the order of each partition. They live as long as it does.
pub(crate) struct Batch<'q> {
    messages: Vec<*mut RDKafkaMessage>,
    /// Whether the batch call brought them, or the call for one.
    together: bool,
    queue: PhantomData<&'q FetchQueue>,
}

impl Batch<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Result<Record<'_>, Failure>> {
        let ahead = self.messages.iter().skip(AHEAD).map(Some);
        let ahead = ahead.chain(std::iter::repeat(None));
        self.messages.iter().zip(ahead).map(|(&message, ahead)| {
            if let Some(&ahead) = ahead {
                // SAFETY: the message is live until the batch is dropped.
                let fields = unsafe { &*ahead };
                prefetch(fields.payload.cast(), fields.len);
            }
            let record = Record {
                message,
                batch: PhantomData,
            };
            match record.fields().err {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(record),
                code => Err(record.failure(code.into(), self.together)),
            }
        })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for &message in &self.messages {
            // SAFETY: each message is ours and destroyed once; records borrow from this batch, so none is left.
            unsafe { sys::rd_kafka_message_destroy(message) }
        }
    }
}

/// An error that took a record's place.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: RDKafkaErrorCode,
    pub(crate) reason: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The offset meant, or negative.
    pub(crate) offset: i64,
    /// Whether librdkafka's position is behind `offset` now.
    moved: bool,
}

impl Failure {
    /// Whether librdkafka's position is behind a record that is yet to be read, where `next` is the next: seek to that, or
    /// the record is passed over.
    pub(crate) fn passes_over(&self, next: Offset) -> bool {
        self.moved && Offset::try_from(self.offset).is_ok_and(|offset| offset >= next)
    }
}

/// One record of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Record<'b> {
    message: *mut RDKafkaMessage,
    batch: PhantomData<&'b ()>,
}

/// A header's name and value; the value may be absent.
pub(crate) type Header<'b> = (Cow<'b, str>, Option<&'b [u8]>);

impl<'b> Record<'b> {
    fn fields(&self) -> &'b RDKafkaMessage {
        // SAFETY: the message is live and unchanged until its batch is dropped, which `'b` does not outlive.
        unsafe { &*self.message }
    }

    fn failure(&self, code: RDKafkaErrorCode, moved: bool) -> Failure {
        // SAFETY: the message is live; the text is null or zero-terminated and lives as long.
        let reason = unsafe { text(sys::rd_kafka_message_errstr(self.message)) };
        Failure {
            code,
            reason: reason.into_owned(),
            topic: self.topic().into_owned(),
            partition: self.partition(),
            offset: self.fields().offset,
            moved,
        }
    }

    /// The topic's address, the same for all records of a topic while it is assigned.
    pub(crate) fn topic_address(&self) -> usize {
        self.fields().rkt as usize
    }

    pub(crate) fn topic(&self) -> Cow<'b, str> {
        let topic = self.fields().rkt;
        if topic.is_null() {
            return Cow::Borrowed("");
        }
        // SAFETY: a message keeps its topic alive, and a topic its name.
        unsafe { text(sys::rd_kafka_topic_name(topic)) }
    }

    pub(crate) fn partition(&self) -> i32 {
        self.fields().partition
    }

    pub(crate) fn offset(&self) -> i64 {
        self.fields().offset
    }

    /// The value; empty where it is null.
    pub(crate) fn value(&self) -> &'b [u8] {
        let fields = self.fields();
        // SAFETY: a payload that is not null has `len` bytes, which live as long as the message.
        unsafe { bytes(fields.payload, fields.len) }.unwrap_or_default()
    }

    pub(crate) fn key(&self) -> Option<&'b [u8]> {
        let fields = self.fields();
        // SAFETY: as for the value.
        unsafe { bytes(fields.key, fields.key_len) }
    }

    /// The record's time in milliseconds since the epoch, if it has one.
    pub(crate) fn millis(&self) -> Option<i64> {
        let absent = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        let mut kind = absent;
        // SAFETY: the message is live; `kind` is written.
        let millis = unsafe { sys::rd_kafka_message_timestamp(self.message, &mut kind) };
        (kind != absent && millis >= 0).then_some(millis)
    }

    /// The headers in their order, if there are any; a value may be absent.
    pub(crate) fn headers(&self) -> Option<Vec<Header<'b>>> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is live; on success it owns what `headers` points to.
        let code = unsafe { sys::rd_kafka_message_headers(self.message, &mut headers) };
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || headers.is_null() {
            return None;
        }
        let mut all = Vec::new();
        loop {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the headers are live; the outputs are written on success and belong to the message.
            unsafe {
                let code = sys::rd_kafka_header_get_all(
                    headers,
                    all.len(),
                    &mut name,
                    &mut value,
                    &mut size,
                );
                if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return Some(all);
                }
                all.push((text(name), bytes(value, size)));
            }
        }
    }
}

/// Has a value brought near.
fn prefetch(start: *const u8, length: usize) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..length.min(PREFETCHED)).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which reads nothing and cannot fault, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(at).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, length);
}

/// # Safety
/// `start` is null, or `length` bytes begin there that live and do not change through `'a`.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), length) })
}

/// # Safety
/// `text` is null, or a zero-terminated string that lives and does not change through `'a`.
unsafe fn text<'a>(text: *const c_char) -> Cow<'a, str> {
    if text.is_null() {
        return Cow::Borrowed("");
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}
