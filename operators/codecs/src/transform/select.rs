//! `transform.select`: keeps columns and renames them.

use arrow::array::RecordBatch;
use operators_core::chunk::Chunk;
use operators_core::error::{Problem, Result};
use operators_core::schema::{Column, Schema};
use operators_core::stage::{About, Applied, Apply, BuiltStage, Stage};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Keeps the columns named, in that order, under new names where given.
///
/// ```toml
/// [[flow.transform]]
/// select = { columns = ["date", "degrees"], rename = { date = "day" } }
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectConfig {
    /// The columns to keep, by their names before renaming.
    pub columns: Vec<String>,
    /// New names: `{ old = "new" }`.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
}

impl SelectConfig {
    pub(super) fn build(&self, input: &Schema) -> Result<BuiltStage, Vec<Problem>> {
        let problems = self.problems(input);
        if !problems.is_empty() {
            return Err(problems);
        }
        let indices: Vec<_> = self.columns.iter().filter_map(|column| input.index_of(column, &[]).ok()).collect();
        let renamed = |&index: &usize| {
            let column = &input.columns()[index];
            Column { name: self.name(&column.name).to_owned(), ..column.clone() }
        };
        let schema = Schema::new(indices.iter().map(renamed).collect());
        Ok(BuiltStage {
            stage: Arc::new(Select { indices, schema: schema.clone() }),
            schema,
            partitions: None,
            dead_letters: false,
            about: About { summary: self.summary(), fingerprint: Vec::new() },
        })
    }

    /// The name a column goes on under.
    fn name<'a>(&'a self, column: &'a str) -> &'a str {
        self.rename.get(column).map_or(column, String::as_str)
    }

    fn problems(&self, input: &Schema) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.columns.is_empty() {
            problems.push(Problem::at("columns", "keeps no column").help(format!("some of: {}", input.names())));
        }
        let mut kept = BTreeSet::new();
        let mut names = BTreeMap::new();
        for (index, column) in self.columns.iter().enumerate() {
            let at = ["columns", &index.to_string()];
            problems.extend(input.index_of(column, &at).err());
            let name = self.name(column);
            if !kept.insert(column) {
                let message = format!("`{column}` stands here twice");
                problems.push(Problem {
                    at: at.map(str::to_owned).to_vec(),
                    message,
                    help: Some("name it once".to_owned()),
                });
            } else if let Some(other) = names.insert(name, column) {
                // The renamed one of the two is the one to change.
                let by = if self.rename.contains_key(column) { column } else { other };
                let message = format!("both `{other}` and `{column}` would be called `{name}`");
                problems.push(Problem { at: rename(by), message, help: Some("another name".to_owned()) });
            }
        }
        for (column, name) in &self.rename {
            if !kept.contains(column) {
                let message = format!("`{column}` is renamed and not kept");
                let help = format!("add it to columns, or rename one of: {}", self.columns.join(", "));
                problems.push(Problem { at: rename(column), message, help: Some(help) });
            }
            if name.is_empty() {
                let message = format!("`{column}` gets an empty name");
                problems.push(Problem { at: rename(column), message, help: Some("a name".to_owned()) });
            }
        }
        problems
    }

    fn summary(&self) -> String {
        let shown = |column: &String| match self.rename.get(column) {
            Some(name) => format!("{column} as {name}"),
            None => column.clone(),
        };
        self.columns.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}

/// The keys that lead to a new name.
fn rename(column: &str) -> Vec<String> {
    vec!["rename".to_owned(), column.to_owned()]
}

#[derive(Clone)]
struct Select {
    indices: Vec<usize>,
    schema: Schema,
}

impl Stage for Select {
    fn handle(&self) -> Box<dyn Apply> {
        Box::new(self.clone())
    }
}

impl Apply for Select {
    fn apply(&mut self, chunk: Chunk) -> Result<Applied> {
        let columns = self.indices.iter().map(|&index| Arc::clone(chunk.rows.column(index))).collect();
        let rows = RecordBatch::try_new(Arc::clone(self.schema.arrow()), columns)?;
        Ok(Applied { rows: vec![chunk.with_rows(rows)], ..Applied::default() })
    }
}
