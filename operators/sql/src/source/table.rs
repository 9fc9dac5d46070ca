//! `source.table`: the rows of a database table, in the order of their ids.

mod mysql;
mod rows;
mod sqlite;

use crate::database::count_by;
use crate::database::dialect::{Column, find};
use crate::database::mysql::{Login, identity};
use crate::database::place::TablePlace;
use crate::database::stored::Values;
use crate::database::{Dialect, Place, statement};
use operators_core::config::{Context, Interval, MysqlTls, Secret};
use operators_core::error::{Problem, Result};
use operators_core::inspect::{Extent, Inspect, Seen};
use operators_core::position::{Checkpoint, Lag, Position, Span};
use operators_core::runtime::wait;
use operators_core::schema::{self, Schema};
use operators_core::stage::{About, BuiltSource, Read, Reader, Recount, Removal, Share, Source};
use operators_core::types::DeclaredType;
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::mysql::MySqlConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{MySql, Sqlite};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reads the rows of a table in the order of an id that only grows.
///
/// ```toml
/// [flow.source.table]
/// url = "sqlite:data/weather.db"
/// table = "temperatures"
/// columns = { station_id = "string", date = "string", degrees = "float64" }
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// The database: `mysql://USER@HOST:PORT/DATABASE` (MySQL, MariaDB) or `sqlite:PATH`.
    pub url: String,
    /// The table.
    pub table: String,
    /// The user's password, for `mysql://`.
    pub password: Option<Secret>,
    /// How the connection is encrypted, for `mysql://`: `{ mode = "verify_identity", ca = "ca.pem" }`. The modes are
    /// `disabled`, `preferred` (the default), `required`, `verify_ca` and `verify_identity`; `cert` and `key` are files
    /// with a certificate of this program's own.
    pub tls: Option<MysqlTls>,
    /// Integer column that is unique, never null and only grows.
    #[serde(default = "id")]
    pub cursor: String,
    /// The columns to read and their types.
    pub columns: BTreeMap<String, DeclaredType>,
    /// How long an id that is missing may still appear, and whether to `fail` or to `skip` it after that, for `mysql://`
    /// where the server does not show which transactions are open: `{ wait = "10m", then = "fail" }`. It shows them to
    /// users with the PROCESS privilege, and then waits as long as it takes.
    pub late_commits: Option<LateCommits>,
    /// Identities under which this is the same table, for `mysql://`. A flow stops at another table under the old name,
    /// and cannot tell it from one that OPTIMIZE or an ALTER TABLE has made anew: the error names the identities to put
    /// here if every row is still there.
    #[serde(default)]
    pub known_as: Vec<String>,
}

/// How long a missing id may still appear.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LateCommits {
    /// Longer than any transaction that inserts rows.
    pub wait: Interval,
    /// What is done after that.
    pub then: AfterWait,
}

/// What is done about an id that is still missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AfterWait {
    /// stop, and name the gap
    Fail,
    /// go on, and warn of the number of ids passed over
    Skip,
}

fn id() -> String {
    "id".to_owned()
}

impl TableConfig {
    /// Builds the stage; asks no server.
    pub fn build(&self, context: &Context) -> Result<BuiltSource, Vec<Problem>> {
        let login = Login { password: self.password.as_ref(), tls: self.tls.as_ref() };
        let place = TablePlace::new(&self.url, &login, &self.table, context);
        let mut problems = place.as_ref().err().cloned().unwrap_or_default();
        if self.cursor.is_empty() {
            problems.push(Problem::at("cursor", "the cursor needs the name of a column"));
        }
        if self.columns.is_empty() {
            problems.push(
                Problem::at("columns", "there are no columns to read").help("write `columns = { name = \"string\" }`"),
            );
        }
        if self.late_commits.is_some() && matches!(place, Ok(TablePlace::Sqlite(_))) {
            let message = "a SQLite file has one writer at a time: no row commits late";
            problems.push(Problem::at("late_commits", message).help("remove it"));
        }
        if !self.known_as.is_empty() && matches!(place, Ok(TablePlace::Sqlite(_))) {
            problems.push(Problem::at("known_as", "a table in a SQLite file has no identity").help("remove it"));
        }
        match place {
            Ok(TablePlace::Sqlite(place)) if problems.is_empty() => Ok(self.built(place.id(), self.url.clone(), place)),
            // The URL itself may hold a password, and another user or spelling reads the same rows.
            Ok(TablePlace::MySql(place)) if problems.is_empty() => {
                Ok(self.built(place.id(), place.database.to_string(), place))
            }
            _ => Err(problems),
        }
    }

    fn built<D: Dialect>(&self, id: String, url: String, place: Place<D>) -> BuiltSource
    where
        TableSource<D>: Source + 'static,
    {
        let columns = self.columns.iter().map(|(name, declared)| schema::Column::new(name, *declared, true));
        let schema = Schema::new(columns.collect());
        let fingerprint = vec![("url", url), ("table", self.table.clone()), ("cursor", self.cursor.clone())];
        BuiltSource {
            schema: schema.clone(),
            place: id,
            about: About { summary: place.to_string(), fingerprint },
            source: Arc::new(TableSource(Arc::new(Table {
                place,
                schema,
                config: self.clone(),
                read_from: Mutex::default(),
            }))),
        }
    }
}

/// What to read, and how it is asked for.
struct Table<D: Dialect> {
    place: Place<D>,
    schema: Schema,
    config: TableConfig,
    /// The identity of the table that rows were read from, where it has one.
    read_from: Mutex<Option<String>>,
}

struct TableSource<D: Dialect>(Arc<Table<D>>);

impl Inspect for TableSource<Sqlite> {
    fn connect(&self, _flow: &str) -> Vec<Result<Seen>> {
        let table = &self.0;
        table.connect(async |connection: &mut SqliteConnection| {
            Ok(table.fits(connection).await?.map(|_| table.columns()))
        })
    }
}

impl Source for TableSource<Sqlite> {
    fn open(&self, share: Share, from: &Checkpoint) -> Result<Box<dyn Reader>> {
        reader(share, from, |next| sqlite::SqliteReader::open(Arc::clone(&self.0), next))
    }

    fn identity(&self) -> Result<Option<String>> {
        Ok(None)
    }

    fn count(&self, span: &Span, _: &mut dyn FnMut(u64)) -> Result<Recount> {
        self.0.count(span)
    }

    fn extents(&self) -> Result<Vec<Extent>> {
        self.0.extents()
    }
}

impl Inspect for TableSource<MySql> {
    fn connect(&self, _flow: &str) -> Vec<Result<Seen>> {
        let table = &self.0;
        table.connect(async |connection: &mut MySqlConnection| {
            let there = mysql::fits(table, connection).await?;
            Ok(there.map(|there| format!("{}; {}", table.columns(), there.late.way())))
        })
    }
}

impl Source for TableSource<MySql> {
    fn open(&self, share: Share, from: &Checkpoint) -> Result<Box<dyn Reader>> {
        reader(share, from, |next| mysql::MySqlReader::open(Arc::clone(&self.0), next))
    }

    fn identity(&self) -> Result<Option<String>> {
        let table = &self.0;
        let asked = MySql::look(&table.place.database, async |connection: &mut MySqlConnection| {
            let identity = identity(connection, &table.place).await?;
            table.is_still(identity.as_deref()).map(|()| identity)
        });
        Ok(wait(asked)?.flatten())
    }

    fn if_another(&self, stored: &str, now: Option<&str>) -> Option<String> {
        self.0.if_another(stored, now)
    }

    fn count(&self, span: &Span, _: &mut dyn FnMut(u64)) -> Result<Recount> {
        self.0.count(span)
    }

    fn extents(&self) -> Result<Vec<Extent>> {
        self.0.extents()
    }
}

/// A table is one partition: its owner gets the reader, and the others one that has nothing to do.
fn reader<R: Reader + 'static>(
    share: Share,
    from: &Checkpoint,
    open: impl FnOnce(u64) -> Result<R>,
) -> Result<Box<dyn Reader>> {
    if !share.owns(0) {
        return Ok(Box::new(Idle));
    }
    Ok(Box::new(open(from.position(0).unwrap_or_default().0)?))
}

impl<D: Dialect> Table<D> {
    /// A query of the table, which it names `t`.
    fn select(&self, what: &str, rest: &str) -> String {
        format!("SELECT {what} FROM {} AS t {rest}", D::quoted(&self.config.table))
    }

    fn cursor(&self) -> String {
        format!("t.{}", D::quoted(&self.config.cursor))
    }

    /// The columns to read, for people.
    fn columns(&self) -> String {
        let columns: Vec<_> = self.config.columns.keys().map(String::as_str).collect();
        format!("the columns {}", columns.join(", "))
    }

    /// The columns to read, the cursor first.
    fn all_columns(&self) -> String {
        let columns = self.config.columns.keys().map(|name| format!(", t.{}", D::quoted(name)));
        self.cursor() + &columns.collect::<String>()
    }

    /// Counts the rows between two ids, the second excluded.
    fn select_count(&self) -> String {
        let cursor = self.cursor();
        self.select("count(*)", &format!("WHERE {cursor} >= ? AND {cursor} < ?"))
    }

    /// Counts the rows that are left of a span: any of them may have been deleted.
    fn count(&self, span: &Span) -> Result<Recount> {
        if span.partition != 0 {
            return Ok(Recount::Gone);
        }
        let counted = D::look(&self.place.database, async |connection: &mut D::Connection| {
            let there = D::answer(D::columns(connection, &self.config.table)).await;
            if find(&there.map_err(self.place.failed("count rows"))?, &self.config.cursor).is_none() {
                return Ok(Recount::Gone);
            }
            let mut ends = Values::<D>::default();
            ends.unsigned(span.from.0)?;
            ends.unsigned(span.to.0)?;
            let query = statement::<D>(self.select_count(), ends.arguments());
            let rows = count_by::<D>(connection, query).await.map_err(self.place.failed("count rows"))?;
            Ok(Recount::Partial(rows, Removal::Delete))
        });
        Ok(wait(counted)?.unwrap_or(Recount::Gone))
    }

    /// Asks the database, and what the table is like: `fits` says it in words, or `None` where there is none.
    fn connect(&self, mut fits: impl AsyncFnMut(&mut D::Connection) -> Result<Option<String>>) -> Vec<Result<Seen>> {
        let place = &self.place;
        let asked = D::look(&place.database, async |connection: &mut D::Connection| {
            let greeting = D::greet(&place.database, connection).await;
            let table = fits(connection).await.map(|there| match there {
                Some(what) => Seen::Fine(format!("{place} is there, with {what}")),
                None => place.awaited(),
            });
            Ok(greeting.into_iter().chain([table]).collect())
        });
        match wait(asked) {
            Ok(seen) => seen.unwrap_or_else(|| vec![Ok(place.awaited())]),
            Err(error) => vec![Err(error)],
        }
    }

    /// From the least id there is to behind the greatest, as lag is counted.
    fn extents(&self) -> Result<Vec<Extent>> {
        let failed = || self.place.failed("find the ends of the cursor");
        // One extreme a question, which is what every database looks up in an index; as text, which holds every id.
        let extreme = |which| self.select(&format!("{which}({})", self.cursor()), "");
        let ends = format!("SELECT CAST(({}) AS CHAR), CAST(({}) AS CHAR)", extreme("min"), extreme("max"));
        let asked = D::look(&self.place.database, async |connection: &mut D::Connection| {
            let there = D::answer(D::columns(connection, &self.config.table)).await.map_err(failed())?;
            if find(&there, &self.config.cursor).is_none() {
                return Ok(Vec::new());
            }
            let ends = statement::<D>(ends.clone(), D::Arguments::default());
            let row = D::answer(D::first(connection, ends)).await.map_err(failed())?;
            let end = |column| row.as_ref().map_or(Ok(None), |row| D::text(row, column)).map_err(failed());
            let first = self.id(end(0)?)?.unwrap_or_default();
            let next = self.id(end(1)?)?.map_or(0, |greatest| greatest.saturating_add(1));
            Ok(vec![Extent { partition: 0, first: Position(first), next: Position(next), dense: false }])
        });
        Ok(wait(asked)?.unwrap_or_default())
    }

    fn id(&self, text: Option<String>) -> Result<Option<u64>> {
        let id = |text: String| {
            let cursor = &self.config.cursor;
            let holds = || format!("column {cursor} holds {text}; a cursor holds whole numbers from 0 on");
            text.parse().map_err(|_| self.place.refused(holds()))
        };
        text.map(id).transpose()
    }

    fn no_column(&self, name: &str, there: &[Column]) -> operators_core::Error {
        let there: Vec<_> = there.iter().map(|column| column.name.as_str()).collect();
        self.place.refused(format!("there is no column {name}; the table has {}", there.join(", ")))
    }

    fn goes_below_zero(&self, least: i64) -> operators_core::Error {
        let cursor = &self.config.cursor;
        self.place.refused(format!("column {cursor} goes down to {least}; a cursor starts at 0 or above"))
    }

    fn read_from(&self) -> MutexGuard<'_, Option<String>> {
        self.read_from.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses another table than the one that rows were read from.
    fn is_still(&self, now: Option<&str>) -> Result<()> {
        let mut read_from = self.read_from();
        let Some(before) = read_from.as_deref() else {
            *read_from = now.map(str::to_owned);
            return Ok(());
        };
        let Some(advice) = self.if_another(before, now) else { return Ok(()) };
        let now = now.unwrap_or("gone");
        Err(self.place.refused(format!(
            "the table was truncated, recreated or altered while it was read: it was {before} and is now {now}. {advice}"
        )))
    }

    /// What to do when the table of an identity became another; `None` when the file says that both are the same.
    fn if_another(&self, before: &str, now: Option<&str>) -> Option<String> {
        let known_as = &self.config.known_as;
        let known = |name: &str| known_as.iter().any(|known| known == name);
        let again = "remove what its sink has written, and it reads from the first row";
        let Some(now) = now else { return Some(format!("Put the old table back, or {again}")) };
        if before == now || known(before) && known(now) {
            return None;
        }
        let new = [before, now].into_iter().filter(|name| !known(name));
        let all: Vec<_> = known_as.iter().map(String::as_str).chain(new).map(|name| format!("\"{name}\"")).collect();
        Some(format!(
            "If it was only altered and every row is still there, set known_as = [{}] on its source, and the flow goes \
             on; if not, {again}",
            all.join(", ")
        ))
    }

    fn lost(&self, what: &str, next: u64) -> operators_core::Error {
        let cursor = &self.config.cursor;
        self.place.refused(format!(
            "{what}, and the flow has already read the rows [0, {next}) of {cursor}. Put the old table back, or start \
             the flow anew: remove what its sink has written, and it reads from the first row"
        ))
    }
}

/// The reader of a share without partitions.
struct Idle;

impl Reader for Idle {
    fn read(&mut self) -> Result<Read> {
        Ok(Read::End)
    }

    fn lag(&mut self) -> Result<Lag> {
        Ok(Lag::default())
    }
}
