//! What stored data looks like, as a value that can be written down, read back and compared. It
//! must not know how it was found out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a transformer stores: for a block, and for the course.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Schema {
    pub(crate) block: Shape,
    pub(crate) course: Shape,
    /// What the names in `block`, `course` and here mean. They are for people: two schemas that
    /// differ in nothing else are the same.
    pub(crate) types: BTreeMap<String, Type>,
}

/// The shape of one value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shape {
    Unit,
    Bool,
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    F32,
    F64,
    Char,
    Text,
    Bytes,
    Option(Box<Shape>),
    List(Box<Shape>),
    Map(Box<Shape>, Box<Shape>),
    Tuple(Vec<Shape>),
    /// A type of [`Schema::types`].
    Type(String),
    /// Bytes that no serde type makes, in words.
    Raw(String),
    /// Not met yet. Only while a type is traced.
    #[serde(skip)]
    Unseen,
}

/// A type with a name, or a variant of an enum.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Type {
    /// A variant without values.
    Unit,
    /// Takes the same bytes as what it wraps.
    Newtype(Shape),
    Tuple(Vec<Shape>),
    Struct(Vec<Field>),
    /// Variants in the order of their numbers; none of them is an enum.
    Enum(Vec<(String, Type)>),
    /// Not met yet. Only while a type is traced.
    #[default]
    #[serde(skip)]
    Unseen,
}

/// A field of a struct: its name and its shape.
pub(crate) type Field = (String, Shape);

/// What is outermost decides how a value may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything may come where nothing was.
    Nothing,
    /// More values may follow.
    Tuple,
    /// A struct may have more fields, all else is as it is.
    Other,
}

/// Where two schemas part, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    place: String,
    what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.place, self.what)
    }
}

impl Schema {
    /// The first thing that is not as it was. Names of types may differ, those of fields and
    /// variants may not: two fields of one type that change places differ in nothing else.
    pub(super) fn change_since(&self, older: &Self) -> Option<Difference> {
        self.compare(older, Ends::Equal)
    }

    /// The first thing that keeps code with the types of `older` from decoding this data. Such
    /// code decodes a prefix, so the outermost struct may have more fields at its end.
    pub(super) fn obstacle_for_readers_of(&self, older: &Self) -> Option<Difference> {
        self.compare(older, Ends::Appended)
    }

    /// What is outermost in what is stored for a block.
    pub(super) fn block_kind(&self) -> Kind {
        self.kind(&self.block)
    }

    /// What is outermost in what is stored for the course.
    pub(super) fn course_kind(&self) -> Kind {
        self.kind(&self.course)
    }

    fn kind(&self, shape: &Shape) -> Kind {
        match self.form(shape) {
            Ok(Form::Unit) => Kind::Nothing,
            Ok(Form::Tuple(_)) => Kind::Tuple,
            _ => Kind::Other,
        }
    }

    /// A place that tracing never reached.
    pub(super) fn unseen(&self) -> Option<String> {
        let named = [("block", &self.block), ("course", &self.course)];
        let shapes = named.into_iter().filter(|(_, shape)| shape.has_unseen());
        let types = self.types.iter().filter(|(_, of)| of.has_unseen());
        shapes
            .map(|(name, _)| name.to_owned())
            .chain(types.map(|(name, _)| name.clone()))
            .next()
    }

    fn compare(&self, older: &Self, ends: Ends) -> Option<Difference> {
        let mut comparison = Comparison {
            older,
            newer: self,
            met: BTreeSet::new(),
        };
        let block = comparison.outermost("block", &older.block, &self.block, ends);
        let both =
            block.and_then(|()| comparison.outermost("course", &older.course, &self.course, ends));
        both.err()
    }

    /// What a shape is, behind names and newtypes; the name that is described nowhere else.
    fn form<'a>(&'a self, shape: &'a Shape) -> Result<Form<'a>, &'a str> {
        let mut shape = shape;
        // As many steps as there are types: a longer chain of newtypes contains itself.
        for _ in 0..=self.types.len() {
            let name = match shape {
                Shape::Unit => return Ok(Form::Unit),
                Shape::Tuple(shapes) => return Ok(Form::Tuple(shapes)),
                Shape::Type(name) => name,
                other => return Ok(Form::Other(other)),
            };
            match self.types.get(name).ok_or(name.as_str())? {
                Type::Newtype(inner) => shape = inner,
                Type::Unit => return Ok(Form::Unit),
                Type::Tuple(shapes) => return Ok(Form::Tuple(shapes)),
                Type::Struct(fields) => return Ok(Form::Struct(fields)),
                Type::Enum(variants) => return Ok(Form::Enum(variants)),
                Type::Unseen => break,
            }
        }
        Ok(Form::Other(shape))
    }
}

impl Shape {
    /// Learns what `other` knows; false if they contradict each other.
    pub(super) fn merge(&mut self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Unseen) => true,
            (this @ Self::Unseen, other) => {
                *this = other;
                true
            }
            (Self::Option(this), Self::Option(other)) | (Self::List(this), Self::List(other)) => {
                this.merge(*other)
            }
            (Self::Map(key, value), Self::Map(other_key, other_value)) => {
                key.merge(*other_key) && value.merge(*other_value)
            }
            (Self::Tuple(these), Self::Tuple(others)) => merge_all(these, others),
            (this, other) => *this == other,
        }
    }

    fn has_unseen(&self) -> bool {
        match self {
            Self::Unseen => true,
            Self::Option(inner) | Self::List(inner) => inner.has_unseen(),
            Self::Map(key, value) => key.has_unseen() || value.has_unseen(),
            Self::Tuple(shapes) => shapes.iter().any(Self::has_unseen),
            _ => false,
        }
    }
}

impl Type {
    /// Learns what `other` knows; false if they contradict each other.
    pub(super) fn merge(&mut self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Unseen) => true,
            (this @ Self::Unseen, other) => {
                *this = other;
                true
            }
            (Self::Newtype(this), Self::Newtype(other)) => this.merge(other),
            (Self::Tuple(these), Self::Tuple(others)) => merge_all(these, others),
            (Self::Struct(these), Self::Struct(others)) => {
                these.len() == others.len()
                    && these
                        .iter_mut()
                        .zip(others)
                        .all(|(this, other)| this.0 == other.0 && this.1.merge(other.1))
            }
            (Self::Enum(these), Self::Enum(others)) => {
                these.len() == others.len()
                    && these
                        .iter_mut()
                        .zip(others)
                        .all(|(this, other)| this.0 == other.0 && this.1.merge(other.1))
            }
            (this, other) => *this == other,
        }
    }

    fn has_unseen(&self) -> bool {
        match self {
            Self::Unseen => true,
            Self::Unit => false,
            Self::Newtype(shape) => shape.has_unseen(),
            Self::Tuple(shapes) => shapes.iter().any(Shape::has_unseen),
            Self::Struct(fields) => fields.iter().any(|(_, shape)| shape.has_unseen()),
            Self::Enum(variants) => variants.iter().any(|(_, variant)| variant.has_unseen()),
        }
    }
}

fn merge_all(these: &mut [Shape], others: Vec<Shape>) -> bool {
    these.len() == others.len()
        && these
            .iter_mut()
            .zip(others)
            .all(|(this, other)| this.merge(other))
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::Unit => "()",
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::I128 => "i128",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::U128 => "u128",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Char => "char",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Unseen => "unknown",
            Self::Type(name) | Self::Raw(name) => name,
            Self::Option(inner) => return write!(f, "option<{inner}>"),
            Self::List(inner) => return write!(f, "list<{inner}>"),
            Self::Map(key, value) => return write!(f, "map<{key}, {value}>"),
            Self::Tuple(shapes) => return write!(f, "({})", Listed(shapes)),
        };
        f.write_str(word)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit | Self::Unseen => f.write_str("()"),
            Self::Newtype(shape) => write!(f, "({shape})"),
            Self::Tuple(shapes) => write!(f, "({})", Listed(shapes)),
            Self::Struct(_) => f.write_str("a struct"),
            Self::Enum(_) => f.write_str("an enum"),
        }
    }
}

struct Listed<'a>(&'a [Shape]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, shape) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            write!(f, "{separator}{shape}")?;
        }
        Ok(())
    }
}

/// A shape as its bytes are laid out.
#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    Unit,
    Tuple(&'a [Shape]),
    Struct(&'a [Field]),
    Enum(&'a [(String, Type)]),
    /// No name and no tuple.
    Other(&'a Shape),
}

/// How the ends of two lists of fields may compare.
#[derive(Clone, Copy)]
enum Ends {
    Equal,
    /// The newer one may be longer.
    Appended,
}

struct Comparison<'a> {
    older: &'a Schema,
    newer: &'a Schema,
    /// Pairs that are being compared or have been: a type may contain itself.
    met: BTreeSet<(&'a Shape, &'a Shape)>,
}

impl<'a> Comparison<'a> {
    fn outermost(
        &mut self,
        place: &str,
        older: &'a Shape,
        newer: &'a Shape,
        ends: Ends,
    ) -> Result<(), Difference> {
        match (
            self.form_older(place, older)?,
            self.form_newer(place, newer)?,
            ends,
        ) {
            // Every reader finds the nothing that it expects.
            (Form::Unit, _, Ends::Appended) => Ok(()),
            (Form::Struct(older), Form::Struct(newer), ends) => {
                self.fields(place, older, newer, ends)
            }
            (Form::Tuple(older), Form::Tuple(newer), ends) => {
                self.positions(place, older, newer, ends)
            }
            _ => self.shapes(place, older, newer),
        }
    }

    fn shapes(
        &mut self,
        place: &str,
        older: &'a Shape,
        newer: &'a Shape,
    ) -> Result<(), Difference> {
        let has_name = |shape: &Shape| matches!(shape, Shape::Type(_));
        if (has_name(older) || has_name(newer)) && !self.met.insert((older, newer)) {
            return Ok(());
        }
        match (
            self.form_older(place, older)?,
            self.form_newer(place, newer)?,
        ) {
            (Form::Unit, Form::Unit) => Ok(()),
            (Form::Tuple(older), Form::Tuple(newer)) => {
                self.positions(place, older, newer, Ends::Equal)
            }
            (Form::Struct(older), Form::Struct(newer)) => {
                self.fields(place, older, newer, Ends::Equal)
            }
            (Form::Enum(older), Form::Enum(newer)) => self.variants(place, older, newer),
            (Form::Other(older_form), Form::Other(newer_form)) => match (older_form, newer_form) {
                (Shape::Option(older), Shape::Option(newer)) => {
                    self.shapes(&format!("{place}?"), older, newer)
                }
                (Shape::List(older), Shape::List(newer)) => {
                    self.shapes(&format!("{place}[]"), older, newer)
                }
                (Shape::Map(older_key, older), Shape::Map(newer_key, newer)) => {
                    self.shapes(&format!("{place}{{key}}"), older_key, newer_key)?;
                    self.shapes(&format!("{place}{{value}}"), older, newer)
                }
                (older, newer) if older == newer => Ok(()),
                (older, newer) => Err(is_now(place, older, newer)),
            },
            _ => Err(is_now(place, older, newer)),
        }
    }

    fn fields(
        &mut self,
        place: &str,
        older: &'a [Field],
        newer: &'a [Field],
        ends: Ends,
    ) -> Result<(), Difference> {
        let below = |name: &str| format!("{place}.{name}");
        for ((name, shape), (new_name, new_shape)) in older.iter().zip(newer) {
            if name == new_name {
                self.shapes(&below(name), shape, new_shape)?;
            } else if newer.iter().any(|(other, _)| other == name) {
                let what = format!("({new_shape}) now comes where `{name}` ({shape}) was");
                return Err(differ(below(new_name), what));
            } else if older.iter().any(|(other, _)| other == new_name) {
                return Err(differ(below(name), format!("({shape}) is gone")));
            } else {
                let what = format!(
                    "({shape}) is now `{new_name}` ({new_shape}); if only its name changed, \
                     #[serde(rename = {name:?})] keeps the stored one"
                );
                return Err(differ(below(name), what));
            }
        }
        if let Some((name, shape)) = older.get(newer.len()) {
            return Err(differ(below(name), format!("({shape}) is gone")));
        }
        match (newer.get(older.len()), ends) {
            (Some((name, shape)), Ends::Equal) => {
                Err(differ(below(name), format!("({shape}) is new")))
            }
            _ => Ok(()),
        }
    }

    fn positions(
        &mut self,
        place: &str,
        older: &'a [Shape],
        newer: &'a [Shape],
        ends: Ends,
    ) -> Result<(), Difference> {
        for (position, (older, newer)) in older.iter().zip(newer).enumerate() {
            self.shapes(&format!("{place}.{position}"), older, newer)?;
        }
        if let Some(shape) = older.get(newer.len()) {
            let place = format!("{place}.{}", newer.len());
            return Err(differ(place, format!("({shape}) is gone")));
        }
        match (newer.get(older.len()), ends) {
            (Some(shape), Ends::Equal) => {
                let place = format!("{place}.{}", older.len());
                Err(differ(place, format!("({shape}) is new")))
            }
            _ => Ok(()),
        }
    }

    fn variants(
        &mut self,
        place: &str,
        older: &'a [(String, Type)],
        newer: &'a [(String, Type)],
    ) -> Result<(), Difference> {
        let below = |name: &str| format!("{place}::{name}");
        for (number, ((name, content), (new_name, new_content))) in
            older.iter().zip(newer).enumerate()
        {
            if name != new_name {
                let what = format!("is variant {number} now, which was `{name}`");
                return Err(differ(below(new_name), what));
            }
            self.contents(&below(name), content, new_content)?;
        }
        if let Some((name, _)) = older.get(newer.len()) {
            return Err(differ(below(name), "is a variant that is gone".to_owned()));
        }
        match newer.get(older.len()) {
            Some((name, _)) => Err(differ(below(name), "is a new variant".to_owned())),
            None => Ok(()),
        }
    }

    /// What a variant holds.
    fn contents(
        &mut self,
        place: &str,
        older: &'a Type,
        newer: &'a Type,
    ) -> Result<(), Difference> {
        match (older, newer) {
            (Type::Unit, Type::Unit) => Ok(()),
            (Type::Newtype(older), Type::Newtype(newer)) => self.shapes(place, older, newer),
            (Type::Tuple(older), Type::Tuple(newer)) => {
                self.positions(place, older, newer, Ends::Equal)
            }
            (Type::Struct(older), Type::Struct(newer)) => {
                self.fields(place, older, newer, Ends::Equal)
            }
            _ => Err(differ(
                place.to_owned(),
                format!("was {older} and is {newer}"),
            )),
        }
    }

    fn form_older(&self, place: &str, shape: &'a Shape) -> Result<Form<'a>, Difference> {
        let form = self.older.form(shape);
        form.map_err(|name| undescribed(place, name))
    }

    fn form_newer(&self, place: &str, shape: &'a Shape) -> Result<Form<'a>, Difference> {
        let form = self.newer.form(shape);
        form.map_err(|name| undescribed(place, name))
    }
}

fn is_now(place: &str, older: &Shape, newer: &Shape) -> Difference {
    differ(place.to_owned(), format!("was {older} and is {newer}"))
}

/// Only a snapshot that was edited by hand names what it does not describe.
fn undescribed(place: &str, name: &str) -> Difference {
    let what = format!("is of the type {name:?}, which the snapshot does not describe");
    differ(place.to_owned(), what)
}

fn differ(place: String, what: String) -> Difference {
    Difference { place, what }
}
