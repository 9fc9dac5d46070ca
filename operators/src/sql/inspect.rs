//! What a SQL sink will need, asked without changing anything.

use super::dialect::{Dialect, has_table};
use super::sink::{SqlSink, Target};
use super::{Place, insert, progress};
use crate::error::{Error, Result};
use crate::inspect::{Inspect, Seen};
use crate::runtime::wait;

/// A table that a sink writes to, and what it does with it.
pub(crate) struct Need {
    pub(crate) table: String,
    /// Makes it where it is missing.
    pub(crate) create: String,
    /// What is done with it once it is there.
    pub(crate) uses: Vec<String>,
}

impl<T: Target> Inspect for SqlSink<T> {
    fn connect(&self, flow: &str) -> Vec<Result<Seen>> {
        let target = self.target();
        let database = &target.place().database;
        let asking =
            async |connection: &mut <T::Dialect as sqlx::Database>::Connection| Ok(ask(target, connection, flow).await);
        let asked = wait(T::Dialect::look(database, asking));
        let ground = T::Dialect::ground(database);
        match asked {
            Ok(seen) => ground.into_iter().chain(seen.unwrap_or_default()).collect(),
            Err(error) => vec![Err(error)],
        }
    }
}

async fn ask<T: Target>(
    target: &T,
    connection: &mut <T::Dialect as sqlx::Database>::Connection,
    flow: &str,
) -> Vec<Result<Seen>> {
    let place = target.place();
    let mut seen = vec![T::Dialect::greet(&place.database, connection).await];
    let last = match progress::read(connection, place, flow).await {
        Ok(held) => held.and_then(|held| held.progress),
        Err(error) => {
            seen.push(Err(error));
            None
        }
    };
    seen.push(target.there(connection, last.as_ref()).await.map(|there| match there {
        Some(what) => Seen::Fine(format!("{place} is there, with {what}")),
        None => Seen::NotYet(format!("{place} is not there yet; it will be made")),
    }));
    let own = [progress::need::<T::Dialect>(), insert::dead_letters_needed::<T::Dialect>()];
    let (mut ready, mut missing) = (Vec::new(), Vec::new());
    for need in own.into_iter().chain(target.need()) {
        match may(connection, place, &need).await {
            Ok(true) => ready.push(need.table),
            Ok(false) => missing.push(need.table),
            Err(error) => seen.push(Err(error)),
        }
    }
    if !ready.is_empty() {
        seen.push(Ok(Seen::Fine(format!("may read and write {}", ready.join(", ")))));
    }
    if !missing.is_empty() {
        seen.push(Ok(Seen::NotYet(format!("may create {}", missing.join(", ")))));
    }
    seen
}

/// Whether a table is there; an error when it may not be used as a sink does, or not be made.
async fn may<D: Dialect>(connection: &mut D::Connection, place: &Place<D>, need: &Need) -> Result<bool> {
    let Need { table, create, uses } = need;
    let there = has_table::<D>(connection, table).await.map_err(place.failed("look for a table"))?;
    let statements = if there { uses.as_slice() } else { std::slice::from_ref(create) };
    for sql in statements {
        D::try_out(connection, sql.clone()).await.map_err(|error| denied(place, table, error))?;
    }
    if let Some(reason) = D::answer(D::not_transactional(connection, table)).await.map_err(place.failed("look"))? {
        return Err(not_transactional(place, &reason));
    }
    Ok(there)
}

/// Why rows and progress could not be committed together.
pub(super) fn not_transactional<D: Dialect>(place: &Place<D>, reason: &str) -> Error {
    place.refused(format!("{reason}; rows and progress could not arrive in one step"))
}

fn denied<D: Dialect>(place: &Place<D>, table: &str, error: sqlx::Error) -> Error {
    match error.as_database_error() {
        Some(said) if !D::is_unavailable(&error) => place.refused(format!(
            "{}. A sink needs SELECT, INSERT and UPDATE on {table}, and CREATE where it is missing: grant that, or use \
             another user",
            said.message()
        )),
        _ => place.failed("try a statement out")(error),
    }
}
