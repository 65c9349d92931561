//! The names that users give: of trust profiles and of secrets. An invalid one cannot be held.

use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Error;

/// Why a text is no name. Its text is complete: it says what a name looks like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} names are 1 to {max} letters, digits or {marks}, beginning with a letter or digit: {shown:?} is none")]
pub struct InvalidName {
    what: &'static str,
    max: usize,
    marks: &'static str,
    shown: String,
}

impl From<InvalidName> for Error {
    fn from(invalid: InvalidName) -> Self {
        Self::InvalidName(invalid.to_string())
    }
}

struct Form {
    what: &'static str,
    max: usize,
    marks: &'static str,
    is_mark: fn(u8) -> bool,
}

impl Form {
    fn check(&self, text: &str) -> Result<(), InvalidName> {
        let bytes = text.as_bytes();
        let fits = bytes.len() <= self.max
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.iter().all(|&b| b.is_ascii_alphanumeric() || (self.is_mark)(b));
        if fits {
            return Ok(());
        }
        // A text of any length may be passed by mistake, a secret even: only its beginning is repeated.
        let shown = text.chars().take(24).chain(text.chars().nth(24).map(|_| '…')).collect();
        Err(InvalidName { what: self.what, max: self.max, marks: self.marks, shown })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $form:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                $form.check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name!(
    /// The name of a trust profile: 1 to 64 of `[A-Za-z0-9_-]`, beginning with a letter or digit.
    ProfileName,
    Form { what: "profile", max: 64, marks: "_ -", is_mark: |b| matches!(b, b'_' | b'-') }
);

name!(
    /// The name of a secret: 1 to 128 of `[A-Za-z0-9._-]`, beginning with a letter or digit.
    SecretName,
    Form { what: "secret", max: 128, marks: ". _ -", is_mark: |b| matches!(b, b'.' | b'_' | b'-') }
);

impl ProfileName {
    /// The default profile where none was chosen yet: `personal`.
    pub fn personal() -> Self {
        Self("personal".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_form_are_taken_as_they_are() {
        for good in ["a", "Z9", "0", "work-2_x", &"p".repeat(64)] {
            assert_eq!(good.parse::<ProfileName>().unwrap().as_str(), good);
        }
        for good in ["db.url", "a-b_c.9", &"s".repeat(128)] {
            assert_eq!(good.parse::<SecretName>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn names_out_of_form_are_refused() {
        for bad in ["", "-a", "_a", ".", "..", "a/b", "a b", "ä", "a.b", "a\0", "a\n", &"p".repeat(65)] {
            assert!(bad.parse::<ProfileName>().is_err(), "{bad:?}");
        }
        for bad in ["", ".hidden", "-a", "a/b", "a=b", &"s".repeat(129)] {
            assert!(bad.parse::<SecretName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_error_repeats_no_more_than_the_beginning() {
        let error = "correct horse battery staple and more".parse::<ProfileName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "profile names are 1 to 64 letters, digits or _ -, beginning with a letter or digit: \
             \"correct horse battery st…\" is none"
        );
    }
}
