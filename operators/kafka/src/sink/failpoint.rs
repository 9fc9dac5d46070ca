//! Points at which tests stop the program or spoil an answer; in a build for use there is nothing behind them.

use rdkafka::error::KafkaResult;
use std::sync::Arc;

/// On which side of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The brokers have not seen the step.
    Before,
    /// The brokers have done the step; nobody knows yet.
    After,
}

/// Called around every step: an error is what the program gets as the answer, a panic is its end.
type Hook = dyn Fn(Moment, &'static str) -> KafkaResult<()> + Send + Sync;

/// What happens around the steps of a transaction: nothing, unless a test says so.
#[derive(Clone, Default)]
pub(super) struct Failpoints(Option<Arc<Hook>>);

impl Failpoints {
    #[cfg(test)]
    pub(super) fn new(hook: impl Fn(Moment, &'static str) -> KafkaResult<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Does a step between its two points.
    pub(super) fn around<T>(&self, step: &'static str, work: impl FnOnce() -> KafkaResult<T>) -> KafkaResult<T> {
        self.reach(Moment::Before, step)?;
        let answer = work()?;
        self.reach(Moment::After, step)?;
        Ok(answer)
    }

    fn reach(&self, moment: Moment, step: &'static str) -> KafkaResult<()> {
        self.0.as_ref().map_or(Ok(()), |hook| hook(moment, step))
    }
}
