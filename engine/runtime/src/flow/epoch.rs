//! Epochs, and which of them is open.

use crate::flow::halt::Waker;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Timely time: epochs are counted from 0 in each run.
pub(crate) type Epoch = u64;

/// The epoch that every worker should have open: a worker that closes its own closes it for all, so that none waits
/// for another's clock.
#[derive(Default)]
pub(crate) struct OpenEpoch {
    epoch: AtomicU64,
    readers: Mutex<Vec<Waker>>,
}

impl OpenEpoch {
    pub(crate) fn get(&self) -> Epoch {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Closes an epoch on every worker; closing one that is closed already does nothing.
    pub(crate) fn close(&self, epoch: Epoch) {
        if self.epoch.fetch_max(epoch + 1, Ordering::SeqCst) <= epoch {
            for wake in self.readers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                wake();
            }
        }
    }

    /// Has a read operator woken whenever an epoch closes.
    pub(crate) fn follow(&self, reader: Waker) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
    }
}
