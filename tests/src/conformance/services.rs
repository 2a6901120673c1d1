//! The contract of [`ServiceControl`].

use std::fmt::Debug;
use std::sync::Arc;

use backup_core::ports::services::{ServiceControl, ServiceError, ServiceState};

use super::run_checks;

const _: fn(&dyn ServiceControl) = |_| ();

/// Services to try: one that runs at first and can be stopped alone, and another one.
pub trait ServicesBench: Debug + Send + Sync + 'static {
    /// The services.
    fn services(&self) -> Arc<dyn ServiceControl>;
    /// The service that runs.
    fn name(&self) -> &'static str;
    /// The other one, which runs too.
    fn other(&self) -> &'static str;
    /// A third one, which runs and needs it; `None` where the system knows of no need.
    fn dependent(&mut self) -> Option<&'static str>;
    /// Makes its `stop` or `start` fail from now on.
    fn make_fail(&self, action: &'static str);
    /// Makes it work again.
    fn heal(&self);
    /// Makes its `stop` or `start` hang beyond its limit from now on; `false` where nothing can hang.
    fn make_hang(&self, action: &'static str) -> bool;
}

/// Checks a control of services.
pub async fn suite<B: ServicesBench>(make: impl Fn() -> B) {
    run_checks!(make: a_service_stops_and_starts, what_is_reached_already_is_fine, one_service_is_not_another,
        what_needs_a_service_is_told_and_stops_first, an_unknown_service_is_named,
        a_refusal_names_service_and_action, a_limit_is_kept, a_service_comes_back_after_a_failure);
}

async fn state(services: &Arc<dyn ServiceControl>, name: &str) -> ServiceState {
    services.state(name).await.expect("told")
}

async fn a_service_stops_and_starts(bench: impl ServicesBench) {
    let (services, name) = (bench.services(), bench.name());
    assert_eq!(state(&services, name).await, ServiceState::Running);
    for _ in 0..2 {
        services.stop(name).await.expect("stopped");
        assert_eq!(state(&services, name).await, ServiceState::Stopped, "the state is reached when the call returns");
        services.start(name).await.expect("started");
        assert_eq!(state(&services, name).await, ServiceState::Running, "the state is reached when the call returns");
    }
}

async fn what_is_reached_already_is_fine(bench: impl ServicesBench) {
    let (services, name) = (bench.services(), bench.name());
    services.start(name).await.expect("it runs already");
    assert_eq!(state(&services, name).await, ServiceState::Running);
    for _ in 0..2 {
        services.stop(name).await.expect("stopped");
    }
    assert_eq!(state(&services, name).await, ServiceState::Stopped);
    for _ in 0..2 {
        services.start(name).await.expect("started");
    }
    assert_eq!(state(&services, name).await, ServiceState::Running);
}

async fn one_service_is_not_another(bench: impl ServicesBench) {
    let services = bench.services();
    services.stop(bench.name()).await.expect("stopped");
    assert_eq!(state(&services, bench.other()).await, ServiceState::Running);
    services.stop(bench.other()).await.expect("stopped");
    services.start(bench.name()).await.expect("started");
    assert_eq!(state(&services, bench.other()).await, ServiceState::Stopped);
    services.start(bench.other()).await.expect("started");
}

async fn what_needs_a_service_is_told_and_stops_first(mut bench: impl ServicesBench) {
    let (services, name) = (bench.services(), bench.name());
    assert_eq!(services.dependents(bench.other()).await.expect("told"), [""; 0]);
    let Some(dependent) = bench.dependent() else {
        assert_eq!(services.dependents(name).await.expect("told"), [""; 0]);
        return;
    };
    assert_eq!(services.dependents(name).await.expect("told"), [dependent]);
    services.stop(name).await.expect_err("it is needed");
    assert_eq!(state(&services, dependent).await, ServiceState::Running, "nothing else goes down");
    services.stop(dependent).await.expect("stopped");
    assert_eq!(services.dependents(name).await.expect("told"), [""; 0], "it runs no more");
    services.stop(name).await.expect("nothing that runs needs it");
    services.start(name).await.expect("started");
    services.start(dependent).await.expect("started");
}

async fn an_unknown_service_is_named(bench: impl ServicesBench) {
    let services = bench.services();
    let unknown = "NO SUCH SERVICE";
    let dependents = services.dependents(unknown).await.map(drop);
    let errors = [
        services.state(unknown).await.map(drop),
        dependents,
        services.stop(unknown).await,
        services.start(unknown).await,
    ];
    for error in errors {
        let error = error.expect_err("there is none");
        assert!(matches!(&error, ServiceError::Unknown(named) if named == unknown), "{error}");
    }
}

async fn a_refusal_names_service_and_action(bench: impl ServicesBench) {
    let (services, name) = (bench.services(), bench.name());
    let failed = |error: &ServiceError, wanted: &str| matches!(error, ServiceError::Failed { name: named, action, .. } if named == name && *action == wanted);
    bench.make_fail("stop");
    let error = services.stop(name).await.expect_err("refused");
    assert!(failed(&error, "stop"), "{error}");
    assert_eq!(state(&services, bench.other()).await, ServiceState::Running, "the other one is not concerned");
    bench.heal();
    services.start(name).await.expect("whatever the stop has done");
    assert_eq!(state(&services, name).await, ServiceState::Running);
}

async fn a_limit_is_kept(bench: impl ServicesBench) {
    let (services, name) = (bench.services(), bench.name());
    if !bench.make_hang("stop") {
        return;
    }
    let error = services.stop(name).await.expect_err("it hangs");
    let timed_out = matches!(&error, ServiceError::TimedOut { name: named, action: "stop", .. } if named == name);
    assert!(timed_out, "{error}");
    bench.heal();
    services.start(name).await.expect("a stop that hung keeps nobody from starting");
    assert_eq!(state(&services, name).await, ServiceState::Running);
}

async fn a_service_comes_back_after_a_failure(bench: impl ServicesBench) {
    let (services, name) = (bench.services(), bench.name());
    services.stop(name).await.expect("stopped");
    bench.make_fail("start");
    let error = services.start(name).await.expect_err("refused");
    let failed = matches!(&error, ServiceError::Failed { name: named, action: "start", .. } if named == name);
    assert!(failed, "{error}");
    assert_eq!(state(&services, name).await, ServiceState::Stopped, "a failed start is not told as success");
    bench.heal();
    services.start(name).await.expect("started");
    assert_eq!(state(&services, name).await, ServiceState::Running);
}
