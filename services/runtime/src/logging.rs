//! Where log lines go: to the journal with their fields, where standard error is connected to it; else to standard
//! error, without a clock of their own (whoever keeps them adds one).
//!
//! The message is a whole sentence: `journalctl` shows nothing else. What varies is in fields besides (`PROFILE`,
//! `TICK`, `PEER`, ...), and an event that a person may look up has a `message_id` of [`dbus_interfaces::events`].
//! Neither a passphrase, nor a secret, nor a secret's name is ever logged.

use std::{
    env,
    io::{self, stderr},
};

use rustix::fs::fstat;
use tracing::level_filters::LevelFilter;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{Layer, Registry, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Opens the way for log lines from `info` up, each with `DAEMON` and `DAEMON_ID` where it goes to the journal. Starts
/// no thread. The journal's socket is one of those that the sandbox leaves open.
pub fn init(daemon: &str, id: &str) {
    let journal = stderr_is_the_journal().then(|| journal(daemon, id)).and_then(Result::ok);
    let stderr = fmt::layer().with_writer(stderr).with_ansi(false).with_target(false).without_time();
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match journal {
        Some(journal) => journal.boxed(),
        // No journal, or one whose socket cannot be reached.
        None => stderr.boxed(),
    };
    tracing_subscriber::registry().with(lines).with(LevelFilter::INFO).init();
}

fn journal(daemon: &str, id: &str) -> io::Result<tracing_journald::Layer> {
    // The library takes `info` for what syslog calls a notice.
    let priorities =
        PriorityMappings { info: Priority::Informational, debug: Priority::Debug, ..PriorityMappings::new() };
    Ok(tracing_journald::layer()?
        .with_field_prefix(None)
        .with_syslog_identifier(daemon.into())
        .with_priority_mappings(priorities)
        .with_custom_fields([("DAEMON", daemon), ("DAEMON_ID", id)]))
}

/// Whether `JOURNAL_STREAM` (systemd.exec(5)) names the very file that standard error is: the variable is inherited,
/// also by those whose standard error goes elsewhere.
fn stderr_is_the_journal() -> bool {
    let stream = env::var("JOURNAL_STREAM").unwrap_or_default();
    fstat(stderr()).is_ok_and(|file| names(&stream, file.st_dev, file.st_ino))
}

/// Whether `stream`, in the form `DEVICE:INODE`, names this file.
fn names(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(d, i)| d.parse() == Ok(device) && i.parse() == Ok(inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_file_is_the_journal() {
        assert!(names("9:42", 9, 42));
        for other in ["9:43", "8:42", "42", "", ":", "9:42:1", "9:x"] {
            assert!(!names(other, 9, 42), "{other}");
        }
    }
}
