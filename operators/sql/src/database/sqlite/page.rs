//! Reading in pages of bounded size.

use super::{Statement, statement};
use crate::database::Place;
use crate::database::column::{PAGE_BYTES as BYTES, PAGE_ROWS as ROWS};
use futures_util::TryStreamExt;
use operators_core::error::Result;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, Sqlite};

/// A query that counts the rows of another, and adds up their column `bytes`.
pub(crate) fn measure(query: &str) -> Statement<'static> {
    statement(format!("SELECT count(*), sum(bytes) FROM ({query})"))
}

/// How many rows the next page has: as many as fit, but one at least if there is any. `measured` gives the
/// [`measure`] of the first so many rows; rows of megabytes are then never fetched by the thousand.
pub(crate) async fn rows_that_fit(
    connection: &mut SqliteConnection,
    place: &Place<Sqlite>,
    measured: impl Fn(u32) -> Statement<'static>,
) -> Result<u32> {
    let mut limit = ROWS;
    loop {
        let answer = measured(limit).fetch_one(&mut *connection).await.and_then(|row| {
            let (count, bytes): (u32, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
            Ok((count, bytes.unwrap_or(0).unsigned_abs()))
        });
        let (count, bytes) = answer.map_err(place.failed("measure rows"))?;
        if count <= 1 || bytes <= BYTES {
            return Ok(count);
        }
        let share = u64::from(count) * BYTES / bytes;
        limit = u32::try_from(share).unwrap_or(count).clamp(1, count / 2);
    }
}

/// Hands over the rows of a query for a page, of which there are so many.
pub(crate) async fn read(
    connection: &mut SqliteConnection,
    place: &Place<Sqlite>,
    query: Statement<'_>,
    count: u32,
    mut take: impl FnMut(&SqliteRow) -> Result<()>,
) -> Result<()> {
    let mut rows = query.fetch(connection);
    let mut taken = 0;
    while taken < count {
        let row = rows.try_next().await.map_err(place.failed("read rows"))?;
        take(&row.ok_or_else(|| place.damaged(format!("a page of {count} rows ended after {taken}")))?)?;
        taken += 1;
    }
    Ok(())
}
