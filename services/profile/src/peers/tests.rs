//! Lives and deaths as the hub hears of them, in the orders in which they happen.

use super::*;

const SECRETS: DaemonName = DaemonName::Secrets;

fn run(id: &str) -> Introduction {
    Introduction { id: id.into(), started_usec: 1, sandbox: "none".into() }
}

fn lost(id: &str, reason: &str) -> PeerChange {
    PeerChange::Lost { name: SECRETS, id: id.into(), reason: reason.into() }
}

fn unit(invocation: &str, active: &str, sub: &str, result: &str) -> UnitFacts {
    UnitFacts {
        load_state: "loaded".into(),
        active_state: active.into(),
        sub_state: sub.into(),
        invocation: invocation.into(),
        result: result.into(),
        exec_status: 9,
        restarts: 3,
    }
}

fn running() -> DaemonTracker {
    let mut peers = DaemonTracker::new(0);
    peers.introduce(SECRETS, run("a"), 1);
    peers.read_unit(SECRETS, unit("a", "active", "running", "success"), 2);
    peers
}

fn changed(state: State, id: &str, reason: &str) -> PeerChange {
    PeerChange::Changed { name: SECRETS, state, id: id.into(), reason: reason.into() }
}

#[test]
fn the_first_run_is_no_restart() {
    let mut peers = DaemonTracker::new(0);
    assert_eq!(peers.introduce(SECRETS, run("a"), 1), [changed(State::Running, "a", "")]);
    assert_eq!(peers.introduce(SECRETS, run("a"), 2), [], "the same run twice is no news");
}

#[test]
fn a_new_id_after_a_loss_is_a_crash_restart() {
    let mut peers = DaemonTracker::new(0);
    peers.introduce(SECRETS, run("a"), 1);
    assert_eq!(peers.lose(SECRETS, 2), [changed(State::Lost, "a", "unknown")]);
    assert_eq!(peers.settle(SECRETS, 3), [lost("a", "unknown")]);
    assert_eq!(peers.settle(SECRETS, 4), [], "lost once");
    let restarted = PeerChange::Restarted { name: SECRETS, old: "a".into(), new: "b".into() };
    assert_eq!(peers.introduce(SECRETS, run("b"), 4), [restarted, changed(State::Running, "b", "unknown")]);
    assert_eq!(peers.row(SECRETS).reason.as_deref(), Some("unknown"), "kept while it runs");
}

#[test]
fn a_restart_whose_loss_was_not_seen_is_still_one() {
    let mut peers = DaemonTracker::new(0);
    peers.introduce(SECRETS, run("a"), 1);
    let restarted = PeerChange::Restarted { name: SECRETS, old: "a".into(), new: "b".into() };
    assert_eq!(peers.introduce(SECRETS, run("b"), 4), [restarted, changed(State::Running, "b", "")]);
}

#[test]
fn a_hang_ends_with_the_first_sign_of_life() {
    let mut peers = DaemonTracker::new(0);
    peers.introduce(SECRETS, run("a"), 1);
    assert_eq!(peers.heard(SECRETS, 2), None);
    assert_eq!(peers.unanswered(SECRETS, 3), Some(changed(State::Unresponsive, "a", "")));
    assert_eq!(peers.unanswered(SECRETS, 4), None);
    assert_eq!(peers.row(SECRETS).since_usec, 3);
    assert_eq!(peers.heard(SECRETS, 5), Some(changed(State::Running, "a", "")));
}

#[test]
fn a_dead_process_has_no_pid_and_no_sandbox() {
    let mut peers = DaemonTracker::new(0);
    peers.introduce(SECRETS, run("a"), 1);
    peers.set_pid(SECRETS, 42);
    assert_eq!((peers.row(SECRETS).pid, peers.row(SECRETS).sandbox.as_deref()), (Some(42), Some("none")));
    peers.lose(SECRETS, 2);
    assert_eq!((peers.row(SECRETS).pid, peers.row(SECRETS).sandbox), (None, None));
    assert_eq!(peers.row(SECRETS).id.as_deref(), Some("a"), "the journal is searched by it");
}

#[test]
fn systemds_reason_is_told_once_and_kept() {
    let mut peers = running();
    peers.lose(SECRETS, 3);
    assert_eq!(peers.read_unit(SECRETS, unit("a", "active", "running", "success"), 4), [], "too early");
    assert_eq!(peers.read_unit(SECRETS, unit("a", "failed", "failed", "signal"), 4), [], "passes at every crash");
    let restarting = unit("a", "activating", "auto-restart", "signal");
    let reason = "signal:SIGKILL";
    let told = peers.read_unit(SECRETS, restarting.clone(), 5);
    assert_eq!(told, [changed(State::Lost, "a", reason), lost("a", reason)]);
    assert_eq!(peers.read_unit(SECRETS, restarting, 6), []);
    assert_eq!(peers.settle(SECRETS, 7), []);
    peers.read_unit(SECRETS, unit("b", "activating", "start", "success"), 8);
    let restarted = PeerChange::Restarted { name: SECRETS, old: "a".into(), new: "b".into() };
    assert_eq!(peers.introduce(SECRETS, run("b"), 9), [restarted, changed(State::Running, "b", reason)]);
}

#[test]
fn a_stop_is_no_crash_even_when_a_start_follows_at_once() {
    let mut peers = running();
    peers.read_unit(SECRETS, unit("a", "deactivating", "stop-sigterm", "success"), 3);
    peers.lose(SECRETS, 4);
    let told = peers.introduce(SECRETS, run("b"), 5);
    assert_eq!(told, [changed(State::Stopped, "a", "stopped"), changed(State::Running, "b", "stopped")]);
}

#[test]
fn a_stop_is_believed_when_nothing_follows() {
    let mut peers = running();
    peers.lose(SECRETS, 3);
    assert_eq!(peers.read_unit(SECRETS, unit("a", "inactive", "dead", "success"), 4), []);
    assert_eq!(peers.settle(SECRETS, 5), [changed(State::Stopped, "a", "stopped")]);
}

/// systemd kills what its watchdog found, fails it, and only then restarts it.
#[test]
fn a_watchdogs_kill_is_not_given_up() {
    let mut peers = running();
    peers.read_unit(SECRETS, unit("a", "deactivating", "stop-watchdog", "watchdog"), 3);
    let told = peers.lose(SECRETS, 4);
    assert_eq!(told[1..], [changed(State::Lost, "a", "watchdog"), lost("a", "watchdog")]);
    assert_eq!(peers.read_unit(SECRETS, unit("a", "failed", "failed", "watchdog"), 5), [], "passes");
    assert_eq!(peers.read_unit(SECRETS, unit("a", "activating", "auto-restart", "watchdog"), 6), []);
    assert_eq!(peers.settle(SECRETS, 7), []);
}

#[test]
fn systemd_gives_up_after_the_reason_was_told() {
    let mut peers = running();
    peers.lose(SECRETS, 3);
    peers.read_unit(SECRETS, unit("a", "activating", "auto-restart", "signal"), 4);
    assert_eq!(peers.read_unit(SECRETS, unit("a", "failed", "failed", "signal"), 5), [], "passes at every crash");
    assert_eq!(peers.settle(SECRETS, 5), [changed(State::Failed, "a", "signal:SIGKILL")]);
    let row = peers.row(SECRETS);
    assert_eq!((row.restarts, row.unit.as_deref()), (Some(3), Some("open-sesame-secrets.service")));
    let reset = peers.read_unit(SECRETS, unit("a", "inactive", "dead", "success"), 6);
    assert_eq!(reset, [changed(State::Stopped, "a", "signal:SIGKILL")]);
}

#[test]
fn a_run_by_hand_is_not_explained_by_a_unit_of_the_same_name() {
    let mut peers = DaemonTracker::new(0);
    peers.read_unit(SECRETS, unit("other", "inactive", "dead", "success"), 1);
    peers.introduce(SECRETS, run("a"), 2);
    peers.lose(SECRETS, 3);
    peers.read_unit(SECRETS, unit("other", "inactive", "dead", "success"), 4);
    assert_eq!(peers.settle(SECRETS, 5), [lost("a", "unknown")]);
    assert_eq!(peers.row(SECRETS).unit, None);
}

#[test]
fn a_unit_that_failed_before_it_was_ever_seen_is_failed() {
    let mut peers = DaemonTracker::new(0);
    assert_eq!(peers.read_unit(SECRETS, unit("x", "failed", "failed", "exit-code"), 1), [], "passes at every crash");
    assert!(peers.is_unsettled(SECRETS));
    assert_eq!(peers.settle(SECRETS, 2), [changed(State::Failed, "", "exit-code:9")]);
}

/// A hub that begins while systemd tries and tries.
#[test]
fn a_start_that_is_tried_again_is_not_given_up_though_none_was_ever_seen() {
    let mut peers = DaemonTracker::new(0);
    let lost = peers.read_unit(SECRETS, unit("x", "activating", "auto-restart", "exit-code"), 1);
    assert_eq!(lost, [changed(State::Lost, "", "exit-code:9")]);
    for run in ["y", "z"] {
        peers.read_unit(SECRETS, unit(run, "activating", "start", "success"), 2);
        assert_eq!(peers.read_unit(SECRETS, unit(run, "failed", "failed", "exit-code"), 3), []);
        assert_eq!(peers.read_unit(SECRETS, unit(run, "activating", "auto-restart", "exit-code"), 4), []);
        assert_eq!(peers.settle(SECRETS, 5), []);
    }
}

#[test]
fn an_owner_that_never_said_who_it_is_is_not_lost_again() {
    let mut peers = running();
    peers.lose(SECRETS, 3);
    peers.settle(SECRETS, 4);
    assert_eq!(peers.unanswered(SECRETS, 5), Some(changed(State::Unresponsive, "", "unknown")));
    let row = peers.row(SECRETS);
    assert_eq!((row.id, row.started_usec, row.last_seen_usec, row.sandbox), (None, None, None, None), "a stranger's");
    assert_eq!(peers.lose(SECRETS, 6), [changed(State::Lost, "a", "unknown")], "as before it came");
    assert_eq!(peers.settle(SECRETS, 7), [], "and DaemonLost only once");
    let restarted = PeerChange::Restarted { name: SECRETS, old: "a".into(), new: "b".into() };
    assert!(peers.introduce(SECRETS, run("b"), 8).contains(&restarted), "what counts is how the last run ended");
}

#[test]
fn an_owner_that_never_said_who_it_is_was_no_daemon() {
    let mut peers = DaemonTracker::new(0);
    peers.unanswered(SECRETS, 1);
    assert_eq!(peers.lose(SECRETS, 2), [changed(State::Stopped, "", "")]);
    assert_eq!(peers.settle(SECRETS, 3), []);
}

/// A start that fails before the daemon says who it is: of each such run only systemd knows.
#[test]
fn systemd_gives_up_on_runs_that_never_said_who_they_are() {
    let mut peers = running();
    peers.lose(SECRETS, 3);
    peers.read_unit(SECRETS, unit("a", "activating", "auto-restart", "signal"), 4);
    assert_eq!(peers.read_unit(SECRETS, unit("b", "activating", "start", "success"), 5), []);
    assert_eq!(peers.row(SECRETS).restarts, Some(3), "it is systemd's still");
    assert_eq!(peers.read_unit(SECRETS, unit("b", "failed", "failed", "oom-kill"), 6), [], "passes at every crash");
    assert!(peers.is_unsettled(SECRETS));
    let again = peers.read_unit(SECRETS, unit("b", "activating", "auto-restart", "oom-kill"), 6);
    assert_eq!(again, [changed(State::Lost, "a", "oom-kill")]);
    assert!(!peers.is_unsettled(SECRETS));
    peers.read_unit(SECRETS, unit("c", "failed", "failed", "oom-kill"), 7);
    assert_eq!(peers.settle(SECRETS, 8), [changed(State::Failed, "a", "oom-kill")]);
    assert_eq!(peers.settle(SECRETS, 9), []);
    let reset = peers.read_unit(SECRETS, unit("c", "inactive", "dead", "success"), 10);
    assert_eq!(reset, [changed(State::Stopped, "a", "oom-kill")]);
}

#[test]
fn a_failure_that_a_new_run_follows_was_none() {
    let mut peers = running();
    peers.lose(SECRETS, 3);
    peers.read_unit(SECRETS, unit("a", "activating", "auto-restart", "signal"), 4);
    peers.read_unit(SECRETS, unit("b", "failed", "failed", "oom-kill"), 5);
    let restarted = PeerChange::Restarted { name: SECRETS, old: "a".into(), new: "c".into() };
    let told = peers.introduce(SECRETS, run("c"), 6);
    assert_eq!(told, [restarted, changed(State::Running, "c", "signal:SIGKILL")]);
    assert_eq!(peers.settle(SECRETS, 7), []);
}

#[test]
fn a_run_that_never_said_who_it_is_may_be_stopped() {
    let mut peers = running();
    peers.lose(SECRETS, 3);
    peers.read_unit(SECRETS, unit("a", "activating", "auto-restart", "signal"), 4);
    let asked = peers.read_unit(SECRETS, unit("b", "deactivating", "stop-sigterm", "success"), 5);
    assert_eq!(asked, [changed(State::Stopped, "a", "stopped")]);
    assert_eq!(peers.read_unit(SECRETS, unit("b", "inactive", "dead", "success"), 6), []);
}

#[test]
fn a_later_run_does_not_explain_the_one_before_it() {
    let mut peers = running();
    peers.read_unit(SECRETS, unit("b", "activating", "auto-restart", "oom-kill"), 3);
    assert_eq!(peers.lose(SECRETS, 4), [changed(State::Lost, "a", "unknown")]);
    assert_eq!(peers.settle(SECRETS, 5), [lost("a", "unknown")]);
}
