//! How one value becomes bytes and back: bincode 2 through serde, in its standard
//! configuration. The only module that names bincode; it must not know records.

use bincode::config;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError as BincodeDecodeError, EncodeError as BincodeEncodeError};
use bincode::serde::BorrowedSerdeDecoder;
use serde::{Deserialize, Serialize};

use super::bounded::Bounded;
use crate::error::{Error, ErrorKind};

/// A value that cannot become bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It needs more bytes than there may be.
    #[error("a value takes more than the {max_len} bytes that are left for it")]
    TooLarge {
        /// What was left.
        max_len: usize,
    },
    /// Its [`Serialize`] failed, or wants what bincode cannot do (a sequence whose length is
    /// not known before its first element, for instance).
    #[error("a value cannot be encoded")]
    Unencodable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Bytes that are no value of the type that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("bytes are not the value that was asked for")]
pub struct DecodeError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl DecodeError {
    /// For code that converts what an older version stored, and cannot: because the version is
    /// one that it refuses, or the value has no equal among today's.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// The bytes passed their checks, so it is the type that does not fit them.
impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::new(ErrorKind::Transformer, "stored data cannot be decoded").with_source(error)
    }
}

/// Appends `value` to `buffer`, in at most `max_len` bytes. After an error `buffer` is as it was.
pub fn encode_into<T>(buffer: &mut Vec<u8>, value: &T, max_len: usize) -> Result<(), EncodeError>
where
    T: Serialize + ?Sized,
{
    let start = buffer.len();
    let writer = BoundedWriter {
        end: start.saturating_add(max_len),
        buffer,
    };
    let written = bincode::serde::encode_into_writer(value, writer, config::standard());
    written.map_err(|error| {
        buffer.truncate(start);
        match error {
            BincodeEncodeError::UnexpectedEnd => EncodeError::TooLarge { max_len },
            other => EncodeError::Unencodable(Box::new(other)),
        }
    })
}

/// Reads a value from the beginning of `bytes`. What follows it is ignored, since a newer writer
/// adds fields at the end. Text and byte strings can be borrowed from `bytes`.
///
/// Lengths that lie are errors, and cost little: text and byte strings are found among the bytes
/// before memory is reserved for them, and serde takes a sequence's word for at most 1 MiB. Two
/// things are left to the types: a sequence of values that take no bytes (`Vec<()>`) is as long as
/// it says, and a type that contains itself goes as deep as its bytes say.
#[inline]
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    // bincode's own limit on what a value claims costs 25 ns for an entry of five fields, which
    // takes 46 ns to decode.
    let mut decoder = BorrowedSerdeDecoder::from_slice(bytes, config::standard(), ());
    T::deserialize(Bounded(decoder.as_deserializer())).map_err(undecodable)
}

#[cold]
fn undecodable(error: BincodeDecodeError) -> DecodeError {
    DecodeError::new(error)
}

struct BoundedWriter<'a> {
    // Invariant: never longer than `end`.
    buffer: &'a mut Vec<u8>,
    end: usize,
}

impl Writer for BoundedWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BincodeEncodeError> {
        if bytes.len() > self.end - self.buffer.len() {
            return Err(BincodeEncodeError::UnexpectedEnd);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct V1<'a> {
        title: &'a str,
        due: Option<i64>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct V2 {
        title: String,
        due: Option<i64>,
        weights: Vec<f64>,
    }

    /// Asks for a byte string of its own, as `serde_bytes` does.
    #[derive(Debug, PartialEq)]
    struct ByteString(Vec<u8>);

    impl Serialize for ByteString {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&self.0)
        }
    }

    impl<'de> Deserialize<'de> for ByteString {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct OwnedOnly;
            impl serde::de::Visitor<'_> for OwnedOnly {
                type Value = ByteString;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a byte string")
                }
                fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<ByteString, E> {
                    Ok(ByteString(bytes))
                }
            }
            deserializer.deserialize_byte_buf(OwnedOnly)
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Unit,
        Newtype(ByteString),
        Tuple(char, Option<String>),
        Struct {
            floats: [f32; 2],
            map: BTreeMap<String, Shape>,
        },
    }

    #[test]
    fn values_of_every_shape_are_read_back() {
        let nested = BTreeMap::from([
            ("unit".to_owned(), Shape::Unit),
            (
                "newtype".to_owned(),
                Shape::Newtype(ByteString(vec![0, 255])),
            ),
            ("tuple".to_owned(), Shape::Tuple('é', Some(String::new()))),
        ]);
        let value = (
            Shape::Struct {
                floats: [0.5, -1.0],
                map: nested,
            },
            (i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN),
            (u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX),
            (true, f64::MAX, ()),
        );
        let bytes = encoded(&value);
        check_read_back(&bytes, &value);
    }

    #[track_caller]
    fn check_read_back<'a, T>(bytes: &'a [u8], value: &T)
    where
        T: Deserialize<'a> + PartialEq + std::fmt::Debug,
    {
        assert_eq!(decode::<T>(bytes).unwrap(), *value);
        for len in 0..bytes.len() {
            decode::<T>(&bytes[..len]).unwrap_err();
        }
    }

    fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_into(&mut bytes, value, usize::MAX).unwrap();
        bytes
    }

    #[test]
    fn an_older_type_reads_the_prefix_and_borrows_its_text() {
        let bytes = encoded(&V2 {
            title: "Quiz".into(),
            due: Some(-1),
            weights: vec![0.5],
        });
        let V1 { title, due } = decode(&bytes).unwrap();
        assert_eq!((title, due), ("Quiz", Some(-1)));
        assert!(bytes.as_ptr_range().contains(&title.as_ptr()));
    }

    #[test]
    fn a_newer_type_does_not_read_older_bytes() {
        let bytes = encoded(&V1 {
            title: "Quiz",
            due: None,
        });
        decode::<V2>(&bytes).unwrap_err();
    }

    #[test]
    fn values_that_take_more_memory_than_bytes_are_read_back() {
        let claims_most = vec![1_u128; 70_000];
        assert_eq!(
            decode::<Vec<u128>>(&encoded(&claims_most)).unwrap(),
            claims_most
        );
    }

    /// Without care, the first of these ends the process.
    #[test]
    fn a_length_that_lies_is_an_error() {
        #[track_caller]
        fn check<'a, T: Deserialize<'a> + std::fmt::Debug>(bytes: &'a [u8]) {
            decode::<T>(bytes).unwrap_err();
        }
        for len in [1_u64 << 16, 1 << 40, u64::MAX - 1, u64::MAX] {
            let bytes = encoded(&len);
            check::<String>(&bytes);
            check::<&str>(&bytes);
            check::<Vec<u8>>(&bytes);
            check::<Vec<u64>>(&bytes);
            check::<Vec<String>>(&bytes);
            check::<Option<Box<str>>>(&[&[1], bytes.as_slice()].concat());
            check::<(ByteString,)>(&bytes);
            check::<BTreeMap<u32, String>>(&bytes);
            check::<HashMap<u32, String>>(&bytes);
            check::<(u64, String)>(&[bytes.as_slice(), &bytes].concat());
        }
    }

    #[test]
    fn a_value_that_does_not_fit_leaves_the_buffer_as_it_was() {
        let mut buffer = vec![7];
        let error = encode_into(&mut buffer, "four", 4).unwrap_err();
        assert!(matches!(error, EncodeError::TooLarge { max_len: 4 }));
        assert_eq!(buffer, [7]);
        encode_into(&mut buffer, "four", 5).unwrap();
        assert_eq!(buffer, b"\x07\x04four");
    }

    #[test]
    fn a_value_that_fails_to_serialize_leaves_the_buffer_as_it_was() {
        struct Failing;
        impl Serialize for Failing {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::{Error, SerializeTuple};
                let mut tuple = serializer.serialize_tuple(2)?;
                tuple.serialize_element(&1)?;
                Err(S::Error::custom("no"))
            }
        }
        let mut buffer = vec![7];
        let error = encode_into(&mut buffer, &Failing, 100).unwrap_err();
        assert!(matches!(error, EncodeError::Unencodable(_)));
        assert_eq!(buffer, [7]);
    }
}
