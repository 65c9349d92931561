//! Whatever is heard, and whatever is lost on the way, ends in what the hub knows.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::render::sample;

/// The signals that tell of a change, in the hub's order.
fn signals(before: &Report, after: &mut Report) -> Vec<Signal> {
    let Some(changed) = ChangedProperties::between(before, after) else {
        after.generation = before.generation;
        return Vec::new();
    };
    after.generation = before.generation + 1;
    let mut signals = vec![Signal::Properties(ChangedProperties { generation: after.generation, ..changed })];
    for (profile, row) in &after.vaults {
        if before.vaults.get(profile).is_none_or(|old| (old.locked, old.active) != (row.locked, row.active)) {
            let (profile, reason) = (profile.clone(), "user".into());
            signals.push(Signal::Vault { profile, locked: row.locked, active: row.active, reason });
        }
    }
    for profile in before.vaults.keys().filter(|profile| !after.vaults.contains_key(*profile)) {
        let (profile, reason) = (profile.clone(), "deleted".into());
        signals.push(Signal::Vault { profile, locked: true, active: false, reason });
    }
    for (name, row) in &after.daemons {
        if before.daemons[name].state != row.state {
            let (name, state) = (name.clone(), row.state.clone());
            signals.push(Signal::Daemon { name, state, id: String::new(), reason: String::new() });
        }
    }
    signals
}

/// What a report says apart from times.
fn core(report: &Report) -> Report {
    let mut report = report.clone();
    for row in report.vaults.values_mut() {
        row.since_usec = 0;
    }
    for row in report.daemons.values_mut() {
        row.since_usec = 0;
    }
    report
}

fn reports() -> impl Strategy<Value = Vec<Report>> {
    let vaults = proptest::collection::btree_map("[abc]", (any::<bool>(), any::<bool>()), 0..3);
    let daemon = prop_oneof![Just("running"), Just("lost"), Just("unresponsive")];
    let report = (vaults, "[ab]", daemon).prop_map(|(vaults, default, state)| {
        let vaults: Vec<_> =
            vaults.iter().map(|(name, (locked, active))| (&**name, *locked, *active && !locked)).collect();
        let mut report = sample::report(&vaults);
        for (name, row) in &mut report.vaults {
            row.default = *name == default;
        }
        report.default_profile = default;
        sample::set_state(&mut report, "daemon-secrets", state);
        if state != "running" {
            report.health = "degraded".into();
            report.problems = vec![("daemon-secrets".into(), state.into(), "mend it".into())];
        }
        report
    });
    proptest::collection::vec(report, 1..8)
}

fn known(fold: &Fold) -> Report {
    match fold.seen() {
        Some(Seen::Known(report)) => core(&report),
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// Signals alone rebuild the hub's state, and each event begins where the last one of its subject ended.
    #[test]
    fn signals_fold_into_the_hubs_state(mut reports in reports()) {
        let mut fold = Fold::default();
        let mut before = reports.remove(0);
        fold.apply(Input::Reported(before.clone()), 0);
        let mut vaults: BTreeMap<String, Option<Lock>> = BTreeMap::new();
        let mut health = before.health.clone();
        for mut after in reports {
            for signal in signals(&before, &mut after) {
                for event in fold.apply(Input::Signal(signal), 0) {
                    match event {
                        Event::Vault { profile, old, new, .. } => {
                            if let Some(last) = vaults.insert(profile, new) {
                                prop_assert_eq!(old, last);
                            }
                        }
                        Event::Health { old, new, .. } => prop_assert_eq!(old, std::mem::replace(&mut health, new)),
                        Event::Snapshot { .. } => prop_assert!(false, "nothing was missed"),
                        _ => {}
                    }
                }
            }
            prop_assert_eq!(known(&fold), core(&after));
            prop_assert!(!fold.has_missed());
            // The hub's own word adds nothing.
            prop_assert_eq!(fold.apply(Input::Reported(after.clone()), 0), vec![]);
            before = after;
        }
    }

    /// A lost `PropertiesChanged` is noticed, at the latest by the next report, and told as missed.
    #[test]
    fn what_was_lost_is_told_as_missed(mut reports in reports(), lost in any::<prop::sample::Index>()) {
        let mut fold = Fold::default();
        let mut before = reports.remove(0);
        fold.apply(Input::Reported(before.clone()), 0);
        let mut all = Vec::new();
        for mut after in reports {
            all.extend(signals(&before, &mut after));
            before = after;
        }
        let changes: Vec<_> = all.iter().enumerate().filter(|(_, s)| matches!(s, Signal::Properties(_))).map(|(at, _)| at).collect();
        prop_assume!(!changes.is_empty());
        let lost = changes[lost.index(changes.len())];
        for (at, signal) in all.into_iter().enumerate() {
            if at != lost {
                fold.apply(Input::Signal(signal), 0);
            }
        }
        let told = fold.apply(Input::Reported(before.clone()), 0);
        prop_assert!(matches!(told[..], [Event::Snapshot { missed: true, .. }]), "{:?}", told);
        prop_assert_eq!(known(&fold), core(&before));
    }
}

fn silent() -> Away {
    Away::Silent { limit: Duration::from_secs(2) }
}

#[test]
fn the_first_word_is_a_snapshot_and_absences_are_told_once() {
    let mut fold = Fold::default();
    let bus = Away::Bus { address: "unix:path=/x".into(), cause: "none".into() };
    let snapshot = |missed, seen| vec![Event::Snapshot { missed, seen }];
    assert_eq!(fold.apply(Input::Away(bus.clone()), 0), snapshot(false, Seen::Away(bus.clone())));
    assert_eq!(fold.apply(Input::Away(bus.clone()), 0), []);
    assert_eq!(fold.apply(Input::Away(Away::Hub), 0), []);
    let report = sample::report(&[("personal", false, true)]);
    let known = Seen::Known(Arc::new(report.clone()));
    assert_eq!(fold.apply(Input::Reported(report.clone()), 0), snapshot(true, known.clone()));
    let lost = fold.apply(Input::Away(Away::Hub), 0);
    let [Event::Daemon { daemon, new, .. }, Event::Health { old, new: unknown, .. }] = &lost[..] else {
        panic!("{lost:?}")
    };
    assert_eq!((&**daemon, &**new, &**old, &**unknown), (HUB, "lost", "ok", "unknown"));
    // The same state again, of another hub perhaps: what was between is not known.
    assert_eq!(fold.apply(Input::Reported(report), 0), snapshot(true, known));
}

#[test]
fn a_silent_hub_that_answers_again_has_missed_nothing() {
    let mut fold = Fold::default();
    let report = sample::report(&[("personal", false, true)]);
    fold.apply(Input::Reported(report.clone()), 0);
    assert_eq!(fold.apply(Input::Away(silent()), 0).len(), 2);
    assert_eq!(fold.seen(), Some(Seen::Away(silent())));
    let back = fold.apply(Input::Reported(report), 0);
    assert!(matches!(&back[..], [Event::Daemon { .. }, Event::Health { new, .. }] if new == "ok"), "{back:?}");
}

#[test]
fn an_answer_that_signals_have_overtaken_is_not_believed() {
    let mut fold = Fold::default();
    let before = sample::report(&[("personal", true, false)]);
    fold.apply(Input::Reported(before.clone()), 0);
    let mut after = sample::report(&[("personal", false, true)]);
    for signal in signals(&before, &mut after) {
        fold.apply(Input::Signal(signal), 0);
    }
    assert_eq!(fold.apply(Input::Reported(before), 0), []);
    assert_eq!(known(&fold), core(&after));
}
