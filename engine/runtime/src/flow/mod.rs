//! What the operators and threads of one running flow share.

pub(crate) mod budget;
pub(crate) mod epoch;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod halt;
pub mod meter;

use crate::flow::budget::Budget;
use crate::flow::epoch::OpenEpoch;
use crate::flow::halt::{Failure, Halt};
use crate::flow::meter::Meter;
use operators_core::Error;
use operators_core::progress::{Fingerprint, Run};
use operators_core::stage::{Sink, Source};
use pipeline::CommitConfig;
use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

/// One running flow.
pub(crate) struct Flow {
    pub(crate) name: String,
    pub(crate) run: Run,
    pub(crate) commit: CommitConfig,
    /// `source.topic`
    pub(crate) source_name: String,
    pub(crate) source: Arc<dyn Source>,
    /// What its positions mean.
    pub(crate) fingerprint: Fingerprint,
    /// The source's identity, once it is known.
    pub(crate) identity: OnceLock<String>,
    /// `sink.parquet`
    pub(crate) sink_name: String,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) workers: u32,
    pub(crate) halt: Arc<Halt>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) end: End,
    pub(crate) open: OpenEpoch,
}

/// When a source that has given all there is should end.
pub(crate) enum End {
    /// Never: more may come.
    Never,
    /// When the flows that feed it are done, and all they gave is read.
    After(Vec<Arc<Meter>>),
}

impl End {
    /// Whether being caught up from now on means being at the end.
    pub(crate) fn is_near(&self) -> bool {
        match self {
            Self::Never => false,
            Self::After(upstream) => upstream.iter().all(|meter| meter.is_done()),
        }
    }
}

impl Flow {
    pub(crate) fn fail(&self, error: &Error) {
        self.halt.fail(Failure::new(&self.name, error));
    }

    fn fail_in(&self, stage: &str, error: &Error) {
        self.halt.fail(Failure { stage: Some(stage.to_owned()), ..Failure::new(&self.name, error) });
    }

    /// The identity of the source that positions belong to. Once known it stays: a source that changes its identity
    /// while it is read is its reader's to refuse.
    pub(crate) fn source_identity(&self) -> Result<Option<String>, Error> {
        if self.identity.get().is_none()
            && let Some(identity) = self.source.identity()?
        {
            return Ok(Some(self.identity.get_or_init(|| identity).clone()));
        }
        Ok(self.identity.get().cloned())
    }

    /// Ends the attempt for something that no stage should ever give.
    pub(crate) fn fail_by_bug(&self, what: impl Display) {
        self.fail(&bug(what));
    }

    /// Runs a piece of a stage; an error or a panic in it ends this attempt of the flow, and gives `None`.
    pub(crate) fn guard<T>(&self, stage: &str, piece: impl FnOnce() -> Result<T, Error>) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(piece)) {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => self.fail_in(stage, &error),
            Err(panic) => self.fail_in(stage, &bug(panicked(stage, &*panic))),
        }
        None
    }
}

/// The error for what can only be a mistake in this program.
pub(crate) fn bug(what: impl Display) -> Error {
    Error::Other(format!("{what}; this is a bug in weatherflow"))
}

/// A panic in words.
pub(crate) fn panicked(what: &str, panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("{what} panicked: {}", text.unwrap_or("no message"))
}
