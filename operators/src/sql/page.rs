//! Reading in pages of bounded size.

use super::{Place, Statement};
use crate::error::Result;
use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use std::time::Duration;

/// Rows of a page at most.
pub(crate) const ROWS: u32 = 8192;

/// Bytes of values after which a page is full, whatever its rows.
const BYTES: usize = 1 << 20;

/// How soon to look again when there was nothing.
pub(crate) const AGAIN: Duration = Duration::from_millis(50);

/// Hands over the rows of a query, each of which says how many bytes it has, until the page is full. The rest of the
/// rows is never read.
pub(crate) async fn read(
    connection: &mut SqliteConnection,
    place: &Place,
    query: Statement<'_>,
    mut take: impl FnMut(&SqliteRow) -> Result<usize>,
) -> Result<()> {
    let mut rows = query.fetch(connection);
    let mut bytes = 0;
    while bytes < BYTES {
        let Some(row) = rows.try_next().await.map_err(place.failed("read rows"))? else { break };
        bytes += take(&row)?;
    }
    Ok(())
}
