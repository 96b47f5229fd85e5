//! Finds out what a type looks like when it is stored, by having it read itself from a source that
//! notes what it is asked for. It must not know transformers or files.
//!
//! One reading sees one variant of every enum, so a type is read again until all have been seen.
//! A type that contains itself is entered once; inside of itself it gets lists without elements
//! and the variant that was found to end first.

use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt;
use std::slice;

use serde::Deserialize;
use serde::de::value::U32Deserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::samples::{Plain, Samples};
use super::shape::{Schema, Shape, Type};

/// Why a type's shape cannot be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceError(String);

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TraceError {}

impl de::Error for TraceError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The schema of what is stored as a `B` for a block and as a `C` for the course.
pub(crate) fn trace<'de, B, C>(samples: &'de Samples) -> Result<Schema, TraceError>
where
    B: Deserialize<'de>,
    C: Deserialize<'de>,
{
    let mut tracer = Tracer::new(samples);
    let block = tracer.trace::<B>()?;
    let course = tracer.trace::<C>()?;
    let types = tracer.types.into_iter();
    let schema = Schema {
        block,
        course,
        types: types.map(|(name, traced)| (name, traced.shape)).collect(),
    };
    match schema.unseen() {
        None => Ok(schema),
        Some(place) => Err(TraceError(format!(
            "a part of `{place}` is never asked for, so that its type stays unknown"
        ))),
    }
}

/// How deep values may nest. Deeper ones contain themselves with no end.
const MAX_DEPTH: usize = 100;

/// How often a type is read. Every reading completes at least one variant of an enum.
const MAX_READINGS: usize = 10_000;

struct Tracer<'de> {
    samples: &'de Samples,
    /// By the name that they have in the schema.
    types: BTreeMap<String, Traced>,
    /// The type's own name and its full one, to the one in the schema: a full name tells types
    /// apart that have the same short one.
    names: BTreeMap<(&'static str, &'static str), String>,
    /// The named types around what is being read.
    inside: Vec<String>,
    depth: usize,
    /// Inside of a type that is inside of itself.
    is_nested: bool,
    /// An enum was met that has variants left to see.
    is_pending: bool,
    /// What was handed out last, and to what type.
    last: Option<(&'static str, String)>,
}

#[derive(Default)]
struct Traced {
    shape: Type,
    variants: Vec<Progress>,
    /// The variant that was read to its end before all others: it needs none of them.
    first_to_end: Option<usize>,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    /// It is being read.
    is_open: bool,
    /// It was seen with all that is below it.
    is_done: bool,
}

/// The state around a named type while it is read.
struct Around {
    is_nested: bool,
    is_pending: bool,
}

impl<'de> Tracer<'de> {
    fn new(samples: &'de Samples) -> Self {
        Self {
            samples,
            types: BTreeMap::new(),
            names: BTreeMap::new(),
            inside: Vec::new(),
            depth: 0,
            is_nested: false,
            is_pending: false,
            last: None,
        }
    }

    fn trace<T: Deserialize<'de>>(&mut self) -> Result<Shape, TraceError> {
        let mut shape = Shape::Unseen;
        for _ in 0..MAX_READINGS {
            self.is_pending = false;
            self.last = None;
            let source = Source {
                tracer: self,
                shape: &mut shape,
                wanted: type_name::<T>(),
            };
            if let Err(error) = T::deserialize(source) {
                return Err(self.explain(&error));
            }
            if !self.is_pending {
                return Ok(shape);
            }
        }
        Err(TraceError(format!(
            "{} has more variants than can be followed",
            type_name::<T>()
        )))
    }

    /// A refusal comes from a type that checks what it reads, most likely what it read last.
    fn explain(&self, error: &TraceError) -> TraceError {
        let text = error.0.replace(OWN, "");
        match &self.last {
            Some((wanted, value)) if text == error.0 => TraceError(format!(
                "{wanted} refuses the value {value} ({text}). Let the course have a block for which \
                 a value is collected that it accepts: that is used instead"
            )),
            _ => TraceError(text),
        }
    }

    /// The name in the schema of a type with this name of its own.
    fn name_of<T>(&mut self, own: &'static str) -> String {
        let full = type_name::<T>();
        if let Some(name) = self.names.get(&(own, full)) {
            return name.clone();
        }
        let taken = self.names.keys().filter(|(other, _)| *other == own).count();
        let name = match taken {
            0 => own.to_owned(),
            _ => format!("{own} {}", taken + 1),
        };
        self.names.insert((own, full), name.clone());
        name
    }

    fn enter(&mut self, name: &str) -> Around {
        let around = Around {
            is_nested: self.is_nested,
            is_pending: self.is_pending,
        };
        self.is_nested |= self.inside.iter().any(|other| other == name);
        self.inside.push(name.to_owned());
        self.is_pending = false;
        around
    }

    fn leave(&mut self, around: &Around) {
        self.inside.pop();
        self.is_nested = around.is_nested;
        self.is_pending |= around.is_pending;
    }

    fn learn(&mut self, name: &str, found: Type) -> Result<(), TraceError> {
        let known = &mut self.types.entry(name.to_owned()).or_default().shape;
        if known.merge(found) {
            Ok(())
        } else {
            Err(changeable(name))
        }
    }

    /// The variant to read: one that is not done yet, but inside of its own enum one that ends.
    fn open_variant(&mut self, name: &str, variants: &[&str]) -> usize {
        let traced = self.types.entry(name.to_owned()).or_default();
        traced.variants.resize(variants.len(), Progress::default());
        let first = |wanted: fn(&Progress) -> bool| traced.variants.iter().position(wanted);
        let chosen = if self.is_nested {
            let ends = traced.first_to_end;
            ends.or_else(|| first(|variant| !variant.is_open))
        } else {
            first(|variant| !variant.is_done).or(traced.first_to_end)
        };
        let chosen = chosen.unwrap_or(0);
        if let Some(variant) = traced.variants.get_mut(chosen) {
            variant.is_open = true;
        }
        chosen
    }

    fn close_variant(&mut self, name: &str, chosen: usize) {
        let Some(traced) = self.types.get_mut(name) else {
            return;
        };
        traced.first_to_end.get_or_insert(chosen);
        if let Some(variant) = traced.variants.get_mut(chosen) {
            variant.is_open = false;
            // Inside of itself it has not been seen whole.
            variant.is_done |= !self.is_nested && !self.is_pending;
        }
        self.is_pending |=
            !self.is_nested && traced.variants.iter().any(|variant| !variant.is_done);
    }
}

/// Marks errors of this module, which need no explanation. No message begins so by chance.
const OWN: &str = "\u{1}";

fn own(message: impl fmt::Display) -> TraceError {
    TraceError(format!("{OWN}{message}"))
}

fn changeable(name: &str) -> TraceError {
    own(format_args!(
        "what `{name}` reads depends on the values that it has read before, so it has no one shape"
    ))
}

/// What a type reads itself from.
struct Source<'t, 'de> {
    tracer: &'t mut Tracer<'de>,
    /// Where to note what was asked for.
    shape: &'t mut Shape,
    /// The full name of the type that is being read, as far as it is known.
    wanted: &'static str,
}

impl<'de> Source<'_, 'de> {
    fn note(&mut self, shape: Shape) -> Result<(), TraceError> {
        if self.shape.merge(shape) {
            Ok(())
        } else {
            Err(changeable(self.wanted))
        }
    }

    /// A value that the type is known to accept: as what it reads, or as what that becomes.
    fn sample<V: Visitor<'de>>(&self) -> Option<&'de Plain> {
        let samples = self.tracer.samples;
        let of_wanted = samples.of(self.wanted);
        of_wanted.or_else(|| samples.of(type_name::<V::Value>()))
    }

    fn self_describing<T>(&self, asked: &str) -> Result<T, TraceError> {
        Err(own(format_args!(
            "{} asks what there is to read ({asked}). Stored bytes do not describe themselves, so \
             it could be neither traced nor read back: no `flatten`, no untagged or internally \
             tagged enums, no serde_json::Value",
            self.wanted
        )))
    }

    fn deeper(&mut self) -> Result<(), TraceError> {
        self.tracer.depth += 1;
        if self.tracer.depth > MAX_DEPTH {
            return Err(own(format_args!(
                "{} contains itself and comes to no end within {MAX_DEPTH} levels",
                self.wanted
            )));
        }
        Ok(())
    }

    /// Reads up to `len` parts in order.
    fn parts<V: Visitor<'de>>(
        &mut self,
        len: usize,
        visitor: V,
    ) -> Result<(V::Value, Vec<Shape>), TraceError> {
        let mut shapes = vec![Shape::Unseen; len];
        let parts = Parts {
            tracer: self.tracer,
            shapes: shapes.iter_mut(),
        };
        let value = visitor.visit_seq(parts)?;
        Ok((value, shapes))
    }

    /// Reads a type with a name. `read` answers with the value and what it was made of.
    fn named<T>(
        mut self,
        own_name: &'static str,
        read: impl FnOnce(&mut Source<'_, 'de>, &str) -> Result<(T, Type), TraceError>,
    ) -> Result<T, TraceError> {
        self.deeper()?;
        let name = self.tracer.name_of::<T>(own_name);
        self.note(Shape::Type(name.clone()))?;
        let around = self.tracer.enter(&name);
        let (value, found) = read(&mut self, &name)?;
        self.tracer.leave(&around);
        self.tracer.learn(&name, found)?;
        self.tracer.depth -= 1;
        Ok(value)
    }
}

macro_rules! plain {
    ($($method:ident => $shape:ident, $visit:ident, $made_up:expr, $from:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, TraceError> {
            self.note(Shape::$shape)?;
            let sample = self.sample::<V>().and_then($from);
            let value = sample.unwrap_or($made_up);
            self.tracer.last = Some((self.wanted, format!("{value:?}")));
            visitor.$visit(value)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Source<'_, 'de> {
    type Error = TraceError;

    plain! {
        deserialize_bool => Bool, visit_bool, false, boolean;
        deserialize_i8 => I8, visit_i8, 1, integer;
        deserialize_i16 => I16, visit_i16, 1, integer;
        deserialize_i32 => I32, visit_i32, 1, integer;
        deserialize_i64 => I64, visit_i64, 1, integer;
        deserialize_i128 => I128, visit_i128, 1, integer;
        deserialize_u8 => U8, visit_u8, 1, integer;
        deserialize_u16 => U16, visit_u16, 1, integer;
        deserialize_u32 => U32, visit_u32, 1, integer;
        deserialize_u64 => U64, visit_u64, 1, integer;
        deserialize_u128 => U128, visit_u128, 1, integer;
        deserialize_f32 => F32, visit_f32, 1.0, single;
        deserialize_f64 => F64, visit_f64, 1.0, float;
        deserialize_char => Char, visit_char, '1', character;
        deserialize_str => Text, visit_borrowed_str, "1", text;
        deserialize_string => Text, visit_borrowed_str, "1", text;
        deserialize_bytes => Bytes, visit_borrowed_bytes, b"1".as_slice(), bytes;
        deserialize_byte_buf => Bytes, visit_borrowed_bytes, b"1".as_slice(), bytes;
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, TraceError> {
        self.self_describing("deserialize_any")
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, TraceError> {
        self.self_describing("deserialize_identifier")
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, TraceError> {
        self.self_describing("deserialize_ignored_any")
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, TraceError> {
        self.note(Shape::Unit)?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TraceError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, TraceError> {
        self.deeper()?;
        let mut inner = Shape::Unseen;
        let value = if self.tracer.is_nested {
            visitor.visit_none()?
        } else {
            visitor.visit_some(Source {
                tracer: &mut *self.tracer,
                shape: &mut inner,
                wanted: self.wanted,
            })?
        };
        self.tracer.depth -= 1;
        self.note(Shape::Option(Box::new(inner)))?;
        Ok(value)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, TraceError> {
        self.named(name, |source, _| {
            let mut inner = Shape::Unseen;
            let value = visitor.visit_newtype_struct(Source {
                tracer: &mut *source.tracer,
                shape: &mut inner,
                wanted: source.wanted,
            })?;
            Ok((value, Type::Newtype(inner)))
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, TraceError> {
        self.deeper()?;
        let len = usize::from(!self.tracer.is_nested);
        let (value, mut shapes) = self.parts(len, visitor)?;
        self.tracer.depth -= 1;
        let element = shapes.pop().unwrap_or(Shape::Unseen);
        self.note(Shape::List(Box::new(element)))?;
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        mut self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, TraceError> {
        self.deeper()?;
        let (value, shapes) = self.parts(len, visitor)?;
        self.tracer.depth -= 1;
        self.note(Shape::Tuple(shapes))?;
        Ok(value)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, TraceError> {
        self.named(name, |source, _| {
            let (value, shapes) = source.parts(len, visitor)?;
            Ok((value, Type::Tuple(shapes)))
        })
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, TraceError> {
        self.deeper()?;
        let len = if self.tracer.is_nested { 0 } else { 2 };
        let mut shapes = vec![Shape::Unseen; len];
        let value = visitor.visit_map(Parts {
            tracer: &mut *self.tracer,
            shapes: shapes.iter_mut(),
        })?;
        self.tracer.depth -= 1;
        let of_value = shapes.pop().unwrap_or(Shape::Unseen);
        let of_key = shapes.pop().unwrap_or(Shape::Unseen);
        self.note(Shape::Map(Box::new(of_key), Box::new(of_value)))?;
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TraceError> {
        self.named(name, |source, _| {
            let (value, shapes) = source.parts(fields.len(), visitor)?;
            Ok((value, structure(fields, shapes)))
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TraceError> {
        if variants.is_empty() {
            return Err(own(format_args!("{name} is an enum without variants")));
        }
        self.named(name, |source, name| {
            let chosen = source.tracer.open_variant(name, variants);
            let index = u32::try_from(chosen)
                .map_err(|_| own(format_args!("{name} has more variants than can be stored")))?;
            let mut content = Type::Unseen;
            let value = visitor.visit_enum(Variant {
                source: Source {
                    tracer: &mut *source.tracer,
                    shape: &mut Shape::Unseen,
                    wanted: source.wanted,
                },
                index,
                content: &mut content,
            })?;
            source.tracer.close_variant(name, chosen);
            let found = variants.iter().enumerate().map(|(number, variant)| {
                let content = if number == chosen {
                    std::mem::take(&mut content)
                } else {
                    Type::Unseen
                };
                ((*variant).to_owned(), content)
            });
            Ok((value, Type::Enum(found.collect())))
        })
    }
}

fn structure(fields: &[&str], shapes: Vec<Shape>) -> Type {
    let names = fields.iter().map(|name| (*name).to_owned());
    Type::Struct(names.zip(shapes).collect())
}

/// The parts of a value, in order.
struct Parts<'t, 'de> {
    tracer: &'t mut Tracer<'de>,
    /// Where to note what the parts are.
    shapes: slice::IterMut<'t, Shape>,
}

impl<'de> de::SeqAccess<'de> for Parts<'_, 'de> {
    type Error = TraceError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, TraceError> {
        let Some(shape) = self.shapes.next() else {
            return Ok(None);
        };
        let source = Source {
            tracer: &mut *self.tracer,
            shape,
            wanted: type_name::<S::Value>(),
        };
        seed.deserialize(source).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.shapes.len())
    }
}

impl<'de> de::MapAccess<'de> for Parts<'_, 'de> {
    type Error = TraceError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, TraceError> {
        de::SeqAccess::next_element_seed(self, seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, TraceError> {
        let value = de::SeqAccess::next_element_seed(self, seed)?;
        value.ok_or_else(|| own("a map asks for a value that has no key"))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.shapes.len() / 2)
    }
}

/// One variant of an enum.
struct Variant<'t, 'de> {
    source: Source<'t, 'de>,
    index: u32,
    /// Where to note what the variant holds.
    content: &'t mut Type,
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = TraceError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), TraceError> {
        let index: U32Deserializer<TraceError> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'_, 'de> {
    type Error = TraceError;

    fn unit_variant(self) -> Result<(), TraceError> {
        *self.content = Type::Unit;
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, TraceError> {
        let mut inner = Shape::Unseen;
        let value = seed.deserialize(Source {
            tracer: self.source.tracer,
            shape: &mut inner,
            wanted: type_name::<S::Value>(),
        })?;
        *self.content = Type::Newtype(inner);
        Ok(value)
    }

    fn tuple_variant<V: Visitor<'de>>(
        mut self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, TraceError> {
        let (value, shapes) = self.source.parts(len, visitor)?;
        *self.content = Type::Tuple(shapes);
        Ok(value)
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TraceError> {
        let (value, shapes) = self.source.parts(fields.len(), visitor)?;
        *self.content = structure(fields, shapes);
        Ok(value)
    }
}

fn boolean(sample: &Plain) -> Option<bool> {
    match sample {
        Plain::Bool(value) => Some(*value),
        _ => None,
    }
}

fn integer<T: TryFrom<i128> + TryFrom<u128>>(sample: &Plain) -> Option<T> {
    match sample {
        Plain::Signed(value) => T::try_from(*value).ok(),
        Plain::Unsigned(value) => T::try_from(*value).ok(),
        _ => None,
    }
}

fn float(sample: &Plain) -> Option<f64> {
    match sample {
        Plain::Float(value) => Some(*value),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it was an f32 before")]
fn single(sample: &Plain) -> Option<f32> {
    float(sample).map(|value| value as f32)
}

fn character(sample: &Plain) -> Option<char> {
    match sample {
        Plain::Char(value) => Some(*value),
        _ => None,
    }
}

fn text(sample: &Plain) -> Option<&str> {
    match sample {
        Plain::Text(value) => Some(value),
        _ => None,
    }
}

fn bytes(sample: &Plain) -> Option<&[u8]> {
    match sample {
        Plain::Bytes(value) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
#[expect(dead_code, reason = "types are read, their values are not used")]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use serde_json::{Value, json};

    use super::*;

    /// What a type looks like, and the types in it.
    #[track_caller]
    fn check<T: for<'de> Deserialize<'de>>(expected: Value, expected_types: Value) {
        let samples = Samples::default();
        let schema = trace::<T, ()>(&samples).unwrap();
        let expected = Value::from(vec![expected, expected_types]);
        assert_eq!(json!([schema.block, schema.types]), expected);
    }

    #[track_caller]
    fn refuse<T: for<'de> Deserialize<'de>>(words: &str) {
        let samples = Samples::default();
        let error = trace::<T, ()>(&samples).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains(OWN), "{error:?}");
    }

    #[test]
    fn every_kind_of_value_has_a_shape() {
        check::<(bool, char, String, Box<str>)>(
            json!({"tuple": ["bool", "char", "text", "text"]}),
            json!({}),
        );
        check::<(i8, i16, i32, i64, i128, isize)>(
            json!({"tuple": ["i8", "i16", "i32", "i64", "i128", "i64"]}),
            json!({}),
        );
        check::<(u8, u16, u32, u64, u128, usize)>(
            json!({"tuple": ["u8", "u16", "u32", "u64", "u128", "u64"]}),
            json!({}),
        );
        check::<(f32, Option<f64>, HashSet<u8>, BTreeMap<String, [u16; 2]>)>(
            json!({"tuple": [
                "f32",
                {"option": "f64"},
                {"list": "u8"},
                {"map": ["text", {"tuple": ["u16", "u16"]}]},
            ]}),
            json!({}),
        );
        check::<std::num::NonZeroU8>(json!("u8"), json!({}));
    }

    #[derive(Deserialize)]
    struct Tree {
        children: Vec<Tree>,
        parent: Option<Box<Tree>>,
        by_name: BTreeMap<String, Tree>,
        leaf: Option<Leaf>,
    }

    #[derive(Deserialize)]
    struct Leaf(u8, Vec<Kind>);

    #[derive(Deserialize)]
    enum Kind {
        Round,
        Long {
            tree: Box<Option<Tree>>,
            side: Option<Side>,
        },
    }

    #[derive(Deserialize)]
    enum Side {
        Left(u8),
        Right(u8, Vec<u16>),
        Both,
    }

    #[test]
    fn a_type_that_contains_itself_is_followed_to_all_its_ends() {
        let tree = json!({"type": "Tree"});
        check::<Tree>(
            tree.clone(),
            json!({
                "Tree": {"struct": [
                    ["children", {"list": tree}],
                    ["parent", {"option": tree}],
                    ["by_name", {"map": ["text", tree]}],
                    ["leaf", {"option": {"type": "Leaf"}}],
                ]},
                "Leaf": {"tuple": ["u8", {"list": {"type": "Kind"}}]},
                "Kind": {"enum": [
                    ["Round", "unit"],
                    ["Long", {"struct": [
                        ["tree", {"option": tree}],
                        ["side", {"option": {"type": "Side"}}],
                    ]}],
                ]},
                "Side": {"enum": [
                    ["Left", {"newtype": "u8"}],
                    ["Right", {"tuple": ["u8", {"list": "u16"}]}],
                    ["Both", "unit"],
                ]},
            }),
        );
    }

    #[derive(Deserialize)]
    enum Expression {
        Sum(Box<Expression>, Box<Expression>),
        Call { name: String, of: Vec<Expression> },
        Negative(Box<Expression>),
        Number(i64),
    }

    #[test]
    fn an_enum_that_ends_only_in_its_last_variant_is_followed() {
        let expression = json!({"type": "Expression"});
        check::<Expression>(
            expression.clone(),
            json!({"Expression": {"enum": [
                ["Sum", {"tuple": [expression, expression]}],
                ["Call", {"struct": [["name", "text"], ["of", {"list": expression}]]}],
                ["Negative", {"newtype": expression}],
                ["Number", {"newtype": "i64"}],
            ]}}),
        );
    }

    #[derive(Deserialize)]
    struct Wrapper<T> {
        value: T,
    }

    mod other {
        use serde::Deserialize;

        #[derive(Deserialize)]
        pub(super) struct Leaf {
            name: String,
        }
    }

    #[test]
    fn types_with_the_same_name_are_told_apart() {
        check::<(
            Wrapper<u8>,
            Wrapper<other::Leaf>,
            Wrapper<Leaf>,
            Wrapper<u8>,
        )>(
            json!({"tuple": [
                {"type": "Wrapper"},
                {"type": "Wrapper 2"},
                {"type": "Wrapper 3"},
                {"type": "Wrapper"},
            ]}),
            json!({
                "Wrapper": {"struct": [["value", "u8"]]},
                "Wrapper 2": {"struct": [["value", {"type": "Leaf"}]]},
                "Wrapper 3": {"struct": [["value", {"type": "Leaf 2"}]]},
                "Leaf": {"struct": [["name", "text"]]},
                "Leaf 2": {"tuple": ["u8", {"list": {"type": "Kind"}}]},
                "Kind": json!({"enum": [
                    ["Round", "unit"],
                    ["Long", {"struct": [
                        ["tree", {"option": {"type": "Tree"}}],
                        ["side", {"option": {"type": "Side"}}],
                    ]}],
                ]}),
                "Side": {"enum": [
                    ["Left", {"newtype": "u8"}],
                    ["Right", {"tuple": ["u8", {"list": "u16"}]}],
                    ["Both", "unit"],
                ]},
                "Tree": {"struct": [
                    ["children", {"list": {"type": "Tree"}}],
                    ["parent", {"option": {"type": "Tree"}}],
                    ["by_name", {"map": ["text", {"type": "Tree"}]}],
                    ["leaf", {"option": {"type": "Leaf 2"}}],
                ]},
            }),
        );
    }

    #[derive(Deserialize)]
    struct Endless {
        again: Box<Endless>,
    }

    #[derive(Deserialize)]
    enum Never {}

    #[derive(Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        One { value: u8 },
    }

    /// Reads a number or a text, as what comes before it says.
    struct Fickle;

    /// Asks for three values and reads one.
    struct Hasty;

    macro_rules! read_by_hand {
        ($($name:ident: |$seq:ident| $read:block)*) => {$(
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    struct Values;
                    impl<'de> Visitor<'de> for Values {
                        type Value = $name;

                        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                            f.write_str("values")
                        }

                        fn visit_seq<A>(self, mut $seq: A) -> Result<$name, A::Error>
                        where
                            A: de::SeqAccess<'de>,
                        {
                            $read
                            Ok($name)
                        }
                    }
                    from.deserialize_tuple(3, Values)
                }
            }
        )*};
    }

    read_by_hand! {
        Fickle: |seq| {
            if let Some(Side::Both) = seq.next_element()? {
                seq.next_element::<u8>()?;
            } else {
                seq.next_element::<String>()?;
            }
        }
        Hasty: |seq| {
            seq.next_element::<u8>()?;
        }
    }

    /// Contains itself without a name of its own.
    struct Nameless;

    impl<'de> Deserialize<'de> for Nameless {
        fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Vec::<Self>::deserialize(deserializer).map(|_| Self)
        }
    }

    #[test]
    fn what_cannot_be_traced_is_named_with_the_reason() {
        refuse::<Endless>("contains itself and comes to no end");
        refuse::<Nameless>("contains itself and comes to no end");
        refuse::<Never>("Never is an enum without variants");
        refuse::<Tagged>("trace::tests::Tagged asks what there is to read");
        refuse::<Fickle>("Fickle` reads depends on the values");
        refuse::<Hasty>("`block` is never asked for");
        refuse::<(u8, crate::UsageKey)>("UsageKey refuses the value \"1\"");
    }

    #[test]
    fn text_and_bytes_may_be_borrowed() {
        #[derive(Deserialize)]
        struct Borrowing<'a> {
            text: &'a str,
            #[serde(borrow)]
            pairs: Vec<(&'a str, &'a [u8])>,
        }

        let mut samples = Samples::default();
        samples.take_from("some text").unwrap();
        let schema = trace::<Borrowing<'_>, ()>(&samples).unwrap();
        let expected = json!({"struct": [
            ["text", "text"],
            ["pairs", {"list": {"tuple": ["text", "bytes"]}}],
        ]});
        assert_eq!(json!(schema.types["Borrowing"]), expected);
    }
}
