//! Every command on the in-memory ports: what a person and what a program is shown.

#[cfg(unix)]
mod archive;
mod control;
mod init;
#[cfg(unix)]
mod kept;
mod recovery;
mod registry;
mod runs;
#[cfg(windows)]
mod selftest;
mod unattended;
#[cfg(windows)]
mod vss_writer;
mod watching;
mod writers;

use std::sync::Arc;
use std::time::Duration;

use backup_core::backup::RunContext;
use backup_core::cancel::Cancel;
use backup_core::config::{DatabaseConfig, RegistryRoot, RegistryStore, SiteConfig};
use backup_core::destination::DestinationOption;
use backup_core::memory::{World, block_on};
use backup_core::path::SitePath;
use backup_core::plan::{BackupPlan, ServiceStep, Tasks};
use backup_core::ports::commands::{CommandEnd, CommandOutcome};
use backup_core::ports::journal::JournalRecord;
use backup_core::ports::registry::{ImportMode, RegistryKey};
use backup_core::ports::services::ServiceState;
use backup_core::ports::site_files::FileKind;
use backup_core::recover::{RecoverRequest, RecoveryPorts};
use backup_core::schedule::ScheduleZone;
use backup_core::site::SiteKind;
use backup_core::snapshot::RunId;
use backup_core::status::ProcessFacts;
use jiff::SignedDuration;

use super::*;
use crate::args::{RecoverArgs, RehearseArgs, StatusArgs, VerifyArgs};
use crate::output::json::tests::assert_documented;
use crate::output::{Answer, Printer};

/// What the clock in memory counts is how many calls core makes: seconds and the durations that come of them say nothing here.
///
/// Hours, days and the times of windows stay, for tests set them. Holds as long as the result lives.
fn without_seconds() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"(2026-\d\d-\d\d[ T]\d\d:\d\d):\d\d(\.\d+)?", "$1:[s]");
    settings.add_filter(r"\b\d+(\.\d+)? s\b", "[n] s");
    settings.add_filter(r"\b\d+(\.\d+)?(ms|s)\b", "[n] s");
    settings.add_filter(r#""(age|freeze_window|outage|took)": \d+(\.\d+)?"#, r#""$1": [n]"#);
    settings.bind_to_scope()
}

const DAY: Duration = Duration::from_secs(86_400);

fn path(text: &str) -> SitePath {
    SitePath::parse(text).expect("absolute")
}

fn config(kind: SiteKind) -> SiteConfig {
    let code = "P01".parse().expect("a site code");
    let mut config = SiteConfig::new(code, DestinationOption::Local(path("/backup")), path("/state"));
    config.kind = kind;
    config.files.include = vec![path("/site/inboxes"), path("/site/data")];
    config.database = Some(DatabaseConfig::sqlite(path("/site/db/CM_P01.db")));
    let key = RegistryKey::new(r"HKLM\SOFTWARE\Microsoft\SMS");
    config.registry = vec![RegistryRoot { key, store: RegistryStore::Reg(path("/site/SMS.reg")) }];
    config.task.schedule.zone = ScheduleZone::Utc;
    config
}

fn alone() -> SiteConfig {
    config(SiteKind::Primary { parent: None })
}

fn plan(config: &SiteConfig) -> BackupPlan {
    let service = |name: &str| ServiceStep::Service(name.to_owned());
    let mut tasks = Tasks::without_control_file(config).expect("plain paths");
    tasks.stop = vec![service("SMS_SITE_COMPONENT_MANAGER"), service("SMS_EXECUTIVE")];
    tasks.start = vec![service("SMS_EXECUTIVE"), service("SMS_SITE_COMPONENT_MANAGER")];
    BackupPlan::new(config, tasks, Vec::new()).expect("a good plan")
}

fn session() -> Session {
    Session { global: Global::default(), cancel: Cancel::default(), screen: Arc::default() }
}

fn back_up(world: &World) -> Answer {
    let process = ProcessFacts { machine: "CM01".to_owned(), pid: 1, thread: 2 };
    let context = RunContext { process, ..RunContext::default() };
    block_on(backup::judge(&world.ports(), &plan(&alone()), &session(), &context))
}

/// A site with a snapshot.
fn backed_up() -> World {
    let world = World::new();
    assert_eq!(back_up(&world).exit.name(), "done");
    world
}

fn status_of(world: &World, config: &SiteConfig, max_age: Option<Duration>) -> Answer {
    block_on(status::judge(&world.ports(), config, &StatusArgs { max_age })).expect("the ports answer")
}

fn pass(world: &World, time: Duration) {
    world.lock().now += SignedDuration::try_from(time).expect("a short time");
}

/// The JSON form, laid out; its fields are the documented ones.
fn json(command: &str, answer: &Answer) -> String {
    assert_documented(command, &answer.result);
    serde_json::to_string_pretty(&answer.result).expect("JSON")
}
