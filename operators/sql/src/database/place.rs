//! Where a table or topic lies: in which database, under which name.

use crate::database::Dialect;
use crate::database::mysql::server::{Login, Server};
use crate::database::sqlite::database::Database;
use operators_core::config::{Context, masked};
use operators_core::error::{Error, Problem};
use operators_core::inspect::Seen;
use sqlx::{MySql, Sqlite};
use std::fmt;
use std::path::PathBuf;

/// What has a name in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Table,
    Topic,
}

impl Kind {
    /// The key of a stage that holds the name.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Topic => "topic",
        }
    }
}

/// A table or topic of a database; it displays as `table temperatures in data/weather.db`.
pub(crate) struct Place<D: Dialect> {
    pub(crate) database: D::Database,
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

impl<D: Dialect> Clone for Place<D> {
    fn clone(&self) -> Self {
        Self { database: self.database.clone(), kind: self.kind, name: self.name.clone() }
    }
}

impl<D: Dialect> fmt::Debug for Place<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Place<Sqlite> {
    /// A table or topic in a file.
    pub(crate) fn new(kind: Kind, url: &str, name: &str, context: &Context) -> Result<Self, Vec<Problem>> {
        let database = path(url, context, "the only scheme is `sqlite`:").map(Database::new);
        Self::named(kind, database.map_err(|problem| vec![problem]), name)
    }

    /// The same text for a source and a sink of the same thing.
    pub(crate) fn id(&self) -> String {
        format!("sqlite:{}#{} {}", self.database.path().display(), self.kind.key(), self.name)
    }
}

impl Place<MySql> {
    /// The same text for a source and a sink of the same thing.
    pub(crate) fn id(&self) -> String {
        format!("{}#{} {}", self.database, self.kind.key(), self.name)
    }
}

/// A table of whatever database its URL names.
pub(crate) enum TablePlace {
    Sqlite(Place<Sqlite>),
    MySql(Place<MySql>),
}

impl TablePlace {
    pub(crate) fn new(url: &str, login: &Login<'_>, name: &str, context: &Context) -> Result<Self, Vec<Problem>> {
        if url.split_once("://").is_some_and(|(scheme, _)| scheme == "mysql") {
            return Place::named(Kind::Table, Server::new(url, login, context), name).map(Self::MySql);
        }
        let path =
            path(url, context, "the schemes are `mysql` and `sqlite`: write `mysql://USER@HOST:PORT/DATABASE`, or");
        let problems = path.as_ref().err().cloned().into_iter().chain(login.problems_of_a_file());
        let problems: Vec<_> = problems.collect();
        let database = path.map(Database::new).map_err(|_| Vec::new());
        let place = if problems.is_empty() { database } else { Err(problems) };
        Place::named(Kind::Table, place, name).map(Self::Sqlite)
    }
}

impl<D: Dialect> Place<D> {
    fn named(kind: Kind, database: Result<D::Database, Vec<Problem>>, name: &str) -> Result<Self, Vec<Problem>> {
        let nameless = name.is_empty() || name.contains('\0');
        let nameless = nameless.then(|| Problem::at(kind.key(), format!("a {} needs a name", kind.key())));
        match (database, nameless) {
            (Ok(database), None) => Ok(Self { database, kind, name: name.to_owned() }),
            (Ok(_), Some(problem)) => Err(vec![problem]),
            (Err(problems), nameless) => Err(problems.into_iter().chain(nameless).collect()),
        }
    }

    /// An answer of the database that is not what was asked for. Its words are found only when there is an error: this
    /// stands on the path of every row.
    pub(crate) fn failed(&self, action: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
        move |error| {
            if D::is_unavailable(&error) {
                return Error::Unavailable { place: self.to_string(), reason: format!("cannot {action}: {error}") };
            }
            Error::Sql { action: action.into(), place: self.to_string(), source: error.into() }
        }
    }

    /// Going on would lose or double rows.
    pub(crate) fn refused(&self, reason: impl Into<String>) -> Error {
        Error::Refused { place: self.to_string(), reason: reason.into() }
    }

    /// Why rows and progress could not be committed together.
    pub(crate) fn not_transactional(&self, reason: &str) -> Error {
        self.refused(format!("{reason}; rows and progress could not arrive in one step"))
    }

    /// What a source says of a place that another is to make.
    pub(crate) fn awaited(&self) -> Seen {
        Seen::NotYet(format!("{self} is not there yet{}; the flow waits for it", D::OR_HIDDEN))
    }

    /// What is stored contradicts itself.
    pub(crate) fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::Damaged { path: self.to_string(), reason: reason.into() }
    }
}

impl<D: Dialect> fmt::Display for Place<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} in {}", self.kind.key(), self.name, self.database)
    }
}

/// The path in a `sqlite:` URL; `schemes` says what there is beside.
fn path(url: &str, context: &Context, schemes: &str) -> Result<PathBuf, Problem> {
    let form = "write `sqlite:PATH`; a relative PATH starts at the folder of this file";
    let Some((scheme, path)) = url.split_once(':') else {
        return Err(
            Problem::at("url", format!("`{}` does not say what kind of database it is", masked(url))).help(form)
        );
    };
    if scheme != "sqlite" {
        return Err(Problem::at("url", format!("`{}` is no database this program can open", masked(url)))
            .help(format!("{schemes} {form}")));
    }
    if path.is_empty() || path.starts_with("//") || path.contains(['?', '\0']) {
        return Err(Problem::at("url", format!("`{}` is not the path of a database", masked(url))).help(form));
    }
    Ok(context.path(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Result<Place<Sqlite>, Vec<Problem>> {
        Place::new(Kind::Table, url, "t", &Context { dir: "/a/pipelines".into() })
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        assert_eq!(place("sqlite:../data/x.db").unwrap().id(), "sqlite:/a/data/x.db#table t");
        assert_eq!(place("sqlite:/b/x.db").unwrap().id(), "sqlite:/b/x.db#table t");
        assert_eq!(place("sqlite:/b/x.db").unwrap().to_string(), "table t in /b/x.db");
    }

    #[test]
    fn other_urls_are_problems_and_passwords_never_show() {
        let urls = [
            ("mysql://root:hunter2@db:3306/weather", "`mysql://root:***@db:3306/weather`"),
            ("mysql://root:hun/ter2@x@db/weather", "`mysql://root:***@db/weather`"),
            ("mysql://db/weather?password=hunter2", "`mysql://db/weather?***`"),
            ("root:hunter2@db", "`***@db`"),
            ("data/x?password=hunter2", "`data/x?***`"),
            ("data/x.db", "`data/x.db`"),
            ("sqlite:", "`sqlite:`"),
            ("sqlite:///a/x.db", "`sqlite:///a/x.db`"),
            ("sqlite:x.db?mode=hunter2", "`sqlite:x.db?***`"),
        ];
        for (url, shown) in urls {
            let problems = place(url).unwrap_err();
            assert_eq!(problems.len(), 1, "{url}");
            assert_eq!(problems[0].at, ["url"], "{url}");
            assert!(problems[0].message.contains(shown), "{url}: {}", problems[0].message);
            assert!(!format!("{problems:?}").contains("ter2"), "{url}");
            assert!(problems[0].help.as_ref().unwrap().contains("sqlite:PATH"), "{url}");
        }
    }

    #[test]
    fn all_problems_at_once() {
        let problems = Place::new(Kind::Topic, "x", "", &Context { dir: "/".into() }).unwrap_err();
        assert_eq!(problems.iter().map(|p| p.at[0].as_str()).collect::<Vec<_>>(), ["url", "topic"]);
    }
}
