//! When the task runs: days of the week and a window of the day, right across daylight-saving changes.

use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::ports::clock::{Clock, UnknownZone};

/// Whose clock the window is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleZone {
    /// The machine's.
    Local,
    /// UTC.
    Utc,
    /// That of an IANA name.
    Named(String),
}

impl ScheduleZone {
    /// The zone itself.
    ///
    /// # Errors
    /// [`UnknownZone`] for a name that the clock does not know.
    pub fn find(&self, clock: &dyn Clock) -> Result<TimeZone, UnknownZone> {
        match self {
            Self::Local => Ok(clock.local_zone()),
            Self::Utc => Ok(TimeZone::UTC),
            Self::Named(name) => clock.zone(name),
        }
    }
}

/// Days of the week and the window in which a run may begin.
///
/// A window whose latest begin is not after its begin reaches into the next day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The days on which a window begins.
    pub days: Vec<Weekday>,
    /// The earliest begin.
    pub begin: Time,
    /// The latest begin.
    pub latest_begin: Time,
    /// Whose clock it is.
    pub zone: ScheduleZone,
}

impl Default for Schedule {
    /// The product's: daily, between 02:00 and 05:00, local time.
    fn default() -> Self {
        let days = vec![
            Weekday::Sunday,
            Weekday::Monday,
            Weekday::Tuesday,
            Weekday::Wednesday,
            Weekday::Thursday,
            Weekday::Friday,
            Weekday::Saturday,
        ];
        let at = |hour| Time::new(hour, 0, 0, 0).expect("a whole hour is a time");
        Self { days, begin: at(2), latest_begin: at(5), zone: ScheduleZone::Local }
    }
}

/// One window: a run may begin from `begin` to `latest_begin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The earliest begin.
    pub begin: Timestamp,
    /// The latest begin.
    pub latest_begin: Timestamp,
}

impl Schedule {
    /// The window that begins on `date`; `None` when the day is not one of the schedule's.
    ///
    /// A time that a clock change skips is taken as that much later; one that comes twice as its first coming.
    pub fn window_on(&self, date: Date, zone: &TimeZone) -> Option<Window> {
        if !self.days.contains(&date.weekday()) {
            return None;
        }
        let last_day = if self.latest_begin > self.begin { date } else { date.tomorrow().ok()? };
        let at = |date: Date, time: Time| zone.to_timestamp(date.to_datetime(time)).ok();
        let begin = at(date, self.begin)?;
        let latest_begin = at(last_day, self.latest_begin)?;
        // A change in between can make a short window empty; it keeps its length then.
        let latest_begin = if latest_begin > begin { latest_begin } else { begin + self.length() };
        Some(Window { begin, latest_begin })
    }

    /// The window that is open at `now`, or the next one.
    pub fn next(&self, now: Timestamp, zone: &TimeZone) -> Option<Window> {
        self.around(now, zone).find(|window| window.latest_begin >= now)
    }

    /// The window that is open at `now`.
    pub fn open(&self, now: Timestamp, zone: &TimeZone) -> Option<Window> {
        self.next(now, zone).filter(|window| window.begin <= now)
    }

    /// Windows that closed after the last run began and before `now`, oldest first; at most the last week's.
    pub fn missed(&self, last_run: Option<Timestamp>, now: Timestamp, zone: &TimeZone) -> Vec<Window> {
        let closed = self.around(now, zone).filter(|window| window.latest_begin < now);
        closed.filter(|window| last_run.is_none_or(|run| run < window.begin)).collect()
    }

    /// The longest time between the begins of two windows.
    pub fn longest_gap(&self) -> Option<Duration> {
        let mut days: Vec<i64> = self.days.iter().map(|day| i64::from(day.to_sunday_zero_offset())).collect();
        days.sort_unstable();
        days.dedup();
        let first = *days.first()?;
        days.push(first + 7);
        let gap = days.windows(2).map(|pair| pair[1] - pair[0]).max()?;
        Some(Duration::from_secs(u64::try_from(gap).ok()? * 24 * 3600))
    }

    /// What is doubtful about the schedule of a site.
    pub fn warnings(&self, in_hierarchy: bool, change_tracking_retention: Option<Duration>) -> Vec<String> {
        let mut warnings = Vec::new();
        let Some(gap) = self.longest_gap() else {
            return vec!["the schedule has no day: the task never runs".to_owned()];
        };
        let mut days = self.days.clone();
        days.sort_by_key(|day| day.to_sunday_zero_offset());
        days.dedup();
        if in_hierarchy && days.len() < 2 {
            warnings.push("a site of a hierarchy should be backed up at least twice a week".to_owned());
        }
        if let Some(retention) = change_tracking_retention.filter(|retention| gap > *retention) {
            warnings.push(format!(
                "{} days pass between two runs, but change tracking keeps {} days: a backup can be too old to catch up from",
                gap.as_secs() / 86_400,
                retention.as_secs() / 86_400
            ));
        }
        warnings
    }

    fn around(&self, now: Timestamp, zone: &TimeZone) -> impl Iterator<Item = Window> {
        let today = zone.to_datetime(now).date();
        (-8..=8).filter_map(move |offset| {
            let date = today.checked_add(SignedDuration::from_hours(24 * offset)).ok()?;
            self.window_on(date, zone)
        })
    }

    fn length(&self) -> SignedDuration {
        let minutes = |time: Time| i64::from(time.hour()) * 60 + i64::from(time.minute());
        SignedDuration::from_mins((minutes(self.latest_begin) - minutes(self.begin)).rem_euclid(24 * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Berlin's rule, so that the tests need no database of zones.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a POSIX zone")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    fn schedule(begin: i8, latest: i8) -> Schedule {
        let time = |hour| Time::new(hour, 30, 0, 0).expect("a time");
        Schedule { begin: time(begin), latest_begin: time(latest), ..Schedule::default() }
    }

    fn check(schedule: &Schedule, now: &str, begin: &str, latest: &str) {
        let window = schedule.next(at(now), &berlin()).expect("there is a next window");
        assert_eq!((window.begin, window.latest_begin), (at(begin), at(latest)), "after {now}");
    }

    #[test]
    fn the_next_window_is_found_in_summer_and_in_winter() {
        check(&schedule(1, 4), "2026-07-01T12:00:00Z", "2026-07-01T23:30:00Z", "2026-07-02T02:30:00Z");
        check(&schedule(1, 4), "2026-12-01T12:00:00Z", "2026-12-02T00:30:00Z", "2026-12-02T03:30:00Z");
        check(&schedule(1, 4), "2026-12-02T01:00:00Z", "2026-12-02T00:30:00Z", "2026-12-02T03:30:00Z");
    }

    #[test]
    fn a_skipped_hour_moves_the_window_and_a_doubled_one_is_its_first() {
        // 02:30 does not exist on 29 March 2026: it is taken as 03:30 summer time.
        check(&schedule(2, 4), "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z");
        // 02:30 comes twice on 25 October 2026: the summer one counts.
        check(&schedule(2, 4), "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T03:30:00Z");
    }

    #[test]
    fn a_window_may_reach_over_midnight() {
        check(&schedule(22, 3), "2026-12-01T23:30:00Z", "2026-12-01T21:30:00Z", "2026-12-02T02:30:00Z");
    }

    #[test]
    fn missed_windows_are_those_that_closed_without_a_run() {
        let daily = schedule(1, 4);
        let missed = daily.missed(Some(at("2026-12-01T01:00:00Z")), at("2026-12-04T12:00:00Z"), &berlin());
        assert_eq!(missed.len(), 3);
        assert_eq!(missed[0].begin, at("2026-12-02T00:30:00Z"));
        assert!(daily.missed(Some(at("2026-12-04T01:00:00Z")), at("2026-12-04T12:00:00Z"), &berlin()).is_empty());
    }

    #[test]
    fn warnings_name_the_rule() {
        let retention = Some(Duration::from_secs(5 * 86_400));
        let weekly = Schedule { days: vec![Weekday::Sunday], ..Schedule::default() };
        assert_eq!(weekly.longest_gap(), Some(Duration::from_secs(7 * 86_400)));
        assert_eq!(weekly.warnings(true, retention).len(), 2);
        assert_eq!(weekly.warnings(false, retention).len(), 1);
        assert!(Schedule::default().warnings(true, retention).is_empty());
        assert_eq!(Schedule { days: vec![], ..Schedule::default() }.warnings(false, None).len(), 1);
    }
}
