//! The one byte budget of the process (invariant 6).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::Notify;

/// Bytes that may be in flight. Sources wait for room; later stages charge what they hold without
/// waiting, so that a batch already taken can always finish.
#[derive(Clone, Debug)]
pub struct ByteBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: u64,
    used: AtomicU64,
    freed: Notify,
}

impl ByteBudget {
    pub fn new(limit_bytes: u64) -> Self {
        Self(Arc::new(Inner {
            limit: limit_bytes,
            used: AtomicU64::new(0),
            freed: Notify::new(),
        }))
    }

    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Acquire)
    }

    /// Whether a source should pause: no room for one more byte.
    pub fn is_spent(&self) -> bool {
        self.used() >= self.0.limit
    }

    /// A permit if the budget has room; one larger than the whole budget is granted when nothing
    /// else is in flight, so that a single large batch cannot wait for ever.
    pub fn try_acquire(&self, bytes: u64) -> Option<BytePermit> {
        let mut used = self.0.used.load(Ordering::Acquire);
        loop {
            if used != 0 && used.saturating_add(bytes) > self.0.limit {
                return None;
            }
            match self.0.used.compare_exchange_weak(
                used,
                used.saturating_add(bytes),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(self.permit(bytes)),
                Err(now) => used = now,
            }
        }
    }

    /// Waits for room. Cancel safe.
    pub async fn acquire(&self, bytes: u64) -> BytePermit {
        loop {
            let freed = self.0.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(permit) = self.try_acquire(bytes) {
                return permit;
            }
            freed.await;
        }
    }

    /// Charges without waiting, past the limit if need be: for what replaces bytes already admitted.
    pub fn charge(&self, bytes: u64) -> BytePermit {
        self.0.used.fetch_add(bytes, Ordering::AcqRel);
        self.permit(bytes)
    }

    fn permit(&self, bytes: u64) -> BytePermit {
        BytePermit {
            budget: self.clone(),
            bytes,
        }
    }
}

/// Bytes of the budget; dropping it gives them back.
#[derive(Debug)]
pub struct BytePermit {
    budget: ByteBudget,
    bytes: u64,
}

impl BytePermit {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Grows or shrinks what is charged, without waiting.
    pub fn resize(&mut self, bytes: u64) {
        let more = self.budget.charge(bytes);
        let old = std::mem::replace(self, more);
        drop(old);
    }
}

impl Drop for BytePermit {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_come_back_and_the_limit_holds() {
        let budget = ByteBudget::new(100);
        let a = budget.try_acquire(60).unwrap();
        assert!(budget.try_acquire(60).is_none());
        let charged = budget.charge(60);
        assert_eq!(budget.used(), 120);
        drop(a);
        drop(charged);
        assert_eq!(budget.used(), 0);
        assert!(
            budget.try_acquire(1_000).is_some(),
            "a lone large batch passes"
        );
    }

    #[tokio::test]
    async fn a_waiter_wakes_when_bytes_return() {
        let budget = ByteBudget::new(10);
        let first = budget.acquire(10).await;
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.acquire(5).await.bytes() }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert_eq!(waiting.await.unwrap(), 5);
    }

    #[test]
    fn resize_keeps_the_account_exact() {
        let budget = ByteBudget::new(10);
        let mut permit = budget.charge(4);
        permit.resize(9);
        assert_eq!(budget.used(), 9);
        permit.resize(1);
        assert_eq!(budget.used(), 1);
    }
}
