//! Refuses values that Arrow's JSON reader would change to make them fit: 1.5 in an integer column, 1e999 in any.

use arrow::array::ArrayRef;
use arrow::datatypes::FieldRef;
use arrow::error::ArrowError;
use arrow::json::reader::{ArrayDecoder, DecoderContext, DecoderFactory, Tape, TapeElement};
use operators_core::schema::Schema;
use operators_core::types::ColumnType;
use std::sync::Arc;

/// Puts a check before the reader's own decoder of a column.
#[derive(Debug)]
pub(super) struct Exact {
    /// The columns that need one, as the reader names them.
    checks: Vec<(FieldRef, Fits)>,
}

impl Exact {
    pub(super) fn new(schema: &Schema) -> Self {
        let fields = schema.arrow().fields().iter().zip(schema.columns());
        let checks = fields.filter_map(|(field, column)| Some((Arc::clone(field), fits(&column.column_type)?)));
        Self { checks: checks.collect() }
    }
}

/// What a number or text must be to become a value of a type without loss; `None` where the reader itself sees to it.
fn fits(column_type: &ColumnType) -> Option<Fits> {
    match column_type {
        ColumnType::Int32 | ColumnType::Int64 => Some(|_, text| is_whole(text)),
        ColumnType::Date | ColumnType::Timestamp => Some(|quoted, text| quoted || is_whole(text)),
        ColumnType::Float32 => Some(|_, text| text.parse().is_ok_and(f32::is_finite)),
        ColumnType::Float64 => Some(|_, text| text.parse().is_ok_and(f64::is_finite)),
        ColumnType::Bytes => Some(|_, text| text.len().is_multiple_of(2)),
        ColumnType::Bool | ColumnType::String => None,
        // No file can declare them.
        ColumnType::UInt32 | ColumnType::UInt64 | ColumnType::Headers | ColumnType::Foreign(_) => None,
    }
}

impl DecoderFactory for Exact {
    fn make_default_decoder(
        &self,
        context: &DecoderContext,
        field: &FieldRef,
        is_nullable: bool,
    ) -> Result<Option<Box<dyn ArrayDecoder>>, ArrowError> {
        let check = self.checks.iter().find(|(checked, _)| Arc::ptr_eq(checked, field));
        let Some(&(_, fits)) = check else { return Ok(None) };
        let inner = context.make_builtin_decoder(field, is_nullable)?;
        Ok(Some(Box::new(Checked { fits, field: Arc::clone(field), inner })))
    }
}

/// Whether a number or, in quotes, a text can be held exactly.
type Fits = fn(quoted: bool, text: &str) -> bool;

struct Checked {
    fits: Fits,
    field: FieldRef,
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
                return Err(tape.error(position, &format!("{} without loss", self.field.data_type())));
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
