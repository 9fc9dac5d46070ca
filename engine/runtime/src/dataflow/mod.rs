//! One flow as a timely graph. Nothing outside this folder names timely.
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
pub(crate) mod worker;
mod write;

use crate::flow::epoch::Epoch;
use crate::flow::halt::Waker;
use std::sync::Arc;
use timely::dataflow::Scope;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Capability;

/// An edge of the graph.
type Edge<'scope, D> = StreamVec<'scope, Epoch, D>;

/// A capability an operator holds while an epoch of it is open.
type Hold = Capability<Epoch>;

/// Schedules the operator at an address, from any thread.
fn waker(scope: Scope<'_, Epoch>, address: &[usize]) -> Waker {
    let activator = scope.worker().sync_activator_for(address.to_vec());
    // The worker may be gone already; then there is nothing to wake.
    Arc::new(move || _ = activator.activate())
}
