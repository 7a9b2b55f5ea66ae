//! Topic ids (KIP-516), which tell a topic from another of the same name made later.
//!
//! rdkafka 0.39 has no safe call for librdkafka's `DescribeTopics`, so this file calls it through
//! rdkafka-sys. With `fetch.rs` it is the only place of the room with `unsafe`; every block says why it holds.
#![allow(unsafe_code)]

use super::error::KafkaSourceError;
use rdkafka::{
    bindings as sys,
    client::{Client, ClientContext},
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_char},
    ptr,
    time::Duration,
};

/// What stands for the id where brokers give none (older than 2.8).
pub(crate) const NO_ID: &str = "-";

/// The base64 text of an all-zero UUID, which librdkafka returns for "no id".
const ZERO: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// An owned librdkafka object, given back by `free` exactly once.
struct Owned<T> {
    ptr: *mut T,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(ptr: *mut T, free: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        (!ptr.is_null()).then_some(Self { ptr, free })
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `ptr` came non-null from the constructor that `free` belongs to, and nothing else frees it.
        unsafe { (self.free)(self.ptr) }
    }
}

/// The ids of `topics`, by name; [`NO_ID`] where the broker has none. A topic that does not exist is
/// left out. Blocks for at most about `timeout`; call it off the async threads.
pub(crate) fn fetch<C: ClientContext>(
    client: &Client<C>,
    topics: &[String],
    timeout: Duration,
) -> Result<BTreeMap<String, String>, KafkaSourceError> {
    let mut ids = BTreeMap::new();
    if topics.is_empty() {
        return Ok(ids);
    }
    let failed = |code: RDKafkaErrorCode| {
        KafkaSourceError::broker("describing topics", &KafkaError::MetadataFetch(code))
    };
    let names: Vec<CString> = topics
        .iter()
        .filter_map(|name| CString::new(name.as_str()).ok())
        .collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // Any broker knows the ids. Left to itself, librdkafka asks the controller, which clients of some
    // clusters cannot reach: ask the broker that just answered instead.
    let metadata = client
        .fetch_metadata(topics.first().map(String::as_str), timeout)
        .map_err(|e| KafkaSourceError::broker("describing topics", &e))?;
    let broker = match metadata.orig_broker_id() {
        id if id >= 0 => Some(id),
        _ => metadata.brokers().first().map(|broker| broker.id()),
    };
    let rk = client.native_ptr();

    // SAFETY: `rk` is a live client for as long as `client` is borrowed; `pointers` holds `names.len()`
    // zero-terminated strings that outlive the call, which copies them.
    let (queue, options, collection) = unsafe {
        (
            Owned::new(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy),
            Owned::new(
                sys::rd_kafka_AdminOptions_new(
                    rk,
                    sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
                ),
                sys::rd_kafka_AdminOptions_destroy,
            ),
            Owned::new(
                sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
                sys::rd_kafka_TopicCollection_destroy,
            ),
        )
    };
    let (Some(queue), Some(options), Some(collection)) = (queue, options, collection) else {
        return Err(failed(RDKafkaErrorCode::Fail));
    };

    // SAFETY: all three objects are live; the request copies options and collection and keeps its own
    // reference to the queue. `errstr` may be null with size 0. Polling returns null or an event we own.
    let event = unsafe {
        let code =
            sys::rd_kafka_AdminOptions_set_request_timeout(options.ptr, millis, ptr::null_mut(), 0);
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(failed(code.into()));
        }
        if let Some(broker) = broker {
            let code =
                sys::rd_kafka_AdminOptions_set_broker(options.ptr, broker, ptr::null_mut(), 0);
            if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(failed(code.into()));
            }
        }
        sys::rd_kafka_DescribeTopics(rk, collection.ptr, options.ptr, queue.ptr);
        Owned::new(
            sys::rd_kafka_queue_poll(queue.ptr, millis.saturating_add(1_000)),
            sys::rd_kafka_event_destroy,
        )
    };
    let Some(event) = event else {
        return Err(failed(RDKafkaErrorCode::OperationTimedOut));
    };

    // SAFETY: `event` is live until the end of this function; every pointer read below belongs to it and is
    // used only before that. The array of descriptions has `count` elements; null results are checked.
    unsafe {
        let code = sys::rd_kafka_event_error(event.ptr);
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(failed(code.into()));
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event.ptr);
        if result.is_null() {
            return Err(failed(RDKafkaErrorCode::Fail));
        }
        let mut count = 0;
        let descriptions = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if descriptions.is_null() {
            return Ok(ids);
        }
        for &description in std::slice::from_raw_parts(descriptions, count) {
            let name = text(sys::rd_kafka_TopicDescription_name(description));
            let error = sys::rd_kafka_TopicDescription_error(description);
            if !error.is_null() {
                let code: RDKafkaErrorCode = sys::rd_kafka_error_code(error).into();
                match code {
                    RDKafkaErrorCode::NoError => {}
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                        continue;
                    }
                    code => return Err(failed(code)),
                }
            }
            let id = sys::rd_kafka_TopicDescription_topic_id(description);
            let id = if id.is_null() {
                String::new()
            } else {
                // librdkafka's alphabet has `/`, which would split an app id; Kafka prints the URL-safe one.
                text(sys::rd_kafka_Uuid_base64str(id))
                    .replace('+', "-")
                    .replace('/', "_")
            };
            let id = if id.is_empty() || id == ZERO {
                NO_ID.into()
            } else {
                id
            };
            ids.insert(name, id);
        }
    }
    Ok(ids)
}

/// # Safety
/// `text` is null or a zero-terminated string that lives through the call.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}
