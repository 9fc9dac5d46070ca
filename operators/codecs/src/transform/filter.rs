//! `transform.filter`: keeps the rows whose column passes a comparison.

use arrow::array::{self, Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::compute::kernels::cmp;
use arrow::compute::{self, CastOptions, cast_with_options};
use arrow::datatypes::{Float32Type, Float64Type};
use operators_core::chunk::Chunk;
use operators_core::error::{Problem, Result};
use operators_core::schema::Schema;
use operators_core::stage::{About, Applied, Apply, BuiltStage, Stage};
use operators_core::types::{ColumnType, Family};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;

/// Keeps the rows for which every comparison given holds; a null passes none but `is_null`.
///
/// Strings compare byte by byte, false is less than true. A float that is not a number passes `ne` and nothing else,
/// and -0 equals 0.
///
/// ```toml
/// [[flow.transform]]
/// filter = { column = "degrees", ge = -10.0, lt = 0.0 }
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterConfig {
    /// The column to look at.
    pub column: String,
    /// equal to
    pub eq: Option<Scalar>,
    /// not equal to
    pub ne: Option<Scalar>,
    /// less than
    pub lt: Option<Scalar>,
    /// at most
    pub le: Option<Scalar>,
    /// greater than
    pub gt: Option<Scalar>,
    /// at least
    pub ge: Option<Scalar>,
    /// whether it is null
    pub is_null: Option<bool>,
}

/// A value to compare with; dates and timestamps are written as strings.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// true or false
    Bool(bool),
    /// a whole number
    Int(i64),
    /// any number
    Float(f64),
    /// text
    String(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::String(value) => write!(f, "{value:?}"),
        }
    }
}

impl FilterConfig {
    pub(super) fn build(&self, input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        let mut problems = Vec::new();
        if self.comparisons().next().is_none() && self.is_null.is_none() {
            problems.push(Problem::whole("keeps every row").help("add one of: eq, ne, lt, le, gt, ge, is_null"));
        }
        let column = match input.index_of(&self.column, &["column"]) {
            Ok(column) => column,
            Err(problem) => {
                problems.push(problem);
                return Err(problems);
            }
        };
        let mut tests = Vec::new();
        for (comparison, value) in self.comparisons() {
            match Value::new(value, &input.columns()[column].column_type) {
                Ok(value) => tests.push(Test::Compare(comparison, value)),
                Err(expected) => problems.push(
                    Problem::at(comparison.key(), format!("{value} does not compare with `{}`", self.column))
                        .help(expected),
                ),
            }
        }
        tests.extend(self.is_null.map(Test::IsNull));
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(BuiltStage {
            stage: Arc::new(Filter { column, tests: tests.into() }),
            schema: input.clone(),
            partitions: None,
            dead_letters: false,
            about: About { summary: self.summary(), fingerprint: Vec::new() },
        })
    }

    fn comparisons(&self) -> impl Iterator<Item = (Comparison, &Scalar)> {
        [
            (Comparison::Eq, &self.eq),
            (Comparison::Ne, &self.ne),
            (Comparison::Lt, &self.lt),
            (Comparison::Le, &self.le),
            (Comparison::Gt, &self.gt),
            (Comparison::Ge, &self.ge),
        ]
        .into_iter()
        .filter_map(|(comparison, value)| Some((comparison, value.as_ref()?)))
    }

    fn summary(&self) -> String {
        let compared = self.comparisons().map(|(comparison, value)| format!("{} {value}", comparison.sign()));
        let null = self.is_null.map(|is| if is { "is null".to_owned() } else { "is not null".to_owned() });
        format!("{} {}", self.column, compared.chain(null).collect::<Vec<_>>().join(" and "))
    }
}

#[derive(Clone, Copy)]
enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparison {
    fn key(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Lt => "lt",
            Self::Le => "le",
            Self::Gt => "gt",
            Self::Ge => "ge",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    fn floats(self, value: f64, with: f64) -> bool {
        match self {
            Self::Eq => value == with,
            Self::Ne => value != with,
            Self::Lt => value < with,
            Self::Le => value <= with,
            Self::Gt => value > with,
            Self::Ge => value >= with,
        }
    }

    fn others(self, values: &ArrayRef, with: &array::Scalar<ArrayRef>) -> Result<BooleanArray> {
        Ok(match self {
            Self::Eq => cmp::eq(values, with),
            Self::Ne => cmp::neq(values, with),
            Self::Lt => cmp::lt(values, with),
            Self::Le => cmp::lt_eq(values, with),
            Self::Gt => cmp::gt(values, with),
            Self::Ge => cmp::gt_eq(values, with),
        }?)
    }
}

/// A value to compare with, of the column's type.
enum Value {
    /// Floats compare as numbers do everywhere; Arrow's kernels would take -0 for less than 0 and NaN for the largest.
    Single(f64),
    Double(f64),
    Other(array::Scalar<ArrayRef>),
}

impl Value {
    /// The value as the column's type has it, or what the column compares with.
    fn new(scalar: &Scalar, column: &ColumnType) -> Result<Self, String> {
        const FLAG: &str = "true or false";
        const WHOLE: &str = "a whole number that fits";
        const NUMBER: &str = "a number that fits";
        const TIME: &str = "a time in quotes: \"2000-12-31T23:59:59Z\"";
        let other = |literal: Option<ArrayRef>| Some(Self::Other(cast(&literal?, column)?));
        let (value, wanted) = match column {
            ColumnType::Bool => (other(scalar.flag()), FLAG),
            ColumnType::Int32 | ColumnType::Int64 | ColumnType::UInt32 | ColumnType::UInt64 => {
                (other(scalar.whole()), WHOLE)
            }
            // With the digits that a float has room for, so that 0.1 equals what the column holds for it.
            ColumnType::Float32 => (scalar.number(|value| f64::from(value as f32)).map(Self::Single), NUMBER),
            ColumnType::Float64 => (scalar.number(|value| value).map(Self::Double), NUMBER),
            ColumnType::String => (other(scalar.text()), "a text in quotes"),
            ColumnType::Date => (other(scalar.text()), "a day in quotes: \"2000-12-31\""),
            ColumnType::Timestamp => (other(scalar.text()), TIME),
            ColumnType::Bytes | ColumnType::Headers => return Err(incomparable(column)),
            ColumnType::Foreign(foreign) => match foreign.family() {
                Family::Integer => (other(scalar.whole()), WHOLE),
                Family::Time => (other(scalar.text()), TIME),
                Family::Bool | Family::Real | Family::Text | Family::Bytes | Family::Other => {
                    return Err(incomparable(column));
                }
            },
        };
        value.ok_or_else(|| format!("the column is {column}; write {wanted}"))
    }
}

fn incomparable(column: &ColumnType) -> String {
    format!("the column is {column}, which only is_null can test")
}

/// A literal as a column has it; `None` where it does not fit.
fn cast(literal: &ArrayRef, column: &ColumnType) -> Option<array::Scalar<ArrayRef>> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    Some(array::Scalar::new(cast_with_options(literal, &column.arrow(), &strict).ok()?))
}

/// A scalar as a literal of a kind. A reference to the environment gives text, which only the column can tell from a
/// number.
impl Scalar {
    fn flag(&self) -> Option<ArrayRef> {
        let flag = match self {
            Self::Bool(value) => *value,
            Self::String(value) => value.parse().ok()?,
            Self::Int(_) | Self::Float(_) => return None,
        };
        Some(Arc::new(BooleanArray::from(vec![flag])))
    }

    fn whole(&self) -> Option<ArrayRef> {
        let whole = match self {
            Self::Int(value) => *value,
            Self::String(value) => value.parse().ok()?,
            Self::Bool(_) | Self::Float(_) => return None,
        };
        Some(Arc::new(Int64Array::from(vec![whole])))
    }

    /// A number as `hold` keeps it; what it would make infinite does not fit.
    fn number(&self, hold: fn(f64) -> f64) -> Option<f64> {
        let value: f64 = match self {
            Self::Int(value) => *value as f64,
            Self::Float(value) => *value,
            Self::String(value) => value.parse().ok()?,
            Self::Bool(_) => return None,
        };
        let held = hold(value);
        (!held.is_nan() && held.is_infinite() == value.is_infinite()).then_some(held)
    }

    fn text(&self) -> Option<ArrayRef> {
        match self {
            Self::String(value) => Some(Arc::new(StringArray::from(vec![value.as_str()]))),
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => None,
        }
    }
}

enum Test {
    Compare(Comparison, Value),
    IsNull(bool),
}

impl Test {
    fn mask(&self, values: &ArrayRef) -> Result<BooleanArray> {
        match self {
            Self::Compare(comparison, Value::Other(with)) => comparison.others(values, with),
            Self::Compare(comparison, Value::Single(with)) => {
                let values = values.as_primitive::<Float32Type>();
                Ok(BooleanArray::from_unary(values, |value| comparison.floats(f64::from(value), *with)))
            }
            Self::Compare(comparison, Value::Double(with)) => {
                let values = values.as_primitive::<Float64Type>();
                Ok(BooleanArray::from_unary(values, |value| comparison.floats(value, *with)))
            }
            Self::IsNull(true) => Ok(compute::is_null(values)?),
            Self::IsNull(false) => Ok(compute::is_not_null(values)?),
        }
    }
}

#[derive(Clone)]
struct Filter {
    column: usize,
    /// At least one.
    tests: Arc<[Test]>,
}

impl Stage for Filter {
    fn handle(&self) -> Box<dyn Apply> {
        Box::new(self.clone())
    }
}

impl Apply for Filter {
    fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
        let values = chunk.rows.column(self.column);
        let mut mask = BooleanArray::from(vec![true; values.len()]);
        for test in self.tests.iter() {
            mask = compute::and(&mask, &test.mask(values)?)?;
        }
        let kept = mask.true_count() as u64;
        let filtered = chunk.len() - kept;
        let rows = match kept {
            0 => Vec::new(),
            _ if filtered == 0 => vec![chunk],
            _ => vec![chunk.filter(&mask)?],
        };
        Ok(Applied { rows, filtered, ..Applied::default() })
    }
}
