//! Charts of how long answers took: the median as a line and the 95th percentile as a dashed line, or the phases as
//! columns. Lines are interrupted in time without an answer, which has a darker ground.

use std::fmt::{self, Display, Write};

use askama::filters::HtmlSafe;
use jiff::{SignedDuration, Timestamp};

use crate::figures::Window;
use crate::figures::detail::Point;
use crate::figures::period::Period;
use crate::web::pages::words::{When, time_taken};
use crate::words::to_seconds;

/// The width and height of a plot in its own units. The style decides its size on the screen.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 100.0;
/// The space at both sides of a column, as a share of its width.
const SPACE: f64 = 0.15;

/// The class and the name of each phase, in their order.
pub(in crate::web::pages) const PHASES: [(&str, &str); 5] =
    [("dns", "name look-up"), ("connect", "connect"), ("tls", "TLS"), ("first-byte", "first byte"), ("body", "body")];

/// A chart with the texts at its axes.
pub(in crate::web::pages) struct Chart {
    pub(in crate::web::pages) plot: Plot,
    /// The texts of the vertical axis, from the top.
    pub(in crate::web::pages) scale: [String; 3],
    /// The texts of the horizontal axis, from the left.
    pub(in crate::web::pages) ends: [When; 3],
}

/// An SVG image that is as wide as its place.
pub(in crate::web::pages) struct Plot {
    says: String,
    /// The class and the path of each shape, from the back to the front.
    paths: Vec<(String, String)>,
}

/// The axes, which give a moment and a duration their places.
struct Axes {
    window: Window,
    /// The highest value, in microseconds.
    top: f64,
}

impl Axes {
    fn x(&self, at: Timestamp) -> f64 {
        let since = |at: Timestamp| at.duration_since(self.window.since).as_secs_f64();
        (since(at) / since(self.window.until).max(1.0)).clamp(0.0, 1.0) * WIDTH
    }

    fn y(&self, us: f64) -> f64 {
        HEIGHT * (1.0 - us / self.top)
    }
}

/// The distances of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web::pages) struct Pace {
    /// The length of the time of each point.
    width: SignedDuration,
    /// The largest distance between two points that is no gap. A monitor that is looked at seldom has no point in some
    /// of the times, and no gap there.
    patience: SignedDuration,
}

impl Pace {
    /// Computes the distances of points. A point is at most as wide as a bar.
    pub(in crate::web::pages) fn of(series: &[Point], period: Period) -> Pace {
        let bar = period.bars().0;
        let mut apart: Vec<SignedDuration> =
            series.windows(2).map(|pair| pair[1].since.duration_since(pair[0].since)).collect();
        apart.sort_unstable();
        let nine_of_ten = apart.get(apart.len() * 9 / 10);
        let width = apart.first().copied().unwrap_or(bar).min(bar);
        Pace { width, patience: nine_of_ten.copied().unwrap_or(bar).max(width) }
    }
}

/// Returns the lines of the whole window; none without an answer.
pub(in crate::web::pages) fn lines(series: &[Point], window: Window, pace: Pace) -> Option<Chart> {
    let highest = series.iter().map(|point| point.p95_us.max(point.p50_us)).fold(0.0, f64::max);
    let axes = axes(series, window, pace, highest)?;
    let line = |us: fn(&Point) -> f64| {
        let mut path = String::new();
        for run in runs(series, pace) {
            for (index, point) in run.iter().enumerate() {
                let x = axes.x(point.since + pace.width / 2);
                let command = if index == 0 { 'M' } else { 'L' };
                write!(path, "{command}{x:.1} {:.1}", axes.y(us(point))).unwrap_or_default();
            }
            if run.len() == 1 {
                path.push_str("h1");
            }
        }
        path
    };
    let says = format!(
        "Response times: the median is {} at most, the 95th percentile {}",
        time_taken(series.iter().map(|point| point.p50_us).fold(0.0, f64::max)),
        time_taken(highest)
    );
    let paths = vec![
        ("none".into(), empty(series, &axes, pace)),
        ("rule".into(), rules()),
        ("p95".into(), line(|point| point.p95_us)),
        ("p50".into(), line(|point| point.p50_us)),
    ];
    Some(axes.chart(says, paths))
}

/// Returns the phases of the points that have them, as columns of means; none when no point has phases.
pub(in crate::web::pages) fn columns(series: &[Point], until: Timestamp, pace: Pace) -> Option<Chart> {
    let series: Vec<Point> = series.iter().filter(|point| point.phases_us.is_some()).copied().collect();
    let phases = |point: &Point| point.phases_us.unwrap_or_default();
    let highest = series.iter().map(|point| phases(point).iter().sum()).fold(0.0, f64::max);
    let axes = axes(&series, Window { since: series.first()?.since, until }, pace, highest)?;
    let mut paths = vec![("none".into(), empty(&series, &axes, pace)), ("rule".into(), rules())];
    for (index, (class, _)) in PHASES.iter().enumerate() {
        let mut path = String::new();
        for point in &series {
            let below: f64 = phases(point)[..index].iter().sum();
            let (from, to) = (axes.x(point.since), axes.x(point.since + pace.width));
            let space = (to - from) * SPACE;
            let (foot, top) = (axes.y(below), axes.y(below + phases(point)[index]));
            write!(path, "M{:.1} {foot:.1}V{top:.1}H{:.1}V{foot:.1}z", from + space, to - space).unwrap_or_default();
        }
        paths.push((format!("phase {class}"), path));
    }
    let says = format!("Phases of checks, means over the last 24 hours: {} together at most", time_taken(highest));
    Some(axes.chart(says, paths))
}

/// Returns the runs of points that follow each other without a gap.
fn runs(series: &[Point], pace: Pace) -> impl Iterator<Item = &[Point]> {
    series.chunk_by(move |a, b| b.since.duration_since(a.since) <= pace.patience)
}

/// Returns the path of the ground in times that have no point.
fn empty(series: &[Point], axes: &Axes, pace: Pace) -> String {
    let mut path = String::new();
    let mut known = axes.window.since;
    // A point lasts to the end of its time, and a gap is longer than what may lie between two points.
    let mut fill = |from: Timestamp, to: Timestamp| {
        if to.duration_since(from) > pace.patience - pace.width {
            write!(path, "M{:.1} 0V{HEIGHT}H{:.1}V0z", axes.x(from), axes.x(to)).unwrap_or_default();
        }
    };
    for point in series {
        fill(known, point.since);
        known = point.since + pace.width;
    }
    fill(known, axes.window.until);
    path
}

fn rules() -> String {
    format!("M0 0H{WIDTH}M0 {}H{WIDTH}", HEIGHT / 2.0)
}

/// Returns the axes of the window up to the end of the time of its last point. A part of that time may be in the
/// future.
fn axes(series: &[Point], window: Window, pace: Pace, highest: f64) -> Option<Axes> {
    let until = window.until.max(series.last()?.since + pace.width);
    Some(Axes { window: Window { until, ..window }, top: round_above(highest) })
}

impl Axes {
    fn chart(&self, says: String, paths: Vec<(String, String)>) -> Chart {
        let Window { since, until } = self.window;
        let paths = paths.into_iter().filter(|(_, path)| !path.is_empty()).collect();
        Chart {
            plot: Plot { says, paths },
            scale: [time_taken(self.top), time_taken(self.top / 2.0), "0".into()],
            ends: [since, since + until.duration_since(since) / 2, to_seconds(until)].map(When),
        }
    }
}

/// Returns the next 1, 2 or 5 of a decade, so that people can read the axis.
fn round_above(us: f64) -> f64 {
    let decade = 10_f64.powf(us.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|by| by * decade).into_iter().find(|top| *top >= us).unwrap_or(10.0 * decade)
}

// The image contains only numbers and words of this program.
impl HtmlSafe for Plot {}

impl Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
            self.says
        )?;
        for (class, path) in &self.paths {
            write!(f, "<path class=\"{class}\" d=\"{path}\"/>")?;
        }
        f.write_str("</svg>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    const PACE: Pace = Pace { width: HOUR, patience: HOUR };

    fn at(hour: i32) -> Timestamp {
        Timestamp::UNIX_EPOCH + HOUR * hour
    }

    fn point(hour: i32, us: f64) -> Point {
        Point { since: at(hour), p50_us: us, p95_us: 2.0 * us, phases_us: Some([us / 5.0; 5]) }
    }

    fn path<'a>(chart: &'a Chart, class: &str) -> &'a str {
        chart.plot.paths.iter().find(|(known, _)| known == class).map_or("", |(_, path)| path)
    }

    #[test]
    fn a_line_breaks_where_nothing_was_answered_and_the_ground_shows_it() {
        let window = Window { since: at(0), until: at(10) };
        let series = [point(0, 10_000.0), point(1, 20_000.0), point(5, 10_000.0)];
        let chart = lines(&series, window, PACE).unwrap();
        assert_eq!(path(&chart, "p50"), "M50.0 80.0L150.0 60.0M550.0 80.0h1");
        assert_eq!(path(&chart, "none"), "M200.0 0V100H500.0V0zM600.0 0V100H1000.0V0z");
        assert_eq!(chart.scale.join(" "), "50.0 ms 25.0 ms 0");
        roxmltree::Document::parse(&chart.plot.to_string()).unwrap();
    }

    #[test]
    fn a_monitor_that_is_looked_at_seldom_has_no_gaps_for_it() {
        let quarter = HOUR / 4;
        let every = |minutes: i32| -> Vec<Point> {
            let bin = |n: i32| n * minutes / 15 * 15;
            let point = |n| Point { since: Timestamp::UNIX_EPOCH + HOUR / 60 * bin(n), ..point(0, 1.0) };
            (0..(24 * 60 + minutes - 1) / minutes).map(point).collect()
        };
        let gaps = |series: &[Point]| {
            let pace = Pace::of(series, Period::Day);
            let chart = lines(series, Window { since: at(0), until: at(24) }, pace).unwrap();
            path(&chart, "none").matches('z').count()
        };
        assert_eq!(Pace::of(&every(15), Period::Day), Pace { width: quarter, patience: quarter });
        assert_eq!([15, 20, 25, 40, 60].map(|minutes| gaps(&every(minutes))), [0; 5]);
        let mut series = every(15);
        series.drain(30..31);
        series.drain(50..60);
        assert_eq!(gaps(&series), 2);
    }

    #[test]
    fn phases_stand_upon_each_other() {
        let chart = columns(&[point(0, 50_000.0)], at(1), PACE).unwrap();
        assert_eq!(path(&chart, "phase dns"), "M150.0 100.0V80.0H850.0V100.0z");
        assert_eq!(path(&chart, "phase body"), "M150.0 20.0V0.0H850.0V20.0z");
    }

    #[test]
    fn without_an_answer_there_is_no_chart() {
        assert!(lines(&[], Window { since: at(0), until: at(1) }, PACE).is_none());
        let bare = Point { phases_us: None, ..point(0, 1.0) };
        assert!(columns(&[bare], at(1), PACE).is_none());
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        assert_eq!(
            [0.0, 1_000.0, 1_001.0, 4_900.0, 5_001.0].map(round_above),
            [1.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0]
        );
    }
}
