//! How long the sites of a hierarchy can catch up from a backup: as long as SQL Server keeps change tracking data.
//!
//! A backup that is older is not worthless, but what it cannot tell is taken anew from other sites or lost. It is said before it happens.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::manifest::{DatabasePart, Manifest};
use crate::report::{Cause, Finding, Gravity};

/// How long the product has SQL Server keep change tracking data, unless somebody changed it.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(5 * 86_400);

/// The longest that is warned before the end. A site that is backed up twice a week, which is the least that the product asks for, lets its
/// snapshot become four days old: with five days of retention nobody is to be alarmed by that.
const NOTICE: Duration = Duration::from_secs(86_400);

/// How long change tracking data is kept, as the facts of a snapshot's database tell.
pub fn retention_in(part: &DatabasePart) -> Option<Duration> {
    let period: u64 = part.fact("change-tracking-retention").parse().ok()?;
    let seconds = match part.fact("change-tracking-units") {
        "DAYS" => 86_400,
        "HOURS" => 3600,
        "MINUTES" => 60,
        _ => return None,
    };
    period.checked_mul(seconds).map(Duration::from_secs)
}

/// How long it is kept for a snapshot: what configuration or database say now, else what the snapshot's database said then, else
/// [`DEFAULT_RETENTION`].
pub fn retention(told: Option<Duration>, snapshot: &Manifest) -> Duration {
    told.or_else(|| snapshot.database.as_ref().and_then(retention_in)).unwrap_or(DEFAULT_RETENTION)
}

/// The last moment at which change tracking reaches back to a backup of `moment`.
pub fn usable_until(moment: Timestamp, retention: Duration) -> Timestamp {
    // A retention that ends beyond the calendar does not end.
    moment.saturating_add(retention).unwrap_or(Timestamp::MAX)
}

/// Judges the age of the youngest good snapshot of a site in a hierarchy: an error when change tracking no longer reaches back to its
/// `moment`, a warning when less than a day is left, or less than a quarter of a retention of less than four days.
///
/// A clock that is behind hides the end; one that is ahead tells of it too early.
pub fn judge_age(moment: Timestamp, retention: Duration, now: Timestamp, zone: &TimeZone) -> Option<Finding> {
    let end = usable_until(moment, retention);
    let notice = SignedDuration::try_from(NOTICE.min(retention / 4)).unwrap_or_default();
    let (gravity, is, then) = match end.duration_since(now) {
        left if left.is_negative() => (Gravity::Error, "was", "change tracking no longer reaches back to it"),
        left if left < notice => (Gravity::Warning, "is", "after that change tracking does not reach back to it"),
        _ => return None,
    };
    let end = end.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z");
    let message = format!("the last good snapshot {is} usable until {end}: {then}, and other sites cannot catch up");
    Some(Finding::new(gravity, Cause::Snapshot, message).hint("`sitebackup backup` makes one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    fn judged(hours: u64, now: &str) -> Option<String> {
        let retention = Duration::from_secs(hours * 3600);
        let finding = judge_age(at("2026-03-01T03:00:00Z"), retention, at(now), &TimeZone::UTC)?;
        Some(format!("{:?}: {}", finding.gravity, finding.message))
    }

    #[test]
    fn the_end_is_told_before_it_comes() {
        assert_eq!(judged(120, "2026-03-05T03:00:00Z"), None, "four days are the age of two backups a week");
        insta::assert_snapshot!(judged(120, "2026-03-05T03:00:01Z").expect("less than a day is left"), @"Warning: the last good snapshot is usable until 2026-03-06 03:00:00 +00:00: after that change tracking does not reach back to it, and other sites cannot catch up");
        insta::assert_snapshot!(judged(120, "2026-03-06T03:00:00Z").expect("the last moment"), @"Warning: the last good snapshot is usable until 2026-03-06 03:00:00 +00:00: after that change tracking does not reach back to it, and other sites cannot catch up");
        insta::assert_snapshot!(judged(120, "2026-03-06T03:00:01Z").expect("it is past"), @"Error: the last good snapshot was usable until 2026-03-06 03:00:00 +00:00: change tracking no longer reaches back to it, and other sites cannot catch up");
        assert_eq!(judged(120, "2025-01-01T00:00:00Z"), None, "a clock that is behind");
    }

    #[test]
    fn a_short_retention_is_not_all_warning() {
        assert_eq!(judged(24, "2026-03-01T21:00:00Z"), None);
        assert!(judged(24, "2026-03-01T21:00:01Z").is_some_and(|text| text.starts_with("Warning")));
    }

    #[test]
    fn no_retention_is_too_long_for_the_calendar() {
        let moment = at("2026-03-01T03:00:00Z");
        assert_eq!(usable_until(moment, Duration::MAX), Timestamp::MAX);
        assert_eq!(judge_age(moment, Duration::MAX, at("2026-03-02T00:00:00Z"), &TimeZone::UTC), None);
    }
}
