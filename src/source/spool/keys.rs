//! The idempotency index (exactly-once.md, rule 19).
//!
//! A key is part of its request's first record, so it is durable exactly when the request is. In
//! memory the index holds every key of the window; before a segment is let go its keys are written to
//! a file of their own, `<first sequence>.keys`, so keys outlive segments without a second fsync an append.

use super::{
    disk::{self, Disk},
    error::{Result, SpoolError},
};
use crate::event::{Offset, OffsetRange};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    sync::Arc,
};
use tokio::sync::Notify;

/// SHA-256 of sender, table and key, cut to 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub(super) [u8; 16]);

/// SHA-256 of a request's decompressed body, cut to 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyHash(pub(super) [u8; 16]);

fn cut(digest: impl AsRef<[u8]>) -> [u8; 16] {
    let mut cut = [0; 16];
    cut.copy_from_slice(&digest.as_ref()[..16]);
    cut
}

impl KeyHash {
    /// `sender` keeps one client's keys apart from another's.
    pub fn new(sender: &[u8], table: &str, key: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [sender, table.as_bytes(), key] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(cut(hash.finalize()))
    }
}

impl BodyHash {
    pub fn new(body: &[u8]) -> Self {
        Self(cut(Sha256::digest(body)))
    }
}

/// What a request with a key was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub range: OffsetRange,
    pub accepted: u32,
    pub rejected: u32,
    /// Microseconds since the epoch.
    pub received_at: i64,
}

/// What is to be done with a request that carries a key.
#[derive(Debug)]
pub enum Begin {
    /// Not seen: append it with this claim.
    New(Claim),
    /// Seen with the same body: give the same answer.
    Done(Answer),
    /// Seen with another body: 422.
    OtherBody,
}

/// The right to append the one request of a key. Others with that key wait until it is dropped: by
/// the writer when the request is durable or failed, else with the request that was given up.
#[derive(Debug)]
pub struct Claim {
    keys: Arc<Keys>,
    pub(super) key: KeyHash,
    pub(super) body: BodyHash,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.keys.state.lock().pending.remove(&self.key);
        self.keys.settled.notify_waiters();
    }
}

/// All keys of the window.
#[derive(Debug)]
pub struct Keys {
    state: Mutex<State>,
    settled: Notify,
    max: usize,
    window_micros: i64,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<KeyHash, (BodyHash, Answer)>,
    /// Ascending by sequence, so the oldest come first.
    order: VecDeque<(Offset, KeyHash)>,
    pending: HashMap<KeyHash, BodyHash>,
}

impl Keys {
    pub(super) fn new(max: usize, window: std::time::Duration) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            settled: Notify::new(),
            max: max.max(1),
            window_micros: i64::try_from(window.as_micros()).unwrap_or(i64::MAX),
        })
    }

    /// Looks a key up, waiting while another request with it is under way. `now` in microseconds.
    pub async fn begin(self: &Arc<Self>, key: KeyHash, body: BodyHash, now: i64) -> Begin {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            {
                let mut state = self.state.lock();
                match state.known.get(&key) {
                    Some((known, answer)) if !self.expired(answer, now) => {
                        return if *known == body {
                            Begin::Done(*answer)
                        } else {
                            Begin::OtherBody
                        };
                    }
                    _ => {}
                }
                match state.pending.get(&key) {
                    Some(other) if *other != body => return Begin::OtherBody,
                    Some(_) => {}
                    None => {
                        state.pending.insert(key, body);
                        return Begin::New(Claim {
                            keys: Arc::clone(self),
                            key,
                            body,
                        });
                    }
                }
            }
            settled.await;
        }
    }

    fn expired(&self, answer: &Answer, now: i64) -> bool {
        now.saturating_sub(answer.received_at) > self.window_micros
    }

    /// Called in ascending order of sequence, when the request is durable.
    pub(super) fn insert(&self, key: KeyHash, body: BodyHash, answer: Answer) {
        let mut state = self.state.lock();
        state.order.push_back((answer.range.start, key));
        state.known.insert(key, (body, answer));
        let mut early = 0u64;
        while let Some(&(sequence, oldest)) = state.order.front() {
            let found = state.known.get(&oldest).map(|(_, found)| *found);
            // A key used again after its window has a younger entry; the older place in the order is void.
            let current = found.filter(|found| found.range.start == sequence);
            let expired = current.is_none_or(|found| self.expired(&found, answer.received_at));
            if !expired && state.order.len() <= self.max {
                break;
            }
            state.order.pop_front();
            if current.is_some() {
                state.known.remove(&oldest);
                early += u64::from(!expired);
            }
        }
        metrics::gauge!("alluvium_spool_idempotency_keys").set(state.known.len() as f64);
        if early > 0 {
            metrics::counter!("alluvium_spool_idempotency_keys_evicted_total").increment(early);
        }
    }

    /// Writes the keys of requests in `[first, end)` beside the segment that is about to go. Returns
    /// the time of the newest, `None` if there were none.
    pub(super) fn save(
        &self,
        folder: &Path,
        disk: &dyn Disk,
        first: Offset,
        end: Offset,
    ) -> Result<Option<i64>> {
        let (bytes, newest) = {
            let state = self.state.lock();
            let from = state
                .order
                .partition_point(|(sequence, _)| *sequence < first);
            let mut bytes = Vec::new();
            let mut newest = None;
            for (sequence, key) in state.order.range(from..).take_while(|(s, _)| *s < end) {
                if let Some((body, answer)) = state.known.get(key)
                    && answer.range.start == *sequence
                {
                    put(&mut bytes, key, body, answer);
                    newest = newest.max(Some(answer.received_at));
                }
            }
            (bytes, newest)
        };
        if newest.is_some() {
            let mut bytes = bytes;
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
            let path = folder.join(format!("{first:020}.keys"));
            disk::replace(disk, &path, &bytes).map_err(SpoolError::io("write", path))?;
        }
        Ok(newest)
    }

    /// Reads what [`Keys::save`] wrote. Returns the time of the newest.
    pub(super) fn load(&self, path: &Path) -> Result<i64> {
        let bytes = std::fs::read(path).map_err(SpoolError::io("read", path))?;
        let corrupt = || {
            SpoolError::Corrupt {
            path: path.into(),
            offset: 0,
            what: "idempotency keys do not read back (without the file, requests of the last day that are sent again are taken again)".into(),
        }
        };
        let (entries, crc) = bytes.split_last_chunk::<4>().ok_or_else(corrupt)?;
        if crc32fast::hash(entries) != u32::from_le_bytes(*crc) || entries.len() % ENTRY != 0 {
            return Err(corrupt());
        }
        let mut newest = i64::MIN;
        for entry in entries.chunks_exact(ENTRY) {
            let (key, body, answer) = take(entry).ok_or_else(corrupt)?;
            newest = newest.max(answer.received_at);
            self.insert(key, body, answer);
        }
        Ok(newest)
    }

    pub(super) fn window_micros(&self) -> i64 {
        self.window_micros
    }
}

/// Bytes of one entry of a `.keys` file: key, body, start, end, received, accepted, rejected.
const ENTRY: usize = 64;

fn put(bytes: &mut Vec<u8>, key: &KeyHash, body: &BodyHash, answer: &Answer) {
    bytes.extend_from_slice(&key.0);
    bytes.extend_from_slice(&body.0);
    bytes.extend_from_slice(&answer.range.start.to_le_bytes());
    bytes.extend_from_slice(&answer.range.end.to_le_bytes());
    bytes.extend_from_slice(&answer.received_at.to_le_bytes());
    bytes.extend_from_slice(&answer.accepted.to_le_bytes());
    bytes.extend_from_slice(&answer.rejected.to_le_bytes());
}

fn take(entry: &[u8]) -> Option<(KeyHash, BodyHash, Answer)> {
    let (key, rest) = entry.split_first_chunk()?;
    let (body, rest) = rest.split_first_chunk()?;
    let (start, rest) = rest.split_first_chunk()?;
    let (end, rest) = rest.split_first_chunk()?;
    let (received, rest) = rest.split_first_chunk()?;
    let (accepted, rest) = rest.split_first_chunk()?;
    let (rejected, _) = rest.split_first_chunk()?;
    let answer = Answer {
        range: OffsetRange {
            start: u64::from_le_bytes(*start),
            end: u64::from_le_bytes(*end),
        },
        received_at: i64::from_le_bytes(*received),
        accepted: u32::from_le_bytes(*accepted),
        rejected: u32::from_le_bytes(*rejected),
    };
    Some((KeyHash(*key), BodyHash(*body), answer))
}

#[cfg(test)]
mod tests {
    use super::{super::disk::LocalDisk, *};
    use std::time::Duration;

    fn answer(start: u64, received_at: i64) -> Answer {
        Answer {
            range: OffsetRange {
                start,
                end: start + 1,
            },
            accepted: 1,
            rejected: 0,
            received_at,
        }
    }

    fn key(n: u8) -> (KeyHash, BodyHash) {
        (KeyHash::new(b"me", "t", &[n]), BodyHash::new(&[n]))
    }

    #[tokio::test]
    async fn a_key_is_known_for_its_window_and_no_longer() {
        let keys = Keys::new(10, Duration::from_micros(100));
        let (k, b) = key(1);
        assert!(matches!(keys.begin(k, b, 0).await, Begin::New(_)));
        keys.insert(k, b, answer(0, 0));
        assert!(matches!(keys.begin(k, b, 100).await, Begin::Done(a) if a == answer(0, 0)));
        assert!(matches!(
            keys.begin(k, key(2).1, 100).await,
            Begin::OtherBody
        ));
        assert!(matches!(keys.begin(k, b, 101).await, Begin::New(_)));
        // Used anew: the old entry's end does not take the new one along.
        keys.insert(k, b, answer(5, 150));
        keys.insert(key(3).0, key(3).1, answer(6, 160));
        assert!(matches!(keys.begin(k, b, 160).await, Begin::Done(a) if a == answer(5, 150)));
    }

    #[tokio::test]
    async fn the_oldest_keys_go_when_there_are_too_many() {
        let keys = Keys::new(2, Duration::from_secs(1));
        for n in 0..3 {
            keys.insert(key(n).0, key(n).1, answer(n.into(), n.into()));
        }
        assert!(matches!(
            keys.begin(key(0).0, key(0).1, 3).await,
            Begin::New(_)
        ));
        assert!(matches!(
            keys.begin(key(1).0, key(1).1, 3).await,
            Begin::Done(_)
        ));
    }

    #[tokio::test]
    async fn rule_19_a_second_request_waits_for_the_first() {
        let keys = Keys::new(10, Duration::from_secs(1));
        let (k, b) = key(1);
        let Begin::New(claim) = keys.begin(k, b, 0).await else {
            panic!("the key is new")
        };
        assert!(matches!(keys.begin(k, key(2).1, 0).await, Begin::OtherBody));
        let second = tokio::spawn({
            let keys = Arc::clone(&keys);
            async move { keys.begin(k, b, 0).await }
        });
        tokio::task::yield_now().await;
        keys.insert(k, b, answer(9, 0));
        drop(claim);
        assert!(matches!(second.await.unwrap(), Begin::Done(a) if a == answer(9, 0)));
    }

    #[tokio::test]
    async fn a_claim_given_up_lets_the_next_one_in() {
        let keys = Keys::new(10, Duration::from_secs(1));
        let (k, b) = key(1);
        let claim = keys.begin(k, b, 0).await;
        let second = tokio::spawn({
            let keys = Arc::clone(&keys);
            async move { keys.begin(k, b, 0).await }
        });
        tokio::task::yield_now().await;
        drop(claim);
        assert!(matches!(second.await.unwrap(), Begin::New(_)));
    }

    #[tokio::test]
    async fn keys_read_back_from_their_file_and_a_flipped_bit_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::new(10, Duration::from_secs(1));
        for n in 0..4 {
            keys.insert(key(n).0, key(n).1, answer(n.into(), n.into()));
        }
        assert_eq!(keys.save(folder.path(), &LocalDisk, 1, 3).unwrap(), Some(2));
        assert_eq!(keys.save(folder.path(), &LocalDisk, 50, 60).unwrap(), None);
        let path = folder.path().join("00000000000000000001.keys");
        let again = Keys::new(10, Duration::from_secs(1));
        assert_eq!(again.load(&path).unwrap(), 2);
        assert!(
            matches!(again.begin(key(2).0, key(2).1, 3).await, Begin::Done(a) if a == answer(2, 2))
        );
        assert!(matches!(
            again.begin(key(3).0, key(3).1, 3).await,
            Begin::New(_)
        ));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 4;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(again.load(&path), Err(SpoolError::Corrupt { .. })));
    }
}
