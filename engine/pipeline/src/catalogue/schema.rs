//! The pipeline file as a JSON Schema, for editors: made from the same shape that `check` holds files against.
//!
//! Where a value is expected a reference to a variable or a file may stand too. Each alternative carries the words of
//! its field, as editors look for them there.

#[cfg(test)]
mod tests;

use crate::file::Pipeline;
use crate::shape::{Field, Format, Scalar, Shape};
use serde_json::{Map, Value, json};

/// The schema, draft 2020-12; an error names a config type that cannot be described.
pub fn schema() -> Result<Value, String> {
    let mut writer = Writer::default();
    let file = writer.value(&Shape::of::<Pipeline>()?);
    let mut schema = described(file, "A pipeline file of weatherflow.");
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("weatherflow pipeline"));
    schema.insert("$defs".to_owned(), Value::Object(writer.definitions));
    Ok(Value::Object(schema))
}

/// Writes shapes, and keeps what many of them share.
#[derive(Default)]
struct Writer {
    definitions: Map<String, Value>,
}

impl Writer {
    /// What may stand at one place.
    fn value(&mut self, shape: &Shape) -> Map<String, Value> {
        match shape {
            Shape::Table { fields, .. } => {
                let required: Vec<_> = fields.iter().filter(|field| field.required).map(|field| &field.name).collect();
                object(json!({
                    "type": "object",
                    "properties": self.properties(fields),
                    "required": required,
                    "additionalProperties": false,
                }))
            }
            Shape::Choice(kinds) => object(json!({
                "type": "object",
                "properties": self.properties(kinds),
                "additionalProperties": false,
                "minProperties": 1,
                "maxProperties": 1,
            })),
            Shape::Map(inner) => object(json!({ "type": "object", "additionalProperties": self.value(inner) })),
            Shape::List(inner) => object(json!({ "type": "array", "items": self.value(inner) })),
            Shape::ListOrTable(list, table) => object(json!({ "anyOf": [self.value(list), self.value(table)] })),
            Shape::Words(words) => {
                let names: Vec<_> = words.iter().map(|(word, _)| word.as_str()).collect();
                let meanings: Vec<_> = words.iter().map(|(_, meaning)| meaning).collect();
                let word = json!({ "enum": names, "x-taplo": { "docs": { "enumValues": meanings } } });
                let kind = names.join("_");
                self.or_reference(&word, &kind, &json!({ "enum": names }))
            }
            Shape::Scalar(single) => self.or_reference(&scalar(single), &kind(single), &default(single)),
            Shape::Either(single, parts) => {
                let mut either = self.value(single);
                if let Some(Value::Array(cases)) = either.get_mut("anyOf") {
                    cases.push(Value::Object(self.value(parts)));
                }
                either
            }
        }
    }

    /// A value as it is written, or a reference to one; `kind` names what the default of a variable may be.
    fn or_reference(&mut self, written: &Value, kind: &str, default: &Value) -> Map<String, Value> {
        let variable = format!("variable_{kind}");
        let references = json!([
            written,
            { "$ref": format!("#/$defs/{variable}") },
            { "$ref": "#/$defs/file" },
        ]);
        self.definitions.entry(variable).or_insert_with(|| self::variable(default));
        self.definitions.entry("file").or_insert_with(file);
        object(json!({ "anyOf": references }))
    }

    fn properties(&mut self, fields: &[Field]) -> Map<String, Value> {
        let mut properties = Map::new();
        for field in fields {
            let doc = match &field.shape {
                Shape::Table { doc, .. } if field.doc.len() < doc.len() => doc,
                _ => &field.doc,
            };
            let mut property = described(self.value(&field.shape), doc);
            let default = field.default.as_ref().and_then(|default| serde_json::from_str(default).ok());
            property.extend(default.map(|default: Value| ("default".to_owned(), default)));
            properties.insert(field.name.clone(), Value::Object(property));
        }
        properties
    }
}

/// A name for all values of one kind: `text`, `whole_from_0_to_4294967295`.
fn kind(scalar: &Scalar) -> String {
    let types = [("text", scalar.text), ("whole", scalar.whole), ("number", scalar.number), ("flag", scalar.flag)];
    let types: Vec<_> = types.iter().filter(|(_, may)| *may).map(|(name, _)| *name).collect();
    let format = match scalar.format {
        Some(Format::Date) => "date",
        Some(Format::Duration) => "duration",
        Some(Format::Size) => "size",
        Some(Format::Secret) | None => &types.join("_or_"),
    };
    let bound = |word: &str, bound: Option<i128>| bound.map(|bound| format!("_{word}_{bound}")).unwrap_or_default();
    format!("{format}{}{}", bound("from", scalar.min), bound("to", scalar.max))
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

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
