//! Columns that other readers hide, as the directories of `layout = "batches"` have the same names.
//!
//! By Hive's convention `segment=000000/batch=00000000000000000042/` stands for two columns, and readers that follow it
//! show those numbers in place of a column that the files have under that name. Seen with a text and an integer column:
//!
//! | reader | `batch` | `Batch` |
//! |---|---|---|
//! | DuckDB 2.0, Spark 3.5 | replaced | replaced |
//! | polars 2.1, given the directory | replaced | kept, next to a column `batch` |
//! | pyarrow 26 | does not open the directory | kept, next to a column `batch` |

use super::Layout;
use crate::archive::DIRECTORY_KEYS;
use operators_core::error::Problem;
use operators_core::schema::Schema;
use serde_json::Value;

/// Columns of a sink that readers would hide; at least one.
pub(super) struct HiddenColumns {
    names: Vec<String>,
    /// The transform that keeps all columns and gives these other names.
    select: String,
}

impl HiddenColumns {
    /// Those among the columns of a sink, if there are any.
    pub(super) fn find(layout: Layout, input: &Schema) -> Option<Self> {
        let is_hidden = |name: &&str| DIRECTORY_KEYS.iter().any(|key| key.eq_ignore_ascii_case(name));
        let all: Vec<_> = input.columns().iter().map(|column| column.name.as_str()).collect();
        let names: Vec<_> = all.iter().copied().filter(is_hidden).map(str::to_owned).collect();
        if layout == Layout::Flat || names.is_empty() {
            return None;
        }
        let renamed: Vec<_> = names.iter().map(|name| format!("{name} = \"{}\"", free_name(name, &all))).collect();
        let kept: Vec<_> = all.iter().map(|name| Value::from(*name).to_string()).collect();
        let select = format!("select = {{ columns = [{}], rename = {{ {} }} }}", kept.join(", "), renamed.join(", "));
        Some(Self { names, select })
    }

    /// Refuses them in an archive that has no commits yet: found in the file.
    pub(super) fn problem(&self) -> Problem {
        Problem::whole(self.fault()).help(self.advice())
    }

    /// The same, found in the sink.
    pub(super) fn refusal(&self) -> String {
        format!("{}. To rename, {}", self.fault(), self.advice())
    }

    fn fault(&self) -> String {
        format!(
            "readers would hide {}: they take the directories `segment=*/batch=*` of layout = \"batches\" for columns, \
             and show the number of the segment or batch instead",
            self.shown()
        )
    }

    fn advice(&self) -> String {
        format!("add a last [[flow.transform]] with `{}`", self.select)
    }

    /// Says how they are read from an archive that has commits.
    pub(super) fn warning(&self) -> String {
        format!(
            "readers that take the directories `segment=*/batch=*` for columns hide {}, so only an archive that already \
             has commits may have it. To read it, turn that off: pyarrow `partitioning=None`, polars \
             `hive_partitioning=False`, DuckDB `hive_partitioning = false`, Spark option `recursiveFileLookup` = `true`",
            self.shown()
        )
    }

    fn shown(&self) -> String {
        let names: Vec<_> = self.names.iter().map(|name| format!("column `{name}`")).collect();
        names.join(" and ")
    }
}

/// A name like this one that no column has.
fn free_name(name: &str, all: &[&str]) -> String {
    let mut free = format!("{name}_value");
    while all.iter().any(|column| column.eq_ignore_ascii_case(&free)) {
        free.push('_');
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;
    use operators_core::schema::Column;
    use operators_core::types::ColumnType;

    fn columns(names: &[&str]) -> Schema {
        Schema::new(names.iter().map(|name| Column::new(*name, ColumnType::String, true)).collect())
    }

    #[test]
    fn names_of_directories_are_found_in_any_case() {
        let found = |names: &[&str]| HiddenColumns::find(Layout::Batches, &columns(names)).map(|hidden| hidden.names);
        for name in ["batch", "Batch", "segment", "SEGMENT"] {
            assert_eq!(found(&["x", name]), Some(vec![name.to_owned()]));
        }
        assert_eq!(found(&["segment", "x", "batch"]), Some(vec!["segment".to_owned(), "batch".to_owned()]));
        assert_eq!(found(&["batches", "batch_", "segment id", ""]), None);
        assert!(HiddenColumns::find(Layout::Flat, &columns(&["batch"])).is_none(), "flat has no such directories");
    }

    #[test]
    fn the_advice_keeps_every_column_and_doubles_none() {
        let hidden = HiddenColumns::find(Layout::Batches, &columns(&["batch_VALUE", "a \"b\"", "batch"])).unwrap();
        let advice =
            r#"select = { columns = ["batch_VALUE", "a \"b\"", "batch"], rename = { batch = "batch_value_" } }"#;
        assert!(hidden.problem().help.unwrap().contains(advice), "{}", hidden.select);
    }
}
