//! Digests of files and records: BLAKE3 with its default length, written as `blake3:` and 64 lowercase hex digits.
//!
//! A record that carries its own digest is hashed with the 64 digits of that field replaced by zeros (`seal`), so that
//! the digest covers every byte of the record, its own name and place included.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

const PREFIX: &str = "blake3:";
/// Hex digits of a digest.
const DIGITS: usize = 2 * blake3::OUT_LEN;

/// The BLAKE3 digest of some bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(blake3::Hash);

impl Digest {
    /// Stands in a record until its own digest is known.
    pub const BLANK: Self = Self(blake3::Hash::from_bytes([0; blake3::OUT_LEN]));

    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes))
    }
}

/// Takes bytes piece by piece.
#[derive(Clone, Default)]
pub struct Hasher(blake3::Hasher);

impl Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub fn digest(&self) -> Digest {
        Digest(self.0.finalize())
    }
}

/// Puts the digest of a record into it, in the place of its one [`Digest::BLANK`]; `None` when it hasn't exactly one.
pub fn seal(record: &mut [u8]) -> Option<Digest> {
    let at = position(record, &Digest::BLANK)?;
    let digest = Digest::of(record);
    record[at..at + DIGITS].copy_from_slice(digest.0.to_hex().as_bytes());
    Some(digest)
}

/// Whether a record is as [`seal`] left it, when it says that its digest is this.
pub fn is_sealed(record: &[u8], digest: &Digest) -> bool {
    let Some(at) = position(record, digest) else { return false };
    let mut hasher = Hasher::default();
    hasher.update(&record[..at]);
    hasher.update(&[b'0'; DIGITS]);
    hasher.update(&record[at + DIGITS..]);
    hasher.digest() == *digest
}

/// Where the digits of a digest are written in a record; `None` unless they are there once.
fn position(record: &[u8], digest: &Digest) -> Option<usize> {
    let text = digest.to_string();
    let is_here = |(at, window): (usize, &[u8])| (window == text.as_bytes()).then_some(at + PREFIX.len());
    let mut found = record.windows(text.len()).enumerate().filter_map(is_here);
    match (found.next(), found.next()) {
        (Some(at), None) => Some(at),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = String;

    /// Accepts only the spelling that is written, so that one digest has one text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digest = text.strip_prefix(PREFIX).and_then(|hex| blake3::Hash::from_hex(hex).ok()).map(Self);
        digest.filter(|digest| digest.to_string() == text).ok_or_else(|| format!("`{text}` isn't a BLAKE3 digest"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_record_covers_every_byte_of_itself() {
        let mut record = format!("{{\"rows\": 3, \"digest\": \"{}\"}}", Digest::BLANK).into_bytes();
        let digest = seal(&mut record).unwrap();
        assert!(is_sealed(&record, &digest), "{}", String::from_utf8_lossy(&record));
        for at in 0..record.len() {
            let mut flipped = record.clone();
            flipped[at] ^= 1;
            assert!(!is_sealed(&flipped, &digest), "byte {at}");
        }
        assert!(!is_sealed(&[record.clone(), record.clone()].concat(), &digest), "the digest is in it twice");
        assert_eq!(seal(&mut record), None, "it has no blank any more");
    }

    #[test]
    fn one_digest_has_one_text() {
        let digest = Digest::of(b"rows");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for text in ["", "blake3:", "blake3:00", &digest.to_string().to_uppercase(), &digest.to_string()[1..]] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    /// The test vector of an empty input in BLAKE3's own repository.
    #[test]
    fn the_algorithm_is_blake3() {
        let empty = "blake3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(Digest::of(b"").to_string(), empty);
    }
}
