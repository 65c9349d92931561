//! Stock `age`, which knows nothing of this project, and the keys that it finds in a vault.

use std::{fs, path::Path};

use crate::{
    home::Home,
    sesame::{self, Ended},
    session::Session,
};

/// A vault's key, in every form that it has.
pub struct Key {
    /// `AGE-SECRET-KEY-1...`
    pub identity: String,
    /// `age1...`, as secret as the identity.
    pub recipient: String,
}

impl Key {
    /// The identity's 32 bytes.
    pub fn scalar(&self) -> Vec<u8> {
        bech32(&self.identity)
    }

    /// The recipient's 32 bytes.
    pub fn point(&self) -> Vec<u8> {
        bech32(&self.recipient)
    }
}

/// Runs `command` in a shell at a terminal of its own, and types `lines` into it: stock age asks nowhere else.
pub async fn typed(home: &Home, command: &str, lines: &str) -> Ended {
    let words = ["script", "--quiet", "--return", "--command", command, "/dev/null"];
    sesame::run(home, None, &words, lines.as_bytes()).await
}

/// The key that `passphrase` opens in a vault's identity.age.
///
/// # Panics
/// It does not.
pub async fn key(session: &Session, profile: &str, passphrase: &str) -> Key {
    let key = session.home.path().join("key");
    let _ = fs::remove_file(&key);
    let identity = session.home.vaults().join(profile).join("identity.age");
    let command = format!("age -d -o {} {}", key.display(), identity.display());
    let ended = typed(&session.home, &command, &format!("{passphrase}\n")).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let identity = fs::read_to_string(&key).expect("what age has written").trim().to_owned();
    let recipient = session.run(&["age-keygen", "-y", key.to_str().expect("a name")]).await.stdout_of_success();
    fs::remove_file(&key).expect("it was there");
    Key { identity, recipient: recipient.trim().to_owned() }
}

/// Puts `json` in the place of a locked vault's content.
pub async fn fill(session: &Session, profile: &str, key: &Key, json: &str) {
    let plain = session.home.write("items", json);
    let items = session.home.vaults().join(profile).join("items.age");
    let text = |path: &Path| path.to_str().expect("a name").to_owned();
    let words = ["age", "-r", &key.recipient, "-o", &text(&items), &text(&plain)];
    session.run(&words).await.stdout_of_success();
    fs::remove_file(plain).expect("it was there");
}

/// The bytes in a Bech32 text, whose checksum was age's to see to.
fn bech32(text: &str) -> Vec<u8> {
    const LETTERS: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let lower = text.to_lowercase();
    let (_, data) = lower.rsplit_once('1').expect("a Bech32 text");
    let digits = data[..data.len() - 6].chars().map(|letter| LETTERS.find(letter).expect("a Bech32 letter"));
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0, 0);
    for digit in digits {
        (bits, held) = (bits << 5 | digit, held + 5);
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).expect("a byte"));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_bytes_of_a_bech32_text() {
        // From age's own tests: the identity whose scalar is 32 times 42, in Bech32 of "AGE-SECRET-KEY-".
        let text = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
        assert_eq!(super::bech32(text), [0x42; 32]);
    }
}
