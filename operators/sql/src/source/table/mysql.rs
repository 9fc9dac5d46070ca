//! Reads a table of a MySQL or MariaDB server.

use super::rows::Rows;
use super::{AfterWait, Table};
use crate::database::Dialect;
use crate::database::column::{AGAIN, PAGE_BYTES, PAGE_ROWS};
use crate::database::mysql::answer::number;
use crate::database::mysql::late::{Bound, Late, Then};
use crate::database::mysql::value::{self, Wire};
use crate::database::mysql::{CursorColumn, Trace, check_cursor, identity, trace, wires};
use futures_util::TryStreamExt;
use operators_core::chunk::Chunk;
use operators_core::error::{Error, Result};
use operators_core::position::{Lag, Position, Span};
use operators_core::runtime::OwnRuntime;
use operators_core::stage::{Read, Reader};
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, MySql, Row};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

/// How often the table is asked, behind the rows that it gave, whether it is still the same one.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// While it gives none, and shows no trace of a change, it is asked for all of it only so often.
const ASK_IDLE: Duration = Duration::from_secs(5);
/// Asking for its identity may take one part in so many of the time: a server looks through all its tables for that.
const IDENTITY_SHARE: u32 = 10;
/// Bytes that a page is to have: rows are of different lengths, and those behind a full page come in vain.
const AIM_BYTES: u64 = PAGE_BYTES / 4 * 3;
/// Rows asked for while those behind a gap must not be read.
const FEW: u32 = 16;
/// "Table doesn't exist".
const NO_TABLE: u16 = 1146;

pub(super) struct MySqlReader {
    rows: TableRows,
    /// Last, so that it outlives the connection.
    runtime: OwnRuntime,
}

/// The rows of the table that are still to come.
struct TableRows {
    cursor: Cursor,
    /// Only once the table is there and fits.
    opened: Option<Opened>,
}

/// How far the table is read.
struct Cursor {
    table: Arc<Table<MySql>>,
    /// The next id to read.
    next: u64,
    /// Rows of the next page at most.
    limit: u32,
    /// The table as it was when it was last looked at on this connection.
    seen: Option<Trace>,
    looked: Instant,
    /// When more was asked for than its trace.
    asked: Instant,
    /// When its identity is asked for next, whatever it looks like.
    identity_due: Instant,
}

struct Opened {
    connection: MySqlConnection,
    there: There,
}

/// How a table that is there is read.
pub(super) struct There {
    cursor: Wire,
    columns: Vec<Wire>,
    pub(super) late: Late,
}

/// Finds out how a table is read; `None` where there is none. Refused when it cannot be read as the file says.
pub(super) async fn fits(table: &Table<MySql>, connection: &mut MySqlConnection) -> Result<Option<There>> {
    let (place, config) = (&table.place, &table.config);
    let there = MySql::answer(MySql::columns(connection, &config.table)).await;
    let there = there.map_err(place.failed("look for the table"))?;
    if there.is_empty() {
        return Ok(None);
    }
    let CursorColumn { wire: cursor, given_out } = check_cursor(connection, place, &there, &config.cursor).await?;
    let columns = wires(place, &there, &config.columns)?;
    check_least(table, connection, cursor).await?;
    let bound = config.late_commits.as_ref().map(|late| {
        let then = if late.then == AfterWait::Fail { Then::Fail } else { Then::Skip };
        Bound { wait: late.wait.0, then }
    });
    let late = Late::new(connection, place, given_out, bound).await?;
    Ok(Some(There { cursor, columns, late }))
}

/// Refuses rows that would never be read: a cursor begins at 0.
async fn check_least(table: &Table<MySql>, connection: &mut MySqlConnection, cursor: Wire) -> Result<()> {
    if cursor != Wire::Signed {
        return Ok(());
    }
    let least = sqlx::query_scalar(AssertSqlSafe(table.select(&format!("min({})", table.cursor()), "")));
    let least = MySql::answer(least.fetch_one(connection)).await;
    match least.map_err(table.place.failed("find the ends of the cursor"))? {
        Some(least) if least < 0 => Err(table.goes_below_zero(least)),
        _ => Ok(()),
    }
}

/// What a look at the table that is read found.
#[derive(PartialEq, Eq)]
enum Look {
    Same,
    /// The same table, and yet another form of it.
    Altered,
}

/// How a page ended.
enum Ended {
    /// With the last row there is, or as many as were asked for.
    Whole,
    /// At a gap that is not known to be dead.
    Gap,
    /// With as many bytes as a page may have; the rest of the answer, which is no short one, is still to come.
    Full,
}

impl Reader for MySqlReader {
    fn read(&mut self) -> Result<Read> {
        self.runtime.wait(self.rows.read())
    }

    fn lag(&mut self) -> Result<Lag> {
        self.runtime.wait(self.rows.lag())
    }
}

impl MySqlReader {
    /// A reader that has seen what there is, and found that it fits.
    pub(super) fn open(table: Arc<Table<MySql>>, next: u64) -> Result<Self> {
        let cursor = Cursor {
            table,
            next,
            limit: PAGE_ROWS,
            seen: None,
            looked: Instant::now(),
            asked: Instant::now(),
            identity_due: Instant::now(),
        };
        let mut rows = TableRows { cursor, opened: None };
        let runtime = OwnRuntime::new()?;
        runtime.wait(rows.ready())?;
        Ok(Self { rows, runtime })
    }
}

impl TableRows {
    async fn read(&mut self) -> Result<Read> {
        let Some((cursor, opened)) = self.ready().await? else { return Ok(Read::CaughtUp(AGAIN)) };
        loop {
            let settled = opened.there.late.settled();
            let (page, ended) = match cursor.page(opened).await {
                Err(error) => return Err(self.because(error).await),
                Ok(page) => page,
            };
            // What is left of a page that was cut is still on the wire; the next connection looks at the table first.
            let is_due = !matches!(ended, Ended::Full) && cursor.looked.elapsed() >= LOOK_AFTER;
            if is_due && cursor.check_position(opened, page.is_none()).await? == Look::Altered {
                // Its columns may be others now, and are to be read anew.
                self.opened = None;
                return Ok(Read::Pause(AGAIN));
            }
            if let Some((chunk, to)) = page {
                let span = Span {
                    partition: 0,
                    from: Position(cursor.next),
                    to: Position(to),
                    rows: chunk.len(),
                    anchor: None,
                };
                cursor.next = to;
                if let Ended::Full = ended {
                    // Thousands of rows of megabytes may be on their way: this connection would have to take them all.
                    self.opened = None;
                }
                return Ok(Read::Rows(chunk, span));
            }
            if !matches!(ended, Ended::Gap) {
                return Ok(Read::CaughtUp(AGAIN));
            }
            cursor.prove(opened).await?;
            if opened.there.late.settled() == settled {
                return Ok(Read::Pause(AGAIN));
            }
        }
    }

    /// What an error of a page comes from: it may say of a table that is another now what is not to be said of this one.
    /// The rest of the page is still on the wire, and so the table is looked at on another connection.
    async fn because(&mut self, error: Error) -> Error {
        if matches!(error, Error::Unavailable { .. }) {
            return error;
        }
        self.opened = None;
        match self.ready().await {
            Ok(_) | Err(Error::Unavailable { .. }) => error,
            Err(cause) => cause,
        }
    }

    async fn lag(&mut self) -> Result<Lag> {
        let Some((cursor, opened)) = self.ready().await? else { return Ok(Lag::default()) };
        let last = cursor.greatest(opened).await?;
        let end = last.map_or(0, |last| last.saturating_add(1));
        Ok(Lag::of(0, end.saturating_sub(cursor.next)))
    }

    /// What there is to read, if there is a table; checks it whenever it appears.
    async fn ready(&mut self) -> Result<Option<(&mut Cursor, &mut Opened)>> {
        let Self { cursor, opened } = self;
        if opened.is_none() {
            let (table, next) = (&cursor.table, cursor.next);
            let mut connection = table.place.database.read().await?;
            let Some(there) = fits(table, &mut connection).await? else {
                return if next == 0 { Ok(None) } else { Err(table.lost("the table does not exist", next)) };
            };
            cursor.seen = None;
            cursor.check_position(opened.insert(Opened { connection, there }), false).await?;
        }
        Ok(opened.as_mut().map(|opened| (cursor, opened)))
    }
}

impl Cursor {
    /// The rows from the position on up to a gap that is not known to be dead, and the position after them.
    async fn page(&mut self, opened: &mut Opened) -> Result<(Option<(Chunk, u64)>, Ended)> {
        let table = Arc::clone(&self.table);
        let place = &table.place;
        let mut rows = Rows::new(&table, self.next);
        let read = read_page(&table, opened, self.next, self.limit, &mut rows);
        // The driver enters the span that it is called in twice for each row, so it is called in none.
        let read = read.with_subscriber(NoSubscriber::new());
        let reading = MySql::answer(async {
            // Errors of ours pass through the time-out as they are.
            Ok(read.await)
        });
        let (bytes, ended) = match reading.await.map_err(place.failed("read rows"))? {
            Ok(read) => read,
            Err(Failed::Sql(error)) if number(&error) == Some(NO_TABLE) && self.next > 0 => {
                return Err(table.lost("the table does not exist any more", self.next));
            }
            Err(Failed::Sql(error)) => return Err(place.failed("read rows")(error)),
            Err(Failed::Row(error)) => return Err(error),
        };
        let page = rows.finish()?;
        let count = page.as_ref().map_or(0, |(chunk, _)| chunk.len());
        self.limit = match ended {
            Ended::Gap if count == 0 => FEW,
            // As many as fit, if the next rows are like these.
            _ if bytes > 0 => u32::try_from(count * AIM_BYTES / bytes).unwrap_or(PAGE_ROWS).clamp(1, PAGE_ROWS),
            _ => PAGE_ROWS,
        };
        Ok((page, ended))
    }

    /// Tries to prove that the ids missing at the position never come.
    async fn prove(&self, opened: &mut Opened) -> Result<()> {
        let table = &self.table;
        let end = table.select(&format!("max({})", table.cursor()), "");
        opened.there.late.prove(&mut opened.connection, &table.place, self.next, &end, &table.select_count()).await
    }

    async fn greatest(&self, opened: &mut Opened) -> Result<Option<u64>> {
        let failed = || self.table.place.failed("find the ends of the cursor");
        let query = sqlx::query(AssertSqlSafe(self.table.select(&format!("max({})", self.table.cursor()), "")));
        let row = MySql::answer(query.fetch_one(&mut opened.connection)).await.map_err(failed())?;
        row.try_get_unchecked(0).map_err(failed())
    }

    /// Refuses a table that never had the rows before the position, or that took the place of the one that was read.
    /// While it is idle, this rests mostly on its trace.
    async fn check_position(&mut self, opened: &mut Opened, is_idle: bool) -> Result<Look> {
        self.looked = Instant::now();
        let table = &self.table;
        let Some(now) = trace(&mut opened.connection, &table.place).await? else {
            return if self.next == 0 {
                Ok(Look::Same)
            } else {
                Err(table.lost("the table does not exist any more", self.next))
            };
        };
        let seen = self.seen.replace(now.clone());
        let same = seen.as_ref().is_some_and(|seen| !now.differs_from(seen));
        if same && is_idle && self.asked.elapsed() < ASK_IDLE {
            return Ok(Look::Same);
        }
        self.asked = Instant::now();
        check_least(table, &mut opened.connection, opened.there.cursor).await?;
        // Where the server remembers the next id it gives, the newest rows may have been deleted.
        let last = self.greatest(opened).await?.map_or(0, |last| last.saturating_add(1));
        let end = last.max(now.next.unwrap_or(0));
        if end < self.next {
            return Err(table.lost(&format!("the table was truncated or recreated: it ends at {end}"), self.next));
        }
        if !same || self.identity_due <= self.looked {
            let asked = Instant::now();
            let identity = identity(&mut opened.connection, &table.place).await?;
            self.identity_due = Instant::now() + asked.elapsed() * IDENTITY_SHARE;
            if self.next == 0 {
                *table.read_from() = None;
            }
            table.is_still(identity.as_deref())?;
        }
        Ok(if same || seen.is_none() { Look::Same } else { Look::Altered })
    }
}

/// Why a page could not be read.
enum Failed {
    Sql(sqlx::Error),
    Row(operators_core::Error),
}

/// Takes rows of a page; returns their bytes, and how it ended.
async fn read_page(
    table: &Table<MySql>,
    opened: &mut Opened,
    next: u64,
    limit: u32,
    rows: &mut Rows<'_, MySql>,
) -> Result<(u64, Ended), Failed> {
    let cursor = table.cursor();
    let sql = table.select(&table.all_columns(), &format!("WHERE {cursor} >= ? ORDER BY {cursor} LIMIT ?"));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(next).bind(limit);
    let mut answer = query.fetch(&mut opened.connection);
    let mut bytes = 0;
    while let Some(row) = answer.try_next().await.map_err(Failed::Sql)? {
        let id = value::bytes(&row, 0).map_err(Failed::Sql)?.and_then(|id| value::id(id, opened.there.cursor));
        if id.is_some_and(|id| id > rows.to() && id > opened.there.late.settled()) {
            return Ok((bytes, Ended::Gap));
        }
        take(rows, id, &row, &opened.there.columns, &mut bytes).map_err(Failed::Row)?;
        if bytes >= PAGE_BYTES {
            // Taking a short rest from the wire, to ask for it again, costs less than another connection.
            let mut rest = 0;
            while let Some(row) = answer.try_next().await.map_err(Failed::Sql)? {
                rest += size(&row).map_err(Failed::Sql)?;
                if rest >= PAGE_BYTES {
                    return Ok((bytes, Ended::Full));
                }
            }
            break;
        }
    }
    Ok((bytes, Ended::Whole))
}

/// Bytes of all values of a row.
fn size(row: &MySqlRow) -> sqlx::Result<u64> {
    (0..row.len()).map(|column| Ok(value::bytes(row, column)?.map_or(0, |value| value.len() as u64))).sum()
}

fn take(rows: &mut Rows<'_, MySql>, id: Option<u64>, row: &MySqlRow, columns: &[Wire], bytes: &mut u64) -> Result<()> {
    rows.take(id, |index, column| {
        let value = value::bytes(row, index).map_err(|error| format!("cannot be read: {error}"))?;
        *bytes += value.map_or(0, |value| value.len() as u64);
        value::append(column, columns[index - 1], value)
    })
}
