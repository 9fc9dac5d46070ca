//! A directory of this machine. Files and names are synced to disk before a call returns.

use super::{
    Cause, Entry, EntryKind, Result, SMALL, STAGING, Store, StoreError, StoreFile, StoreReader, below_staging,
    check_small, parent, sibling,
};
use bytes::Bytes;
use operators_core::config::shown;
use operators_core::inspect::{Ground, ground};
use rustix::fs::{AtFlags, CWD, RenameFlags, StatxFlags, renameat_with, statx};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files below one directory, which is made by the first call that creates something.
#[derive(Clone, Debug)]
pub struct Local {
    root: PathBuf,
    staging: PathBuf,
}

/// How often a file is created again because another run deleted the directory above, which was empty until then.
const CREATED_AGAIN: usize = 3;

impl Local {
    /// A store below a directory, with the staging directory next to it; touches nothing yet.
    pub fn new(root: PathBuf) -> Self {
        let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let staging = root.with_file_name(sibling(&name));
        Self { root, staging }
    }

    /// The same root, with a staging directory elsewhere on its file system.
    pub fn staged_in(self, staging: PathBuf) -> Self {
        Self { staging, ..self }
    }

    /// The staging directory.
    pub(crate) fn staging_directory(&self) -> &Path {
        &self.staging
    }

    fn path(&self, path: &str) -> PathBuf {
        let (directory, path) = below_staging(path).map_or((&self.root, path), |below| (&self.staging, below));
        if path.is_empty() { directory.clone() } else { directory.join(path) }
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
        let is_missing = |file: &io::Result<File>| file.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
        let mut created = create();
        for _ in 0..CREATED_AGAIN {
            if !is_missing(&created) {
                break;
            }
            created = create();
        }
        let file = created.map_err(|e| StoreError::new("create", path, e))?;
        Ok(Box::new(LocalFile { file, full, path: path.to_owned() }))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let read = || {
            let file = File::open(self.path(path))?;
            check_small(file.metadata()?.len())?;
            let mut bytes = Vec::new();
            file.take(SMALL).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|cause: Cause| StoreError::new("read", path, cause))
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
            let kind = entry.file_type()?;
            if kind.is_dir() {
                return Ok(EntryKind::Directory);
            }
            // A link is what it leads to; one that leads nowhere stays visible.
            let linked = if kind.is_symlink() { fs::metadata(entry.path()).ok() } else { None };
            Ok(match linked {
                Some(target) if target.is_dir() => EntryKind::Directory,
                Some(target) => EntryKind::File(target.len()),
                None => EntryKind::File(entry.metadata()?.len()),
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

    fn delete_empty(&self, path: &str) -> Result<bool> {
        match fs::remove_dir(self.path(path)) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => Ok(false),
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

    fn staging(&self) -> Result<Ground> {
        let asked = || {
            let ground = ground(&self.staging)?;
            match is_one_file_system(nearest(&self.staging), nearest(&self.root))? {
                true => Ok(ground),
                false => Err(Errno::XDEV.into()),
            }
        };
        asked().map_err(|e: io::Error| StoreError::new("rename files from", STAGING, e))
    }

    fn staging_place(&self) -> String {
        shown(&self.staging)
    }

    fn staging_advice(&self) -> String {
        let place = shown(&self.root);
        let real = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        match real.parent().map(|above| (above, is_one_file_system(above, &real))) {
            // The root is a link to another file system, or `staging` names one.
            Some((above, Ok(true))) if self.staging.parent() != Some(above) => format!(
                "set `staging` to a directory on the file system of {place}, such as staging = \"{}\"",
                above.display()
            ),
            Some((_, Ok(false))) => format!(
                "{place} is the root of a file system, so that no other directory is on it: move the archive into a \
                 directory below, and let `url` name that one, such as url = \"file:{}\"",
                self.root.join("archive").display()
            ),
            _ => format!(
                "set `staging` to a directory that this user may write to, on the file system of {place} and outside of \
                 it, such as staging = \"../staging\""
            ),
        }
    }
}

/// The directory itself, or the nearest above it that is there.
fn nearest(directory: &Path) -> &Path {
    directory.ancestors().find(|above| above.exists()).unwrap_or(directory)
}

/// Whether a rename can move names between two directories: both are on one device and, where the kernel tells, below one
/// mount.
fn is_one_file_system(one: &Path, other: &Path) -> io::Result<bool> {
    let mount = |path: &Path| {
        let found = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
        (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(found.stx_mnt_id)
    };
    let mounts = mount(one).zip(mount(other));
    Ok(one.metadata()?.dev() == other.metadata()?.dev() && mounts.is_none_or(|(one, other)| one == other))
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
