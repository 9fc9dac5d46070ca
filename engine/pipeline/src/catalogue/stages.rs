//! The stages a flow can have and their fields, from the doc comments of their configs.

use crate::build::stage_name::Slot;
use crate::file::Pipeline;
use crate::shape::{Field, Shape};

/// A stage as the README describes it.
#[derive(Clone, Debug)]
pub struct StageDoc {
    /// Where it may stand: `source`.
    pub slot: &'static str,
    /// Its name there: `topic`.
    pub kind: String,
    /// What it is, in a few words.
    pub brief: String,
    /// What it does.
    pub doc: String,
    /// How it stands in a file.
    pub example: String,
    /// Its keys; those that must be given come first.
    pub fields: Vec<FieldDoc>,
}

impl StageDoc {
    /// Slot and kind: `sink.parquet`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.slot, self.kind)
    }
}

/// A key of a stage.
#[derive(Clone, Debug)]
pub struct FieldDoc {
    /// As written in the file.
    pub name: String,
    /// What may stand there: `text`, `a whole number`.
    pub kind: String,
    /// Whether it must be given.
    pub required: bool,
    /// What holds when it is not given, as the file would spell it.
    pub default: Option<String>,
    /// What it says.
    pub doc: String,
    /// The words that may stand there, where it is a choice, each with its meaning.
    pub words: Vec<(String, String)>,
    /// Its own keys, where it is a table.
    pub fields: Vec<FieldDoc>,
}

/// A slot of a flow and what it is for: `source`, `Where rows come from.`
pub fn slots() -> Vec<(&'static str, String)> {
    let Ok(pipeline) = Shape::of::<Pipeline>() else { return Vec::new() };
    let doc = |slot| flow(&pipeline).and_then(|flow| flow.field(slot)).map(|field| field.doc.clone());
    Slot::ALL.map(Slot::key).into_iter().map(|slot| (slot, doc(slot).unwrap_or_default())).collect()
}

fn flow(pipeline: &Shape) -> Option<&Shape> {
    match &pipeline.field("flow")?.shape {
        Shape::List(flow) => Some(flow),
        _ => None,
    }
}

/// All stages, slot by slot in the order rows pass them.
pub fn catalogue() -> Vec<StageDoc> {
    let Ok(pipeline) = Shape::of::<Pipeline>() else { return Vec::new() };
    let Some(flow) = flow(&pipeline) else { return Vec::new() };
    let kinds = |slot: &'static str| match flow.field(slot).map(|field| &field.shape) {
        Some(Shape::List(items)) => items.fields(),
        Some(shape) => shape.fields(),
        None => &[],
    };
    Slot::ALL
        .map(Slot::key)
        .into_iter()
        .flat_map(|slot| kinds(slot).iter().map(move |kind| stage(slot, kind)))
        .collect()
}

fn stage(slot: &'static str, kind: &Field) -> StageDoc {
    let (doc, example) = match &kind.shape {
        Shape::Table { doc, example, .. } if !doc.is_empty() => (doc, example.as_deref()),
        _ => (&kind.doc, None),
    };
    StageDoc {
        slot,
        kind: kind.name.clone(),
        brief: kind.doc.clone(),
        doc: doc.clone(),
        example: example.unwrap_or_default().to_owned(),
        fields: kind.shape.fields().iter().map(field).collect(),
    }
}

fn field(field: &Field) -> FieldDoc {
    FieldDoc {
        name: field.name.clone(),
        kind: kind_of(&field.shape),
        required: field.required,
        default: field.default.clone(),
        doc: field.doc.clone(),
        words: field.shape.words().to_vec(),
        fields: field.shape.fields().iter().map(self::field).collect(),
    }
}

/// What may stand at a place, for a table cell.
fn kind_of(shape: &Shape) -> String {
    match shape {
        Shape::Map(inner) => format!("table of {}", kind_of(inner)),
        Shape::List(inner) => format!("list of {}", kind_of(inner)),
        Shape::Words(words) => words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Shape::ListOrTable(list, table) => format!("{} or {}", kind_of(list), kind_of(table)),
        Shape::Either(single, parts) => format!("{} or {}", kind_of(single), kind_of(parts)),
        other => other.to_string().trim_start_matches("a ").to_owned(),
    }
}
