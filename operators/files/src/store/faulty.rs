//! A store that fails as planned, call by call: the world in which the commit is proven.
//!
//! Calls are numbered from 0 in the order they are made, reads and single writes included. Each number may be given
//! one [`Fault`]; all others go through to the store below.

use super::{Cause, Entry, Result, STAGING, Store, StoreError, StoreFile, StoreReader};
use bytes::Bytes;
use operators_core::inspect::Ground;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The program is stopped before the call: it and every later one fails, until [`Faulty::restart`].
    StopBefore,
    /// The program is stopped after the call was applied.
    StopAfter,
    /// The call is applied, and answered with [`Cause::Unknown`].
    Unanswered,
    /// The call is answered with [`Cause::Unknown`] at once and applied later: when this many more calls have been
    /// made, of this life of the program or the next. A single write is lost instead, as its file cannot come later.
    Late(u64),
    /// The call is not applied, and answered with [`Cause::Unavailable`].
    Refused,
}

/// The kinds of calls, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// [`Store::create`]
    Create,
    /// one write to a file
    Write,
    /// [`StoreFile::finish`]
    Finish,
    /// [`Store::read`]
    Read,
    /// [`Store::open`]
    Open,
    /// [`StoreReader::read_at`]
    ReadAt,
    /// [`Store::list`]
    List,
    /// [`Store::rename`]
    Rename,
    /// [`Store::replace`]
    Replace,
    /// [`Store::delete`]
    Delete,
    /// [`Store::delete_empty`]
    DeleteEmpty,
    /// [`Store::modified`]
    Modified,
    /// [`Store::root`]
    Root,
    /// [`Store::staging`]
    Staging,
}

/// One program's view of a store; clones are the same view.
#[derive(Clone)]
pub struct Faulty {
    below: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    plan: BTreeMap<u64, Fault>,
    made: u64,
    counts: BTreeMap<Call, u64>,
    dead: bool,
    late: Vec<(u64, Effect)>,
}

type Effect = Box<dyn FnOnce() + Send>;

impl Faulty {
    /// A view of the store below with a fault for each call number of the plan.
    pub fn new(below: Arc<dyn Store>, plan: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        let state = State { plan: plan.into_iter().collect(), ..State::default() };
        Self { below, state: Arc::new(Mutex::new(state)) }
    }

    /// Calls made so far, over all lives of the program.
    pub fn made(&self) -> u64 {
        self.lock().made
    }

    /// Calls made so far, by kind.
    pub fn counts(&self) -> BTreeMap<Call, u64> {
        self.lock().counts.clone()
    }

    /// The program starts again; the numbers go on.
    pub fn restart(&self) {
        self.lock().dead = false;
    }

    /// Applies every call that is still late.
    pub fn settle(&self) {
        let late = std::mem::take(&mut self.lock().late);
        late.into_iter().for_each(|(_, effect)| effect());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a call, applies what is due before it, and says what is planned for it.
    fn next(&self, call: Call) -> Result<Option<Fault>, Cause> {
        let mut state = self.lock();
        if state.dead {
            return Err(dead());
        }
        let number = state.made;
        state.made += 1;
        *state.counts.entry(call).or_default() += 1;
        let fault = state.plan.get(&number).copied();
        let (due, later) = std::mem::take(&mut state.late).into_iter().partition(|(at, _)| *at <= number);
        state.late = later;
        drop(state);
        let due: Vec<(u64, Effect)> = due;
        due.into_iter().for_each(|(_, effect)| effect());
        Ok(fault)
    }

    /// Makes a call that can be applied at any time.
    fn call<T>(&self, call: Call, apply: impl FnOnce() -> Result<T> + Send + 'static) -> Result<Result<T>, Cause> {
        match self.next(call)? {
            None => Ok(apply()),
            Some(Fault::StopBefore) => Err(self.stop()),
            Some(Fault::StopAfter) => {
                drop(apply());
                Err(self.stop())
            }
            Some(Fault::Unanswered) => {
                drop(apply());
                Err(unknown())
            }
            Some(Fault::Refused) => Err(refused()),
            Some(Fault::Late(calls)) => {
                let mut state = self.lock();
                let due = state.made + calls;
                state.late.push((due, Box::new(move || drop(apply()))));
                Err(unknown())
            }
        }
    }

    fn stop(&self) -> Cause {
        self.lock().dead = true;
        dead()
    }

    /// As [`Faulty::call`], for calls that take a path.
    fn at<T>(
        &self,
        call: Call,
        action: &'static str,
        path: &str,
        apply: impl FnOnce(&dyn Store, &str) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (below, owned) = (Arc::clone(&self.below), path.to_owned());
        let answer = self.call(call, move || apply(&*below, &owned));
        answer.unwrap_or_else(|cause| Err(StoreError::new(action, path, cause)))
    }
}

fn dead() -> Cause {
    Cause::Failed(io::Error::other("the program is dead"))
}

fn unknown() -> Cause {
    Cause::Unknown("as planned".to_owned())
}

fn refused() -> Cause {
    Cause::Unavailable("as planned".to_owned())
}

impl Store for Faulty {
    fn create(&self, path: &str) -> Result<Box<dyn StoreFile>> {
        let file = self.at(Call::Create, "create", path, |below, path| below.create(path))?;
        Ok(Box::new(FaultyFile { file, path: path.to_owned(), faulty: self.clone() }))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.at(Call::Read, "read", path, |below, path| below.read(path))
    }

    fn open(&self, path: &str) -> Result<Box<dyn StoreReader>> {
        let reader = self.at(Call::Open, "open", path, |below, path| below.open(path))?;
        Ok(Box::new(FaultyReader { reader: reader.into(), path: path.to_owned(), faulty: self.clone() }))
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>> {
        self.at(Call::List, "list", path, |below, path| below.list(path))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let to = to.to_owned();
        self.at(Call::Rename, "rename", from, move |below, from| below.rename(from, &to))
    }

    fn replace(&self, from: &str, to: &str) -> Result<()> {
        let to = to.to_owned();
        self.at(Call::Replace, "rename", from, move |below, from| below.replace(from, &to))
    }

    fn delete(&self, path: &str) -> Result<bool> {
        self.at(Call::Delete, "delete", path, |below, path| below.delete(path))
    }

    fn delete_empty(&self, path: &str) -> Result<bool> {
        self.at(Call::DeleteEmpty, "delete", path, |below, path| below.delete_empty(path))
    }

    fn modified(&self, path: &str) -> Result<SystemTime> {
        self.at(Call::Modified, "look at", path, |below, path| below.modified(path))
    }

    fn root(&self) -> Result<Ground> {
        self.at(Call::Root, "write to", "", |below, _| below.root())
    }

    fn staging(&self) -> Result<Ground> {
        self.at(Call::Staging, "rename files from", STAGING, |below, _| below.staging())
    }

    fn staging_place(&self) -> String {
        self.below.staging_place()
    }

    fn staging_advice(&self) -> String {
        self.below.staging_advice()
    }
}

struct FaultyFile {
    file: Box<dyn StoreFile>,
    path: String,
    faulty: Faulty,
}

impl Write for FaultyFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.faulty.next(Call::Write)? {
            None => self.file.write(data),
            Some(Fault::StopBefore) => Err(self.faulty.stop().into()),
            Some(Fault::StopAfter) => {
                self.file.write_all(data)?;
                Err(self.faulty.stop().into())
            }
            Some(Fault::Unanswered) => {
                self.file.write_all(data)?;
                Err(unknown().into())
            }
            Some(Fault::Late(_)) => Err(unknown().into()),
            Some(Fault::Refused) => Err(refused().into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl StoreFile for FaultyFile {
    fn held(&self) -> u64 {
        self.file.held()
    }

    fn free(&mut self) -> io::Result<()> {
        self.file.free()
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { file, path, faulty } = *self;
        let answer = faulty.call(Call::Finish, move || file.finish());
        answer.unwrap_or_else(|cause| Err(StoreError::new("finish", &path, cause)))
    }
}

struct FaultyReader {
    reader: Arc<dyn StoreReader>,
    path: String,
    faulty: Faulty,
}

impl StoreReader for FaultyReader {
    fn length(&self) -> u64 {
        self.reader.length()
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        let reader = Arc::clone(&self.reader);
        let answer = self.faulty.call(Call::ReadAt, move || reader.read_at(offset, length));
        answer.unwrap_or_else(|cause| Err(StoreError::new("read", &self.path, cause)))
    }
}
