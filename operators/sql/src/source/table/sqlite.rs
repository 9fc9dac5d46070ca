//! Reads a table of a SQLite file.

use super::Table;
use super::rows::Rows;
use crate::database::Dialect;
use crate::database::column::{AGAIN, varies_in_length};
use crate::database::dialect::{Column, find, has_table};
use crate::database::signed;
use crate::database::sqlite::database::Opened;
use crate::database::sqlite::{page, statement, value};
use operators_core::chunk::Chunk;
use operators_core::error::Result;
use operators_core::position::{Lag, Position, Span};
use operators_core::runtime::wait;
use operators_core::stage::{Read, Reader};
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
        let columns = self.config.columns.iter().filter(|(_, declared)| varies_in_length(**declared));
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
        self.check_least(connection).await?;
        Ok(Some(numbered))
    }

    /// Refuses rows that would never be read: a cursor begins at 0.
    async fn check_least(&self, connection: &mut SqliteConnection) -> Result<()> {
        match self.extreme("min", connection).await? {
            Some(least) if least < 0 => Err(self.goes_below_zero(least)),
            _ => Ok(()),
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
    cursor: Cursor,
    /// Only once the table is there and fits.
    opened: Option<Opened>,
}

/// How far the table is read.
struct Cursor {
    table: Arc<Table<Sqlite>>,
    /// The next id to read.
    next: u64,
    /// Whether the cursor is the number SQLite itself gives to rows.
    numbered: bool,
}

impl Reader for SqliteReader {
    fn read(&mut self) -> Result<Read> {
        wait(async {
            let Some((cursor, opened)) = self.ready().await? else { return Ok(Read::CaughtUp(AGAIN)) };
            let Some((chunk, to)) = cursor.table.page(&mut opened.connection, cursor.next).await? else {
                cursor.check(&mut opened.connection).await?;
                return Ok(Read::CaughtUp(AGAIN));
            };
            let span =
                Span { partition: 0, from: Position(cursor.next), to: Position(to), rows: chunk.len(), anchor: None };
            cursor.next = to;
            Ok(Read::Rows(chunk, span))
        })
    }

    fn lag(&mut self) -> Result<Lag> {
        wait(async {
            let Some((cursor, opened)) = self.ready().await? else { return Ok(Lag::default()) };
            let last = cursor.table.extreme("max", &mut opened.connection).await?;
            Ok(Lag::of(0, behind(last).saturating_sub(cursor.next)))
        })
    }
}

/// The first id after the greatest one there is; all of them may be below zero, where none is read.
fn behind(greatest: Option<i64>) -> u64 {
    greatest.and_then(|greatest| u64::try_from(greatest).ok()).map_or(0, |greatest| greatest + 1)
}

impl SqliteReader {
    /// A reader that has seen what there is, and found that it fits.
    pub(super) fn open(table: Arc<Table<Sqlite>>, next: u64) -> Result<Self> {
        let mut reader = Self { cursor: Cursor { table, next, numbered: false }, opened: None };
        wait(async { reader.ready().await.map(drop) })?;
        Ok(reader)
    }

    /// What there is to read, if there is a table; checks it whenever it appears.
    async fn ready(&mut self) -> Result<Option<(&mut Cursor, &mut Opened)>> {
        let Self { cursor, opened } = self;
        let database = &cursor.table.place.database;
        let file = database.file()?;
        if opened.as_ref().is_some_and(|opened| Some(opened.file) != file) {
            *opened = None;
            if cursor.next > 0 {
                return Err(cursor.lost("the database was deleted or replaced while it was read"));
            }
        }
        if opened.is_none() {
            let Some(mut found) = database.read().await? else { return cursor.nothing_there() };
            let Some(numbered) = cursor.table.fits(&mut found.connection).await? else {
                return cursor.nothing_there();
            };
            cursor.numbered = numbered;
            cursor.check_position(&mut opened.insert(found).connection).await?;
        }
        Ok(opened.as_mut().map(|opened| (cursor, opened)))
    }
}

impl Cursor {
    /// A table that never was is another flow's to create; one that was read is lost.
    fn nothing_there<T>(&self) -> Result<Option<T>> {
        if self.next == 0 { Ok(None) } else { Err(self.lost("the table does not exist")) }
    }

    /// Refuses a table whose rows are not all behind this position or before it.
    async fn check(&self, connection: &mut SqliteConnection) -> Result<()> {
        self.table.check_least(connection).await?;
        self.check_position(connection).await
    }

    /// Refuses a table that never had the rows before the position.
    async fn check_position(&self, connection: &mut SqliteConnection) -> Result<()> {
        let place = &self.table.place;
        let mut last = self.table.extreme("max", connection).await?;
        // Where SQLite remembers the greatest number it gave, the newest rows may have been deleted.
        let failed = || place.failed("look for the last number given");
        if self.numbered && has_table::<Sqlite>(connection, "sqlite_sequence").await.map_err(failed())? {
            let given = "SELECT s.seq FROM sqlite_sequence AS s WHERE s.name = ? COLLATE NOCASE";
            let given = sqlx::query_scalar(given).bind(&self.table.config.table).fetch_optional(connection).await;
            last = last.max(given.map_err(failed())?);
        }
        let end = behind(last);
        if end < self.next {
            return Err(self.lost(&format!("the table was truncated or recreated: it ends at {end}")));
        }
        Ok(())
    }

    fn lost(&self, what: &str) -> operators_core::Error {
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
