//! What locks a vault and when, in examples and after any history.

use proptest::prelude::*;

use super::*;

fn name(profile: &str) -> ProfileName {
    profile.parse().unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn autolock(config: &str) -> AutoLock {
    let mut autolock = AutoLock::default();
    autolock.configure(Rules::from(&daemon_config::parse(config).unwrap().config));
    autolock
}

fn change(profile: &str, locked: bool) -> VaultChange {
    VaultChange { profile: name(profile), locked, active: !locked, reason: Reason::User }
}

#[test]
fn without_a_configuration_nothing_is_locked_and_nobody_is_woken() {
    let mut autolock = autolock("");
    autolock.follow(&change("work", false), seconds(1));
    assert_eq!(autolock.next(), None);
    assert_eq!(autolock.take_in(Event::Sleep), Some(Reason::Sleep));
    assert!(!autolock.concerns(Reason::Sleep, &name("work")) && !autolock.keeps_shut(&name("work")));
}

#[test]
fn a_profile_has_its_own_rules_and_what_it_leaves_out_is_as_for_all() {
    let autolock = autolock(
        "lock_on = [\"sleep\"]\nlock_after = \"1h\"\n[profiles.work]\nlock_on = [\"screen\", \"idle\"]\n\
         [profiles.home]\nlock_after = \"1s\"\n[profiles.open]\nlock_on = []\n",
    );
    let concerned = |reason| ["work", "home", "open", "other"].map(|profile| autolock.concerns(reason, &name(profile)));
    assert_eq!(concerned(Reason::Sleep), [false, true, false, true]);
    assert_eq!(concerned(Reason::Screen), [true, false, false, false]);
    assert_eq!(autolock.rules.of(&name("work")).idle, Some(seconds(3600)));
    assert_eq!(autolock.rules.of(&name("home")).idle, None);
}

#[test]
fn a_vault_that_nobody_uses_is_due_and_each_use_puts_it_off() {
    let mut autolock = autolock("lock_on = [\"idle\"]\nlock_after = \"10s\"\n");
    autolock.follow(&change("work", false), seconds(100));
    assert_eq!(autolock.next(), Some(seconds(110)));
    autolock.used(&name("work"), seconds(109));
    assert!(autolock.idle(seconds(118)).is_empty());
    assert_eq!(autolock.idle(seconds(119)), [name("work")]);
    autolock.follow(&change("work", true), seconds(119));
    assert_eq!((autolock.idle(seconds(500)), autolock.next()), (vec![], None), "locked, it is over");
    autolock.used(&name("work"), seconds(501));
    assert_eq!(autolock.next(), None, "a locked vault has no use");
}

#[test]
fn being_deactivated_and_activated_is_no_use() {
    let mut autolock = autolock("lock_on = [\"idle\"]\nlock_after = \"10s\"\n");
    autolock.follow(&change("work", false), seconds(100));
    autolock.follow(&VaultChange { active: false, ..change("work", false) }, seconds(105));
    autolock.follow(&change("work", false), seconds(106));
    assert_eq!(autolock.next(), Some(seconds(110)));
    autolock.wanted(&name("work"), seconds(107));
    assert_eq!(autolock.next(), Some(seconds(117)), "an unlock of the unlocked is somebody's wish");
}

#[test]
fn while_nobody_is_there_a_program_that_reads_does_not_keep_a_vault_open() {
    let mut autolock = autolock("lock_on = [\"idle\"]\nlock_after = \"10s\"\n");
    autolock.follow(&change("work", false), seconds(100));
    assert_eq!(autolock.take_in(Event::Away(true)), None);
    autolock.used(&name("work"), seconds(105));
    assert_eq!(autolock.next(), Some(seconds(110)));
    autolock.wanted(&name("work"), seconds(106));
    assert_eq!(autolock.next(), Some(seconds(116)), "but a passphrase was typed by somebody");
    autolock.take_in(Event::Away(false));
    autolock.used(&name("work"), seconds(112));
    assert_eq!(autolock.next(), Some(seconds(122)));
}

#[test]
fn nothing_is_unlocked_between_the_word_of_a_sleep_and_its_end() {
    let mut autolock = autolock("[profiles.work]\nlock_on = [\"sleep\"]\n");
    assert!(!autolock.keeps_shut(&name("work")));
    autolock.take_in(Event::Sleep);
    assert!(autolock.keeps_shut(&name("work")) && !autolock.keeps_shut(&name("other")));
    autolock.take_in(Event::Awake);
    assert!(!autolock.keeps_shut(&name("work")));
}

#[test]
fn a_sleep_longer_than_a_vault_may_be_unused_ends_with_it_due() {
    let mut autolock = autolock("lock_on = [\"idle\"]\nlock_after = \"15m\"\n");
    autolock.follow(&change("work", false), seconds(100));
    assert!(autolock.idle(seconds(160)).is_empty());
    // Eight hours later, of which the processor ran for a minute.
    assert_eq!(autolock.idle(seconds(160 + 8 * 3600)), [name("work")]);
}

#[test]
fn other_rules_hold_for_what_is_unlocked_already() {
    let mut autolock = autolock("lock_on = [\"idle\"]\nlock_after = \"1h\"\n");
    autolock.follow(&change("work", false), seconds(100));
    autolock.configure(Rules::from(&daemon_config::parse("lock_on = [\"idle\"]\nlock_after = \"1m\"").unwrap().config));
    assert_eq!(autolock.next(), Some(seconds(160)));
    autolock.configure(Rules::default());
    assert_eq!(autolock.next(), None);
}

/// What may happen to three vaults, of which one is never locked for being idle.
#[derive(Clone, Copy, Debug)]
enum Step {
    Unlock(usize),
    Lock(usize),
    Read(usize),
    Away(bool),
}

const LIMITS: [Option<u64>; 3] = [Some(10), Some(60), None];

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let step = prop_oneof![
        (0..3_usize).prop_map(Step::Unlock),
        (0..3_usize).prop_map(Step::Lock),
        (0..3_usize).prop_map(Step::Read),
        any::<bool>().prop_map(Step::Away),
    ];
    prop::collection::vec((step, 0..20_u64), 0..60)
}

proptest! {
    /// Against the plainest account of it: a vault is due exactly when its last use is its limit ago, and the next time
    /// to look is the first at which one becomes due.
    #[test]
    fn a_vault_is_due_exactly_when_it_was_unused_for_its_limit(steps in steps()) {
        let mut autolock = autolock(
            "lock_on = [\"idle\"]\nlock_after = \"10s\"\n[profiles.v1]\nlock_after = \"60s\"\n[profiles.v2]\nlock_on = []\n",
        );
        let (mut used, mut away, mut now) = ([None::<u64>; 3], false, 0);
        for (step, later) in steps {
            now += later;
            match step {
                Step::Unlock(v) => {
                    autolock.follow(&change(&format!("v{v}"), false), seconds(now));
                    used[v] = used[v].or(Some(now));
                }
                Step::Lock(v) => {
                    autolock.follow(&change(&format!("v{v}"), true), seconds(now));
                    used[v] = None;
                }
                Step::Read(v) => {
                    autolock.used(&name(&format!("v{v}")), seconds(now));
                    used[v] = used[v].map(|used| if away { used } else { now });
                }
                Step::Away(is) => {
                    autolock.take_in(Event::Away(is));
                    away = is;
                }
            }
            let ends: Vec<_> = (0..3).filter_map(|v| Some((v, used[v]? + LIMITS[v]?))).collect();
            let due: Vec<_> = ends.iter().filter(|(_, end)| *end <= now).map(|(v, _)| name(&format!("v{v}"))).collect();
            prop_assert_eq!(autolock.idle(seconds(now)), due);
            let next = ends.iter().map(|(_, end)| *end).min().map(seconds);
            prop_assert_eq!(autolock.next(), next);
            if let Some(next) = next {
                prop_assert!(!autolock.idle(next).is_empty(), "who wakes then finds something to do");
            }
        }
    }
}
