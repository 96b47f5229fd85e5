//! The usage keys of one course in sorted order: what gives block indices their meaning. It knows
//! nothing of relations.

use super::block_index::{BlockIndex, MAX_BLOCKS};
use crate::error::{Error, ErrorKind, Result};
use crate::key::UsageKey;

/// All usage keys of one course, in sorted order. The key of a [`BlockIndex`] is the one at its
/// position. The table never changes: structures that blocks were removed from share it.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyTable {
    // Invariant: strictly increasing, at most MAX_BLOCKS.
    keys: Box<[UsageKey]>,
}

impl KeyTable {
    /// The table of these keys, which must be in sorted order already.
    ///
    /// # Errors
    /// `Damaged` if they are not, or one stands twice; `LimitExceeded` beyond [`MAX_BLOCKS`].
    pub fn from_sorted(keys: Vec<UsageKey>) -> Result<Self> {
        if keys.len() > MAX_BLOCKS {
            let count = keys.len();
            let message = format!("a course of {count} blocks, with a limit of {MAX_BLOCKS}");
            return Err(Error::new(ErrorKind::LimitExceeded, message));
        }
        let mut pairs = keys.iter().zip(keys.iter().skip(1));
        if let Some((first, second)) = pairs.find(|(first, second)| first >= second) {
            let message = format!("usage keys {first} and {second} are not in sorted order");
            return Err(Error::new(ErrorKind::Damaged, message));
        }
        Ok(Self { keys: keys.into() })
    }

    /// How many keys there are, which is how many entries each column of the course has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of `block`; `None` outside the table.
    #[must_use]
    pub fn get(&self, block: BlockIndex) -> Option<&UsageKey> {
        self.keys.get(block.as_usize())
    }

    /// The index of the block with this key, by binary search.
    #[must_use]
    pub fn position(&self, key: &UsageKey) -> Option<BlockIndex> {
        let position = self.keys.binary_search(key).ok()?;
        u32::try_from(position).ok().map(BlockIndex::new)
    }

    /// What the keys take in memory, roughly, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let texts = self.keys.iter().map(UsageKey::text_bytes).sum::<usize>();
        size_of_val(&*self.keys) + texts
    }

    /// The keys in sorted order.
    #[must_use]
    pub fn as_slice(&self) -> &[UsageKey] {
        &self.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::CourseKey;

    fn keys(ids: &[&str]) -> Vec<UsageKey> {
        let course: CourseKey = "course-v1:Org+Course+Run".parse().unwrap();
        ids.iter()
            .map(|id| course.usage_key("html", id).unwrap())
            .collect()
    }

    #[test]
    fn a_key_is_found_at_its_position() {
        let table = KeyTable::from_sorted(keys(&["a", "b", "d"])).unwrap();
        for (key, position) in table.as_slice().iter().zip(0..) {
            assert_eq!(table.position(key), Some(BlockIndex::new(position)));
            assert_eq!(table.get(BlockIndex::new(position)), Some(key));
        }
        assert_eq!(table.position(&keys(&["c"])[0]), None);
        assert_eq!(table.get(BlockIndex::new(3)), None);
        assert_eq!(table.get(BlockIndex::new(u32::MAX)), None);
    }

    #[test]
    fn keys_out_of_order_or_repeated_are_refused() {
        for ids in [["a", "c", "b"], ["a", "b", "b"], ["b", "a", "c"]] {
            let error = KeyTable::from_sorted(keys(&ids)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{ids:?}");
        }
    }

    #[test]
    fn more_keys_than_the_limit_are_refused_as_such() {
        let key = keys(&["a"]).remove(0);
        let error = KeyTable::from_sorted(vec![key.clone(); MAX_BLOCKS + 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        let error = KeyTable::from_sorted(vec![key; MAX_BLOCKS]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
    }
}
