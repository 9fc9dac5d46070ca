//! Whether a server's transactions tell of every row that may still come.

use super::look::open;
use crate::database::mysql::answer::{NO_PRIVILEGE, NO_SUCH_STATEMENT, number, text, unsigned};
use crate::database::{Dialect, Place};
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, MySql};
use std::collections::BTreeMap;

/// Where the server says of itself that it may apply changes of others, and what it says when it does not.
const ALONE: [(&str, &str); 5] = [
    ("read_only", "OFF"),
    ("super_read_only", "OFF"),
    ("innodb_read_only", "OFF"),
    ("wsrep_on", "OFF"),
    ("group_replication_single_primary_mode", "ON"),
];

/// Why transactions do not tell on this connection of this table's rows; `None` when they do on a server that is alone.
pub(super) async fn blind(
    connection: &mut MySqlConnection,
    place: &Place<MySql>,
    given_out: bool,
) -> sqlx::Result<Option<String>> {
    if !given_out {
        return Ok(Some("the cursor is not AUTO_INCREMENT, so ids may be taken outside of the server".to_owned()));
    }
    // What the server shows are InnoDB's transactions.
    let engine = MySql::answer(MySql::not_transactional(connection, &place.name)).await?;
    if engine.is_some() {
        return Ok(engine);
    }
    match MySql::answer(open(connection, 0, &BTreeMap::new())).await {
        Ok(_) => Ok(None),
        Err(error) if number(&error) == Some(NO_PRIVILEGE) => {
            Ok(Some("the user may not see open transactions (GRANT PROCESS ON *.* TO the user)".to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Why rows may come from transactions of another server, which this one does not show; `None` when it is alone.
pub(super) async fn elsewhere(connection: &mut MySqlConnection) -> sqlx::Result<Option<String>> {
    let what = "rows may come from transactions of another server, which this one does not show";
    let names = ALONE.map(|(name, _)| format!("'{name}'")).join(", ");
    let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})");
    for row in ask(connection, &sql).await? {
        let (name, value) = (text(&row, 0)?.unwrap_or_default(), text(&row, 1)?.unwrap_or_default());
        let alone = ALONE.iter().any(|(known, alone)| *known == name && value.eq_ignore_ascii_case(alone));
        if !alone {
            return Ok(Some(format!("{name} is {value} on the server: {what}")));
        }
    }
    // A replica may be written to, and is then not known by its variables.
    let sql = "SELECT count(*) FROM information_schema.processlist AS p \
               WHERE p.user = 'system user' AND p.command <> 'Daemon'";
    let mut applies = false;
    for row in ask(connection, sql).await? {
        applies |= unsigned(&row, 0)?.is_some_and(|threads| threads > 0);
    }
    if applies {
        return Ok(Some(format!("the server is a replica: {what}")));
    }
    // One that is stopped may be started again; not every user may know. Each server executes one of the comments.
    match ask(connection, "SHOW /*M! ALL SLAVES STATUS *//*!80022 REPLICA STATUS */").await {
        Ok(rows) if rows.is_empty() => Ok(None),
        Ok(_) => Ok(Some(format!("the server is a stopped replica (RESET REPLICA ALL makes an end of that): {what}"))),
        Err(error) if matches!(number(&error), Some(NO_PRIVILEGE | NO_SUCH_STATEMENT)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn ask(connection: &mut MySqlConnection, sql: &str) -> sqlx::Result<Vec<MySqlRow>> {
    MySql::answer(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(connection)).await
}
