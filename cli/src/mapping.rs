//! Which secret `sesame run` puts into which variable. Pure.

use std::collections::BTreeSet;

use dbus_interfaces::SecretName;

use crate::error::Error;

/// A variable and the secret that it stands for.
pub type Mapping = (String, SecretName);

/// What steers programs rather than informing them: a secret of such a name would be code in disguise.
const STEERING: [&str; 8] = ["LD_*", "PATH", "IFS", "ENV", "BASH_ENV", "*_OPTIONS", "PYTHON*", "PERL5*"];

/// The variable that a secret is given without a mapping by hand: `db-url` is `DB_URL`.
pub fn variable(name: &SecretName) -> String {
    name.chars().map(|c| if matches!(c, '-' | '.') { '_' } else { c.to_ascii_uppercase() }).collect()
}

/// Maps every secret but those that go into files.
///
/// # Errors
/// [`Error::Usage`] for a variable that two secrets share, that is set already, or that steers programs.
pub fn of_all(
    secrets: Vec<SecretName>,
    files: &[Mapping],
    is_set: impl Fn(&str) -> bool,
) -> Result<Vec<Mapping>, Error> {
    let in_file = |name: &SecretName| files.iter().any(|(_, filed)| filed == name);
    let mapped: Vec<Mapping> =
        secrets.into_iter().filter(|name| !in_file(name)).map(|name| (variable(&name), name)).collect();
    for (variable, name) in &mapped {
        let by_hand = format!("map the secret {name} by hand: --env VAR={name}");
        if STEERING.iter().any(|pattern| matches(pattern, variable)) {
            return Err(Error::Usage(format!("{variable} steers programs; {by_hand}")));
        }
        if is_set(variable) {
            return Err(Error::Usage(format!("{variable} is set already; {by_hand}")));
        }
    }
    Ok(mapped)
}

/// Checks that no two secrets go into one variable.
///
/// # Errors
/// [`Error::Usage`] naming the variable.
pub fn check_distinct<'a>(mappings: impl IntoIterator<Item = &'a Mapping>) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    match mappings.into_iter().find(|(variable, _)| !seen.insert(variable.as_str())) {
        Some((variable, _)) => {
            Err(Error::Usage(format!("two secrets would be {variable}; map those you need by hand: --env VAR=NAME")))
        }
        None => Ok(()),
    }
}

fn matches(pattern: &str, variable: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => variable.ends_with(end),
        (_, Some(beginning)) => variable.starts_with(beginning),
        _ => variable == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<SecretName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn mapped(secrets: &[&str]) -> Result<Vec<Mapping>, Error> {
        let files = [("CERT".to_owned(), "tls.cert".parse().unwrap())];
        let env = of_all(names(secrets), &files, |variable| variable == "HOME")?;
        check_distinct(env.iter().chain(&files))?;
        Ok(env)
    }

    #[test]
    fn names_become_variables() {
        assert_eq!(
            mapped(&["db-url", "api.key_2"]).unwrap(),
            [("DB_URL".into(), "db-url".parse().unwrap()), ("API_KEY_2".into(), "api.key_2".parse().unwrap())]
        );
    }

    #[test]
    fn a_secret_that_goes_into_a_file_stays_out_of_the_environment() {
        assert_eq!(mapped(&["tls.cert"]).unwrap(), []);
    }

    #[test]
    fn steering_taken_and_shared_variables_are_refused() {
        for bad in [
            &["ld-preload"][..],
            &["path"],
            &["ifs"],
            &["env"],
            &["bash.env"],
            &["java-tool-options"],
            &["node_options"],
            &["pythonpath"],
            &["perl5lib"],
            &["home"],
            &["a-b", "a.b"],
            &["cert"],
        ] {
            let refused = mapped(bad).unwrap_err();
            assert!(matches!(refused, Error::Usage(_)), "{bad:?}");
            assert!(refused.to_string().contains("by hand"), "{refused}");
        }
        assert!(mapped(&["options", "xpath", "path2", "ld", "environment"]).is_ok());
    }

    #[test]
    fn one_variable_mapped_twice_by_hand_is_refused() {
        let twice = [("A".to_owned(), "x".parse().unwrap()), ("A".to_owned(), "y".parse().unwrap())];
        assert!(check_distinct(&twice).is_err());
    }
}
