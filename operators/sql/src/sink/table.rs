//! `sink.table`: rows and progress in one SQL transaction.

use crate::database::count_by;
use crate::database::dialect::{find, has_table};
use crate::database::mysql::Login;
use crate::database::place::TablePlace;
use crate::database::{Dialect, Place, Transaction, statement};
use crate::sink::insert::{Insert, in_order, put_row, stored};
use crate::sink::need::Need;
use crate::sink::{SqlSink, Target};
use operators_core::chunk::Chunk;
use operators_core::config::{Context, MysqlTls, Secret};
use operators_core::error::{Problem, Result};
use operators_core::progress::Progress;
use operators_core::schema::{Column, Schema};
use operators_core::stage::{About, BuiltSink, Finding};
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::Sqlite;
use std::borrow::Cow;
use std::sync::Arc;

/// Inserts rows into a table; creates it, with an `id` that grows, when it is not there.
///
/// ```toml
/// [flow.sink.table]
/// url = "sqlite:data/reports.db"
/// table = "reports"
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// The database: `mysql://USER@HOST:PORT/DATABASE` (MySQL, MariaDB) or `sqlite:PATH`.
    pub url: String,
    /// The table.
    pub table: String,
    /// The user's password, for `mysql://`.
    pub password: Option<Secret>,
    /// How the connection is encrypted, for `mysql://`: `{ mode = "verify_identity", ca = "ca.pem" }`. The modes are
    /// `disabled`, `preferred` (the default), `required`, `verify_ca` and `verify_identity`; `cert` and `key` are files
    /// with a certificate of this program's own.
    pub tls: Option<MysqlTls>,
}

/// The column that numbers the rows.
const ID: &str = "id";

impl TableConfig {
    /// Builds the stage; changes nothing and asks no server.
    pub fn build(&self, input: &Schema, context: &Context) -> Result<BuiltSink, Vec<Problem>> {
        let login = Login { password: self.password.as_ref(), tls: self.tls.as_ref() };
        match TablePlace::new(&self.url, &login, &self.table, context) {
            Ok(TablePlace::Sqlite(place)) => self.built(place.id(), self.table(Ok(place), input)?),
            Ok(TablePlace::MySql(place)) => self.built(place.id(), self.table(Ok(place), input)?),
            // What is wrong with the columns is said along with it.
            Err(problems) => Err(self.table::<Sqlite>(Err(problems), input).err().unwrap_or_default()),
        }
    }

    fn built<D: Dialect>(&self, place: String, table: Table<D>) -> Result<BuiltSink, Vec<Problem>> {
        Ok(BuiltSink {
            place,
            staging: None,
            about: About { summary: table.place.to_string(), fingerprint: vec![("table", self.table.clone())] },
            sink: Arc::new(SqlSink::new(table)),
        })
    }

    pub(crate) fn table<D: Dialect>(
        &self,
        place: Result<Place<D>, Vec<Problem>>,
        input: &Schema,
    ) -> Result<Table<D>, Vec<Problem>> {
        let mut problems = place.as_ref().err().cloned().unwrap_or_default();
        let lower = self.table.to_ascii_lowercase();
        if let Some(owner) = ["sqlite_", "weatherflow_"].iter().find(|prefix| lower.starts_with(*prefix)) {
            let reserved = format!("table names that begin with `{owner}` are reserved");
            problems.push(Problem::at("table", reserved).help("give the table another name"));
        }
        let mut columns: Vec<Column> = Vec::new();
        let mut sql_types = Vec::new();
        for column in input.columns() {
            let (name, column_type) = (&column.name, &column.column_type);
            if name.eq_ignore_ascii_case(ID) {
                let message = format!("the rows have a column `{name}`, and the table numbers its rows in `{ID}`");
                problems.push(Problem::whole(message).help("rename or drop it with transform.select"));
            } else if let Some(Column { name: other, .. }) =
                columns.iter().find(|other| other.name.eq_ignore_ascii_case(name))
            {
                let message = format!("{} cannot tell the columns `{other}` and `{name}` from each other", D::TITLE);
                problems.push(Problem::whole(message).help("rename one of them with transform.select"));
            } else if let Some(sql_type) = D::sql_type(column_type) {
                columns.push(column.clone());
                sql_types.push(sql_type);
            } else {
                let message = format!("column `{name}` is of type {column_type}, which a table cannot hold");
                problems.push(Problem::whole(message).help("cast or drop it with a transform"));
            }
        }
        if input.columns().is_empty() {
            problems.push(Problem::whole("the rows have no columns"));
        }
        match place {
            Ok(place) if problems.is_empty() => Ok(Table { place, columns, sql_types }),
            _ => Err(problems),
        }
    }
}

/// A table that rows are inserted into.
pub(crate) struct Table<D: Dialect> {
    place: Place<D>,
    columns: Vec<Column>,
    /// The declared type of each.
    sql_types: Vec<Cow<'static, str>>,
}

impl<D: Dialect> Table<D> {
    fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    fn create(&self) -> String {
        let columns = self.names().zip(&self.sql_types);
        let columns: Vec<_> = columns.map(|(name, sql_type)| format!("{} {sql_type}", D::quoted(name))).collect();
        let (table, id, end, columns) = (D::quoted(&self.place.name), D::ID, D::TABLE_END, columns.join(", "));
        // Two that open at once may both have seen no table, where a CREATE is no part of the transaction.
        format!("CREATE TABLE IF NOT EXISTS {table} ({ID} {id}, {columns}){end}")
    }

    fn insert(&self) -> Insert<D> {
        Insert::into(&self.place.name, self.names())
    }

    fn count(&self) -> String {
        format!("SELECT count(*) FROM {}", D::quoted(&self.place.name))
    }
}

impl<D: Dialect> Target for Table<D> {
    type Dialect = D;

    fn place(&self) -> &Place<D> {
        &self.place
    }

    async fn there(&self, connection: &mut D::Connection, last: Option<&Progress>) -> Result<Option<String>> {
        let there = D::answer(D::columns(connection, &self.place.name)).await;
        let there = there.map_err(self.place.failed("look for the table"))?;
        if !there.is_empty() {
            let missing = |name: &&str| find(&there, name).is_none();
            let missing: Vec<_> = self.names().filter(missing).collect();
            return if missing.is_empty() {
                Ok(Some(format!("the columns {}", self.names().collect::<Vec<_>>().join(", "))))
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
        Ok(None)
    }

    fn need(&self) -> Option<Need> {
        let uses = vec![self.insert().sql(1), self.count()];
        Some(Need { table: self.place.name.clone(), create: self.create(), uses })
    }

    async fn create(&self, tx: &mut Transaction<'_, D>, last: Option<&Progress>) -> Result<()> {
        match self.there(tx.connection(), last).await? {
            Some(_) => Ok(()),
            None => tx.create("create the table", self.create()).await,
        }
    }

    async fn insert(&self, tx: &mut Transaction<'_, D>, chunks: &[Chunk]) -> Result<()> {
        let columns = &self.columns;
        let stored: Vec<_> = chunks.iter().map(|chunk| stored::<D>(chunk, columns)).collect::<Result<_>>()?;
        let rows = in_order((0..).zip(chunks));
        self.insert().rows("insert rows", tx, rows, |at, values| put_row(&stored, columns, at, values)).await
    }

    async fn count(&self, connection: &mut D::Connection, _: &mut Vec<Finding>) -> Result<Option<u64>> {
        let failed = || self.place.failed("count rows");
        if !has_table::<D>(connection, &self.place.name).await.map_err(failed())? {
            return Ok(None);
        }
        let count = statement::<D>(self.count(), D::Arguments::default());
        count_by::<D>(connection, count).await.map(Some).map_err(failed())
    }
}
