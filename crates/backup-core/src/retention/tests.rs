//! What stays, by example and for any snapshots.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

const DAY: i64 = 86_400;
/// Sunday, 1 March 2026, 03:00 UTC.
const BEGIN: i64 = 1_772_334_000;

fn zone(rule: &str) -> TimeZone {
    TimeZone::posix(rule).expect("a POSIX zone")
}

fn berlin() -> TimeZone {
    zone("CET-1CEST,M3.5.0,M10.5.0/3")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

fn good(id: &'static str, moment: &str) -> Archived<&'static str> {
    Archived { id, moment: at(moment), is_good: true, is_pinned: false }
}

fn weaker(id: &'static str, moment: &str) -> Archived<&'static str> {
    Archived { is_good: false, ..good(id, moment) }
}

/// The decisions, as people read them.
fn explained(policy: &RetentionPolicy, snapshots: &[Archived<&'static str>], zone: &TimeZone) -> String {
    let line = |judged: Judged<&str>| {
        let why = match judged.decision {
            Decision::Keep(reasons) => reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            Decision::Forget(why) => format!("goes: {why}"),
        };
        format!("{}  {why}\n", judged.snapshot.id)
    };
    policy.judge(snapshots.to_vec(), at("2027-01-05T00:00:00Z"), zone).into_iter().map(line).collect()
}

#[test]
fn every_decision_is_explained() {
    let pinned = Archived { is_pinned: true, ..good("a", "2025-06-01T03:00:00Z") };
    let snapshots = [
        pinned,
        good("b", "2026-02-27T03:00:00Z"),
        good("c", "2026-02-28T03:00:00Z"),
        good("d", "2026-03-01T03:00:00Z"),
        weaker("e", "2026-03-01T20:00:00Z"),
        weaker("f", "2026-03-01T22:00:00Z"),
        weaker("g", "2028-01-01T00:00:00Z"),
    ];
    let policy = RetentionPolicy { daily: 2, monthly: 1, at_least: 2, ..RetentionPolicy::default() };
    insta::assert_snapshot!(explained(&policy, &snapshots, &TimeZone::UTC), @"
    g  its moment has not come yet: a clock is wrong, or was
    f  the newest
    e  goes: daily: `d` stands for 2026-03-01
    d  the last good one; daily 1 of 2: 2026-03-01; monthly 1 of 1: 2026-03; at-least 1 of 2
    c  daily 2 of 2: 2026-02-28; at-least 2 of 2
    b  goes: no rule asks for it
    a  pinned
    ");
    let policy =
        RetentionPolicy { last: 1, within: Some(Duration::from_secs(3600)), at_least: 2, ..RetentionPolicy::default() };
    insta::assert_snapshot!(explained(&policy, &snapshots, &TimeZone::UTC), @"
    g  its moment has not come yet: a clock is wrong, or was
    f  the newest; last 1 of 1; within, since 2026-03-01 21:00:00 UTC
    e  goes: no rule asks for it
    d  the last good one; last 1 of 1 good ones; within, since 2026-03-01 02:00:00 UTC; at-least 1 of 2
    c  at-least 2 of 2
    b  goes: no rule asks for it
    a  pinned
    ");
    let nothing = RetentionPolicy { at_least: 1, ..RetentionPolicy::default() };
    insta::assert_snapshot!(explained(&nothing, &snapshots[..2], &TimeZone::UTC), @"
    b  the policy has no rule; the newest; the last good one; at-least 1 of 1
    a  pinned; the policy has no rule
    ");
}

#[test]
fn hours_days_and_weeks_are_those_of_the_zone() {
    // 02:30 comes twice in Berlin on 25 October 2026, and both are hours of their own.
    let autumn =
        [good("a", "2026-10-25T00:30:00Z"), good("b", "2026-10-25T01:10:00Z"), good("c", "2026-10-25T01:30:00Z")];
    let hourly = RetentionPolicy { hourly: 5, ..RetentionPolicy::default() };
    insta::assert_snapshot!(explained(&hourly, &autumn, &berlin()), @"
    c  the newest; the last good one; hourly 1 of 5: 2026-10-25 02:00 again
    b  goes: hourly: `c` stands for 2026-10-25 02:00 again
    a  hourly 2 of 5: 2026-10-25 02:00
    ");
    // Berlin's 1 March begins at 23:00 UTC.
    let midnight = [good("a", "2026-02-28T22:59:59Z"), good("b", "2026-02-28T23:00:00Z")];
    let daily = RetentionPolicy { daily: 5, ..RetentionPolicy::default() };
    insta::assert_snapshot!(explained(&daily, &midnight, &berlin()), @"
    b  the newest; the last good one; daily 1 of 5: 2026-03-01
    a  daily 2 of 5: 2026-02-28
    ");
    // The last days of 2026 and the first of 2027 are of one ISO week, and of two years.
    let new_year = [good("a", "2026-12-31T12:00:00Z"), good("b", "2027-01-01T12:00:00Z")];
    let weekly = RetentionPolicy { weekly: 5, ..RetentionPolicy::default() };
    insta::assert_snapshot!(explained(&weekly, &new_year, &berlin()), @"
    b  the newest; the last good one; weekly 1 of 5: 2026-W53
    a  goes: weekly: `b` stands for 2026-W53
    ");
    let yearly = RetentionPolicy { yearly: 5, ..RetentionPolicy::default() };
    insta::assert_snapshot!(explained(&yearly, &new_year, &berlin()), @"
    b  the newest; the last good one; yearly 1 of 5: 2027
    a  yearly 2 of 5: 2026
    ");
}

type Snapshots = Vec<Archived<usize>>;

fn snapshots() -> impl Strategy<Value = Snapshots> {
    // Minutes of a day and days of three years, so that hours, days, weeks, months and years are shared and are not.
    let minutes = prop_oneof![0..120i64, 0..1440i64];
    let days = prop_oneof![0..3i64, 0..40i64, 0..1000i64];
    let snapshot = (days, minutes, prop::bool::weighted(0.6), prop::bool::weighted(0.1));
    vec(snapshot, 0..24).prop_map(|snapshots| {
        let archived = |(id, (days, minutes, is_good, is_pinned))| {
            let moment = Timestamp::from_second(BEGIN + days * DAY + minutes * 60).expect("a moment");
            Archived { id, moment, is_good, is_pinned }
        };
        snapshots.into_iter().enumerate().map(archived).collect()
    })
}

fn any_policy() -> impl Strategy<Value = RetentionPolicy> {
    let count = || prop_oneof![2 => Just(0u32), 1 => 1..5u32];
    let within = option::weighted(0.3, (0..60 * 24u64).prop_map(|hours| Duration::from_secs(hours * 3600)));
    let calendar = (count(), count(), count(), count(), count());
    (count(), calendar, within, count()).prop_map(|(last, calendar, within, at_least)| {
        let (hourly, daily, weekly, monthly, yearly) = calendar;
        RetentionPolicy { last, hourly, daily, weekly, monthly, yearly, within, at_least }
    })
}

fn policy_with_a_rule() -> impl Strategy<Value = RetentionPolicy> {
    any_policy().prop_map(|policy| if policy.is_empty() { RetentionPolicy { last: 1, ..policy } } else { policy })
}

fn any_zone() -> impl Strategy<Value = TimeZone> {
    // The last one sets its clock back across midnight, so that a day is left and entered again.
    let rules = [
        "UTC0",
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "LHST-10:30LHDT-11,M10.1.0,M4.1.0",
        "NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01",
    ];
    prop::sample::select(rules.to_vec()).prop_map(zone)
}

/// A present moment, from before all snapshots to after them.
fn now() -> impl Strategy<Value = Timestamp> {
    (-1..1002i64).prop_map(|days| Timestamp::from_second(BEGIN + days * DAY).expect("a moment"))
}

fn kept(policy: &RetentionPolicy, snapshots: &[Archived<usize>], now: Timestamp, zone: &TimeZone) -> BTreeSet<usize> {
    let judged = policy.judge(snapshots.to_vec(), now, zone);
    assert_eq!(judged.len(), snapshots.len());
    let stays = |judged: Judged<usize>| match judged.decision {
        Decision::Keep(reasons) => {
            assert!(!reasons.is_empty());
            Some(judged.snapshot.id)
        }
        Decision::Forget(_) => None,
    };
    judged.into_iter().filter_map(stays).collect()
}

fn of(snapshots: &[Archived<usize>], ids: &BTreeSet<usize>) -> Snapshots {
    snapshots.iter().filter(|snapshot| ids.contains(&snapshot.id)).cloned().collect()
}

fn newest<'a>(snapshots: impl Iterator<Item = &'a Archived<usize>>) -> Option<usize> {
    snapshots.max_by_key(|snapshot| (snapshot.moment, snapshot.id)).map(|snapshot| snapshot.id)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_must_stay_stays(policy in any_policy(), snapshots in snapshots(), now in now(), zone in any_zone()) {
        let kept = kept(&policy, &snapshots, now, &zone);
        let has_come = |snapshot: &&Archived<usize>| snapshot.moment <= now;
        prop_assert!(newest(snapshots.iter().filter(|s| s.is_good)).is_none_or(|id| kept.contains(&id)), "the last good one");
        let good = newest(snapshots.iter().filter(has_come).filter(|s| s.is_good));
        prop_assert!(good.is_none_or(|id| kept.contains(&id)), "the last good one that has come");
        prop_assert!(newest(snapshots.iter().filter(has_come)).is_none_or(|id| kept.contains(&id)), "the newest");
        for snapshot in &snapshots {
            prop_assert!(!(snapshot.is_pinned || snapshot.moment > now) || kept.contains(&snapshot.id));
        }
        let enough = snapshots.iter().filter(has_come).count().min(policy.at_least as usize);
        prop_assert!(snapshots.iter().filter(has_come).filter(|s| kept.contains(&s.id)).count() >= enough, "at least");
        prop_assert!(!policy.is_empty() || kept.len() == snapshots.len(), "no rule forgets nothing");
    }

    #[test]
    fn more_of_a_rule_forgets_nothing_more(
        policy in policy_with_a_rule(), more in any_policy(), snapshots in snapshots(), now in now(), zone in any_zone(),
    ) {
        let larger = RetentionPolicy {
            last: policy.last + more.last,
            hourly: policy.hourly + more.hourly,
            daily: policy.daily + more.daily,
            weekly: policy.weekly + more.weekly,
            monthly: policy.monthly + more.monthly,
            yearly: policy.yearly + more.yearly,
            within: policy.within.max(more.within),
            at_least: policy.at_least + more.at_least,
        };
        let (less, more) = (kept(&policy, &snapshots, now, &zone), kept(&larger, &snapshots, now, &zone));
        prop_assert!(less.is_subset(&more), "{less:?} and {more:?}");
    }

    #[test]
    fn order_does_not_matter(
        policy in any_policy(),
        (snapshots, shuffled) in snapshots().prop_flat_map(|snapshots| (Just(snapshots.clone()), Just(snapshots).prop_shuffle())),
        now in now(),
    ) {
        prop_assert_eq!(policy.judge(snapshots, now, &berlin()), policy.judge(shuffled, now, &berlin()));
    }

    #[test]
    fn what_stayed_stays(policy in any_policy(), snapshots in snapshots(), now in now(), zone in any_zone()) {
        let once = kept(&policy, &snapshots, now, &zone);
        prop_assert_eq!(&kept(&policy, &of(&snapshots, &once), now, &zone), &once);
    }

    #[test]
    fn pruning_after_every_backup_leaves_what_pruning_once_does(
        policy in any_policy(), mut snapshots in snapshots(), zone in any_zone(),
    ) {
        snapshots.sort_by_key(|snapshot| (snapshot.moment, snapshot.id));
        let mut left = Snapshots::new();
        for snapshot in &snapshots {
            left.push(snapshot.clone());
            let stays = kept(&policy, &left, snapshot.moment, &zone);
            left.retain(|snapshot| stays.contains(&snapshot.id));
        }
        let left: BTreeSet<usize> = left.iter().map(|snapshot| snapshot.id).collect();
        let once = kept(&policy, &snapshots, Timestamp::MAX, &zone);
        prop_assert_eq!(left, once);
    }

    #[test]
    fn a_clock_that_jumps_back_forgets_nothing_more(
        policy in any_policy(), snapshots in snapshots(), nows in (now(), now()), zone in any_zone(),
    ) {
        let (back, ahead) = (nows.0.min(nows.1), nows.0.max(nows.1));
        let (back, ahead) = (kept(&policy, &snapshots, back, &zone), kept(&policy, &snapshots, ahead, &zone));
        prop_assert!(ahead.is_subset(&back), "{ahead:?} and {back:?}");
    }

    #[test]
    fn weaker_snapshots_cost_no_good_one(policy in any_policy(), snapshots in snapshots(), now in now(), zone in any_zone()) {
        let good: Snapshots = snapshots.iter().filter(|snapshot| snapshot.is_good).cloned().collect();
        let (alone, beside) = (kept(&policy, &good, now, &zone), kept(&policy, &snapshots, now, &zone));
        prop_assert!(alone.is_subset(&beside), "{alone:?} and {beside:?}");
    }

    #[test]
    fn a_pin_costs_no_other(policy in any_policy(), snapshots in snapshots(), now in now(), zone in any_zone()) {
        let unpinned: Snapshots = snapshots.iter().map(|s| Archived { is_pinned: false, ..s.clone() }).collect();
        let (without, with) = (kept(&policy, &unpinned, now, &zone), kept(&policy, &snapshots, now, &zone));
        prop_assert!(without.is_subset(&with), "{without:?} and {with:?}");
    }

    #[test]
    fn a_pause_costs_nothing(policy in any_policy(), snapshots in snapshots(), pause in 0..1000i64) {
        let last = snapshots.iter().map(|snapshot| snapshot.moment).max().unwrap_or(Timestamp::UNIX_EPOCH);
        let later = last + SignedDuration::from_hours(24 * pause);
        prop_assert_eq!(policy.judge(snapshots.clone(), last, &berlin()), policy.judge(snapshots, later, &berlin()));
    }
}
