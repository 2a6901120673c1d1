//! From tables to the configuration. Each function reports what is wrong and returns `None` for what cannot be had.

use std::time::Duration;

use backup_core::config::{
    AfterBackupConfig, FileSelection, ProviderChoice, RegistryRoot, RegistryStore, RetryConfig, SiteConfig, TaskConfig,
};
use backup_core::destination::DestinationOption;
use backup_core::path::SitePath;
use backup_core::schedule::{Schedule, ScheduleZone};
use backup_core::site::{Role, SiteCode, SiteKind};

use super::archive::{self, archive};
use super::database;
use super::services::{argv, services, writers};
use super::table::{Section, Text, Value};
use super::values::{self, DAYS, any_path, local_path};

/// Where the control file lies in an installation.
const CONTROL_FILE: &str = "inboxes/smsbkup.box/smsbkup.ctl";
/// The tables, and the keys that are looked for in others when they stand in the wrong one.
const PLACES: [(&str, &[&str]); 7] = [
    (
        "[site]",
        &[
            "code",
            "kind",
            "parent",
            "change-tracking-retention",
            "install-dir",
            "control-file",
            "role",
            "active-server",
        ],
    ),
    ("[files]", &["include", "exclude"]),
    ("[database]", database::KEYS),
    (
        "[task]",
        &[
            "enabled",
            "destination",
            "days",
            "begin",
            "latest-begin",
            "time-zone",
            "shadow-copy",
            "work-dir",
            "retry",
            "session-lock",
            "alert-on-failure",
            "after-backup",
        ],
    ),
    ("[archive]", archive::KEYS),
    ("[alerts]", &["webhook", "smtp", "command"]),
    ("the top of the file, above all tables", &["version", "state-dir"]),
];

pub(super) fn elsewhere(key: &str) -> Option<&'static str> {
    PLACES.iter().find(|(_, keys)| keys.contains(&key)).map(|(table, _)| *table)
}

pub(super) fn site_config(root: Section<'_>, folder: &SitePath) -> Option<SiteConfig> {
    version(&root)?;
    let state_dir = match root.get("state-dir") {
        Some(value) => path(&value, folder),
        None => local_path("state", folder).ok(),
    };
    let has_files = root.get("files").is_some();
    let site = table(&root, "site").and_then(|section| site(section, folder, has_files));
    let paths = table(&root, "paths").map(|section| path_map(&section, folder)).unwrap_or_default();
    let files = table(&root, "files").map(|section| files(section, folder)).unwrap_or_default();
    let database = table(&root, "database").and_then(|section| database::database(&section, folder));
    let registry = table(&root, "registry").map(|section| registry(&section, folder)).unwrap_or_default();
    let services = table(&root, "services").map(|section| services(&section)).unwrap_or_default();
    let writers = table(&root, "writers").map(|section| writers(&section, &services)).unwrap_or_default();
    let task = table(&root, "task").and_then(|section| task(section, folder));
    let alert_command = table(&root, "alerts").and_then(alerts);
    let archive = table(&root, "archive").and_then(|section| archive(&section, folder));
    root.not_yet(&["also"], "remove the table");
    for (key, example) in
        [("site", "[site] with code = \"P01\""), ("task", "[task] with destination = { local = \"/backup\" }")]
    {
        root.require(key, example);
    }
    let config = site.zip(task).zip(state_dir).map(|((site, task), state_dir)| SiteConfig {
        code: site.code,
        kind: site.kind,
        role: site.role,
        install_dir: site.install_dir,
        control_file: site.control_file,
        paths,
        files,
        change_tracking_retention: site.change_tracking_retention,
        database,
        registry,
        services,
        writers,
        task,
        archive,
        alert_command,
        state_dir,
    });
    root.finish(elsewhere);
    if let Some(config) = config.as_ref().filter(|config| root.is_clean() && names_nothing(config)) {
        let remedy = "name install-dir or control-file in [site], or include in [files]".to_owned();
        root.report(format!("nothing of site `{}` is named to be backed up", config.code), Some(remedy));
    }
    config
}

fn names_nothing(config: &SiteConfig) -> bool {
    config.control_file.is_none()
        && config.files.include.is_empty()
        && config.database.is_none()
        && config.registry.is_empty()
}

/// Another version may mean something else by every other line, so nothing more is read then.
fn version(root: &Section<'_>) -> Option<()> {
    let value = root.require("version", "version = 1 as the first line")?;
    if value.integer() == Some(1) {
        return Some(());
    }
    value.report("this program reads version 1 only", Some("write version = 1".to_owned()));
    None
}

fn table<'d>(root: &Section<'d>, key: &'static str) -> Option<Section<'d>> {
    root.get(key)?.section(format!("[{key}]"), &format!("a table that begins with the line [{key}]"))
}

pub(super) fn path(value: &Value<'_>, base: &SitePath) -> Option<SitePath> {
    value.text("a path between quotes")?.parse(|text| local_path(text, base))
}

pub(super) fn limit(value: &Value<'_>) -> Option<Duration> {
    value.text("\"60s\", \"90m\" or \"5d\"")?.parse(values::duration)
}

struct SitePart {
    code: SiteCode,
    kind: SiteKind,
    role: Role,
    install_dir: Option<SitePath>,
    control_file: Option<SitePath>,
    change_tracking_retention: Option<Duration>,
}

fn site(section: Section<'_>, folder: &SitePath, has_files: bool) -> Option<SitePart> {
    let code = section.require("code", "code = \"P01\"").and_then(|value| site_code(&value));
    let kind = kind(&section);
    let role = role(&section);
    let retention = section.get("change-tracking-retention");
    let install_dir = section.get("install-dir").map(|value| path(&value, folder));
    let base = install_dir.clone().flatten().unwrap_or_else(|| folder.clone());
    let control_file = match section.get("control-file") {
        Some(value) if has_files => {
            value.report("a control file and [files] are both given", Some("keep one of them".to_owned()));
            None
        }
        Some(value) => path(&value, &base),
        None if has_files || install_dir.is_none() => None,
        None => local_path(CONTROL_FILE, &base).ok(),
    };
    section.finish(elsewhere);
    Some(SitePart {
        code: code?,
        kind: kind?,
        role: role?,
        install_dir: install_dir.flatten(),
        control_file,
        change_tracking_retention: retention.as_ref().and_then(limit),
    })
}

fn site_code(value: &Value<'_>) -> Option<SiteCode> {
    value.text("\"P01\"")?.parse(|text| text.parse().map_err(|error| format!("{error}")))
}

fn kind(section: &Section<'_>) -> Option<SiteKind> {
    let parent = section.get("parent");
    let kinds = [
        ("central-administration", SiteKind::CentralAdministration),
        ("primary", SiteKind::Primary { parent: None }),
        ("secondary", SiteKind::Secondary),
        ("site-system", SiteKind::SiteSystem),
    ];
    let kind = match section.get("kind") {
        Some(value) => value.text("\"primary\"")?.choose("kind of site", &kinds)?,
        None => SiteKind::Primary { parent: None },
    };
    match (kind, parent) {
        (SiteKind::Primary { .. }, Some(value)) => Some(SiteKind::Primary { parent: Some(site_code(&value)?) }),
        (_, Some(value)) => {
            value.report("only a primary site has a parent", Some("remove it".to_owned()));
            None
        }
        (kind, None) => Some(kind),
    }
}

fn role(section: &Section<'_>) -> Option<Role> {
    let active = section.get("active-server");
    let Some(value) = section.get("role") else { return active_without_passive(active) };
    let text = value.text("\"active\" or \"passive\"")?;
    if text.text == "auto" {
        let remedy = "write \"active\", or \"passive\" with active-server".to_owned();
        text.report("the role \"auto\" is not in this version", Some(remedy));
        return None;
    }
    let is_passive = text.choose("role", &[("active", false), ("passive", true)])?;
    match (is_passive, active) {
        (false, active) => active_without_passive(active),
        (true, Some(value)) => {
            let active = value.text("the name of a server")?;
            Some(Role::Passive { active: active.text.to_owned() })
        }
        (true, None) => {
            text.report("a passive server needs `active-server`", Some("name the one that is active".to_owned()));
            None
        }
    }
}

fn active_without_passive(active: Option<Value<'_>>) -> Option<Role> {
    match active {
        None => Some(Role::Active),
        Some(value) => {
            value.report(
                "`active-server` is for a passive one",
                Some("add role = \"passive\", or remove it".to_owned()),
            );
            None
        }
    }
}

fn path_map(section: &Section<'_>, folder: &SitePath) -> Vec<(SitePath, SitePath)> {
    let entry = |value: Value<'_>| {
        let original = any_path(value.key).map_err(|message| value.report_key(message, None)).ok();
        original.zip(path(&value, folder))
    };
    section.values().into_iter().filter_map(entry).collect()
}

fn files(section: Section<'_>, folder: &SitePath) -> FileSelection {
    let texts = |key, example: &str| section.get(key).and_then(|value| value.texts(example)).unwrap_or_default();
    let include = texts("include", "a list of paths, as in [\"/srv/app\"]");
    let exclude = texts("exclude", "a list of patterns, as in [\"**/*.tmp\"]");
    if section.get("include").is_none() {
        section.report("`include` is missing in [files]", Some("write include = [\"/srv/app\"]".to_owned()));
    }
    let pattern = |text: &str| match globset::Glob::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("`{text}` is not a pattern: {}", error.kind())),
    };
    let selection = FileSelection {
        include: include.iter().filter_map(|text| text.parse(|text| local_path(text, folder))).collect(),
        exclude: exclude.iter().filter_map(|text| text.parse(pattern)).collect(),
    };
    section.finish(elsewhere);
    selection
}

fn registry(section: &Section<'_>, folder: &SitePath) -> Vec<RegistryRoot> {
    let mut roots: Vec<RegistryRoot> = Vec::new();
    for value in section.values() {
        let Some(root) = registry_root(&value, folder) else { continue };
        if roots.iter().any(|other| other.key == root.key) {
            value.report_key(format!("`{}` is named twice", root.key), Some("remove one of them".to_owned()));
        }
        roots.push(root);
    }
    roots
}

fn registry_root(value: &Value<'_>, folder: &SitePath) -> Option<RegistryRoot> {
    let key = values::registry_key(value.key).map_err(|message| value.report_key(message, None)).ok();
    let example = r#"{ reg = "file.reg" }, { hive = "SOFTWARE" } or { wine-prefix = "/srv/wine" }"#;
    let section = value.section(format!("`{}`", value.key), example)?;
    let stores = [
        section.get("reg").map(|value| path(&value, folder).map(RegistryStore::Reg)),
        section.get("hive").map(|value| path(&value, folder).map(RegistryStore::Hive)),
        section.get("wine-prefix").map(|value| path(&value, folder).map(RegistryStore::WinePrefix)),
    ];
    let mut named = stores.into_iter().flatten();
    let store = match (named.next(), named.next()) {
        (Some(store), None) => store,
        _ => {
            let message = format!("`{}` needs one of `reg`, `hive` and `wine-prefix`", value.key);
            section.report(message, Some(format!("write {example}")));
            None
        }
    };
    section.finish(|_| None);
    let root = RegistryRoot { key: key?, store: store? };
    if matches!(root.store, RegistryStore::WinePrefix(_)) && !values::is_in_wine_prefix(&root.key) {
        let remedy = r"name a key below HKLM, HKCU or HKEY_USERS\.Default".to_owned();
        value.report_key(format!("`{}` lies in no file of a Wine prefix", root.key), Some(remedy));
    }
    Some(root)
}

fn task(section: Section<'_>, folder: &SitePath) -> Option<TaskConfig> {
    let flag = |key| section.get(key).map_or(Some(true), |value| value.boolean());
    let (enabled, alert_on_failure) = (flag("enabled"), flag("alert-on-failure"));
    let destination = section
        .require("destination", "destination = { local = \"/backup\" }")
        .and_then(|value| destination(&value, folder));
    let schedule = schedule(&section);
    let shadow_copy = section.get("shadow-copy").map_or(Some(ProviderChoice::Auto), |value| provider(&value));
    let after_backup =
        section.get("after-backup").map_or_else(|| Some(AfterBackupConfig::default()), |value| after_backup(&value));
    let work_dir = match shadow_copy {
        Some(ProviderChoice::Btrfs | ProviderChoice::Reflink) => {
            section.require("work-dir", "work-dir = \"/srv/.sitebackup\"")
        }
        _ => section.get("work-dir"),
    };
    let work_dir = work_dir.map(|value| path(&value, folder));
    let retry = section.get("retry").map_or_else(|| Some(RetryConfig::default()), |value| retry(&value));
    let session_lock = section.get("session-lock").map(|value| path(&value, folder));
    section.finish(elsewhere);
    Some(TaskConfig {
        enabled: enabled?,
        destination: destination?,
        schedule: schedule?,
        shadow_copy: shadow_copy?,
        work_dir: given(work_dir)?,
        retry: retry?,
        session_lock: given(session_lock)?,
        alert_on_failure: alert_on_failure?,
        after_backup: after_backup?,
    })
}

/// What need not be there, and is right where it is.
fn given<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    value.map_or(Some(None), |value| value.map(Some))
}

fn destination(value: &Value<'_>, folder: &SitePath) -> Option<DestinationOption> {
    let example = "{ local = \"/backup\" } or { network = '\\\\server\\share\\folder' }";
    let section = value.section("destination", example)?;
    let given = [section.get("local"), section.get("network"), section.get("site"), section.get("sql")];
    let option = match &given {
        [Some(local), None, None, None] => path(local, folder).map(DestinationOption::Local),
        // A network path is not this machine's, so its kind is judged with the destination, not here.
        [None, Some(network), None, None] => {
            network.text("a path between quotes")?.parse(any_path).map(DestinationOption::Network)
        }
        [None, None, Some(_), Some(_)] => {
            let remedy =
                "write { local = \"…\" }, and backup-folder in [database] for what SQL Server keeps on its own machine";
            section.report("a destination in two parts is not in this version", Some(remedy.to_owned()));
            None
        }
        _ => {
            section.report("`destination` is not one of its options", Some(format!("write {example}")));
            None
        }
    };
    section.finish(|_| None);
    option
}

fn schedule(section: &Section<'_>) -> Option<Schedule> {
    let mut schedule = Schedule::default();
    let days = section.get("days").map_or(Some(None), |value| {
        let texts = value.texts("a list of days, as in [\"sun\", \"wed\"]")?;
        let days: Option<Vec<_>> = texts.iter().map(|text| text.choose("day", &DAYS)).collect();
        days.map(Some)
    });
    let at = |key, usual| {
        section.get(key).map_or(Some(usual), |value| value.text("\"02:00\", between quotes")?.parse(values::time))
    };
    let (begin, latest_begin) = (at("begin", schedule.begin), at("latest-begin", schedule.latest_begin));
    let zone = section.get("time-zone").map_or(Some(ScheduleZone::Local), |value| {
        value.text("\"local\", \"utc\" or \"Europe/Berlin\"").map(|text| zone(&text))
    });
    if let Some(days) = days? {
        schedule.days = days;
    }
    Some(Schedule { begin: begin?, latest_begin: latest_begin?, zone: zone?, ..schedule })
}

fn zone(text: &Text<'_>) -> ScheduleZone {
    match text.text {
        "local" => ScheduleZone::Local,
        "utc" => ScheduleZone::Utc,
        name => ScheduleZone::Named(name.to_owned()),
    }
}

/// Which of them this system has is not judged here: a configuration is read on others, too.
fn provider(value: &Value<'_>) -> Option<ProviderChoice> {
    let choices = [
        ("auto", ProviderChoice::Auto),
        ("btrfs", ProviderChoice::Btrfs),
        ("reflink", ProviderChoice::Reflink),
        ("vss", ProviderChoice::Vss),
        ("pre-copy", ProviderChoice::PreCopy),
    ];
    let text = value.text("\"auto\", \"btrfs\", \"reflink\", \"vss\" or \"pre-copy\"")?;
    text.choose("shadow copy provider", &choices)
}

fn retry(value: &Value<'_>) -> Option<RetryConfig> {
    let usual = RetryConfig::default();
    let section = value.section("retry", "{ times = 3, pause = \"10m\" }")?;
    let pause = section.get("pause").map_or(Some(usual.pause), |value| limit(&value));
    let times = section.get("times").map_or(Some(usual.times), |value| {
        let times = value.integer();
        if times.is_none() {
            value.report("`times` is no number of retries".to_owned(), Some("write times = 3".to_owned()));
        }
        times
    });
    section.finish(|_| None);
    Some(RetryConfig { times: times?, pause: pause? })
}

fn after_backup(value: &Value<'_>) -> Option<AfterBackupConfig> {
    let usual = AfterBackupConfig::default();
    let section = value.section("after-backup", "{ timeout = \"1h\", success = \"0\" }")?;
    let timeout = section.get("timeout").map_or(Some(usual.timeout), |value| limit(&value));
    let success = section.get("success").map_or(Some(usual.success), |value| match value.integer() {
        Some(code) => values::exit_codes(&code.to_string()).map_err(|message| value.report(message, None)).ok(),
        None => value.text("\"0\", or \"0-7\" for robocopy")?.parse(values::exit_codes),
    });
    section.finish(|_| None);
    Some(AfterBackupConfig { timeout: timeout?, success: success? })
}

fn alerts(section: Section<'_>) -> Option<Vec<String>> {
    let command = section.get("command").and_then(|value| argv(&value));
    section.not_yet(&["webhook", "smtp"], "let a command send it: command = [\"program\", \"argument\"]");
    section.finish(elsewhere);
    command
}
