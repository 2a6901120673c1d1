//! Services that need one which a run stops.

use super::*;
use crate::ports::journal::JournalRecord;
use crate::ports::services::ServiceState;
use crate::report::Outcome;

/// A service that needs another one stops before it and starts after it, known to the journal before the first stop.
#[test]
fn services_that_need_a_stopped_one_stop_before_it_and_come_back() {
    let world = World::new();
    {
        let mut state = world.lock();
        let [manager, first, second] = ["SMS_SITE_COMPONENT_MANAGER", "FIRST", "SECOND"].map(str::to_owned);
        state.services.insert(first.clone(), ServiceState::Running);
        state.services.insert(second.clone(), ServiceState::Running);
        state.services.insert("IDLE".to_owned(), ServiceState::Stopped);
        state.dependents.insert(manager, vec![first.clone(), "IDLE".to_owned()]);
        state.dependents.insert(first, vec![second]);
    }
    assert_eq!(backup(&world).outcome, Outcome::Done);
    let records = block_on(world.ports().journal.read()).expect("memory reads");
    let start = records.iter().find_map(|record| match record {
        JournalRecord::ServicesStopping { start, .. } => Some(start.as_slice()),
        _ => None,
    });
    let expect = ["SMS_SITE_COMPONENT_MANAGER", "SMS_EXECUTIVE", "FIRST", "SECOND"].map(str::to_owned);
    assert_eq!(start, Some(expect.as_slice()));
    let mut state = world.lock();
    assert_eq!(state.services.remove("IDLE"), Some(ServiceState::Stopped), "it did not run before");
    assert!(state.services.values().all(|state| *state == ServiceState::Running), "{:?}", state.services);
}
