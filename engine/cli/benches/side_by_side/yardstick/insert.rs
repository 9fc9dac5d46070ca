//! Rows of files into a table, and nothing else.

use super::Table;
use sqlx::mysql::MySqlArguments;
use sqlx::{Arguments, AssertSqlSafe, Connection, MySqlConnection};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const INSERT_NOTE: &str = "sqlx, prepared INSERTs of 1,000 rows, without TLS";

/// Rows of one statement: of 256, 1,000 and 4,000 what was fastest, if not by much.
const EACH: usize = 1_000;

/// Files as `LOAD DATA` reads them, each into the table in a transaction of its own.
#[derive(clap::Args)]
pub struct Rows {
    #[command(flatten)]
    of: Table,
    files: Vec<PathBuf>,
}

impl Rows {
    pub fn insert(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = MySqlConnection::connect(&self.of.url).await.unwrap();
            for file in &self.files {
                self.insert_file(&mut connection, file).await;
            }
        });
    }

    async fn insert_file(&self, connection: &mut MySqlConnection, file: &Path) {
        let text = std::fs::read_to_string(file).unwrap();
        let rows: Vec<_> = text.lines().collect();
        let full: Arc<str> = self.sql(EACH).into();
        let mut tx = connection.begin().await.unwrap();
        for rows in rows.chunks(EACH) {
            let mut values = MySqlArguments::default();
            for row in rows {
                let mut fields = row.split('\t');
                values.add(fields.next().unwrap()).unwrap();
                values.add(fields.next().unwrap()).unwrap();
                values.add(fields.next().unwrap().parse::<f64>().unwrap()).unwrap();
            }
            let sql = if rows.len() == EACH { Arc::clone(&full) } else { self.sql(rows.len()).into() };
            sqlx::query_with(AssertSqlSafe(sql), values).execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    fn sql(&self, rows: usize) -> String {
        let values = vec!["(?,?,?)"; rows].join(",");
        format!("INSERT INTO {} (station_id, date, degrees) VALUES {values}", self.of.table)
    }
}
