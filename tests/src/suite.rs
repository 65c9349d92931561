//! Turns scenarios into trials: one a bus, each with a session and a runtime of its own.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use libtest_mimic::{Completion, Failed, Trial};

use crate::{bus::Kind, home::Home, needs::Need, random::number_in, session::Session};

/// How long one scenario may take, in seconds. A limit against hanging, not a measure; the variable is for those that
/// are asked to take longer.
const LIMIT: (&str, u64) = ("SESAME_TEST_LIMIT", 300);

/// The scenarios, as they are collected.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
}

/// Where and with what the next scenarios run.
pub struct Group<'a> {
    suite: &'a mut Suite,
    kinds: &'static [Kind],
    needs: Vec<Need>,
}

impl Suite {
    /// Scenarios that run once on each bus.
    pub fn on_each_bus(&mut self, needs: &[Need]) -> Group<'_> {
        Group { suite: self, kinds: &Kind::ALL, needs: needs.to_vec() }
    }

    /// Scenarios that only dbus-daemon can play (activation without systemd), or that no bus matters to.
    pub fn on_dbus_daemon(&mut self, needs: &[Need]) -> Group<'_> {
        Group { suite: self, kinds: &[Kind::DbusDaemon], needs: needs.to_vec() }
    }

    /// All of them.
    pub fn trials(self) -> Vec<Trial> {
        self.trials
    }
}

impl Group<'_> {
    /// Adds a scenario.
    #[must_use = "the last one ends with `done`"]
    pub fn add<F>(self, name: &str, scenario: fn(Session) -> F) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        for &kind in self.kinds {
            let needs: Vec<Need> = Need::of(kind).iter().chain(&self.needs).copied().collect();
            let trial = Trial::ignorable_test(name, move || match needs.iter().find_map(|need| need.missing()) {
                Some(reason) => Ok(Completion::ignored_with(reason)),
                None => play(kind, scenario).map(|()| Completion::Completed),
            });
            self.suite.trials.push(trial.with_kind(kind.name()));
        }
        self
    }

    /// Ends a chain of [`Group::add`].
    pub fn done(self) {}
}

/// Adds functions as scenarios that are called like them.
#[macro_export]
macro_rules! scenarios {
    ($group:expr; $($name:ident),+ $(,)?) => {
        $group$(.add(stringify!($name), $name))+.done()
    };
}

fn play<F: Future<Output = ()>>(kind: Kind, scenario: fn(Session) -> F) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Kept until the logs have been read.
    let home = Arc::new(Home::new());
    let whole = async { scenario(Session::start(kind, Arc::clone(&home)).await).await };
    let limit = Duration::from_secs(number_in(LIMIT.0).unwrap_or(LIMIT.1));
    let bounded = async { tokio::time::timeout(limit, whole).await };
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(bounded)));
    let failure = match ended {
        Ok(Ok(())) => return Ok(()),
        Err(panic) => panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("it panicked")
            .to_owned(),
        Ok(Err(_)) => format!("it did not end within {limit:?}"),
    };
    Err(format!("{failure}\n{}", home.logs()).into())
}
