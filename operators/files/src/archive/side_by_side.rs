//! Work on several files at once.

use super::Archive;
use operators_core::error::{Error, Result};
use std::sync::{Mutex, PoisonError};
use std::thread;

impl Archive {
    /// Does a piece of work on each item, as many side by side as the store gains from; gives the results in order of
    /// their keys. After the first error no other is begun.
    pub(crate) fn side_by_side<K: Ord + Copy + Send, T: Send, R: Send>(
        &self,
        items: Vec<(K, T)>,
        work: impl Fn(K, T) -> Result<R> + Sync,
    ) -> Result<Vec<(K, R)>> {
        side_by_side(items, self.store.files_at_once(), work)
    }
}

/// Does a piece of work on each item, so many at once; gives the results in order of their keys. After the first error
/// no other is begun.
pub(super) fn side_by_side<K: Ord + Copy + Send, T: Send, R: Send>(
    items: Vec<(K, T)>,
    at_once: usize,
    work: impl Fn(K, T) -> Result<R> + Sync,
) -> Result<Vec<(K, R)>> {
    let at_once = at_once.min(items.len());
    let waiting = Mutex::new(items.into_iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let take = || {
        let mut done = Vec::new();
        while let Some((key, item)) = next() {
            let result = work(key, item).inspect_err(|_| while next().is_some() {})?;
            done.push((key, result));
        }
        Ok(done)
    };
    let ends: Vec<Result<Vec<_>>> = thread::scope(|scope| {
        let worker = |_| thread::Builder::new().spawn_scoped(scope, take).ok();
        let workers: Vec<_> = (1..at_once).map_while(worker).collect();
        let own = take();
        let broken = |_| Err(Error::Other("work on a file panicked".to_owned()));
        let theirs = workers.into_iter().map(|worker| worker.join().unwrap_or_else(broken));
        [own].into_iter().chain(theirs).collect()
    });
    let mut done: Vec<_> = ends.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(key, _)| *key);
    Ok(done)
}
