//! Headers that nobody wrote, with checksums that fit.

/// What is stored under a name in a space (its letter in the checksum's key), with `changed` bytes in
/// its header and a checksum of the header that fits.
pub(crate) fn reseal(
    space: &[u8],
    partition: &str,
    name: &str,
    mut bytes: Vec<u8>,
    changed: &[(usize, u8)],
) -> Vec<u8> {
    for (at, byte) in changed {
        bytes[*at] = *byte;
    }
    let key = [space, partition.as_bytes(), &[0], name.as_bytes()].concat();
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&(key.len() as u64).to_le_bytes());
    checksum.update(&key);
    checksum.update(&bytes[..36]);
    bytes[36..40].copy_from_slice(&checksum.finalize().to_le_bytes());
    bytes
}
