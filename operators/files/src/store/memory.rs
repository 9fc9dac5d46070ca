//! A store in memory: the contract of the others, and crashes.

use super::{
    Cause, Entry, EntryKind, Result, STAGING, Store, StoreError, StoreFile, StoreReader, below_staging, check_small,
};
use bytes::Bytes;
use operators_core::inspect::Ground;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Files in memory, shared by all clones. A file that was not finished may be lost or cut by [`Memory::crash`].
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Holds the root and the staging directory, each from the first call on that creates something in it.
    top: Arc<Mutex<Directory>>,
}

/// The root's name next to [`STAGING`].
const ROOT: &str = "root";

type Directory = BTreeMap<String, Node>;

#[derive(Debug)]
enum Node {
    Directory(Directory),
    /// Shared with its open handle, which follows the file through renames.
    File(Arc<Mutex<Content>>),
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    durable: bool,
    /// When it was finished.
    modified: Option<SystemTime>,
}

impl Memory {
    /// The machine stops: every file that was not finished is lost or keeps only a beginning, as `chance` has it, and
    /// handles from before write into nothing.
    pub fn crash(&self, chance: u64) {
        crash(&mut lock(&self.top), &mut chance.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
}

fn crash(directory: &mut Directory, chance: &mut u64) {
    directory.retain(|_, node| match node {
        Node::Directory(below) => {
            crash(below, chance);
            true
        }
        Node::File(file) => {
            let content = lock(file);
            if content.durable {
                return true;
            }
            *chance = chance.rotate_left(7).wrapping_add(1);
            let kept = *chance as usize % (content.bytes.len() + 2);
            let left = content.bytes.get(..kept).map(<[u8]>::to_vec);
            drop(content);
            let survives = left.is_some();
            let (bytes, modified) = (left.unwrap_or_default(), None);
            *file = Arc::new(Mutex::new(Content { bytes, durable: true, modified }));
            survives
        }
    });
}

impl Store for Memory {
    fn create(&self, path: &str) -> Result<Box<dyn StoreFile>> {
        let file = Arc::new(Mutex::new(Content::default()));
        let insert = || -> Result<(), Cause> {
            let path = placed(path);
            let mut top = lock(&self.top);
            let (above, name) = made(&mut top, &path)?;
            if above.contains_key(name) {
                return Err(Cause::AlreadyExists);
            }
            above.insert(name.to_owned(), Node::File(Arc::clone(&file)));
            Ok(())
        };
        insert().map_err(|cause| StoreError::new("create", path, cause))?;
        Ok(Box::new(MemoryFile { file }))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let read = || {
            let file = self.file(path)?;
            let content = lock(&file);
            check_small(content.bytes.len() as u64)?;
            Ok(content.bytes.clone())
        };
        read().map_err(|cause: Cause| StoreError::new("read", path, cause))
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreReader>> {
        let file = self.file(path).map_err(|cause| StoreError::new("open", path, cause))?;
        Ok(Box::new(MemoryReader { bytes: lock(&file).bytes.clone().into(), path: path.to_owned() }))
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>> {
        let entry = |(name, node): (&String, &Node)| {
            let kind = match node {
                Node::Directory(_) => EntryKind::Directory,
                Node::File(file) => EntryKind::File(lock(file).bytes.len() as u64),
            };
            Entry { name: name.clone(), kind }
        };
        let mut top = lock(&self.top);
        let directory = found(&mut top, &placed(path));
        directory.map(|d| d.iter().map(entry).collect()).map_err(|cause| StoreError::new("list", path, cause))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.shift(from, to, |_| false).map_err(|cause| StoreError::new("rename", from, cause))
    }

    fn replace(&self, from: &str, to: &str) -> Result<()> {
        let is_file = |node: &Node| matches!(node, Node::File(_));
        self.shift(from, to, is_file).map_err(|cause| StoreError::new("rename", from, cause))
    }

    fn delete(&self, path: &str) -> Result<bool> {
        let mut top = lock(&self.top);
        match above(&mut top, &placed(path)) {
            Ok((directory, name)) => Ok(directory.remove(name).is_some()),
            Err(Cause::NotFound) => Ok(false),
            Err(cause) => Err(StoreError::new("delete", path, cause)),
        }
    }

    fn delete_empty(&self, path: &str) -> Result<bool> {
        let mut top = lock(&self.top);
        let failed = |cause| StoreError::new("delete", path, cause);
        match found(&mut top, &placed(path)) {
            Ok(directory) if directory.is_empty() => {}
            Ok(_) | Err(Cause::NotFound) => return Ok(false),
            Err(cause) => return Err(failed(cause)),
        }
        let path = placed(path);
        above(&mut top, &path).map(|(directory, name)| directory.remove(name).is_some()).map_err(failed)
    }

    fn modified(&self, path: &str) -> Result<SystemTime> {
        let file = self.file(path).map_err(|cause| StoreError::new("look at", path, cause))?;
        Ok(lock(&file).modified.unwrap_or(SystemTime::UNIX_EPOCH))
    }

    fn root(&self) -> Result<Ground> {
        Ok(self.ground(ROOT))
    }

    fn staging(&self) -> Result<Ground> {
        Ok(self.ground(STAGING))
    }

    fn staging_place(&self) -> String {
        STAGING.to_owned()
    }

    fn staging_advice(&self) -> String {
        "set `staging` to another directory".to_owned()
    }
}

impl Memory {
    fn ground(&self, name: &str) -> Ground {
        if lock(&self.top).contains_key(name) { Ground::There } else { Ground::Below("memory".to_owned()) }
    }

    /// Moves a name to one that is free, or whose node may give way.
    fn shift(&self, from: &str, to: &str, may_go: impl Fn(&Node) -> bool) -> Result<(), Cause> {
        let (from, to) = (placed(from), placed(to));
        let mut top = lock(&self.top);
        let (target, new) = made(&mut top, &to)?;
        let taken = target.get(new).is_some_and(|node| !may_go(node));
        let (source, old) = above(&mut top, &from)?;
        if !source.contains_key(old) {
            return Err(Cause::NotFound);
        }
        if taken {
            return Err(Cause::AlreadyExists);
        }
        let node = source.remove(old).ok_or(Cause::NotFound)?;
        let (target, new) = made(&mut top, &to)?;
        target.insert(new.to_owned(), node);
        Ok(())
    }

    fn file(&self, path: &str) -> Result<Arc<Mutex<Content>>, Cause> {
        let path = placed(path);
        let mut top = lock(&self.top);
        let (directory, name) = above(&mut top, &path)?;
        match directory.get(name) {
            Some(Node::File(file)) => Ok(Arc::clone(file)),
            Some(Node::Directory(_)) => Err(io::Error::from(io::ErrorKind::IsADirectory).into()),
            None => Err(Cause::NotFound),
        }
    }
}

/// A path below the directory that holds both.
fn placed(path: &str) -> String {
    match below_staging(path) {
        Some(_) => path.to_owned(),
        None if path.is_empty() => ROOT.to_owned(),
        None => format!("{ROOT}/{path}"),
    }
}

/// The directory of this path.
fn found<'a>(top: &'a mut Directory, path: &str) -> Result<&'a mut Directory, Cause> {
    let mut directory = top;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        directory = match directory.get_mut(part) {
            Some(Node::Directory(below)) => below,
            Some(Node::File(_)) => return Err(not_a_directory()),
            None => return Err(Cause::NotFound),
        };
    }
    Ok(directory)
}

/// The directory above this path, and the path's last part.
fn above<'a, 'p>(top: &'a mut Directory, path: &'p str) -> Result<(&'a mut Directory, &'p str), Cause> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    Ok((found(top, parent)?, name))
}

/// As [`above`], making what is missing on the way.
fn made<'a, 'p>(top: &'a mut Directory, path: &'p str) -> Result<(&'a mut Directory, &'p str), Cause> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut directory = top;
    for part in parent.split('/').filter(|part| !part.is_empty()) {
        let below = directory.entry(part.to_owned()).or_insert_with(|| Node::Directory(Directory::new()));
        let Node::Directory(below) = below else { return Err(not_a_directory()) };
        directory = below;
    }
    Ok((directory, name))
}

fn not_a_directory() -> Cause {
    io::Error::from(io::ErrorKind::NotADirectory).into()
}

/// A panic elsewhere leaves the data whole: every change is one insert or remove.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct MemoryFile {
    file: Arc<Mutex<Content>>,
}

impl Write for MemoryFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        lock(&self.file).bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StoreFile for MemoryFile {
    fn finish(self: Box<Self>) -> Result<()> {
        let mut content = lock(&self.file);
        (content.durable, content.modified) = (true, Some(SystemTime::now()));
        Ok(())
    }
}

/// Bytes in memory, read as a file.
pub(crate) struct MemoryReader {
    pub(crate) bytes: Bytes,
    pub(crate) path: String,
}

impl StoreReader for MemoryReader {
    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match start.checked_add(length) {
            Some(end) if end <= self.bytes.len() => Ok(self.bytes.slice(start..end)),
            _ => Err(StoreError::new("read", &self.path, io::Error::from(io::ErrorKind::UnexpectedEof))),
        }
    }
}
