//! Numbers that look random and are the same in every run.

/// `SplitMix64`: one number after the other from a seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

#[allow(dead_code, reason = "not every bench uses all of it")]
impl Random {
    /// The sequence of `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let below = self.next() % end as u64;
        usize::try_from(below).expect("below a usize")
    }

    /// A number from 0 to 1, both excluded.
    #[expect(clippy::cast_precision_loss, reason = "33 bits fit")]
    pub(crate) fn fraction(&mut self) -> f64 {
        ((self.next() >> 32) as f64 + 0.5) / (1_u64 << 32) as f64
    }

    /// A number of the normal distribution around 0 with deviation 1.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.fraction().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.fraction()).cos()
    }

    /// Brings `items` into a random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
