//! Rows that commit late: an id is given at INSERT and its row is seen at COMMIT, so a missing id may still appear.
//!
//! A reader that comes to a gap in the ids holds its position until the gap is settled, in one of two ways:
//!
//! | file | a gap is settled when |
//! |---|---|
//! | `open_transactions` | no transaction or statement is left that may hold one of its ids: a proof |
//! | `bounded_wait` | it is as old as the file says, where the server's transactions can't be seen or don't tell |
//!
//! `look` asks the server for its transactions, and `sight` whether they tell of all rows. A switchover may change that,
//! so each step of either way asks again.

mod bounded_wait;
mod look;
mod open_transactions;
mod sight;
#[cfg(test)]
mod tests;

use crate::database::Place;
use bounded_wait::BoundedWait;
use open_transactions::OpenTransactions;
use operators_core::error::Result;
use sqlx::MySql;
use sqlx::mysql::MySqlConnection;
use std::fmt;
use std::time::{Duration, Instant};

/// How often a wait is told.
const TOLD: Duration = Duration::from_secs(60);

/// What to do about a gap that cannot be proven dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Fail,
    Skip,
}

/// What the file says about late commits, for when they cannot be seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) wait: Duration,
    pub(crate) then: Then,
}

/// Why the server's transactions don't tell of every row that may still come.
enum Unseen {
    /// On this connection they never will.
    Always(String),
    /// Until a switchover: rows may come from another server.
    Elsewhere(String),
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Always(why) | Self::Elsewhere(why)) = self;
        f.write_str(why)
    }
}

/// What a step towards settling a gap came to.
enum Step {
    /// Every missing id below this one is dead.
    Settled(u64),
    /// A transaction, or the clock, is still waited for.
    Pending,
    /// The other way applies from now on: the server is not alone any more, for this reason, or is alone again. All
    /// that was seen of it before is void.
    SwitchedOver(Option<String>),
}

/// How late commits are waited for.
enum Way {
    OpenTransactions(OpenTransactions),
    BoundedWait(BoundedWait),
}

impl Way {
    /// The way when the server's transactions do not tell for a reason.
    fn new(why: Option<Unseen>, bound: Option<Bound>, place: &Place<MySql>) -> Result<Self> {
        let Some(why) = why else { return Ok(Self::OpenTransactions(OpenTransactions::new())) };
        match bound {
            Some(bound) => Ok(Self::BoundedWait(BoundedWait::new(why, bound))),
            None => Err(place.refused(format!(
                "{why}, so rows that commit late could be lost unseen. Mend that, or set late_commits = {{ wait = \
                 \"10m\", then = \"fail\" }} on this stage: how long a missing id may still appear, and whether to stop \
                 or to go on (\"skip\") after that"
            ))),
        }
    }
}

/// Knows up to which id every missing row is dead.
pub(crate) struct Late {
    bound: Option<Bound>,
    way: Way,
    settled: u64,
    /// How often the server was asked on this connection, whichever way: an old copy of its transactions must not be
    /// taken for the answer to a later question.
    steps: u64,
}

impl Late {
    /// Finds out how late commits of a table can be waited for; `given_out` is whether the server itself numbers the
    /// rows.
    pub(crate) async fn new(
        connection: &mut MySqlConnection,
        place: &Place<MySql>,
        given_out: bool,
        bound: Option<Bound>,
    ) -> Result<Self> {
        let failed = || place.failed("look at open transactions");
        let why = match sight::blind(connection, place, given_out).await.map_err(failed())? {
            Some(why) => Some(Unseen::Always(why)),
            None => sight::elsewhere(connection).await.map_err(failed())?.map(Unseen::Elsewhere),
        };
        // The first id that a server gives out is 1.
        Ok(Self { way: Way::new(why, bound, place)?, bound, settled: u64::from(given_out), steps: 0 })
    }

    /// How late commits are waited for, in words.
    pub(crate) fn way(&self) -> String {
        match &self.way {
            Way::OpenTransactions(_) => {
                "this user sees open transactions, so that none of their rows is missed".to_owned()
            }
            Way::BoundedWait(bounded) => format!("rows that commit late are waited for {:?}", bounded.wait()),
        }
    }

    /// Every missing id below this one is dead.
    pub(crate) fn settled(&self) -> u64 {
        self.settled
    }

    /// Takes the next step to settle the gap at `next`. `end_sql` asks for the greatest id and `count_sql` for the
    /// number of rows between two ids.
    pub(crate) async fn prove(
        &mut self,
        connection: &mut MySqlConnection,
        place: &Place<MySql>,
        next: u64,
        end_sql: &str,
        count_sql: &str,
    ) -> Result<()> {
        self.steps += 1;
        let step = match &mut self.way {
            Way::OpenTransactions(proof) => proof.step(connection, place, next, end_sql, self.steps).await?,
            Way::BoundedWait(bounded) => bounded.step(connection, place, next, end_sql, count_sql).await?,
        };
        match step {
            Step::Settled(end) => self.settled = end,
            Step::Pending => {}
            Step::SwitchedOver(why) => {
                self.way = Way::new(why.map(Unseen::Elsewhere), self.bound, place)?;
                tracing::warn!("{place}: there was a switchover; from now on, {}", self.way());
            }
        }
        Ok(())
    }
}

/// Says now and then that rows are held back, and why; `told` is when it was last said.
fn tell(told: &mut Instant, since: Instant, place: &Place<MySql>, next: u64, why: impl FnOnce() -> String) {
    if told.elapsed() >= TOLD {
        *told = Instant::now();
        tracing::warn!(
            "{place}: rows from id {next} on are held back since {} s: {}",
            since.elapsed().as_secs(),
            why()
        );
    }
}
