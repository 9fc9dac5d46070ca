//! `layout = "batches"`: all files of a batch in a directory of their own, published together with every position by
//! one rename.
//!
//! | file | what it knows |
//! |---|---|
//! | `layout` | where the batches lie |
//! | `manifest` | the record of a commit, `_checkpoint.json` |
//! | `footer` | what a Parquet file says about itself |
//! | `newest` | which batch is the newest; pure |
//! | `commit` | how a batch is published |
//! | `audit` | the proof: reads everything back, trusting nobody |

mod audit;
mod commit;
mod footer;
pub(super) mod layout;
mod manifest;
mod newest;

use super::names::DataFile;
use super::resolve::{self, Incomplete};
use super::{Archive, CommittedFile, DigestIn, Files, Layout, Sealed, Unsealed, data_files, names};
use crate::store::{Cause, StoreError};
use commit::Publisher;
use footer::Footer;
pub(crate) use layout::DIRECTORY_KEYS;
use manifest::StoredManifest;
use newest::Newest;
use operators_core::error::Result;
use operators_core::inspect::{self, FirstBatch, Holdings};
use operators_core::progress::{Progress, Run, Version};
use operators_core::stage::{Account, Closing, Listen, Opened};
use std::iter;

/// A directory of batches.
#[derive(Clone)]
pub(crate) struct Batches {
    archive: Archive,
}

impl Batches {
    pub(crate) fn new(archive: Archive) -> Self {
        Self { archive }
    }

    /// The last commit, found in a number of calls that does not grow with history; `None` before the first. Its record is
    /// checked by its digest.
    fn newest(&self, flow: &str) -> Result<Option<StoredManifest>> {
        let Some(version) = self.newest_version()? else { return Ok(None) };
        let stored = self.manifest(version)?;
        self.archive.check_owner(&stored.manifest.progress.run.flow, flow)?;
        Ok(Some(stored))
    }

    /// Refuses to follow a batch whose files are not all there at their lengths.
    fn check_lengths(&self, stored: &StoredManifest) -> Result<()> {
        let directory = layout::batch(stored.manifest.progress.version);
        let entries = self.archive.store.list(&directory).map_err(|e| self.archive.failed(e))?;
        let files: Vec<_> = stored.manifest.files.iter().map(|file| (file.name.as_str(), file.bytes)).collect();
        let (name, reason) = match resolve::missing_or_cut(&files, &entries) {
            None => return Ok(()),
            Some(Incomplete::Missing(name)) => (name, "it is gone".to_owned()),
            Some(Incomplete::Wrong(name, reason)) => (name, reason),
        };
        let reason = format!(
            "{reason}. It belongs to the newest batch: restore it, or move {} out of the archive, and the flow resumes \
             after the batch before and reads its rows again",
            self.archive.path(&directory)
        );
        Err(self.archive.damaged(&names::join(&directory, &name), reason))
    }

    fn newest_version(&self) -> Result<Option<Version>> {
        let root = match self.archive.store.list("") {
            Err(StoreError { cause: Cause::NotFound, .. }) => return Ok(None),
            listed => listed.map_err(|e| self.archive.failed(e))?,
        };
        self.archive.check_layout("batches", &root)?;
        if let Some(segment) = newest::not_a_directory(&root) {
            let reason = "it is not a directory, nor a link to one that is there; put the directory back";
            return Err(self.archive.damaged(&segment.name(), reason));
        }
        let mut newest = Newest::NoBatch;
        for segment in newest::last_two_segments(&root) {
            let entries = self.archive.store.list(&segment.name()).map_err(|e| self.archive.failed(e))?;
            newest = newest.or_in(segment, &entries);
            if let Newest::Batch(version) = newest {
                return Ok(Some(version));
            }
        }
        match newest {
            Newest::Missing(version) => Err(self.archive.damaged(
                &layout::batch(version),
                "a later segment exists, and so this batch must have been committed, but it is not there; restore it",
            )),
            _ => Ok(None),
        }
    }

    /// The record of a batch that is there.
    fn manifest(&self, version: Version) -> Result<StoredManifest> {
        match self.find_manifest(version)? {
            Some(manifest) => Ok(manifest),
            None => Err(self.archive.damaged(
                &names::join(&layout::batch(version), layout::CHECKPOINT),
                "the batch is there and its checkpoint is not; restore it, its positions cannot be guessed",
            )),
        }
    }

    /// The record of a batch, or `None` when it has none.
    fn find_manifest(&self, version: Version) -> Result<Option<StoredManifest>> {
        let path = names::join(&layout::batch(version), layout::CHECKPOINT);
        let text = match self.archive.store.read(&path) {
            Err(StoreError { cause: Cause::NotFound, .. }) => return Ok(None),
            read => read.map_err(|e| self.archive.failed(e))?,
        };
        StoredManifest::parse(&text, version).map(Some).map_err(|reason| self.archive.damaged(&path, reason))
    }
}

impl Layout for Batches {
    fn progress(&self, flow: &str) -> Result<Option<Progress>> {
        Ok(self.newest(flow)?.map(|stored| stored.manifest.progress))
    }

    fn open(&self, run: &Run) -> Result<Opened> {
        // A directory of another flow, or a damaged one, is refused before anything in it is touched.
        self.newest(&run.flow)?.iter().try_for_each(|stored| self.check_lengths(stored))?;
        self.archive.fence(run)?;
        self.archive.prove(run)?;
        let (progress, before) =
            self.newest(&run.flow)?.map(|stored| (stored.manifest.progress, stored.digest)).unzip();
        let next = progress.as_ref().map_or(Version::FIRST, |progress| progress.version.next());
        let committer = Publisher { batches: self.clone(), run: run.clone(), next, before };
        Ok(Opened { committer: Box::new(committer), progress })
    }

    fn seal(&self, file: &Unsealed<'_>, batch: &Closing) -> Result<Sealed> {
        let footer = Footer {
            run: file.run.clone(),
            batch: batch.version,
            partition: file.file.partition(),
            spans: batch.spans.iter().filter(|span| file.sources.contains(&span.partition)).copied().collect(),
        };
        Ok(Sealed { says: footer.key_values()?, name: file.file.name(batch.version.0), digest: DigestIn::Commit })
    }

    fn holdings(&self) -> Result<Holdings> {
        let Some(version) = self.newest_version()? else { return Ok(Holdings::default()) };
        let committed_at = self.archive.modified(&names::join(&layout::batch(version), layout::CHECKPOINT))?;
        let list = |path: &str| self.archive.store.list(path).map_err(|e| self.archive.failed(e));
        let mut files = inspect::Files::default();
        for segment in newest::segments(&list("")?) {
            let batches = list(&segment.name())?;
            let batches = batches.iter().filter_map(|entry| segment.batch(&entry.name));
            let count = |version, ()| Ok(data_files(&list(&layout::batch(version))?));
            let counted = self.archive.side_by_side(batches.map(|version| (version, ())).collect(), count)?;
            counted.into_iter().for_each(|(_, some)| files += some);
        }
        Ok(Holdings { committed_at: Some(committed_at), files: Some(files) })
    }

    fn audit(&self, flow: &str, listener: &mut dyn Listen) -> Result<Account> {
        audit::audit(self, flow, listener)
    }

    fn files(&self, flow: &str, from: FirstBatch) -> Result<Files> {
        let Some(newest) = self.newest(flow)? else { return Ok(Box::new(iter::empty())) };
        let newest = newest.manifest.progress.version.0;
        let first = self.archive.first(from, newest)?;
        let batches = self.clone();
        Ok(Box::new((first..=newest).flat_map(move |version| batches.files_of(Version(version)))))
    }
}

impl Batches {
    fn files_of(&self, version: Version) -> Vec<Result<CommittedFile>> {
        let directory = layout::batch(version);
        let file = |name: &str| {
            let path = names::join(&directory, name);
            match DataFile::parse(name) {
                Some((file, batch)) if batch == version.0 => Ok(CommittedFile { path, file, batch }),
                _ => Err(self.archive.damaged(&path, "the checkpoint lists a file of this name, which no batch has")),
            }
        };
        match self.manifest(version) {
            Ok(stored) => stored.manifest.files.iter().map(|entry| file(&entry.name)).collect(),
            Err(error) => vec![Err(error)],
        }
    }
}
