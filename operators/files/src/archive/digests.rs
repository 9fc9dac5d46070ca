//! The digests in the footer of a data file that is the record of its own commit.
//!
//! ```text
//! data                           row groups, bloom filters, page indexes
//! footer                         metadata with the key `weatherflow.digests`, its length, "PAR1"
//! ```
//! The footer holds the digest and the length of the data, and the digest of itself: so the footer alone proves where a
//! partition stands, and anyone who knows the digest of a footer can check the whole file.

use super::key_value::value;
use operators_core::digest::{self, Digest};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{FileMetaData, KeyValue};
use serde::{Deserialize, Serialize};

const KEY: &str = "weatherflow.digests";

/// What a footer says of the bytes of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Digests {
    /// Of the footer, with the digits of this field replaced by zeros.
    pub(super) footer: Digest,
    /// Of the data.
    pub(super) data: Digest,
    /// Length of the data.
    pub(super) bytes: u64,
}

impl Digests {
    /// For the footer of a file with this data; [`seal`] completes it.
    pub(super) fn key_value(data: Digest, bytes: u64) -> Result<KeyValue> {
        let text = serde_json::to_string(&Self { footer: Digest::BLANK, data, bytes });
        Ok(KeyValue::new(KEY.to_owned(), text.map_err(|e| ParquetError::General(e.to_string()))?))
    }

    /// `None` in files of versions that wrote no digests.
    pub(super) fn of(metadata: &FileMetaData) -> Result<Option<Self>, String> {
        let Ok(text) = value(metadata, KEY) else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|e| format!("{KEY} in its footer: {e}"))
    }

    /// Checks the footer itself, and that there is as much data before it as it says.
    pub(super) fn check_footer(&self, footer: &[u8], bytes: u64) -> Result<(), String> {
        if !digest::is_sealed(footer, &self.footer) {
            return Err("the digest of its footer does not match: it was changed after it was written".to_owned());
        }
        if bytes != self.bytes {
            return Err(format!("its footer says that {} bytes are before it, but {bytes} are", self.bytes));
        }
        Ok(())
    }
}

/// Puts the digest of a footer into it.
pub(super) fn seal(footer: &mut [u8]) -> Result<Digest> {
    let no_place = || ParquetError::General(format!("the footer has no place for {KEY}; this is a bug"));
    digest::seal(footer).ok_or_else(no_place)
}
