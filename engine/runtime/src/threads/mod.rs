//! Blocking I/O beside the workers: each source handle, each set of writers and each committer has a thread of its
//! own, so that a slow disk or server never stalls a worker.

pub(crate) mod committer;
pub(crate) mod reader;
pub(crate) mod writer;

use crate::flow::Flow;
use operators_core::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// All threads of an attempt, so that nothing of it is left when the next begins.
#[derive(Default)]
pub(crate) struct Threads(Mutex<Vec<JoinHandle<()>>>);

impl Threads {
    /// Starts a thread that works for a stage; its panics and errors end the attempt.
    pub(crate) fn spawn(
        &self,
        flow: &Arc<Flow>,
        role: &'static str,
        stage: &str,
        body: impl FnOnce(&Arc<Flow>) -> Result<(), Error> + Send + 'static,
    ) {
        let (guarded, stage) = (Arc::clone(flow), stage.to_owned());
        let name = format!("{role} {}", flow.name);
        let span = tracing::error_span!("flow", flow = %flow.name, role);
        let spawned = Builder::new().name(name).spawn(move || {
            let _span = span.entered();
            guarded.guard(&stage, || body(&guarded));
        });
        match spawned {
            Ok(handle) => self.0.lock().unwrap_or_else(PoisonError::into_inner).push(handle),
            Err(error) => flow.fail(&Error::Other(format!("cannot start the {role} thread: {error}"))),
        }
    }

    /// Waits for all of them.
    pub(crate) fn join(&self) {
        for handle in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Its panic, if any, has been reported by its guard.
            let _ = handle.join();
        }
    }
}
