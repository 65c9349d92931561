//! Which unit asks for which credential: systemd says it by the address that it connects from (systemd.exec(5),
//! `LoadCredential=`). Pure.

use dbus_interfaces::SecretName;

/// A unit's name has no more bytes.
const MAX_UNIT: usize = 255;

/// What a unit asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The unit, for example `mail.service`. Safe to be shown.
    pub unit: String,
    /// The credential, which is the secret of that name.
    pub name: SecretName,
}

impl Asked {
    /// Reads an abstract socket's name (without its leading zero byte): `<random hex>/unit/<unit>/<credential>`.
    /// `None` where it has another form, or a name that no unit or no secret can have.
    pub fn parse(address: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(address).ok()?.split('/');
        let (random, word) = (parts.next()?, parts.next()?);
        let (unit, name) = (parts.next()?, parts.next()?);
        let is_random = (1..=16).contains(&random.len()) && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        let formed = is_random && word == "unit" && is_unit(unit) && parts.next().is_none();
        formed.then_some(())?;
        Some(Self { unit: unit.to_owned(), name: name.parse().ok()? })
    }
}

/// systemd's rule: a prefix of these characters, and a type.
fn is_unit(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let has_type = name.rsplit_once('.').is_some_and(|(prefix, kind)| !prefix.is_empty() && !kind.is_empty());
    name.len() <= MAX_UNIT && has_type && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn systemds_address_is_read() {
        let asked = Asked::parse(b"adf9d86b6eda275e/unit/mail@a\\x2db.service/db-url").unwrap();
        assert_eq!((asked.unit.as_str(), asked.name.as_str()), ("mail@a\\x2db.service", "db-url"));
    }

    #[test]
    fn any_other_address_is_refused() {
        for address in [
            "",
            "a",
            "a/unit/mail.service",
            "a/unit/mail.service/",
            "a/unit//db-url",
            "a/unit/mail/db-url",
            "a/unit/.service/db-url",
            "a/unit/mail.service/db-url/",
            "a/unit/mail.service/db-url/more",
            "a/unit/mail.service/../db-url",
            "a/unit/mail.service/-db-url",
            "a/slice/mail.service/db-url",
            "/unit/mail.service/db-url",
            "x/unit/mail.service/db-url",
            "0123456789abcdef0/unit/mail.service/db-url",
            "a/unit/mail\nroot.service/db-url",
            "\0a/unit/mail.service/db-url",
        ] {
            assert_eq!(Asked::parse(address.as_bytes()), None, "{address:?}");
        }
    }

    proptest! {
        #[test]
        fn what_systemd_writes_comes_back(
            random in any::<u64>(),
            unit in r"[A-Za-z0-9:_.\\@-]{1,40}\.(service|socket|mount|swap)",
            name in "[A-Za-z0-9][A-Za-z0-9._-]{0,40}",
        ) {
            let asked = Asked::parse(format!("{random:x}/unit/{unit}/{name}").as_bytes()).unwrap();
            prop_assert_eq!((asked.unit, asked.name.to_string()), (unit, name));
        }

        #[test]
        fn nothing_makes_it_panic_or_show_what_is_unsafe(address in proptest::collection::vec(any::<u8>(), 0..108)) {
            if let Some(asked) = Asked::parse(&address) {
                prop_assert!(asked.unit.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'));
            }
        }
    }
}
