//! Where a table or topic lies: in which database, under which name.

use super::database::Database;
use crate::config::Context;
use crate::error::{Error, Problem};
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
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) database: Database,
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

impl Place {
    pub(crate) fn new(kind: Kind, url: &str, name: &str, context: &Context) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        if name.is_empty() || name.contains('\0') {
            problems.push(Problem::at(kind.key(), format!("a {} needs a name", kind.key())));
        }
        match path(url, context) {
            Ok(path) if problems.is_empty() => Ok(Self { database: Database::new(path), kind, name: name.to_owned() }),
            Ok(_) => Err(problems),
            Err(problem) => {
                problems.insert(0, problem);
                Err(problems)
            }
        }
    }

    /// The same text for a source and a sink of the same thing.
    pub(crate) fn id(&self) -> String {
        format!("sqlite:{}#{} {}", self.database.path().display(), self.kind.key(), self.name)
    }

    /// An answer of the database that is not what was asked for. Its words are found only when there is an error: this
    /// stands on the path of every row.
    pub(crate) fn failed(&self, action: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
        move |error| Error::Sql { action: action.into(), place: self.to_string(), source: error.into() }
    }

    /// Going on would lose or double rows.
    pub(crate) fn refused(&self, reason: impl Into<String>) -> Error {
        Error::Refused { place: self.to_string(), reason: reason.into() }
    }

    /// What is stored contradicts itself.
    pub(crate) fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::Damaged { path: self.to_string(), reason: reason.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} in {}", self.kind.key(), self.name, self.database)
    }
}

fn path(url: &str, context: &Context) -> Result<PathBuf, Problem> {
    let form = "write `sqlite:PATH`; a relative PATH starts at the folder of this file";
    let Some((scheme, path)) = url.split_once(':') else {
        return Err(Problem::at("url", format!("`{url}` does not say what kind of database it is")).help(form));
    };
    if scheme != "sqlite" {
        return Err(Problem::at("url", format!("`{}` is no database this program can open", masked(url)))
            .help(format!("the only scheme is `sqlite`: {form}")));
    }
    if path.is_empty() || path.starts_with("//") || path.contains(['?', '\0']) {
        return Err(Problem::at("url", format!("`{}` is not the path of a database", masked(url))).help(form));
    }
    Ok(context.path(path))
}

/// A URL without its secrets: the password, and all behind a `?`.
fn masked(url: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, ""), |(url, _)| (url, "?***"));
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let Some((user, host)) = rest.rsplit_once('@') else { return format!("{url}{query}") };
    match user.split_once(':') {
        _ if scheme.is_empty() => format!("***@{host}{query}"),
        Some((user, _)) => format!("{scheme}://{user}:***@{host}{query}"),
        None => format!("{scheme}://{user}@{host}{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Result<Place, Vec<Problem>> {
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
