//! A curve as a picture: both axes are logarithmic, so that what grows with its cause is a straight line. Pure.

use std::fmt::Write;

/// Figures over what they may grow with.
pub struct Curve {
    /// Its file, without an ending.
    pub name: &'static str,
    /// What is measured, with its unit.
    pub figure: &'static str,
    /// What it may grow with.
    pub over: &'static str,
    /// Each with its name and its points.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 200.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
const COLOURS: [&str; 6] = ["#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b"];

/// From a value to a place on an axis.
struct Axis {
    decades: (f64, f64),
    places: (f64, f64),
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, places: (f64, f64)) -> Self {
        let low = values.clone().fold(f64::MAX, f64::min).log10().floor();
        let high = values.fold(f64::MIN, f64::max).log10().ceil();
        Self { decades: (low, high.max(low + 1.0)), places }
    }

    fn place(&self, value: f64) -> f64 {
        let (low, high) = self.decades;
        self.places.0 + (value.log10() - low) / (high - low) * (self.places.1 - self.places.0)
    }

    fn ticks(&self) -> Vec<f64> {
        let mut ticks = vec![10_f64.powf(self.decades.0)];
        while ticks[ticks.len() - 1].log10() < self.decades.1 - 0.5 {
            ticks.push(ticks[ticks.len() - 1] * 10.0);
        }
        ticks
    }
}

impl Curve {
    /// The picture, as SVG.
    pub fn svg(&self) -> String {
        let points = self.lines.iter().flat_map(|(_, points)| points);
        let across = Axis::over(points.clone().map(|point| point.0), (LEFT, WIDTH - RIGHT));
        let up = Axis::over(points.map(|point| point.1), (HEIGHT - BOTTOM, TOP));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>\n",
            self.figure
        );
        let mut line = |x1: f64, y1: f64, x2: f64, y2: f64| {
            let _ = writeln!(svg, "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"#ccc\"/>");
        };
        across.ticks().iter().for_each(|tick| line(across.place(*tick), TOP, across.place(*tick), HEIGHT - BOTTOM));
        up.ticks().iter().for_each(|tick| line(LEFT, up.place(*tick), WIDTH - RIGHT, up.place(*tick)));
        let mut text = |x: f64, y: f64, anchor: &str, text: &str| {
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
        };
        for tick in across.ticks() {
            text(across.place(tick), HEIGHT - BOTTOM + 18.0, "middle", &tick.to_string());
        }
        for tick in up.ticks() {
            text(LEFT - 6.0, up.place(tick) + 4.0, "end", &tick.to_string());
        }
        text((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 12.0, "middle", self.over);
        for (index, (name, points)) in self.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let places: Vec<String> =
                points.iter().map(|(x, y)| format!("{:.1},{:.1}", across.place(*x), up.place(*y))).collect();
            let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", places.join(" "));
            for place in &places {
                let (x, y) = place.split_once(',').unwrap();
                let _ = writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"2.5\" fill=\"{colour}\"/>");
            }
            let y = TOP + 16.0 * index as f64 + 8.0;
            let x = WIDTH - RIGHT + 12.0;
            let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{name}</text>");
        }
        svg + "</svg>\n"
    }
}
