//! Proves a gap dead by the transactions that the server shows.
//!
//! Each step of the proof begins after the one before it has ended:
//!
//! 1. `end`: the greatest id that can be seen, plus one. The server gives ids in ascending order, so every id below
//!    `end` was given before this step.
//! 2. `running`: the connections that are in the midst of a statement.
//! 3. `active`: the transactions that are open.
//!
//! Now take an id below `end` whose row cannot be seen. The statement that took it had
//! - ended before step 2, and its transaction with it: the row is dead, or is seen by whoever reads from now on;
//! - ended, but not its transaction: that was open at step 3, is in `active`, and is waited for;
//! - not ended: its connection is in `running`. InnoDB registers a transaction at the first row it writes, which is
//!   *after* the id was taken, so the transaction may be missing in `active`. The connection is looked at again until
//!   its transaction appears in `active`, and is then waited for, or its statement is over.
//!
//! When nothing is left to wait for, every id below `end` is either committed, and seen by the next SELECT, or dead.
//! One proof settles all gaps below its `end`; as each look is one question about the server, not about a gap, their
//! number does not matter.
//!
//! What the server keeps of its transactions is a copy that it may show for 0.1 s and more. A look counts only if the
//! copy holds the very statement that asks for it.

use super::look::{Look, look};
use super::{Step, TOLD, sight, tell};
use crate::database::{Dialect, Place};
use operators_core::error::Result;
use sqlx::MySql;
use sqlx::mysql::MySqlConnection;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Between looks: the server renews its copy of the transactions only when nobody looked at it for 0.1 s. Who finds an
/// old copy waits twice as long the next time, so that many who look do not keep the copy from each other for ever.
const BETWEEN_LOOKS: Duration = Duration::from_millis(120);
const BETWEEN_LOOKS_AT_MOST: Duration = Duration::from_secs(4);
/// Between the taking of an id and the registration of its transaction lie some steps of the processor, and with
/// `innodb_thread_concurrency` a queue. A statement that has not registered after so long does not write rows.
pub(super) const REGISTERED: Duration = Duration::from_secs(10);

/// Waits for the transactions that are open in the same moment as a gap.
pub(super) struct OpenTransactions {
    watch: Option<Watch>,
    /// When the server was asked last.
    looked: Option<Instant>,
    between: Duration,
    /// When it was last told of a statement that was given up.
    gave_up: Option<Instant>,
}

/// A proof on its way.
pub(super) struct Watch {
    /// It settles all ids below.
    pub(super) end: u64,
    pub(super) since: Instant,
    told: Instant,
    /// Connections in the midst of a statement that may have taken an id.
    pub(super) running: BTreeSet<u64>,
    /// Transactions that may hold an id.
    pub(super) open: BTreeSet<Trx>,
}

/// A transaction. Its id alone does not tell: it gets another one at its first write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trx {
    /// Of its connection; 0 for one that was prepared and left by it.
    pub(super) thread: u64,
    pub(super) started: String,
    pub(super) id: u64,
}

impl Trx {
    fn is(&self, other: &Self) -> bool {
        // Before their first write transactions have ids above, which come again.
        let written = self.id > 0 && self.id < 1 << 48;
        (self.thread, &self.started) == (other.thread, &other.started) || written && self.id == other.id
    }
}

impl OpenTransactions {
    pub(super) fn new() -> Self {
        Self { watch: None, looked: None, between: BETWEEN_LOOKS, gave_up: None }
    }

    /// Takes the next look, if one is due. `number` is another one for each look of a connection.
    pub(super) async fn step(
        &mut self,
        connection: &mut MySqlConnection,
        place: &Place<MySql>,
        next: u64,
        end_sql: &str,
        number: u64,
    ) -> Result<Step> {
        if self.looked.is_some_and(|looked| looked.elapsed() < self.between) {
            return Ok(Step::Pending);
        }
        let failed = || place.failed("look at open transactions");
        let look = MySql::answer(look(connection, end_sql, number)).await.map_err(failed())?;
        // After the look: a server that is alone now was alone when it showed its greatest id.
        if let Some(why) = sight::elsewhere(connection).await.map_err(failed())? {
            return Ok(Step::SwitchedOver(Some(why)));
        }
        self.pace(&look, place, next);
        if self.watch.as_ref().is_none_or(|watch| watch.end <= next) {
            self.watch = Watch::begin(&look);
        } else if let Some(watch) = &mut self.watch {
            let given_up = watch.go_on(&look);
            self.tell_given_up(place, next, &given_up);
        }
        self.looked = Some(Instant::now());
        Ok(match self.watch.take() {
            Some(watch) if watch.is_over() => Step::Settled(watch.end),
            Some(mut watch) => {
                watch.tell(place, next);
                self.watch = Some(watch);
                Step::Pending
            }
            None => Step::Pending,
        })
    }

    /// Backs off while the server shows an old copy of its transactions.
    fn pace(&mut self, look: &Look, place: &Place<MySql>, next: u64) {
        if look.open.is_some() {
            self.between = BETWEEN_LOOKS;
        } else if self.between < BETWEEN_LOOKS_AT_MOST {
            self.between *= 2;
        } else {
            tracing::warn!(
                "{place}: rows from id {next} on are held back, as the server shows only an old copy of its \
                 transactions: something asks for information_schema.innodb_trx more than ten times a second"
            );
        }
    }

    /// Says now and then that statements are not waited for any more.
    fn tell_given_up(&mut self, place: &Place<MySql>, next: u64, threads: &[u64]) {
        if threads.is_empty() || self.gave_up.is_some_and(|told| told.elapsed() < TOLD) {
            return;
        }
        self.gave_up = Some(Instant::now());
        tracing::warn!(
            "{place}: a statement goes on for {REGISTERED:?} already and shows no transaction that writes, so it does \
             not hold back the rows from id {next} on any longer (connections {}). Should it hold an id before them \
             after all, that row is lost",
            listed(threads)
        );
    }
}

impl Watch {
    /// The first look; `None` when it showed an old copy.
    pub(super) fn begin(look: &Look) -> Option<Self> {
        let open = look.open.clone()?;
        let running = look.running.keys().copied().filter(|thread| open.iter().all(|trx| trx.thread != *thread));
        let now = Instant::now();
        Some(Self { end: look.end, since: now, told: now, running: running.collect(), open })
    }

    /// The next look; returns the connections whose statement is not waited for any more though it goes on.
    pub(super) fn go_on(&mut self, look: &Look) -> Vec<u64> {
        let Some(open) = &look.open else { return Vec::new() };
        // Under its newest names, by which the next look may know it.
        let known = |trx: &&Trx| self.open.iter().any(|before| before.is(trx));
        self.open = open.iter().filter(known).cloned().collect();
        let mut given_up = Vec::new();
        let passed = self.since.elapsed();
        for thread in std::mem::take(&mut self.running) {
            if let Some(trx) = open.iter().find(|trx| trx.thread == thread) {
                self.open.insert(trx.clone());
                continue;
            }
            // Seconds are cut off on both sides: only a statement that is younger by more than that is another one.
            let same = look.running.get(&thread).is_some_and(|seconds| seconds + 2 > passed.as_secs());
            if same && passed < REGISTERED {
                self.running.insert(thread);
            } else if same {
                given_up.push(thread);
            }
        }
        given_up
    }

    /// Whether nothing is left to wait for.
    pub(super) fn is_over(&self) -> bool {
        self.running.is_empty() && self.open.is_empty()
    }

    fn tell(&mut self, place: &Place<MySql>, next: u64) {
        tell(&mut self.told, self.since, place, next, || {
            let threads: Vec<_> = self.open.iter().map(|trx| trx.thread).collect();
            let threads =
                if threads.is_empty() { String::new() } else { format!(" (connections {})", listed(&threads)) };
            format!("transactions are open that began before them{threads}")
        });
    }
}

fn listed(threads: &[u64]) -> String {
    threads.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
