//! `org.opensesame.Vault`: passphrases and secrets, only on the private socket.

/// The interface.
pub const INTERFACE: &str = "org.opensesame.Vault";
/// Its only object.
pub const PATH: &str = "/org/opensesame/Vault";

/// The largest value of a secret, in bytes.
pub const MAX_VALUE: usize = 1024 * 1024;
/// The longest passphrase, in bytes.
pub const MAX_PASSPHRASE: usize = 1024;

/// Checks a passphrase's form: 1 to 1024 bytes of UTF-8 without control characters. The text names no part of it.
///
/// # Errors
/// What the form is, where it does not fit.
pub fn check_passphrase(passphrase: &[u8]) -> Result<&str, crate::Error> {
    let fits = !passphrase.is_empty() && passphrase.len() <= MAX_PASSPHRASE;
    std::str::from_utf8(passphrase).ok().filter(|text| fits && !text.chars().any(char::is_control)).ok_or_else(|| {
        crate::Error::InvalidPassphrase(
            "a passphrase is 1 to 1024 bytes of UTF-8 without control characters; choose another".into(),
        )
    })
}

/// Passphrases and secrets; documented in `org.opensesame.Vault.xml`.
#[zbus::proxy(interface = "org.opensesame.Vault", default_path = "/org/opensesame/Vault")]
pub trait Vault {
    /// Creates a vault, locked.
    fn create(&self, profile: &str, passphrase: &[u8]) -> Result<(), crate::Error>;

    /// Unlocks and activates.
    fn unlock(&self, profile: &str, passphrase: &[u8]) -> Result<(), crate::Error>;

    /// Changes the passphrase, and the key with it.
    fn change_passphrase(&self, profile: &str, old: &[u8], new: &[u8]) -> Result<(), crate::Error>;

    /// Deletes a vault.
    fn delete(&self, profile: &str, passphrase: &[u8]) -> Result<(), crate::Error>;

    /// The names of a vault's secrets, in order.
    fn list_secrets(&self, profile: &str) -> Result<Vec<String>, crate::Error>;

    /// One secret's value.
    fn get_secret(&self, profile: &str, name: &str) -> Result<Vec<u8>, crate::Error>;

    /// Stores one secret.
    fn set_secret(&self, profile: &str, name: &str, value: &[u8]) -> Result<(), crate::Error>;

    /// Deletes one secret.
    fn delete_secret(&self, profile: &str, name: &str) -> Result<(), crate::Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passphrases_are_checked_and_never_repeated() {
        assert_eq!(check_passphrase("пароль ok".as_bytes()).unwrap(), "пароль ok");
        assert!(check_passphrase(&[b'x'; 1024]).is_ok());
        for bad in [&b""[..], &[b'x'; 1025], b"a\nb", b"a\0", b"\xff", "a\u{85}".as_bytes()] {
            assert!(check_passphrase(bad).is_err());
        }
    }
}
