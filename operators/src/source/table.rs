//! `source.table`: the rows of a database table, in the order of their ids.

use crate::chunk::Chunk;
use crate::config::{ColumnType, Context};
use crate::error::{Problem, Result};
use crate::position::{Checkpoint, Position, Span};
use crate::runtime::wait;
use crate::schema::Schema;
use crate::sql::column::ColumnBuilder;
use crate::sql::database::{Column, Opened, columns, find, has_table};
use crate::sql::{Kind, Place, page, quoted, signed, statement};
use crate::stage::{About, BuiltSource, Read, Reader, Share, Source};
use arrow::array::{RecordBatch, UInt64Builder};
use arrow::datatypes::Field;
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads the rows of a table in the order of an id that only grows.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// The database: `sqlite:PATH`.
    pub url: String,
    /// The table.
    pub table: String,
    /// Integer column that is unique, never null and only grows.
    #[serde(default = "id")]
    pub cursor: String,
    /// The columns to read and their types.
    pub columns: BTreeMap<String, ColumnType>,
}

fn id() -> String {
    "id".to_owned()
}

impl TableConfig {
    pub(super) fn build(&self, context: &Context) -> Result<BuiltSource, Vec<Problem>> {
        let place = Place::new(Kind::Table, &self.url, &self.table, context);
        let mut problems = place.as_ref().err().cloned().unwrap_or_default();
        if self.cursor.is_empty() {
            problems.push(Problem::at("cursor", "the cursor needs the name of a column"));
        }
        if self.columns.is_empty() {
            problems.push(
                Problem::at("columns", "there are no columns to read").help("write `columns = { name = \"string\" }`"),
            );
        }
        let place = match place {
            Ok(place) if problems.is_empty() => place,
            _ => return Err(problems),
        };
        let fields = self.columns.iter().map(|(name, column)| Field::new(name, column.data_type(), true));
        let schema = Schema::new(fields.collect());
        let fingerprint =
            vec![("url", self.url.clone()), ("table", self.table.clone()), ("cursor", self.cursor.clone())];
        Ok(BuiltSource {
            schema: schema.clone(),
            place: place.id(),
            about: About { summary: place.to_string(), fingerprint },
            source: Arc::new(TableSource(Arc::new(Table { place, schema, config: self.clone() }))),
        })
    }
}

/// What to read, and how it is asked for.
struct Table {
    place: Place,
    schema: Schema,
    config: TableConfig,
}

struct TableSource(Arc<Table>);

impl Source for TableSource {
    fn open(&self, share: Share, from: &Checkpoint) -> Result<Box<dyn Reader>> {
        // A table is one partition.
        if !share.owns(0) {
            return Ok(Box::new(Idle));
        }
        let next = from.position(0).unwrap_or_default().0;
        let mut reader = TableReader { table: Arc::clone(&self.0), next, opened: None, numbered: false };
        wait(reader.ready())?;
        Ok(Box::new(reader))
    }

    fn identity(&self) -> Result<Option<String>> {
        Ok(None)
    }

    fn count(&self, span: &Span) -> Result<Option<u64>> {
        let table = &self.0;
        let count = wait(table.place.database.look(async |connection| table.count(connection, span).await))?;
        Ok(count.flatten())
    }
}

impl Table {
    /// A query of the table, which it names `t`.
    fn select(&self, what: &str, rest: &str) -> String {
        format!("SELECT {what} FROM {} AS t {rest}", quoted(&self.config.table))
    }

    fn cursor(&self) -> String {
        format!("t.{}", quoted(&self.config.cursor))
    }

    /// The rows from a position on, and the position after them; `None` when there are none.
    async fn page(&self, connection: &mut SqliteConnection, next: u64) -> Result<Option<(Chunk, u64)>> {
        // One view of the database for this page, and a new one for the next.
        let mut tx = connection.begin().await.map_err(self.place.failed("start reading"))?;
        let cursor = self.cursor();
        let rest = format!("WHERE {cursor} >= ? ORDER BY {cursor} LIMIT ?");
        let bytes = self.select(&format!("{} AS bytes", self.row_bytes()), &rest);
        let measure = |limit| page::measure(&bytes).bind(signed(next)).bind(limit);
        let count = page::rows_that_fit(&mut tx, &self.place, measure).await?;
        if count == 0 {
            return Ok(None);
        }
        let columns: String = self.config.columns.keys().map(|name| format!(", t.{}", quoted(name))).collect();
        let query = statement(self.select(&format!("{cursor}{columns}"), &rest)).bind(signed(next)).bind(count);
        let mut rows = Rows::new(self);
        page::read(&mut tx, &self.place, query, count, |row| rows.take(row)).await?;
        rows.finish()
    }

    /// The bytes of a row as an SQL expression; numbers do not count.
    fn row_bytes(&self) -> String {
        use ColumnType::{Bytes, Date, String, Timestamp};
        let of_any_length = |(_, column): &(_, &ColumnType)| matches!(column, String | Bytes | Date | Timestamp);
        let columns = self.config.columns.iter().filter(of_any_length);
        let lengths: Vec<_> = columns.map(|(name, _)| format!("ifnull(octet_length(t.{}), 0)", quoted(name))).collect();
        if lengths.is_empty() { "0".to_owned() } else { lengths.join(" + ") }
    }

    async fn count(&self, connection: &mut SqliteConnection, span: &Span) -> Result<Option<u64>> {
        let failed = || self.place.failed("count rows");
        let there = columns(connection, &self.config.table).await.map_err(failed())?;
        if find(&there, &self.config.cursor).is_none() {
            return Ok(None);
        }
        let cursor = self.cursor();
        let count = statement(self.select("count(*)", &format!("WHERE {cursor} >= ? AND {cursor} < ?")));
        let count = count.bind(signed(span.from.0)).bind(signed(span.to.0));
        let row = count.fetch_one(connection).await.map_err(failed())?;
        row.try_get::<i64, _>(0).map(|count| Some(count.cast_unsigned())).map_err(failed())
    }

    /// The least or greatest cursor there is.
    async fn extreme(&self, which: &str, connection: &mut SqliteConnection) -> Result<Option<i64>> {
        let failed = || self.place.failed("find the ends of the cursor");
        let query = statement(self.select(&format!("{which}({})", self.cursor()), ""));
        let row = query.fetch_one(connection).await.map_err(failed())?;
        row.try_get(0).map_err(failed())
    }

    /// Whether the cursor is the number SQLite itself gives to rows; refused when it cannot be a cursor at all.
    async fn check_cursor(&self, connection: &mut SqliteConnection, there: &[Column]) -> Result<bool> {
        let name = &self.config.cursor;
        let Some(cursor) = find(there, name) else { return Err(self.no_column(name, there)) };
        let alone_in_key = cursor.in_key && there.iter().filter(|column| column.in_key).count() == 1;
        if alone_in_key && cursor.declared.eq_ignore_ascii_case("INTEGER") {
            return Ok(true);
        }
        let unique = "SELECT count(*) FROM pragma_index_list(?) AS l WHERE l.\"unique\" AND NOT l.partial AND \
                      (SELECT group_concat(i.name, char(0)) FROM pragma_index_info(l.name) AS i) = ? COLLATE NOCASE";
        let unique = sqlx::query_scalar::<_, i64>(unique).bind(&self.config.table).bind(&cursor.name);
        let unique = unique.fetch_one(connection).await.map_err(self.place.failed("look at the indexes"))? > 0;
        let integer = cursor.declared.to_ascii_uppercase().contains("INT");
        let missing: Vec<_> = [(integer, "an integer type"), (cursor.not_null, "NOT NULL"), (unique, "a UNIQUE index")]
            .into_iter()
            .filter_map(|(has, what)| (!has).then_some(what))
            .collect();
        if missing.is_empty() {
            return Ok(false);
        }
        Err(self.place.refused(format!(
            "column {name} cannot be the cursor, rows could be lost: it lacks {}. Name an INTEGER PRIMARY KEY, or an \
             integer column that is NOT NULL and UNIQUE",
            missing.join(" and ")
        )))
    }

    fn no_column(&self, name: &str, there: &[Column]) -> crate::Error {
        let there: Vec<_> = there.iter().map(|column| column.name.as_str()).collect();
        self.place.refused(format!("there is no column {name}; the table has {}", there.join(", ")))
    }
}

/// The reader of a share without partitions.
struct Idle;

impl Reader for Idle {
    fn read(&mut self) -> Result<Read> {
        Ok(Read::End)
    }

    fn behind(&mut self) -> Result<Option<u64>> {
        Ok(Some(0))
    }
}

struct TableReader {
    table: Arc<Table>,
    /// The next id to read.
    next: u64,
    /// Only once the table is there and fits.
    opened: Option<Opened>,
    /// Whether the cursor is the number SQLite itself gives to rows.
    numbered: bool,
}

impl Reader for TableReader {
    fn read(&mut self) -> Result<Read> {
        wait(async {
            if !self.ready().await? {
                return Ok(Read::CaughtUp(page::AGAIN));
            }
            let Some(opened) = &mut self.opened else { return Ok(Read::CaughtUp(page::AGAIN)) };
            let Some((chunk, to)) = self.table.page(&mut opened.connection, self.next).await? else {
                self.check_position().await?;
                return Ok(Read::CaughtUp(page::AGAIN));
            };
            let span = Span { partition: 0, from: Position(self.next), to: Position(to), rows: chunk.len() };
            self.next = to;
            Ok(Read::Rows(chunk, span))
        })
    }

    fn behind(&mut self) -> Result<Option<u64>> {
        wait(async {
            if !self.ready().await? {
                return Ok(None);
            }
            let Some(opened) = &mut self.opened else { return Ok(None) };
            let last = self.table.extreme("max", &mut opened.connection).await?;
            Ok(Some(last.map_or(0, |last| (last.cast_unsigned() + 1).saturating_sub(self.next))))
        })
    }
}

impl TableReader {
    /// Whether there is a table to read; checks it whenever it appears.
    async fn ready(&mut self) -> Result<bool> {
        let table = Arc::clone(&self.table);
        let file = table.place.database.file()?;
        if self.opened.as_ref().is_some_and(|opened| Some(opened.file) != file) {
            self.opened = None;
            if self.next > 0 {
                return Err(self.lost("the database was deleted or replaced while it was read"));
            }
        }
        if self.opened.is_none() {
            let Some(mut opened) = table.place.database.read().await? else { return self.nothing_there() };
            let connection = &mut opened.connection;
            let there = columns(connection, &table.config.table).await;
            let there = there.map_err(table.place.failed("look for the table"))?;
            if there.is_empty() {
                return self.nothing_there();
            }
            self.numbered = table.check_cursor(connection, &there).await?;
            if let Some(name) = table.config.columns.keys().find(|name| find(&there, name).is_none()) {
                return Err(table.no_column(name, &there));
            }
            if let Some(least) = table.extreme("min", connection).await?.filter(|least| *least < 0) {
                let (place, cursor) = (&table.place, &table.config.cursor);
                return Err(
                    place.refused(format!("column {cursor} goes down to {least}; a cursor starts at 0 or above"))
                );
            }
            self.opened = Some(opened);
            self.check_position().await?;
        }
        Ok(true)
    }

    /// A table that never was is another flow's to create; one that was read is lost.
    fn nothing_there(&self) -> Result<bool> {
        if self.next == 0 { Ok(false) } else { Err(self.lost("the table does not exist")) }
    }

    /// Refuses a table that never had the rows before the position.
    async fn check_position(&mut self) -> Result<()> {
        let Some(opened) = &mut self.opened else { return Ok(()) };
        let (connection, place) = (&mut opened.connection, &self.table.place);
        let mut last = self.table.extreme("max", connection).await?;
        // Where SQLite remembers the greatest number it gave, the newest rows may have been deleted.
        let failed = || place.failed("look for the last number given");
        if self.numbered && has_table(connection, "sqlite_sequence").await.map_err(failed())? {
            let given = "SELECT s.seq FROM sqlite_sequence AS s WHERE s.name = ? COLLATE NOCASE";
            let given = sqlx::query_scalar(given).bind(&self.table.config.table).fetch_optional(connection).await;
            last = last.max(given.map_err(failed())?);
        }
        let end = last.map_or(0, |last| last.cast_unsigned() + 1);
        if end < self.next {
            return Err(self.lost(&format!("the table was truncated or recreated: it ends at {end}")));
        }
        Ok(())
    }

    fn lost(&self, what: &str) -> crate::Error {
        let (next, cursor) = (self.next, &self.table.config.cursor);
        self.table.place.refused(format!(
            "{what}, and the flow has already read the rows [0, {next}) of {cursor}. Put the old table back, or start \
             the flow anew: remove what its sink has written, and it reads from the first row"
        ))
    }
}

/// The rows of a page.
struct Rows<'t> {
    table: &'t Table,
    ids: UInt64Builder,
    columns: Vec<(&'t str, ColumnBuilder)>,
    to: u64,
}

impl<'t> Rows<'t> {
    fn new(table: &'t Table) -> Self {
        let columns = table.config.columns.iter().map(|(name, column)| (name.as_str(), ColumnBuilder::new(*column)));
        Self { table, ids: UInt64Builder::new(), columns: columns.collect(), to: 0 }
    }

    fn take(&mut self, row: &SqliteRow) -> Result<()> {
        let (place, cursor) = (&self.table.place, &self.table.config.cursor);
        let id = row.try_get::<i64, _>(0).ok().and_then(|id| u64::try_from(id).ok());
        let after = self.to;
        let id =
            id.ok_or_else(|| place.refused(format!("the first row after {cursor} {after} has no integer there")))?;
        for (index, (name, column)) in self.columns.iter_mut().enumerate() {
            let value = row.try_get_raw(index + 1).map_err(place.failed("read a column"))?;
            column.append(value).map_err(|problem| {
                let declared = self.table.schema.field(name).map(|field| crate::schema::type_name(field.data_type()));
                let declared = declared.unwrap_or_default();
                place.refused(format!(
                    "the row with {cursor} {id}: column {name}, declared {declared}, {problem}. Correct the row or the \
                     declared type"
                ))
            })?;
        }
        self.ids.append_value(id);
        self.to = id + 1;
        Ok(())
    }

    /// The rows, and the position after them; `None` when there are none.
    fn finish(mut self) -> Result<Option<(Chunk, u64)>> {
        let ids = self.ids.finish();
        if ids.values().is_empty() {
            return Ok(None);
        }
        let columns = self.columns.iter_mut().map(|(_, column)| column.finish()).collect();
        let rows = RecordBatch::try_new(Arc::clone(&self.table.schema.0), columns)?;
        Ok(Some((Chunk::new(0, ids, rows), self.to)))
    }
}
