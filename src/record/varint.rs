//! Lengths as little-endian base 128: seven bits a byte, the high bit says that more follow.

/// Appends `value` in the fewest bytes.
pub(super) fn push(buffer: &mut Vec<u8>, mut value: u32) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return buffer.push(low);
        }
        buffer.push(low | 0x80);
    }
}

/// Takes a value from the front of `bytes`. `None` where there is none, where it exceeds 32 bits
/// and where it is longer than need be: there is one spelling for each.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Option<u32> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        *bytes = rest;
        return Some(first.into());
    }
    take_long(bytes)
}

fn take_long(bytes: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return u32::try_from(value).ok().filter(|_| byte != 0);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: u32, spelling: &[u8]) {
        let mut buffer = Vec::new();
        push(&mut buffer, value);
        assert_eq!(buffer, spelling);
        let mut bytes = spelling;
        assert_eq!(take(&mut bytes), Some(value));
        assert!(bytes.is_empty());
        for len in 0..spelling.len() {
            assert_eq!(take(&mut &spelling[..len]), None);
        }
    }

    #[test]
    fn values_have_one_spelling() {
        check(0, &[0]);
        check(1, &[1]);
        check(127, &[0x7f]);
        check(128, &[0x80, 1]);
        check(16_383, &[0xff, 0x7f]);
        check(16_384, &[0x80, 0x80, 1]);
        check(u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]);
    }

    #[test]
    fn other_spellings_are_refused() {
        for spelling in [
            &[0x80, 0][..],
            &[0xff, 0x80, 0],
            &[0xff, 0xff, 0xff, 0xff, 0x1f],
            &[0xff, 0xff, 0xff, 0xff, 0xff],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert_eq!(take(&mut &spelling[..]), None, "{spelling:x?}");
        }
    }
}
