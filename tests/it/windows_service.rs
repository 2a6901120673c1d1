//! Services of Windows: this test program, installed in the service control manager for as long as a test needs it.
//!
//! They are made and judged through the crate `windows-service`, which the product does not use.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use tests::poll_until;
use windows_service::service::{
    Service, ServiceAccess, ServiceControl, ServiceControlAccept, ServiceDependency, ServiceErrorControl,
    ServiceExitCode, ServiceInfo, ServiceStartType, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_service::{define_windows_service, service_dispatcher};

/// Begins the argument that names the folder of a service. To the test harness it is a filter that fits no test.
const FOLDER: &str = "service-folder=";
const LONG: Duration = Duration::from_secs(60);
const BRIEF: Duration = Duration::from_millis(50);

/// The value of an argument of this process that is no option of the test harness.
pub(crate) fn argument(start: &str) -> Option<PathBuf> {
    env::args().find_map(|argument| argument.strip_prefix(start).map(PathBuf::from))
}

/// Is a service when the service control manager started this program as one; as a test of its own it is empty.
#[test]
fn as_service() {
    if argument(FOLDER).is_some() {
        service_dispatcher::start("", service_main).expect("the service control manager started this");
    }
}

define_windows_service!(service_main, serve);

/// Runs until it is told to stop, or its folder is gone. While `hang-start-NAME` or `hang-stop-NAME` is in the folder it does not do
/// what it is told; what it does stands in `done`.
fn serve(arguments: Vec<OsString>) {
    let name = arguments[0].to_string_lossy().into_owned();
    let folder = argument(FOLDER).expect("it was started with one");
    let (sender, told) = channel();
    let handler = move |control| match control {
        ServiceControl::Stop => {
            let _at_its_end_already = sender.send(());
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    let handle = service_control_handler::register(&name, handler).expect("this is a service");
    report(handle, ServiceState::StartPending);
    hang(&folder.join(format!("hang-start-{name}")));
    note(&folder, &name, "started");
    report(handle, ServiceState::Running);
    while told.recv_timeout(BRIEF) == Err(RecvTimeoutError::Timeout) && folder.exists() {}
    report(handle, ServiceState::StopPending);
    hang(&folder.join(format!("hang-stop-{name}")));
    note(&folder, &name, "stopped");
    report(handle, ServiceState::Stopped);
}

fn hang(flag: &Path) {
    while flag.exists() {
        std::thread::sleep(BRIEF);
    }
}

fn note(folder: &Path, name: &str, what: &str) {
    let done = fs::OpenOptions::new().append(true).create(true).open(folder.join("done"));
    // Without its folder the test is over.
    let _unread = done.and_then(|mut file| writeln!(file, "{what} {name}"));
}

fn report(handle: ServiceStatusHandle, state: ServiceState) {
    let accepts =
        if state == ServiceState::Running { ServiceControlAccept::STOP } else { ServiceControlAccept::empty() };
    let status = ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: accepts,
        exit_code: ServiceExitCode::Win32(0),
        checkpoint: 0,
        // Longer than any test waits: whoever believes it does not end in time.
        wait_hint: Duration::from_secs(3600),
        process_id: None,
    };
    handle.set_service_status(status).expect("the service control manager listens");
}

/// An installed service. Dropped, it is stopped and removed.
#[derive(Debug)]
pub(crate) struct TestService {
    name: &'static str,
    folder: PathBuf,
}

impl TestService {
    /// Installs a service of a name of its own, stopped. Its folder must go before, or it runs on.
    pub(crate) fn install(folder: &Path, label: &str, needs: &[&str]) -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("SitebackupTest-{}-{number}-{label}", std::process::id());
        let access = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
        let manager = ServiceManager::local_computer(None::<&str>, access).expect("tests may make services");
        let info = info(&name, folder, ServiceStartType::OnDemand, needs);
        drop(manager.create_service(&info, ServiceAccess::ALL_ACCESS).expect("the name is new"));
        Self { name: name.leak(), folder: folder.to_owned() }
    }

    /// The same, running.
    pub(crate) fn running(folder: &Path, label: &str, needs: &[&str]) -> Self {
        let service = Self::install(folder, label, needs);
        service.open().start(&[""; 0]).expect("it starts");
        service.await_state(ServiceState::Running);
        service
    }

    /// Its name; lives as long as the tests, as the suites want it.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    fn open(&self) -> Service {
        let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT).expect("anybody may");
        manager.open_service(self.name, ServiceAccess::ALL_ACCESS).expect("it is installed")
    }

    /// What the service control manager says.
    pub(crate) fn state(&self) -> ServiceState {
        self.open().query_status().expect("it is installed").current_state
    }

    /// Waits until it is in this state.
    pub(crate) fn await_state(&self, state: ServiceState) {
        let reached = poll_until(LONG, || (self.state() == state).then_some(()));
        assert!(reached.is_some(), "`{}` is {:?} and not {state:?}", self.name, self.state());
    }

    /// Lets nobody start it, or anybody.
    pub(crate) fn set_disabled(&self, disabled: bool) {
        let start = if disabled { ServiceStartType::Disabled } else { ServiceStartType::OnDemand };
        self.open().change_config(&info(self.name, &self.folder, start, &[])).expect("it is installed");
    }

    /// Whether it does what it is told, `start` or `stop`.
    pub(crate) fn set_hanging(&self, action: &str, hangs: bool) {
        let flag = self.folder.join(format!("hang-{action}-{}", self.name));
        if hangs {
            fs::write(flag, "").expect("written");
        } else {
            drop(fs::remove_file(flag));
        }
    }
}

impl Drop for TestService {
    fn drop(&mut self) {
        self.set_hanging("start", false);
        self.set_hanging("stop", false);
        // One that does not run is removed at once, another one when it has stopped.
        let service = self.open();
        drop(service.stop());
        drop(service.delete());
    }
}

fn info(name: &str, folder: &Path, start_type: ServiceStartType, needs: &[&str]) -> ServiceInfo {
    let mut launch_arguments: Vec<OsString> =
        ["-q", "--exact", "windows_service::as_service"].map(OsString::from).into();
    let mut named = OsString::from(FOLDER);
    named.push(folder);
    launch_arguments.push(named);
    ServiceInfo {
        name: name.into(),
        display_name: name.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type,
        error_control: ServiceErrorControl::Ignore,
        executable_path: env::current_exe().expect("this program has a path"),
        launch_arguments,
        dependencies: needs.iter().map(|name| ServiceDependency::Service(name.into())).collect(),
        account_name: None,
        account_password: None,
    }
}
