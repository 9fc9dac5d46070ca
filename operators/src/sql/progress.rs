//! The row that holds a flow's positions. It is written in the transaction of the rows, and it is the fence:
//!
//! | column | meaning |
//! |---|---|
//! | `flow` | whose positions these are |
//! | `run` | who may commit: the copy of the flow that was opened last |
//! | `version` | number of the last commit; null before the first |
//! | `progress` | what is known after it, as JSON; null before the first |

use super::database::has_table;
use super::place::Place;
use super::{Transaction, signed};
use crate::error::{Error, Result};
use crate::progress::{Progress, Run, Version};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

const TABLE: &str = "weatherflow_progress";
const SELECT: &str = "SELECT p.run, p.version, p.progress FROM weatherflow_progress AS p WHERE p.flow = ?";

/// A flow's row.
pub(super) struct Held {
    /// Id of the run that may commit.
    pub(super) owner: String,
    /// The last commit.
    pub(super) progress: Option<Progress>,
}

/// Makes this run the only one that may commit, and only then reads where the flow stands.
pub(super) async fn take_over(tx: &mut Transaction<'_>, place: &Place, run: &Run) -> Result<Option<Progress>> {
    let create = "CREATE TABLE IF NOT EXISTS weatherflow_progress \
                  (flow TEXT PRIMARY KEY, run TEXT NOT NULL, version INTEGER, progress TEXT) WITHOUT ROWID";
    tx.execute("create the progress table", sqlx::query(create)).await?;
    let own = "INSERT INTO weatherflow_progress (flow, run) VALUES (?, ?) ON CONFLICT (flow) DO UPDATE SET run = excluded.run";
    tx.execute("take over the progress row", sqlx::query(own).bind(&run.flow).bind(&run.id)).await?;
    let row = tx.first("read the last commit", sqlx::query(SELECT).bind(&run.flow)).await?;
    row.map_or(Ok(None), |row| Ok(held(&row, place, &run.flow)?.progress))
}

/// Reads a flow's row; `None` when there is none.
pub(super) async fn read(connection: &mut SqliteConnection, place: &Place, flow: &str) -> Result<Option<Held>> {
    if !has_table(connection, TABLE).await.map_err(place.failed("look for the progress table"))? {
        return Ok(None);
    }
    let row = sqlx::query(SELECT).bind(flow).fetch_optional(connection).await;
    row.map_err(place.failed("read the last commit"))?.map(|row| held(&row, place, flow)).transpose()
}

/// Moves the row from the version before to the given one, if this run still owns it.
pub(super) async fn advance(tx: &mut Transaction<'_>, place: &Place, progress: &Progress) -> Result<()> {
    let json = serde_json::to_string(progress)
        .map_err(|error| Error::Other(format!("the progress of {} cannot be written: {error}", progress.run.flow)))?;
    let update =
        "UPDATE weatherflow_progress SET version = ?, progress = ? WHERE flow = ? AND run = ? AND version IS ?";
    let before = progress.version.0.checked_sub(1).map(signed);
    let update = sqlx::query(update)
        .bind(signed(progress.version.0))
        .bind(json)
        .bind(&progress.run.flow)
        .bind(&progress.run.id)
        .bind(before);
    if tx.execute("record the progress", update).await? == 1 {
        return Ok(());
    }
    let row = sqlx::query(SELECT).bind(&progress.run.flow);
    let row = tx.first("see who took over", row).await?;
    Err(match row.map(|row| held(&row, place, &progress.run.flow)).transpose()? {
        Some(held) => fenced(place, progress, &held),
        None => place.refused(format!(
            "the progress row of flow {} was deleted while the flow ran; start it again to see where it stands",
            progress.run.flow
        )),
    })
}

/// The error of a commit that came too late.
pub(super) fn fenced(place: &Place, mine: &Progress, held: &Held) -> Error {
    let stands = match &held.progress {
        Some(last) => format!("the last commit is version {} by run {}", last.version, last.run.id),
        None => "nothing is committed yet".to_owned(),
    };
    let reason = format!(
        "run {} owns flow {} and {stands}; run {} wanted to commit version {}",
        held.owner, mine.run.flow, mine.run.id, mine.version
    );
    Error::Fenced { place: place.to_string(), reason }
}

fn held(row: &SqliteRow, place: &Place, flow: &str) -> Result<Held> {
    let columns = || -> sqlx::Result<(String, Option<i64>, Option<String>)> {
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
    };
    let damaged = |reason: String| place.damaged(format!("the progress row of flow {flow} {reason}"));
    let (owner, version, progress) = columns().map_err(|error| damaged(format!("cannot be read: {error}")))?;
    let progress = progress.map(|json| serde_json::from_str::<Progress>(&json)).transpose();
    let progress = progress.map_err(|error| damaged(format!("holds no progress: {error}")))?;
    if progress.as_ref().map(|p| p.version) != version.map(|v| Version(v.cast_unsigned())) {
        return Err(damaged("has another version than the progress in it".into()));
    }
    if progress.as_ref().is_some_and(|p| p.run.flow != flow) {
        return Err(damaged("holds the progress of another flow".into()));
    }
    Ok(Held { owner, progress })
}
