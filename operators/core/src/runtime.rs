//! The one place where blocking stages meet an asynchronous library.

use crate::error::{Error, Result};
use std::io;
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).thread_name("weatherflow-io").enable_all().build());

/// A runtime of one owner: its thread does the input and output itself, and no other has to wake it for each answer.
pub struct OwnRuntime(Runtime);

impl OwnRuntime {
    /// Starts a runtime; an error when the system has no room for its threads.
    pub fn new() -> Result<Self> {
        Builder::new_current_thread().enable_all().build().map(Self).map_err(|error| cannot_start(&error))
    }

    /// Waits for an answer. What was begun here goes on only while its owner waits here again.
    pub fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.0.block_on(work)
    }
}

/// Waits for an answer on this thread, which must not be one of the runtime's own.
pub fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    match &*RUNTIME {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(cannot_start(error)),
    }
}

fn cannot_start(error: &io::Error) -> Error {
    Error::Other(format!("cannot start input and output: {error}"))
}
