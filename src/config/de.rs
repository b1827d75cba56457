//! Reads settings structs from spanned tables: serde on top of [`Value`], with places and did-you-means in every error.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::{Deserialize, Serialize, Serializer};

use super::value::{Data, Table, Value};
use crate::error::{Error, Result, Span};

/// Reads a settings struct from `table`. Give the struct `#[serde(deny_unknown_fields)]`.
///
/// # Errors
/// Unknown and missing keys, wrong types and whatever the struct refuses, with their place.
pub fn from_table<T: DeserializeOwned>(table: &Table) -> Result<T> {
    T::deserialize(TableDeserializer(table)).map_err(|error| error.0.or_at(&table.span, ""))
}

/// Reads those keys of `table` that are fields of the struct `T`.
///
/// # Errors
/// As [`from_table`].
pub(super) fn from_part<T: DeserializeOwned>(table: &Table) -> Result<T> {
    T::deserialize(PartDeserializer(table)).map_err(|error| error.0.or_at(&table.span, ""))
}

/// The names of the fields of the struct `T`.
#[must_use]
pub fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let found = std::cell::Cell::new(&[][..]);
    // It stops there, so that there is no result.
    let _ = T::deserialize(FieldsDeserializer(&found));
    found.get()
}

/// A value together with its range in the file it was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands; none if it did not come from a file.
    pub span: Option<Span>,
}

impl<T> Spanned<T> {
    /// Adds the place to `error`, if there is one.
    #[must_use]
    pub fn blame(&self, error: Error, text: &str) -> Error {
        match &self.span {
            Some(span) => error.or_at(span, text),
            None => error,
        }
    }

    /// Adds the places of two values that do not go together.
    #[must_use]
    pub fn blame_also<U>(&self, other: &Spanned<U>, error: Error) -> Error {
        [&self.span, &other.span]
            .into_iter()
            .flatten()
            .fold(error, |error, span| error.at(span, ""))
    }
}

impl<T> From<T> for Spanned<T> {
    /// A value that does not come from a file, such as a default.
    fn from(value: T) -> Self {
        Self { value, span: None }
    }
}

impl<T: Serialize> Serialize for Spanned<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

const SPANNED: &str = "$refire::Spanned";

thread_local! {
    /// Hands the place of a value past serde's data model, which has no room for it.
    static PLACE: std::cell::RefCell<Option<Span>> = const { std::cell::RefCell::new(None) };
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpannedVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
            type Value = Spanned<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Self::Value, D::Error> {
                let span = PLACE.take();
                T::deserialize(deserializer).map(|value| Spanned { value, span })
            }
        }

        deserializer.deserialize_newtype_struct(SPANNED, SpannedVisitor(std::marker::PhantomData))
    }
}

/// Our error behind serde's trait, and whether its message already names the key.
#[derive(Debug)]
struct DeError(Error, bool);

impl DeError {
    fn at(self, span: &Span) -> Self {
        Self(self.0.or_at(span, ""), self.1)
    }

    fn named(self, key: &str) -> Self {
        if self.1 {
            return self;
        }
        let message = format!("`{key}`: {}", self.0.message());
        Self(self.0.with_message(message), true)
    }
}

impl fmt::Display for DeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for DeError {}

impl de::Error for DeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Error::usage(message.to_string()), false)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Str(_) => "a string".into(),
            Unexpected::Signed(number) => format!("the integer {number}"),
            Unexpected::Float(number) => format!("the number {number}"),
            Unexpected::Bool(flag) => format!("`{flag}`"),
            Unexpected::Seq => "an array".into(),
            Unexpected::Map => "a table".into(),
            other => other.to_string(),
        };
        Self::custom(format!("expected {}, found {found}", words(expected)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Signed(number) => number.to_string(),
            other => other.to_string(),
        };
        Self::custom(format!("expected {}, found {found}", words(expected)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let error = Error::usage(format!("unknown key `{field}`"))
            .did_you_mean(field, expected.iter().copied());
        let error = if expected.is_empty() {
            error
        } else {
            error.note(format!("known keys: {}", expected.join(", ")))
        };
        Self(error, true)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let list = expected
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let error = Error::usage(format!("expected one of {list}, found \"{variant}\""));
        Self(error.did_you_mean(variant, expected.iter().copied()), false)
    }

    fn missing_field(field: &'static str) -> Self {
        Self(Error::usage(format!("missing key `{field}`")), true)
    }
}

/// Rust's names for types in the words of a TOML file.
fn words(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a non-negative integer".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "an integer".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "an array".into(),
        "a map" => "a table".into(),
        "any nonzero u8" | "any nonzero u32" | "any nonzero u64" | "a nonzero u32"
        | "a nonzero u64" | "a nonzero usize" => "a positive integer".into(),
        other => other
            .strip_prefix("struct ")
            .map_or_else(|| other.to_string(), |_| "a table".into()),
    }
}

struct TableDeserializer<'t>(&'t Table);

impl<'de> Deserializer<'de> for TableDeserializer<'_> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_map(Entries {
            rest: self.0.entries.iter(),
            current: None,
        })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Shows a struct only the keys that are its fields.
struct PartDeserializer<'t>(&'t Table);

impl<'de> Deserializer<'de> for PartDeserializer<'_> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        TableDeserializer(self.0).deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        let mut part = self.0.clone();
        for (key, _) in &self.0.entries {
            if !fields.contains(&key.as_str()) {
                part.remove(key);
            }
        }
        TableDeserializer(&part).deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Finds out which fields a struct asks for, and gives it none.
struct FieldsDeserializer<'f>(&'f std::cell::Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for FieldsDeserializer<'_> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, DeError> {
        Err(de::Error::custom("it is no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, DeError> {
        self.0.set(fields);
        Err(de::Error::custom("its fields are known"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Entries<'t> {
    rest: std::slice::Iter<'t, (String, (Span, Value))>,
    current: Option<(&'t str, &'t Value)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = DeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DeError> {
        let Some((key, (span, value))) = self.rest.next() else {
            return Ok(None);
        };
        self.current = Some((key, value));
        let deserializer: StrDeserializer<'_, DeError> = key.as_str().into_deserializer();
        seed.deserialize(deserializer)
            .map(Some)
            .map_err(|error| error.at(span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DeError> {
        let Some((key, value)) = self.current.take() else {
            return Err(de::Error::custom("value read before its key"));
        };
        seed.deserialize(ValueDeserializer(value))
            .map_err(|error| error.at(&value.span).named(key))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Items<'t>(std::slice::Iter<'t, Value>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DeError> {
        let Some(value) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(ValueDeserializer(value))
            .map(Some)
            .map_err(|error| error.at(&value.span))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct ValueDeserializer<'t>(&'t Value);

impl<'de> Deserializer<'de> for ValueDeserializer<'_> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.0.data {
            Data::String(text) | Data::Datetime(text) => visitor.visit_str(text),
            Data::Integer(number) => visitor.visit_i64(*number),
            Data::Float(number) => visitor.visit_f64(*number),
            Data::Boolean(flag) => visitor.visit_bool(*flag),
            Data::Array(items) => visitor.visit_seq(Items(items.iter())),
            Data::Table(table) => TableDeserializer(table)
                .deserialize_any(visitor)
                .map_err(|error| error.at(&self.0.span)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        if name == SPANNED {
            PLACE.set(Some(self.0.span.clone()));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match &self.0.data {
            Data::String(text) => visitor.visit_enum(Variant {
                name: text,
                content: None,
            }),
            Data::Table(table) if table.entries.len() == 1 => {
                let Some((name, (_, content))) = table.entries.iter().next() else {
                    return Err(de::Error::custom("empty table"));
                };
                visitor.visit_enum(Variant {
                    name,
                    content: Some(content),
                })
            }
            _ => Err(de::Error::custom(format!(
                "expected a string, found {}",
                self.0.type_name()
            ))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Variant<'t> {
    name: &'t str,
    content: Option<&'t Value>,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = DeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DeError> {
        let deserializer: StrDeserializer<'_, DeError> = self.name.into_deserializer();
        Ok((seed.deserialize(deserializer)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = DeError;

    fn unit_variant(self) -> Result<(), DeError> {
        match self.content {
            None => Ok(()),
            Some(value) => Err(DeError::at(
                de::Error::custom("expected a string, found a table"),
                &value.span,
            )),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DeError> {
        match self.content {
            Some(value) => seed.deserialize(ValueDeserializer(value)),
            None => Err(de::Error::custom(format!("`{}` needs a value", self.name))),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DeError> {
        match self.content {
            Some(value) => ValueDeserializer(value).deserialize_any(visitor),
            None => Err(de::Error::custom(format!("`{}` needs a value", self.name))),
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        self.tuple_variant(0, visitor)
    }
}
