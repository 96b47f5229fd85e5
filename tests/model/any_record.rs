//! Any bytes as a record, and as choices of one and of its mutations. Shared by the property tests and
//! the fuzz target. It knows the public API only.

use courseblocks::record::HEADER_LEN;

use crate::choices::{Bytes, Choices};
use crate::record::{Seal, Written, read_all};

/// The key of what nobody wrote.
const KEY: &[u8] = b"course\0t";

/// Any bytes: as a record, as one whose checksums fit, and as choices of a record and of what
/// happens to it.
pub(crate) fn check(bytes: &[u8]) {
    let Some((manner, bytes)) = bytes.split_first() else {
        return;
    };
    let seal = match manner % 6 {
        0 => return check_mutated(&mut Bytes::new(bytes)),
        1 => Seal::Broken,
        2 => Seal::Header,
        3 => Seal::Body,
        4 => Seal::Chunks,
        _ => Seal::Compressed,
    };
    let sealed = seal.apply(KEY, bytes.to_vec());
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
