//! One look at a server: what holds an id whose row cannot be seen.

use super::open_transactions::Trx;
use crate::database::mysql::answer::{text, unsigned};
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use std::collections::{BTreeMap, BTreeSet};

/// What one look at the server found.
pub(super) struct Look {
    pub(super) end: u64,
    /// By connection, how many seconds its statement takes already.
    pub(super) running: BTreeMap<u64, u64>,
    /// Transactions that may hold an id; `None` when the server showed an old copy.
    pub(super) open: Option<BTreeSet<Trx>>,
}

/// The three steps of a proof.
pub(super) async fn look(connection: &mut MySqlConnection, end_sql: &str, number: u64) -> sqlx::Result<Look> {
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
pub(super) async fn greatest(connection: &mut MySqlConnection, end_sql: &str) -> sqlx::Result<u64> {
    let row = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(end_sql.to_owned()))).await?;
    Ok(unsigned(&row, 0)?.map_or(0, |last| last.saturating_add(1)))
}

/// The open transactions that may hold an id; `None` when the server showed an old copy of them. `number` is another
/// one each time, `running` are the connections that were in the midst of a statement a moment ago.
pub(super) async fn open(
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
