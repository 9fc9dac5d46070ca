//! The tree as the config types: a serde deserializer that knows the place of every mistake.

use crate::diagnostics::diagnostic::{Diagnostic, Diagnostics};
use crate::text::syntax::of_a_shell;
use crate::text::tree::{Entry, Node, Step, Value};
use crate::values::check::whence;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Reads a part of the tree. One wrong value does not hide the next: it is reported and taken out, and the rest is
/// tried again. `None` when anything in this part is wrong, reported now or before.
pub(crate) fn read<T: DeserializeOwned>(node: &Node, found: &mut Diagnostics) -> Option<T> {
    let mut node = node.clone();
    loop {
        let fault = match T::deserialize(&node) {
            Ok(value) => return node.is_whole().then_some(value),
            Err(fault) => fault,
        };
        let path: Vec<Step> = fault.path.into_iter().rev().collect();
        let place = node.nearest(&path);
        if !place.flawed && !found.knows(&place.span) {
            let error = Diagnostic::new(place.span.clone(), format!("{}{}", fault.message, whence(place)));
            let help = if let Value::Text(text) = &place.value { of_a_shell(text) } else { None };
            found.push(help.into_iter().fold(error, Diagnostic::help));
        }
        if path.is_empty() {
            return None;
        }
        node.take_out(&path);
    }
}

/// Why a node is not of the type asked for, and the way to it, its last step first.
#[derive(Debug)]
pub(crate) struct Fault {
    path: Vec<Step>,
    message: String,
}

impl Fault {
    fn under(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: Vec::new(), message: message.to_string() }
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Text(text) | Value::Date(text) => visitor.visit_str(text),
            Value::Whole(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => visitor.visit_i64(number),
                (_, Ok(number)) => visitor.visit_u64(number),
                _ => visitor.visit_i128(*number),
            },
            Value::Number(number) => visitor.visit_f64(*number),
            Value::Flag(flag) => visitor.visit_bool(*flag),
            Value::List(items) => visitor.visit_seq(Items { items, index: 0 }),
            Value::Table(entries) => visitor.visit_map(Entries { entries, index: 0 }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Text(word) => visitor.visit_enum(IntoDeserializer::<Fault>::into_deserializer(word.as_str())),
            Value::Table(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Kind(entry)),
                _ => Err(de::Error::custom("this table must have exactly one key")),
            },
            _ => Err(de::Error::custom(format_args!("a word or a table belongs here, not {}", self.described()))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Entries<'de> {
    entries: &'de [Entry],
    index: usize,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let entry = self.entries.get(self.index);
        entry.map(|entry| seed.deserialize(StrDeserializer::<Fault>::new(&entry.key))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let entry =
            self.entries.get(self.index).ok_or_else(|| <Fault as de::Error>::custom("a value without a key"))?;
        self.index += 1;
        seed.deserialize(&entry.node).map_err(|fault| fault.under(Step::Key(entry.key.clone())))
    }
}

struct Items<'de> {
    items: &'de [Node],
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.get(self.index) else { return Ok(None) };
        let step = Step::Index(self.index);
        self.index += 1;
        seed.deserialize(item).map(Some).map_err(|fault| fault.under(step))
    }
}

/// An enum's case and what it holds.
struct Kind<'de>(&'de Entry);

impl<'de> de::EnumAccess<'de> for Kind<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        Ok((seed.deserialize(StrDeserializer::<Fault>::new(&self.0.key))?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Kind<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Err(de::Error::custom(format_args!("`{}` is a word, not a table", self.0.key)))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(&self.0.node).map_err(|fault| fault.under(Step::Key(self.0.key.clone())))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_any(&self.0.node, visitor)
            .map_err(|fault| fault.under(Step::Key(self.0.key.clone())))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.tuple_variant(0, visitor)
    }
}
