//! The pipeline file as a JSON Schema, for editors: made from the same shape that `check` holds files against.
//!
//! Where a value is expected a reference to a variable or a file may stand too. Each alternative carries the words of
//! its field, as editors look for them there.

#[cfg(test)]
mod tests;

use super::pipeline::Pipeline;
use super::shape::{Field, Format, Scalar, Shape};
use serde_json::{Map, Value, json};

/// The schema, draft 2020-12; an error names a config type that cannot be described.
pub fn schema() -> Result<Value, String> {
    let mut schema = described(value(&Shape::of::<Pipeline>()?), "A pipeline file of weatherflow.");
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("weatherflow pipeline"));
    Ok(Value::Object(schema))
}

/// What may stand at one place.
fn value(shape: &Shape) -> Map<String, Value> {
    match shape {
        Shape::Table { fields, .. } => {
            let required: Vec<_> = fields.iter().filter(|field| field.required).map(|field| &field.name).collect();
            object(json!({
                "type": "object",
                "properties": properties(fields),
                "required": required,
                "additionalProperties": false,
            }))
        }
        Shape::Choice(kinds) => object(json!({
            "type": "object",
            "properties": properties(kinds),
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        })),
        Shape::Map(inner) => object(json!({ "type": "object", "additionalProperties": value(inner) })),
        Shape::List(inner) => object(json!({ "type": "array", "items": value(inner) })),
        Shape::Words(words) => {
            let names: Vec<_> = words.iter().map(|(word, _)| word).collect();
            let meanings: Vec<_> = words.iter().map(|(_, meaning)| meaning).collect();
            let words = json!({ "enum": names, "x-taplo": { "docs": { "enumValues": meanings } } });
            any_of([words.clone(), variable(&words), file()])
        }
        Shape::Scalar(single) => {
            let (literal, default) = (scalar(single), default(single));
            any_of([literal, variable(&default), file()])
        }
        Shape::Either(single, parts) => {
            let mut either = value(single);
            if let Some(Value::Array(cases)) = either.get_mut("anyOf") {
                cases.push(Value::Object(value(parts)));
            }
            either
        }
    }
}

fn properties(fields: &[Field]) -> Map<String, Value> {
    let property = |field: &Field| {
        let doc = match &field.shape {
            Shape::Table { doc, .. } if !doc.is_empty() && field.doc.len() < doc.len() => doc,
            _ => &field.doc,
        };
        let mut property = described(value(&field.shape), doc);
        let default = field.default.as_ref().and_then(|default| serde_json::from_str(default).ok());
        property.extend(default.map(|default: Value| ("default".to_owned(), default)));
        (field.name.clone(), Value::Object(property))
    };
    fields.iter().map(property).collect()
}

/// Adds words for people, to the first alternative too.
fn described(mut schema: Map<String, Value>, doc: &str) -> Map<String, Value> {
    if let Some(Value::Array(cases)) = schema.get_mut("anyOf")
        && let Some(Value::Object(first)) = cases.first_mut()
    {
        first.insert("description".to_owned(), json!(doc));
    }
    schema.insert("description".to_owned(), json!(doc));
    schema
}

fn scalar(scalar: &Scalar) -> Value {
    let kinds = [
        ("string", scalar.text),
        ("integer", scalar.whole && !scalar.number),
        ("number", scalar.number),
        ("boolean", scalar.flag),
    ];
    let kinds: Vec<_> = kinds.iter().filter(|(_, may)| *may).map(|(kind, _)| *kind).collect();
    let mut schema = object(json!({ "type": kinds }));
    let pattern = match scalar.format {
        Some(Format::Date) => Some(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
        Some(Format::Duration) => Some(r"^\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*(ms|s|m|h)?\s*$"),
        Some(Format::Size) => Some(r"^\s*[0-9]+\s*(B|KiB|MiB|GiB)?\s*$"),
        Some(Format::Secret) | None => None,
    };
    schema.extend(pattern.map(|pattern| ("pattern".to_owned(), json!(pattern))));
    let bounds = [("minimum", scalar.min), ("maximum", scalar.max)];
    // JSON has whole numbers of 64 bits here, as the file has.
    let whole = |bound: i128| i64::try_from(bound).map(Value::from).or_else(|_| u64::try_from(bound).map(Value::from));
    schema.extend(bounds.into_iter().filter_map(|(name, bound)| Some((name.to_owned(), whole(bound?).ok()?))));
    Value::Object(schema)
}

/// What the default of a variable may be: as the variable itself, it may be text that is read by the type of its field.
fn default(single: &Scalar) -> Value {
    let pattern = match single {
        Scalar { text: true, .. } => return scalar(single),
        Scalar { number: true, .. } => r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$",
        Scalar { whole: true, .. } => r"^\s*[+-]?[0-9]+\s*$",
        Scalar { .. } => r"^\s*(true|false)\s*$",
    };
    json!({ "anyOf": [scalar(single), { "type": "string", "pattern": pattern }] })
}

fn variable(default: &Value) -> Value {
    json!({
        "type": "object",
        "description": "The value of an environment variable.",
        "properties": {
            "env": { "type": "string", "minLength": 1, "description": "Name of the variable." },
            "default": default,
        },
        "required": ["env"],
        "additionalProperties": false,
    })
}

fn file() -> Value {
    json!({
        "type": "object",
        "description": "The content of a file, without its last line break.",
        "properties": {
            "file": { "type": "string", "minLength": 1, "description": "Its path, from the folder of this file." },
        },
        "required": ["file"],
        "additionalProperties": false,
    })
}

fn any_of(cases: [Value; 3]) -> Map<String, Value> {
    object(json!({ "anyOf": cases }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
