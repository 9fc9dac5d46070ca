//! The row that holds a flow's positions. It is written in the transaction of the rows, and it is the fence:
//!
//! | column | meaning |
//! |---|---|
//! | `flow` | whose positions these are |
//! | `run` | who may commit: the copy of the flow that was opened last |
//! | `version` | number of the last commit; null before the first |
//! | `progress` | what is known after it, as JSON, when it was made, and all that was read so far; null before the first |

use crate::database::dialect::{Dialect, has_table};
use crate::database::place::Place;
use crate::database::stored::Values;
use crate::database::{Transaction, signed, statement};
use crate::sink::need::Need;
use chrono::{DateTime, Utc};
use operators_core::error::{Error, Result};
use operators_core::position::{self, Span, SpanError};
use operators_core::progress::{Progress, Run, Version};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

pub(super) const TABLE: &str = "weatherflow_progress";
const SELECT: &str = "SELECT p.run, p.version, p.progress FROM weatherflow_progress AS p WHERE p.flow = ?";

/// A flow's row.
pub(crate) struct Held {
    /// Id of the run that may commit.
    pub(super) owner: String,
    /// The last commit.
    pub(super) progress: Option<Progress>,
    /// When it was made.
    pub(super) committed_at: Option<SystemTime>,
    /// All that was read since the first commit.
    pub(super) read: ReadSoFar,
}

/// All that was read since the first commit of a flow.
#[derive(Clone, Debug)]
pub(super) enum ReadSoFar {
    /// One span for each source partition.
    Spans(Vec<Span>),
    /// Not recorded: an earlier version of this program made the first commits.
    Unknown,
}

impl ReadSoFar {
    /// What is read once one more commit is made.
    pub(super) fn after(&self, steps: &[Span]) -> Result<Self, SpanError> {
        let Self::Spans(all) = self else { return Ok(Self::Unknown) };
        let mut all = all.clone();
        position::join(&mut all, steps)?;
        Ok(Self::Spans(all))
    }

    fn spans(&self) -> Option<&[Span]> {
        match self {
            Self::Spans(spans) => Some(spans),
            Self::Unknown => None,
        }
    }
}

/// The text of a commit.
#[derive(Serialize)]
struct Written<'p> {
    #[serde(flatten)]
    progress: &'p Progress,
    committed_at: DateTime<Utc>,
    spans: Option<&'p [Span]>,
}

/// What such a text says in addition to the progress, for people and for the audit; older ones lack it.
#[derive(Deserialize)]
struct Beside {
    committed_at: Option<DateTime<Utc>>,
    spans: Option<Vec<Span>>,
}

/// Creates the table of all flows of a database.
pub(super) async fn create_table<D: Dialect>(tx: &mut Transaction<'_, D>, place: &Place<D>) -> Result<()> {
    if has_table::<D>(tx.connection(), TABLE).await.map_err(place.failed("look for the progress table"))? {
        return Ok(());
    }
    tx.create("create the progress table", create::<D>()).await
}

fn create<D: Dialect>() -> String {
    let (key, text, integer, end) = (D::KEY_TEXT, D::TEXT, D::INTEGER, D::KEYED_TABLE_END);
    format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} \
         (flow {key} PRIMARY KEY, run {text} NOT NULL, version {integer}, progress {text}){end}"
    )
}

/// The table and what is done with it.
pub(super) fn need<D: Dialect>() -> Need {
    Need { table: TABLE.to_owned(), create: create::<D>(), uses: vec![SELECT.to_owned(), own::<D>(), update::<D>()] }
}

fn own<D: Dialect>() -> String {
    format!("INSERT INTO {TABLE} (flow, run) VALUES (?, ?) {} run = ?", D::ON_CONFLICT)
}

fn update<D: Dialect>() -> String {
    format!("UPDATE {TABLE} SET version = ?, progress = ? WHERE flow = ? AND run = ? AND version {} ?", D::SAME)
}

/// Makes this run the only one that may commit, and only then reads the flow's row. An older run that is in
/// the midst of a commit holds the row: the answer comes after its end, and with what it left.
pub(super) async fn take_over<D: Dialect>(
    tx: &mut Transaction<'_, D>,
    place: &Place<D>,
    run: &Run,
) -> Result<Option<Held>> {
    let mut values = Values::<D>::default();
    values.text(run.flow.as_str())?;
    values.text(run.id.as_str())?;
    values.text(run.id.as_str())?;
    tx.execute("take over the progress row", statement::<D>(own::<D>(), values.arguments)).await?;
    let row = tx.first("read the last commit", select::<D>(&run.flow)?).await?;
    row.map(|row| held(&row, place, &run.flow)).transpose()
}

fn select<'q, D: Dialect>(flow: &str) -> Result<crate::database::Statement<'q, D>> {
    let mut values = Values::<D>::default();
    values.text(flow)?;
    Ok(statement::<D>(SELECT.to_owned(), values.arguments))
}

/// Reads a flow's row; `None` when there is none.
pub(super) async fn read<D: Dialect>(
    connection: &mut D::Connection,
    place: &Place<D>,
    flow: &str,
) -> Result<Option<Held>> {
    if !has_table::<D>(connection, TABLE).await.map_err(place.failed("look for the progress table"))? {
        return Ok(None);
    }
    let row = D::answer(D::first(connection, select::<D>(flow)?)).await;
    row.map_err(place.failed("read the last commit"))?.map(|row| held(&row, place, flow)).transpose()
}

/// Moves the row from the version before to the given one, if this run still owns it.
pub(super) async fn advance<D: Dialect>(
    tx: &mut Transaction<'_, D>,
    place: &Place<D>,
    progress: &Progress,
    read: &ReadSoFar,
) -> Result<()> {
    let json = serde_json::to_string(&Written { progress, committed_at: Utc::now(), spans: read.spans() })
        .map_err(|error| Error::Other(format!("the progress of {} cannot be written: {error}", progress.run.flow)))?;
    let mut values = Values::<D>::default();
    values.integer(signed(progress.version.0))?;
    values.text(json)?;
    values.text(progress.run.flow.as_str())?;
    values.text(progress.run.id.as_str())?;
    match progress.version.0.checked_sub(1) {
        Some(before) => values.integer(signed(before))?,
        None => values.null()?,
    }
    if tx.execute("record the progress", statement::<D>(update::<D>(), values.arguments)).await? == 1 {
        return Ok(());
    }
    let row = tx.first("see who took over", select::<D>(&progress.run.flow)?).await?;
    Err(match row.map(|row| held(&row, place, &progress.run.flow)).transpose()? {
        Some(held) => fenced(place, progress, &held),
        None => place.refused(format!(
            "the progress row of flow {} was deleted while the flow ran; start it again to see where it stands",
            progress.run.flow
        )),
    })
}

/// The error of a commit that came too late.
pub(super) fn fenced<D: Dialect>(place: &Place<D>, mine: &Progress, held: &Held) -> Error {
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

fn held<D: Dialect>(row: &D::Row, place: &Place<D>, flow: &str) -> Result<Held> {
    let columns =
        || -> sqlx::Result<_> { Ok((D::text(row, 0)?.unwrap_or_default(), D::integer(row, 1)?, D::text(row, 2)?)) };
    let damaged = |reason: String| place.damaged(format!("the progress row of flow {flow} {reason}"));
    let (owner, version, progress) = columns().map_err(|error| damaged(format!("cannot be read: {error}")))?;
    let parse = |json: String| Ok((serde_json::from_str::<Progress>(&json)?, serde_json::from_str::<Beside>(&json)?));
    let parsed = progress.map(parse).transpose();
    let (progress, beside) =
        parsed.map_err(|error: serde_json::Error| damaged(format!("holds no progress: {error}")))?.unzip();
    if progress.as_ref().map(|p| p.version) != version.map(|v| Version(v.cast_unsigned())) {
        return Err(damaged("has another version than the progress in it".into()));
    }
    if progress.as_ref().is_some_and(|p| p.run.flow != flow) {
        return Err(damaged("holds the progress of another flow".into()));
    }
    let (committed_at, read) = match beside {
        None => (None, ReadSoFar::Spans(Vec::new())),
        Some(Beside { committed_at, spans }) => (committed_at, spans.map_or(ReadSoFar::Unknown, ReadSoFar::Spans)),
    };
    Ok(Held { owner, progress, committed_at: committed_at.map(SystemTime::from), read })
}
