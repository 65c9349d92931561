//! An event as one line: for people, or as JSON.

use std::time::{Duration, UNIX_EPOCH};

use humantime::{format_rfc3339_micros, format_rfc3339_seconds};
use serde::Serialize;

use super::{json, line};
use crate::{
    error::Failure,
    output::printable,
    watch::{Event, Seen, event::Lock},
};

/// What stands beside an event.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// From 1, without gaps.
    pub seq: u64,
    /// CLOCK_REALTIME.
    pub at_usec: u64,
    /// The hub that was heard last.
    pub hub_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    seq: u64,
    hub_id: Option<&'a str>,
    event: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    missed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    daemon: Option<&'a str>,
    old: Value<'a>,
    new: Value<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Default, Serialize)]
#[serde(untagged)]
enum Value<'a> {
    #[default]
    None,
    Word(&'a str),
    Lock {
        locked: bool,
        active: bool,
    },
    Read {
        name: &'a str,
        pid: u32,
        unit: &'a str,
    },
    Asker {
        connection: &'a str,
    },
    Status(json::Status<'a>),
    Unknown(json::Unknown<'a>),
}

impl From<Option<Lock>> for Value<'_> {
    fn from(lock: Option<Lock>) -> Self {
        lock.map_or(Self::None, |Lock { locked, active }| Self::Lock { locked, active })
    }
}

fn time(at_usec: u64) -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_micros(at_usec)
}

/// One JSON object. Keys that say nothing are left out; `old` and `new` are always there.
pub fn json(event: &Event, stamp: Stamp<'_>) -> String {
    let failure: Option<Failure> = match event {
        Event::Snapshot { seen: Seen::Away(away), .. } => Some(away.error().during(super::WHAT)),
        _ => None,
    };
    let mut object = Line {
        time: format_rfc3339_micros(time(stamp.at_usec)).to_string(),
        seq: stamp.seq,
        hub_id: stamp.hub_id,
        event: kind(event),
        missed: matches!(event, Event::Snapshot { missed: true, .. }),
        profile: None,
        daemon: None,
        old: Value::None,
        new: Value::None,
        reason: None,
    };
    let mut change = |old, new, reason| {
        object.old = old;
        object.new = new;
        object.reason = reason;
    };
    match event {
        Event::Snapshot { seen: Seen::Known(report), .. } => {
            change(Value::None, Value::Status(json::whole(report, &[], None)), None);
        }
        Event::Snapshot { seen: Seen::Away(_), .. } => {
            let unknown = failure.as_ref().map_or(Value::None, |failure| Value::Unknown(json::cause(failure, None)));
            change(Value::None, unknown, None);
        }
        Event::Vault { profile, old, new, reason } => {
            change((*old).into(), (*new).into(), Some(reason));
            object.profile = Some(profile);
        }
        Event::Daemon { daemon, old, new, reason } => {
            change(old.as_deref().map_or(Value::None, Value::Word), Value::Word(new), Some(reason));
            object.daemon = Some(daemon);
        }
        Event::Lost { daemon, id, reason } => {
            change(Value::Word(id), Value::None, Some(reason));
            object.daemon = Some(daemon);
        }
        Event::Restarted { daemon, old, new } => {
            change(Value::Word(old), Value::Word(new), None);
            object.daemon = Some(daemon);
        }
        Event::Default { old, new } => change(Value::Word(old), Value::Word(new), None),
        Event::Health { old, new, reason } => change(Value::Word(old), Value::Word(new), Some(reason)),
        Event::Read { profile, name, pid, unit } => {
            change(Value::None, Value::Read { name, pid: *pid, unit }, None);
            object.profile = Some(profile);
        }
        Event::LockedItem { profile, connection } => {
            change(Value::None, Value::Asker { connection }, None);
            object.profile = Some(profile);
        }
    }
    object.reason = object.reason.filter(|reason| !reason.is_empty());
    json::line(&object)
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Snapshot { .. } => "snapshot",
        Event::Vault { .. } => "vault-changed",
        Event::Daemon { .. } => "daemon-changed",
        Event::Lost { .. } => "daemon-lost",
        Event::Restarted { .. } => "daemon-restarted",
        Event::Default { .. } => "default-changed",
        Event::Health { .. } => "health-changed",
        Event::Read { .. } => "secret-read",
        Event::LockedItem { .. } => "locked-item-requested",
    }
}

/// One line of words, with the time in UTC.
pub fn text(event: &Event, at_usec: u64) -> String {
    let because = |reason: &str| if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let lock = |lock: &Option<Lock>| match lock {
        None => "none",
        Some(Lock { locked: true, .. }) => "locked",
        Some(Lock { active: true, .. }) => "unlocked",
        Some(_) => "unlocked (not active)",
    };
    let what = match event {
        Event::Snapshot { missed: false, seen } => format!("now: {}", line::seen(seen, &[])),
        Event::Snapshot { missed: true, seen } => {
            format!("now, and what happened in between was missed: {}", line::seen(seen, &[]))
        }
        Event::Vault { profile, old, new, reason } => {
            format!("vault {profile}: {} -> {}{}", lock(old), lock(new), because(reason))
        }
        Event::Daemon { daemon, old, new, reason } => {
            format!("{daemon}: {} -> {new}{}", old.as_deref().unwrap_or("none"), because(reason))
        }
        Event::Lost { daemon, reason, .. } => format!("{daemon} ended unasked{}", because(reason)),
        Event::Restarted { daemon, .. } => format!("{daemon} was restarted after a crash"),
        Event::Default { old, new } => format!("default profile: {old} -> {new}"),
        Event::Health { old, new, reason } => format!("health: {old} -> {new}{}", because(reason)),
        Event::Read { profile, name, pid, unit } => {
            let reader = match (pid, &**unit) {
                (0, "") => "somebody unknown".into(),
                (0, unit) => unit.into(),
                (pid, "") => format!("process {pid}"),
                (pid, unit) => format!("process {pid} of {unit}"),
            };
            format!("secret {name} of {profile} was read by {reader}")
        }
        Event::LockedItem { profile, connection } => {
            format!("an application ({connection}) looks for what is in the locked vault of {profile}")
        }
    };
    format!("{} {}\n", format_rfc3339_seconds(time(at_usec)), printable(&what))
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write, sync::Arc};

    use insta::assert_snapshot;

    use super::*;
    use crate::{render::sample, watch::Away};

    fn every() -> Vec<Event> {
        let (unlocked, locked) = (Lock { locked: false, active: true }, Lock { locked: true, active: false });
        let daemon = || "daemon-secrets".to_owned();
        let known = Seen::Known(Arc::new(sample::full()));
        vec![
            Event::Snapshot { missed: false, seen: Seen::Away(Away::Hub) },
            Event::Snapshot { missed: true, seen: known },
            Event::Vault { profile: "a".into(), old: None, new: Some(locked), reason: "created".into() },
            Event::Vault { profile: "a".into(), old: Some(locked), new: Some(unlocked), reason: "user".into() },
            Event::Vault { profile: "a".into(), old: Some(unlocked), new: None, reason: "deleted".into() },
            Event::Daemon {
                daemon: daemon(),
                old: Some("running".into()),
                new: "lost".into(),
                reason: "signal:SIGKILL".into(),
            },
            Event::Lost { daemon: daemon(), id: "1".repeat(32), reason: "signal:SIGKILL".into() },
            Event::Restarted { daemon: daemon(), old: "1".repeat(32), new: "2".repeat(32) },
            Event::Default { old: "a".into(), new: "b".into() },
            Event::Health { old: "ok".into(), new: "degraded".into(), reason: "daemon-secrets:lost".into() },
            Event::Read { profile: "a".into(), name: "db-url".into(), pid: 7, unit: "app.service".into() },
            Event::Read { profile: "a".into(), name: "db-url".into(), pid: 7, unit: String::new() },
            Event::LockedItem { profile: "a".into(), connection: ":1.42".into() },
        ]
    }

    #[test]
    fn every_event_is_one_line_of_json() {
        let mut shown = String::new();
        for (seq, event) in (1..).zip(every()) {
            let hub_id = (seq > 1).then_some("0123456789abcdef0123456789abcdef");
            shown += &json(&event, Stamp { seq, at_usec: 1_795_582_200_123_456, hub_id });
        }
        assert_eq!(shown.lines().count(), every().len());
        assert_snapshot!(shown);
    }

    #[test]
    fn every_event_is_one_line_of_text() {
        let mut shown = String::new();
        for event in every() {
            let _ = write!(shown, "{}", text(&event, 1_795_582_200_123_456));
        }
        assert_eq!(shown.lines().count(), every().len());
        assert_snapshot!(shown);
    }
}
