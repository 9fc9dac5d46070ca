//! The generate leg: simulated rows into a table of a database.

use crate::contest::{Outcome, Side, contest};
use crate::process::{self, Taken, weatherflow};
use crate::world::{self, World};
use crate::yardstick;
use stages::source::weather::expected;
use std::cell::OnceCell;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use testkit::servers::BENCH;
use testkit::unique;

const GENERATE: &str = "generate";
const INSERT: &str = "bare INSERT";
const LOAD: &str = "LOAD DATA";
/// Of the rows of a run, this leg moves one in so many: a server takes some five seconds for a million.
const PART: u64 = 10;
/// The columns that the rows have, and what the product makes of them in a table.
const COLUMNS: &str = "station_id, date, degrees";
const DEFINITION: &str = "(id BIGINT AUTO_INCREMENT PRIMARY KEY, station_id LONGTEXT, date LONGTEXT, degrees DOUBLE) \
     ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin";

/// From the source to the table, beside clients that have the rows in files and insert them into such a table in as many
/// transactions.
pub fn generate(world: &World) -> Outcome {
    let rows = world.rows / PART;
    let dir = world.empty("generate");
    // One file for each commit of the first round.
    let files: OnceCell<Vec<PathBuf>> = OnceCell::new();
    let into_table = || {
        let table = table();
        let taken = through(world, &dir, &table, rows);
        files.get_or_init(|| write_files(&dir, rows, commits(&table)));
        drop_table(&table);
        taken
    };
    let files = || files.get().unwrap();
    let insert = || {
        let (table, url) = (empty_table(), world::database_url());
        let mut command = yardstick::command("mysql-insert", &["--url", &url, "--table", &table]);
        let taken = process::run(command.args(files()));
        check_and_drop(&table, rows);
        taken
    };
    let load = || {
        let table = empty_table();
        let load = |file: &PathBuf| {
            let file = file.display();
            format!("START TRANSACTION; LOAD DATA LOCAL INFILE '{file}' INTO TABLE {table} ({COLUMNS}); COMMIT; ")
        };
        let statements: String = files().iter().map(load).collect();
        let taken = process::run(&mut BENCH.script(&["sql", &in_database(&statements)]));
        check_and_drop(&table, rows);
        taken
    };
    let mut outcome = contest(
        rows,
        world.rounds,
        vec![
            Side::new(GENERATE, "MariaDB without TLS, commits as the memory budget asks", into_table),
            Side::new(INSERT, yardstick::INSERT_NOTE, insert),
            Side::new(LOAD, "LOCAL INFILE by MariaDB's own client", load),
        ],
    );
    let better = if outcome.slower(INSERT, LOAD) == INSERT { LOAD } else { INSERT };
    outcome.ask_rate(GENERATE, better, 0.7);
    outcome.ask_memory(GENERATE, 256.0);
    outcome
}

fn through(world: &World, dir: &Path, table: &str, rows: u64) -> Taken {
    let (source, at) = (world::weather(rows), world::database_table(table));
    let file = world.pipeline(dir, &[format!("[[flow]]\nname = \"{table}\"\n{source}[flow.sink.table]\n{at}")]);
    let taken = process::run(&mut weatherflow(&["run", "--drain"], &file));
    process::run(&mut weatherflow(&["verify"], &file));
    taken
}

/// The rows in so many files, as `LOAD DATA` takes them.
fn write_files(dir: &Path, rows: u64, files: u64) -> Vec<PathBuf> {
    let config = world::weather_config();
    let write_file = |file: u64| {
        let mut text = String::new();
        for row in rows * file / files..rows * (file + 1) / files {
            let (station, date, degrees) = expected(&config, row);
            writeln!(text, "{station}\t{date}\t{degrees}").unwrap();
        }
        let path = dir.join(format!("{file}.tsv"));
        std::fs::write(&path, text).unwrap();
        path
    };
    (0..files).map(write_file).collect()
}

/// A table that no other round has, whose flow has its name.
fn table() -> String {
    unique("generated").replace('-', "_")
}

fn empty_table() -> String {
    let table = table();
    sql(&format!("CREATE TABLE {table} {DEFINITION}"));
    table
}

/// How often a table's flow has committed.
fn commits(table: &str) -> u64 {
    sql(&format!("SELECT version + 1 FROM weatherflow_progress WHERE flow = 'bench/{table}'")).parse().unwrap()
}

fn check_and_drop(table: &str, rows: u64) {
    assert_eq!(sql(&format!("SELECT count(*) FROM {table}")), rows.to_string());
    drop_table(table);
}

/// So that one round does not leave the next less room.
fn drop_table(table: &str) {
    sql(&format!("DROP TABLE {table}"));
}

/// What a statement answers in its last line.
fn sql(statement: &str) -> String {
    BENCH.command(&["sql", &in_database(statement)]).lines().last().unwrap_or_default().to_owned()
}

fn in_database(statements: &str) -> String {
    let url = world::server("mysql", "MYSQL_URL");
    format!("USE {}; {statements}", url.rsplit_once('/').unwrap().1)
}
