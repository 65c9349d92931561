//! What a campaign has seen: counts, and the worst.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// Something that may never happen, and did.
#[derive(Clone, Debug)]
pub enum Violation {
    /// A wrong answer, signal, file or unit: in words.
    Wrong(String),
    /// A secret whose write was acknowledged is missing or another.
    Lost(String),
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wrong(what) => write!(f, "wrong: {what}"),
            Self::Lost(what) => write!(f, "a lost secret: {what}"),
        }
    }
}

/// Fails with a [`Violation::Wrong`] where a condition does not hold.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err($crate::table::Violation::Wrong(format!($($words)+)));
        }
    };
}

/// How a step, or many, ended.
pub type Outcome<T = ()> = Result<T, Violation>;

/// The counts of one or many sessions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Table {
    pub sessions: usize,
    pub steps: usize,
    pub answers: usize,
    pub signals: usize,
    pub faults: BTreeMap<String, usize>,
    pub wrong: usize,
    pub lost: usize,
    /// The longest that the hub said something other than the truth after it could know.
    pub staleness: (Duration, String),
    /// The longest that an answer from memory took, the harness's own delay taken off.
    pub latency: (Duration, String),
}

impl Table {
    /// Takes note of a time that something old was told.
    pub fn stale(&mut self, took: Duration, after: &str) {
        if took > self.staleness.0 {
            self.staleness = (took, after.to_owned());
        }
    }

    /// Takes note of a time that an answer took.
    pub fn late(&mut self, took: Duration, what: &str) {
        if took > self.latency.0 {
            self.latency = (took, what.to_owned());
        }
    }

    /// Adds what another has seen.
    pub fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.steps += other.steps;
        self.answers += other.answers;
        self.signals += other.signals;
        self.wrong += other.wrong;
        self.lost += other.lost;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
        self.stale(other.staleness.0, &other.staleness.1);
        self.late(other.latency.0, &other.latency.1);
    }

    /// The counts as lines, one a subject.
    pub fn lines(&self) -> String {
        let faults: usize = self.faults.values().sum();
        let kinds: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        format!(
            "sessions {}\nsteps {}\nanswers compared {}\nsignals compared {}\nfaults {faults}: {}\nwrong answers {}\n\
             lost secrets {}\nworst staleness {:.2?} ({})\nworst latency {:.1?} ({})\n",
            self.sessions,
            self.steps,
            self.answers,
            self.signals,
            kinds.join(", "),
            self.wrong,
            self.lost,
            self.staleness.0,
            self.staleness.1,
            self.latency.0,
            self.latency.1
        )
    }
}
