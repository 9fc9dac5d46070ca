//! What `tap` can be told.

use clap::{Args, ValueEnum};
use stages::transform::filter::{FilterConfig, Scalar};
use std::path::PathBuf;
use std::str::FromStr;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct TapArgs {
    /// The pipeline file; or a Parquet file, to print its rows.
    pub(super) file: PathBuf,
    /// The rows to print: FLOW, those that reach its sink; FLOW.STAGE, what a stage gives, as in `archive.source`,
    /// `archive.decode` or `archive.transform.select#2`; FLOW.sink, what its Parquet sink has committed.
    #[arg(value_name = "FLOW[.STAGE]")]
    pub(super) target: Option<String>,
    /// `earliest`: from the first row there is, and on; `latest`: only rows that come from now on, of FLOW.sink only the
    /// newest batch; a number: from that offset, id or batch on. Without it FLOW.sink is printed from the earliest batch,
    /// and everything else from the latest row.
    #[arg(long, value_name = "earliest|latest|N")]
    pub(super) from: Option<Begin>,
    /// Only rows of this partition; may be given several times.
    #[arg(long, value_name = "N")]
    pub(super) partition: Vec<u32>,
    /// Only rows for which this holds; may be given several times. Compares with =, !=, <, <=, > and >= by the type of the
    /// column; beside the columns of the rows there are `partition`, `position` and, of messages, `key`.
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    pub(super) conditions: Vec<Condition>,
    /// End after so many rows, dead letters included.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
    /// How rows are printed: in a table on a terminal and as JSON lines elsewhere, unless this says otherwise.
    #[arg(long, value_enum)]
    pub(super) format: Option<Format>,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    Earliest,
    Latest,
    At(u64),
}

impl FromStr for Begin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            number => number.parse().map(Self::At).map_err(|_| "write earliest, latest or a position".to_owned()),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// Columns, cut at the width of the terminal
    Table,
    /// A JSON object on each line
    Json,
    /// The bytes of `value` as they are, one message a line; on a terminal what does not print is escaped
    Raw,
}

/// A comparison, as the filter of a pipeline file makes it.
#[derive(Clone, Debug)]
pub(super) struct Condition(pub(super) FilterConfig);

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const SIGNS: [&str; 6] = ["!=", "<=", ">=", "=", "<", ">"];
        let first = text.find(['!', '<', '>', '=']).unwrap_or(text.len());
        let (column, rest) = text.split_at(first);
        let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)).filter(|_| !column.is_empty()) else {
            return Err("write a column, one of = != < <= > >=, and a value: station_id=station-03".to_owned());
        };
        let value = || Some(Scalar::String(rest[sign.len()..].to_owned()));
        let when = |is| if sign == is { value() } else { None };
        Ok(Self(FilterConfig {
            column: column.to_owned(),
            eq: when("="),
            ne: when("!="),
            lt: when("<"),
            le: when("<="),
            gt: when(">"),
            ge: when(">="),
            is_null: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_up_to_their_first_sign() {
        let read = |text: &str| text.parse::<Condition>().map(|Condition(filter)| filter);
        let text = |text: &str| Some(Scalar::String(text.to_owned()));
        let filter = read("station_id=a=b").unwrap();
        assert_eq!((filter.column.as_str(), filter.eq, filter.ne), ("station_id", text("a=b"), None));
        assert_eq!(read("degrees>=-1.5").unwrap().ge, text("-1.5"));
        assert_eq!(read("degrees<0").unwrap().lt, text("0"));
        assert_eq!(read("key!=").unwrap().ne, text(""));
        for wrong in ["", "key", "=x", "!x", "key!x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_beginning_is_a_word_or_a_position() {
        assert_eq!("earliest".parse(), Ok(Begin::Earliest));
        assert_eq!("18446744073709551615".parse(), Ok(Begin::At(u64::MAX)));
        for wrong in ["", "first", "-1", "1.5", "18446744073709551616"] {
            assert!(wrong.parse::<Begin>().is_err(), "{wrong}");
        }
    }
}
