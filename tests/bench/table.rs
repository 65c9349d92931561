//! The table of figures: medians with their spread, ours beside theirs, against the target.

use std::{collections::BTreeMap, fs, path::Path};

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

    /// What was recorded of the same figure.
    fn before(&self, record: &Record) -> Option<f64> {
        record.0.get(&self.figure).copied()
    }

    /// How much more it is than was recorded: 0.1 is a tenth.
    pub fn growth(&self, record: &Record) -> Option<f64> {
        self.before(record).map(|before| self.value() / before - 1.0)
    }

    fn print(&self, record: &Record) {
        let before = self.before(record).map_or_else(|| "-".into(), |before| format!("{before:.2}"));
        let theirs = self.theirs.as_ref().map_or_else(|| "-".into(), Spread::text);
        let met = self.is_met().map_or("-", |met| if met { "yes" } else { "no" });
        let target = self.target.map_or_else(|| "-".into(), |target| target.to_string());
        let (figure, ours, value) = (&self.figure, self.ours.text(), self.value());
        println!("| {figure} | {ours} | {theirs} | {value:.2} | {target} | {met} | {before} |");
    }

    pub fn json(&self) -> Value {
        json!({ "figure": self.figure, "ours": self.ours, "theirs": self.theirs, "value": self.value(),
            "target": self.target, "met": self.is_met() })
    }
}

/// Prints the table, beside what was recorded.
pub fn print(rows: &[Row], record: &Record) {
    println!("| figure | ours, p50 (p10-p90) | theirs | ratio or figure | target | met | before |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    rows.iter().for_each(|row| row.print(record));
}

/// The figures of an earlier run.
pub struct Record(BTreeMap<String, f64>);

impl Record {
    /// Of the JSON that a run wrote; nothing where there is none.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let run: Value = serde_json::from_str(&text).unwrap_or_default();
        let rows = run["rows"].as_array().into_iter().flatten();
        Self(rows.filter_map(|row| Some((row["figure"].as_str()?.into(), row["value"].as_f64()?))).collect())
    }
}
