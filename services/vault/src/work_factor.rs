//! How hard a passphrase is to guess: scrypt's work factor for files written from now on. Pure.

/// The largest work factor that is opened: a larger one is no file of ours and would take gigabytes.
pub(crate) const MAX: u8 = 18;

/// scrypt's work factor for new files: its N is 2 to this power. 15 to 18, by default 17 (128 MiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkFactor(u8);

/// A work factor outside 15 to 18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a work factor is 15 to {MAX}: {0} is none")]
pub struct InvalidWorkFactor(u8);

impl TryFrom<u8> for WorkFactor {
    type Error = InvalidWorkFactor;

    fn try_from(log_n: u8) -> Result<Self, InvalidWorkFactor> {
        if (15..=MAX).contains(&log_n) { Ok(Self(log_n)) } else { Err(InvalidWorkFactor(log_n)) }
    }
}

impl Default for WorkFactor {
    fn default() -> Self {
        Self(17)
    }
}

impl WorkFactor {
    /// The work factor of a file that was opened just now, so that it can be written again as it was chosen.
    /// It stands in the second line: `-> scrypt SALT FACTOR`.
    pub(crate) fn of_opened(file: &[u8]) -> Self {
        file.split(|&byte| byte == b'\n')
            .nth(1)
            .and_then(|line| std::str::from_utf8(line).ok()?.rsplit(' ').next()?.parse().ok())
            .filter(|log_n| (1..=MAX).contains(log_n))
            .map_or_else(Self::default, Self)
    }

    /// The power of two.
    pub(crate) fn log_n(self) -> u8 {
        self.0
    }

    /// One that takes next to no time, for tests that open hundreds of vaults.
    #[cfg(test)]
    pub(crate) const fn weak() -> Self {
        Self(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_15_to_18_are_chosen() {
        let fits: Vec<u8> = (0..=u8::MAX).filter(|&log_n| WorkFactor::try_from(log_n).is_ok()).collect();
        assert_eq!(fits, [15, 16, 17, 18]);
        assert_eq!(WorkFactor::default().log_n(), 17);
    }

    #[test]
    fn a_file_keeps_the_work_factor_that_it_has() {
        let file = b"age-encryption.org/v1\n-> scrypt bBjlhJVYZeE4aqUdmtRHfw 16\n\xff\n";
        assert_eq!(WorkFactor::of_opened(file), WorkFactor(16));
        for other in [&b""[..], b"x\n-> scrypt a 99\n", b"x\n-> scrypt a 0\n", b"x\n\xff 16\n"] {
            assert_eq!(WorkFactor::of_opened(other), WorkFactor::default());
        }
    }
}
