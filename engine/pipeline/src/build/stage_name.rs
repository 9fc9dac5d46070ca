//! Names of stages, as commits, metrics and messages spell them: `decode.protobuf`, `transform.filter#2`.

use std::fmt;
use std::str::FromStr;

/// A slot of a flow, in which stages stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// Where rows come from.
    Source,
    /// Messages to columns.
    Decode,
    /// Columns to columns.
    Transform,
    /// Columns to messages.
    Encode,
    /// Rows to partitions.
    Partition,
    /// Where rows go.
    Sink,
}

impl Slot {
    /// All of them, in the order rows pass them.
    pub const ALL: [Self; 6] = [Self::Source, Self::Decode, Self::Transform, Self::Encode, Self::Partition, Self::Sink];

    /// Its key in the file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Decode => "decode",
            Self::Transform => "transform",
            Self::Encode => "encode",
            Self::Partition => "partition",
            Self::Sink => "sink",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// The name of a stage, unique in its flow. It displays as `transform.filter#2`, and parses from that.
///
/// The names of fingerprints begin with it, so this form is in every commit that was ever made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StageName {
    /// Where it stands.
    pub slot: Slot,
    /// What it is: `filter`.
    pub kind: String,
    /// Which of its kind in this slot, counted from 1; the first is named without its number.
    pub nth: u32,
}

impl StageName {
    /// The first stage of a kind in a slot.
    pub fn first(slot: Slot, kind: impl Into<String>) -> Self {
        Self { slot, kind: kind.into(), nth: 1 }
    }

    /// Whether both are of one kind in one slot.
    pub fn is_like(&self, other: &Self) -> bool {
        self.slot == other.slot && self.kind == other.kind
    }
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, kind, nth } = self;
        match nth {
            1 => write!(f, "{slot}.{kind}"),
            nth => write!(f, "{slot}.{kind}#{nth}"),
        }
    }
}

/// A text that is not the name of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAStageName(String);

impl fmt::Display for NotAStageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = Slot::ALL.map(Slot::key).join(", ");
        write!(f, "`{}` isn't the name of a stage: write SLOT.KIND, where SLOT is one of {slots}", self.0)
    }
}

impl std::error::Error for NotAStageName {}

impl FromStr for StageName {
    type Err = NotAStageName;

    fn from_str(text: &str) -> Result<Self, NotAStageName> {
        let parse = || {
            let (slot, rest) = text.split_once('.')?;
            let slot = Slot::ALL.into_iter().find(|known| known.key() == slot)?;
            let (kind, nth) = match rest.split_once('#') {
                None => (rest, 1),
                // One spelling for each name: neither `#1` nor `#02`.
                Some((kind, number)) => {
                    let nth = number.parse().ok().filter(|nth: &u32| *nth > 1 && nth.to_string() == number)?;
                    (kind, nth)
                }
            };
            (!kind.is_empty()).then(|| Self { slot, kind: kind.to_owned(), nth })
        };
        parse().ok_or_else(|| NotAStageName(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_as_it_was_written() {
        for text in ["source.topic", "decode.protobuf", "transform.filter", "transform.filter#2", "sink.parquet"] {
            let name: StageName = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
        }
        let third = StageName { slot: Slot::Transform, kind: "filter".into(), nth: 3 };
        assert_eq!("transform.filter#3".parse(), Ok(third.clone()));
        assert!(third.is_like(&StageName::first(Slot::Transform, "filter")));
        assert!(!third.is_like(&StageName::first(Slot::Transform, "cast")));
    }

    #[test]
    fn each_name_has_one_spelling() {
        for text in ["", "filter", "filters.a", "transform.", "transform.#2", "transform.filter#", "transform.filter#1"]
            .into_iter()
            .chain(["transform.filter#02", "transform.filter#0", "transform.filter#+2", "Transform.filter"])
        {
            assert!(text.parse::<StageName>().is_err(), "{text}");
        }
    }
}
