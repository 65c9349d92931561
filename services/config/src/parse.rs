//! From text to [`Config`], or to the line and key that are wrong. Pure. It walks the parsed table by itself, since
//! serde tells neither the line of an unknown key nor the key of a bad value.

use std::{collections::BTreeSet, fmt, ops::Range, time::Duration};

use dbus_interfaces::ProfileName;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::values::{Config, LockOn, ProfileOverrides, Sandbox};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

const BOOL: &str = "true or false";
const LOCK_ON: &str = r#"a list of "sleep", "screen" and "idle""#;
const LOCK_AFTER: &str = r#"a time like "90s", "15m" or "2h", at most a year"#;

/// What is wrong in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which line: 1 is the first.
    pub line: usize,
    /// What is wrong there, and what is allowed.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// A configuration, and what was passed over in its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The configuration.
    pub config: Config,
    /// The unknown keys, in the order of their lines.
    pub warnings: Vec<Problem>,
}

/// Parses the text of a `config.toml`.
///
/// # Errors
/// The syntax error or bad value; of several one.
pub fn parse(text: &str) -> Result<Parsed, Problem> {
    let (table, errors) = DeTable::parse_recoverable(text);
    // One mistake often makes a second further down: the first is the one to correct.
    let first = errors.iter().min_by_key(|error| error.span().unwrap_or_default().start);
    if let Some(error) = first {
        let what = format!("it is no TOML: {}", error.message().replace('\n', ", "));
        return Err(Problem { line: line_of(text, &error.span().unwrap_or_default()), what });
    }
    let mut reader = Reader { text, warnings: Vec::new() };
    let config = reader.config(table.get_ref())?;
    let mut warnings = reader.warnings;
    warnings.sort_by_key(|warning| warning.line);
    Ok(Parsed { config, warnings })
}

struct Reader<'t> {
    text: &'t str,
    warnings: Vec<Problem>,
}

impl Reader<'_> {
    fn config(&mut self, table: &DeTable<'_>) -> Result<Config, Problem> {
        let mut config = Config::default();
        for (key, value) in table {
            let name: &str = key.get_ref();
            match name {
                "work_factor" => config.work_factor = self.read(name, value, "15 to 18", work_factor)?,
                "sandbox" => {
                    config.sandbox = self.read(name, value, r#""best-effort" or "required""#, sandbox)?;
                }
                "notify" => config.notify = self.read(name, value, BOOL, DeValue::as_bool)?,
                "lock_on" => config.lock_on = self.read(name, value, LOCK_ON, lock_on)?,
                "lock_after" => config.lock_after = self.read(name, value, LOCK_AFTER, lock_after)?,
                "askpass" => {
                    config.askpass = self.read(name, value, "a list of words, the program first", words)?;
                }
                "secret_service" => config.secret_service = self.read(name, value, BOOL, DeValue::as_bool)?,
                "plain_sessions" => config.plain_sessions = self.read(name, value, BOOL, DeValue::as_bool)?,
                "profiles" => self.profiles(&mut config, value)?,
                _ => self.unknown(name, key.span()),
            }
        }
        Ok(config)
    }

    fn profiles(&mut self, config: &mut Config, value: &Spanned<DeValue<'_>>) -> Result<(), Problem> {
        for (key, value) in self.table("profiles", value)? {
            let name = format!("profiles.{}", key.get_ref());
            let profile: ProfileName =
                key.get_ref().parse().map_err(|invalid| self.wrong(&name, key.span(), invalid))?;
            let overrides = self.overrides(&name, value)?;
            config.profiles.insert(profile, overrides);
        }
        Ok(())
    }

    fn overrides(&mut self, profile: &str, value: &Spanned<DeValue<'_>>) -> Result<ProfileOverrides, Problem> {
        let mut overrides = ProfileOverrides::default();
        for (key, value) in self.table(profile, value)? {
            let name = format!("{profile}.{}", key.get_ref());
            match &**key.get_ref() {
                "lock_on" => overrides.lock_on = Some(self.read(&name, value, LOCK_ON, lock_on)?),
                "lock_after" => overrides.lock_after = Some(self.read(&name, value, LOCK_AFTER, lock_after)?),
                "locked_search" => overrides.locked_search = Some(self.read(&name, value, BOOL, DeValue::as_bool)?),
                _ => self.unknown(&name, key.span()),
            }
        }
        Ok(overrides)
    }

    fn table<'v, 'i>(&self, name: &str, value: &'v Spanned<DeValue<'i>>) -> Result<&'v DeTable<'i>, Problem> {
        value.get_ref().as_table().ok_or_else(|| self.wrong(name, value.span(), "it must be a table"))
    }

    fn read<'i, T>(
        &self,
        name: &str,
        value: &Spanned<DeValue<'i>>,
        allowed: &str,
        take: impl FnOnce(&DeValue<'i>) -> Option<T>,
    ) -> Result<T, Problem> {
        take(value.get_ref()).ok_or_else(|| self.wrong(name, value.span(), format!("it must be {allowed}")))
    }

    fn wrong(&self, name: &str, span: Range<usize>, why: impl fmt::Display) -> Problem {
        Problem { line: line_of(self.text, &span), what: format!("{name:?} is wrong: {why}") }
    }

    fn unknown(&mut self, name: &str, span: Range<usize>) {
        let what = format!("the key {name:?} is unknown and was passed over; correct or remove it");
        self.warnings.push(Problem { line: line_of(self.text, &span), what });
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|&byte| byte == b'\n').count() + 1
}

fn work_factor(value: &DeValue<'_>) -> Option<u8> {
    let number = value.as_integer()?;
    u8::from_str_radix(number.as_str(), number.radix()).ok().filter(|factor| (15..=18).contains(factor))
}

fn sandbox(value: &DeValue<'_>) -> Option<Sandbox> {
    match value.as_str()? {
        "best-effort" => Some(Sandbox::BestEffort),
        "required" => Some(Sandbox::Required),
        _ => None,
    }
}

fn lock_on(value: &DeValue<'_>) -> Option<BTreeSet<LockOn>> {
    let reason = |value: &Spanned<DeValue<'_>>| match value.get_ref().as_str()? {
        "sleep" => Some(LockOn::Sleep),
        "screen" => Some(LockOn::Screen),
        "idle" => Some(LockOn::Idle),
        _ => None,
    };
    value.as_array()?.iter().map(reason).collect()
}

fn lock_after(value: &DeValue<'_>) -> Option<Duration> {
    let text = value.as_str()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    // `parse` would take a sign.
    let number: u64 = number.parse().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    number.checked_mul(seconds).map(Duration::from_secs).filter(|time| !time.is_zero() && *time <= YEAR)
}

fn words(value: &DeValue<'_>) -> Option<Vec<String>> {
    let words: Option<Vec<String>> =
        value.as_array()?.iter().map(|word| word.get_ref().as_str().map(str::to_owned)).collect();
    words.filter(|words| words.first().is_some_and(|program| !program.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let parsed = parse(text).unwrap();
        assert_eq!(parsed.warnings, []);
        parsed.config
    }

    fn name(name: &str) -> ProfileName {
        name.parse().unwrap()
    }

    #[test]
    fn nothing_means_the_defaults() {
        let config = config("# only a comment\n");
        assert_eq!(config, Config::default());
        assert_eq!((config.work_factor, config.sandbox, config.notify), (17, Sandbox::BestEffort, false));
        assert_eq!((config.lock_on.len(), config.lock_after), (0, Duration::from_secs(900)));
        assert_eq!((config.secret_service, config.plain_sessions), (false, true));
        assert_eq!(config.askpass, ["pinentry"]);
        assert!(config.for_profile(&name("any")).locked_search);
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"
            work_factor = 0x10
            sandbox = "required"
            notify = true
            lock_on = ["screen", "sleep", "screen"]
            lock_after = "2h"
            askpass = ["ssh-askpass", "-x"]
            secret_service = true
            plain_sessions = false
            [profiles.work]
            lock_on = []
            lock_after = "90s"
            locked_search = false
            [profiles.home]
        "#;
        let config = config(text);
        let both = BTreeSet::from([LockOn::Sleep, LockOn::Screen]);
        assert_eq!((config.work_factor, config.sandbox, config.notify), (16, Sandbox::Required, true));
        assert_eq!((&config.lock_on, config.lock_after), (&both, Duration::from_secs(7200)));
        assert_eq!((config.secret_service, config.plain_sessions), (true, false));
        assert_eq!(config.askpass, ["ssh-askpass", "-x"]);
        let work = config.for_profile(&name("work"));
        assert_eq!(config.locks_on(), both);
        assert_eq!((work.lock_on.len(), work.lock_after, work.locked_search), (0, Duration::from_secs(90), false));
        for other in ["home", "unnamed"] {
            let other = config.for_profile(&name(other));
            assert_eq!((other.lock_on, other.lock_after, other.locked_search), (both.clone(), config.lock_after, true));
        }
    }

    #[test]
    fn unknown_keys_are_named_with_their_lines() {
        let parsed = parse("work_faktor = 3\n\n[profiles.work]\ncolour = 1\n[profile.work]\nx = 1\n").unwrap();
        let warnings: Vec<(usize, bool)> = parsed
            .warnings
            .iter()
            .zip(["\"work_faktor\"", "\"profiles.work.colour\"", "\"profile\""])
            .map(|(warning, key)| (warning.line, warning.what.contains(key)))
            .collect();
        assert_eq!(warnings, [(1, true), (4, true), (5, true)]);
        assert_eq!(parsed.config.work_factor, 17);
    }

    #[test]
    fn a_bad_value_names_its_line_its_key_and_what_is_allowed() {
        for (line, key, allowed) in [
            ("work_factor = 19", "work_factor", "15 to 18"),
            ("work_factor = 14", "work_factor", "15 to 18"),
            ("work_factor = -17", "work_factor", "15 to 18"),
            ("work_factor = \"17\"", "work_factor", "15 to 18"),
            ("sandbox = \"none\"", "sandbox", "best-effort"),
            ("notify = 1", "notify", "true or false"),
            ("lock_on = [\"lid\"]", "lock_on", "screen"),
            ("lock_on = \"idle\"", "lock_on", "a list of"),
            ("askpass = []", "askpass", "a list of words"),
            ("askpass = [\"\"]", "askpass", "a list of words"),
            ("profiles = 1", "profiles", "a table"),
            ("profiles.work = 1", "profiles.work", "a table"),
            ("profiles.work.locked_search = 1", "profiles.work.locked_search", "true or false"),
            ("profiles.\"a b\".lock_on = []", "profiles.a b", "profile names are"),
        ] {
            let problem = parse(&format!("\n# a line\n{line}\n")).unwrap_err();
            assert_eq!(problem.line, 3, "{line}");
            assert!(problem.what.contains(&format!("{key:?}")) && problem.what.contains(allowed), "{problem}");
        }
        for time in ["", "15", "m", "0s", "-1m", "+1m", "1.5h", "15 m", "1d", "99999999999999999999h", "8761h", "1ä"] {
            let problem = parse(&format!("lock_after = \"{time}\"")).unwrap_err();
            assert!(problem.what.contains("lock_after") && problem.what.contains("15m"), "{time}: {problem}");
        }
        assert_eq!(config("lock_after = \"8760h\"").lock_after, YEAR);
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        for (text, line) in [("a = 1\nb = \n", 2), ("[profiles", 1), ("x = 1\n\nx = 2\n", 3), ("a = \"\n\"", 1)] {
            let problem = parse(text).unwrap_err();
            assert_eq!(problem.line, line, "{text:?}: {problem}");
            assert!(!problem.to_string().contains('\n'));
        }
    }
}
