//! How a SQL sink opens, commits and is audited; what it creates, inserts and counts is its `Target`'s to say.

mod audit;
pub(crate) mod insert;
mod inspect;
mod need;
mod progress;
pub mod table;
pub mod topic;

use crate::database::dialect::Dialect;
use crate::database::failpoint::Failpoints;
use crate::database::{Place, Transaction};
use need::Need;
use operators_core::chunk::Chunk;
use operators_core::error::{Error, Result};
use operators_core::gathered::{Gathered, Gatherer};
use operators_core::progress::{Commit, Progress, Run};
use operators_core::runtime::wait;
use operators_core::stage::{Committer, Finding, Opened, Sink, Writer};
use progress::ReadSoFar;
use std::sync::Arc;

/// How often a transaction is begun that fails before its COMMIT, through no fault of its rows.
const TRIES: u32 = 3;

/// The step that publishes a commit.
pub(crate) const COMMIT: &str = "commit";

/// What rows become in the database.
pub(crate) trait Target: Send + Sync + 'static {
    /// The kind of database.
    type Dialect: Dialect;

    /// Where they go.
    fn place(&self) -> &Place<Self::Dialect>;

    /// What is there, in words; `None` where nothing is. Refuses what does not fit, and to begin anew where the rows of
    /// the flow's last commit are gone.
    async fn there(
        &self,
        connection: &mut <Self::Dialect as sqlx::Database>::Connection,
        last: Option<&Progress>,
    ) -> Result<Option<String>>;

    /// A table of its own and what is done with it, where it has one.
    fn need(&self) -> Option<Need>;

    /// Creates what is missing, and refuses what does not fit; `last` is the flow's last commit.
    async fn create(&self, tx: &mut Transaction<'_, Self::Dialect>, last: Option<&Progress>) -> Result<()>;

    /// Inserts the rows of one commit.
    async fn insert(&self, tx: &mut Transaction<'_, Self::Dialect>, chunks: &[Chunk]) -> Result<()>;

    /// Counts the rows there are, and gives what is wrong with them in themselves. `None` when the place is gone.
    async fn count(
        &self,
        connection: &mut <Self::Dialect as sqlx::Database>::Connection,
        found: &mut Vec<Finding>,
    ) -> Result<Option<u64>>;
}

/// A sink whose rows and positions arrive in one transaction.
pub(crate) struct SqlSink<T> {
    target: Arc<T>,
    failpoints: Failpoints,
}

impl<T: Target> SqlSink<T> {
    pub(crate) fn new(target: T) -> Self {
        Self { target: Arc::new(target), failpoints: Failpoints::default() }
    }

    pub(super) fn target(&self) -> &T {
        &self.target
    }

    /// A flow's row, read without touching anything; `None` where there is none.
    pub(super) fn held(&self, flow: &str) -> Result<Option<progress::Held>> {
        let place = self.target.place();
        let reading = async |connection: &mut <T::Dialect as sqlx::Database>::Connection| {
            progress::read(connection, place, flow).await
        };
        Ok(wait(T::Dialect::look(&place.database, reading))?.flatten())
    }

    /// For a test, which can stop it between two statements.
    pub(crate) fn with_failpoints(target: T, failpoints: Failpoints) -> Self {
        Self { target: Arc::new(target), failpoints }
    }
}

impl<T: Target> Sink for SqlSink<T> {
    fn progress(&self, flow: &str) -> Result<Option<Progress>> {
        Ok(self.held(flow)?.and_then(|held| held.progress))
    }

    fn open(&self, run: &Run) -> Result<Opened> {
        let (target, failpoints) = (Arc::clone(&self.target), self.failpoints.clone());
        let place = target.place();
        let (connected, held) = wait(async {
            let mut connected = T::Dialect::write(&place.database).await?;
            let connection = T::Dialect::connection(&mut connected);
            let mut tx = Transaction::begin("start taking over", connection, &failpoints, place).await?;
            progress::create_table(&mut tx, place).await?;
            insert::create_dead_letters(&mut tx, place).await?;
            let held = progress::take_over(&mut tx, place, run).await?;
            let last = held.as_ref().and_then(|held| held.progress.as_ref());
            target.create(&mut tx, last).await?;
            for table in [progress::TABLE, insert::DEAD_LETTERS, &place.name] {
                let answer = T::Dialect::answer(T::Dialect::not_transactional(tx.connection(), table)).await;
                if let Some(reason) = answer.map_err(place.failed("look at the tables"))? {
                    return Err(place.not_transactional(&reason));
                }
            }
            const DONE: &str = "finish taking over";
            tx.commit(DONE).await.map_err(place.failed(DONE))?;
            Ok((connected, held))
        })?;
        let (progress, read) = held.map_or((None, ReadSoFar::Spans(Vec::new())), |held| (held.progress, held.read));
        let connected = Some(connected);
        let committer = Box::new(SqlCommitter { target, failpoints, connected, run: run.clone(), read });
        Ok(Opened { committer, progress })
    }

    fn writer(&self, _run: &Run, _attempt: u64) -> Result<Box<dyn Writer>> {
        Ok(Box::new(Gatherer::default()))
    }
}

struct SqlCommitter<T: Target> {
    target: Arc<T>,
    failpoints: Failpoints,
    /// `None` after a commit whose outcome could not be found out.
    connected: Option<<T::Dialect as Dialect>::Opened>,
    run: Run,
    /// Up to the last commit.
    read: ReadSoFar,
}

impl<T: Target> Committer for SqlCommitter<T> {
    fn commit(&mut self, commit: Commit) -> Result<()> {
        let read = self.read.after(&commit.spans);
        let damaged = |error| format!("the spans recorded with the last commit don't lead up to the next one: {error}");
        let read = read.map_err(|error| self.target.place().damaged(damaged(error)))?;
        wait(self.publish(commit, &read))?;
        self.read = read;
        Ok(())
    }
}

/// How a transaction failed.
enum Failed {
    /// Before COMMIT was sent: nothing of it is there, or ever will be.
    Before(Error),
    /// At COMMIT: nobody knows.
    Unknown(Error),
}

impl<T: Target> SqlCommitter<T> {
    /// `read` is all that is read once the commit is made.
    async fn publish(&mut self, mut commit: Commit, read: &ReadSoFar) -> Result<()> {
        let Self { target, failpoints, connected, run, .. } = self;
        let place = target.place();
        let gathered = Gathered::take(&mut commit, run, &place.to_string())?;
        let progress = commit.progress;
        let Some(connected) = connected else {
            return Err(Error::Other(format!("{place}: the outcome of the last commit is not known; start again")));
        };
        let mut tries = 1..TRIES;
        loop {
            T::Dialect::still_open(&place.database, &place.to_string(), connected).await?;
            let connection = T::Dialect::connection(connected);
            match transact(&**target, connection, failpoints, (&progress, read), &gathered).await {
                Ok(()) => return Ok(()),
                // A deadlock, a lock held too long, a connection lost: the whole transaction is done again.
                Err(Failed::Before(Error::Unavailable { .. })) if tries.next().is_some() => {}
                Err(Failed::Before(error)) => return Err(error),
                Err(Failed::Unknown(error)) => return self.find_out(&progress, error).await,
            }
        }
    }

    /// The answer to COMMIT was an error, which says nothing: asks a new connection what is there. On a server the old
    /// COMMIT may still be on its way: then the error that is told is [`Error::Unavailable`], and the run that takes over
    /// waits for the flow's row, which the old transaction locks.
    async fn find_out(&mut self, mine: &Progress, error: Error) -> Result<()> {
        let target = Arc::clone(&self.target);
        let place = target.place();
        // The old connection ends first: what its COMMIT did not reach is rolled back.
        if let Some(old) = self.connected.take() {
            T::Dialect::close(old).await;
        }
        let connected = self.connected.insert(T::Dialect::write(&place.database).await?);
        let held = progress::read(T::Dialect::connection(connected), place, &mine.run.flow).await?;
        match held {
            Some(held) if held.progress.as_ref().is_some_and(|p| p.version == mine.version && p.run == mine.run) => {
                Ok(())
            }
            Some(held) if held.owner != mine.run.id => Err(progress::fenced(place, mine, &held)),
            _ => Err(error),
        }
    }
}

/// Rows and positions in one transaction.
async fn transact<T: Target>(
    target: &T,
    connection: &mut <T::Dialect as sqlx::Database>::Connection,
    failpoints: &Failpoints,
    (progress, read): (&Progress, &ReadSoFar),
    gathered: &Gathered,
) -> Result<(), Failed> {
    let place = target.place();
    let before = async {
        let mut tx = Transaction::begin("start the commit", connection, failpoints, place).await?;
        progress::advance(&mut tx, place, progress, read).await?;
        target.insert(&mut tx, &gathered.rows).await?;
        insert::dead_letters(&mut tx, &progress.run.flow, &gathered.dead_letters).await?;
        Ok(tx)
    };
    let tx = before.await.map_err(Failed::Before)?;
    tx.commit(COMMIT).await.map_err(|error| Failed::Unknown(place.failed(COMMIT)(error)))
}

impl<T: Target> Drop for SqlCommitter<T> {
    /// Waits until the database is closed: an end of the program in the midst of it would leave its log files behind.
    fn drop(&mut self) {
        if let Some(connected) = self.connected.take() {
            let _ = wait(async {
                T::Dialect::close(connected).await;
                Ok(())
            });
        }
    }
}
