//! Names: what one rule takes, every place takes where such a name is read, and none leads out of its folder.
#![no_main]

use dbus_interfaces::{ProfileName, SecretName, name::InvalidName, vault::check_passphrase};
use vault_store::ItemId;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return assert!(check_passphrase(bytes).is_err());
    };
    let fits = (1..=1024).contains(&text.len()) && !text.chars().any(char::is_control);
    assert_eq!(check_passphrase(bytes).ok(), fits.then_some(text));

    let profile = held(text.parse::<ProfileName>(), text, 64);
    let secret = held(text.parse::<SecretName>(), text, 128);
    assert!(secret || !profile, "a profile's name would be no secret's");
    assert_eq!(profile, !text.contains('.') && text.len() <= 64 && secret);

    let json = serde_json::Value::from(text);
    assert_eq!(profile, serde_json::from_value::<ProfileName>(json.clone()).is_ok());
    assert_eq!(secret, serde_json::from_value::<SecretName>(json.clone()).is_ok());
    // A JSON string is a TOML one, but for DEL, which TOML wants escaped.
    let table = format!("[profiles.{}]\nnotes = 1", json.to_string().replace('\x7f', "\\u007f"));
    let configured = daemon_config::parse(&table).map(|parsed| parsed.config.profiles.into_keys().collect::<Vec<_>>());
    assert_eq!(profile, configured.is_ok_and(|names| names.iter().map(ProfileName::as_str).eq([text])));
    assert_eq!(secret, sesame_cli::args::mapping(&format!("A={text}")).is_ok_and(|(_, name)| name.as_str() == text));
    assert_eq!(secret, vault_store::fuzzed::holds_secret(text));

    if let Ok(id) = text.parse::<ItemId>() {
        assert_eq!(id.to_string(), text);
        assert!(secret, "an id can be given wherever a name can");
    }
});

/// Whether it is a name, which is then a file's in its folder, an argument that is no option, and the text as it was.
fn held<N: AsRef<str>>(parsed: Result<N, InvalidName>, text: &str, most: usize) -> bool {
    match parsed {
        Ok(name) => {
            let name = name.as_ref();
            assert_eq!(name, text);
            assert!((1..=most).contains(&name.len()) && name.starts_with(|first: char| first.is_ascii_alphanumeric()));
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
            true
        }
        Err(refused) => {
            let told = refused.to_string();
            assert!(told.len() < 400 && !told.chars().any(char::is_control), "{told:?}");
            false
        }
    }
}
