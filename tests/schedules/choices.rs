//! Where decisions come from: a seed, or bytes that somebody else makes. It knows nothing of what is
//! decided.

/// A source of choices.
pub(crate) trait Choices {
    /// A number below `end`, which is not 0.
    fn below(&mut self, end: u32) -> u32;

    /// Whether something happens that happens `times` times in `of`.
    fn happens(&mut self, times: u32, of: u32) -> bool {
        self.below(of) < times
    }

    /// One of these, of which there is at least one.
    fn one_of<T: Copy>(&mut self, of: &[T]) -> T
    where
        Self: Sized,
    {
        let count = u32::try_from(of.len()).expect("a short list");
        of[self.below(count) as usize]
    }

    /// One of these, each as often as its weight says.
    fn weighted<T: Copy>(&mut self, of: &[(u32, T)]) -> T
    where
        Self: Sized,
    {
        let mut left = self.below(of.iter().map(|(weight, _)| weight).sum());
        for (weight, one) in of {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *one,
            }
        }
        unreachable!("less than the sum of all weights")
    }
}

/// The same choices for the same seed, on every machine (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Choices for Seeded {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper half times `end` is below `end` in its own upper half.
        let scaled = (mixed >> 32) * u64::from(end);
        u32::try_from(scaled >> 32).expect("below a u32")
    }
}

/// Choices made by whoever made these bytes; the first ones of all, when they are used up.
#[derive(Clone, Debug)]
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl Choices for Bytes<'_> {
    fn below(&mut self, end: u32) -> u32 {
        let mut byte = || match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                u32::from(*first)
            }
            None => 0,
        };
        let chosen = if end <= 1 << 8 {
            byte()
        } else {
            byte() << 8 | byte()
        };
        chosen % end
    }
}
