//! What a pipeline file may say about a server.

use super::super::SinkConfig;
use super::super::SourceConfig;
use crate::database::mysql::{Login, Server};
use operators_core::Error;
use operators_core::config::Context;
use operators_core::runtime::wait;
use sqlx::Row;

fn context() -> Context {
    Context { dir: "/a/pipelines".into() }
}

/// The problems of a source with these settings, which stand for `url` and whatever follows.
fn problems(settings: &str) -> Vec<String> {
    let json = format!(r#"{{"table": {{"table": "t", "columns": {{"a": "int64"}}, {settings}}}}}"#);
    let config: SourceConfig = serde_json::from_str(&json).unwrap();
    let shown = format!("{config:?}");
    let problems = config.build(&context()).err().unwrap_or_default();
    assert!(!format!("{problems:?}").contains("ter2"), "{problems:?}");
    assert!(settings.contains(":hunter2@") || settings.contains("=hunter2") || !shown.contains("hunter2"), "{shown}");
    problems
        .into_iter()
        .map(|p| format!("{}: {} / {}", p.at.join("."), p.message, p.help.unwrap_or_default()))
        .collect()
}

#[test]
fn wrong_addresses_and_settings_are_problems() {
    let cases: [(&str, &[&str]); 12] = [
        (r#""url": "mysql://root:hunter2@db:3306""#, &["url: `mysql://root:***@db:3306` does not say which database"]),
        (r#""url": "mysql://root:hunter2@db/a/b""#, &["url: `mysql://root:***@db/a/b` does not say which database"]),
        (r#""url": "mysql://root:hunter2@db:x/w""#, &["url: `mysql://root:***@db:x/w` is not the address"]),
        (r#""url": "mysql://db/w?password=hunter2""#, &["url: `mysql://db/w?***` has settings behind a `?`"]),
        (r#""url": "mysql://root:hunter2@db/w", "password": "hunter2""#, &["password: there is a password in the URL"]),
        (r#""url": "oracle://root:hunter2@db/w""#, &["the schemes are `mysql` and `sqlite`: write `mysql://"]),
        (
            r#""url": "sqlite:x.db", "password": "hunter2", "tls": {}, "late_commits": {"wait": "1m", "then": "skip"}"#,
            &["password: `password` is for `mysql://`", "tls: `tls` is for `mysql://`"],
        ),
        (r#""url": "sqlite:x.db", "late_commits": {"wait": "1m", "then": "skip"}"#, &["late_commits: a SQLite file"]),
        (r#""url": "sqlite:x.db", "known_as": ["table 1"]"#, &["known_as: a table in a SQLite file has no identity"]),
        (r#""url": "mysql://db/w", "tls": {"ca": "ca.pem"}"#, &["tls.ca: no certificate is checked"]),
        (
            r#""url": "mysql://db/w", "tls": {"mode": "verify_ca", "ca": "x", "cert": "y"}"#,
            &["tls.cert: `cert` needs `key`"],
        ),
        (
            r#""url": "mysql://db/w", "tls": {"mode": "disabled", "cert": "x", "key": "y"}"#,
            &["tls.cert: a certificate is shown only"],
        ),
    ];
    for (settings, expected) in cases {
        let found = problems(settings);
        assert_eq!(found.len(), expected.len(), "{settings}: {found:#?}");
        for part in expected {
            assert!(found.iter().any(|problem| problem.contains(part)), "{settings}: {part} in {found:#?}");
        }
    }
    assert!(
        problems(r#""url": "mysql://u@db/w", "password": "hunter2", "tls": {"mode": "verify_identity"}"#).is_empty()
    );
}

/// One place for a source and a sink, whoever the user is and however the server is reached; and no secret in it.
#[test]
fn a_stage_says_where_it_is_and_no_password() {
    let sink: SinkConfig =
        serde_json::from_str(r#"{"table": {"url": "mysql://writer:hunter2@db/CS544", "table": "t"}}"#).unwrap();
    let sink = sink.build(&super::super::schema(), operators_core::stage::Inflow::default(), &context()).unwrap();
    let source: SourceConfig = serde_json::from_str(
        r#"{"table": {"url": "mysql://reader@db:3306/CS544", "password": "hunter2", "table": "t", "columns": {"a": "int64"}}}"#,
    )
    .unwrap();
    let source = source.build(&context()).unwrap();
    assert_eq!((sink.place.as_str(), &sink.place), ("mysql://db:3306/CS544#table t", &source.place));
    assert_eq!(source.about.summary, "table t in mysql://db:3306/CS544");
    let expected = [("url", "mysql://db:3306/CS544"), ("table", "t"), ("cursor", "id")];
    assert_eq!(source.about.fingerprint, expected.map(|(name, value)| (name, value.to_owned())));
    assert!(!format!("{:?} {:?}", sink.about, source.about).contains("hunter2"));
}

/// The cipher of a session that was opened with these settings.
fn cipher(world: &super::World, tls: &str) -> operators_core::Result<String> {
    let tls: operators_core::config::MysqlTls = serde_json::from_str(tls).unwrap();
    let login = Login { password: None, tls: Some(&tls) };
    let server = Server::new(&world.url(), &login, &context()).unwrap();
    wait(async {
        let mut connection = server.read().await?;
        let row = sqlx::raw_sql("SHOW STATUS LIKE 'Ssl_cipher'").fetch_one(&mut connection).await.unwrap();
        Ok(row.try_get_unchecked(1).unwrap())
    })
}

#[test]
fn encryption_is_what_the_file_asks_for() {
    let Some(world) = super::own() else { return };
    assert_eq!(cipher(&world, r#"{"mode": "disabled"}"#).unwrap(), "");
    assert_ne!(cipher(&world, r#"{"mode": "required"}"#).unwrap(), "");
    // The authority of a test is known to nobody else.
    let certificates = testkit::servers::ALL.variable("mysql", "KAFKA_CERTIFICATES").unwrap();
    for mode in ["verify_ca", "verify_identity"] {
        let known = format!(r#"{{"mode": "{mode}", "ca": "{certificates}/ca.pem"}}"#);
        assert_ne!(cipher(&world, &known).unwrap(), "", "{mode}");
        let error = cipher(&world, &format!(r#"{{"mode": "{mode}"}}"#)).unwrap_err();
        assert!(matches!(error, Error::Sql { .. }), "{mode}: {error}");
    }
    let error = cipher(&world, r#"{"mode": "verify_ca", "ca": "no/such.pem"}"#).unwrap_err();
    assert!(error.to_string().contains("/a/pipelines/no/such.pem"), "{error}");
}
