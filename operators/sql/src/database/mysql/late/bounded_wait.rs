//! Takes a gap for dead after a bounded wait, where the server's transactions can't prove it.

use super::look::greatest;
use super::{Bound, Step, Then, Unseen, sight, tell};
use crate::database::{Dialect, Place};
use operators_core::error::{Error, Result};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, MySql, Row};
use std::time::{Duration, Instant};

/// Between the end of one wait and the first question about the next gap.
const BETWEEN_WAITS: Duration = Duration::from_millis(120);

/// Waits for as long as the file says that a missing id may still appear.
pub(super) struct BoundedWait {
    /// Why there is no proof.
    why: Unseen,
    bound: Bound,
    pending: Option<Pending>,
    /// When the last wait ended.
    ended: Option<Instant>,
}

/// A wait that is not over.
struct Pending {
    /// It settles all ids below.
    end: u64,
    since: Instant,
    told: Instant,
}

impl BoundedWait {
    pub(super) fn new(why: Unseen, bound: Bound) -> Self {
        Self { why, bound, pending: None, ended: None }
    }

    /// How long a missing id is waited for.
    pub(super) fn wait(&self) -> Duration {
        self.bound.wait
    }

    /// Begins to wait for the ids below the greatest one, or looks whether the wait is over. `count_sql` asks for the
    /// number of rows between two ids.
    pub(super) async fn step(
        &mut self,
        connection: &mut MySqlConnection,
        place: &Place<MySql>,
        next: u64,
        end_sql: &str,
        count_sql: &str,
    ) -> Result<Step> {
        if self.ended.is_some_and(|ended| ended.elapsed() < BETWEEN_WAITS) {
            return Ok(Step::Pending);
        }
        let failed = || place.failed("look at open transactions");
        if let Unseen::Elsewhere(_) = self.why
            && sight::elsewhere(connection).await.map_err(failed())?.is_none()
        {
            return Ok(Step::SwitchedOver(None));
        }
        let pending = match self.pending.take().filter(|pending| pending.end > next) {
            Some(pending) => pending,
            None => {
                let end = MySql::answer(greatest(connection, end_sql)).await.map_err(failed())?;
                let now = Instant::now();
                Pending { end, since: now, told: now }
            }
        };
        let Pending { end, since, told } = self.pending.insert(pending);
        let end = *end;
        if since.elapsed() < self.bound.wait {
            tell(told, *since, place, next, || self.why.to_string());
            return Ok(Step::Pending);
        }
        let count = sqlx::query(AssertSqlSafe(count_sql.to_owned())).bind(next).bind(end);
        let row = MySql::long_answer(count.fetch_one(&mut *connection)).await.map_err(failed())?;
        let there = row.try_get::<i64, _>(0).map_err(failed())?.cast_unsigned();
        self.give_up(place, next, end, end.saturating_sub(next).saturating_sub(there))?;
        self.pending = None;
        self.ended = Some(Instant::now());
        Ok(Step::Settled(end))
    }

    /// Fails, or tells it, when ids between two are still missing after the wait.
    fn give_up(&self, place: &Place<MySql>, next: u64, end: u64, missing: u64) -> Result<()> {
        if missing == 0 {
            return Ok(());
        }
        let Self { why, bound: Bound { wait, then }, .. } = self;
        match then {
            Then::Fail => Err(self.unproven(place, next, end, missing)),
            Then::Skip => {
                tracing::warn!(
                    "{place}: went on over {missing} missing ids between {next} and {end} after {wait:?}, as \
                     late_commits says; should their rows be committed now, they are lost ({why})"
                );
                Ok(())
            }
        }
    }

    fn unproven(&self, place: &Place<MySql>, next: u64, end: u64, missing: u64) -> Error {
        let Self { why, bound: Bound { wait, .. }, .. } = self;
        place.refused(format!(
            "{missing} ids between {next} and {end} have not appeared within {wait:?}, and nothing proves that they \
             never will: {why}. Make the open transactions visible, wait longer, or set late_commits.then = \"skip\" to \
             go on without them"
        ))
    }
}
