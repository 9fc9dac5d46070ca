//! Sizes that a Parquet file declares, checked before the library believes them: it allocates what a damaged file asks
//! for, and an allocation that fails ends the process.
//!
//! | declared | cannot be more than |
//! |---|---|
//! | length of the footer | [`FOOTER`] |
//! | elements of a list or map in the footer | bytes left in it |
//! | children of a column | the columns there are, [`DEPTH`] levels deep |
//! | place and length of a column chunk | the bytes before the footer |
//! | uncompressed bytes of a column chunk or page | what its codec can make of its bytes |
//! | uncompressed bytes of a page | those of its column chunk |
//! | values of a page | those of its column chunk; of a dictionary, its uncompressed bytes |
//!
//! Footers and the headers of pages are in Thrift's compact protocol:
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.

use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of the largest footer that is read. A footer of a thousand row groups of a hundred columns has about 10 MiB.
pub(super) const FOOTER: usize = 64 << 20;

/// Levels of nested columns, and of anything else that is nested.
const DEPTH: usize = 64;

/// Checks the counts that a footer declares.
pub(super) fn check_footer(footer: &[u8]) -> Result<(), String> {
    let mut children = Vec::new();
    let mut thrift = Thrift(footer);
    let whole = thrift.each_field(0, &mut |thrift, field, kind| {
        if (field, kind) != (SCHEMA, Thrift::LIST) {
            return thrift.skip(kind, 1);
        }
        let (element, count) = thrift.list()?;
        for _ in 0..count {
            let mut of_it = 0;
            thrift.integer(element, CHILDREN, &mut |count| of_it = count)?;
            children.push(of_it);
        }
        Some(())
    });
    whole.ok_or("a count in its footer is larger than the footer, or the footer ends within something")?;
    check_schema(&children)
}

/// `FileMetaData.schema`.
const SCHEMA: i16 = 2;
/// `SchemaElement.num_children`.
const CHILDREN: i16 = 5;

/// Checks that the columns, each with the number of its children and followed by them, are one tree.
fn check_schema(children: &[i64]) -> Result<(), String> {
    // Children still to come on each level.
    let mut open: Vec<i64> = Vec::new();
    for (at, &count) in children.iter().enumerate() {
        while open.last() == Some(&0) {
            open.pop();
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if !(0..(children.len() - at) as i64).contains(&count) || open.len() >= DEPTH {
            return Err(format!("its schema has {} columns, and one of them has {count} children", children.len()));
        }
        open.push(count);
    }
    Ok(())
}

/// The column chunks of a file by where they begin.
#[derive(Debug, Default)]
pub(super) struct Chunks(BTreeMap<u64, Chunk>);

#[derive(Debug)]
struct Chunk {
    end: u64,
    /// Bytes of all its pages.
    uncompressed: u64,
    /// What its codec makes of a byte at most.
    expansion: u64,
    values: u64,
    /// Where the bytes behind the last header begin: a reader that has looked at a header asks for them next.
    body: AtomicU64,
}

impl Chunks {
    /// Checks the column chunks that a footer describes, in a file whose data ends at `end`.
    pub(super) fn check(metadata: &ParquetMetaData, end: u64) -> Result<Self, String> {
        let columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
        columns.map(|column| check_chunk(column, end)).collect::<Result<_, _>>().map(Self)
    }

    /// Checks the header of the page at a position, from the first bytes of the page; gives whether that is all of it.
    pub(super) fn check_page(&self, at: u64, bytes: &[u8]) -> Result<bool, String> {
        let Some((_, chunk)) = self.0.range(..=at).next_back().filter(|(_, chunk)| at <= chunk.end) else {
            return Err(format!("there is no page at {at}"));
        };
        if chunk.body.swap(0, Relaxed) == at {
            return Ok(true);
        }
        let PageHeader { uncompressed, compressed, values, dictionary, length } = PageHeader::read(bytes);
        let (Some(uncompressed), Some(compressed)) = (uncompressed, compressed) else {
            return Err(format!("the page at {at} has no header"));
        };
        if uncompressed > chunk.uncompressed || uncompressed > compressed.saturating_mul(chunk.expansion) {
            return Err(format!(
                "the page at {at} declares {uncompressed} bytes, which its {compressed} compressed ones cannot hold"
            ));
        }
        if values > chunk.values || dictionary > uncompressed {
            let values = values.max(dictionary);
            return Err(format!("the page at {at} declares {values} values, and its column chunk cannot hold as many"));
        }
        chunk.body.store(at + length.unwrap_or_default() as u64, Relaxed);
        Ok(length.is_some())
    }
}

/// The sizes in the header of a page. A negative one is more than anything can hold.
#[derive(Default)]
struct PageHeader {
    uncompressed: Option<u64>,
    compressed: Option<u64>,
    /// Values of a data page.
    values: u64,
    /// Values of a dictionary.
    dictionary: u64,
    /// Bytes of the header itself; `None` when there are more.
    length: Option<usize>,
}

impl PageHeader {
    fn read(bytes: &[u8]) -> Self {
        let mut header = Self::default();
        let size = |size: i64| u64::try_from(size).unwrap_or(u64::MAX);
        // Statistics may make a header longer than these bytes; the sizes come before them.
        let mut thrift = Thrift(bytes);
        let whole = thrift.each_field(0, &mut |thrift, field, kind| {
            match (field, kind) {
                (2, Thrift::I32) => header.uncompressed = Some(size(thrift.number()?)),
                (3, Thrift::I32) => header.compressed = Some(size(thrift.number()?)),
                (5 | 8, kind) => thrift.integer(kind, 1, &mut |values| header.values = size(values))?,
                (7, kind) => thrift.integer(kind, 1, &mut |values| header.dictionary = size(values))?,
                (_, kind) => thrift.skip(kind, 1)?,
            }
            Some(())
        });
        header.length = whole.map(|()| bytes.len() - thrift.0.len());
        header
    }
}

fn check_chunk(column: &ColumnChunkMetaData, end: u64) -> Result<(u64, Chunk), String> {
    let name = || column.column_path().string();
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let sizes = [start, column.compressed_size(), column.uncompressed_size(), column.num_values()].map(u64::try_from);
    let [Ok(start), Ok(compressed), Ok(uncompressed), Ok(values)] = sizes else {
        return Err(format!("its footer gives column {} a negative position or size", name()));
    };
    let Some(chunk_end) = start.checked_add(compressed).filter(|chunk_end| *chunk_end <= end) else {
        return Err(format!("its footer says that column {} has {compressed} bytes from {start} on", name()));
    };
    let expansion = expansion(column.compression());
    if uncompressed > compressed.saturating_mul(expansion) {
        return Err(format!("column {} has {compressed} bytes, which cannot hold {uncompressed}", name()));
    }
    Ok((start, Chunk { end: chunk_end, uncompressed, expansion, values, body: AtomicU64::new(0) }))
}

/// What a codec makes of a byte at most. Snappy's shortest element for 64 bytes has 3, and Zstandard's shortest block for
/// 128 KiB has 4; codecs that are not built in decode nothing.
fn expansion(codec: Compression) -> u64 {
    match codec {
        Compression::UNCOMPRESSED => 1,
        Compression::SNAPPY => 22,
        _ => 1 << 15,
    }
}

/// Bytes of Thrift's compact protocol; `None` where they end too early or are none.
struct Thrift<'b>(&'b [u8]);

/// Takes a field of a struct, its number and the kind of its value.
type OnField<'f> = dyn FnMut(&mut Thrift<'_>, i16, u8) -> Option<()> + 'f;

impl Thrift<'_> {
    const I32: u8 = 5;
    const LIST: u8 = 9;
    const STRUCT: u8 = 12;

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn pass(&mut self, length: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(length).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A signed number.
    fn number(&mut self) -> Option<i64> {
        let zigzag = self.varint()?;
        Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// The kind and number of a list's elements, each of which has a byte at least.
    fn list(&mut self) -> Option<(u8, u64)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        (count <= self.0.len() as u64).then_some((head & 15, count))
    }

    /// Gives each field of a struct to `on`, which reads its value or passes over it.
    fn each_field(&mut self, depth: usize, on: &mut OnField<'_>) -> Option<()> {
        let mut field: i16 = 0;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            field = match head >> 4 {
                0 => i16::try_from(self.number()?).ok()?,
                step => field.checked_add(i16::from(step))?,
            };
            if depth > DEPTH {
                return None;
            }
            on(self, field, head & 15)?;
        }
    }

    /// Passes over a struct; gives what it has in a field of numbers as soon as that is read.
    fn integer(&mut self, kind: u8, wanted: i16, found: &mut dyn FnMut(i64)) -> Option<()> {
        if kind != Self::STRUCT {
            return None;
        }
        self.each_field(1, &mut |thrift, field, kind| {
            if (field, kind) == (wanted, Self::I32) {
                found(thrift.number()?);
                return Some(());
            }
            thrift.skip(kind, 2)
        })
    }

    /// Passes over a value.
    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEPTH {
            return None;
        }
        match kind {
            // A boolean is in the kind of its field.
            1 | 2 => Some(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(drop),
            7 => self.pass(8),
            8 => self.varint().and_then(|length| self.pass(length)),
            Self::LIST | 10 => {
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| if kind <= 2 { self.pass(1) } else { self.skip(kind, depth + 1) })
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                (count <= self.0.len() as u64).then_some(())?;
                (0..count).try_for_each(|_| {
                    self.skip(kinds >> 4, depth + 1)?;
                    self.skip(kinds & 15, depth + 1)
                })
            }
            Self::STRUCT => self.each_field(depth, &mut |thrift, _, kind| thrift.skip(kind, depth + 1)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer whose schema has columns with these numbers of children, `count` of them as it says.
    fn footer(count: u8, children: &[u8]) -> Vec<u8> {
        let element = |children: &u8| [0x55, 2 * children, 0];
        let columns = children.iter().flat_map(element);
        [0x15, 2, 0x19, count << 4 | Thrift::STRUCT].into_iter().chain(columns).chain([0]).collect()
    }

    #[test]
    fn a_schema_is_one_tree() {
        assert_eq!(check_footer(&footer(4, &[2, 1, 0, 0])), Ok(()));
        for (count, children) in [(4, &[2, 1, 0][..]), (3, &[3, 0, 0]), (2, &[1, 1]), (14, &[])] {
            assert!(check_footer(&footer(count, children)).is_err(), "{count} columns, {children:?}");
        }
        let nested = |levels: usize| check_schema(&[vec![1; levels - 1], vec![0]].concat());
        assert_eq!((nested(DEPTH).is_ok(), nested(DEPTH + 1).is_ok()), (true, false));
        assert!(check_schema(&[1, i64::from(i32::MAX)]).is_err());
        assert!(check_schema(&[-1]).is_err());
    }

    #[test]
    fn a_list_has_no_more_elements_than_bytes_are_left() {
        // Field 1, a list of booleans that says how many it has: 3, and 2^31 - 1.
        assert_eq!(Thrift(&[0x19, 0x31, 1, 1, 1, 0]).skip(Thrift::STRUCT, 0), Some(()));
        assert_eq!(Thrift(&[0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 7, 0]).skip(Thrift::STRUCT, 0), None);
        // Field 1, a map.
        assert_eq!(Thrift(&[0x1b, 1, 0x55, 2, 2, 0]).skip(Thrift::STRUCT, 0), Some(()));
        assert_eq!(Thrift(&[0x1b, 0xff, 0xff, 0xff, 0xff, 7, 0x11, 0]).skip(Thrift::STRUCT, 0), None);
        let nested =
            |levels: usize| Thrift(&[vec![0x1c; levels], vec![0; levels + 1]].concat()).skip(Thrift::STRUCT, 0);
        assert_eq!((nested(DEPTH / 2), nested(2 * DEPTH)), (Some(()), None));
    }

    /// The chunk has 100 bytes from 4 on, and 300 when it is decoded.
    fn chunks(codec: Compression) -> Chunks {
        let chunk = |body| Chunk { end: 104, uncompressed: 300, expansion: expansion(codec), values: 50, body };
        Chunks(BTreeMap::from([(4, chunk(AtomicU64::new(0)))]))
    }

    /// The header of a page: field 7 is a dictionary's, 5 a data page's.
    fn page(uncompressed: u8, compressed: u8, field: u8, values: u8) -> Vec<u8> {
        vec![
            0x15,
            0,
            0x15,
            2 * uncompressed,
            0x15,
            2 * compressed,
            ((field - 3) << 4) | Thrift::STRUCT,
            0x15,
            2 * values,
            0,
            0,
        ]
    }

    #[test]
    fn a_page_holds_no_more_than_its_chunk_and_its_codec_can() {
        let check = |codec, page: Vec<u8>| chunks(codec).check_page(4, &page);
        assert_eq!(check(Compression::SNAPPY, page(60, 3, 5, 50)), Ok(true));
        assert_eq!(check(Compression::UNCOMPRESSED, page(60, 60, 7, 60)), Ok(true));
        for (codec, page, what) in [
            (Compression::SNAPPY, page(60, 2, 5, 50), "more bytes than Snappy can make"),
            (Compression::UNCOMPRESSED, page(60, 59, 5, 50), "more bytes than there are"),
            (Compression::SNAPPY, page(60, 3, 5, 51), "more values than the chunk has"),
            (Compression::SNAPPY, page(60, 3, 7, 61), "more entries than bytes"),
            (Compression::SNAPPY, page(60, 3, 5, 50)[..5].to_vec(), "no sizes"),
        ] {
            assert!(check(codec, page).is_err(), "{what}");
        }
        let larger_than_its_chunk = [0x15, 0, 0x15, 0xda, 4, 0x15, 100, 0];
        assert!(check(Compression::SNAPPY, larger_than_its_chunk.to_vec()).is_err());
        assert!(chunks(Compression::SNAPPY).check_page(105, &page(60, 3, 5, 50)).is_err(), "there is no page");
        assert_eq!(check(Compression::SNAPPY, page(60, 3, 5, 50)[..9].to_vec()), Ok(false), "a header that goes on");
    }

    #[test]
    fn the_bytes_after_a_header_are_no_header() {
        let (chunks, page) = (chunks(Compression::SNAPPY), page(60, 3, 5, 50));
        assert_eq!(chunks.check_page(4, &page), Ok(true));
        assert_eq!(chunks.check_page(4 + page.len() as u64, b"page"), Ok(true));
        assert!(chunks.check_page(4 + page.len() as u64, b"page").is_err(), "a second time it has to be one");
    }
}
