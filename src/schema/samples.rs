//! Plain values that types accept, taken out of real data: a type that checks what it reads
//! (a usage key, a number that is not zero) refuses a made-up one.

use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt;

use serde::ser::{self, Serialize};

/// One accepted value for every type that was met and is stored as a plain value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    by_type: BTreeMap<&'static str, Plain>,
}

/// A value without parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Plain {
    Bool(bool),
    Signed(i128),
    Unsigned(u128),
    Float(f64),
    Char(char),
    Text(String),
    Bytes(Vec<u8>),
}

impl Samples {
    /// Takes what there is to learn from `value`.
    pub(super) fn take_from<T>(&mut self, value: &T) -> Result<(), Unserializable>
    where
        T: Serialize + ?Sized,
    {
        self.note(value).map(drop)
    }

    /// A value that the type with this name accepts.
    pub(super) fn of(&self, type_name: &str) -> Option<&Plain> {
        self.by_type.get(behind_pointers(type_name))
    }

    fn note<T: Serialize + ?Sized>(&mut self, value: &T) -> Noted {
        let plain = value.serialize(Collector(self))?;
        if let Some(plain) = &plain {
            let name = behind_pointers(type_name::<T>());
            if !self.by_type.contains_key(name) {
                self.by_type.insert(name, plain.clone());
            }
        }
        Ok(plain)
    }
}

/// What is left of a type's name without what serde looks through: a reference, an option, a box.
fn behind_pointers(type_name: &str) -> &str {
    const WRAPPERS: [&str; 4] = [
        "core::option::Option<",
        "alloc::boxed::Box<",
        "alloc::rc::Rc<",
        "alloc::sync::Arc<",
    ];
    let mut name = type_name;
    loop {
        let unwrapped = WRAPPERS
            .iter()
            .find_map(|wrapper| name.strip_prefix(wrapper)?.strip_suffix('>'));
        match unwrapped.or_else(|| name.strip_prefix('&')) {
            Some(inner) => name = inner,
            None => return name,
        }
    }
}

/// The value as a plain one, if it is stored as one.
type Noted = Result<Option<Plain>, Unserializable>;

/// A [`Serialize`] failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unserializable(String);

impl ser::Error for Unserializable {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

struct Collector<'a>(&'a mut Samples);

macro_rules! plain {
    ($($method:ident($type:ty) => $variant:ident,)*) => {$(
        fn $method(self, value: $type) -> Noted {
            Ok(Some(Plain::$variant(value.into())))
        }
    )*};
}

impl<'a> ser::Serializer for Collector<'a> {
    type Ok = Option<Plain>;
    type Error = Unserializable;
    type SerializeSeq = Parts<'a>;
    type SerializeTuple = Parts<'a>;
    type SerializeTupleStruct = Parts<'a>;
    type SerializeTupleVariant = Parts<'a>;
    type SerializeMap = Parts<'a>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Parts<'a>;

    plain! {
        serialize_bool(bool) => Bool,
        serialize_i8(i8) => Signed,
        serialize_i16(i16) => Signed,
        serialize_i32(i32) => Signed,
        serialize_i64(i64) => Signed,
        serialize_i128(i128) => Signed,
        serialize_u8(u8) => Unsigned,
        serialize_u16(u16) => Unsigned,
        serialize_u32(u32) => Unsigned,
        serialize_u64(u64) => Unsigned,
        serialize_u128(u128) => Unsigned,
        serialize_f32(f32) => Float,
        serialize_f64(f64) => Float,
        serialize_char(char) => Char,
        serialize_str(&str) => Text,
        serialize_bytes(&[u8]) => Bytes,
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_none(self) -> Noted {
        Ok(None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Noted {
        self.0.note(value)
    }

    fn serialize_unit(self) -> Noted {
        Ok(None)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Noted {
        Ok(None)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Noted {
        Ok(None)
    }

    fn serialize_newtype_struct<T>(self, _: &'static str, value: &T) -> Noted
    where
        T: Serialize + ?Sized,
    {
        self.0.note(value)
    }

    fn serialize_newtype_variant<T>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Noted
    where
        T: Serialize + ?Sized,
    {
        self.0.note(value).map(|_| None)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'a>, Unserializable> {
        Ok(Parts(self.0))
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'a>, Unserializable> {
        Ok(Parts(self.0))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, Unserializable> {
        Ok(Parts(self.0))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, Unserializable> {
        Ok(Parts(self.0))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'a>, Unserializable> {
        Ok(Parts(self.0))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, Unserializable> {
        Ok(Parts(self.0))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, Unserializable> {
        Ok(Parts(self.0))
    }
}

/// The parts of a value that has some.
struct Parts<'a>(&'a mut Samples);

macro_rules! parts {
    ($($of:ident: $($method:ident($($name:ty)?)),*;)*) => {$(
        impl ser::$of for Parts<'_> {
            type Ok = Option<Plain>;
            type Error = Unserializable;

            $(
                fn $method<T>(&mut self, $(_: $name,)? value: &T) -> Result<(), Unserializable>
                where
                    T: Serialize + ?Sized,
                {
                    self.0.take_from(value)
                }
            )*

            fn end(self) -> Noted {
                Ok(None)
            }
        }
    )*};
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeMap: serialize_key(), serialize_value();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}
