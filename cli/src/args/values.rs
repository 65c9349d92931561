//! What an option's value has to look like, beyond what clap knows. Pure.

use std::time::Duration;

use dbus_interfaces::SecretName;

/// A number of seconds.
///
/// # Errors
/// What it has to be.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let duration = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration
        .filter(|duration| !duration.is_zero() && *duration <= Duration::from_secs(86_400))
        .ok_or_else(|| "a time is a number of seconds above 0, at most 86400".into())
}

/// A time with its unit, or in seconds.
///
/// # Errors
/// What it has to be.
pub fn span(text: &str) -> Result<Duration, String> {
    let span = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let span = span.or_else(|| humantime::parse_duration(text).ok());
    span.filter(|span| !span.is_zero() && *span <= Duration::from_secs(366 * 86_400))
        .ok_or_else(|| "a time is 5 (seconds), 90s, 5m or 1h30m, above 0 and at most a year".into())
}

/// A variable and a secret, as `--env` and `--file` take them.
///
/// # Errors
/// What the form is, where it does not fit.
pub fn mapping(text: &str) -> Result<(String, SecretName), String> {
    let (variable, name) = text.split_once('=').ok_or("a mapping is VAR=NAME")?;
    let is_name = variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if variable.is_empty() || !is_name || variable.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("a variable's name is letters, digits and _, not beginning with a digit".into());
    }
    Ok((variable.into(), name.parse().map_err(|invalid: dbus_interfaces::name::InvalidName| invalid.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_positive_and_bounded() {
        assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for bad in ["0", "-1", "", "2s", "nan", "inf", "86401"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_have_units_or_are_seconds() {
        for (text, seconds) in [("5", 5), ("5s", 5), ("5m", 300), ("1h30m", 5_400)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(span("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "", "5x", "nan", "inf", "9y"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mappings_name_a_variable_and_a_secret() {
        assert_eq!(mapping("DB=db-url"), Ok(("DB".into(), "db-url".parse().unwrap())));
        for bad in ["DB", "=db", "1A=db", "A-B=db", "A=", "A=-x"] {
            assert!(mapping(bad).is_err(), "{bad}");
        }
    }
}
