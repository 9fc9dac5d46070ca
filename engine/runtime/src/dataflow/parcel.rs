//! What travels on the edges: chunks and receipts with the memory they are charged for.

use crate::flow::budget::{Budget, Lease};
use operators_core::progress::{Receipt, Tally};
use operators_core::{Chunk, Span};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A chunk on its way, charged to the budget until it is dropped. The charge does not cross processes.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Parcel {
    chunk: Chunk,
    #[serde(skip)]
    _charge: Option<Arc<Lease>>,
}

impl Parcel {
    pub(crate) fn new(chunk: Chunk, budget: &Arc<Budget>) -> Self {
        let charge = budget.lease(chunk.bytes());
        Self { chunk, _charge: Some(Arc::new(charge)) }
    }

    pub(crate) fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    /// The chunk alone; its charge ends.
    pub(crate) fn into_chunk(self) -> Chunk {
        self.chunk
    }
}

/// A receipt on its way to the commit, with the memory its rows hold until then.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Delivery {
    receipt: Receipt,
    #[serde(skip)]
    held: Option<Arc<Lease>>,
}

impl Delivery {
    pub(crate) fn new(receipt: Receipt, held: Lease) -> Self {
        Self { receipt, held: Some(Arc::new(held)) }
    }

    pub(crate) fn into_parts(self) -> (Receipt, Option<Arc<Lease>>) {
        (self.receipt, self.held)
    }
}

/// What is known of an epoch beside its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// A source partition moved.
    Read(Span),
    /// A stage left rows out.
    LeftOut(Tally),
}
