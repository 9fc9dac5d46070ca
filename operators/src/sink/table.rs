//! `sink.table`: rows and progress in one SQL transaction.

use crate::chunk::Chunk;
use crate::config::Context;
use crate::error::{Problem, Result};
use crate::progress::Progress;
use crate::schema::{Schema, type_name};
use crate::sql::database::{columns, find};
use crate::sql::insert::{Insert, in_order, put_row, stored};
use crate::sql::sink::{SqlSink, Target};
use crate::sql::stored::sql_type;
use crate::sql::{Kind, Place, Transaction, quoted, statement};
use crate::stage::{About, BuiltSink, Finding};
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;
use std::sync::Arc;

/// Inserts rows into a table; creates it, with an `id` that grows, when it is not there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// The database: `sqlite:PATH`.
    pub url: String,
    /// The table.
    pub table: String,
}

/// The column that numbers the rows.
const ID: &str = "id";

impl TableConfig {
    pub(super) fn build(&self, input: &Schema, context: &Context) -> Result<BuiltSink, Vec<Problem>> {
        let table = self.table(input, context)?;
        Ok(BuiltSink {
            place: table.place.id(),
            about: About { summary: table.place.to_string(), fingerprint: vec![("table", self.table.clone())] },
            sink: Arc::new(SqlSink::new(table)),
        })
    }

    pub(crate) fn table(&self, input: &Schema, context: &Context) -> Result<Table, Vec<Problem>> {
        let place = Place::new(Kind::Table, &self.url, &self.table, context);
        let mut problems = place.as_ref().err().cloned().unwrap_or_default();
        let lower = self.table.to_ascii_lowercase();
        if let Some(owner) = ["sqlite_", "weatherflow_"].iter().find(|prefix| lower.starts_with(*prefix)) {
            let reserved = format!("table names that begin with `{owner}` are reserved");
            problems.push(Problem::at("table", reserved).help("give the table another name"));
        }
        let mut columns: Vec<(String, &'static str)> = Vec::new();
        for field in input.0.fields() {
            let (name, data_type) = (field.name(), field.data_type());
            if name.eq_ignore_ascii_case(ID) {
                let message = format!("the rows have a column `{name}`, and the table numbers its rows in `{ID}`");
                problems.push(Problem::whole(message).help("rename or drop it with transform.select"));
            } else if let Some((other, _)) = columns.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
                let message = format!("SQLite cannot tell the columns `{other}` and `{name}` from each other");
                problems.push(Problem::whole(message).help("rename one of them with transform.select"));
            } else if let Some(sql) = sql_type(data_type) {
                columns.push((name.clone(), sql));
            } else {
                let message = format!("column `{name}` is of type {}, which a table cannot hold", type_name(data_type));
                problems.push(Problem::whole(message).help("cast or drop it with a transform"));
            }
        }
        if input.0.fields().is_empty() {
            problems.push(Problem::whole("the rows have no columns"));
        }
        match place {
            Ok(place) if problems.is_empty() => Ok(Table { place, columns }),
            _ => Err(problems),
        }
    }
}

/// A table that rows are inserted into.
pub(crate) struct Table {
    place: Place,
    /// Name and declared type.
    columns: Vec<(String, &'static str)>,
}

impl Target for Table {
    fn place(&self) -> &Place {
        &self.place
    }

    async fn create(&self, tx: &mut Transaction<'_>, last: Option<&Progress>) -> Result<()> {
        let there =
            columns(tx.connection(), &self.place.name).await.map_err(self.place.failed("look for the table"))?;
        if !there.is_empty() {
            let missing = |name: &&String| find(&there, name).is_none();
            let missing: Vec<_> =
                self.columns.iter().map(|(name, _)| name).filter(missing).map(String::as_str).collect();
            return if missing.is_empty() {
                Ok(())
            } else {
                let there: Vec<_> = there.iter().map(|column| column.name.as_str()).collect();
                Err(self.place.refused(format!(
                    "the table exists without the columns {}; it has {}. Add them with ALTER TABLE, drop them with \
                     transform.select, or name another table",
                    missing.join(", "),
                    there.join(", ")
                )))
            };
        }
        if let Some(last) = last.filter(|last| last.totals.written > 0) {
            return Err(self.place.refused(format!(
                "the table is gone, and {} rows of flow {} with it. Restore it; or, to write all rows anew, delete \
                 the flow's row from weatherflow_progress",
                last.totals.written, last.run.flow
            )));
        }
        let columns: Vec<_> = self.columns.iter().map(|(name, sql)| format!("{} {sql}", quoted(name))).collect();
        let table = quoted(&self.place.name);
        let create = format!("CREATE TABLE {table} ({ID} INTEGER PRIMARY KEY AUTOINCREMENT, {})", columns.join(", "));
        tx.execute("create the table", statement(create)).await.map(drop)
    }

    async fn insert(&self, tx: &mut Transaction<'_>, chunks: &[Chunk]) -> Result<()> {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let stored: Vec<_> = chunks.iter().map(|chunk| stored(chunk, &names)).collect::<Result<_>>()?;
        let insert = Insert::into(&self.place.name, names.iter().copied());
        let rows = in_order((0..).zip(chunks));
        insert.rows("insert rows", tx, rows, |at, values| put_row(&stored, &names, at, values)).await
    }

    async fn count(&self, connection: &mut SqliteConnection, _: &mut Vec<Finding>) -> Result<Option<u64>> {
        let failed = || self.place.failed("count rows");
        if columns(connection, &self.place.name).await.map_err(failed())?.is_empty() {
            return Ok(None);
        }
        let count = statement(format!("SELECT count(*) FROM {}", quoted(&self.place.name)));
        let row = count.fetch_one(connection).await.map_err(failed())?;
        row.try_get::<i64, _>(0).map(|count| Some(count.cast_unsigned())).map_err(failed())
    }
}
