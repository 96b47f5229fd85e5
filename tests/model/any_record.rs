//! Any bytes as a record, and as choices of one and of its mutations. Shared by the property tests and
//! the fuzz target. It knows the public API only.

use courseblocks::ErrorKind;
use courseblocks::record::{
    ColumnWriter, EncodeError, HEADER_LEN, Header, MAX_BODY_LEN, MAX_ENTRIES, WriteError,
};
use serde::ser::{Error as _, Serializer};

use crate::choices::{Bytes, Choices};
use crate::record::{Seal, Written, read_all};

/// The key of what nobody wrote.
const KEY: &[u8; 8] = b"course\0t";

/// What stands for records at the limits, which take too long for anything else to lead there.
const LIMITS: &[u8] = b"limits";

/// Any bytes: as a record, as one whose checksums fit, and as choices of a record and of what
/// happens to it.
pub(crate) fn check(bytes: &[u8]) {
    let Some((manner, bytes)) = bytes.split_first() else {
        return;
    };
    let seal = match manner % 6 {
        0 if bytes == LIMITS => return check_limits(),
        0 => return check_mutated(&mut Bytes::new(bytes)),
        1 => Seal::Broken,
        2 => Seal::Header,
        3 => Seal::Body,
        4 => Seal::Chunks,
        _ => Seal::Compressed,
    };
    let sealed = seal.apply(KEY, bytes.to_vec());
    assert_eq!(
        Header::read(KEY, &sealed),
        Header::read(KEY.as_slice(), &sealed)
    );
    read_all(KEY, &sealed, None);
}

fn check_mutated(choices: &mut impl Choices) {
    let written = Written::choose(choices);
    let other = Written::choose(choices);
    let reads = read_all(&written.key, &written.bytes, Some(&written));
    assert!(reads.is_complete(), "an intact record was refused");
    let mutated = written.mutate(&other, choices);
    // Whoever sees what a checksum is compared with, as libFuzzer does, can make it fit.
    let is_known = mutated.seal == Seal::Broken && is_noticed(&written.bytes, &mutated.bytes);
    let known = is_known.then_some(&written);
    read_all(&written.key, &mutated.bytes, known);
}

/// What does not fit into a record is refused, and leaves it as it was.
fn check_limits() {
    #[track_caller]
    fn check<T>(written: Result<T, WriteError>, expected: ErrorKind) {
        let error = written.err().expect("it does not fit");
        assert_eq!(courseblocks::Error::from(error).kind(), expected);
    }
    let mut column = ColumnWriter::new();
    let too_long = vec![0; MAX_BODY_LEN + 1];
    check(column.push(&too_long), ErrorKind::LimitExceeded);
    let text = std::str::from_utf8(&too_long).expect("zeros are text");
    check(column.push_value(text), ErrorKind::LimitExceeded);
    check(column.push_value(&Refusing), ErrorKind::Transformer);
    let refused = column.clone().finish_value(&Refusing);
    assert!(matches!(
        refused,
        Err(WriteError::Encode(EncodeError::Unencodable(_)))
    ));
    check(column.clone().finish(&too_long), ErrorKind::LimitExceeded);
    // With a row of the directory it is too long.
    let as_long = &too_long[..MAX_BODY_LEN];
    check(column.clone().finish(as_long), ErrorKind::LimitExceeded);
    for _ in 0..MAX_ENTRIES {
        column.push_absent().expect("as many as there may be");
    }
    check(column.push(b""), ErrorKind::LimitExceeded);
    let body = column.finish(b"").expect("a body");
    assert_eq!(body.entries(), MAX_ENTRIES);
}

/// A value that cannot become bytes.
struct Refusing;

impl serde::Serialize for Refusing {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("no"))
    }
}

/// Whether the checksums are bound to notice that these bytes are not the record: changes of
/// two bytes beside each other change every CRC-32 over them, and an intact header has a length.
fn is_noticed(written: &[u8], bytes: &[u8]) -> bool {
    if bytes.len() != written.len() {
        return bytes.get(..HEADER_LEN) == written.get(..HEADER_LEN);
    }
    let pairs = || bytes.iter().zip(written);
    let first = pairs().position(|(one, other)| one != other);
    let last = pairs().rposition(|(one, other)| one != other);
    first.zip(last).is_none_or(|(first, last)| last - first < 2)
}
