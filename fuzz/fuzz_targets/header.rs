//! Any bytes under any key: a header is accepted only with its checksum intact, and then it is
//! exactly what was written.
#![no_main]

use arbitrary::Arbitrary;
use courseblocks::record::{self, ColumnWriter, Generation, HEADER_LEN, Header, Meta};
use courseblocks::{MinReader, ReadVersion, Versions, WriteVersion};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    key: &'a [u8],
    bytes: &'a [u8],
    read: u32,
    write: u32,
    min_reader: u32,
    generation: u64,
    flip: u16,
}

fuzz_target!(|input: Input<'_>| {
    let versions = versions(&input);
    if let Ok(header) = Header::read(input.key, input.bytes) {
        let _ = header.judge(&versions);
        // What was accepted is bound to its key.
        let mut other = input.key.to_vec();
        other.push(0);
        assert!(Header::read(&other, input.bytes).is_err());
    }

    let meta = Meta {
        write_version: versions.write,
        min_reader: versions.min_reader,
        generation: Generation::new(input.generation),
    };
    let mut column = ColumnWriter::new();
    column.push(input.bytes).expect("small");
    let body = column.finish(&[]).expect("small");
    let mut bytes = record::encode(input.key, meta, &body);
    let header = Header::read(input.key, &bytes).expect("just written");
    assert_eq!(header.write_version(), meta.write_version);
    assert_eq!(header.min_reader(), meta.min_reader);
    assert_eq!(header.generation(), meta.generation);
    assert_eq!(header.entries(), 1);

    let bit = usize::from(input.flip) % (HEADER_LEN * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    assert!(
        Header::read(input.key, &bytes).is_err(),
        "bit {bit} was flipped"
    );
});

fn versions(input: &Input<'_>) -> Versions {
    let write = WriteVersion::new(input.write).unwrap_or(WriteVersion::FIRST);
    let min_reader = WriteVersion::new(input.min_reader).unwrap_or(WriteVersion::FIRST);
    let mut versions = Versions::new(ReadVersion::new(input.read), write);
    versions.min_reader = MinReader::new(min_reader);
    versions
}
