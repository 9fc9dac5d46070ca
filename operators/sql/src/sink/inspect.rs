//! What a SQL sink will need, asked without changing anything.

use super::{SqlSink, Target};
use crate::database::Place;
use crate::database::dialect::{Dialect, has_table};
use crate::sink::need::Need;
use crate::sink::{insert, progress};
use operators_core::error::{Error, Result};
use operators_core::inspect::{Inspect, Seen};
use operators_core::runtime::wait;

impl<T: Target> Inspect for SqlSink<T> {
    fn connect(&self, flow: &str) -> Vec<Result<Seen>> {
        let target = self.target();
        let database = &target.place().database;
        let asking = async |connection: &mut <T::Dialect as sqlx::Database>::Connection| {
            let mut seen: Vec<_> = T::Dialect::greet(database, connection).await.into_iter().collect();
            seen.push(there(target, connection, flow).await);
            // Whoever may write to a file may do anything with its tables.
            if T::Dialect::ground(database).is_none() {
                seen.extend(grants(target, connection).await);
            }
            Ok(seen)
        };
        let ground = T::Dialect::ground(database);
        match wait(T::Dialect::look(database, asking)) {
            Ok(seen) => ground.into_iter().chain(seen.unwrap_or_default()).collect(),
            Err(error) => vec![Err(error)],
        }
    }
}

/// What is there for the rows.
async fn there<T: Target>(
    target: &T,
    connection: &mut <T::Dialect as sqlx::Database>::Connection,
    flow: &str,
) -> Result<Seen> {
    let place = target.place();
    let last = progress::read(connection, place, flow).await?.and_then(|held| held.progress);
    Ok(match target.there(connection, last.as_ref()).await? {
        Some(what) => Seen::Fine(format!("{place} is there, with {what}")),
        None => Seen::NotYet(format!("{place} is not there yet; the sink makes it")),
    })
}

/// Whether this user may do with each table what a sink does.
async fn grants<T: Target>(
    target: &T,
    connection: &mut <T::Dialect as sqlx::Database>::Connection,
) -> Vec<Result<Seen>> {
    let place = target.place();
    let own = [progress::need::<T::Dialect>(), insert::dead_letters_needed::<T::Dialect>()];
    let (mut ready, mut missing, mut denied, mut seen) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for need in own.into_iter().chain(target.need()) {
        match may(connection, place, &need).await {
            Ok(true) => ready.push(need.table),
            Ok(false) => missing.push(need.table),
            Err(Refusal::Denied(words)) => denied.push(words),
            Err(Refusal::Other(error)) => seen.push(Err(error)),
        }
    }
    if !denied.is_empty() {
        seen.push(Err(place.refused(format!(
            "{}. A sink needs SELECT, INSERT and UPDATE on its tables, and CREATE for those that are missing: grant that, or \
             use another user",
            denied.join("; ")
        ))));
    }
    if !ready.is_empty() {
        seen.push(Ok(Seen::Fine(format!("this user may read and write {}", ready.join(", ")))));
    }
    if !missing.is_empty() {
        seen.push(Ok(Seen::NotYet(format!("this user may create {}", missing.join(", ")))));
    }
    seen
}

/// Why a table cannot be used.
enum Refusal {
    /// In the words of the database.
    Denied(String),
    Other(Error),
}

/// Whether a table is there; an error when it may not be used as a sink does, or not be made.
async fn may<D: Dialect>(connection: &mut D::Connection, place: &Place<D>, need: &Need) -> Result<bool, Refusal> {
    let Need { table, create, uses } = need;
    let failed = |error| Refusal::Other(place.failed("look for a table")(error));
    let there = has_table::<D>(connection, table).await.map_err(failed)?;
    let statements = if there { uses.as_slice() } else { std::slice::from_ref(create) };
    for sql in statements {
        D::try_out(connection, sql.clone()).await.map_err(|error| match error.as_database_error() {
            Some(said) if !D::is_unavailable(&error) => Refusal::Denied(said.message().to_owned()),
            _ => failed(error),
        })?;
    }
    match D::answer(D::not_transactional(connection, table)).await.map_err(failed)? {
        Some(reason) => Err(Refusal::Other(place.not_transactional(&reason))),
        None => Ok(there),
    }
}
