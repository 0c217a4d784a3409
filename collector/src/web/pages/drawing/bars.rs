//! A monitor's hours or days as bars: what succeeded, what failed, and what no agent saw.
//!
//! ```text
//!   ▮   failed: from the top, and above what else there is
//! ▮ ▮
//! ▮ ≡   not seen: hatched
//! ▮ ▮   succeeded: from the bottom
//! ▮ ▮ · nothing was due: a dot
//! ```
//! A share differs by its place as well as by its colour. A bar that is not whole never looks whole: a failure or a gap
//! is at least two of twenty units high, however small its share, and what succeeded has the rest.

use std::fmt::{self, Display, Write};

use askama::filters::HtmlSafe;

use crate::figures::counts::Counts;
use crate::figures::overview::Bar;
use crate::figures::period::Period;
use crate::web::pages::words::{counted, grouped};
use crate::words::to_seconds;

/// The height of a bar that has no failures, and the smallest height of a share of it.
const WHOLE: i64 = 20;
const LEAST: i64 = 2;
/// The top and the foot of bars, in the same units. Bars with failures reach up to 0.
const TOP: i64 = 4;
const FOOT: i64 = TOP + WHOLE;

/// Bars as an SVG image, which is as wide as its place. Each kind of share is one path, so that the page of a thousand
/// monitors is small.
pub(in crate::web::pages) struct Bars<'a> {
    pub(in crate::web::pages) bars: &'a [Bar],
    pub(in crate::web::pages) period: Period,
    /// Whether each bar shows its numbers to a reader who points at it.
    pub(in crate::web::pages) tells: bool,
}

/// The heights of the shares of a bar. Together they are [`WHOLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heights {
    success: i64,
    unseen: i64,
    failed: i64,
}

impl Heights {
    fn of(counts: &Counts) -> Heights {
        let expected = counts.expected().max(1);
        let unseen = counts.unseen + counts.agent_errors;
        // Failures and gaps are rounded up, so that what succeeded is never higher than its share.
        let height = |share: i64| if share > 0 { ((share * WHOLE + expected - 1) / expected).max(LEAST) } else { 0 };
        let failed = height(counts.failed()).min(if unseen > 0 { WHOLE - LEAST } else { WHOLE });
        let unseen = height(unseen).min(WHOLE - failed);
        match counts.success {
            ..=0 if failed == 0 => Heights { success: 0, unseen: WHOLE, failed },
            ..=0 => Heights { success: 0, unseen, failed: WHOLE - unseen },
            _ => Heights { success: WHOLE - failed - unseen, unseen, failed },
        }
    }
}

/// The paths of all bars, by kind.
#[derive(Debug, Default)]
struct Paths {
    /// Neighbouring bars that succeeded wholly, as one stroke that is dashed into bars.
    whole: String,
    success: String,
    unseen: String,
    failed: String,
    /// Neighbouring bars with nothing due.
    nothing: String,
}

fn draw(bars: &[Bar]) -> Paths {
    let mut paths = Paths::default();
    let stroke = |path: &mut String, x: usize, from: i64, to: i64| {
        if from != to {
            // Writing to a string can't fail.
            write!(path, "M{x} {from}V{to}").unwrap_or_default();
        }
    };
    let kind = |bar: &Bar| match bar.counts {
        counts if counts.is_empty() => Kind::Nothing,
        counts if counts.success == counts.expected() => Kind::Whole,
        _ => Kind::Mixed,
    };
    let mut x = 0;
    for run in bars.chunk_by(|a, b| kind(a) == kind(b)) {
        match kind(&run[0]) {
            Kind::Whole => line(&mut paths.whole, x, run.len(), "14"),
            Kind::Nothing => line(&mut paths.nothing, x, run.len(), "23"),
            Kind::Mixed => {
                for (x, bar) in (x..).zip(run) {
                    let Heights { success, unseen, failed } = Heights::of(&bar.counts);
                    stroke(&mut paths.success, x, FOOT, FOOT - success);
                    stroke(&mut paths.unseen, x, FOOT - success, FOOT - success - unseen);
                    stroke(&mut paths.failed, x, FOOT - success - unseen, if failed > 0 { 0 } else { TOP });
                }
            }
        }
        x += run.len();
    }
    paths
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Whole,
    Mixed,
}

/// Draws a line at a height through this number of bars from the first one on. Bars are seven tenths of a unit wide.
fn line(path: &mut String, first: usize, bars: usize, y: &str) {
    let last = first + bars - 1;
    let from = if first == 0 { "-.35".to_owned() } else { format!("{}.65", first - 1) };
    write!(path, "M{from} {y}H{last}.35").unwrap_or_default();
}

impl Bars<'_> {
    /// Returns the text for readers who do not see the picture.
    fn in_words(&self) -> String {
        let count = |is: fn(&Counts) -> bool| self.bars.iter().filter(|bar| is(&bar.counts)).count();
        let parts = [
            (count(|it| !it.is_empty() && it.success == it.expected()), "up"),
            (count(|it| it.failed() > 0), "with failures"),
            (count(|it| it.unseen + it.agent_errors > 0), "not wholly seen"),
            (count(Counts::is_empty), "with nothing due"),
        ];
        let unit = if self.period == Period::Day { "hours" } else { "days" };
        let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        format!("{} {unit}: {}", self.bars.len(), parts.join(", "))
    }
}

/// Returns a bar in words, in one line.
pub(in crate::web::pages) fn bar_in_words(bar: &Bar) -> String {
    let Bar { since, counts } = bar;
    let mut words = to_seconds(*since).to_string();
    if counts.is_empty() {
        return words + ": nothing was due";
    }
    write!(words, ": {} of {} succeeded", grouped(counts.success), counted(counts.expected(), "check"))
        .unwrap_or_default();
    for (number, what) in
        [(counts.failed(), "failed"), (counts.unseen, "not seen"), (counts.agent_errors, "spoiled by agents")]
    {
        if number > 0 {
            write!(words, ", {} {what}", grouped(number)).unwrap_or_default();
        }
    }
    words
}

// The image contains only numbers and words of this program.
impl HtmlSafe for Bars<'_> {}

impl Display for Bars<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<svg class=\"bars\" viewBox=\"-.5 0 {} {FOOT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
            self.bars.len().max(1),
            self.in_words()
        )?;
        let paths = draw(self.bars);
        let kinds = [
            ("w", &paths.whole),
            ("s", &paths.success),
            ("g", &paths.unseen),
            ("f", &paths.failed),
            ("n", &paths.nothing),
        ];
        for (class, path) in kinds.into_iter().filter(|(_, path)| !path.is_empty()) {
            write!(f, "<path class=\"{class}\" d=\"{path}\"/>")?;
        }
        if self.tells {
            for (x, bar) in self.bars.iter().enumerate() {
                write!(f, "<path class=\"t\" d=\"M{x} 0V{FOOT}\"><title>{}</title></path>", bar_in_words(bar))?;
            }
        }
        f.write_str("</svg>")
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn bar(checks: i64, success: i64, agent_errors: i64, unseen: i64) -> Bar {
        Bar { since: Timestamp::UNIX_EPOCH, counts: Counts { checks, success, agent_errors, unseen } }
    }

    fn shown(bars: &[Bar]) -> String {
        Bars { bars, period: Period::Day, tells: false }.to_string()
    }

    #[test]
    fn neighbours_that_are_whole_are_one_stroke_and_empty_ones_another() {
        let bars = [bar(0, 0, 0, 0), bar(0, 0, 0, 0), bar(9, 9, 0, 0), bar(9, 9, 0, 0)];
        let svg = shown(&bars);
        assert!(
            svg.contains("<path class=\"w\" d=\"M1.65 14H3.35\"/><path class=\"n\" d=\"M-.35 23H1.35\"/></svg>"),
            "{svg}"
        );
        assert!(svg.contains("aria-label=\"4 hours: 2 up, 2 with nothing due\""), "{svg}");
    }

    #[test]
    fn no_share_that_no_one_saw_is_drawn_as_up() {
        for expected in 1..30 {
            for success in 0..=expected {
                for failed in 0..=expected - success {
                    for spoiled in 0..=(expected - success - failed).min(3) {
                        let unseen = expected - success - failed - spoiled;
                        let counts = bar(success + failed + spoiled, success, spoiled, unseen).counts;
                        let heights = Heights::of(&counts);
                        assert_eq!(heights.success + heights.unseen + heights.failed, WHOLE, "{counts:?}");
                        assert!(heights.success * expected <= success * WHOLE, "{counts:?}: {heights:?}");
                        assert_eq!(heights.unseen > 0, unseen + spoiled > 0, "{counts:?}: {heights:?}");
                        assert_eq!(heights.failed > 0, failed > 0, "{counts:?}: {heights:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_single_failure_of_many_checks_is_seen() {
        assert_eq!(Heights::of(&bar(1_440, 1_439, 0, 0).counts), Heights { success: 18, unseen: 0, failed: 2 });
        let svg = shown(&[bar(1_440, 1_439, 0, 0)]);
        assert!(svg.contains("class=\"s\" d=\"M0 24V6\"") && svg.contains("class=\"f\" d=\"M0 6V0\""), "{svg}");
    }

    #[test]
    fn an_hour_in_which_no_one_looked_is_a_gap() {
        let svg = shown(&[bar(0, 0, 0, 60), bar(60, 0, 60, 0)]);
        assert!(svg.contains("class=\"g\" d=\"M0 24V4M1 24V4\"") && !svg.contains("class=\"s\""), "{svg}");
        assert!(svg.contains("2 hours: 2 not wholly seen"), "{svg}");
    }

    #[test]
    fn who_points_at_a_bar_is_told_its_numbers() {
        let svg = Bars { bars: &[bar(1_500, 1_400, 40, 100)], period: Period::Day, tells: true }.to_string();
        let words =
            "1970-01-01T00:00:00Z: 1,400 of 1,600 checks succeeded, 60 failed, 100 not seen, 40 spoiled by agents";
        assert!(svg.contains(&format!("<title>{words}</title>")), "{svg}");
        roxmltree::Document::parse(&svg).unwrap();
    }
}
