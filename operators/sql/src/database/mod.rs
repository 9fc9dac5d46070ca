//! What sources and sinks share: databases, tables and topics in them, statements and values.

pub(crate) mod column;
pub(crate) mod dialect;
pub(crate) mod failpoint;
pub(crate) mod mysql;
pub(crate) mod place;
pub(crate) mod sqlite;
pub(crate) mod stored;
pub(crate) mod transaction;

pub(crate) use dialect::Dialect;
pub(crate) use place::{Kind, Place};
pub(crate) use transaction::Transaction;

/// A statement with its values.
pub(crate) type Statement<'q, D> = sqlx::query::Query<'q, D, <D as sqlx::Database>::Arguments>;

/// A statement built at run time. Names in it went through [`Dialect::quoted`], values are bound.
pub(crate) fn statement<'q, D: Dialect>(sql: String, values: D::Arguments) -> Statement<'q, D> {
    sqlx::query_with(sqlx::AssertSqlSafe(sql), values)
}

/// Positions, versions and counts as columns of 64 bits have them; no database holds more than `i64::MAX` of anything
/// but ids.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number that a query gives, which looks at every row of a table.
pub(crate) async fn count_by<D: Dialect>(connection: &mut D::Connection, query: Statement<'_, D>) -> sqlx::Result<u64> {
    let row = D::long_answer(D::first(connection, query)).await?.ok_or(sqlx::Error::RowNotFound)?;
    Ok(D::integer(&row, 0)?.unwrap_or(0).cast_unsigned())
}
