//! This machine: its clock, its zones, its name.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use backup_core::ports::clock::{Clock, UnknownZone};
use backup_core::status::ProcessFacts;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// A wait is cut into pieces of this length, for the wall clock may be set while it lasts.
const LONGEST_NAP: SignedDuration = SignedDuration::from_secs(30);

/// The system's clock and its database of zones.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn local_zone(&self) -> TimeZone {
        TimeZone::system()
    }

    fn zone(&self, name: &str) -> Result<TimeZone, UnknownZone> {
        TimeZone::get(name).map_err(|_| UnknownZone(name.to_owned()))
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    async fn sleep_until(&self, moment: Timestamp) {
        loop {
            let left = moment.duration_since(Timestamp::now());
            if left <= SignedDuration::ZERO {
                return;
            }
            let nap = left.min(LONGEST_NAP);
            tokio::time::sleep(Duration::try_from(nap).unwrap_or_default()).await;
        }
    }
}

/// The machine's name as it calls itself; empty where it has none.
pub fn machine_name() -> String {
    #[cfg(unix)]
    return rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    return std::env::var("COMPUTERNAME").unwrap_or_default();
}

/// The file whose lock keeps shadow copy sessions on this machine apart.
///
/// It lies where only root may make files and where they go when the machine starts; for other users, whose sessions do not concern those of root, in
/// their own folder of that kind; on Windows, where all services may write.
pub fn session_lock() -> PathBuf {
    #[cfg(unix)]
    let folder = match rustix::process::geteuid().is_root() {
        true => PathBuf::from("/run"),
        false => std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from),
    };
    #[cfg(not(unix))]
    let folder = std::env::var_os("ProgramData").map_or_else(std::env::temp_dir, PathBuf::from);
    folder.join("sitebackup-session.lock")
}

/// Who writes a log line: this machine, this process and the calling thread.
pub fn process_facts() -> ProcessFacts {
    ProcessFacts { machine: machine_name(), pid: std::process::id(), thread: thread_number() }
}

#[cfg(target_os = "linux")]
fn thread_number() -> u32 {
    u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap_or_default()
}

/// The standard library tells no thread number; the process's own stands in for its main thread.
#[cfg(not(target_os = "linux"))]
fn thread_number() -> u32 {
    std::process::id()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let ids: Vec<Uuid> = (0..1000).map(|_| SystemClock.new_id()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn an_unknown_zone_is_named() {
        let error = SystemClock.zone("Middle/Earth").expect_err("there is no such zone");
        assert_eq!(error.to_string(), "no time zone is named `Middle/Earth`");
        assert!(SystemClock.zone("UTC").is_ok());
    }

    #[tokio::test]
    async fn a_moment_that_has_passed_is_not_waited_for() {
        SystemClock.sleep_until(Timestamp::UNIX_EPOCH).await;
        let soon = Timestamp::now() + SignedDuration::from_millis(20);
        SystemClock.sleep_until(soon).await;
        assert!(Timestamp::now() >= soon);
    }

    #[test]
    fn the_machine_has_a_name() {
        assert!(!machine_name().is_empty());
        assert_ne!(process_facts().thread, 0);
    }
}
