//! What a Parquet footer has under the keys of this program.

use parquet::file::metadata::FileMetaData;

/// What the footer has under a key.
pub(super) fn value<'a>(metadata: &'a FileMetaData, key: &str) -> Result<&'a str, String> {
    let pairs = metadata.key_value_metadata().into_iter().flatten();
    let mut values = pairs.filter(|pair| pair.key == key).filter_map(|pair| pair.value.as_deref());
    values.next().ok_or_else(|| format!("its footer has no {key}"))
}
