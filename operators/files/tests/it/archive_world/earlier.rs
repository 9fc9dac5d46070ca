//! Earlier versions, which stage within the archive.

use files::store::{Entry, Result, STAGING, Store, StoreFile, StoreReader};
use operators_core::inspect::Ground;
use std::time::SystemTime;

/// A store as versions see it that stage within the archive, in `_staging`, and know of no other place.
#[derive(Clone)]
pub struct Earlier<S>(pub S);

impl<S> Earlier<S> {
    fn path(path: &str) -> String {
        match path.strip_prefix(STAGING) {
            Some(below) => format!("_staging{below}"),
            None => path.to_owned(),
        }
    }
}

impl<S: Store> Store for Earlier<S> {
    fn create(&self, path: &str) -> Result<Box<dyn StoreFile>> {
        self.0.create(&Self::path(path))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.0.read(&Self::path(path))
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreReader>> {
        self.0.open(&Self::path(path))
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>> {
        self.0.list(&Self::path(path))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.0.rename(&Self::path(from), &Self::path(to))
    }

    fn replace(&self, from: &str, to: &str) -> Result<()> {
        self.0.replace(&Self::path(from), &Self::path(to))
    }

    fn delete(&self, path: &str) -> Result<bool> {
        self.0.delete(&Self::path(path))
    }

    /// They never remove `_staging`.
    fn delete_empty(&self, _path: &str) -> Result<bool> {
        Ok(false)
    }

    fn modified(&self, path: &str) -> Result<SystemTime> {
        self.0.modified(&Self::path(path))
    }

    fn root(&self) -> Result<Ground> {
        self.0.root()
    }

    fn staging(&self) -> Result<Ground> {
        self.0.root()
    }

    fn staging_place(&self) -> String {
        "archive/_staging".to_owned()
    }

    fn staging_advice(&self) -> String {
        self.0.staging_advice()
    }
}
