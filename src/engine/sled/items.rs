//! What a scan yields, also behind what cannot be read.

use sled::IVec;

use super::SledEngine;
use super::failure::Failure;
use crate::engine::{Item, Space};
use crate::error::{ErrorKind, Result};

/// What a scan has yet to yield.
pub(super) struct Items<'a> {
    engine: &'a SledEngine,
    space: Space,
    /// Of every key.
    prefix: Vec<u8>,
    /// The key that was yielded last, or before which nothing can be read.
    last: Option<IVec>,
    /// How often in a row something could not be read.
    damages: u32,
    rest: Rest,
}

enum Rest {
    Items(Box<sled::Iter>),
    /// Behind what cannot be read for this reason. sled would tell it for ever.
    Beyond(String),
    Nothing,
}

/// How many pages in a row may be damaged before a scan ends. A segment has fewer.
const MAX_DAMAGES: u32 = 4_096;

/// No key that is stored goes on like this.
const PAST_ALL: [u8; 64] = [0xff; 64];

/// No page begins with a longer key.
const MAX_BOUND_BYTES: usize = 4_096;

impl<'a> Items<'a> {
    /// All those whose keys begin like this.
    pub(super) fn new(engine: &'a SledEngine, space: Space, prefix: Vec<u8>) -> Result<Self> {
        let rest = engine.read(|handles| Ok(handles.tree(space).scan_prefix(&prefix)))?;
        Ok(Self {
            engine,
            space,
            prefix,
            last: None,
            damages: 0,
            rest: Rest::Items(Box::new(rest)),
        })
    }

    /// Where to go on after what cannot be read, if there is anything.
    ///
    /// The keys of a page follow each other, and nothing tells where those of a damaged one end. So
    /// keys are tried that are farther and farther off, and then what is between the last one with
    /// which sled failed and the first one with which it did not. For most damage sled tells a
    /// place, and what is behind it is found exactly; where it does not (a large value whose file
    /// is gone), a page between two that are damaged alike can be passed over.
    fn beyond(&self, cause: &str) -> Result<Option<Vec<u8>>> {
        let last = self.last.as_deref().unwrap_or(&self.prefix);
        for len in (self.prefix.len()..=last.len()).rev() {
            let (begin, end) = last.split_at(len);
            let first = end.first().map_or(Some(0), |byte| byte.checked_add(1));
            let mut damaged = None;
            for byte in first.into_iter().flat_map(|first| first..=u8::MAX) {
                let key = [begin, &[byte]].concat();
                match damaged {
                    _ if self.is_damaged(&key, cause)? => damaged = Some(key),
                    None => return Ok(Some(key)),
                    Some(damaged) => return self.between(damaged, key, cause).map(Some),
                }
            }
            if let Some(damaged) = damaged {
                let past_all = [&damaged[..], &PAST_ALL].concat();
                if !self.is_damaged(&past_all, cause)? {
                    return self.between(damaged, past_all, cause).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// The first key with which sled does not fail, as it does with `damaged` and not with
    /// `readable`. No key that is stored is between those that go on like `damaged` and `readable`.
    fn between(&self, mut damaged: Vec<u8>, mut readable: Vec<u8>, cause: &str) -> Result<Vec<u8>> {
        while damaged.len() < MAX_BOUND_BYTES
            && !self.is_damaged(&[&damaged[..], &PAST_ALL].concat(), cause)?
        {
            let begin = damaged;
            let with = |byte: u8| [&begin[..], &[byte]].concat();
            let (mut low, mut high) = (0, u8::MAX);
            if !self.is_damaged(&with(low), cause)? {
                return Ok(with(low));
            }
            while high - low > 1 {
                let middle = low.midpoint(high);
                if self.is_damaged(&with(middle), cause)? {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            damaged = with(low);
            if self.is_damaged(&with(high), cause)? {
                damaged = with(high);
            } else {
                readable = with(high);
            }
        }
        Ok(readable)
    }

    /// Whether nothing can be read from `key` on, for this reason, or has been yielded already.
    fn is_damaged(&self, key: &[u8], cause: &str) -> Result<bool> {
        if self.last.as_ref().is_some_and(|last| key <= &**last) {
            return Ok(true);
        }
        let found = self.engine.read(|handles| {
            let mut items = handles.tree(self.space).range(key..);
            items.next().transpose().map(|_| ())
        });
        match found {
            Err(error) if error.kind() == ErrorKind::Damaged => Ok(error.chain() == cause),
            found => found.map(|()| false),
        }
    }

    /// The items from a key on.
    fn from(&self, key: &[u8]) -> Result<sled::Iter> {
        self.engine.read(|handles| {
            let tree = handles.tree(self.space);
            // Our prefixes end with the separator, which is not the highest byte.
            let end = match self.prefix.split_last() {
                Some((last, prefix)) => [prefix, &[last.saturating_add(1)]].concat(),
                None => return Ok(tree.range(key..)),
            };
            Ok(tree.range(key..&*end))
        })
    }

    fn next_item(&mut self) -> Result<Option<Item>> {
        if let Rest::Beyond(cause) = &self.rest {
            let Some(key) = self.beyond(cause)? else {
                return Ok(None);
            };
            self.rest = Rest::Items(Box::new(self.from(&key)?));
            self.last = Some(key.into());
        }
        let Rest::Items(rest) = &mut self.rest else {
            return Ok(None);
        };
        let Some((key, value)) = self.engine.read(|_| rest.next().transpose())? else {
            return Ok(None);
        };
        self.last = Some(key.clone());
        let item = Item::from_joined(key.into(), value.into());
        let item = item.ok_or_else(|| {
            self.engine
                .failed(Failure::Panic("a key without a partition".into()))
        })?;
        Ok(Some(item))
    }
}

impl Iterator for Items<'_> {
    type Item = Result<Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.next_item();
        match &found {
            Ok(Some(_)) => self.damages = 0,
            Err(error) if error.kind() == ErrorKind::Damaged && self.damages < MAX_DAMAGES => {
                self.damages += 1;
                self.rest = Rest::Beyond(error.chain());
            }
            Ok(None) | Err(_) => self.rest = Rest::Nothing,
        }
        found.transpose()
    }
}
