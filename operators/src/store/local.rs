//! A directory of this machine. Files and names are synced to disk before a call returns.

use super::{Cause, Entry, EntryKind, Result, Store, StoreError, StoreFile, StoreReader, parent};
use crate::inspect::{Ground, ground};
use bytes::Bytes;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files below one directory, which is made by the first call that creates something.
#[derive(Clone, Debug)]
pub struct Local {
    root: PathBuf,
}

impl Local {
    /// A store below a directory; touches nothing yet.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    /// Moves a name, and makes that last.
    fn shift(&self, from: &str, to: &str, moving: impl FnOnce(&Path, &Path) -> Result<(), Cause>) -> Result<(), Cause> {
        let (source, target) = (self.path(parent(from)), self.path(parent(to)));
        make_directory(&target)?;
        moving(&self.path(from), &self.path(to))?;
        // An error from here on is no `Unknown`: the name is there, but nobody can say that it stays.
        match (sync_directory(&target), sync_directory(&source)) {
            // Another program moved the target's directory away in between, and the name with it.
            (Err(e), _) if e.kind() == io::ErrorKind::NotFound => Err(Cause::NotFound),
            // Where the source's directory is gone, so is its old entry.
            (Ok(()), Err(e)) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            (Err(e), _) | (Ok(()), Err(e)) => Err(Cause::Failed(e)),
            (Ok(()), Ok(())) => Ok(()),
        }
    }
}

impl Store for Local {
    fn create(&self, path: &str) -> Result<Box<dyn StoreFile>> {
        let full = self.path(path);
        let create = || {
            make_directory(&self.path(parent(path)))?;
            File::create_new(&full)
        };
        let file = create().map_err(|e| StoreError::new("create", path, e))?;
        Ok(Box::new(LocalFile { file, full, path: path.to_owned() }))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        fs::read(self.path(path)).map_err(|e| StoreError::new("read", path, e))
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreReader>> {
        let open = || {
            let file = File::open(self.path(path))?;
            let length = file.metadata()?.len();
            Ok(LocalReader { file, length, path: path.to_owned() })
        };
        open()
            .map(|reader| Box::new(reader) as Box<dyn StoreReader>)
            .map_err(|e: io::Error| StoreError::new("open", path, e))
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>> {
        // A directory's metadata is not asked for: a segment holds 100,000 of them.
        let kind = |entry: &fs::DirEntry| -> io::Result<EntryKind> {
            Ok(match entry.file_type()?.is_dir() {
                true => EntryKind::Directory,
                false => EntryKind::File(entry.metadata()?.len()),
            })
        };
        let list = || -> io::Result<Vec<Entry>> {
            let mut entries = Vec::new();
            for entry in fs::read_dir(self.path(path))? {
                let entry = entry?;
                match kind(&entry) {
                    Ok(kind) => entries.push(Entry { name: entry.file_name().to_string_lossy().into_owned(), kind }),
                    // The name was taken away since, which is no word about the directory.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(e),
                }
            }
            Ok(entries)
        };
        list().map_err(|e| StoreError::new("list", path, e))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let flags = RenameFlags::NOREPLACE;
        let moving = |from: &Path, to: &Path| renameat_with(CWD, from, CWD, to, flags).map_err(refusal);
        self.shift(from, to, moving).map_err(|cause| StoreError::new("rename", from, cause))
    }

    fn replace(&self, from: &str, to: &str) -> Result<()> {
        let moving = |from: &Path, to: &Path| Ok(fs::rename(from, to)?);
        self.shift(from, to, moving).map_err(|cause| StoreError::new("rename", from, cause))
    }

    fn delete(&self, path: &str) -> Result<bool> {
        let full = self.path(path);
        let delete = || match fs::symlink_metadata(&full)?.is_dir() {
            true => fs::remove_dir_all(&full),
            false => fs::remove_file(&full),
        };
        match delete() {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(StoreError::new("delete", path, e)),
        }
    }

    fn modified(&self, path: &str) -> Result<SystemTime> {
        let modified = fs::metadata(self.path(path)).and_then(|data| data.modified());
        modified.map_err(|e| StoreError::new("look at", path, e))
    }

    fn root(&self) -> Result<Ground> {
        ground(&self.root).map_err(|e| StoreError::new("write to", "", e))
    }
}

/// Looking first and renaming then would let two copies of a pipeline overwrite each other, so there is no fallback.
fn refusal(error: Errno) -> Cause {
    match error {
        Errno::INVAL | Errno::NOSYS | Errno::NOTSUP => Cause::Failed(io::Error::new(
            io::ErrorKind::Unsupported,
            "this file system cannot rename without overwriting (renameat2 with RENAME_NOREPLACE), which is what keeps \
             two writers apart; use a directory on a local file system such as ext4, xfs, btrfs or tmpfs",
        )),
        other => io::Error::from(other).into(),
    }
}

/// Makes a directory and those above it, each durable in the one above.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let above = path.parent().unwrap_or(Path::new(""));
    make_directory(above)?;
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => sync_directory(above),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

struct LocalFile {
    file: File,
    full: PathBuf,
    path: String,
}

impl Write for LocalFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl StoreFile for LocalFile {
    fn finish(self: Box<Self>) -> Result<()> {
        let above = self.full.parent().unwrap_or(Path::new(""));
        let synced = self.file.sync_all().and_then(|()| sync_directory(above));
        synced.map_err(|e| StoreError::new("finish", &self.path, e))
    }
}

struct LocalReader {
    file: File,
    length: u64,
    path: String,
}

impl StoreReader for LocalReader {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, offset);
        read.map_err(|e| StoreError::new("read", &self.path, e))?;
        Ok(bytes.into())
    }
}
