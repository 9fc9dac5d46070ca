//! What the SQL stages ask of a database. [`Driver`] is what every database does the same way, [`Dialect`] is where
//! they differ; all that is built on these is written once.

use chrono::{DateTime, Utc};
use operators_core::error::Result;
use operators_core::inspect::Seen;
use operators_core::types::ColumnType;
use sqlx::database::HasStatementCache;
use sqlx::error::BoxDynError;
use sqlx::{Arguments, Execute, Executor, IntoArguments, MySql, Row, Sqlite};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Bytes after which a statement is full whatever its rows, so that rows of megabytes are not copied in hundreds.
pub(crate) const STATEMENT_BYTES: usize = 1 << 20;

/// A value on its way into a statement.
pub(crate) enum Cell<'a> {
    Null,
    Integer(i64),
    Unsigned(u64),
    Real(f64),
    Text(Arc<str>),
    Blob(&'a [u8]),
}

/// What sqlx does alike for each database, but has no bound for that code over all of them could ask for.
pub(crate) trait Driver: HasStatementCache + sqlx::Database<Arguments: IntoArguments<Self>> {
    /// Executes a statement; returns the number of rows it changed.
    async fn execute<'q>(
        connection: &mut Self::Connection,
        statement: impl Execute<'q, Self> + 'q,
    ) -> sqlx::Result<u64>;

    /// Executes a query for its first row.
    async fn first<'q>(
        connection: &mut Self::Connection,
        statement: impl Execute<'q, Self> + 'q,
    ) -> sqlx::Result<Option<Self::Row>>;

    /// An integer of a row.
    fn integer(row: &Self::Row, column: usize) -> sqlx::Result<Option<i64>>;

    /// A text of a row.
    fn text(row: &Self::Row, column: usize) -> sqlx::Result<Option<String>>;

    /// Adds a value to those of a statement.
    fn put(values: &mut Self::Arguments, cell: Cell<'_>) -> Result<(), BoxDynError>;
}

macro_rules! driver {
    ($database:ident, $unsigned:expr) => {
        impl Driver for $database {
            async fn execute<'q>(
                connection: &mut Self::Connection,
                statement: impl Execute<'q, Self> + 'q,
            ) -> sqlx::Result<u64> {
                Ok(Executor::execute(connection, statement).await?.rows_affected())
            }

            async fn first<'q>(
                connection: &mut Self::Connection,
                statement: impl Execute<'q, Self> + 'q,
            ) -> sqlx::Result<Option<Self::Row>> {
                connection.fetch_optional(statement).await
            }

            fn integer(row: &Self::Row, column: usize) -> sqlx::Result<Option<i64>> {
                row.try_get(column)
            }

            fn text(row: &Self::Row, column: usize) -> sqlx::Result<Option<String>> {
                row.try_get(column)
            }

            fn put(values: &mut Self::Arguments, cell: Cell<'_>) -> Result<(), BoxDynError> {
                match cell {
                    Cell::Null => values.add(None::<i64>),
                    Cell::Integer(value) => values.add(value),
                    Cell::Unsigned(value) => values.add($unsigned(value)),
                    Cell::Real(value) => values.add(value),
                    Cell::Text(value) => values.add(value),
                    Cell::Blob(value) => values.add(value.to_vec()),
                }
            }
        }
    };
}

driver!(Sqlite, crate::database::signed);
driver!(MySql, std::convert::identity::<u64>);

/// A column as the database describes it.
pub(crate) struct Column {
    pub(crate) name: String,
    /// As written in its table's definition.
    pub(crate) declared: String,
    pub(crate) not_null: bool,
    /// Whether it is part of the primary key.
    pub(crate) in_key: bool,
}

/// Finds a column as databases do: ASCII letters are the same in both cases.
pub(crate) fn find<'a>(columns: &'a [Column], name: &str) -> Option<&'a Column> {
    columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
}

/// Where one kind of database differs from another.
pub(crate) trait Dialect: Driver {
    /// A database, by its file or its address; displays without secrets.
    type Database: Clone + fmt::Debug + fmt::Display + Send + Sync + 'static;
    /// An open connection, and what is known of it.
    type Opened: Send + 'static;

    /// For people.
    const TITLE: &'static str;
    /// Types of columns, where this program creates them.
    const INTEGER: &'static str;
    const TEXT: &'static str;
    const BLOB: &'static str;
    /// A text that can be a primary key.
    const KEY_TEXT: &'static str;
    /// The type of an `id` that the database gives out.
    const ID: &'static str;
    /// What ends a CREATE TABLE, and one of a table that is read by its key.
    const TABLE_END: &'static str;
    const KEYED_TABLE_END: &'static str;
    /// Begins a transaction that writes.
    const BEGIN: &'static str;
    /// Whether a CREATE ends the transaction it stands in.
    const CREATE_ENDS_TRANSACTION: bool;
    /// What follows an INSERT to change the row there is, by its key `flow`, instead.
    const ON_CONFLICT: &'static str;
    /// An equality under which null is equal to null.
    const SAME: &'static str;
    /// Values of one statement at most.
    const VALUES: usize;
    /// What else it may mean that a table is not there.
    const OR_HIDDEN: &'static str;
    /// Whether integers above `i64::MAX` can be stored.
    const UNSIGNED: bool;

    /// A name as an SQL identifier.
    fn quoted(name: &str) -> String;

    /// The declared type of a column that holds values of a type; `None` when no column can.
    fn sql_type(column_type: &ColumnType) -> Option<Cow<'static, str>>;

    /// A point of time as its columns take it; `None` when they cannot hold it.
    fn timestamp(at: DateTime<Utc>) -> Option<String>;

    /// Why a number cannot be stored as it is.
    fn refuses(value: f64) -> Option<&'static str>;

    /// Whether an error says that the database is not there now, rather than that it does not want this.
    fn is_unavailable(error: &sqlx::Error) -> bool;

    /// Begins to read, with every statement seeing what was committed when the first began.
    async fn snapshot(connection: &mut Self::Connection) -> sqlx::Result<sqlx::Transaction<'_, Self>>;

    /// Waits for an answer as long as this kind of database may take.
    async fn answer<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T>;

    /// Waits for an answer to a question about all rows of a table.
    async fn long_answer<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T>;

    /// The columns of a table or view; none when it does not exist.
    async fn columns(connection: &mut Self::Connection, table: &str) -> sqlx::Result<Vec<Column>>;

    /// Bytes after which a statement is full.
    async fn statement_bytes(connection: &mut Self::Connection) -> sqlx::Result<usize>;

    /// What keeps a table out of transactions, if anything does.
    async fn not_transactional(connection: &mut Self::Connection, table: &str) -> sqlx::Result<Option<String>>;

    /// Opens for writing.
    async fn write(database: &Self::Database) -> Result<Self::Opened>;

    /// Makes sure, before a commit begins, that the connection still leads where it was opened; `place` is for errors.
    async fn still_open(database: &Self::Database, place: &str, opened: &mut Self::Opened) -> Result<()>;

    /// Reads without leaving a trace; `None` when there is no such database. The reading may be done twice.
    async fn look<T>(
        database: &Self::Database,
        reading: impl AsyncFnMut(&mut Self::Connection) -> Result<T>,
    ) -> Result<Option<T>>;

    /// Says what server answers on a connection, and how it is spoken to; `None` where there is none.
    async fn greet(database: &Self::Database, connection: &mut Self::Connection) -> Option<Result<Seen>>;

    /// Whether a database that is a file may be written to, or made; `None` where a server decides that.
    fn ground(database: &Self::Database) -> Option<Result<Seen>>;

    /// Has a statement looked at and not executed: an error where this user may not execute it.
    async fn try_out(connection: &mut Self::Connection, sql: String) -> sqlx::Result<()>;

    /// The connection itself.
    fn connection(opened: &mut Self::Opened) -> &mut Self::Connection;

    /// Ends the connection and with it any transaction.
    async fn close(opened: Self::Opened);
}

/// Whether there is a table or view of a name.
pub(crate) async fn has_table<D: Dialect>(connection: &mut D::Connection, table: &str) -> sqlx::Result<bool> {
    Ok(!D::answer(D::columns(connection, table)).await?.is_empty())
}
