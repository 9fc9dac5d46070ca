//! A SQLite database: how it is opened for writing, for reading, and for a look that leaves no trace.

use crate::database::column::PAGE_ROWS;
use operators_core::config::shown;
use operators_core::error::{Error, Result};
use operators_core::inspect::{Ground, Seen, ground, may_write};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long to wait for another writer of the same database.
const PATIENCE: Duration = Duration::from_secs(30);

/// Rows between the thread that steps through a result and the one that takes them: a whole page, so that neither
/// waits for the other. What a page may hold bounds the memory.
const ROWS_IN_FLIGHT: usize = PAGE_ROWS as usize;

/// A database, by its file.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    path: PathBuf,
}

/// Tells a file from another one under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

/// What tells one state of a file from another while nobody writes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AtRest {
    inode: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    length: u64,
}

/// An open connection, and the file it was opened on.
pub(crate) struct Opened {
    pub(crate) connection: SqliteConnection,
    pub(crate) file: FileId,
}

impl Database {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that has the name now; `None` when there is none.
    pub(crate) fn file(&self) -> Result<Option<FileId>> {
        Ok(self.metadata(&self.path)?.map(|data| FileId { device: data.dev(), inode: data.ino() }))
    }

    /// Opens for writing, and creates the database and its folder when they are not there.
    pub(crate) async fn write(&self) -> Result<Opened> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(|source| self.io("create the folder of", source))?;
        }
        // FULL: another flow reads, and may publish elsewhere, what a power cut would otherwise take back.
        let options = self
            .options()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self.connect(&options).await {
                // SQLite does not wait by itself while another program switches a new database to WAL.
                Err(error) if has_code(&error, SQLITE_BUSY) && Instant::now() < give_up => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                connected => return connected.map_err(|error| self.failed(error)),
            }
        }
    }

    /// Opens for reading; `None` when there is no such file. Creates nothing.
    pub(crate) async fn read(&self) -> Result<Option<Opened>> {
        if self.file()?.is_none() {
            return Ok(None);
        }
        let opened = match self.connect(&self.options().read_only(true)).await {
            // A crash left a change half done, and only who may write takes it back, as everyone who opens it does.
            Err(error) if has_code(&error, SQLITE_READONLY) => self.connect(&self.options()).await,
            opened => opened,
        };
        opened.map(Some).map_err(|error| self.failed(error))
    }

    /// Reads without leaving a trace, not even the lock files of a reader; `None` when there is no such file. The
    /// reading may be done twice.
    pub(crate) async fn look<T>(
        &self,
        mut reading: impl AsyncFnMut(&mut SqliteConnection) -> Result<T>,
    ) -> Result<Option<T>> {
        // At rest the file is all there is, and is read as it is; the reading counts if it was at rest to the end.
        if let Some(before) = self.at_rest()? {
            let options = self.options().read_only(true).immutable(true);
            if let Ok(mut opened) = self.connect(&options).await {
                let seen = reading(&mut opened.connection).await;
                if self.at_rest()? == Some(before) {
                    return seen.map(Some);
                }
            }
        }
        match self.read().await? {
            Some(mut opened) => {
                let read = reading(&mut opened.connection).await;
                // A connection that is only dropped is closed some time later, and its log files stay until then.
                opened.close().await;
                read.map(Some)
            }
            None => Ok(None),
        }
    }

    /// Whether it may be written to, or made. Its log lies beside it, so that its folder must be writable too.
    pub(crate) fn ground(&self) -> Result<Seen> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let below = ground(folder).map_err(|source| self.io("write to", source))?;
        if self.file()?.is_some() {
            may_write(&self.path).map_err(|source| self.io("write to", source))?;
            return Ok(Seen::Fine(format!("{self} may be written to")));
        }
        let below = match below {
            Ground::There => shown(folder),
            Ground::Below(above) => above,
        };
        Ok(Seen::NotYet(format!("{self} is not there yet; it will be made, and {below} allows that")))
    }

    /// The state of the file; `None` while somebody is writing, or there is none.
    fn at_rest(&self) -> Result<Option<AtRest>> {
        for journal in ["-wal", "-journal"] {
            let mut name = self.path.clone().into_os_string();
            name.push(journal);
            if self.metadata(Path::new(&name))?.is_some() {
                return Ok(None);
            }
        }
        Ok(self.metadata(&self.path)?.map(|data| AtRest {
            inode: data.ino(),
            modified: (data.mtime(), data.mtime_nsec()),
            length: data.len(),
        }))
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.path)
            .busy_timeout(PATIENCE)
            .row_buffer_size(ROWS_IN_FLIGHT)
            .disable_statement_logging()
    }

    async fn connect(&self, options: &SqliteConnectOptions) -> sqlx::Result<Opened> {
        let mut connection = options.connect().await?;
        // Opening alone reads nothing; this tells at once when the file is no database or somebody else's.
        sqlx::query("SELECT count(*) FROM sqlite_schema").execute(&mut connection).await?;
        let data = fs::metadata(&self.path)?;
        Ok(Opened { connection, file: FileId { device: data.dev(), inode: data.ino() } })
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>> {
        match fs::metadata(path) {
            Ok(data) => Ok(Some(data)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.io("look at", source)),
        }
    }

    fn io(&self, action: &'static str, source: io::Error) -> Error {
        Error::Io { action, path: self.to_string(), source }
    }

    fn failed(&self, error: sqlx::Error) -> Error {
        if is_full(&error) {
            return Error::Unavailable {
                place: self.to_string(),
                reason: format!("cannot open the database: {error}"),
            };
        }
        Error::Sql { action: "open the database".into(), place: self.to_string(), source: error.into() }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.path))
    }
}

impl Opened {
    /// Ends the connection and with it any transaction, and waits until that is done.
    pub(crate) async fn close(self) {
        // An error would say that the thread behind it is gone already, which is what is wanted.
        let _ = self.connection.close().await;
    }
}

/// Somebody else holds the lock.
const SQLITE_BUSY: i64 = 5;
/// Reading alone would have to write.
const SQLITE_READONLY: i64 = 8;
/// The disk is full.
const SQLITE_FULL: i64 = 13;
/// The file that all who use a database share could not be made as large as it must be.
const SQLITE_IOERR_SHMSIZE: i64 = 4874;

/// Whether the disk has no room, which it may have again.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    has_code(error, SQLITE_FULL) || extended(error) == Some(SQLITE_IOERR_SHMSIZE)
}

fn has_code(error: &sqlx::Error, code: i64) -> bool {
    extended(error).is_some_and(|extended| extended & 0xff == code)
}

/// SQLite's extended code, whose last byte is the plain one.
fn extended(error: &sqlx::Error) -> Option<i64> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a kill leaves that comes before a new database is switched to WAL.
    #[test]
    fn a_change_that_a_crash_left_half_done_is_taken_back_by_a_look() {
        let dir = tempfile::tempdir().unwrap();
        let (live, crashed) = (dir.path().join("live.db"), dir.path().join("crashed.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let rows = runtime.block_on(async {
            let options = Database::new(live.clone()).options().create_if_missing(true);
            let mut connection = options.connect().await.unwrap();
            // With no room for changed pages, they are in the file before the commit.
            let begun = "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; CREATE TABLE t (x TEXT); INSERT INTO t \
                         VALUES ('kept'); BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i \
                         < 1000) INSERT INTO t SELECT hex(zeroblob(1000)) FROM n";
            sqlx::raw_sql(begun).execute(&mut connection).await.unwrap();
            for suffix in ["", "-journal"] {
                let named = |path: &Path| format!("{}{suffix}", path.display());
                fs::copy(named(&live), named(&crashed)).unwrap();
            }
            let count = async |connection: &mut SqliteConnection| {
                Ok(sqlx::query_scalar::<_, i64>("SELECT count(*) FROM t").fetch_one(connection).await.unwrap())
            };
            Database::new(crashed).look(count).await.unwrap()
        });
        assert_eq!(rows, Some(1));
    }
}
