//! Where a server is, and how a connection to it begins.

use super::answer::{GREETING, number, within};
use crate::database::Dialect;
use operators_core::config::{Context, MysqlTls, MysqlTlsMode, Secret, masked};
use operators_core::error::{Error, Problem, Result};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{ConnectOptions, MySql};
use std::fmt;
use std::fs::File;
use std::path::PathBuf;

/// What begins a session that reads: each SELECT sees what was committed when it began, and none waits for long. The
/// driver itself sets utf8mb4 and the zone UTC. MariaDB passes over what stands in the comment.
const READING: &str = "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', SESSION autocommit = 1, \
     SESSION innodb_lock_wait_timeout = 20, SESSION lock_wait_timeout = 20 \
     /*!80000 , SESSION information_schema_stats_expiry = 0 */; \
     SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// What begins a session that writes: a value that does not fit is an error, and a session whose program is gone or
/// stopped does not hold the progress row for hours.
pub(super) const WRITING: &str = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
     SESSION autocommit = 1, SESSION innodb_lock_wait_timeout = 20, SESSION lock_wait_timeout = 20, \
     SESSION wait_timeout = 60; \
     SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// "Access denied for user": to the server itself.
const WRONG_PASSWORD: u16 = 1045;

const FORM: &str = "write `mysql://USER@HOST:PORT/DATABASE`";

/// What opens the door, beside the URL.
pub(crate) struct Login<'a> {
    pub(crate) password: Option<&'a Secret>,
    pub(crate) tls: Option<&'a MysqlTls>,
}

impl Login<'_> {
    /// A file has neither.
    pub(crate) fn problems_of_a_file(&self) -> Vec<Problem> {
        let given = [("password", self.password.is_some()), ("tls", self.tls.is_some())];
        let given = given.into_iter().filter(|(_, given)| *given);
        given.map(|(key, _)| Problem::at(key, format!("`{key}` is for `mysql://`, and this is a file"))).collect()
    }
}

/// A database on a server; displays as `mysql://HOST:PORT/DATABASE`.
#[derive(Clone)]
pub(crate) struct Server {
    options: Box<MySqlConnectOptions>,
    /// Certificates and keys, which must be there when a connection begins.
    files: Vec<PathBuf>,
    shown: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Server {
    pub(crate) fn new(url: &str, login: &Login<'_>, context: &Context) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut wrong = |message: String| problems.push(Problem::at("url", message).help(FORM));
        let mut options = MySqlConnectOptions::new();
        if url.contains('?') {
            wrong(format!("`{}` has settings behind a `?`; they have keys of their own here", masked(url)));
        } else {
            match url.parse::<MySqlConnectOptions>() {
                Ok(parsed) => options = parsed,
                // The parser's own words could hold a part of the password.
                Err(_) => wrong(format!("`{}` is not the address of a database", masked(url))),
            }
            let database = options.get_database().unwrap_or_default();
            if problems.is_empty() && (database.is_empty() || database.contains('/')) {
                let message = format!("`{}` does not say which database of the server", masked(url));
                problems.push(Problem::at("url", message).help(FORM));
            }
        }
        let shown = format!(
            "mysql://{}:{}/{}",
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or_default()
        );
        if let Some(password) = login.password {
            let authority = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
            if authority.is_some_and(|(user, _)| user.contains(':')) {
                problems
                    .push(Problem::at("password", "there is a password in the URL already").help("give one of them"));
            }
            options = options.password(password.reveal());
        }
        let tls = login.tls.cloned().unwrap_or_default();
        let mut files = Vec::new();
        let mut file =
            |path: &Option<String>| path.as_ref().map(|path| context.path(path)).inspect(|p| files.push(p.clone()));
        let (ca, cert, key) = (file(&tls.ca), file(&tls.cert), file(&tls.key));
        problems.extend(tls_problems(&tls));
        options = options.ssl_mode(match tls.mode {
            MysqlTlsMode::Disabled => MySqlSslMode::Disabled,
            MysqlTlsMode::Preferred => MySqlSslMode::Preferred,
            MysqlTlsMode::Required => MySqlSslMode::Required,
            MysqlTlsMode::VerifyCa => MySqlSslMode::VerifyCa,
            MysqlTlsMode::VerifyIdentity => MySqlSslMode::VerifyIdentity,
        });
        options = ca.into_iter().fold(options, MySqlConnectOptions::ssl_ca);
        options = cert.into_iter().fold(options, MySqlConnectOptions::ssl_client_cert);
        options = key.into_iter().fold(options, MySqlConnectOptions::ssl_client_key);
        // Modes of SQL are set by the statements above, all of them.
        options = options.pipes_as_concat(false).no_engine_substitution(false).disable_statement_logging();
        if problems.is_empty() { Ok(Self { options: Box::new(options), files, shown }) } else { Err(problems) }
    }

    /// A connection for reading.
    pub(crate) async fn read(&self) -> Result<MySqlConnection> {
        self.connect(READING).await
    }

    /// A connection on which these statements were executed.
    pub(super) async fn connect(&self, session: &'static str) -> Result<MySqlConnection> {
        for path in &self.files {
            let io = |source| Error::Io { action: "read", path: operators_core::config::shown(path), source };
            File::open(path).map_err(io)?;
        }
        let connecting = async {
            let mut connection = self.options.connect().await?;
            sqlx::raw_sql(session).execute(&mut connection).await?;
            Ok(connection)
        };
        within(GREETING, connecting).await.map_err(|error| {
            if MySql::is_unavailable(&error) {
                return Error::Unavailable { place: self.shown.clone(), reason: format!("cannot connect: {error}") };
            }
            if number(&error) == Some(WRONG_PASSWORD) {
                let said =
                    error.as_database_error().map_or_else(|| error.to_string(), |said| said.message().to_owned());
                return Error::Refused {
                    place: self.shown.clone(),
                    reason: format!("{said}. Look at user and password"),
                };
            }
            Error::Sql { action: "open the database".into(), place: self.shown.clone(), source: error.into() }
        })
    }
}

fn tls_problems(tls: &MysqlTls) -> Vec<Problem> {
    let mut problems = Vec::new();
    let at = |key: &str| vec!["tls".to_owned(), key.to_owned()];
    if tls.ca.is_some() && !matches!(tls.mode, MysqlTlsMode::VerifyCa | MysqlTlsMode::VerifyIdentity) {
        let message = "no certificate is checked in this mode, so `ca` would mean nothing".to_owned();
        let help = Some("set mode = \"verify_ca\" or \"verify_identity\"".to_owned());
        problems.push(Problem { at: at("ca"), message, help });
    }
    if tls.cert.is_some() != tls.key.is_some() {
        let (given, missing) = if tls.cert.is_some() { ("cert", "key") } else { ("key", "cert") };
        problems.push(Problem { at: at(given), message: format!("`{given}` needs `{missing}` beside it"), help: None });
    }
    if tls.cert.is_some() && tls.mode == MysqlTlsMode::Disabled {
        let message = "a certificate is shown only over an encrypted connection".to_owned();
        problems.push(Problem { at: at("cert"), message, help: Some("set another mode".to_owned()) });
    }
    problems
}
