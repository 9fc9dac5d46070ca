//! The one place where blocking stages meet an asynchronous library.

use crate::error::{Error, Result};
use std::io;
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).thread_name("weatherflow-io").enable_all().build());

/// Waits for an answer on this thread, which must not be one of the runtime's own.
pub(crate) fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    match &*RUNTIME {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(Error::Other(format!("cannot start a thread for input and output: {error}"))),
    }
}
