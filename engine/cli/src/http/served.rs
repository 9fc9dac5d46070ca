//! What requests are answered from.

use super::view::View;
use axum::extract::FromRef;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// The run, and who listens to it.
#[derive(Clone)]
pub(super) struct Served {
    pub(super) view: Arc<View>,
    /// Places for pages that listen.
    pub(super) listeners: Arc<Semaphore>,
    /// Becomes true when the run is over.
    pub(super) over: watch::Receiver<bool>,
}

impl FromRef<Served> for Arc<View> {
    fn from_ref(served: &Served) -> Self {
        Arc::clone(&served.view)
    }
}
