//! Which archived snapshots of a site stay, which are forgotten, and why.
//!
//! A rule asks for snapshots and never for a deletion: a snapshot stays as long as any rule asks for it. Besides the policy's own rules,
//! pinned snapshots stay, the newest one, and the last good one.
//!
//! - Of each hour, day, ISO week, month and year of the zone that is given the *newest* snapshot stays, and a good one before a weaker
//!   one. Only those that hold a snapshot count: `daily = 7` is seven days with a snapshot, however far apart they are.
//! - `within` reaches back from the newest snapshot and not from the present: a site that was down for a month loses nothing by that.
//! - Every rule is applied twice, to all snapshots and to the good ones alone, so that a weaker one never costs a good one.
//! - A policy without a rule forgets nothing: one that nobody has set must not delete. `at_least` is a limit to the rules, and none itself.
//!
//! The clock decides one thing only: a snapshot of a moment that has not come yet stays and takes no other's place. So a clock that jumps
//! back forgets nothing more, and one that jumps ahead no more than if there were no clock.
//!
//! Forgetting is stable: judging what has stayed forgets nothing more, and pruning after every backup leaves what pruning once would, where
//! backups come in the order of their moments.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// What is to stay of one site's archived snapshots. A count of 0 is no rule.
///
/// With the first rule forgetting begins; every further one and every larger count keeps more, and never less.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetentionPolicy {
    /// So many of the newest.
    pub last: u32,
    /// One of each of so many hours.
    pub hourly: u32,
    /// One of each of so many days.
    pub daily: u32,
    /// One of each of so many ISO weeks, which begin on Monday.
    pub weekly: u32,
    /// One of each of so many months.
    pub monthly: u32,
    /// One of each of so many years.
    pub yearly: u32,
    /// All that are at most so much older than the newest.
    pub within: Option<Duration>,
    /// So many whatever the rules say: good ones before weaker ones, newer ones before older ones.
    ///
    /// It does not ask how many the rules keep, for then a rule that is added would forget what was kept to make up the number.
    pub at_least: u32,
}

/// An archived snapshot, as far as retention looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived<I> {
    /// Its id, which no other has.
    pub id: I,
    /// The moment that it holds.
    pub moment: Timestamp,
    /// Whether it is all that was asked for, and not weaker.
    pub is_good: bool,
    /// Whether somebody wants it to stay.
    pub is_pinned: bool,
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged<I> {
    /// The snapshot.
    pub snapshot: Archived<I>,
    /// Whether it stays, and why.
    pub decision: Decision<I>,
}

/// Whether a snapshot stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<I> {
    /// It stays, for all of these reasons; there is at least one.
    Keep(Vec<Reason>),
    /// It goes.
    Forget(Forgotten<I>),
}

/// Why a snapshot stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Somebody wants it to.
    Pinned,
    /// Its moment has not come yet.
    Future,
    /// The policy has no rule.
    NoRule,
    /// It is the newest.
    Newest,
    /// It is the newest good one.
    LastGood,
    /// It is one of the newest.
    Last(Place),
    /// It is not too old.
    Within {
        /// The oldest moment that stays.
        since: Timestamp,
    },
    /// It stands for an hour, a day, a week, a month or a year.
    Calendar {
        /// Which of these.
        period: Period,
        /// The one that it stands for, such as `2026-W09`.
        label: String,
        /// How many count before it.
        place: Place,
    },
    /// There are not enough without it.
    AtLeast(Place),
}

/// How far a rule has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub number: u32,
    /// What the policy says.
    pub of: u32,
    /// Whether good ones alone were counted.
    pub among_good: bool,
}

/// Why a snapshot goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forgotten<I> {
    /// Another one stands for its hour, day, week, month or year.
    Superseded {
        /// The other one.
        by: I,
        /// Which of these; the shortest that counts.
        period: Period,
        /// The one that they share.
        label: String,
    },
    /// Nothing asks for it.
    Unasked,
}

/// A stretch of the calendar that one snapshot stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// An hour; one that comes twice when the clock is set back is two.
    Hour,
    /// A day.
    Day,
    /// An ISO week.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    /// The name of its rule.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// What `moment` belongs to. Labels sort as their times do.
    fn label(self, moment: Timestamp, zone: &TimeZone) -> String {
        let format = match self {
            Self::Hour if comes_again(moment, zone) => "%Y-%m-%d %H:00 again",
            Self::Hour => "%Y-%m-%d %H:00",
            Self::Day => "%Y-%m-%d",
            Self::Week => "%G-W%V",
            Self::Month => "%Y-%m",
            Self::Year => "%Y",
        };
        zone.to_datetime(moment).strftime(format).to_string()
    }
}

/// Whether the clock has been set back and shows the time of `moment` for the second time.
fn comes_again(moment: Timestamp, zone: &TimeZone) -> bool {
    let shown = zone.to_ambiguous_timestamp(zone.to_datetime(moment)).offset();
    matches!(shown, AmbiguousOffset::Fold { after, .. } if after == zone.to_offset(moment))
}

impl RetentionPolicy {
    /// Whether no rule is set.
    pub fn is_empty(&self) -> bool {
        self.last == 0 && self.within.is_none() && self.calendar().iter().all(|(_, count)| *count == 0)
    }

    /// Judges the snapshots of one site, in whatever order they come, and returns them newest first. Hours and days are those of `zone`.
    pub fn judge<I: Clone + Ord>(
        &self,
        mut snapshots: Vec<Archived<I>>,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Vec<Judged<I>> {
        snapshots.sort_by(|a, b| (b.moment, &b.id).cmp(&(a.moment, &a.id)));
        let mut reasons = Reasons::new(&snapshots, now);
        reasons.of_any_policy(self.is_empty());
        reasons.last(self.last);
        if let Some(within) = self.within {
            reasons.within(within);
        }
        for (period, count) in self.calendar() {
            reasons.calendar(period, count, zone);
        }
        reasons.at_least(self.at_least);
        let decisions = reasons.decisions(zone);
        let judged = |(snapshot, decision)| Judged { snapshot, decision };
        snapshots.into_iter().zip(decisions).map(judged).collect()
    }

    fn calendar(&self) -> [(Period, u32); 5] {
        [
            (Period::Hour, self.hourly),
            (Period::Day, self.daily),
            (Period::Week, self.weekly),
            (Period::Month, self.monthly),
            (Period::Year, self.yearly),
        ]
    }
}

/// The reasons that are found, rule by rule. Snapshots are meant by their index, newest first.
struct Reasons<'a, I> {
    snapshots: &'a [Archived<I>],
    /// Those whose moment has come.
    present: Vec<usize>,
    /// The good ones of them.
    good: Vec<usize>,
    /// Those of each snapshot.
    found: Vec<Vec<Reason>>,
}

impl<'a, I: Clone> Reasons<'a, I> {
    fn new(snapshots: &'a [Archived<I>], now: Timestamp) -> Self {
        let present: Vec<usize> = (0..snapshots.len()).filter(|index| snapshots[*index].moment <= now).collect();
        let good = present.iter().copied().filter(|index| snapshots[*index].is_good).collect();
        Self { snapshots, present, good, found: vec![Vec::new(); snapshots.len()] }
    }

    fn of_any_policy(&mut self, is_empty: bool) {
        let future = self.snapshots.len() - self.present.len();
        for (index, snapshot) in self.snapshots.iter().enumerate() {
            let applies = [
                (snapshot.is_pinned, Reason::Pinned),
                (index < future, Reason::Future),
                (is_empty, Reason::NoRule),
                (self.present.first() == Some(&index), Reason::Newest),
                (self.good.first() == Some(&index), Reason::LastGood),
            ];
            self.found[index].extend(applies.into_iter().filter_map(|(applies, reason)| applies.then_some(reason)));
        }
    }

    /// Applies a rule to all snapshots and to the good ones alone; what both rounds keep has its reason from the first.
    fn apply(&mut self, rule: impl Fn(&[usize], bool) -> Vec<(usize, Reason)>) {
        let all: BTreeMap<usize, Reason> = rule(&self.present, false).into_iter().collect();
        let good = rule(&self.good, true).into_iter().filter(|(index, _)| !all.contains_key(index));
        let good: Vec<(usize, Reason)> = good.collect();
        for (index, reason) in all.into_iter().chain(good) {
            self.found[index].push(reason);
        }
    }

    fn last(&mut self, count: u32) {
        self.apply(|among, among_good| {
            places(among.iter().copied(), count, among_good, |_, place| Reason::Last(place))
        });
    }

    fn within(&mut self, within: Duration) {
        let snapshots = self.snapshots;
        self.apply(|among, _| {
            let Some(newest) = among.first() else { return Vec::new() };
            // A time that reaches back beyond the calendar keeps all.
            let since = snapshots[*newest].moment.saturating_sub(within).unwrap_or(Timestamp::MIN);
            let young = among.iter().filter(|index| snapshots[**index].moment >= since);
            young.map(|index| (*index, Reason::Within { since })).collect()
        });
    }

    fn calendar(&mut self, period: Period, count: u32, zone: &TimeZone) {
        let snapshots = self.snapshots;
        let label = |index: usize| period.label(snapshots[index].moment, zone);
        self.apply(|among, among_good| {
            let mut standing: BTreeMap<Reverse<String>, usize> = BTreeMap::new();
            for index in among.iter().copied() {
                let stands = standing.entry(Reverse(label(index))).or_insert(index);
                if !snapshots[*stands].is_good && snapshots[index].is_good {
                    *stands = index;
                }
            }
            let reason = |index, place| Reason::Calendar { period, label: label(index), place };
            places(standing.into_values(), count, among_good, reason)
        });
    }

    fn at_least(&mut self, count: u32) {
        let weaker = self.present.iter().copied().filter(|index| !self.snapshots[*index].is_good);
        let best = self.good.iter().copied().chain(weaker);
        for (index, reason) in places(best, count, false, |_, place| Reason::AtLeast(place)) {
            self.found[index].push(reason);
        }
    }

    fn decisions(self, zone: &TimeZone) -> Vec<Decision<I>> {
        let mut standing = BTreeMap::new();
        for (index, reasons) in self.found.iter().enumerate() {
            for reason in reasons {
                if let Reason::Calendar { period, label, .. } = reason {
                    standing.insert((*period, label.clone()), index);
                }
            }
        }
        let superseded = |snapshot: &Archived<I>| {
            let mut periods = [Period::Hour, Period::Day, Period::Week, Period::Month, Period::Year].into_iter();
            periods.find_map(|period| {
                let label = period.label(snapshot.moment, zone);
                let by = standing.get(&(period, label.clone()))?;
                Some(Forgotten::Superseded { by: self.snapshots[*by].id.clone(), period, label })
            })
        };
        let decision = |(snapshot, reasons): (&Archived<I>, Vec<Reason>)| match reasons.is_empty() {
            true => Decision::Forget(superseded(snapshot).unwrap_or(Forgotten::Unasked)),
            false => Decision::Keep(reasons),
        };
        self.snapshots.iter().zip(self.found).map(decision).collect()
    }
}

/// The first `count` snapshots, with their places as reasons.
fn places(
    snapshots: impl Iterator<Item = usize>,
    count: u32,
    among_good: bool,
    reason: impl Fn(usize, Place) -> Reason,
) -> Vec<(usize, Reason)> {
    let place = |number| Place { number, of: count, among_good };
    (1..=count).zip(snapshots).map(|(number, index)| (index, reason(index, place(number)))).collect()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let among = if self.among_good { " good ones" } else { "" };
        write!(f, "{} of {}{among}", self.number, self.of)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned => f.write_str("pinned"),
            Self::Future => f.write_str("its moment has not come yet: a clock is wrong, or was"),
            Self::NoRule => f.write_str("the policy has no rule"),
            Self::Newest => f.write_str("the newest"),
            Self::LastGood => f.write_str("the last good one"),
            Self::Last(place) => write!(f, "last {place}"),
            Self::Within { since } => write!(f, "within, since {}", since.strftime("%Y-%m-%d %H:%M:%S UTC")),
            Self::Calendar { period, label, place } => write!(f, "{} {place}: {label}", period.rule()),
            Self::AtLeast(place) => write!(f, "at-least {place}"),
        }
    }
}

impl<I: fmt::Display> fmt::Display for Forgotten<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superseded { by, period, label } => write!(f, "{}: `{by}` stands for {label}", period.rule()),
            Self::Unasked => f.write_str("no rule asks for it"),
        }
    }
}
