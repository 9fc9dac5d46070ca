//! A way to show a run.

use super::now::Now;
use super::print::Said;
use runtime::Failure;
use runtime::meter::Meter;
use runtime::plan::Plan;
use std::sync::Arc;
use std::time::Duration;

/// Flows to show, by name.
pub(crate) type Meters = Vec<(String, Arc<Meter>)>;

/// One way to show a run, from its beginning to its end. A run is not worth less because nobody can watch it, so that what
/// could not be printed is left at that.
pub(super) trait Show: Send {
    /// Before anything runs; `page` is the live page's address.
    fn begin(&mut self, plan: &Plan, page: Option<&str>) -> Said;
    /// All flows at one moment; called at every tick.
    fn show(&mut self, flows: &[Now]) -> Said;
    /// A flow begins again from its last commit.
    fn trouble(&mut self, failure: &Failure) -> Said;
    /// The run was asked to stop.
    fn stopping(&mut self) -> Said;
    /// Nothing runs any more.
    fn end(&mut self, meters: &Meters, took: Duration, verify: &str) -> Said;
}
