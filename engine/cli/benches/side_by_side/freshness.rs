//! How long after its INSERT a row is in Parquet, and what the job takes while nothing comes.

use crate::batches::Batch;
use crate::contest::{Goal, Outcome, quantile};
use crate::process::{Running, weatherflow};
use crate::world::{self, Topic, World};
use sqlx::{Connection, MySqlConnection};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use testkit::unique;

/// Rows that one INSERT has, and the time between two of them: 10,000 rows a second.
const INSERT: usize = 100;
const PACE: Duration = Duration::from_millis(10);
/// Rows in all: half a minute.
const ROWS: usize = 300_000;
/// How long the idle job is watched, after it has come to rest.
const IDLE: Duration = Duration::from_secs(30);

/// Rows at a steady pace through MySQL, Kafka and Parquet, and then none.
pub fn freshness(world: &World) -> Outcome {
    let dir = world.empty("freshness");
    let table = unique("fresh").replace('-', "_");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut connection = runtime.block_on(MySqlConnection::connect(&world::database_url())).unwrap();
    let create = format!(
        "CREATE TABLE {table} (id BIGINT AUTO_INCREMENT PRIMARY KEY, station_id VARCHAR(64) NOT NULL, date VARCHAR(10) \
         NOT NULL, degrees DOUBLE NOT NULL)"
    );
    runtime.block_on(sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection)).unwrap();
    let topic = Topic { brokers: world.brokers(), name: unique("fresh"), rows: ROWS as u64 };
    let flows = [world::publish(&table, &topic, "1s"), world::archive(&topic, "1s", "file:archive")];
    let file = world.pipeline(&dir, &flows);
    let mut job = Running::start(&mut weatherflow(&["run"], &file));

    // Row n says in its degrees that it is n.
    let mut inserted = vec![None; ROWS];
    let mut seen = vec![None; ROWS];
    thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&dir.join("archive"), &mut seen));
        let began = Instant::now();
        for n in 0..ROWS / INSERT {
            thread::sleep((began + PACE * n as u32).saturating_duration_since(Instant::now()));
            let rows = n * INSERT..(n + 1) * INSERT;
            let values: Vec<_> =
                rows.clone().map(|row| format!("('station-{}','2000-01-01',{row})", row % 40)).collect();
            let insert = format!("INSERT INTO {table} (station_id, date, degrees) VALUES {}", values.join(","));
            runtime.block_on(sqlx::raw_sql(sqlx::AssertSqlSafe(insert)).execute(&mut connection)).unwrap();
            let now = Instant::now();
            inserted[rows].fill(Some(now));
        }
        watcher.join().unwrap();
    });
    let age =
        |(seen, inserted): (&Option<Instant>, &Option<Instant>)| (seen.unwrap() - inserted.unwrap()).as_secs_f64();
    let ages: Vec<_> = seen.iter().zip(&inserted).map(age).collect();

    thread::sleep(Duration::from_secs(5));
    let before = job.cpu_seconds();
    thread::sleep(IDLE);
    let idle = (job.cpu_seconds() - before) / IDLE.as_secs_f64() * 100.0;
    assert!(job.look().is_none(), "{}", job.printed());
    job.interrupt();
    job.end();
    crate::process::run(&mut weatherflow(&["verify"], &file));
    Outcome::of([
        Goal::at_most("INSERT to Parquet at 10,000 rows/s, half of the rows", quantile(&ages, 0.5), 1.5, "s"),
        Goal::at_most("INSERT to Parquet at 10,000 rows/s, 99 of 100 rows", quantile(&ages, 0.99), 3.0, "s"),
        Goal::at_most("two flows with nothing arriving: part of one core", idle, 1.0, "%"),
    ])
}

/// Notes when each row is there for readers.
fn watch(archive: &Path, seen: &mut [Option<Instant>]) {
    let (mut batch, mut count) = (0, 0);
    while count < seen.len() {
        let Some(found) = Batch::find(archive, batch) else {
            thread::sleep(Duration::from_millis(2));
            continue;
        };
        let now = Instant::now();
        for row in found.degrees() {
            assert!(seen[row as usize].replace(now).is_none(), "row {row} came twice");
            count += 1;
        }
        batch += 1;
    }
}
