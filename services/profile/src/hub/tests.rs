//! The table of what each event means (contract, section 2), and what holds after any history.

use proptest::prelude::*;

use super::*;

fn run(id: &str) -> Introduction {
    Introduction { id: id.into(), started_usec: 1, sandbox: "none".into() }
}

fn hub() -> Hub {
    Hub::new(run("hub"), 7, ProfileName::personal(), 1)
}

fn row(locked: bool, active: bool) -> VaultState {
    let reason = if locked { "never-unlocked" } else { "user" };
    VaultState { locked, active, since_usec: 1, reason: reason.into(), error: None, error_code: None }
}

fn stated(rows: &[(&str, bool, bool)]) -> BTreeMap<ProfileName, VaultState> {
    rows.iter().map(|(profile, locked, active)| (profile.parse().unwrap(), row(*locked, *active))).collect()
}

fn one_unlocked() -> BTreeMap<ProfileName, VaultState> {
    stated(&[("personal", false, true), ("work", true, false)])
}

fn reported() -> Hub {
    let mut hub = hub();
    hub.apply(Event::Introduced(run("a")), 2);
    hub.apply(Event::Reconciled(one_unlocked(), 0), 3);
    hub
}

fn codes(hub: &mut Hub) -> Vec<String> {
    hub.report().problems.iter().map(|(_, code, _)| code.clone()).collect()
}

fn vault(profile: &str, locked: bool, active: bool, reason: &str) -> Change {
    Change::Vault { profile: profile.into(), locked, active, reason: reason.into() }
}

#[test]
fn before_the_first_report_nothing_is_known() {
    let mut hub = hub();
    let report = hub.report();
    assert!(report.lock_state.is_empty() && report.active_profiles.is_empty() && report.locked);
    assert_eq!((report.health.as_str(), report.default_profile.as_str()), ("degraded", "personal"));
    assert_eq!((codes(&mut hub), report.reconciled_usec), (vec!["not-reported".to_owned()], 0));
    assert_eq!(report.daemons.keys().collect::<Vec<_>>(), ["daemon-profile", "daemon-secrets"]);
    assert_eq!(report.daemons["daemon-profile"].state, "running");
    assert_eq!(report.daemons["daemon-secrets"].state, "stopped");
    assert!(!hub.has_report());
}

#[test]
fn a_report_makes_it_healthy() {
    let mut hub = reported();
    let report = hub.report();
    assert_eq!(report.lock_state, [("personal".into(), false), ("work".into(), true)].into());
    assert_eq!(report.active_profiles, ["personal"]);
    assert_eq!((report.locked, report.health.as_str(), report.reconciled_usec), (false, "ok", 3));
    assert_eq!(report.vaults["personal"].known, "reported");
    assert!(report.problems.is_empty());
}

#[test]
fn a_loss_is_told_in_the_order_of_the_contract() {
    let mut hub = reported();
    let told = hub.apply(Event::OwnerGone, 9);
    let Change::Properties(properties) = &told[0] else { panic!("{told:?}") };
    assert_eq!(properties.active_profiles, Some(vec![]));
    assert_eq!((properties.locked, properties.health.as_deref()), (Some(true), Some("degraded")));
    assert_eq!(properties.default_profile, None, "only what changed");
    assert_eq!(told[1], vault("personal", true, false, "daemon-lost"));
    assert!(
        matches!(&told[2], Change::Peer(PeerChange::Changed { state: State::Lost, reason, .. }) if reason == "unknown")
    );
    assert_eq!(told.len(), 3);
    assert!(hub.is_unsettled());
    let lost = PeerChange::Lost { name: DaemonName::Secrets, id: "a".into(), reason: "unknown".into() };
    assert_eq!(hub.apply(Event::ReasonOverdue, 10), [Change::Peer(lost)]);
    let report = hub.report();
    assert_eq!(
        (report.vaults["work"].known.as_str(), report.vaults["work"].reason.as_str()),
        ("assumed", "never-unlocked")
    );
    assert_eq!(codes(&mut hub), ["lost"]);
}

#[test]
fn a_restart_is_told_once_and_healed_by_the_report() {
    let mut hub = reported();
    hub.apply(Event::OwnerGone, 9);
    let told = hub.apply(Event::Introduced(run("b")), 10);
    let restarted = PeerChange::Restarted { name: DaemonName::Secrets, old: "a".into(), new: "b".into() };
    assert!(told.contains(&Change::Peer(restarted)), "{told:?}");
    let told = hub.apply(Event::Reconciled(stated(&[("personal", true, false), ("work", true, false)]), 0), 11);
    assert_eq!(told.last(), Some(&Change::Reconciled { tick: 0, changed: true }));
    assert_eq!(hub.report().vaults["personal"].reason, "daemon-restarted");
    assert_eq!(hub.report().health, "ok");
}

#[test]
fn a_new_run_whose_predecessors_end_was_not_seen_resets_the_vaults() {
    let mut hub = reported();
    hub.apply(Event::Introduced(run("b")), 10);
    assert!(hub.report().locked);
    assert_eq!(hub.report().vaults["personal"].reason, "daemon-lost");
}

#[test]
fn a_hang_keeps_what_was_known_and_says_so() {
    let mut hub = reported();
    hub.apply(Event::Unanswered, 9);
    let report = hub.report();
    assert_eq!((report.locked, report.vaults["personal"].known.as_str()), (false, "last-known"));
    assert_eq!((report.health.as_str(), codes(&mut hub)), ("degraded", vec!["unresponsive".to_owned()]));
    hub.apply(Event::Heard, 10);
    assert_eq!((hub.report().health.as_str(), hub.report().vaults["personal"].known.as_str()), ("ok", "reported"));
}

#[test]
fn a_run_that_did_not_say_who_it_is_is_not_believed() {
    let mut hub = reported();
    hub.apply(Event::OwnerGone, 9);
    assert_eq!(hub.apply(Event::Announced(one_unlocked()), 10), []);
    assert_eq!(hub.apply(Event::Heard, 11), []);
    assert!(hub.report().locked);
}

#[test]
fn a_created_and_a_deleted_vault_are_told() {
    let mut hub = reported();
    let told = hub.apply(Event::Announced(stated(&[("work", true, false), ("x", true, false)])), 5);
    assert_eq!(told[1..], [vault("x", true, false, "never-unlocked"), vault("personal", true, false, "deleted")]);
}

#[test]
fn what_is_known_already_is_not_told_again() {
    let mut hub = reported();
    assert_eq!(hub.apply(Event::Announced(one_unlocked()), 5), []);
    assert_eq!(hub.apply(Event::Reconciled(one_unlocked(), 2), 5), [Change::Reconciled { tick: 2, changed: false }]);
    assert_eq!(hub.apply(Event::Heard, 6), []);
    assert_eq!(hub.report().daemons["daemon-secrets"].last_seen_usec, Some(6));
}

#[test]
fn sessions_are_news_that_is_told_when_asked_for() {
    let mut hub = reported();
    assert_eq!(hub.apply(Event::SessionsKnown(3), 5), []);
    assert_eq!(hub.report().daemons["daemon-secrets"].sessions, Some(3));
    hub.apply(Event::OwnerGone, 6);
    assert_eq!(hub.report().daemons["daemon-secrets"].sessions, None, "they ended with it");
}

#[test]
fn a_corrupt_vault_and_a_bad_configuration_are_problems() {
    let mut hub = reported();
    let mut vaults = one_unlocked();
    vaults.get_mut("work").unwrap().error = Some("items.age is damaged".into());
    hub.apply(Event::Announced(vaults), 5);
    hub.apply(Event::Configured(Some("line 3".into())), 6);
    assert_eq!(codes(&mut hub), ["corrupt", "bad-config"]);
    assert_eq!(hub.report().problems[1], ("config".into(), "bad-config".into(), "line 3".into()));
}

fn any_facts() -> impl Strategy<Value = UnitFacts> {
    const STATES: &[(&str, &str)] = &[
        ("active", "running"),
        ("activating", "auto-restart"),
        ("activating", "start"),
        ("deactivating", "stop-sigterm"),
        ("inactive", "dead"),
        ("failed", "failed"),
    ];
    const RESULTS: &[&str] = &["success", "signal", "exit-code", "watchdog"];
    (proptest::sample::select(STATES), proptest::sample::select(RESULTS), "[xy]").prop_map(
        |((active, sub), result, invocation)| UnitFacts {
            load_state: "loaded".into(),
            active_state: active.into(),
            sub_state: sub.into(),
            result: result.into(),
            invocation,
            ..UnitFacts::default()
        },
    )
}

fn any_event() -> impl Strategy<Value = Event> {
    let vaults = proptest::collection::btree_map("[ab]", (any::<bool>(), any::<bool>()), 0..3).prop_map(|rows| {
        rows.into_iter().map(|(p, (locked, active))| (p.parse().unwrap(), row(locked, active && !locked))).collect()
    });
    prop_oneof![
        "[xy]".prop_map(|id| Event::Introduced(run(&id))),
        vaults.clone().prop_map(Event::Announced),
        vaults.prop_map(|vaults| Event::Reconciled(vaults, 1)),
        Just(Event::Heard),
        Just(Event::Unanswered),
        Just(Event::OwnerGone),
        Just(Event::ReasonOverdue),
        any_facts().prop_map(|facts| Event::UnitRead(DaemonName::Secrets, facts)),
        "[ab]".prop_map(|p| Event::DefaultChosen(p.parse().unwrap())),
        proptest::option::of("[z]").prop_map(Event::Configured),
    ]
}

/// A subscriber's view, folded from nothing but the signals.
fn fold(seen: &mut Report, change: &Change) {
    match change {
        Change::Properties(new) => {
            assert_eq!(new.generation, seen.generation + 1, "a gap in Generation");
            seen.generation = new.generation;
            seen.lock_state = new.lock_state.clone().unwrap_or(seen.lock_state.clone());
            seen.default_profile = new.default_profile.clone().unwrap_or(seen.default_profile.clone());
            seen.active_profiles = new.active_profiles.clone().unwrap_or(seen.active_profiles.clone());
            seen.locked = new.locked.unwrap_or(seen.locked);
            seen.health = new.health.clone().unwrap_or(seen.health.clone());
            seen.problems = new.problems.clone().unwrap_or(seen.problems.clone());
        }
        Change::Vault { profile, locked, active, .. } => {
            assert_eq!(seen.lock_state.get(profile).copied().unwrap_or(true), *locked);
            assert_eq!(seen.active_profiles.contains(profile), *active);
        }
        Change::Peer(PeerChange::Changed { name, state, .. }) => {
            seen.daemons.get_mut(name.as_str()).unwrap().state = state.as_str().into();
        }
        Change::Peer(_) | Change::Reconciled { .. } => {}
    }
}

proptest! {
    #[test]
    fn signals_alone_rebuild_the_state(events in proptest::collection::vec(any_event(), 0..40)) {
        let mut hub = hub();
        let mut seen = (*hub.report()).clone();
        for (event, now) in events.into_iter().zip(10..) {
            for change in hub.apply(event, now) {
                fold(&mut seen, &change);
            }
            let report = hub.report();
            prop_assert_eq!(&seen.lock_state, &report.lock_state);
            prop_assert_eq!(&seen.active_profiles, &report.active_profiles);
            prop_assert_eq!(&seen.problems, &report.problems);
            prop_assert_eq!(seen.generation, report.generation);
            prop_assert_eq!(&seen.daemons["daemon-secrets"].state, &report.daemons["daemon-secrets"].state);
            prop_assert_eq!(report.problems.is_empty(), report.health == "ok");
            prop_assert_eq!(report.locked, report.lock_state.values().all(|locked| *locked));
            prop_assert!(report.active_profiles.iter().all(|profile| !report.lock_state[profile]));
            if matches!(hub.secrets_state(), State::Lost | State::Stopped | State::Failed) {
                prop_assert!(report.locked, "unlocked without a daemon");
            }
        }
    }
}
