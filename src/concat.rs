//! Short keys put together from their parts on the stack, because the read path must not allocate.

use std::borrow::Cow;

/// Room for keys of usual length: Open edX holds course keys of up to 255 characters, but real ones
/// are some forty, and names of transformers are some twenty.
pub(crate) type Room = [u8; 256];

/// Nothing in it yet.
pub(crate) const ROOM: Room = [0; 256];

/// The parts one after the other, in `room` where they fit.
pub(crate) fn concat<'a>(room: &'a mut Room, parts: &[&[u8]]) -> Cow<'a, [u8]> {
    let mut len = 0;
    for part in parts {
        let Some(place) = room.get_mut(len..len + part.len()) else {
            return Cow::Owned(parts.concat());
        };
        place.copy_from_slice(part);
        len += part.len();
    }
    Cow::Borrowed(&room[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_whether_or_not_there_is_room() {
        for len in [0, 1, 100, 127, 128, 129, 255, 256, 257, 1_000] {
            let long = vec![7; len];
            let mut room = ROOM;
            let joined = concat(&mut room, &[b"ab", &long, b"", b"c"]);
            assert_eq!(joined, [b"ab".as_slice(), &long, b"c"].concat());
            let fits = len + 3 <= ROOM.len();
            assert_eq!(matches!(joined, Cow::Borrowed(_)), fits, "{len}");
        }
    }
}
