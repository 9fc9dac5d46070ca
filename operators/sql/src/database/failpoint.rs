//! Points at which tests stop the program or spoil an answer; a sink that runs for good has nothing behind them.

use std::sync::Arc;

/// On which side of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The database has not seen the step.
    Before,
    /// The database has done the step; nobody knows yet.
    After,
}

/// Called around every statement: an error is what the program gets as the database's answer, a panic is its end.
type Hook = dyn Fn(Moment, &'static str) -> sqlx::Result<()> + Send + Sync;

/// What happens around the statements of a sink: nothing, unless a test says so.
#[derive(Clone, Default)]
pub(crate) struct Failpoints(Option<Arc<Hook>>);

impl Failpoints {
    pub(crate) fn new(hook: impl Fn(Moment, &'static str) -> sqlx::Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Does a step between its two points.
    pub(crate) async fn around<T>(
        &self,
        step: &'static str,
        work: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        self.reach(Moment::Before, step)?;
        let answer = work.await?;
        self.reach(Moment::After, step)?;
        Ok(answer)
    }

    fn reach(&self, moment: Moment, step: &'static str) -> sqlx::Result<()> {
        self.0.as_ref().map_or(Ok(()), |hook| hook(moment, step))
    }
}
