//! What waits for one table's worker: a few deliveries, in order, and whether the table stands still.
//!
//! Sources put in and never wait; the worker takes out. A table that stands still can have its inbox
//! shed, for what waits there holds whole slabs of the byte budget: then it is shut until its worker
//! makes progress, and of an epoch of which anything was shed nothing more comes in.

use super::worker::Delivery;
use crate::event::{Epoch, SourcePartition};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

pub(crate) struct Inbox {
    capacity: usize,
    queue: Mutex<Queue>,
    ready: Notify,
}

#[derive(Default)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    reserved: usize,
    /// Since when there was no room without the worker having taken anything.
    refused: Option<Instant>,
    /// Refusals that room was not yet told of.
    refusals: usize,
    /// Since when it is shut.
    shut: Option<Instant>,
    /// Somebody was told that the table is left behind, since it last had room.
    told: bool,
    /// The last epoch of each partition of which deliveries were shed.
    shed: HashMap<SourcePartition, Epoch>,
}

/// Room for one delivery; given back when dropped.
pub(crate) struct Slot(Arc<Inbox>);

/// Counts the places that became free after somebody was refused one, in the inboxes of all tables.
#[derive(Default)]
pub(crate) struct Freed {
    count: AtomicU64,
    more: Notify,
}

impl Freed {
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    pub(crate) fn add(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.more.notify_waiters();
    }

    /// Waits until more than `seen` were counted. Cancel safe.
    pub(crate) async fn beyond(&self, seen: u64) {
        loop {
            let more = self.more.notified();
            if self.count() > seen {
                return;
            }
            more.await;
        }
    }
}

impl Inbox {
    /// `capacity` deliveries find room.
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            queue: Mutex::default(),
            ready: Notify::new(),
        })
    }

    pub(crate) fn try_reserve(self: &Arc<Self>, now: Instant) -> Option<Slot> {
        let mut queue = self.queue.lock();
        if queue.shut.is_some() || queue.deliveries.len() + queue.reserved >= self.capacity {
            queue.refused.get_or_insert(now);
            queue.refusals += 1;
            return None;
        }
        queue.reserved += 1;
        Some(Slot(self.clone()))
    }

    /// The next delivery, or `None` when there is none and the worker should look at itself: it was shut.
    /// Cancel safe; one consumer.
    pub(crate) async fn recv(&self) -> Option<Delivery> {
        match self.try_recv() {
            Some(delivery) => Some(delivery),
            None => {
                self.ready.notified().await;
                self.try_recv()
            }
        }
    }

    pub(crate) fn try_recv(&self) -> Option<Delivery> {
        let mut queue = self.queue.lock();
        let delivery = queue.deliveries.pop_front()?;
        queue.refused = None;
        Some(delivery)
    }

    /// Whether the place of a delivery just taken is one that somebody was refused; true once for each refusal.
    pub(crate) fn admits(&self) -> bool {
        let mut queue = self.queue.lock();
        let admits = queue.refusals > 0;
        queue.refusals -= usize::from(admits);
        admits
    }

    /// How long there has been no room, the worker taking nothing; zero where there is.
    pub(crate) fn refuses_for(&self, now: Instant) -> Duration {
        let refused = self.queue.lock().refused;
        refused.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.lock().deliveries.is_empty()
    }

    /// Empties and shuts it. The caller withholds what comes out.
    pub(crate) fn shed(&self, now: Instant) -> Vec<Delivery> {
        let mut queue = self.queue.lock();
        queue.shut.get_or_insert(now);
        queue.refused.get_or_insert(now);
        let shed = Vec::from(std::mem::take(&mut queue.deliveries));
        for delivery in &shed {
            let raw = delivery.raw();
            queue.shed.insert(raw.partition.id.clone(), raw.epoch);
        }
        self.ready.notify_one();
        shed
    }

    pub(crate) fn shut_since(&self) -> Option<Instant> {
        self.queue.lock().shut
    }

    /// Whether it is news that the table is left behind.
    pub(crate) fn is_news(&self) -> bool {
        !std::mem::replace(&mut self.queue.lock().told, true)
    }

    /// The worker makes progress again.
    pub(crate) fn open(&self) {
        let mut queue = self.queue.lock();
        queue.shut = None;
        queue.refused = None;
        queue.told = false;
    }

    /// The partition was given up; what was shed of it up to this epoch no longer matters.
    pub(crate) fn forget(&self, partition: &SourcePartition, epoch: Epoch) {
        let mut queue = self.queue.lock();
        if queue.shed.get(partition).is_some_and(|shed| *shed <= epoch) {
            queue.shed.remove(partition);
        }
    }
}

impl Slot {
    /// What continues something that was shed is dropped: it is withheld already.
    pub(crate) fn send(self, delivery: Delivery) {
        let mut queue = self.0.queue.lock();
        let raw = delivery.raw();
        let was_shed = queue
            .shed
            .get(&raw.partition.id)
            .is_some_and(|shed| raw.epoch <= *shed);
        if !was_shed {
            queue.deliveries.push_back(delivery);
            self.0.ready.notify_one();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.queue.lock().reserved -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::RoutedBatch,
        pipeline::{testing::raw_batch, worker::What},
    };

    fn delivery(epoch: Epoch, start: u64) -> Delivery {
        Delivery {
            share: start,
            what: What::Rows(RoutedBatch {
                raw: Arc::new(raw_batch(epoch, [start], start, start + 1)),
                select: None,
            }),
        }
    }

    #[test]
    fn room_is_counted_with_what_is_promised() {
        let inbox = Inbox::new(2);
        let now = Instant::now();
        let first = inbox.try_reserve(now).unwrap();
        let second = inbox.try_reserve(now).unwrap();
        assert!(inbox.try_reserve(now).is_none());
        drop(second);
        first.send(delivery(1, 0));
        assert!(inbox.try_reserve(now).is_some());
        assert_eq!(inbox.try_recv().unwrap().share, 0);
        assert!(inbox.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn each_refusal_is_told_of_one_place() {
        let inbox = Inbox::new(1);
        let freed = Arc::new(Freed::default());
        let (now, takes) = (Instant::now(), 3);
        let waiting = tokio::spawn({
            let freed = freed.clone();
            async move { freed.beyond(1).await }
        });
        for n in 0..takes {
            inbox.try_reserve(now).unwrap().send(delivery(1, n));
            if n > 0 {
                assert!(inbox.try_reserve(now).is_none());
            }
            inbox.try_recv().unwrap();
            tokio::task::yield_now().await;
            assert!(!waiting.is_finished());
            if inbox.admits() {
                freed.add();
            }
        }
        assert!(!inbox.admits());
        assert_eq!(freed.count(), 2, "nobody was refused before the first");
        waiting.await.unwrap();
    }

    #[test]
    fn patience_is_over_when_nothing_is_taken_not_when_others_were_quicker() {
        let inbox = Inbox::new(1);
        let start = Instant::now();
        let later = start + Duration::from_secs(3);
        inbox.try_reserve(start).unwrap().send(delivery(1, 0));
        assert_eq!(inbox.refuses_for(later), Duration::ZERO);
        assert!(inbox.try_reserve(start).is_none());
        assert!(inbox.try_reserve(later).is_none());
        assert_eq!(inbox.refuses_for(later), Duration::from_secs(3));
        inbox.try_recv().unwrap();
        assert_eq!(inbox.refuses_for(later), Duration::ZERO);
    }

    #[test]
    fn nothing_comes_in_behind_what_was_shed() {
        let inbox = Inbox::new(4);
        let now = Instant::now();
        inbox.try_reserve(now).unwrap().send(delivery(1, 0));
        let promised = inbox.try_reserve(now).unwrap();
        assert_eq!(inbox.shed(now).len(), 1);
        assert!(inbox.try_reserve(now).is_none(), "it is shut");
        promised.send(delivery(1, 1));
        assert!(inbox.is_empty());
        assert!(inbox.is_news() && !inbox.is_news());
        inbox.open();
        assert!(inbox.is_news());
        inbox.try_reserve(now).unwrap().send(delivery(1, 2));
        assert!(inbox.is_empty(), "of that epoch nothing more");
        inbox.try_reserve(now).unwrap().send(delivery(2, 0));
        assert_eq!(inbox.try_recv().unwrap().raw().epoch, 2);
    }

    #[test]
    fn what_was_shed_since_a_partition_came_back_is_not_forgotten_with_the_old() {
        let inbox = Inbox::new(4);
        let now = Instant::now();
        inbox.try_reserve(now).unwrap().send(delivery(7, 0));
        inbox.shed(now);
        inbox.open();
        let id = raw_batch(7, [], 0, 0).partition.id.clone();
        inbox.forget(&id, 6);
        inbox.try_reserve(now).unwrap().send(delivery(7, 1));
        assert!(inbox.is_empty());
        inbox.forget(&id, 7);
        inbox.try_reserve(now).unwrap().send(delivery(7, 2));
        assert!(!inbox.is_empty());
    }

    #[tokio::test]
    async fn the_worker_wakes() {
        let inbox = Inbox::new(1);
        let waiting = tokio::spawn({
            let inbox = inbox.clone();
            async move { inbox.recv().await.map(|delivery| delivery.share) }
        });
        tokio::task::yield_now().await;
        inbox
            .try_reserve(Instant::now())
            .unwrap()
            .send(delivery(1, 7));
        assert_eq!(waiting.await.unwrap(), Some(7));
        inbox.shed(Instant::now());
        assert!(inbox.recv().await.is_none(), "so that it may open it again");
    }
}
