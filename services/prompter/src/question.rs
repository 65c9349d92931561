//! What a person reads. Pure. Who asks can call itself anything, and is shown as one plain word.

use dbus_interfaces::{ProfileName, prompter as names};

/// What a passphrase is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// To unlock a vault.
    Unlock,
    /// For a new vault.
    Create,
    /// To delete a vault.
    Delete,
}

/// One question.
#[derive(Debug)]
pub struct Question {
    /// What for.
    pub what: What,
    /// Whose vault.
    pub profile: ProfileName,
    /// The X11 window that the dialogue belongs to.
    pub window: Option<u32>,
    who: String,
}

impl Question {
    /// # Errors
    /// What cannot be meant.
    pub fn new(what: &str, profile: &str, who: &str, window: &str) -> Result<Self, String> {
        let what = match what {
            names::UNLOCK => What::Unlock,
            names::CREATE => What::Create,
            names::DELETE => What::Delete,
            _ => return Err("a passphrase is asked for to unlock, create or delete".into()),
        };
        let profile = profile.parse().map_err(|_| "that is no name of a profile".to_owned())?;
        Ok(Self { what, profile, window: self::window(window), who: plain(who) })
    }

    /// What is asked.
    pub fn text(&self) -> String {
        let (who, profile) = (&self.who, &self.profile);
        match self.what {
            What::Unlock => format!(
                "The program \"{who}\" asks for something in the locked vault \"{profile}\".\n\
                 The passphrase unlocks it, for all of your programs."
            ),
            What::Create => {
                format!("The program \"{who}\" asks for a new vault, \"{profile}\".\nChoose a passphrase for it.")
            }
            What::Delete => format!(
                "The program \"{who}\" asks to delete the vault \"{profile}\" and everything in it, for ever.\n\
                 Its passphrase confirms that."
            ),
        }
    }

    /// What is asked of a new passphrase the second time.
    pub fn again(&self) -> String {
        format!("Once more the passphrase of the new vault \"{}\".", self.profile)
    }
}

/// A dialogue may take markup, and a line more, for its own.
fn plain(who: &str) -> String {
    let fits = |symbol: char| symbol.is_alphanumeric() || " -_.+:@".contains(symbol);
    who.chars().take(64).map(|symbol| if fits(symbol) { symbol } else { '_' }).collect()
}

/// An X11 window's number. Other systems name windows otherwise, and no pinentry understands that.
fn window(id: &str) -> Option<u32> {
    let number = match id.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => id.parse(),
    };
    number.ok().filter(|number| *number != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_one_plain_word() {
        let question = Question::new("unlock", "work", "a\n<b>\u{202e}evil\"", "").unwrap();
        let text = question.text();
        assert!(text.starts_with("The program \"a__b__evil_\" asks") && text.contains("\"work\""), "{text}");
        assert!(Question::new("unlock", "../x", "a", "").is_err());
        assert!(Question::new("open", "work", "a", "").is_err());
    }

    #[test]
    fn a_window_is_a_number() {
        for (id, number) in [("41943047", Some(41_943_047)), ("0x2800007", Some(41_943_047))] {
            assert_eq!(window(id), number, "{id}");
        }
        for id in ["", "0", "wayland:a", "-1", "99999999999", "1\nSETDESC x"] {
            assert_eq!(window(id), None, "{id}");
        }
    }
}
