//! Commands and services, in the words of a Unix shell.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use backup_core::config::{ServiceCommands, ServiceConfig};
use backup_core::ports::commands::Commands;
use backup_core::ports::services::ServiceControl;
use host::commands::{AFTER_BACKUP, HostCommands};
use host::services::CommandServices;
use host::watchdog::{WatchdogOptions, WatchedServices, serve};
use tempfile::TempDir;
use tests::conformance::commands::CommandsBench;
use tests::conformance::services::ServicesBench;

use super::small::{Host, scratch};

impl CommandsBench for Host {
    fn commands(&self) -> Arc<dyn Commands> {
        Arc::new(HostCommands::new(self.0.path()))
    }

    fn has_shell(&self) -> bool {
        true
    }

    /// Written by a process that is gone: a file that another test's new child has open for writing cannot be executed.
    fn put_hook(&self, code: i32) {
        let script = format!(
            "printf '#!/bin/sh\\nprintf %%s \"$SAYS\"\\nexit {code}\\n' > {AFTER_BACKUP}; chmod 755 {AFTER_BACKUP}"
        );
        let status = Command::new("sh").args(["-c", &script]).current_dir(self.0.path()).status();
        assert!(status.expect("the shell starts").success());
    }

    fn break_hook(&self) -> bool {
        fs::write(self.0.path().join(AFTER_BACKUP), "#!/bin/sh\n").expect("written, but nobody may execute it");
        true
    }
}

const WATCHDOG_FOLDER: &str = "SITEBACKUP_CONFORMANCE_WATCHDOG";
const SERVICE_LIMIT: Duration = Duration::from_secs(6);

/// Two services, each running while a file exists.
#[derive(Debug)]
pub(super) struct Services {
    scratch: TempDir,
    watched: bool,
}

/// Is the watchdog when this program was started as one; as a test of its own it is empty.
#[tokio::test]
async fn as_watchdog() {
    let Some(folder) = env::var_os(WATCHDOG_FOLDER) else { return };
    let folder = PathBuf::from(folder);
    let services = Arc::new(CommandServices::new(configs(&folder)));
    serve(services, &folder).await.expect("this process can be a watchdog");
}

fn configs(folder: &Path) -> Vec<ServiceConfig> {
    let sh = |script: String| {
        vec!["sh".to_owned(), "-c".to_owned(), format!("cd '{}' || exit 9; {script}", folder.display())]
    };
    let config = |name: &str| {
        let wrong = |action: &str| {
            format!("while test -e hang-{name}-{action}; do sleep 0.05; done; test -e fail-{name}-{action} && exit 1; ")
        };
        ServiceConfig {
            name: name.to_owned(),
            commands: Some(ServiceCommands {
                stop: sh(format!("{}rm -f run-{name}", wrong("stop"))),
                start: sh(format!("{}: > run-{name}", wrong("start"))),
                state: sh(format!("test -e run-{name} || exit 3")),
            }),
            timeout: SERVICE_LIMIT,
        }
    };
    vec![config("A"), config("B")]
}

impl Services {
    fn new(watched: bool) -> Self {
        let services = Self { scratch: scratch(), watched };
        services.put("run-A");
        services.put("run-B");
        services
    }

    pub(super) fn plain() -> Self {
        Self::new(false)
    }

    pub(super) fn watched() -> Self {
        Self::new(true)
    }

    fn put(&self, name: &str) {
        fs::write(self.scratch.path().join(name), "").expect("written");
    }

    fn watchdog(&self) -> Vec<OsString> {
        let folder = format!("{WATCHDOG_FOLDER}={}", self.scratch.path().display());
        let program = env::current_exe().expect("this program has a path");
        let mut argv: Vec<OsString> = vec!["env".into(), folder.into(), program.into()];
        argv.extend(["-q", "--exact", "--nocapture", "conformance::shell::as_watchdog"].map(OsString::from));
        argv
    }
}

impl ServicesBench for Services {
    fn services(&self) -> Arc<dyn ServiceControl> {
        let plain = Arc::new(CommandServices::new(configs(self.scratch.path())));
        if !self.watched {
            return plain;
        }
        let hold_limit = Duration::from_secs(3600);
        let options = WatchdogOptions {
            command: self.watchdog(),
            hold_limit,
            call_limit: SERVICE_LIMIT,
            shorter: Default::default(),
        };
        Arc::new(WatchedServices::new(plain, options, vec!["B".to_owned(), "A".to_owned()]))
    }

    fn name(&self) -> &'static str {
        "A"
    }

    fn other(&self) -> &'static str {
        "B"
    }

    fn dependent(&mut self) -> Option<&'static str> {
        None
    }

    fn make_fail(&self, action: &'static str) {
        self.put(&format!("fail-A-{action}"));
    }

    fn heal(&self) {
        for name in ["fail-A-stop", "fail-A-start", "hang-A-stop", "hang-A-start"] {
            drop(fs::remove_file(self.scratch.path().join(name)));
        }
    }

    fn make_hang(&self, action: &'static str) -> bool {
        self.put(&format!("hang-A-{action}"));
        true
    }
}
