//! What a stage says about its cluster, and the settings of a client that follow from it.

use super::authorities;
use operators_core::config::{Context, Secret, shown};
use operators_core::error::Problem;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;

/// Brokers to begin with, `host:port` each: a list, or one text with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brokers(Vec<String>);

impl<'de> Deserialize<'de> for Brokers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            List(Vec<String>),
            Text(String),
        }
        let written = match Written::deserialize(deserializer)? {
            Written::List(list) => list,
            Written::Text(text) => vec![text],
        };
        let mut brokers: Vec<_> =
            written.iter().flat_map(|text| text.split(',')).map(|b| b.trim().to_owned()).collect();
        // In one order, so that the same cluster is the same place.
        brokers.sort_unstable();
        brokers.dedup();
        Ok(Self(brokers))
    }
}

impl Brokers {
    /// What is wrong with the addresses; the library takes any text for one.
    fn problem(&self) -> Option<Problem> {
        let any = |is: fn(&str) -> bool| self.0.iter().find(|broker| is(broker));
        if any(|broker| broker.contains('@')).is_some() {
            let problem = Problem::at("brokers", "a broker is a host and a port, and logs nobody in");
            return Some(problem.help("write `host:port`, and who logs in under `security = { sasl = ... }`"));
        }
        // The part of a text that came from elsewhere may be the part of a secret.
        let message = match (self.0.is_empty(), any(|broker| !is_address(broker))) {
            (true, _) => "a cluster without brokers",
            (false, Some(broker)) if broker.is_empty() => "a broker without a name",
            (false, Some(_)) => "a broker that is no host and port",
            (false, None) => return None,
        };
        Some(Problem::at("brokers", message).help("write `host:port`, or a list of such; the port is 9092 without one"))
    }
}

/// Whether it is a host, and where a port follows, a number that a port can have.
fn is_address(broker: &str) -> bool {
    let (host, port) = match broker.rsplit_once(':') {
        // The colons within brackets belong to an address of IPv6.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (broker, None),
    };
    let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == ';');
    let is_plain = host.starts_with('[') || host.contains("://") || !host.contains(':');
    let is_port = |port: &str| !port.starts_with('+') && port.parse::<u16>().is_ok_and(|port| port > 0);
    is_host && is_plain && port.is_none_or(is_port)
}

impl JsonSchema for Brokers {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Brokers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

impl fmt::Display for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// How a cluster is sure of us, and we of it; without it the connection is plain.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// Encrypts the connection; `tls = {}` trusts the certificate authorities of the system, or those that the
    /// environment variables SSL_CERT_FILE and SSL_CERT_DIR name.
    pub tls: Option<Tls>,
    /// Logs in with a password.
    pub sasl: Option<Sasl>,
}

/// Certificates of an encrypted connection, each the path of a PEM file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate authorities to trust in place of the system's.
    pub ca: Option<String>,
    /// Our own certificate, where the cluster asks for one.
    pub cert: Option<String>,
    /// The private key of `cert`.
    pub key: Option<String>,
    /// The password of `key`, where it has one.
    pub key_password: Option<Secret>,
    /// Whether a broker's certificate must be for the name it is reached by.
    #[serde(default = "yes")]
    pub verify_hostname: bool,
}

fn yes() -> bool {
    true
}

/// A login with a password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// How the password is proven.
    pub mechanism: Mechanism,
    /// Who logs in.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// How a password is proven.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// sent as it is, so only over TLS
    Plain,
    /// never sent, SHA-256
    #[serde(rename = "scram_sha_256")]
    ScramSha256,
    /// never sent, SHA-512
    #[serde(rename = "scram_sha_512")]
    ScramSha512,
}

/// A setting of librdkafka, as its own documentation spells it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Setting {
    /// true or false
    Flag(bool),
    /// a whole number
    Whole(i64),
    /// a number
    Number(f64),
    /// text
    Text(String),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Whole(number) => number.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// Settings of librdkafka by their names.
pub(crate) type Options = BTreeMap<String, Setting>;

/// Settings that a file may not change, by name or beginning of the name, and why.
const RESERVED: &[(&str, &[&str])] = &[
    ("the stage has the key `brokers` for it", &["bootstrap.servers", "metadata.broker.list"]),
    (
        "the stage has the table `security` for it",
        &["security.", "sasl.", "ssl.", "ssl_", "https.", "enable.ssl.", "oauthbearer_", "enable.sasl."],
    ),
    (
        "positions come from what the flow has committed and from nothing else",
        &["auto.offset.reset", "auto.commit.", "enable.auto.", "offset.store.", "enable.partition.eof"],
    ),
    (
        "the flow divides the partitions among its workers by itself, without a consumer group",
        &["group.", "partition.assignment.strategy", "max.poll.interval.ms", "session.timeout.ms"],
    ),
    ("only committed messages are read, or rows of a failed transaction would count", &["isolation.level"]),
    (
        "what brokers are asked follows what they can do, and an old way of asking knows nothing of transactions",
        &["api.version.", "broker.version."],
    ),
    ("a message that was damaged on its way is no row", &["check.crcs"]),
    ("rows go to the brokers that the file names, and to no imitation of them", &["test."]),
    (
        "every message is written once, in order, and known to be safe",
        &[
            "acks",
            "request.required.acks",
            "enable.idempotence",
            "enable.gapless.guarantee",
            "max.in.flight",
            "retries",
            "message.send.max.retries",
            "message.timeout.ms",
            "delivery.timeout.ms",
            "queuing.strategy",
            "produce.offset.report",
            "delivery.report.",
        ],
    ),
    ("rows and their positions are written in one transaction of the flow", &["transactional.id"]),
    ("a key belongs to one partition for ever, the one that Java's clients choose too", &["partitioner", "sticky."]),
    ("a topic is created only where a sink is asked to", &["allow.auto.create.topics"]),
    ("it belongs to the program, not to a pipeline", &["plugin.", "interceptors", "opaque", "log.queue", "log_"]),
];

/// The settings that both directions have in common, or all that is wrong with them.
pub(crate) fn client(
    brokers: &Brokers,
    security: Option<&Security>,
    options: &Options,
    context: &Context,
) -> Result<ClientConfig, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Warning).set("bootstrap.servers", brokers.to_string());
    config.set("client.id", "weatherflow");
    problems.extend(brokers.problem());
    for (name, setting) in options {
        match option(name, setting) {
            Ok(value) => drop(config.set(name, value)),
            Err(problem) => problems.push(problem),
        }
    }
    if let Some(security) = security {
        secure(&mut config, security, context, &mut problems);
    }
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

fn option(name: &str, setting: &Setting) -> Result<String, Problem> {
    let at = |message: String| Problem { at: vec!["options".into(), name.to_owned()], message, help: None };
    let reserved = RESERVED.iter().find(|(_, names)| names.iter().any(|reserved| name.starts_with(reserved)));
    if let Some((reason, _)) = reserved {
        return Err(at(format!("`{name}` is not a file's to set: {reason}")));
    }
    let value = setting.to_string();
    // The library is asked about each alone: it stops at the first it does not like.
    match ClientConfig::new().set(name, &value).create_native_config() {
        Ok(_) => Ok(value),
        Err(rdkafka::error::KafkaError::ClientConfig(_, reason, ..)) => {
            let help = "the names are librdkafka's, listed in its CONFIGURATION.md; callbacks cannot be set";
            Err(at(format!("librdkafka does not take `{name}`: {reason}")).help(help))
        }
        Err(error) => Err(at(format!("librdkafka does not take `{name}`: {error}"))),
    }
}

fn secure(config: &mut ClientConfig, security: &Security, context: &Context, problems: &mut Vec<Problem>) {
    config.set(
        "security.protocol",
        match (&security.tls, &security.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        },
    );
    if let Some(tls) = &security.tls {
        let at = |key: &str| vec!["security".to_owned(), "tls".to_owned(), key.to_owned()];
        let files = [
            ("ca", "ssl.ca.location", &tls.ca),
            ("cert", "ssl.certificate.location", &tls.cert),
            ("key", "ssl.key.location", &tls.key),
        ];
        for (key, setting, written) in files {
            let Some(written) = written else { continue };
            let path = context.path(written);
            match File::open(&path) {
                Ok(_) => drop(config.set(setting, path.display().to_string())),
                Err(error) => problems.push(Problem {
                    at: at(key),
                    message: format!("cannot read {}: {error}", shown(&path)),
                    help: Some("a path in this file is relative to the folder of this file".to_owned()),
                }),
            }
        }
        if tls.ca.is_none() {
            problems.extend(authorities::trust_system(config).err());
        }
        if tls.cert.is_some() != tls.key.is_some() {
            let (given, missing) = if tls.cert.is_some() { ("cert", "key") } else { ("key", "cert") };
            let message = format!("`{given}` without `{missing}`: a certificate and its private key go together");
            problems.push(Problem { at: at(given), message, help: None });
        }
        if let Some(password) = &tls.key_password {
            config.set("ssl.key.password", password.reveal());
        }
        let verify = if tls.verify_hostname { "https" } else { "none" };
        config.set("ssl.endpoint.identification.algorithm", verify);
    }
    if let Some(sasl) = &security.sasl {
        let mechanism = match sasl.mechanism {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        config.set("sasl.mechanism", mechanism);
        config.set("sasl.username", &sasl.user).set("sasl.password", sasl.password.reveal());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused_before_anybody_is_asked_for_it() {
        let problem = |written: serde_json::Value| serde_json::from_value::<Brokers>(written).unwrap().problem();
        for fine in ["localhost", "boss:9092", "10.0.0.1:9092, 10.0.0.2:9093", "[::1]:9092", "[fe80::1]", "a_b.c-d:1"] {
            assert!(problem(fine.into()).is_none(), "{fine}");
        }
        for wrong in [
            "", "a:1,", ":9092", "a:", "a:0", "a:65536", "a:port", "a:+1", "fe80::1", "a b:1", "a:1 b:2", "a:1;b:2",
            "u:p@a:1",
        ] {
            let problem = problem(wrong.into()).expect(wrong);
            assert_eq!(problem.at, ["brokers"]);
            assert!(
                wrong.is_empty() || !problem.message.contains(wrong) && problem.help.is_some(),
                "{}",
                problem.message
            );
        }
        assert!(problem(serde_json::json!([])).unwrap().message.contains("without brokers"));
    }

    #[test]
    fn what_correctness_rests_on_is_refused_by_name_and_with_the_reason() {
        for (name, setting, reason) in [
            ("delivery.report.only.error", Setting::Flag(true), "known to be safe"),
            ("api.version.request", Setting::Flag(false), "knows nothing of transactions"),
            ("broker.version.fallback", Setting::Text("0.9.0".to_owned()), "knows nothing of transactions"),
            ("check.crcs", Setting::Flag(false), "damaged on its way"),
            ("test.mock.num.brokers", Setting::Whole(1), "imitation"),
            ("transactional.id", Setting::Text("t".to_owned()), "one transaction of the flow"),
        ] {
            let problem = option(name, &setting).expect_err(name);
            assert_eq!(problem.at, ["options", name]);
            assert!(problem.message.contains(name) && problem.message.contains(reason), "{}", problem.message);
        }
    }
}
