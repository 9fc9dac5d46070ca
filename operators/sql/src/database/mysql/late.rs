//! Rows that commit late: an id is given at INSERT and its row is seen at COMMIT, so a missing id may still appear.
//!
//! A reader that comes to a gap in the ids holds its position until the gap is proven dead. The proof, in the order of
//! its steps, each of which begins after the one before it has ended:
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

mod look;
mod sight;
#[cfg(test)]
mod tests;

use crate::database::{Dialect, Place};
use look::{Look, greatest, look};
use operators_core::error::{Error, Result};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, MySql, Row};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Between looks: the server renews its copy of the transactions only when nobody looked at it for 0.1 s. Who finds an
/// old copy waits twice as long the next time, so that many who look do not keep the copy from each other for ever.
const BETWEEN_LOOKS: Duration = Duration::from_millis(120);
const BETWEEN_LOOKS_AT_MOST: Duration = Duration::from_secs(4);
/// Between the taking of an id and the registration of its transaction lie some steps of the processor, and with
/// `innodb_thread_concurrency` a queue. A statement that has not registered after so long does not write rows.
const REGISTERED: Duration = Duration::from_secs(10);
/// How often a wait is told.
const TOLD: Duration = Duration::from_secs(60);

/// What to do about a gap that cannot be proven dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Fail,
    Skip,
}

/// How late commits are waited for.
enum Way {
    /// By looking at the server's transactions.
    Look,
    /// By the clock, because the server's transactions cannot be seen or do not tell.
    Clock { why: String, wait: Duration, then: Then },
}

impl Way {
    /// The way when the server's transactions do not tell for a reason; `bound` is what the file says for that.
    fn of(why: Option<String>, bound: Option<(Duration, Then)>, place: &Place<MySql>) -> Result<Self> {
        let Some(why) = why else { return Ok(Self::Look) };
        match bound {
            Some((wait, then)) => Ok(Self::Clock { why, wait, then }),
            None => Err(place.refused(format!(
                "{why}, so rows that commit late could be lost unseen. Mend that, or set late_commits = {{ wait = \
                 \"10m\", then = \"fail\" }} on this stage: how long a missing id may still appear, and whether to stop \
                 or to go on (\"skip\") after that"
            ))),
        }
    }
}

/// Knows up to which id every missing row is dead.
pub(crate) struct Late {
    /// Why transactions do not tell on this connection, whatever becomes of the server.
    blind: Option<String>,
    bound: Option<(Duration, Then)>,
    way: Way,
    settled: u64,
    watch: Option<Watch>,
    /// When the server was asked last, and how often it was.
    looked: Option<Instant>,
    looks: u64,
    between: Duration,
    /// When it was last told of a statement that was given up.
    gave_up: Option<Instant>,
}

/// A proof on its way.
struct Watch {
    /// It settles all ids below.
    end: u64,
    since: Instant,
    told: Instant,
    /// Connections in the midst of a statement that may have taken an id.
    running: BTreeSet<u64>,
    /// Transactions that may hold an id.
    open: BTreeSet<Trx>,
}

/// A transaction. Its id alone does not tell: it gets another one at its first write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Trx {
    /// Of its connection; 0 for one that was prepared and left by it.
    thread: u64,
    started: String,
    id: u64,
}

impl Trx {
    fn is(&self, other: &Self) -> bool {
        // Before their first write transactions have ids above, which come again.
        let written = self.id > 0 && self.id < 1 << 48;
        (self.thread, &self.started) == (other.thread, &other.started) || written && self.id == other.id
    }
}

impl Late {
    /// Finds out how late commits of a table can be waited for; `bound` is what the file says for when they cannot be
    /// seen, and `given_out` whether the server itself numbers the rows.
    pub(crate) async fn new(
        connection: &mut MySqlConnection,
        place: &Place<MySql>,
        given_out: bool,
        bound: Option<(Duration, Then)>,
    ) -> Result<Self> {
        let failed = || place.failed("look at open transactions");
        let blind = sight::blind(connection, place, given_out).await.map_err(failed())?;
        let why = match &blind {
            Some(why) => Some(why.clone()),
            None => sight::elsewhere(connection).await.map_err(failed())?,
        };
        Ok(Self {
            way: Way::of(why, bound, place)?,
            blind,
            bound,
            // The first id that a server gives out is 1.
            settled: u64::from(given_out),
            watch: None,
            looked: None,
            looks: 0,
            between: BETWEEN_LOOKS,
            gave_up: None,
        })
    }

    /// How late commits are waited for, in words.
    pub(crate) fn way(&self) -> String {
        match &self.way {
            Way::Look => "this user sees open transactions, so that none of their rows is missed".to_owned(),
            Way::Clock { wait, .. } => format!("rows that commit late are waited for {wait:?}"),
        }
    }

    /// Every missing id below this one is dead.
    pub(crate) fn settled(&self) -> u64 {
        self.settled
    }

    /// Goes on with the proof for the gap at `next`, or begins one. `end_sql` asks for the greatest id and `count_sql`
    /// for the number of rows between two ids.
    pub(crate) async fn prove(
        &mut self,
        connection: &mut MySqlConnection,
        place: &Place<MySql>,
        next: u64,
        end_sql: &str,
        count_sql: &str,
    ) -> Result<()> {
        if self.looked.is_some_and(|looked| looked.elapsed() < self.between) {
            return Ok(());
        }
        self.looks += 1;
        let failed = || place.failed("look at open transactions");
        let look = match self.way {
            Way::Look => Some(MySql::answer(look(connection, end_sql, self.looks)).await.map_err(failed())?),
            Way::Clock { .. } => None,
        };
        // After the look: a server that is alone now was alone when it showed its greatest id.
        if !self.is_the_way(connection, place).await? {
            return Ok(());
        }
        let begins = self.watch.as_ref().is_none_or(|watch| watch.end <= next);
        if let Some(look) = look {
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
            if begins {
                self.watch = Watch::begin(&look);
            } else if let Some(watch) = &mut self.watch {
                let given_up = watch.go_on(&look);
                self.tell_given_up(place, next, &given_up);
            }
        } else if let Way::Clock { why, wait, then } = &self.way {
            if begins {
                let end = MySql::answer(greatest(connection, end_sql)).await.map_err(failed())?;
                self.watch = Some(Watch::new(end));
            }
            let Some(watch) = &mut self.watch else { return Ok(()) };
            if watch.since.elapsed() < *wait {
                watch.tell(place, next, why);
                return Ok(());
            }
            let count = sqlx::query(AssertSqlSafe(count_sql.to_owned())).bind(next).bind(watch.end);
            let row = MySql::long_answer(count.fetch_one(&mut *connection)).await.map_err(failed())?;
            let there = row.try_get::<i64, _>(0).map_err(failed())?.cast_unsigned();
            let missing = (watch.end - next).saturating_sub(there);
            if *then == Then::Fail && missing > 0 {
                return Err(unproven(place, next, watch.end, missing, *wait, why));
            }
            if missing > 0 {
                tracing::warn!(
                    "{place}: went on over {missing} missing ids between {next} and {} after {wait:?}, as \
                     late_commits says; should their rows be committed now, they are lost ({why})",
                    watch.end
                );
            }
        }
        self.looked = Some(Instant::now());
        match &mut self.watch {
            Some(watch) if watch.running.is_empty() && watch.open.is_empty() => {
                self.settled = watch.end;
                self.watch = None;
            }
            Some(watch) => watch.tell(place, next, "transactions are open that began before them"),
            None => {}
        }
        Ok(())
    }

    /// Looks again whether the server's transactions tell of all rows, which a switchover changes; where it did, all
    /// that was seen is forgotten, and the next proof goes the other way.
    async fn is_the_way(&mut self, connection: &mut MySqlConnection, place: &Place<MySql>) -> Result<bool> {
        if self.blind.is_some() {
            return Ok(true);
        }
        let why = sight::elsewhere(connection).await.map_err(place.failed("look at open transactions"))?;
        let same = why.is_some() == matches!(self.way, Way::Clock { .. });
        if !same {
            self.way = Way::of(why, self.bound, place)?;
            self.watch = None;
            tracing::warn!("{place}: there was a switchover; from now on, {}", self.way());
        }
        Ok(same)
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

fn unproven(place: &Place<MySql>, next: u64, end: u64, missing: u64, wait: Duration, why: &str) -> Error {
    place.refused(format!(
        "{missing} ids between {next} and {end} have not appeared within {wait:?}, and nothing proves that they never \
         will: {why}. Make the open transactions visible, wait longer, or set late_commits.then = \"skip\" to go on \
         without them"
    ))
}

impl Watch {
    fn new(end: u64) -> Self {
        let now = Instant::now();
        Self { end, since: now, told: now, running: BTreeSet::new(), open: BTreeSet::new() }
    }

    /// The first look; `None` when it showed an old copy.
    fn begin(look: &Look) -> Option<Self> {
        let open = look.open.clone()?;
        let running = look.running.keys().copied().filter(|thread| open.iter().all(|trx| trx.thread != *thread));
        Some(Self { running: running.collect(), open, ..Self::new(look.end) })
    }

    /// The next look; returns the connections whose statement is not waited for any more though it goes on.
    fn go_on(&mut self, look: &Look) -> Vec<u64> {
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

    /// Says now and then that rows are held back.
    fn tell(&mut self, place: &Place<MySql>, next: u64, why: &str) {
        if self.told.elapsed() >= TOLD {
            self.told = Instant::now();
            let threads: Vec<_> = self.open.iter().map(|trx| trx.thread).collect();
            let threads =
                if threads.is_empty() { String::new() } else { format!(" (connections {})", listed(&threads)) };
            let waited = self.since.elapsed().as_secs();
            tracing::warn!("{place}: rows from id {next} on are held back since {waited} s: {why}{threads}");
        }
    }
}

fn listed(threads: &[u64]) -> String {
    threads.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
