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

#[cfg(test)]
mod tests;

use super::{number, text, unsigned};
use crate::error::{Error, Result};
use crate::sql::{Dialect, Place};
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Connection, Executor, MySql, Row};
use std::collections::{BTreeMap, BTreeSet};
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
/// "Access denied; you need the PROCESS privilege".
const NO_PRIVILEGE: u16 = 1227;

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

/// Knows up to which id every missing row is dead.
pub(crate) struct Late {
    way: Way,
    settled: u64,
    watch: Option<Watch>,
    /// When the server was asked last, and how often it was.
    looked: Option<Instant>,
    looks: u64,
    between: Duration,
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

/// What one look at the server found.
struct Look {
    end: u64,
    /// By connection, how many seconds its statement takes already.
    running: BTreeMap<u64, u64>,
    /// Transactions that may hold an id; `None` when the server showed an old copy.
    open: Option<BTreeSet<Trx>>,
}

impl Late {
    /// Finds out how late commits of a table can be waited for; `wait` is what the file says for when they cannot be
    /// seen, and `given_out` whether the server itself numbers the rows.
    pub(crate) async fn new(
        connection: &mut MySqlConnection,
        place: &Place<MySql>,
        given_out: bool,
        wait: Option<(Duration, Then)>,
    ) -> Result<Self> {
        let hidden = hidden(connection, given_out).await.map_err(place.failed("look at open transactions"))?;
        let Some(why) = hidden else { return Ok(Self::by(Way::Look, given_out)) };
        match wait {
            Some((wait, then)) => Ok(Self::by(Way::Clock { why, wait, then }, given_out)),
            None => Err(place.refused(format!(
                "{why}, so rows that commit late could be lost unseen. Mend that, or set late_commits = {{ wait = \
                 \"10m\", then = \"fail\" }} on this stage: how long a missing id may still appear, and whether to stop \
                 or to go on (\"skip\") after that"
            ))),
        }
    }

    fn by(way: Way, given_out: bool) -> Self {
        // The first id that a server gives out is 1.
        Self { way, settled: u64::from(given_out), watch: None, looked: None, looks: 0, between: BETWEEN_LOOKS }
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
        match &self.way {
            Way::Look => {
                let look = MySql::answer(look(connection, end_sql, self.looks)).await.map_err(failed())?;
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
                if self.watch.as_mut().is_none_or(|watch| watch.end <= next) {
                    self.watch = Watch::begin(&look);
                } else if let Some(watch) = &mut self.watch {
                    watch.go_on(&look);
                }
            }
            Way::Clock { why, wait, then } => {
                if self.watch.as_mut().is_none_or(|watch| watch.end <= next) {
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

    fn go_on(&mut self, look: &Look) {
        let Some(open) = &look.open else { return };
        self.open.retain(|trx| open.iter().any(|other| trx.is(other)));
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
            }
        }
    }

    /// Says now and then that rows are held back.
    fn tell(&mut self, place: &Place<MySql>, next: u64, why: &str) {
        if self.told.elapsed() >= TOLD {
            self.told = Instant::now();
            let threads: Vec<_> = self.open.iter().map(|trx| trx.thread.to_string()).collect();
            let threads =
                if threads.is_empty() { String::new() } else { format!(" (connections {})", threads.join(", ")) };
            let waited = self.since.elapsed().as_secs();
            tracing::warn!("{place}: rows from id {next} on are held back since {waited} s: {why}{threads}");
        }
    }
}

/// Why the server's transactions cannot be seen or do not tell; `None` when they do.
async fn hidden(connection: &mut MySqlConnection, given_out: bool) -> sqlx::Result<Option<String>> {
    if !given_out {
        return Ok(Some("the cursor is not AUTO_INCREMENT, so ids may be taken outside of the server".to_owned()));
    }
    let sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
               ('read_only', 'super_read_only', 'wsrep_on', 'group_replication_single_primary_mode')";
    for row in MySql::answer(sqlx::raw_sql(sql).fetch_all(&mut *connection)).await? {
        let (name, value) = (text(&row, 0)?.unwrap_or_default(), text(&row, 1)?.unwrap_or_default());
        let alone = if name.starts_with("group_replication") { "ON" } else { "OFF" };
        if value.eq_ignore_ascii_case("ON") != (alone == "ON") {
            let what = "rows may come from transactions of another server, which this one does not show";
            return Ok(Some(format!("{name} is {value} on the server: {what}")));
        }
    }
    match MySql::answer(open(connection, 0, &BTreeMap::new())).await {
        Ok(_) => Ok(None),
        Err(error) if number(&error) == Some(NO_PRIVILEGE) => {
            Ok(Some("the user may not see open transactions (GRANT PROCESS ON *.* TO the user)".to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// The three steps of a proof.
async fn look(connection: &mut MySqlConnection, end_sql: &str, number: u64) -> sqlx::Result<Look> {
    // A transaction, so that this very connection is among those the server shows.
    let mut tx = connection.begin_with("START TRANSACTION READ ONLY").await?;
    let end = greatest(&mut tx, end_sql).await?;
    let sql = "SELECT p.id, p.time FROM information_schema.processlist AS p \
               WHERE p.id <> CONNECTION_ID() AND p.command NOT IN ('Sleep', 'Daemon', 'Binlog Dump', 'Binlog Dump GTID')";
    let rows = tx.fetch_all(sqlx::raw_sql(sql)).await?;
    let pair = |row: &MySqlRow| Ok((unsigned(row, 0)?.unwrap_or(0), signed(row, 1)?));
    let running = rows.iter().map(pair).collect::<sqlx::Result<BTreeMap<_, _>>>()?;
    let open = open(&mut tx, number, &running).await?;
    tx.commit().await?;
    Ok(Look { end, running, open })
}

/// Seconds, which a server whose clock was set back shows as less than none.
fn signed(row: &MySqlRow, column: usize) -> sqlx::Result<u64> {
    let seconds: Option<i64> = row.try_get_unchecked(column)?;
    Ok(seconds.unwrap_or(i64::MAX).max(0).cast_unsigned())
}

/// The greatest id that can be seen, plus one.
async fn greatest(connection: &mut MySqlConnection, end_sql: &str) -> sqlx::Result<u64> {
    let row = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(end_sql.to_owned()))).await?;
    Ok(unsigned(&row, 0)?.map_or(0, |last| last.saturating_add(1)))
}

/// The open transactions that may hold an id; `None` when the server showed an old copy of them. `number` is another
/// one each time, `running` are the connections that were in the midst of a statement a moment ago.
async fn open(
    connection: &mut MySqlConnection,
    number: u64,
    running: &BTreeMap<u64, u64>,
) -> sqlx::Result<Option<BTreeSet<Trx>>> {
    let mark = format!("look {number} of weatherflow");
    // Those that cannot write are left out, except for this one.
    let sql = format!(
        "SELECT /* {mark} */ t.trx_mysql_thread_id, CAST(t.trx_started AS CHAR), t.trx_id, \
         t.trx_rows_modified + t.trx_lock_structs, t.trx_query, t.trx_mysql_thread_id = CONNECTION_ID() \
         FROM information_schema.innodb_trx AS t \
         WHERE t.trx_is_read_only = 0 AND t.trx_autocommit_non_locking = 0 OR t.trx_mysql_thread_id = CONNECTION_ID()"
    );
    let mut fresh = false;
    let mut open = BTreeSet::new();
    for row in connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await? {
        let thread = unsigned(&row, 0)?.unwrap_or(0);
        if unsigned(&row, 5)? == Some(1) {
            fresh |= text(&row, 4)?.is_some_and(|query| query.contains(&mark));
            continue;
        }
        // At rest between statements, and has neither written nor locked anything, so it took no id yet.
        let empty = unsigned(&row, 3)? == Some(0) && !running.contains_key(&thread);
        if thread == 0 || !empty {
            let id = text(&row, 2)?.and_then(|id| id.parse().ok()).unwrap_or(0);
            open.insert(Trx { thread, started: text(&row, 1)?.unwrap_or_default(), id });
        }
    }
    Ok(fresh.then_some(open))
}
