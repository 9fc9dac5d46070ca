//! An answer of Kafka as an error for people, and what a client says on the side.

use super::Place;
use operators_core::error::Error;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::{ClientContext, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a broker that cannot be reached is worth a line.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// What the library says where a connection was lost before a password was asked for; the code is that of a wrong one.
const CUT: &str = "handshake failed: Local: ";

/// What a failed call means: `doing` follows "cannot" (`"read the end of partition 3"`).
pub(crate) fn failed(place: &Place, doing: &str, error: &KafkaError) -> Error {
    match error.rdkafka_error_code() {
        Some(code) => coded(place, doing, code),
        None => match error {
            KafkaError::AdminOp(code) => coded(place, doing, *code),
            // The library's own words on settings that do not go together; secrets are not among them.
            KafkaError::ClientCreation(reason) => place.refused(format!("cannot {doing}: {reason}")),
            KafkaError::ClientConfig(_, reason, name, _) => place.refused(format!("cannot {doing}: {name}: {reason}")),
            other => place.unavailable(format!("cannot {doing}: {other}")),
        },
    }
}

/// What a code means that came alone.
pub(crate) fn coded(place: &Place, doing: &str, code: Code) -> Error {
    match code {
        Code::OperationTimedOut | Code::RequestTimedOut | Code::MessageTimedOut => {
            answered(place, doing, code, "no answer in time")
        }
        // `Name (Who: what)`; that it was said here, and not by a broker, goes without saying.
        _ => answered(place, doing, code, &code.to_string().replace("(Local: ", "(")),
    }
}

/// What a code means that came with words of its own.
pub(crate) fn answered(place: &Place, doing: &str, code: Code, words: &str) -> Error {
    let reason = format!("cannot {doing}: {words}");
    match kind(code) {
        Kind::Passing => place.unavailable(reason),
        Kind::Fenced => Error::Fenced { place: place.to_string(), reason },
        Kind::Lasting(advice) => place.refused(format!("{reason}. {advice}")),
    }
}

/// What an answer says about trying again.
enum Kind {
    /// It may be different later.
    Passing,
    /// Another producer has taken over.
    Fenced,
    /// It stays so until somebody does this.
    Lasting(&'static str),
}

fn kind(code: Code) -> Kind {
    match code {
        Code::ProducerFenced | Code::Fenced | Code::InvalidProducerEpoch => Kind::Fenced,
        Code::Authentication | Code::SaslAuthenticationFailed => {
            Kind::Lasting("Look at user, password and mechanism under `security`")
        }
        Code::UnsupportedSASLMechanism | Code::IllegalSASLState | Code::SecurityDisabled => {
            Kind::Lasting("The brokers do not take this login here: look at the port and at `security`")
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => {
            Kind::Lasting("The brokers know this user and do not let it do that: grant it, or use another user")
        }
        Code::UnsupportedVersion | Code::UnsupportedFeature => {
            Kind::Lasting("The brokers are older than this program needs: Kafka 2.8 is enough")
        }
        Code::PolicyViolation
        | Code::InvalidReplicationFactor
        | Code::InvalidPartitions
        | Code::InvalidConfig
        | Code::InvalidTopic
        | Code::InvalidTransactionTimeout => Kind::Lasting("The brokers do not allow what the file asks for"),
        Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::InvalidRecord => {
            Kind::Lasting("A message is larger, or other, than the topic allows: look at its max.message.bytes")
        }
        _ => Kind::Passing,
    }
}

/// Hears what a client says on the side: log lines, and errors that are no call's answer.
#[derive(Debug)]
pub(crate) struct Listener {
    place: String,
    heard: Mutex<Heard>,
    /// How many commits of a group's offsets have an answer.
    committed: AtomicU64,
}

#[derive(Debug, Default)]
struct Heard {
    /// The cluster said no, with its words.
    refusal: Option<(Code, String)>,
    /// The last trouble of any kind.
    trouble: Option<String>,
}

/// When there was last a line about a place; a flow has several clients, and one line is enough.
static WARNED: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

impl Listener {
    pub(crate) fn new(place: &Place) -> Self {
        Self { place: place.to_string(), heard: Mutex::default(), committed: AtomicU64::default() }
    }

    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// A failed call, with what was heard besides: a wrong password shows itself to a caller only as silence.
    pub(crate) fn explain(&self, place: &Place, doing: &str, error: &KafkaError) -> Error {
        let heard = self.heard();
        if let Some((code, words)) = &heard.refusal {
            return answered(place, doing, *code, words);
        }
        match (failed(place, doing, error), &heard.trouble) {
            (Error::Unavailable { place, reason }, Some(trouble)) => {
                Error::Unavailable { place, reason: format!("{reason} ({trouble})") }
            }
            (error, _) => error,
        }
    }

    /// What the cluster has refused, where that will not change.
    pub(crate) fn refusal(&self, place: &Place) -> Option<Error> {
        self.heard().refusal.as_ref().map(|(code, words)| answered(place, "log in", *code, words))
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Listener {
    fn log(&self, _: RDKafkaLogLevel, fac: &str, line: &str) {
        tracing::debug!(target: "kafka", "{}: {fac}: {line}", self.place);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        let none_is_up = code == Some(Code::AllBrokersDown);
        let reason = if none_is_up { "no broker can be reached" } else { reason };
        let mut heard = self.heard();
        if let Some(code) = code
            && matches!(kind(code), Kind::Lasting(_))
            && !reason.contains(CUT)
        {
            heard.refusal = Some((code, reason.to_owned()));
        }
        // That none is up says less than why the last of them is not.
        if heard.trouble.is_none() || !none_is_up {
            heard.trouble = Some(reason.to_owned());
        }
        let mut warned = WARNED.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.get(&self.place).is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            warned.insert(self.place.clone(), Instant::now());
            tracing::warn!("{}: {reason}", self.place);
        }
    }
}

impl ConsumerContext for Listener {
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        self.committed.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = result {
            tracing::debug!(target: "kafka", "{}: a group's offsets are not written: {error}", self.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_lost_within_the_login_is_no_wrong_password() {
        let heard = |reason: &str| {
            let listener = Listener { place: "topic t on b".into(), heard: Mutex::default(), committed: 0.into() };
            listener.error(KafkaError::Global(Code::Authentication), reason);
            let heard = listener.heard();
            (heard.refusal.is_some(), heard.trouble.is_some())
        };
        let handshake = |what: &str| format!("SASL PLAIN mechanism handshake failed: {what}: broker's supported");
        assert_eq!(heard(&handshake("Local: Broker transport failure")), (false, true));
        assert_eq!(heard(&handshake("Broker: Unsupported SASL mechanism")), (true, true));
        assert_eq!(heard("SASL authentication error: Authentication failed"), (true, true));
    }
}
