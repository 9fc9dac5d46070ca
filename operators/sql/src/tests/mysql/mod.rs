//! Table stages on a real server, MySQL or MariaDB: each test has a database of its own there.

mod config;
mod contract;
mod faults;
mod identity;
mod inspect;
mod late;
mod proxy;
mod replica;
mod sink;
mod source;
mod speed;
mod types;

use super::SourceConfig;
use super::stands;
use crate::database::failpoint::Failpoints;
use crate::database::mysql::Login;
use crate::database::place::TablePlace;
use crate::sink::SqlSink;
use crate::sink::table::TableConfig;
use operators_core::config::Context;
use operators_core::runtime::wait;
use operators_core::stage::{BuiltSource, Read, Reader, Sink};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use testkit::servers::Servers;

/// A database on the server.
#[derive(Clone)]
pub(super) struct World {
    /// Without a database at its end.
    server: String,
    pub(super) name: String,
}

/// A database that is dropped at the end.
struct Own(World);

impl std::ops::Deref for Own {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // A test that fails leaves its database to be looked at.
        if !std::thread::panicking() {
            self.0.root().run(&format!("DROP DATABASE {}", self.0.name));
        }
    }
}

/// Set once it is dropped, by a test that fails too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An empty database; `None` without a server.
fn own() -> Option<Own> {
    own_on(&testkit::servers::ALL)
}

/// The same on a server of a set.
fn own_on(servers: &Servers) -> Option<Own> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let own = Own(World::named(servers, &format!("wf_{}_{number}", std::process::id()))?);
    own.root().run(&format!("CREATE DATABASE {}", own.name));
    Some(own)
}

/// A session of its own.
pub(super) struct Client(MySqlConnection);

impl Client {
    pub(super) fn new(url: &str) -> Self {
        let options: MySqlConnectOptions = url.parse().unwrap();
        Self(wait(async { Ok(options.disable_statement_logging().connect().await.unwrap()) }).unwrap())
    }

    pub(super) fn run(&mut self, sql: &str) {
        self.try_run(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn try_run(&mut self, sql: &str) -> sqlx::Result<u64> {
        let done = wait(async {
            Ok(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.0).await.map(|done| done.rows_affected()))
        });
        done.unwrap()
    }

    /// The first column of each row, which must be text.
    fn texts(&mut self, sql: &str) -> Vec<String> {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        let rows = wait(async { Ok(query.fetch_all(&mut self.0).await.unwrap()) }).unwrap();
        rows.iter().map(|row| row.try_get_unchecked(0).unwrap()).collect()
    }

    fn id(&mut self) -> String {
        self.texts("SELECT CAST(CONNECTION_ID() AS CHAR)").remove(0)
    }
}

impl World {
    fn named(servers: &Servers, name: &str) -> Option<Self> {
        let url = testkit::servers::mysql_of(servers)?;
        let (server, _) = url.rsplit_once('/').unwrap();
        Some(Self { server: server.to_owned(), name: name.to_owned() })
    }

    /// The database named after a folder.
    pub(super) fn of(dir: &Path) -> Self {
        let name: String = dir.to_str().unwrap().chars().filter(char::is_ascii_alphanumeric).collect();
        let world = Self::named(&testkit::servers::ALL, &format!("wf_{}_{name}", std::process::id())).unwrap();
        let marker = dir.join("mysql");
        if !marker.exists() {
            std::fs::write(marker, &world.name).unwrap();
            world.root().run(&format!("CREATE DATABASE {}", world.name));
        }
        world
    }

    pub(super) fn drop_of(dir: &Path) {
        if dir.join("mysql").exists() {
            drop(Own(Self::of(dir)));
        }
    }

    fn root(&self) -> Client {
        Client::new(&format!("{}/mysql", self.server))
    }

    pub(super) fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    pub(super) fn client(&self) -> Client {
        Client::new(&self.url())
    }

    fn run(&self, sql: &str) {
        self.client().run(sql);
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        self.client().texts(sql)
    }

    /// `HOST:PORT` of the server.
    fn address(&self) -> String {
        self.server.rsplit_once('@').unwrap().1.to_owned()
    }

    pub(super) fn sink(&self, failpoints: Failpoints) -> Box<dyn Sink> {
        self.sink_at(&self.url(), failpoints)
    }

    fn sink_at(&self, url: &str, failpoints: Failpoints) -> Box<dyn Sink> {
        let tls = Some(serde_json::from_str(r#"{"mode": "disabled"}"#).unwrap());
        let config = TableConfig { url: url.to_owned(), table: "temper`\"atures".into(), password: None, tls };
        let login = Login { password: None, tls: config.tls.as_ref() };
        match TablePlace::new(&config.url, &login, &config.table, &Context { dir: "/".into() }).unwrap() {
            TablePlace::MySql(place) => {
                let table = config.table(Ok(place), &super::schema()).unwrap();
                Box::new(SqlSink::with_failpoints(table, failpoints))
            }
            TablePlace::Sqlite(_) => unreachable!(),
        }
    }

    /// All that counts in the database. Ids are left out: what was rolled back leaves gaps in them.
    pub(super) fn dump(&self) -> Vec<String> {
        let mut client = self.client();
        let mut all = client.texts(
            "SELECT CONCAT_WS(' ', IFNULL(station, '-'), degrees, IFNULL(HEX(`key`), '-'), HEX(value)) \
             FROM `temper``\"atures` ORDER BY id",
        );
        all.extend(client.texts(
            "SELECT CONCAT_WS(' ', flow, source_partition, position, stage, reason, HEX(raw)) \
             FROM weatherflow_dead_letters ORDER BY source_partition, position",
        ));
        all.extend(client.texts("SELECT progress FROM weatherflow_progress").iter().map(|json| stands(json)));
        all
    }

    /// A source of table `t` of these columns and other settings, as a pipeline file writes them.
    fn source(&self, columns: &str, more: &str) -> BuiltSource {
        self.source_at(&self.url(), columns, more)
    }

    fn source_at(&self, url: &str, columns: &str, more: &str) -> BuiltSource {
        let json = format!(r#"{{"table": {{"url": "{url}", "table": "t", "columns": {columns}{more}}}}}"#);
        let config: SourceConfig = serde_json::from_str(&json).unwrap();
        config.build(&Context { dir: "/".into() }).unwrap()
    }
}

/// The ids that a reader gives, each page with the span it is, until there are so many rows. A reader that never gives
/// them ends the test.
fn ids(reader: &mut dyn Reader, next: &mut u64, rows: usize) -> Vec<u64> {
    let mut ids: Vec<u64> = Vec::new();
    let give_up = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while ids.len() < rows {
        assert!(std::time::Instant::now() < give_up, "only {} of {rows} rows came", ids.len());
        match reader.read().unwrap() {
            Read::Rows(chunk, span) => {
                assert_eq!((span.from.0, span.rows), (*next, chunk.len()), "pages follow each other");
                *next = span.to.0;
                ids.extend(chunk.positions.values());
            }
            Read::Pause(time) | Read::CaughtUp(time) => std::thread::sleep(time),
            Read::End => unreachable!("a table has no end"),
        }
    }
    ids
}

/// Reads often enough for a proof to be done, and sees nothing.
fn nothing_comes(reader: &mut dyn Reader) {
    for _ in 0..12 {
        match reader.read().unwrap() {
            Read::Rows(chunk, span) => panic!("{span}: {:?}", chunk.positions),
            Read::Pause(time) | Read::CaughtUp(time) => std::thread::sleep(time),
            Read::End => unreachable!("a table has no end"),
        }
    }
}
