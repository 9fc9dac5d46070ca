//! A client of a cluster and the threads it works on.

use super::address::Address;
use super::answer::Call;
use super::configuration;
use crate::store::Cause;
use hdfs_native::{Client, ClientBuilder};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::timeout;

/// The longest that a NameNode may take for an answer; the client itself would wait for ever.
pub(super) const NAMENODE: Duration = Duration::from_secs(30);
/// The longest that DataNodes may take for what they are given; beyond the 60 s after which the client goes on with the
/// DataNodes that are left.
pub(super) const DATANODES: Duration = Duration::from_secs(90);

/// Whether a write goes on with the DataNodes that are left when there is none to take the place of one that failed.
const BEST_EFFORT: &str = "dfs.client.block.write.replace-datanode-on-failure.best-effort";

/// A client with threads of its own. What a call left behind when it was given up (connections that never end, tasks
/// that keep half a file alive) goes with them when the last user drops the session.
pub(super) struct Session {
    client: Client,
    handle: Handle,
    /// Taken only when the session is dropped.
    runtime: Option<Runtime>,
    spoiled: AtomicBool,
}

impl Session {
    /// Reads the configuration of Hadoop; connects to nothing yet.
    pub(super) fn new(address: &Address) -> Result<Self, String> {
        let threads =
            Builder::new_multi_thread().worker_threads(2).thread_name("weatherflow-hdfs").enable_all().build();
        let runtime = threads.map_err(|e| format!("cannot start threads for HDFS: {e}"))?;
        let handle = runtime.handle().clone();
        let nameservice = address.authority.split(':').next().unwrap_or_default();
        // These go before the files of Hadoop, as a call that takes longer is given up all the same, and knows less.
        let mut settings = vec![
            // A NameNode that is gone is told after about 13 s, enough for a restart, and not after three minutes.
            ("dfs.client.failover.max.attempts".to_owned(), "8"),
            ("dfs.client.failover.sleep.base.millis".to_owned(), "500"),
            ("dfs.client.failover.sleep.max.millis".to_owned(), "2000"),
            // The next session must not begin with the NameNode that never answered this one.
            (format!("dfs.client.failover.random.order.{nameservice}"), "true"),
        ];
        // A cluster of three has no fourth DataNode for a block of three replicas: go on, it is mended later. Whoever
        // wants no file with fewer replicas says so in those files.
        if !configuration::settings()?.contains(BEST_EFFORT) {
            settings.push((BEST_EFFORT.to_owned(), "true"));
        }
        let client = ClientBuilder::new()
            .with_url(format!("hdfs://{}", address.authority))
            .with_config(settings)
            .with_io_runtime(handle.clone())
            .build()
            .map_err(|e| format!("{} cannot be found: {e}", address.authority))?;
        Ok(Self { client, handle, runtime: Some(runtime), spoiled: AtomicBool::new(false) })
    }

    /// Makes a call and waits for it, as long as the limit allows.
    pub(super) fn ask<T, F>(&self, call: Call, limit: Duration, work: impl FnOnce(Client) -> F) -> Result<T, Cause>
    where
        T: Send + 'static,
        F: Future<Output = hdfs_native::Result<T>> + Send + 'static,
    {
        // A task of its own, as the client panics on some answers of DataNodes that die two at a time.
        let task = self.handle.spawn(work(self.client.clone()));
        let abort = task.abort_handle();
        let unanswered = match self.handle.block_on(async { timeout(limit, task).await }) {
            Ok(Ok(Ok(answer))) => return Ok(answer),
            Ok(Ok(Err(error))) => return Err(call.failed(error)),
            Ok(Err(panicked)) => format!("the HDFS client broke down: {panicked}"),
            Err(_) => format!("no answer within {} s", limit.as_secs()),
        };
        abort.abort();
        self.spoil();
        Err(call.unanswered(unanswered))
    }

    /// New calls are to begin a new session.
    pub(super) fn spoil(&self) {
        self.spoiled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.spoiled.load(Ordering::Relaxed)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    fn session() -> Session {
        Session::new(&Address::parse("hdfs://127.0.0.1:1/data").unwrap()).unwrap()
    }

    #[test]
    fn a_call_that_never_ends_comes_back_and_spoils_its_session() {
        for (call, unknown) in [(Call::Change, true), (Call::Harmless, false)] {
            let session = session();
            assert!(session.ask(call, NAMENODE, |_| ready(Ok(7))).is_ok_and(|seven| seven == 7));
            assert!(!session.is_spoiled());
            let ended = session.ask(call, Duration::ZERO, |_| pending::<hdfs_native::Result<()>>());
            assert_eq!(matches!(ended, Err(Cause::Unknown(_))), unknown, "{ended:?}");
            assert_eq!(matches!(ended, Err(Cause::Unavailable(_))), !unknown, "{ended:?}");
            assert!(session.is_spoiled());
        }
    }

    #[test]
    fn a_client_that_panics_ends_its_call_and_nothing_else() {
        async fn panics(_: Client) -> hdfs_native::Result<()> {
            panic!("as planned")
        }
        let session = session();
        let ended = session.ask(Call::Change, NAMENODE, panics);
        assert!(matches!(&ended, Err(Cause::Unknown(reason)) if reason.contains("broke down")), "{ended:?}");
        assert!(session.is_spoiled());
    }
}
