//! Bounds (the least and the greatest value) of row groups and pages that no reader misunderstands.
//!
//! The library makes them for its own order of floating-point numbers; in the order of their type two things differ:
//!
//! - **NaN.** Bounds don't cover NaN, while some readers sort NaN above all numbers and would skip it with `x > max`. A
//!   column that holds a NaN has neither bounds nor column indexes, in any row group of the file: DataFusion takes the
//!   bounds of those that have some for the bounds of the file.
//! - **Zero.** A bound of zero has to cover both signs: the least value is written as -0.0, the greatest as 0.0. Spark goes
//!   by the dictionaries of a chunk as well if the footer says that all its pages have one, and there it takes the two
//!   zeros for different numbers; so the footer doesn't say it of columns of floating-point numbers.

use parquet::basic::BoundaryOrder;
use parquet::data_type::{AsBytes, DataType, DoubleType, FloatType};
use parquet::errors::Result;
use parquet::file::metadata::page_index::{PageIndex, PageIndexBuilder};
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::{ColumnIndexMetaData, PrimitiveColumnIndex};
use parquet::file::statistics::{Statistics, ValueStatistics};
use std::ops::Neg;
use std::sync::Arc;

/// The same metadata with bounds that no reader misunderstands.
pub(super) fn safe(written: &ParquetMetaData) -> Result<ParquetMetaData> {
    let bounds = bounds_by_column(written);
    let row_groups = written.row_groups().iter().map(|row_group| with_safe_bounds(row_group, &bounds));
    let metadata = written.clone().into_builder().set_row_groups(row_groups.collect::<Result<_>>()?);
    Ok(metadata.set_page_index(Some(Arc::new(safe_page_index(written, &bounds)?))).build())
}

/// Whether a column of a file may have bounds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bounds {
    Kept,
    /// It holds a NaN, or nobody has counted them.
    Dropped,
}

/// For each column of a file.
fn bounds_by_column(written: &ParquetMetaData) -> Vec<Bounds> {
    let has_nan = |column: &ColumnChunkMetaData| match column.statistics() {
        Some(statistics @ (Statistics::Float(_) | Statistics::Double(_))) => {
            // Of nulls alone there are neither a count nor bounds.
            statistics.nan_count_opt().map_or(statistics.min_bytes_opt().is_some(), |nans| nans > 0)
        }
        Some(
            Statistics::Boolean(_)
            | Statistics::Int32(_)
            | Statistics::Int64(_)
            | Statistics::Int96(_)
            | Statistics::ByteArray(_)
            | Statistics::FixedLenByteArray(_),
        )
        | None => false,
    };
    let of_column = |column: usize| {
        let mut row_groups = written.row_groups().iter();
        if row_groups.any(|row_group| has_nan(row_group.column(column))) { Bounds::Dropped } else { Bounds::Kept }
    };
    (0..written.file_metadata().schema_descr().num_columns()).map(of_column).collect()
}

/// The same row group with bounds that no reader misunderstands.
fn with_safe_bounds(row_group: &RowGroupMetaData, bounds: &[Bounds]) -> Result<RowGroupMetaData> {
    let mut row_group = row_group.clone();
    for (column, &bounds) in row_group.columns_mut().iter_mut().zip(bounds) {
        let safe = match column.statistics() {
            Some(Statistics::Float(written)) => Statistics::Float(safe_statistics::<FloatType>(written, bounds)),
            Some(Statistics::Double(written)) => Statistics::Double(safe_statistics::<DoubleType>(written, bounds)),
            Some(
                Statistics::Boolean(_)
                | Statistics::Int32(_)
                | Statistics::Int64(_)
                | Statistics::Int96(_)
                | Statistics::ByteArray(_)
                | Statistics::FixedLenByteArray(_),
            )
            | None => continue,
        };
        *column = column.clone().into_builder().set_statistics(safe).clear_page_encoding_stats().build()?;
    }
    Ok(row_group)
}

fn safe_statistics<D: DataType>(written: &ValueStatistics<D::T>, bounds: Bounds) -> ValueStatistics<D::T>
where
    D::T: Copy + Neg<Output = D::T>,
{
    let (min, max) = match bounds {
        Bounds::Kept => (written.min_opt().copied().map(lower_bound), written.max_opt().copied().map(upper_bound)),
        Bounds::Dropped => (None, None),
    };
    let (distinct, nulls) = (written.distinct_count(), written.null_count_opt());
    ValueStatistics::new(min, max, distinct, nulls, false)
        .with_backwards_compatible_min_max(written.is_min_max_backwards_compatible())
        .with_nan_count(written.nan_count_opt())
}

fn lower_bound<T: Copy + Default + PartialEq + Neg<Output = T>>(value: T) -> T {
    if value == T::default() { -T::default() } else { value }
}

fn upper_bound<T: Copy + Default + PartialEq>(value: T) -> T {
    if value == T::default() { T::default() } else { value }
}

/// The page index with bounds that no reader misunderstands.
fn safe_page_index(written: &ParquetMetaData, bounds: &[Bounds]) -> Result<PageIndex> {
    let columns = bounds.len();
    let mut safe = PageIndexBuilder::new(written.num_row_groups(), columns);
    let Some(index) = written.page_index() else { return Ok(safe.build()) };
    for (row_group, column) in (0..written.num_row_groups()).flat_map(|r| (0..columns).map(move |c| (r, c))) {
        if let Some(offsets) = index.offset_index(row_group, column) {
            safe.put_offset_index(offsets.clone(), row_group, column);
        }
        if let (Some(pages), Bounds::Kept) = (index.column_index(row_group, column), bounds[column]) {
            let order = pages.get_boundary_order().unwrap_or(BoundaryOrder::UNORDERED);
            let pages = match pages {
                ColumnIndexMetaData::FLOAT(pages) => safe_column_index::<FloatType>(pages, order)?,
                ColumnIndexMetaData::DOUBLE(pages) => safe_column_index::<DoubleType>(pages, order)?,
                ColumnIndexMetaData::BOOLEAN(_)
                | ColumnIndexMetaData::INT32(_)
                | ColumnIndexMetaData::INT64(_)
                | ColumnIndexMetaData::INT96(_)
                | ColumnIndexMetaData::BYTE_ARRAY(_)
                | ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(_) => pages.clone(),
            };
            safe.put_column_index(pages, row_group, column);
        }
    }
    Ok(safe.build())
}

fn safe_column_index<D: DataType>(
    written: &PrimitiveColumnIndex<D::T>,
    order: BoundaryOrder,
) -> Result<ColumnIndexMetaData>
where
    D::T: Copy + Neg<Output = D::T>,
{
    let bytes = |value: Option<D::T>| value.map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    let mut safe = ColumnIndexBuilder::new(D::get_physical_type());
    safe.set_boundary_order(order);
    for page in 0..written.min_values().len() {
        let min = bytes(written.min_value(page).copied().map(lower_bound));
        let max = bytes(written.max_value(page).copied().map(upper_bound));
        let nulls = written.null_count(page).unwrap_or_default();
        safe.append(written.is_null_page(page), min, max, nulls, written.nan_count(page));
    }
    safe.build()
}
