//! The rows of a batch as multi-row INSERTs.

use crate::database::dialect::{Dialect, has_table};
use crate::database::stored::{Stored, Values};
use crate::database::{Place, Transaction, count_by, statement};
use crate::sink::need::Need;
use operators_core::chunk::Chunk;
use operators_core::dead_letter;
use operators_core::error::{Error, Result};
use operators_core::schema::Column;
use sqlx::AssertSqlSafe;
use std::marker::PhantomData;
use std::sync::Arc;

/// Rows of one statement: enough that parsing and hand-over no longer count.
const ROWS: usize = 256;

/// A row of a batch: where it came from, and where it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowRef {
    source: u32,
    position: u64,
    pub(crate) chunk: u32,
    pub(crate) row: u32,
}

/// The rows of all chunks by source partition and position: the same order whatever worker had them.
pub(crate) fn in_order<'c>(chunks: impl IntoIterator<Item = (u32, &'c Chunk)>) -> Vec<RowRef> {
    let mut rows: Vec<_> = chunks
        .into_iter()
        .flat_map(|(number, chunk)| {
            let positions = chunk.positions.values().iter().zip(0..);
            positions.map(move |(&position, row)| RowRef { source: chunk.source, position, chunk: number, row })
        })
        .collect();
    // Chunks are runs that are in order already, which this sort merges.
    rows.sort();
    rows
}

/// An INSERT into some columns of a table.
pub(crate) struct Insert<D> {
    head: String,
    width: usize,
    dialect: PhantomData<D>,
}

impl<D: Dialect> Insert<D> {
    pub(crate) fn into<'n>(table: &str, columns: impl IntoIterator<Item = &'n str>) -> Self {
        let columns: Vec<_> = columns.into_iter().map(D::quoted).collect();
        let head = format!("INSERT INTO {} ({}) VALUES ", D::quoted(table), columns.join(", "));
        Self { head, width: columns.len(), dialect: PhantomData }
    }

    /// Inserts rows, whose values `put` adds one after the other.
    pub(crate) async fn rows<R>(
        &self,
        step: &'static str,
        tx: &mut Transaction<'_, D>,
        rows: impl IntoIterator<Item = R>,
        mut put: impl FnMut(R, &mut Values<D>) -> Result<()>,
    ) -> Result<()> {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let bytes = tx.statement_bytes().await?;
        let full = ROWS.min(D::VALUES / self.width.max(1)).max(1);
        let sql: Arc<str> = self.sql(full).into();
        loop {
            let mut values = Values::<D>::default();
            let mut count = 0;
            while count < full && values.bytes < bytes {
                let Some(row) = rows.next() else { break };
                put(row, &mut values)?;
                count += 1;
            }
            let insert = match count {
                0 => return Ok(()),
                _ if count == full => sqlx::query_with(AssertSqlSafe(Arc::clone(&sql)), values.arguments),
                _ => sqlx::query_with(AssertSqlSafe(self.sql(count)), values.arguments).persistent(false),
            };
            tx.execute(step, insert).await?;
        }
    }

    pub(crate) fn sql(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.width].join(","));
        format!("{}{}", self.head, vec![row; rows].join(","))
    }
}

/// The table of rejected rows, of all flows that write to a database.
pub(crate) const DEAD_LETTERS: &str = "weatherflow_dead_letters";
const COUNT_DEAD_LETTERS: &str = "SELECT count(*) FROM weatherflow_dead_letters AS d WHERE d.flow = ?";

/// Creates the table of rejected rows.
pub(super) async fn create_dead_letters<D: Dialect>(tx: &mut Transaction<'_, D>, place: &Place<D>) -> Result<()> {
    if has_table::<D>(tx.connection(), DEAD_LETTERS).await.map_err(place.failed("look for the dead letters"))? {
        return Ok(());
    }
    tx.create("create the table of dead letters", dead_letters_needed::<D>().create).await
}

/// The table of rejected rows and what is done with it.
pub(super) fn dead_letters_needed<D: Dialect>() -> Need {
    let (text, integer, blob, end) = (D::TEXT, D::INTEGER, D::BLOB, D::TABLE_END);
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {DEAD_LETTERS} (flow {text} NOT NULL, source_partition {integer} NOT NULL, \
         position {integer} NOT NULL, stage {text} NOT NULL, reason {text} NOT NULL, raw {blob}){end}"
    );
    let uses = vec![into_dead_letters::<D>().sql(1), COUNT_DEAD_LETTERS.to_owned()];
    Need { table: DEAD_LETTERS.to_owned(), create, uses }
}

fn into_dead_letters<D: Dialect>() -> Insert<D> {
    let columns = dead_letter::schema().columns().iter().map(|column| column.name.as_str());
    Insert::into(DEAD_LETTERS, ["flow"].into_iter().chain(columns))
}

/// Inserts rows that a stage rejected.
pub(super) async fn dead_letters<D: Dialect>(tx: &mut Transaction<'_, D>, flow: &str, chunks: &[Chunk]) -> Result<()> {
    let columns = dead_letter::schema().columns();
    let stored: Vec<_> = chunks.iter().map(|chunk| stored::<D>(chunk, columns)).collect::<Result<_>>()?;
    let flow: Arc<str> = flow.into();
    into_dead_letters::<D>()
        .rows("insert dead letters", tx, in_order((0..).zip(chunks)), |at, values| {
            values.text(Arc::clone(&flow))?;
            put_row(&stored, columns, at, values)
        })
        .await
}

/// These columns of a chunk, in this order.
pub(crate) fn stored<D: Dialect>(chunk: &Chunk, columns: &[Column]) -> Result<Vec<Stored>> {
    let stored = |Column { name, column_type, .. }: &Column| {
        let values = chunk.rows.column_by_name(name);
        let values = values.ok_or_else(|| Error::Other(format!("rows came without their column {name}")))?;
        Stored::new::<D>(values, column_type)
    };
    columns.iter().map(stored).collect()
}

/// Adds the values of one row of many chunks.
pub(crate) fn put_row<D: Dialect>(
    chunks: &[Vec<Stored>],
    columns: &[Column],
    at: RowRef,
    values: &mut Values<D>,
) -> Result<()> {
    let mut stored = chunks[at.chunk as usize].iter().zip(columns);
    stored.try_for_each(|(stored, column)| stored.put(at.row as usize, &column.name, values))
}

/// Counts the rows of a flow that stages rejected.
pub(super) async fn count_dead_letters<D: Dialect>(
    connection: &mut D::Connection,
    place: &Place<D>,
    flow: &str,
) -> Result<u64> {
    let failed = || place.failed("count dead letters");
    if !has_table::<D>(connection, DEAD_LETTERS).await.map_err(failed())? {
        return Ok(0);
    }
    let mut values = Values::<D>::default();
    values.text(flow)?;
    let count = statement::<D>(COUNT_DEAD_LETTERS.to_owned(), values.arguments);
    count_by::<D>(connection, count).await.map_err(failed())
}
