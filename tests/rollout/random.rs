//! Choices that can be made again: xorshift64*.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) struct Random {
    // Invariant: not 0.
    state: u64,
}

impl Random {
    /// From what the environment says, else another one each time. Tells which.
    pub(crate) fn seeded() -> Self {
        let seed = env::var("COURSEBLOCKS_SEED").ok();
        let seed = seed.map_or_else(from_the_clock, |seed| seed.parse().expect("a number"));
        println!("COURSEBLOCKS_SEED={seed}");
        Self { state: seed.max(1) }
    }

    /// The same choices for the same seed.
    #[allow(dead_code, reason = "not every test file uses all of it")]
    pub(crate) fn from(seed: u64) -> Self {
        Self { state: seed.max(1) }
    }

    /// A number from 0, below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let drawn = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(drawn).unwrap() % end
    }
}

fn from_the_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::from(now.subsec_nanos()) << 20 | now.as_secs() & 0xF_FFFF
}
