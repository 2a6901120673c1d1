//! A running sample site with the program, for the tests of this binary.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::program::{Program, Ran};
use tests::{Counters, JournalMode, SampleSite, SampleSiteOptions, Workload, poll_until, read_counters};

/// A small sample site in a scratch folder; removed with its processes at the end.
pub(crate) struct TestSite {
    pub(crate) site: SampleSite,
    pub(crate) program: Program,
    // Dropped before the folder: it ends the processes that write there.
    pub(crate) workload: Workload,
    scratch: TempDir,
}

/// The workload's program.
pub(crate) fn workload_program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_workload"))
}

/// Before Windows 10, and under Wine, a read-only file stays where it is.
#[cfg(windows)]
fn allow_removal(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("listed")) {
        let facts = entry.metadata().expect("examined");
        if facts.is_dir() {
            allow_removal(&entry.path());
        } else if facts.permissions().readonly() {
            let mut permissions = facts.permissions();
            #[expect(clippy::permissions_set_readonly_false, reason = "Windows has a bit for it")]
            permissions.set_readonly(false);
            std::fs::set_permissions(entry.path(), permissions).expect("set");
        }
    }
}

/// Where an entry goes in a recovery to another place.
fn place_of(path: &Path) -> PathBuf {
    use std::path::Component;
    let place = |component: Component<'_>| match component {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::Prefix(drive) => Some(PathBuf::from(drive.as_os_str().to_string_lossy().trim_end_matches(':'))),
        _ => None,
    };
    path.components().filter_map(place).collect()
}

impl TestSite {
    /// The site with its workload running.
    pub(crate) fn running(journal_mode: JournalMode, extra_files: u32) -> Self {
        Self::with(SampleSiteOptions { journal_mode, extra_files, workload: workload_program(), ..Default::default() })
    }

    /// The site that `options` describe, with its workload running.
    pub(crate) fn with(options: SampleSiteOptions) -> Self {
        Self::within(TempDir::new().expect("a scratch folder"), options)
    }

    /// The same in a scratch folder of the caller's.
    pub(crate) fn within(scratch: TempDir, options: SampleSiteOptions) -> Self {
        let site = SampleSite::build(scratch.path(), &options).expect("the site is built");
        let workload = Workload::start(&site, &options.workload, options.extra_files).expect("the workload starts");
        Self { site, program: Program::build(), workload, scratch }
    }

    /// The program with its site file.
    pub(crate) fn args<'a>(&self, args: &[&'a str]) -> Vec<std::ffi::OsString> {
        let mut all: Vec<std::ffi::OsString> = vec!["--site".into(), self.site.site_toml().into()];
        all.extend(args.iter().map(|arg: &&'a str| std::ffi::OsString::from(arg)));
        all
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.program.run(self.args(args))
    }

    /// One backup; its exit code must be `expect`.
    pub(crate) fn backup(&self, expect: i32) -> Ran {
        let ran = self.run(&["backup"]);
        assert_eq!(ran.code, expect, "{ran:#?}");
        ran
    }

    /// Recovers the newest snapshot into `scratch/NAME` and reads the numbers there.
    pub(crate) fn recover_to(&self, name: &str) -> Counters {
        self.counters_in(&self.recover_tree(name))
    }

    /// Recovers the newest snapshot into `scratch/NAME`.
    pub(crate) fn recover_tree(&self, name: &str) -> PathBuf {
        let to = self.scratch.path().join(name);
        std::fs::create_dir(&to).expect("a new folder");
        let ran = self.run(&["recover", "--to", to.to_str().expect("a Unicode path")]);
        assert_eq!(ran.code, 0, "{ran:#?}");
        to
    }

    /// Where a path of the site is in a recovered tree.
    #[cfg(unix)]
    pub(crate) fn place_in(&self, to: &Path, path: &Path) -> PathBuf {
        to.join(place_of(path))
    }

    /// Backs the site up so often while it works; each backup, which `judge` sees too, must be of one moment, and later than the one before.
    pub(crate) fn every_backup_is_of_one_moment(&self, rounds: u32, judge: impl Fn(&Ran)) {
        let mut last = 0;
        for round in 0..rounds {
            self.workload.wait_for_progress().expect("the site works");
            judge(&self.backup(0));
            let name = format!("round-{round}");
            let counters = self.recover_to(&name);
            assert!(counters.agree(), "round {round}: {counters}; {}", self.log_end(&name));
            assert!(counters.highest() > last, "round {round}: {counters} after {last}");
            last = counters.highest();
            self.forget(&name);
        }
    }

    /// The numbers in a recovered tree.
    pub(crate) fn counters_in(&self, to: &Path) -> Counters {
        let below = |path: &Path| to.join(place_of(path));
        let registry = to.join("registry/SMSbkSiteRegSMS.dat");
        let counters = read_counters(&below(&self.site.install_dir()), &below(&self.site.database()), &registry);
        counters.expect("the recovered numbers can be read")
    }

    /// How the recovered log ends: of one that is torn it tells whether numbers are missing, or something else stands in their place.
    fn log_end(&self, name: &str) -> String {
        let log = place_of(&self.site.install_dir().join("Logs/counter.log"));
        let content = std::fs::read(self.scratch.path().join(name).join(log)).unwrap_or_default();
        let end = &content[content.len().saturating_sub(200)..];
        format!("the log has {} bytes and ends with `{}`", content.len(), end.escape_ascii())
    }

    /// Removes what `recover_to` made.
    pub(crate) fn forget(&self, name: &str) {
        let tree = self.scratch.path().join(name);
        #[cfg(windows)]
        allow_removal(&tree);
        std::fs::remove_dir_all(tree).expect("the recovered tree goes");
    }

    /// Waits until the services run, as the watchdog promises: a start that was cut off before it could be issued is waited for up to
    /// the service's limit, for a start in doubt is not doubled.
    pub(crate) fn assert_services_come_back(&self) {
        let running = || {
            let mut names = tests::ServiceName::IN_STOP_ORDER.into_iter();
            names.all(|name| self.workload.is_running(name).unwrap_or(false)).then_some(())
        };
        let promised = tests::SERVICE_LIMIT + std::time::Duration::from_secs(30);
        poll_until(promised, running).expect("the services run again");
    }

    /// The snapshots that are listed.
    pub(crate) fn snapshots(&self) -> Vec<serde_json::Value> {
        let ran = self.run(&["--json", "snapshots"]);
        assert_eq!(ran.code, 0, "{ran:#?}");
        ran.json()["result"]["snapshots"].as_array().expect("a list of snapshots").clone()
    }
}
