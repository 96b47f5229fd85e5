//! Choices that can be made again: xorshift64*.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) struct Random {
    // Invariant: not 0.
    state: u64,
}

impl Random {
    /// From the seed that the environment says, else another one each time. Tells which.
    pub(crate) fn seeded() -> (Self, u64) {
        let seed = env::var("COURSEBLOCKS_SEED").ok();
        let seed = seed.map_or_else(from_the_clock, |seed| seed.parse().expect("a number"));
        println!("COURSEBLOCKS_SEED={seed}");
        (Self::new(seed), seed)
    }

    pub(crate) fn new(seed: u64) -> Self {
        // Neighbouring seeds would begin with the same choices.
        let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self {
            state: (mixed ^ mixed >> 32).max(1),
        }
    }

    /// A number from 0, below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let drawn = self.draw() >> 33;
        usize::try_from(drawn).unwrap() % end
    }

    /// A seed for somebody else.
    #[allow(dead_code, reason = "not every test file uses all of it")]
    pub(crate) fn draw(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// So often in a hundred.
    #[allow(dead_code, reason = "not every test file uses all of it")]
    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

fn from_the_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::from(now.subsec_nanos()) << 20 | now.as_secs() & 0xF_FFFF
}
