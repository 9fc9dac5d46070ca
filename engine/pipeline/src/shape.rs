//! What the file may say, read from the JSON schema of the config types: the one source of known keys and their types.

use schemars::JsonSchema;
use serde_json::{Map, Value};
use std::fmt;

/// What may stand at one place of the file.
#[derive(Debug)]
pub(crate) enum Shape {
    /// A table with these keys and no others; the example shows it in a file.
    Table { doc: String, example: Option<String>, fields: Vec<Field> },
    /// A table with any keys.
    Map(Box<Shape>),
    /// A table with exactly one of these keys.
    Choice(Vec<Field>),
    /// A list.
    List(Box<Shape>),
    /// A list, or a table.
    ListOrTable(Box<Shape>, Box<Shape>),
    /// One of these words, each with its meaning.
    Words(Vec<(String, String)>),
    /// A single value.
    Scalar(Scalar),
    /// A single value, or something that has parts: a list or a table.
    Either(Box<Shape>, Box<Shape>),
}

/// A key of a table.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) required: bool,
    /// As the file would spell it.
    pub(crate) default: Option<String>,
    pub(crate) shape: Shape,
}

/// Which single values may stand at a place.
#[derive(Debug, Default)]
pub(crate) struct Scalar {
    pub(crate) text: bool,
    pub(crate) whole: bool,
    pub(crate) number: bool,
    pub(crate) flag: bool,
    pub(crate) format: Option<Format>,
    pub(crate) min: Option<i128>,
    pub(crate) max: Option<i128>,
}

/// What a text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Date,
    Duration,
    Size,
    Secret,
}

impl Shape {
    /// The shape of a config type; an error names the part of its schema that has no shape.
    pub(crate) fn of<T: JsonSchema>() -> Result<Self, String> {
        let schema = schemars::schema_for!(T).to_value();
        let definitions = schema.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
        Reader { definitions: &definitions }.shape(&schema)
    }

    /// A table's field, or a choice's kind.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().find(|field| field.name == name)
    }

    /// A table's fields, or a choice's kinds.
    pub(crate) fn fields(&self) -> &[Field] {
        match self {
            Self::Table { fields, .. } | Self::Choice(fields) => fields,
            _ => &[],
        }
    }

    /// The words of a choice, each with its meaning.
    pub(crate) fn words(&self) -> &[(String, String)] {
        match self {
            Self::Words(words) => words,
            Self::Either(single, _) | Self::List(single) => single.words(),
            _ => &[],
        }
    }

    pub(crate) fn is_secret(&self) -> bool {
        matches!(self, Self::Scalar(Scalar { format: Some(Format::Secret), .. }))
    }
}

impl fmt::Display for Shape {
    /// In words that follow "must be".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { .. } | Self::Map(_) => f.write_str("a table"),
            Self::Choice(kinds) => {
                write!(f, "a table with one of {}", names(kinds.iter().map(|kind| kind.name.as_str())))
            }
            Self::List(_) => f.write_str("a list"),
            Self::Words(words) => write!(f, "one of {}", names(words.iter().map(|(word, _)| word.as_str()))),
            Self::Scalar(scalar) => scalar.fmt(f),
            Self::ListOrTable(list, table) => write!(f, "{list} or {table}"),
            Self::Either(single, parts) => write!(f, "{single}, or {parts}"),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.format {
            Some(Format::Date) => "a date such as \"2000-01-01\"",
            Some(Format::Duration) => "a length of time such as \"10s\"",
            Some(Format::Size) => "a size such as \"256MiB\"",
            Some(Format::Secret) | None => "text",
        };
        let number = if self.number { "a number" } else { "a whole number" };
        let kinds = [(self.text, text), (self.whole || self.number, number), (self.flag, "true or false")];
        // A format says it all: a bare number is another spelling of it.
        let kinds: Vec<_> = kinds.iter().filter(|(may, _)| *may).map(|(_, kind)| *kind).collect();
        f.write_str(&if self.format.is_some() { text.to_owned() } else { kinds.join(" or ") })
    }
}

/// Names in backticks, one after the other.
pub(crate) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

struct Reader<'a> {
    definitions: &'a Map<String, Value>,
}

impl Reader<'_> {
    fn shape(&self, schema: &Value) -> Result<Shape, String> {
        if let Some(target) = text(schema, "$ref") {
            let name = target.rsplit('/').next().unwrap_or(target);
            let definition = self.definitions.get(name).ok_or_else(|| format!("no definition of {target}"))?;
            return self.shape(definition);
        }
        if let Some(cases) = list(schema, "oneOf") {
            return self.choice(cases);
        }
        if let Some(cases) = list(schema, "anyOf") {
            return self.any(cases);
        }
        if let Some(words) = list(schema, "enum") {
            let words = words.iter().filter_map(Value::as_str);
            return Ok(Shape::Words(words.map(|word| (word.to_owned(), String::new())).collect()));
        }
        match types(schema).as_slice() {
            ["object"] => self.object(schema),
            ["array"] => {
                let items = schema.get("items").ok_or_else(|| format!("a list of what? {schema}"))?;
                Ok(Shape::List(Box::new(self.shape(items)?)))
            }
            kinds => scalar(kinds, schema).map(Shape::Scalar),
        }
    }

    /// An object names its keys, or says what is under every key.
    fn object(&self, schema: &Value) -> Result<Shape, String> {
        match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => {
                let required: Vec<_> =
                    list(schema, "required").into_iter().flatten().filter_map(Value::as_str).collect();
                let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
                let mut fields = Vec::new();
                for (name, property) in properties {
                    fields.push(self.field(name, property, required.contains(&name.as_str()))?);
                }
                // What must be given comes first, in the order of the type.
                fields.sort_by_key(|field| required.iter().position(|name| *name == field.name).unwrap_or(usize::MAX));
                Ok(Shape::Table { doc: doc(schema), example: example(schema), fields })
            }
            Some(values @ Value::Object(_)) => Ok(Shape::Map(Box::new(self.shape(values)?))),
            _ => Err(format!("an object that takes unknown keys: {schema}")),
        }
    }

    fn field(&self, name: &str, property: &Value, required: bool) -> Result<Field, String> {
        let default = property.get("default").filter(|default| !default.is_null()).map(Value::to_string);
        Ok(Field { name: name.to_owned(), doc: doc(property), required, default, shape: self.shape(property)? })
    }

    /// An enum: words, tables with one key each, or both.
    fn choice(&self, cases: &[Value]) -> Result<Shape, String> {
        let mut words = Vec::new();
        let mut kinds = Vec::new();
        for case in cases {
            if let Some(word) = text(case, "const") {
                words.push((word.to_owned(), doc(case)));
                continue;
            }
            match self.object(case)? {
                Shape::Table { doc, mut fields, .. } if fields.len() == 1 => {
                    kinds.extend(fields.pop().map(|field| Field { doc, ..field }));
                }
                other => return Err(format!("an enum with a case that is {other}: {case}")),
            }
        }
        match (words.is_empty(), kinds.is_empty()) {
            (false, true) => Ok(Shape::Words(words)),
            (true, false) => Ok(Shape::Choice(kinds)),
            (false, false) => Ok(Shape::Either(Box::new(Shape::Words(words)), Box::new(Shape::Choice(kinds)))),
            (true, true) => Err("an enum without cases".to_owned()),
        }
    }

    /// Something optional, any of several single values, or one of these and something with parts.
    fn any(&self, cases: &[Value]) -> Result<Shape, String> {
        let cases: Vec<_> = cases.iter().filter(|case| text(case, "type") != Some("null")).collect();
        if let [case] = cases.as_slice() {
            return self.shape(case);
        }
        let has_parts = |case: &&Value| matches!(types(case).as_slice(), ["array" | "object"]);
        let (parts, single): (Vec<_>, Vec<_>) = cases.into_iter().partition(has_parts);
        let kinds: Vec<_> = single.iter().flat_map(|case| types(case)).collect();
        // Bounds are those of whole numbers; where any number may stand, there are none.
        let bounded = single.iter().find(|case| types(case) == ["integer"] && !kinds.contains(&"number"));
        let bounds = bounded.map(|case| scalar(&types(case), case)).transpose()?.unwrap_or_default();
        let single = Scalar { min: bounds.min, max: bounds.max, ..scalar(&kinds, &Value::Null)? };
        let single = Shape::Scalar(single);
        let parts: Vec<_> = parts.into_iter().map(|part| self.shape(part)).collect::<Result<_, _>>()?;
        let mut parts = parts.into_iter();
        let parts = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => return Ok(single),
            (Some(parts), None, _) => parts,
            (Some(list @ Shape::List(_)), Some(table @ Shape::Map(_)), None) => {
                Shape::ListOrTable(Box::new(list), Box::new(table))
            }
            _ => return Err("a choice between more than a list and a table".to_owned()),
        };
        Ok(Shape::Either(Box::new(single), Box::new(parts)))
    }
}

fn scalar(kinds: &[&str], schema: &Value) -> Result<Scalar, String> {
    let mut scalar = Scalar::default();
    for kind in kinds {
        match *kind {
            "string" => scalar.text = true,
            "integer" => scalar.whole = true,
            "number" => scalar.number = true,
            "boolean" => scalar.flag = true,
            other => return Err(format!("a value of type {other}: {schema}")),
        }
    }
    let format = text(schema, "format").unwrap_or_default();
    let (min, max) = match format {
        "int32" => (Some(i32::MIN.into()), Some(i32::MAX.into())),
        "int64" => (Some(i64::MIN.into()), Some(i64::MAX.into())),
        "uint32" => (Some(0), Some(u32::MAX.into())),
        "uint64" | "uint" => (Some(0), Some(u64::MAX.into())),
        _ => (None, None),
    };
    let bound = |key| schema.get(key).and_then(Value::as_i64).map(i128::from);
    scalar.min = bound("minimum").or(min);
    scalar.max = bound("maximum").or(max);
    scalar.format = match format {
        "date" => Some(Format::Date),
        "duration" => Some(Format::Duration),
        "size" => Some(Format::Size),
        "secret" => Some(Format::Secret),
        _ => None,
    };
    let any = scalar.text || scalar.whole || scalar.number || scalar.flag;
    if any { Ok(scalar) } else { Err(format!("nothing may stand here: {schema}")) }
}

fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key).and_then(Value::as_str)
}

fn list<'a>(schema: &'a Value, key: &str) -> Option<&'a [Value]> {
    schema.get(key).and_then(Value::as_array).map(Vec::as_slice)
}

/// The types of a value that is there: what is optional may be null in a schema, and is left out of a file.
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
        _ => Vec::new(),
    }
}

/// What opens and closes the example in a doc comment.
const FENCES: [&str; 2] = ["```toml\n", "\n```"];

/// A doc comment on one line, without its example.
fn doc(schema: &Value) -> String {
    let text = text(schema, "description").unwrap_or_default();
    let words = text.split(FENCES[0]).next().unwrap_or_default();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The example in a doc comment.
fn example(schema: &Value) -> Option<String> {
    let (_, rest) = text(schema, "description")?.split_once(FENCES[0])?;
    rest.split_once(FENCES[1]).map(|(example, _)| example.to_owned())
}
