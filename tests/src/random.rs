//! Random choices that a failure can repeat, and texts that are found nowhere by chance.

use std::{fs::File, io::Read};

/// The variable that sets the seed of every [`Random`].
pub const SEED: &str = "SESAME_TEST_SEED";

/// Random choices.
pub struct Random(fastrand::Rng);

impl Random {
    /// From the seed in [`SEED`], else a new one. It is printed, so that a failure can be repeated.
    pub fn announced(what: &str) -> Self {
        let seed = number_in(SEED).unwrap_or_else(|| fastrand::u64(..));
        eprintln!("{what}: repeat it with {SEED}={seed}");
        Self::of(seed)
    }

    /// From this seed.
    pub fn of(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Less than `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    /// Bytes, less than `end` of them.
    pub fn bytes(&mut self, end: usize) -> Vec<u8> {
        let length = self.below(end);
        std::iter::repeat_with(|| self.0.u8(..)).take(length).collect()
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.u64(..)
    }
}

/// The number in a variable, where it is set.
///
/// # Panics
/// It is no number.
pub fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// 48 letters that nobody has ever written: truly random, so that no run finds what another has left.
///
/// # Panics
/// There is no /dev/urandom.
pub fn token() -> String {
    let mut bytes = [0_u8; 48];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).expect("random bytes");
    bytes.iter().map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte % 32)])).collect()
}
