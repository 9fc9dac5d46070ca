//! `transform.filter`: keeps the rows whose column passes a comparison.

use arrow::array::{self, Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::compute::kernels::cmp;
use arrow::compute::{self, CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use operators_core::chunk::Chunk;
use operators_core::error::{Problem, Result};
use operators_core::schema::{Schema, type_name};
use operators_core::stage::{About, Applied, Apply, BuiltStage, Stage};
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
            match Value::new(value, input.0.field(column).data_type()) {
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
    Float(f64),
    Other(array::Scalar<ArrayRef>),
}

impl Value {
    /// The value as the column's type has it, or what the column compares with.
    fn new(scalar: &Scalar, column: &DataType) -> Result<Self, String> {
        let is = type_name(column);
        let wanted = match column {
            DataType::Boolean => "true or false",
            column if column.is_integer() => "a whole number that fits",
            DataType::Float32 | DataType::Float64 => "a number that fits",
            DataType::Utf8 => "a text in quotes",
            DataType::Date32 => "a day in quotes: \"2000-12-31\"",
            DataType::Timestamp(_, _) => "a time in quotes: \"2000-12-31T23:59:59Z\"",
            _ => return Err(format!("the column is {is}, which only is_null can test")),
        };
        Self::fitting(scalar, column).ok_or_else(|| format!("the column is {is}; write {wanted}"))
    }

    fn fitting(scalar: &Scalar, column: &DataType) -> Option<Self> {
        let literal: ArrayRef = match (scalar, column) {
            (Scalar::Bool(value), DataType::Boolean) => Arc::new(BooleanArray::from(vec![*value])),
            (Scalar::Int(value), DataType::Float32 | DataType::Float64) => {
                return Self::float(*value as f64, column);
            }
            (Scalar::Float(value), DataType::Float32 | DataType::Float64) => return Self::float(*value, column),
            (Scalar::Int(value), column) if column.is_integer() => Arc::new(Int64Array::from(vec![*value])),
            (Scalar::String(value), DataType::Utf8 | DataType::Date32 | DataType::Timestamp(_, _)) => {
                Arc::new(StringArray::from(vec![value.as_str()]))
            }
            // A reference to the environment gives text, which only the column can tell from a number.
            (Scalar::String(value), DataType::Boolean) => {
                return Self::fitting(&Scalar::Bool(value.parse().ok()?), column);
            }
            (Scalar::String(value), DataType::Float32 | DataType::Float64) => {
                return Self::float(value.parse().ok()?, column);
            }
            (Scalar::String(value), column) if column.is_integer() => {
                return Self::fitting(&Scalar::Int(value.parse().ok()?), column);
            }
            _ => return None,
        };
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let value = cast_with_options(&literal, column, &strict).ok()?;
        Some(Self::Other(array::Scalar::new(value)))
    }

    /// A number with the digits the column has room for, so that 0.1 equals what a column of floats holds for it.
    fn float(value: f64, column: &DataType) -> Option<Self> {
        let held = if *column == DataType::Float32 { f64::from(value as f32) } else { value };
        (!held.is_nan() && held.is_infinite() == value.is_infinite()).then_some(Self::Float(held))
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
            Self::Compare(comparison, Value::Float(with)) => Ok(match values.as_primitive_opt::<Float32Type>() {
                Some(values) => BooleanArray::from_unary(values, |value| comparison.floats(f64::from(value), *with)),
                None => {
                    let values = values.as_primitive::<Float64Type>();
                    BooleanArray::from_unary(values, |value| comparison.floats(value, *with))
                }
            }),
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
