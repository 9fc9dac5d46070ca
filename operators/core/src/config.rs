//! Value types that the stage configs share: paths, durations, sizes, secrets.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// What a stage may know while it is built: where its file lies.
#[derive(Clone, Debug)]
pub struct Context {
    /// Folder of the pipeline file; every relative path in the file starts here.
    pub dir: PathBuf,
}

impl Context {
    /// A path of the file, made absolute without asking the file system, so that equal places compare equal.
    pub fn path(&self, written: &str) -> PathBuf {
        let mut path = PathBuf::new();
        for part in self.dir.join(written).components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => {
                    path.pop();
                }
                other => path.push(other),
            }
        }
        path
    }
}

/// A length of time: `"0.1s"`, `"10ms"`, `"2m"`, `"1h"`, or a bare number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(pub Duration);

impl std::str::FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let scale = match unit.trim() {
            "ms" => 0.001,
            "s" | "" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(not_an_interval(text)),
        };
        let number: f64 = number.parse().map_err(|_| not_an_interval(text))?;
        Self::seconds(number * scale).ok_or_else(|| not_an_interval(text))
    }
}

impl Interval {
    fn seconds(seconds: f64) -> Option<Self> {
        Duration::try_from_secs_f64(seconds).ok().map(Self)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs_f64())
    }
}

fn not_an_interval(text: &str) -> String {
    format!("`{text}` is not a length of time; write \"0.1s\", \"10ms\", \"2m\", \"1h\" or a number of seconds")
}

/// A number of bytes: `"256MiB"`, `"1GiB"`, `"64KiB"`, or a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let error = || format!("`{text}` is not a size; write \"256MiB\", \"1GiB\", \"64KiB\" or a number of bytes");
        let scale: u64 = match unit.trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(error()),
        };
        let number: u64 = number.parse().map_err(|_| error())?;
        number.checked_mul(scale).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.iter().find(|(scale, _)| self.0 > 0 && self.0.is_multiple_of(*scale)) {
            Some((scale, unit)) => write!(f, "{}{unit}", self.0 / scale),
            None => self.0.fmt(f),
        }
    }
}

/// Text that never shows: it prints as `***` in graphs, logs and errors.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Deserializes from text through `FromStr`, and where `number` is given from a bare number too; serializes as shown.
macro_rules! from_text {
    ($type:ident, $name:literal, $schema:tt, $number:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($name)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        self.visit_f64(number as f64)
                    }

                    fn visit_f64<E: de::Error>(self, number: f64) -> Result<$type, E> {
                        let convert: fn(f64) -> Option<$type> = $number;
                        convert(number).ok_or_else(|| E::invalid_type(de::Unexpected::Float(number), &self))
                    }
                }
                deserializer.deserialize_any(Visitor)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

from_text!(Interval, "a length of time such as \"0.1s\"", {"type": ["string", "number"], "format": "duration", "minimum": 0}, Interval::seconds);
from_text!(Size, "a size such as \"256MiB\"", {"type": ["string", "integer"], "format": "size", "minimum": 0}, |n| {
    (n >= 0.0 && n.fract() == 0.0).then_some(Size(n as u64))
});
from_text!(Secret, "a secret text", {"type": "string", "format": "secret"}, |_| None);

/// How a connection to MySQL or MariaDB is encrypted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MysqlTls {
    /// What is asked of the server.
    #[serde(default)]
    pub mode: MysqlTlsMode,
    /// The authorities that may have signed the server's certificate: a file in PEM format.
    pub ca: Option<String>,
    /// The certificate this program shows: a file in PEM format.
    pub cert: Option<String>,
    /// The key of that certificate: a file in PEM format.
    pub key: Option<String>,
}

/// How much of a server's identity is proven before a password is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MysqlTlsMode {
    /// no encryption
    Disabled,
    /// encryption where the server offers it
    #[default]
    Preferred,
    /// encryption, with whatever certificate
    Required,
    /// encryption, and a certificate signed by a known authority
    VerifyCa,
    /// encryption, and such a certificate for the very host of the URL
    VerifyIdentity,
}

/// What a stage does with a row it cannot process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// stop, and name the row's partition and position
    #[default]
    Fail,
    /// leave the row out and count it
    Skip,
    /// put its bytes and the reason beside the rows, in the same commit
    DeadLetter,
}

/// A path as it is shown to people: relative to where they stand, when it lies below.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

/// A URL without its secrets: the password, and all behind a `?`. Where a `?` stands before an `@`, either may be a part
/// of the other, and both are left out.
pub fn masked(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let begin = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    match (rest.rsplit_once('@'), rest.split_once('?')) {
        (Some((user, _)), Some(_)) if user.contains('?') => format!("{begin}***"),
        (Some((user, place)), _) => {
            let user = match user.split_once(':') {
                _ if scheme.is_empty() => "***",
                Some((user, _)) => &format!("{user}:***"),
                None => user,
            };
            format!("{begin}{user}@{}", masked(place))
        }
        (None, Some((place, _))) => format!("{begin}{place}?***"),
        (None, None) => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_units_and_bare_numbers_are_seconds() {
        for (text, ms) in [("0.1s", 100), ("10ms", 10), ("2m", 120_000), ("1h", 3_600_000), ("0.05", 50), ("0", 0)] {
            assert_eq!(text.parse(), Ok(Interval(Duration::from_millis(ms))), "{text}");
        }
        assert_eq!(Interval(Duration::from_millis(100)).to_string(), "0.1s");
        for text in ["", "s", "-1s", "1 fortnight", "1.2.3s", "99999999999999999999h"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!("256MiB".parse(), Ok(Size(256 << 20)));
        assert_eq!("17".parse(), Ok(Size(17)));
        for text in ["256MiB", "3KiB", "1000", "0"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["", "MiB", "256MB", "-1", "99999999999GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_never_show() {
        let secret: Secret = "hunter2".parse().unwrap();
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("hdfs://boss:9000/data", "hdfs://boss:9000/data"),
            ("mysql://root@db/weather", "mysql://root@db/weather"),
            ("mysql://root:hunter2@db/weather?x=hunter2", "mysql://root:***@db/weather?***"),
            ("mysql://root:hunter2?hunter2@db/weather", "mysql://***"),
            ("mysql://db/weather?password=hunter2@hunter2", "mysql://***"),
            ("mysql://root:hunter2 hunter2@db/weather", "mysql://root:***@db/weather"),
            ("mysql://root:hunter2@hunter2@db/weather", "mysql://root:***@db/weather"),
            ("root:hunter2@db", "***@db"),
            ("db?password=hunter2", "db?***"),
        ] {
            assert_eq!(masked(url), shown);
        }
    }

    #[test]
    fn equal_places_compare_equal() {
        let context = Context { dir: PathBuf::from("/a/pipelines") };
        assert_eq!(context.path("../data/./x"), Path::new("/a/data/x"));
        assert_eq!(context.path("/b/y"), Path::new("/b/y"));
    }
}
