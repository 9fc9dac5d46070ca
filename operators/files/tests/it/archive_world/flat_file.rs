//! The record of a file of the flat layout, and files with another one.

use super::write;
use bytes::Bytes;
use files::store::Store;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use std::sync::Arc;

/// The record in the footer of a file of the flat layout.
pub fn record(store: &dyn Store, path: &str) -> serde_json::Value {
    let bytes = Bytes::from(store.read(path).unwrap());
    let metadata = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().metadata().file_metadata().clone();
    let pair = metadata.key_value_metadata().unwrap().iter().find(|pair| pair.key == "weatherflow.checkpoint");
    serde_json::from_str(pair.unwrap().value.as_deref().unwrap()).unwrap()
}

/// Writes a file of the flat layout again, with the same rows, another record and, where the record lists those of other
/// files, the digests that belong to it.
pub fn rewrite(store: &dyn Store, path: &str, change: impl FnOnce(&mut serde_json::Value)) {
    let mut record = record(store, path);
    let before = record.clone();
    change(&mut record);
    assert_ne!(record, before, "the edit must change something");
    let rows = Bytes::from(store.read(path).unwrap());
    let write_with = |digests: Option<String>| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(rows.clone()).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(reader.schema()), None).unwrap();
        reader.build().unwrap().for_each(|rows| writer.write(&rows.unwrap()).unwrap());
        let says = [("weatherflow.checkpoint", Some(record.to_string())), ("weatherflow.digests", digests)];
        for (key, value) in says.into_iter().filter(|(_, value)| value.is_some()) {
            writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        writer.into_inner().unwrap()
    };
    let footer = |file: &[u8]| {
        let length = u32::from_le_bytes(file[file.len() - 8..file.len() - 4].try_into().unwrap());
        file.len() - 8 - length as usize
    };
    let mut file = write_with(None);
    if record["before"].is_object() {
        let data = &file[..footer(&file)];
        let digests =
            format!("{{\"footer\":\"{BLANK}\",\"data\":\"blake3:{}\",\"bytes\":{}}}", blake3::hash(data), data.len());
        file = write_with(Some(digests));
        let at = footer(&file);
        let digest = blake3::hash(&file[at..]);
        let blank = file.windows(BLANK.len()).rposition(|window| window == BLANK.as_bytes()).unwrap();
        file[blank..blank + BLANK.len()].copy_from_slice(format!("blake3:{digest}").as_bytes());
    }
    store.delete(path).unwrap();
    write(store, path, &file);
}

/// Stands in a record until its digest is known.
pub const BLANK: &str = "blake3:0000000000000000000000000000000000000000000000000000000000000000";
