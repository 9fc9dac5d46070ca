//! Numbers that follow from a seed alone, the same on every machine.

/// A small generator of random numbers, so that a printed seed is all one needs to run a case again.
pub struct Random(pub u64);

impl Random {
    /// From the environment variable `WEATHERFLOW_SEED`, or the clock.
    pub fn from_environment() -> Self {
        let seed =
            std::env::var("WEATHERFLOW_SEED").ok().map(|text| text.parse().expect("WEATHERFLOW_SEED is a number"));
        let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = seed.unwrap_or_else(clock);
        println!("seed {seed}; WEATHERFLOW_SEED={seed} makes the same choices again");
        Self(seed)
    }

    /// The next number, from 0 up to and without `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}
