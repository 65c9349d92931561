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
use tracing::{Event, Metadata, Subscriber, level_filters::LevelFilter, span};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{
    Layer, fmt,
    layer::SubscriberExt,
    registry::{Extensions, ExtensionsMut, LookupSpan, SpanData},
    util::SubscriberInitExt,
};

/// Opens the way for log lines from `info` up, each with `DAEMON` and `DAEMON_ID` where it goes to the journal. Starts
/// no thread. The journal's socket is one of those that the sandbox leaves open.
pub fn init(daemon: &str, id: &str) {
    let journal = stderr_is_the_journal().then(|| journal(daemon, id)).and_then(Result::ok);
    let stderr = fmt::layer().with_writer(stderr).with_ansi(false).with_target(false).without_time();
    let lines: Box<dyn Layer<NoSpans> + Send + Sync> = match journal {
        Some(journal) => journal.boxed(),
        // No journal, or one whose socket cannot be reached.
        None => stderr.boxed(),
    };
    NoSpans.with(lines).with(LevelFilter::INFO).init();
}

/// What the layers stand on. The library's own registry of spans takes 32 KiB from the first line on, and no line here
/// is within a span.
struct NoSpans;

impl Subscriber for NoSpans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl LookupSpan<'_> for NoSpans {
    type Data = NoSpan;

    fn span_data(&self, _: &span::Id) -> Option<NoSpan> {
        None
    }
}

enum NoSpan {}

impl SpanData<'_> for NoSpan {
    fn id(&self) -> span::Id {
        match *self {}
    }

    fn metadata(&self) -> &'static Metadata<'static> {
        match *self {}
    }

    fn parent(&self) -> Option<&span::Id> {
        match *self {}
    }

    fn extensions(&self) -> Extensions<'_> {
        match *self {}
    }

    fn extensions_mut(&self) -> ExtensionsMut<'_> {
        match *self {}
    }
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
