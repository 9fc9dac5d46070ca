//! The byte budget of a flow: what bounds memory when a sink is slower than its source.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that chunks between a source and its commit may hold.
///
/// Only the source waits; everything after it must be free to go on, or the bytes would never come back. So use may
/// exceed the limit by what one read gives and by what stages add to it.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

impl Budget {
    /// A budget of so many bytes.
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: Mutex::new(0), freed: Condvar::new() })
    }

    /// The limit in bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        *self.lock()
    }

    /// Waits until there is room, for `timeout` at most; says whether there is.
    pub(crate) fn wait_for_room(&self, timeout: Duration) -> bool {
        let (used, _) = self
            .freed
            .wait_timeout_while(self.lock(), timeout, |used| *used >= self.limit)
            .unwrap_or_else(PoisonError::into_inner);
        *used < self.limit
    }

    /// Takes bytes, whether or not there is room, until the lease is dropped.
    pub(crate) fn lease(self: &Arc<Self>, bytes: u64) -> Lease {
        *self.lock() += bytes;
        Lease { budget: Arc::clone(self), bytes }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes taken from a budget; dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Lease {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Lease {
    /// Holds another number of bytes from now on.
    pub(crate) fn resize(&mut self, bytes: u64) {
        {
            let mut used = self.budget.lock();
            *used = *used - self.bytes + bytes;
        }
        self.bytes = bytes;
        self.budget.freed.notify_all();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_with_the_lease() {
        let budget = Budget::new(10);
        let mut lease = budget.lease(8);
        assert!(budget.wait_for_room(Duration::ZERO));
        let second = budget.lease(8);
        assert!(!budget.wait_for_room(Duration::ZERO));
        lease.resize(1);
        assert!(budget.wait_for_room(Duration::ZERO));
        drop((lease, second));
        assert_eq!(budget.used(), 0);
    }
}
