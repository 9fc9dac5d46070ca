//! Reads a table of a SQLite file.

use super::Table;
use super::rows::Rows;
use crate::chunk::Chunk;
use crate::config::ColumnType;
use crate::error::Result;
use crate::position::{Lag, Position, Span};
use crate::runtime::wait;
use crate::sql::Dialect;
use crate::sql::column::AGAIN;
use crate::sql::dialect::{Column, find, has_table};
use crate::sql::signed;
use crate::sql::sqlite::database::Opened;
use crate::sql::sqlite::{page, statement, value};
use crate::stage::{Read, Reader};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, Sqlite};
use std::sync::Arc;

impl Table<Sqlite> {
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
        let query = statement(self.select(&self.all_columns(), &rest)).bind(signed(next)).bind(count);
        let mut rows = Rows::new(self, next);
        page::read(&mut tx, &self.place, query, count, |row: &SqliteRow| take(&mut rows, row)).await?;
        rows.finish()
    }

    /// The bytes of a row as an SQL expression; numbers do not count.
    fn row_bytes(&self) -> String {
        use ColumnType::{Bytes, Date, String, Timestamp};
        let of_any_length = |(_, column): &(_, &ColumnType)| matches!(column, String | Bytes | Date | Timestamp);
        let columns = self.config.columns.iter().filter(of_any_length);
        let lengths: Vec<_> =
            columns.map(|(name, _)| format!("ifnull(octet_length(t.{}), 0)", Sqlite::quoted(name))).collect();
        if lengths.is_empty() { "0".to_owned() } else { lengths.join(" + ") }
    }

    /// Whether the cursor is the number SQLite itself gives to rows; `None` where there is no table. Refused when it
    /// cannot be read as the file says.
    pub(super) async fn fits(&self, connection: &mut SqliteConnection) -> Result<Option<bool>> {
        let there = Sqlite::columns(connection, &self.config.table).await;
        let there = there.map_err(self.place.failed("look for the table"))?;
        if there.is_empty() {
            return Ok(None);
        }
        let numbered = self.check_cursor(connection, &there).await?;
        if let Some(name) = self.config.columns.keys().find(|name| find(&there, name).is_none()) {
            return Err(self.no_column(name, &there));
        }
        match self.extreme("min", connection).await? {
            Some(least) if least < 0 => Err(self.goes_below_zero(least)),
            _ => Ok(Some(numbered)),
        }
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
}

pub(super) struct SqliteReader {
    table: Arc<Table<Sqlite>>,
    /// The next id to read.
    next: u64,
    /// Only once the table is there and fits.
    opened: Option<Opened>,
    /// Whether the cursor is the number SQLite itself gives to rows.
    numbered: bool,
}

impl Reader for SqliteReader {
    fn read(&mut self) -> Result<Read> {
        wait(async {
            if !self.ready().await? {
                return Ok(Read::CaughtUp(AGAIN));
            }
            let Some(opened) = &mut self.opened else { return Ok(Read::CaughtUp(AGAIN)) };
            let Some((chunk, to)) = self.table.page(&mut opened.connection, self.next).await? else {
                self.check_position().await?;
                return Ok(Read::CaughtUp(AGAIN));
            };
            let span = Span { partition: 0, from: Position(self.next), to: Position(to), rows: chunk.len() };
            self.next = to;
            Ok(Read::Rows(chunk, span))
        })
    }

    fn lag(&mut self) -> Result<Lag> {
        wait(async {
            if !self.ready().await? {
                return Ok(Lag::default());
            }
            let Some(opened) = &mut self.opened else { return Ok(Lag::default()) };
            let last = self.table.extreme("max", &mut opened.connection).await?;
            let end = last.map_or(0, |last| last.cast_unsigned() + 1);
            Ok(Lag::of(0, end.saturating_sub(self.next)))
        })
    }
}

impl SqliteReader {
    /// A reader that has seen what there is, and found that it fits.
    pub(super) fn open(table: Arc<Table<Sqlite>>, next: u64) -> Result<Self> {
        let mut reader = Self { table, next, opened: None, numbered: false };
        wait(reader.ready())?;
        Ok(reader)
    }

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
            let Some(numbered) = table.fits(&mut opened.connection).await? else { return self.nothing_there() };
            self.numbered = numbered;
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
        if self.numbered && has_table::<Sqlite>(connection, "sqlite_sequence").await.map_err(failed())? {
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
        self.table.lost(what, self.next)
    }
}

fn take(rows: &mut Rows<'_, Sqlite>, row: &SqliteRow) -> Result<()> {
    let id = row.try_get::<i64, _>(0).ok().and_then(|id| u64::try_from(id).ok());
    rows.take(id, |index, column| {
        let value = row.try_get_raw(index).map_err(|error| format!("cannot be read: {error}"))?;
        value::append(column, value)
    })
}
