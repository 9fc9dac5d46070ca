//! A loop over the rows of a table that only counts.

use super::Table;
use sqlx::{AssertSqlSafe, Connection, Row};

pub const SELECT_NOTE: &str = "sqlx, one streamed query of the same columns, without TLS";

/// All rows of a table.
#[derive(clap::Args)]
pub struct Rows {
    #[command(flatten)]
    of: Table,
    /// How many there are.
    #[arg(long)]
    count: u64,
}

impl Rows {
    pub fn select(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.all());
    }

    async fn all(&self) {
        let mut connection = sqlx::MySqlConnection::connect(&self.of.url).await.unwrap();
        let sql = format!("SELECT id, date, degrees, station_id FROM {}", self.of.table);
        let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut connection);
        let (mut count, mut bytes, mut sum) = (0, 0, 0.0);
        while let Some(row) = std::future::poll_fn(|cx| rows.as_mut().poll_next(cx)).await.transpose().unwrap() {
            let (id, date, degrees, station): (i64, &str, f64, &str) = (row.get(0), row.get(1), row.get(2), row.get(3));
            count += u64::from(id >= 0);
            bytes += date.len() + station.len();
            sum += degrees;
        }
        assert_eq!(count, self.count, "{bytes} bytes, {sum} degrees");
    }
}
