//! The table of figures: medians with their spread, ours beside theirs, against the target.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One line of the table.
#[derive(Serialize, Deserialize)]
pub struct Row {
    pub figure: String,
    pub ours: Spread,
    pub theirs: Option<Spread>,
    /// What the ratio is held against, or the figure where nothing is beside it.
    pub target: Option<f64>,
}

/// What many runs of one thing gave.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Spread {
    p10: f64,
    /// The median.
    pub p50: f64,
    p90: f64,
}

impl Spread {
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { p10: percentile(&values, 10), p50: percentile(&values, 50), p90: percentile(&values, 90) }
    }

    /// Of one value alone.
    pub fn exactly(value: f64) -> Self {
        Self { p10: value, p50: value, p90: value }
    }

    fn text(&self) -> String {
        if self.p10.total_cmp(&self.p90).is_eq() {
            return if self.p50 < 1000.0 { format!("{:.2}", self.p50) } else { format!("{:.0}", self.p50) };
        }
        format!("{:.1} ({:.1}-{:.1})", self.p50, self.p10, self.p90)
    }
}

/// Of sorted values.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    values[(values.len() - 1) * percent / 100]
}

impl Row {
    fn value(&self) -> f64 {
        self.theirs.as_ref().map_or(self.ours.p50, |theirs| self.ours.p50 / theirs.p50)
    }

    fn is_met(&self) -> Option<bool> {
        self.target.map(|target| self.value() <= target)
    }

    pub fn print(&self) {
        let theirs = self.theirs.as_ref().map_or_else(|| "-".into(), Spread::text);
        let met = self.is_met().map_or("-", |met| if met { "yes" } else { "no" });
        let target = self.target.map_or_else(|| "-".into(), |target| target.to_string());
        println!("| {} | {} | {theirs} | {:.2} | {target} | {met} |", self.figure, self.ours.text(), self.value());
    }

    pub fn json(&self) -> Value {
        json!({ "figure": self.figure, "ours": self.ours, "theirs": self.theirs, "value": self.value(),
            "target": self.target, "met": self.is_met() })
    }
}
