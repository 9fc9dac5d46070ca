//! What a server says about a table that is to be read.

use super::answer::{NO_PRIVILEGE, NO_SUCH_STATEMENT, number, text, unsigned};
use super::value::Wire;
use crate::database::dialect::{Column, Dialect};
use crate::database::{Place, dialect};
use operators_core::error::Result;
use operators_core::types::DeclaredType;
use sqlx::mysql::MySqlConnection;
use sqlx::{Executor, MySql};
use std::collections::BTreeMap;

/// How the columns of a file come; refused when one cannot become what is declared.
pub(crate) fn wires(
    place: &Place<MySql>,
    there: &[Column],
    wanted: &BTreeMap<String, DeclaredType>,
) -> Result<Vec<Wire>> {
    let wire = |(name, wanted): (&String, &DeclaredType)| {
        let Some(column) = dialect::find(there, name) else {
            let there: Vec<_> = there.iter().map(|column| column.name.as_str()).collect();
            return Err(format!("there is no column {name}; the table has {}", there.join(", ")));
        };
        Wire::of(&column.declared, *wanted).map_err(|reason| format!("column {name}, declared {wanted}, {reason}"))
    };
    let wires: (Vec<_>, Vec<_>) = wanted.iter().map(wire).partition(std::result::Result::is_ok);
    let wrong: Vec<_> = wires.1.into_iter().filter_map(std::result::Result::err).collect();
    if wrong.is_empty() { Ok(wires.0.into_iter().flatten().collect()) } else { Err(place.refused(wrong.join("; "))) }
}

/// A column that can be a cursor.
pub(crate) struct CursorColumn {
    pub(crate) wire: Wire,
    /// Whether the server itself gives out its values.
    pub(crate) given_out: bool,
}

/// Finds out about the cursor; refused when the column can't be one.
pub(crate) async fn check_cursor(
    connection: &mut MySqlConnection,
    place: &Place<MySql>,
    there: &[Column],
    cursor: &str,
) -> Result<CursorColumn> {
    let Some(column) = dialect::find(there, cursor) else {
        let there: Vec<_> = there.iter().map(|column| column.name.as_str()).collect();
        return Err(place.refused(format!("there is no column {cursor}; the table has {}", there.join(", "))));
    };
    let wire = Wire::of(&column.declared, DeclaredType::Int64).ok();
    let wire =
        wire.filter(|wire| matches!(wire, Wire::Signed | Wire::Unsigned) && !column.declared.starts_with("year"));
    // A partial index (of the first bytes) is none; each index that has one column is unique for it alone.
    let sql = "SELECT count(*) FROM (SELECT s.index_name FROM information_schema.statistics AS s \
               WHERE s.table_schema = DATABASE() AND s.table_name = ? AND s.non_unique = 0 GROUP BY s.index_name \
               HAVING count(*) = 1 AND max(s.column_name) = ? AND max(s.sub_part) IS NULL) AS alone";
    let query = sqlx::query_scalar::<_, i64>(sql).bind(&place.name).bind(&column.name).fetch_one(&mut *connection);
    let unique = MySql::answer(query).await.map_err(place.failed("look at the indexes"))? > 0;
    let missing: Vec<_> =
        [(wire.is_some(), "an integer type"), (column.not_null, "NOT NULL"), (unique, "a UNIQUE index")]
            .into_iter()
            .filter_map(|(has, what)| (!has).then_some(what))
            .collect();
    let (Some(wire), true) = (wire, missing.is_empty()) else {
        return Err(place.refused(format!(
            "column {cursor} cannot be the cursor, rows could be lost: it lacks {}. Name an integer column that is \
             NOT NULL and UNIQUE, best an AUTO_INCREMENT",
            missing.join(" and ")
        )));
    };
    let sql = "SELECT c.extra FROM information_schema.columns AS c \
               WHERE c.table_schema = DATABASE() AND c.table_name = ? AND c.column_name = ?";
    let row = sqlx::query(sql).bind(&place.name).bind(&column.name).fetch_optional(connection);
    let row = MySql::answer(row).await.map_err(place.failed("look at the cursor"))?;
    let extra = row.map(|row| text(&row, 0)).transpose().map_err(place.failed("look at the cursor"))?.flatten();
    let given_out = extra.is_some_and(|extra| extra.to_ascii_lowercase().contains("auto_increment"));
    Ok(CursorColumn { wire, given_out })
}

/// What changes when another table takes the place of one, and is asked for cheaply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    /// When this table came to be. An ALTER TABLE may make another, and so does TRUNCATE on MySQL.
    created: Option<String>,
    /// The next id that the server will give out, where it does; TRUNCATE begins with 1 again.
    pub(crate) next: Option<u64>,
}

impl Trace {
    /// Whether this may be another table than the one that was seen before.
    pub(crate) fn differs_from(&self, before: &Self) -> bool {
        self.created != before.created || self.next.zip(before.next).is_some_and(|(now, before)| now < before)
    }
}

/// Looks at a table; `None` when there is none.
pub(crate) async fn trace(connection: &mut MySqlConnection, place: &Place<MySql>) -> Result<Option<Trace>> {
    let failed = || place.failed("look at the table");
    let sql = "SELECT CAST(t.create_time AS CHAR), t.auto_increment FROM information_schema.tables AS t \
               WHERE t.table_schema = DATABASE() AND t.table_name = ?";
    let row = MySql::answer(sqlx::query(sql).bind(&place.name).fetch_optional(connection)).await.map_err(failed())?;
    let Some(row) = row else { return Ok(None) };
    let read = || -> sqlx::Result<_> { Ok(Trace { created: text(&row, 0)?, next: unsigned(&row, 1)? }) };
    read().map(Some).map_err(failed())
}

/// What tells a table from another that took its place, however long ago: InnoDB's own number of it, which it keeps
/// until it is made anew, or the time when it was made where this user may not see that. `None` when there is no table.
pub(crate) async fn identity(connection: &mut MySqlConnection, place: &Place<MySql>) -> Result<Option<String>> {
    let failed = || place.failed("look at the table");
    // Each server executes one of the comments. The names of InnoDB differ in case where those of files do.
    let sql = "SELECT CAST(s.table_id AS CHAR) \
               FROM information_schema./*M! innodb_sys_tables *//*!80000 innodb_tables */ AS s \
               WHERE CAST(s.name AS BINARY) = CAST(CONCAT(DATABASE(), '/', ?) AS BINARY)";
    let row = MySql::answer(sqlx::query(sql).bind(&place.name).fetch_optional(&mut *connection)).await;
    let id = match row {
        Err(error) if matches!(number(&error), Some(NO_PRIVILEGE | NO_SUCH_STATEMENT)) => None,
        row => row.and_then(|row| row.map(|row| text(&row, 0)).transpose()).map_err(failed())?.flatten(),
    };
    let Some(id) = id else {
        let created = trace(connection, place).await?.and_then(|trace| trace.created);
        return Ok(created.map(|created| format!("table of {created}")));
    };
    // Servers number their tables alike; MySQL's have a name, which is kept with the data.
    let server = sqlx::raw_sql("SHOW GLOBAL VARIABLES LIKE 'server_uuid'").fetch_optional(connection);
    let server = MySql::answer(server).await.map_err(failed())?;
    let server = server.map(|row| text(&row, 1)).transpose().map_err(failed())?.flatten();
    Ok(Some(server.map_or_else(|| format!("table {id}"), |server| format!("table {id} of server {server}"))))
}

/// Name and version of the server, and the version of TLS where the connection is encrypted.
pub(super) async fn greeting(connection: &mut MySqlConnection) -> sqlx::Result<(String, Option<String>)> {
    let row = connection.fetch_one(sqlx::raw_sql("SELECT VERSION()")).await?;
    let version = text(&row, 0)?.unwrap_or_default();
    let name = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
    let number = version.split('-').next().unwrap_or_default();
    let row = connection.fetch_optional(sqlx::raw_sql("SHOW SESSION STATUS LIKE 'Ssl_version'")).await?;
    let encrypted = row.map(|row| text(&row, 1)).transpose()?.flatten();
    Ok((format!("{name} {number}"), encrypted.filter(|version| !version.is_empty())))
}
