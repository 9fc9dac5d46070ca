//! Refuses values that Arrow's JSON reader would change to make them fit: 1.5 in an integer column, 1e999 in any.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow::json::reader::{ArrayDecoder, DecoderContext, DecoderFactory, Tape, TapeElement};

/// Puts a check before the reader's own decoder of a column.
#[derive(Debug)]
pub(super) struct Exact;

impl DecoderFactory for Exact {
    fn make_default_decoder(
        &self,
        context: &DecoderContext,
        field: &FieldRef,
        is_nullable: bool,
    ) -> Result<Option<Box<dyn ArrayDecoder>>, ArrowError> {
        let fits: Fits = match field.data_type() {
            DataType::Int32 | DataType::Int64 => |_, text| is_whole(text),
            DataType::Date32 | DataType::Timestamp(_, _) => |quoted, text| quoted || is_whole(text),
            DataType::Float32 => |_, text| text.parse().is_ok_and(f32::is_finite),
            DataType::Float64 => |_, text| text.parse().is_ok_and(f64::is_finite),
            DataType::Binary => |_, text| text.len().is_multiple_of(2),
            _ => return Ok(None),
        };
        let inner = context.make_builtin_decoder(field, is_nullable)?;
        Ok(Some(Box::new(Checked { fits, data_type: field.data_type().clone(), inner })))
    }
}

/// Whether a number or, in quotes, a text can be held exactly.
type Fits = fn(quoted: bool, text: &str) -> bool;

struct Checked {
    fits: Fits,
    data_type: DataType,
    inner: Box<dyn ArrayDecoder>,
}

impl ArrayDecoder for Checked {
    fn decode(&mut self, tape: &Tape<'_>, positions: &[u32]) -> Result<ArrayRef, ArrowError> {
        for &position in positions {
            let (quoted, text) = match tape.get(position) {
                TapeElement::Number(index) => (false, tape.get_string(index)),
                TapeElement::String(index) => (true, tape.get_string(index)),
                _ => continue,
            };
            if !(self.fits)(quoted, text) {
                return Err(tape.error(position, &format!("{} without loss", self.data_type)));
            }
        }
        self.inner.decode(tape, positions)
    }
}

/// Whether a number has no fraction: `12`, and also `12.0` or `1.2e1` as far as a double counts every integer.
fn is_whole(text: &str) -> bool {
    const EXACT: f64 = (1_u64 << 53) as f64;
    text.parse::<i64>().is_ok() || text.parse().is_ok_and(|number: f64| number.fract() == 0.0 && number.abs() < EXACT)
}
