//! The contract of [`Clock`].

use std::fmt::Debug;
use std::sync::Arc;

use backup_core::ports::clock::Clock;
use jiff::SignedDuration;
use uuid::Uuid;

use super::{blocking, run_checks};

const _: fn(&dyn Clock) = |_| ();

/// A clock to try.
pub trait ClockBench: Debug + Send + Sync + 'static {
    /// The clock.
    fn clock(&self) -> Arc<dyn Clock>;
}

/// Checks a clock.
pub async fn suite<B: ClockBench>(make: impl Fn() -> B) {
    run_checks!(make: time_does_not_run_back, later_ids_sort_after_earlier_ones, ids_of_many_threads_differ, zones_are_found_by_name,
        a_wait_ends_at_its_moment);
}

async fn time_does_not_run_back(bench: impl ClockBench) {
    let clock = bench.clock();
    let moments: Vec<_> = (0..100).map(|_| clock.now()).collect();
    assert!(moments.is_sorted());
    tokio::task::yield_now().await;
    assert!(clock.now() >= moments[99]);
}

async fn later_ids_sort_after_earlier_ones(bench: impl ClockBench) {
    let (clock, other) = (bench.clock(), bench.clock());
    let ids: Vec<Uuid> = (0..500).flat_map(|_| [clock.new_id(), other.new_id()]).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "each is later than the one before");
    let versions: Vec<usize> = ids.iter().map(Uuid::get_version_num).collect();
    assert_eq!(versions, [7; 1000]);
    tokio::task::yield_now().await;
    assert!(clock.new_id() > ids[999], "on whatever thread");
}

async fn ids_of_many_threads_differ(bench: impl ClockBench) {
    let clock = bench.clock();
    let take = || {
        let clock = Arc::clone(&clock);
        tokio::task::spawn_blocking(move || (0..500).map(|_| clock.new_id()).collect::<Vec<_>>())
    };
    let (first, second) = (take(), take());
    let mut ids = [first.await.expect("no panic"), second.await.expect("no panic")].concat();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
}

async fn zones_are_found_by_name(bench: impl ClockBench) {
    let clock = bench.clock();
    // The database of zones lies in files.
    blocking(move || {
        let utc = clock.zone("UTC").expect("every machine knows it");
        let noon = "2026-03-01T12:00:00Z".parse().expect("a timestamp");
        assert_eq!(utc.to_offset(noon).seconds(), 0);
        for name in ["Middle/Earth", "", "../../etc/passwd"] {
            assert_eq!(clock.zone(name).map(drop).expect_err("there is none").0, name);
        }
        drop(clock.local_zone());
    })
    .await;
}

async fn a_wait_ends_at_its_moment(bench: impl ClockBench) {
    let clock = bench.clock();
    clock.sleep_until(jiff::Timestamp::UNIX_EPOCH).await;
    clock.sleep_until(clock.now()).await;
    let soon = clock.now() + SignedDuration::from_millis(30);
    clock.sleep_until(soon).await;
    assert!(clock.now() >= soon);
}
