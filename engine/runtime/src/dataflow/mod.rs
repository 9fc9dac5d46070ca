//! One flow as a timely graph. Nothing outside this folder names timely.
//!
//! Each operator is a struct whose methods take what has arrived and give what to send; the function above it connects
//! that to timely's inputs, outputs and capabilities. The tests of the structs need no worker.
//!
//! | file | operator |
//! |---|---|
//! | `read` | a source with two outputs: chunks, and the spans they are; opens and closes epochs |
//! | `apply` | decode, transform, encode, partition: chunks to chunks, and a tally of what was left out |
//! | `write` | chunks, exchanged by partition, to receipts; versions the epochs |
//! | `commit` | receipts and spans of an epoch that both frontiers have passed, to the committer |
//! | `parcel` | what travels between them |
//! | `exchange` | the edges between workers, and the list of what may travel on them |
//! | `worker` | builds the graphs on each worker and drives them |

mod apply;
mod commit;
mod exchange;
pub(crate) mod parcel;
mod read;
#[cfg(test)]
mod testing;
pub(crate) mod worker;
mod write;

use crate::flow::epoch::Epoch;
use crate::flow::halt::Waker;
use std::sync::Arc;
use timely::dataflow::Scope;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Capability;
use timely::progress::frontier::MutableAntichain;

/// An edge of the graph.
type Edge<'scope, D> = StreamVec<'scope, Epoch, D>;

/// What an operator holds while an epoch of it is open; as long as it does, no frontier after it passes the epoch.
trait Hold {
    /// The epoch that stays open.
    fn epoch(&self) -> Epoch;
}

impl Hold for Capability<Epoch> {
    fn epoch(&self) -> Epoch {
        *self.time()
    }
}

/// Whether nothing of an epoch can arrive on any input any more.
fn have_passed(frontiers: &[MutableAntichain<Epoch>], epoch: Epoch) -> bool {
    !frontiers.iter().any(|frontier| frontier.less_equal(&epoch))
}

/// Schedules the operator at an address, from any thread.
fn waker(scope: Scope<'_, Epoch>, address: &[usize]) -> Waker {
    let activator = scope.worker().sync_activator_for(address.to_vec());
    // The worker may be gone already; then there is nothing to wake.
    Arc::new(move || _ = activator.activate())
}
