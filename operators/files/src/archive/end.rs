//! How a data file ends: page indexes and footer, in the form that readers in use accept and may trust.
//!
//! The library writes this part and has no option for the order of columns nor for their [`bounds`], so this module writes
//! it again (the column chunks stay as they are). Version 60 declares `IEEE_754_TOTAL_ORDER` for columns of floating-point
//! numbers. Readers that don't know it refuse the file (Polars up to 1.43, DataFusion up to 50) or ignore the statistics
//! (PyArrow up to 26). All columns get the order of their type, which every reader knows.
//!
//! Once the library can write files in this form, `ArrowWriter::finish` replaces this module and that of the bounds.

use super::digests::{self, Digests};
use super::{DigestIn, bounds};
use operators_core::digest::{Digest, Hasher};
use parquet::arrow::ArrowWriter;
use parquet::basic::{ColumnOrder, Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::FOOTER_SIZE;
use parquet::file::metadata::{
    FileMetaData, FooterTail, KeyValue, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader,
    ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::statistics::Statistics;
use parquet::file::writer::TrackedWrite;
use std::io::{self, Write};

/// What a Parquet writer writes to: passes everything on up to the end of the file, which [`finish`] returns instead.
pub(crate) struct Unfinished<W> {
    file: W,
    part: Part,
    /// Of all that was passed on.
    hasher: Hasher,
}

/// The part of a file that is being written.
enum Part {
    /// Row groups: they are passed on.
    Rows,
    /// Page indexes and footer: they are discarded, as [`finish`] writes them again.
    End,
}

impl<W> Unfinished<W> {
    pub(crate) fn new(file: W) -> Self {
        Self { file, part: Part::Rows, hasher: Hasher::default() }
    }

    pub(crate) fn file(&self) -> &W {
        &self.file
    }

    pub(crate) fn file_mut(&mut self) -> &mut W {
        &mut self.file
    }
}

impl<W: Write> Write for Unfinished<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.part {
            Part::Rows => {
                let written = self.file.write(data)?;
                self.hasher.update(&data[..written]);
                Ok(written)
            }
            Part::End => Ok(data.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What follows the rows of a file.
pub(crate) struct End {
    pub(crate) bytes: Vec<u8>,
    /// What the record of the commit has to say of the file.
    pub(crate) digest: Digest,
}

/// Writes all rows, and returns what has to follow them in the file. Nothing may be written to `parquet` afterwards.
pub(crate) fn finish<W: Write + Send>(parquet: &mut ArrowWriter<Unfinished<W>>, digest_in: DigestIn) -> Result<End> {
    parquet.flush()?;
    // Whatever is still buffered belongs to the rows.
    parquet.sync()?;
    let begin = parquet.bytes_written();
    parquet.inner_mut().part = Part::End;
    let metadata = bounds::safe(&parquet.finish()?)?;
    let mut hasher = parquet.inner().hasher.clone();
    let mut bytes = end(&metadata, begin)?;
    let digest = match digest_in {
        DigestIn::Commit => {
            hasher.update(&bytes);
            hasher.digest()
        }
        DigestIn::Footer => {
            // What comes before the footer does not change with what the footer says.
            let data = footer_begin(&bytes)?;
            hasher.update(&bytes[..data]);
            let digests = Digests::key_value(hasher.digest(), (begin + data) as u64)?;
            bytes = end(&with_key_value(&metadata, digests), begin)?;
            digests::seal(&mut bytes[data..])?
        }
    };
    Ok(End { bytes, digest })
}

/// The same metadata with one more entry for people and programs.
fn with_key_value(metadata: &ParquetMetaData, pair: KeyValue) -> ParquetMetaData {
    let file = metadata.file_metadata();
    let mut pairs = file.key_value_metadata().cloned().unwrap_or_default();
    pairs.push(pair);
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        Some(pairs),
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    ParquetMetaDataBuilder::new(file)
        .set_row_groups(metadata.row_groups().to_vec())
        .set_page_index(metadata.page_index().cloned())
        .build()
}

/// The end of a file that describes row groups which take its first `begin` bytes.
fn end(metadata: &ParquetMetaData, begin: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = TrackedWrite::new(After { begin, bytes: &mut bytes });
    // The writer takes the offsets of page indexes from the bytes that it has seen.
    io::copy(&mut io::Read::take(io::repeat(0), begin as u64), &mut file)?;
    ParquetMetaDataWriter::new_with_tracked(file, metadata).with_preserve_page_index_locations(false).finish()?;
    let at = footer_begin(&bytes)?;
    let footer_end = bytes.len() - FOOTER_SIZE;
    let footer = &mut bytes[at..footer_end];
    set_column_orders(footer, metadata)?;
    check(footer, metadata)?;
    Ok(bytes)
}

/// Keeps what is written after the first `begin` bytes.
struct After<'a> {
    begin: usize,
    bytes: &'a mut Vec<u8>,
}

impl Write for After<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let skipped = self.begin.min(data.len());
        self.begin -= skipped;
        self.bytes.extend_from_slice(&data[skipped..]);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the footer begins in the end of a file.
fn footer_begin(end: &[u8]) -> Result<usize> {
    let tail = end.last_chunk::<FOOTER_SIZE>().ok_or_else(|| unexpected("has no length"))?;
    let length = FooterTail::try_new(tail)?.metadata_length();
    (end.len() - FOOTER_SIZE).checked_sub(length).ok_or_else(|| unexpected("is shorter than it says"))
}

/// Each is a union with one empty struct in it, whose number says which order is meant.
const TYPE_DEFINED: [u8; 3] = [0x1c, 0, 0];
const IEEE_754: [u8; 3] = [0x2c, 0, 0];

/// Gives all columns the order of their type. The list of orders is the last field of the footer.
fn set_column_orders(footer: &mut [u8], metadata: &ParquetMetaData) -> Result<()> {
    let columns = metadata.file_metadata().schema_descr().columns();
    let orders = columns.iter().map(|column| match column.physical_type() {
        Type::FLOAT | Type::DOUBLE => IEEE_754,
        _ => TYPE_DEFINED,
    });
    let expected = column_orders_field(&orders.collect::<Vec<_>>());
    let wanted = column_orders_field(&vec![TYPE_DEFINED; columns.len()]);
    let begin = footer.len().checked_sub(expected.len());
    match begin.and_then(|begin| footer.get_mut(begin..)) {
        Some(field) if *field == expected => {
            field.copy_from_slice(&wanted);
            Ok(())
        }
        _ => Err(unexpected("doesn't end in the expected column orders")),
    }
}

/// The last field of a footer, in Thrift's compact protocol.
fn column_orders_field(orders: &[[u8; 3]]) -> Vec<u8> {
    // A list, in the field after the one before.
    let mut field = vec![0x19];
    match u8::try_from(orders.len()) {
        Ok(few @ 0..15) => field.push(few << 4 | 0x0c),
        _ => {
            field.push(0xfc);
            let mut left = orders.len();
            while left >= 0x80 {
                field.push(left as u8 | 0x80);
                left >>= 7;
            }
            field.push(left as u8);
        }
    }
    field.extend(orders.as_flattened());
    field.push(0);
    field
}

/// Reads the footer back: a file whose footer says anything else than was meant must not be published.
fn check(footer: &[u8], meant: &ParquetMetaData) -> Result<()> {
    let read = ParquetMetaDataReader::decode_metadata(footer)?;
    let (file, meant_file) = (read.file_metadata(), meant.file_metadata());
    let is_type_defined = |order: &ColumnOrder| matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_));
    let is_meant = file.column_orders().is_some_and(|orders| orders.iter().all(is_type_defined))
        && file.num_rows() == meant_file.num_rows()
        && file.key_value_metadata() == meant_file.key_value_metadata()
        && read.num_row_groups() == meant.num_row_groups()
        && read.row_groups().iter().zip(meant.row_groups()).all(|(read, meant)| is_same_row_group(read, meant));
    if is_meant { Ok(()) } else { Err(unexpected("reads back differently from what was written")) }
}

fn is_same_row_group(read: &RowGroupMetaData, meant: &RowGroupMetaData) -> bool {
    let columns = read.columns().iter().zip(meant.columns());
    read.num_rows() == meant.num_rows()
        && read.num_columns() == meant.num_columns()
        && columns.into_iter().all(|(read, meant)| {
            read.byte_range() == meant.byte_range()
                && read.bloom_filter_offset() == meant.bloom_filter_offset()
                && read.statistics().map(bounds_of) == meant.statistics().map(bounds_of)
        })
}

/// What readers skip row groups by.
fn bounds_of(statistics: &Statistics) -> (Option<&[u8]>, Option<&[u8]>, Option<u64>) {
    (statistics.min_bytes_opt(), statistics.max_bytes_opt(), statistics.null_count_opt())
}

fn unexpected(what: &str) -> ParquetError {
    ParquetError::General(format!("the footer {what}, so the file is not published; this is a bug"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Float32Array, Int64Array, RecordBatch};
    use parquet::file::page_index::column_index::ColumnIndexMetaData;
    use std::sync::Arc;

    /// `ArrowWriter` over `columns` columns, the odd ones floats, and one row.
    fn writer(columns: usize) -> ArrowWriter<Unfinished<Vec<u8>>> {
        let column = |number: usize| -> (String, ArrayRef) {
            let values: ArrayRef = match number % 2 {
                0 => Arc::new(Int64Array::from(vec![1])),
                _ => Arc::new(Float32Array::from(vec![1.5])),
            };
            (format!("column {number}"), values)
        };
        let rows = RecordBatch::try_from_iter((0..columns).map(column)).unwrap();
        let mut writer = ArrowWriter::try_new(Unfinished::new(Vec::new()), rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer
    }

    #[test]
    fn any_number_of_columns_gets_the_order_of_its_type() {
        for columns in [1, 2, 14, 15, 16, 127, 128, 300] {
            let end = finish(&mut writer(columns), DigestIn::Commit).unwrap().bytes;
            let footer = &end[..end.len() - FOOTER_SIZE];
            let orders = &footer[footer.len() - 3 * columns - 1..];
            assert_eq!(orders, [vec![TYPE_DEFINED; columns].as_flattened(), &[0]].concat(), "{columns} columns");
        }
    }

    #[test]
    fn page_indexes_lie_where_the_footer_says() {
        let mut writer = writer(2);
        let end = finish(&mut writer, DigestIn::Footer).unwrap().bytes;
        let file = [std::mem::take(writer.inner_mut().file_mut()), end].concat();
        let mut reader =
            ParquetMetaDataReader::new().with_page_index_policy(parquet::file::metadata::PageIndexPolicy::Required);
        reader.try_parse(&bytes::Bytes::from(file)).unwrap();
        let metadata = reader.finish().unwrap();
        let index = metadata.page_index().unwrap();
        assert!((0..2).all(|column| index.offset_index(0, column).is_some()));
        assert!(
            matches!(index.column_index(0, 0), Some(ColumnIndexMetaData::INT64(bounds)) if bounds.min_values() == [1])
        );
        assert!(
            matches!(index.column_index(0, 1), Some(ColumnIndexMetaData::FLOAT(bounds)) if bounds.max_values() == [1.5])
        );
    }

    /// As a later version of the library might write it.
    #[test]
    fn a_footer_with_other_bytes_is_refused() {
        let mut writer = writer(2);
        let metadata = writer.finish().unwrap();
        let file = std::mem::take(writer.inner_mut().file_mut());
        let footer = file[footer_begin(&file).unwrap()..file.len() - FOOTER_SIZE].to_vec();
        let orders = footer.len() - 2 * 3 - 3;
        set_column_orders(&mut footer.clone(), &metadata).unwrap();
        for at in orders..footer.len() {
            let mut other = footer.clone();
            other[at] ^= 0x10;
            let error = set_column_orders(&mut other, &metadata).unwrap_err().to_string();
            assert!(error.contains("not published"), "{error}");
        }
        for length in [0, 1, footer.len() - 1] {
            set_column_orders(&mut footer[..length].to_vec(), &metadata).unwrap_err();
        }
        footer_begin(&[0; FOOTER_SIZE - 1]).unwrap_err();
        footer_begin(b"\xff\xff\xff\xffPAR1").unwrap_err();
    }

    #[test]
    fn a_footer_that_reads_back_differently_is_refused() {
        let mut writer = writer(2);
        let mut end = finish(&mut writer, DigestIn::Commit).unwrap().bytes;
        let (at, footer_end) = (footer_begin(&end).unwrap(), end.len() - FOOTER_SIZE);
        let footer = &mut end[at..footer_end];
        let meant = ParquetMetaDataReader::decode_metadata(footer).unwrap();
        check(footer, &meant).unwrap();
        let more = meant.row_group(0).clone().into_builder().set_num_rows(2).build().unwrap();
        let other = meant.clone().into_builder().set_row_groups(vec![more]).build();
        let error = check(footer, &other).unwrap_err().to_string();
        assert!(error.contains("not published"), "{error}");
        footer[..].rotate_left(1);
        check(footer, &meant).unwrap_err();
    }
}
