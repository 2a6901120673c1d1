//! Services of Windows' service control manager, alone and under a watchdog.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backup_core::config::ServiceConfig;
use backup_core::ports::services::ServiceControl;
use host::services::WindowsServices;
use host::watchdog::{WatchdogOptions, WatchedServices, serve};
use tempfile::TempDir;
use tests::conformance::services::ServicesBench;

use super::small::scratch;
use crate::windows_service::{TestService, argument};

/// Begins the argument that names a service of a watchdog, and the one that names its state folder.
const SERVICE: &str = "watchdog-service=";
const STATE: &str = "watchdog-state=";
/// Under Wine a service takes a second to start.
const LIMIT: Duration = Duration::from_secs(8);

/// Two services that run, and a third one that needs the first where the system knows of such needs.
#[derive(Debug)]
pub(super) struct Services {
    service: TestService,
    other: TestService,
    dependent: Option<TestService>,
    watched: bool,
    // Last: the services run while it is there.
    scratch: TempDir,
}

/// Is the watchdog when this program was started as one; as a test of its own it is empty.
#[tokio::test]
async fn as_watchdog() {
    let Some(state) = argument(STATE) else { return };
    let names: Vec<String> = env::args().filter_map(|text| text.strip_prefix(SERVICE).map(str::to_owned)).collect();
    let services = Arc::new(WindowsServices::new(configs(&names)));
    serve(services, &state).await.expect("this process can be a watchdog");
}

fn configs(names: &[String]) -> Vec<ServiceConfig> {
    names.iter().map(|name| ServiceConfig { name: name.clone(), commands: None, timeout: LIMIT }).collect()
}

/// Wine keeps what a service needs, and tells nobody.
fn knows_needs() -> bool {
    !Path::new(r"C:\windows\system32\winecfg.exe").exists()
}

impl Services {
    fn new(watched: bool) -> Self {
        let scratch = scratch();
        let service = TestService::running(scratch.path(), "A", &[]);
        let other = TestService::running(scratch.path(), "B", &[]);
        Self { service, other, dependent: None, watched, scratch }
    }

    pub(super) fn plain() -> Self {
        Self::new(false)
    }

    pub(super) fn watched() -> Self {
        Self::new(true)
    }
}

impl ServicesBench for Services {
    fn services(&self) -> Arc<dyn ServiceControl> {
        let names = [self.service.name(), self.other.name()].map(str::to_owned);
        let plain = Arc::new(WindowsServices::new(configs(&names)));
        if !self.watched {
            return plain;
        }
        let program = env::current_exe().expect("this program has a path");
        let mut command: Vec<OsString> = vec![program.into()];
        command
            .extend(["-q", "--exact", "--nocapture", "conformance::windows_services::as_watchdog"].map(OsString::from));
        command.push(format!("{STATE}{}", self.scratch.path().display()).into());
        command.extend(names.iter().map(|name| OsString::from(format!("{SERVICE}{name}"))));
        let options = WatchdogOptions {
            command,
            hold_limit: Duration::from_secs(3600),
            call_limit: LIMIT,
            shorter: Default::default(),
        };
        Arc::new(WatchedServices::new(plain, options, names.into()))
    }

    fn name(&self) -> &'static str {
        self.service.name()
    }

    fn other(&self) -> &'static str {
        self.other.name()
    }

    fn dependent(&mut self) -> Option<&'static str> {
        if !knows_needs() {
            return None;
        }
        let service = TestService::running(self.scratch.path(), "C", &[self.service.name()]);
        Some(self.dependent.insert(service).name())
    }

    /// A disabled service can be told to stop; it is not, for it could not be started.
    fn make_fail(&self, _action: &'static str) {
        self.service.set_disabled(true);
    }

    fn heal(&self) {
        self.service.set_disabled(false);
        self.service.set_hanging("stop", false);
        self.service.set_hanging("start", false);
    }

    fn make_hang(&self, action: &'static str) -> bool {
        self.service.set_hanging(action, true);
        true
    }
}
