//! The product's plan asks its file of this name whether a report says what should arrive. That file names diesel, too, so
//! the answer is given here.

use super::batch_plan::Report;

pub(super) fn is_schedule(report: &Report<'_>) -> bool {
    report.report.event.lists_monitors()
}
