//! A directory of a Hadoop cluster.
//!
//! | file | what it knows |
//! |---|---|
//! | `address` | which directory of which cluster |
//! | `configuration` | which settings Hadoop's own files have |
//! | `session` | the client, and how long a call may take |
//! | `answer` | what an answer means |
//! | `erasure` | whether files survive the erasure coding policy of their directory |
//! | `file` | files that are written or read |

mod address;
mod answer;
mod configuration;
mod erasure;
mod file;
mod session;

use super::{Cause, Entry, EntryKind, Result, STAGING, Store, StoreError, StoreFile, StoreReader, check_small, parent};
use address::Address;
use answer::Call;
use file::{HdfsFile, HdfsReader};
use hdfs_native::client::FileStatus;
use hdfs_native::{Client, WriteOptions};
use operators_core::inspect::Ground;
use session::{NAMENODE, Session};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Names that one call of a listing takes; a NameNode gives as many with one answer.
const PAGE: usize = 1_000;

/// Files below one directory of a cluster. The user is `HADOOP_USER_NAME` or, with Kerberos, that of the ticket.
#[derive(Clone)]
pub struct Hdfs {
    address: Arc<Address>,
    session: Arc<Mutex<Arc<Session>>>,
}

impl Hdfs {
    /// A store below `hdfs://HOST:PORT/DIRECTORY` or `hdfs://NAMESERVICE/DIRECTORY`; the reason when that is no place
    /// or the configuration of Hadoop (`HADOOP_CONF_DIR` or `HADOOP_HOME`) cannot be read. Connects to nothing yet.
    pub fn new(url: &str) -> Result<Self, String> {
        let address = Address::parse(url)?;
        let session = Session::new(&address)?;
        Ok(Self { address: Arc::new(address), session: Arc::new(Mutex::new(Arc::new(session))) })
    }

    /// The same directory, with a staging directory of this absolute path on the same NameNode.
    pub fn staged_in(self, staging: &str) -> Result<Self, String> {
        let address = Address::clone(&self.address).staged_in(staging)?;
        Ok(Self { address: Arc::new(address), ..self })
    }

    /// The directory's name, the same for every spelling.
    pub fn place(&self) -> String {
        self.address.place()
    }

    /// The session for a new call.
    fn session(&self) -> Result<Arc<Session>, Cause> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if session.is_spoiled() {
            *session = Arc::new(Session::new(&self.address).map_err(Cause::Unavailable)?);
        }
        Ok(Arc::clone(&session))
    }

    /// Asks the NameNode about a path.
    fn ask<T, F>(&self, call: Call, path: &str, work: impl FnOnce(Client, String) -> F) -> Result<T, Cause>
    where
        T: Send + 'static,
        F: Future<Output = hdfs_native::Result<T>> + Send + 'static,
    {
        let full = self.address.full(path);
        self.session()?.ask(call, NAMENODE, |client| work(client, full))
    }

    /// Asks by deleting, in the nearest directory there is, a name that nothing has: the NameNode first looks whether
    /// this user may write there, with all it knows of groups and access lists, and then finds nothing to delete.
    fn ground(&self, wanted: &str) -> Result<Ground, Cause> {
        let session = self.session()?;
        let directory = nearest(&session, wanted)?;
        let nothing = unused_name(directory);
        let deleting = |client: Client| async move { client.delete(&nothing, false).await };
        session.ask(Call::Harmless, NAMENODE, deleting)?;
        Ok(if directory == wanted { Ground::There } else { Ground::Below(directory.to_owned()) })
    }

    /// Refuses a directory whose erasure coding policy would spoil the files that are created in it. One that is not
    /// there yet gets the policy of the nearest that is.
    fn check_erasure(&self, path: &str) -> Result<(), Cause> {
        let (session, wanted) = (self.session()?, self.address.full(path));
        let directory = nearest(&session, &wanted)?;
        erasure::ask(&session, unused_name(directory))?.check(directory, &wanted)
    }

    /// Moves a name to one that is free or, where that is allowed, has a file that gives way.
    fn shift(&self, from: &str, to: &str, overwrite: bool) -> Result<(), Cause> {
        let making = |client: Client, above: String| async move { client.mkdirs(&above, 0o755, true).await };
        self.ask(Call::Harmless, parent(to), making).map_err(|cause| match cause {
            // The name above is taken, and not the one that is asked for.
            Cause::AlreadyExists => io::Error::from(io::ErrorKind::NotADirectory).into(),
            cause => cause,
        })?;
        let target = self.address.full(to);
        self.ask(Call::Change, from, |client, from| async move { client.rename(&from, &target, overwrite).await })
    }

    fn reader(&self, path: &str) -> Result<HdfsReader, Cause> {
        let (session, full) = (self.session()?, self.address.full(path));
        let reader = session.ask(Call::Harmless, NAMENODE, |client| async move { client.read(&full).await })?;
        Ok(HdfsReader::new(session, reader, path))
    }

    fn entries(&self, path: &str) -> Result<Vec<Entry>, Cause> {
        let (session, full) = (self.session()?, self.address.full(path));
        let mut entries = Vec::new();
        let mut rest = Some(None);
        while let Some(begun) = rest {
            let directory = full.clone();
            let paging = |client: Client| async move {
                let names = begun.unwrap_or_else(|| client.list_status_iter(&directory, false));
                let mut page = Vec::new();
                while page.len() < PAGE {
                    let Some(status) = names.next().await else { return Ok((page, None)) };
                    page.push(status?);
                }
                Ok((page, Some(Some(names))))
            };
            let (page, next) = session.ask(Call::Harmless, NAMENODE, paging)?;
            for status in &page {
                entries.push(entry(status, &full)?);
            }
            rest = next;
        }
        Ok(entries)
    }
}

/// The directory that a path of HDFS lies in.
fn above(path: &str) -> &str {
    if parent(path).is_empty() { "/" } else { parent(path) }
}

/// The directory of this path, or the nearest one above it that is there.
fn nearest<'a>(session: &Session, path: &'a str) -> Result<&'a str, Cause> {
    let mut directory = path;
    let found = loop {
        let name = directory.to_owned();
        let looking = |client: Client| async move { client.get_file_info(&name).await };
        match session.ask(Call::Harmless, NAMENODE, looking) {
            Err(Cause::NotFound) if directory != "/" => directory = above(directory),
            found => break found?,
        }
    };
    if !found.isdir {
        let error = io::Error::new(io::ErrorKind::NotADirectory, format!("{directory} is a file"));
        return Err(error.into());
    }
    Ok(directory)
}

/// A path in a directory that nothing has; readers and Hadoop's own tools ignore names that begin with a dot.
fn unused_name(directory: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let directory = directory.trim_end_matches('/');
    format!("{directory}/.weatherflow-probe-{}-{}", std::process::id(), now.as_nanos())
}

fn entry(status: &FileStatus, directory: &str) -> Result<Entry, Cause> {
    if status.path == directory {
        // A file lists itself.
        return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
    }
    let name = status.path.rsplit('/').next().unwrap_or_default().to_owned();
    let kind = if status.isdir { EntryKind::Directory } else { EntryKind::File(status.length as u64) };
    Ok(Entry { name, kind })
}

impl Store for Hdfs {
    fn create(&self, path: &str) -> Result<Box<dyn StoreFile>> {
        let create = || {
            let (session, full) = (self.session()?, self.address.full(path));
            let name = full.clone();
            let creating = |client: Client| async move { client.create(&name, WriteOptions::default()).await };
            let writer = session.ask(Call::Change, NAMENODE, creating)?;
            Ok(Box::new(HdfsFile::new(session, writer, full, path)) as Box<dyn StoreFile>)
        };
        create().map_err(|cause: Cause| StoreError::new("create", path, cause))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let read = || {
            let reader = self.reader(path)?;
            check_small(reader.length())?;
            reader.range(0, reader.length() as usize)
        };
        read().map(Vec::from).map_err(|cause: Cause| StoreError::new("read", path, cause))
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreReader>> {
        let reader = self.reader(path).map_err(|cause| StoreError::new("open", path, cause))?;
        Ok(Box::new(reader))
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>> {
        self.entries(path).map_err(|cause| StoreError::new("list", path, cause))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.shift(from, to, false).map_err(|cause| StoreError::new("rename", from, cause))
    }

    fn replace(&self, from: &str, to: &str) -> Result<()> {
        self.shift(from, to, true).map_err(|cause| StoreError::new("rename", from, cause))
    }

    fn delete(&self, path: &str) -> Result<bool> {
        let deleting = |client: Client, path: String| async move { client.delete(&path, true).await };
        self.ask(Call::Change, path, deleting).map_err(|cause| StoreError::new("delete", path, cause))
    }

    fn delete_empty(&self, path: &str) -> Result<bool> {
        let deleting = |client: Client, path: String| async move { client.delete(&path, false).await };
        match self.ask(Call::Change, path, deleting) {
            Err(Cause::Failed(error)) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            deleted => deleted.map_err(|cause| StoreError::new("delete", path, cause)),
        }
    }

    fn modified(&self, path: &str) -> Result<SystemTime> {
        let looking = |client: Client, path: String| async move { client.get_file_info(&path).await };
        let status =
            self.ask(Call::Harmless, path, looking).map_err(|cause| StoreError::new("look at", path, cause))?;
        Ok(UNIX_EPOCH + Duration::from_millis(status.modification_time))
    }

    fn root(&self) -> Result<Ground> {
        self.ground(&self.address.root).map_err(|cause| StoreError::new("write to", "", cause))
    }

    fn staging(&self) -> Result<Ground> {
        let ground = self.ground(&self.address.staging);
        ground.map_err(|cause| StoreError::new("write to", STAGING, cause))
    }

    fn staging_place(&self) -> String {
        self.address.staging_place()
    }

    fn staging_advice(&self) -> String {
        "set `staging` to a directory of the same cluster that this user may write to, in the same encryption zone if \
         there is one, such as staging = \"/user/NAME/staging\""
            .to_owned()
    }

    /// A rename can't leave an encryption zone, and the client has no call that asks for zones.
    fn staging_doubt(&self) -> Option<&'static str> {
        Some("whether both are in one encryption zone, or in none, shows when a run starts")
    }

    fn check_redundancy(&self) -> Result<()> {
        // Files are created in the one, and keep its policy when they are renamed into the other.
        ["", STAGING]
            .into_iter()
            .try_for_each(|path| self.check_erasure(path).map_err(|cause| StoreError::new("use", path, cause)))
    }

    /// A small cluster closes 2 to 50 files a second one after the other, and several times as many at once.
    fn files_at_once(&self) -> usize {
        16
    }
}
