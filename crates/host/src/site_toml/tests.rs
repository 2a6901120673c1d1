use std::time::Duration;

use backup_core::config::{AfterBackupConfig, DatabaseConfig, ProviderChoice, RegistryRoot, RegistryStore};
use backup_core::destination::DestinationOption;
use backup_core::ports::registry::RegistryKey;
use backup_core::ports::shadow_copies::WriterLevel;
use backup_core::schedule::{Schedule, ScheduleZone};
use backup_core::site::{Role, SiteKind};
use insta::assert_snapshot;
use jiff::civil::{Weekday, time};

use super::*;

pub(super) fn path(text: &str) -> SitePath {
    SitePath::parse(text).expect("the test's path is absolute")
}

fn parsed(text: &str) -> SiteConfig {
    parse(text, &path("/etc/site")).unwrap_or_else(|errors| panic!("{}", lines(&errors)))
}

fn lines(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// All problems of a text, one a line.
pub(super) fn problems(text: &str) -> String {
    lines(&parse(text, &path("/etc/site")).expect_err("the text has problems"))
}

/// The problems of a fragment in an otherwise good text; its first line is line 1.
fn problems_of(fragment: &str) -> String {
    let mut text = fragment.to_owned();
    for (table, rest) in [
        ("version", "version = 1"),
        ("[site]", "[site]\ncode = \"P01\"\ninstall-dir = \"/srv/site\""),
        ("[task]", "[task]\ndestination = { local = \"/backup\" }"),
    ] {
        if !fragment.contains(table) {
            text = if table == "version" { text.replacen("#top", rest, 1) } else { format!("{text}\n{rest}\n") };
        }
    }
    problems(&text)
}

const EXAMPLE: &str = r#"
version = 1

[site]
code = "P01"
kind = "primary"
parent = "CAS"
change-tracking-retention = "5d"
install-dir = "/srv/configmgr"
# control-file = "inboxes/smsbkup.box/smsbkup.ctl"
role = "active"

[paths]
'C:\Program Files\Microsoft Configuration Manager' = "/srv/configmgr"

[database]
kind = "sqlite"
path = "/srv/configmgr/db/CM_P01.db"

[registry]
"HKLM\\SOFTWARE\\Microsoft\\SMS" = { reg = "/srv/configmgr/registry/SMS.reg" }

[services]
manager = "commands"
SMS_SITE_COMPONENT_MANAGER = { stop = ["a"], start = ["b", "-x"], state = ["c"], timeout = "90s" }
SMS_EXECUTIVE = { stop = ["d"], start = ["e"], state = ["f"] }

[writers]
queue = { freeze = ["g", "pause"], thaw = ["g"], level = "back-end", pre-restore = ["h"], post-restore = ["i"] }

[task]
enabled = true
destination = { local = "/backup" }
days = ["sun", "wed"]
begin = "02:00"
latest-begin = "05:00"
time-zone = "Europe/Berlin"
shadow-copy = "auto"
alert-on-failure = true
after-backup = { timeout = "1h", success = "0-7" }

[alerts]
command = ["mail", "-s", "failed", "admin@example.com"]
"#;

#[test]
fn writers_are_judged() {
    let text = "version=1\n[site]\ncode='P01'\n[files]\ninclude=['/a']\n[services]\nmanager='commands'\n\
        A={stop=['a'],start=['b'],state=['c']}\n[writers]\nA={freeze=['f'],thaw=['t']}\n\
        B={freeze=['f'],level='front',timeout='x'}\nC={freeze=['f'],thaw=['t'],pre-restore=['h']}\n[task]\ndestination={local='/b'}\n";
    assert_snapshot!(problems_of(text), @r#"
    10:1: `A` is a service as well as a writer; give one of them another name
    11:3: `thaw` is missing in writer `B`; write thaw = ["program", "argument"]
    11:23: `front` is not a level of a writer; known are `front-end`, `back-end`, `system`
    11:39: `x` is not a duration; write a number and a unit (s, m, h, d), as in 60s, 90m or 1h30m
    12:3: `post-restore` is missing in writer `C`; write post-restore = ["program", "argument"]
    "#);
}

#[test]
fn the_whole_shape_is_read() {
    let config = parsed(EXAMPLE);
    assert_eq!(config.code.as_str(), "P01");
    assert_eq!(config.kind, SiteKind::Primary { parent: Some("CAS".parse().expect("a code")) });
    assert_eq!(config.role, Role::Active);
    assert_eq!(config.install_dir, Some(path("/srv/configmgr")));
    assert_eq!(config.control_file, Some(path("/srv/configmgr/inboxes/smsbkup.box/smsbkup.ctl")));
    let windows = path(r"C:\Program Files\Microsoft Configuration Manager");
    assert_eq!(config.paths, [(windows, path("/srv/configmgr"))]);
    assert_eq!(config.change_tracking_retention, Some(Duration::from_secs(5 * 86_400)));
    assert_eq!(config.database, Some(DatabaseConfig::sqlite(path("/srv/configmgr/db/CM_P01.db"))));
    assert_eq!(config.registry[0].key, RegistryKey::new(r"HKLM\SOFTWARE\Microsoft\SMS"));
    let names: Vec<_> = config.services.iter().map(|service| (service.name.as_str(), service.timeout)).collect();
    let (long, usual) = (Duration::from_secs(90), Duration::from_secs(60));
    assert_eq!(names, [("SMS_SITE_COMPONENT_MANAGER", long), ("SMS_EXECUTIVE", usual)], "in the order of the text");
    let commands = config.services[0].commands.as_ref().expect("there are some");
    assert_eq!(commands.start, ["b", "-x"]);
    let [writer] = &config.writers[..] else { panic!("one writer: {:?}", config.writers) };
    assert_eq!((writer.name.as_str(), writer.level), ("queue", WriterLevel::BackEnd));
    assert_eq!(
        (&writer.freeze[..], &writer.thaw[..]),
        (&["g".to_owned(), "pause".to_owned()][..], &["g".to_owned()][..])
    );
    assert_eq!(writer.timeout, Duration::from_secs(10));
    let restore = writer.restore.as_ref().expect("it hears of recoveries");
    assert_eq!((&restore.before[..], &restore.after[..]), (&["h".to_owned()][..], &["i".to_owned()][..]));
    assert_eq!(config.task.destination, DestinationOption::Local(path("/backup")));
    let schedule = Schedule {
        days: vec![Weekday::Sunday, Weekday::Wednesday],
        begin: time(2, 0, 0, 0),
        latest_begin: time(5, 0, 0, 0),
        zone: ScheduleZone::Named("Europe/Berlin".into()),
    };
    assert_eq!(config.task.schedule, schedule);
    assert_eq!(config.task.after_backup.success, 0..=7);
    assert_eq!(config.alert_command.expect("there is one").len(), 4);
    assert_eq!(config.state_dir, path("/etc/site/state"));
}

#[test]
fn what_is_left_out_has_its_usual_value() {
    let config = parsed(
        "version = 1\n[site]\ncode = 'abc'\n[files]\ninclude = ['data', '/srv/x']\n[task]\ndestination = {local = 'b'}",
    );
    assert_eq!((config.code.as_str(), config.kind), ("ABC", SiteKind::Primary { parent: None }));
    assert_eq!(config.files.include, [path("/etc/site/data"), path("/srv/x")]);
    assert_eq!((config.install_dir, config.control_file, config.database), (None, None, None));
    assert_eq!(config.task.destination, DestinationOption::Local(path("/etc/site/b")));
    assert_eq!(config.task.schedule, Schedule::default());
    assert_eq!((config.task.enabled, config.task.shadow_copy), (true, ProviderChoice::Auto));
    assert_eq!(config.task.after_backup, AfterBackupConfig::default());
    assert_eq!(config.alert_command, None);
}

#[test]
fn a_passive_server_names_the_active_one() {
    let text = EXAMPLE.replace("role = \"active\"", "role = \"passive\"\nactive-server = \"srv1\"");
    assert_eq!(parsed(&text).role, Role::Passive { active: "srv1".into() });
}

#[test]
fn every_problem_is_told_at_once() {
    let text = EXAMPLE
        .replace("install-dir", "instal-dir")
        .replace("code = \"P01\"", "code = \"P1\"")
        .replace("\"wed\"", "\"wedn\"")
        .replace("\"1h\"", "\"1 hour\"")
        .replace("enabled = true", "enabled = \"yes\"")
        .replace("[alerts]", "[alert]");
    assert_snapshot!(problems(&text), @r#"
    5:8: `P1` is not a site code: three letters or digits, and none of AUX, CON, NUL, PRN, SMS
    9:1: unknown key `instal-dir` in [site]; did you mean `install-dir`?
    32:11: `enabled` cannot be a text; write it as true or false
    34:16: `wedn` is not a day; did you mean `wed`?
    40:28: `1 hour` is not a duration; write a number and a unit (s, m, h, d), as in 60s, 90m or 1h30m
    42:2: unknown key `alert` in this file; did you mean `alerts`?
    "#);
}

#[test]
fn a_text_that_is_no_toml_is_told_first() {
    assert_snapshot!(problems("version = 1\n[site\ncode = P01\n"), @"2:6: this is not TOML: unclosed table, expected `]`");
}

#[test]
fn another_version_is_not_read() {
    assert_snapshot!(problems("version = 2\n[new]\n"), @"1:11: this program reads version 1 only; write version = 1");
    assert_snapshot!(problems("[site]\ncode = 'P01'\n"), @"1:1: `version` is missing in this file; write version = 1 as the first line");
}

#[test]
fn what_is_missing_is_named_with_an_example() {
    assert_snapshot!(problems("version = 1\n"), @r#"
    1:1: `site` is missing in this file; write [site] with code = "P01"
    1:1: `task` is missing in this file; write [task] with destination = { local = "/backup" }
    "#);
    assert_snapshot!(problems("version = 1\n[site]\ncode = 'P01'\n[task]\ndestination = { local = '/b' }\n"), @"1:1: nothing of site `P01` is named to be backed up; name install-dir or control-file in [site], or include in [files]");
    assert_snapshot!(problems_of("#top\n[site]\n[files]\n[services]\nmanager = 'commands'\nX = { stop = ['a'], state = [] }\n[task]\n"), @r#"
    2:1: `code` is missing in [site]; write code = "P01"
    3:1: `include` is missing in [files]; write include = ["/srv/app"]
    6:5: `start` is missing in service `X`; write start = ["program", "argument"]
    6:29: `state` names no program; write ["program", "argument"]
    7:1: `destination` is missing in [task]; write destination = { local = "/backup" }
    "#);
}

fn with_services(services: &str) -> String {
    format!(
        "version = 1\n[site]\ncode = 'P01'\n[files]\ninclude = ['x']\n[task]\ndestination = {{ local = 'b' }}\n[services]\n{services}"
    )
}

#[cfg(windows)]
#[test]
fn services_of_windows_need_no_commands() {
    let text = with_services(
        "manager = 'windows'\nA = {}\nB = { timeout = '10m' }\nC = { stop = ['a'], start = ['b'], state = ['c'] }\n",
    );
    let services: Vec<_> = parsed(&text)
        .services
        .into_iter()
        .map(|one| (one.name, one.timeout.as_secs(), one.commands.is_some()))
        .collect();
    assert_eq!(services, [("A".to_owned(), 60, false), ("B".to_owned(), 600, false), ("C".to_owned(), 60, true)]);
    let text = with_services("manager = 'windows'\nA = { stop = ['a'] }\n");
    assert_snapshot!(problems(&text), @r#"
    10:5: `start` is missing in service `A`; write start = ["program", "argument"]
    10:5: `state` is missing in service `A`; write state = ["program", "argument"]
    "#);
    assert_snapshot!(problems(&with_services("A = {}\n")), @r#"8:1: `manager` is missing in [services]; write manager = "windows""#);
}

#[cfg(not(windows))]
#[test]
fn services_of_windows_are_on_windows() {
    let text = with_services("manager = 'windows'\nA = { stop = ['a'], start = ['b'], state = ['c'] }\n");
    assert_snapshot!(problems(&text), @r#"9:11: the manager "windows" is not on this machine; write "commands" and the commands of each service"#);
    let text = with_services("A = { stop = ['a'], start = ['b'], state = ['c'] }\n");
    assert_snapshot!(problems(&text), @r#"8:1: `manager` is missing in [services]; write manager = "commands""#);
}

#[test]
fn what_is_not_in_this_version_is_refused() {
    let text = "#top\n[site]\ncode='P01'\ninstall-dir='/x'\nrole='auto'\n[database]\nkind='sqlite'\npath='/d'\n\
        [services]\nmanager='systemd'\n[task]\ndestination={local='/b'}\n\
        shadow-copy='auto'\n[alerts]\nwebhook='x'\nsmtp={}\n[also]\n";
    assert_snapshot!(problems_of(text), @r#"
    5:6: the role "auto" is not in this version; write "active", or "passive" with active-server
    10:9: the manager "systemd" is not in this version; write "commands" and the commands of each service
    15:1: `webhook` in [alerts] is not in this version; let a command send it: command = ["program", "argument"]
    16:1: `smtp` in [alerts] is not in this version; let a command send it: command = ["program", "argument"]
    17:2: `also` in this file is not in this version; remove the table
    "#);
}

#[test]
fn values_are_judged_where_they_stand() {
    let text = "#top\n[site]\ncode = 'P01'\nkind = 'secondry'\ninstall-dir = 'C:\\x'\ncontrol-file = 7\nparent = 'P02'\n\
        [paths]\n'x' = '../y'\n[database]\nkind = 'sqlite'\n[registry]\nSOFTWARE = { reg = 'a.reg' }\n\
        [services]\nmanager = 'comands'\n[task]\ndestination = { local = '/b', network = '\\\\s\\x\\y' }\n\
        begin = 02:00:00\nlatest-begin = '5:00'\nafter-backup = { success = '7-0' }\n";
    assert_snapshot!(problems_of(text), @r#"
    4:8: `secondry` is not a kind of site; did you mean `secondary`?
    5:15: `C:\x` is a Windows path; name the place on this machine
    6:16: `control-file` cannot be a number; write it as a path between quotes
    9:1: `x` is not an absolute path; write an absolute path of the machine that it is on
    9:7: `../y` leads out of `/etc/site` or is no path; write an absolute path
    10:1: `path` is missing in [database]; write path = "/srv/app/app.db"
    13:1: `SOFTWARE` is not a registry key; it begins with HKLM or another root, as in HKLM\SOFTWARE\Microsoft\SMS
    15:11: `comands` is not a manager of services; did you mean `commands`?
    17:15: `destination` is not one of its options; write { local = "/backup" } or { network = '\\server\share\folder' }
    18:9: `begin` cannot be a bare date or time; write it as "02:00", between quotes
    19:16: `5:00` is not a time; write hours and minutes, as in 02:00 or 23:30
    20:28: `7-0` does not name exit codes; write one or a range, as in 0 or 0-7
    "#);
}

#[test]
fn contradictions_are_told() {
    let text = "#top\n[site]\ncode = 'P01'\nkind = 'secondary'\nparent = 'CAS'\nactive-server = 's'\ncontrol-file = '/c'\n\
        [files]\ninclude = ['/x']\nexclude = ['[']\n[registry]\n'HKLM\\A' = { reg = 'a' }\n'hklm\\a' = { reg = 'b' }\n";
    assert_snapshot!(problems_of(text), @r#"
    5:10: only a primary site has a parent; remove it
    6:17: `active-server` is for a passive one; add role = "passive", or remove it
    7:16: a control file and [files] are both given; keep one of them
    10:12: `[` is not a pattern: unclosed character class; missing ']'
    13:1: `HKEY_LOCAL_MACHINE\a` is named twice; remove one of them
    "#);
}

fn root(key: &str, store: RegistryStore) -> RegistryRoot {
    RegistryRoot { key: RegistryKey::new(key), store }
}

#[test]
fn registry_roots_are_in_one_of_three_places() {
    let text = "version = 1\n[site]\ncode = 'P01'\n[task]\ndestination = { local = '/b' }\n[files]\ninclude = ['/x']\n[registry]\n";
    let roots = "'HKLM\\A' = { reg = 'a.reg' }\n'HKLM\\B' = { hive = '/b' }\n'HKCU\\C' = { wine-prefix = 'c' }\n";
    let stores: Vec<_> = parsed(&format!("{text}{roots}")).registry.into_iter().map(|root| root.store).collect();
    let expect = [
        RegistryStore::Reg(path("/etc/site/a.reg")),
        RegistryStore::Hive(path("/b")),
        RegistryStore::WinePrefix(path("/etc/site/c")),
    ];
    assert_eq!(stores, expect);
    let wrong = "'HKLM\\A' = { hive = 'a', reg = 'b' }\n'HKLM\\B' = {}\n'HKLM\\C' = { hives = '/b' }\n'HKCR\\D' = { wine-prefix = 'c' }\n";
    assert_snapshot!(problems_of(&format!("{text}{wrong}")), @r#"
    9:12: `HKLM\A` needs one of `reg`, `hive` and `wine-prefix`; write { reg = "file.reg" }, { hive = "SOFTWARE" } or { wine-prefix = "/srv/wine" }
    10:12: `HKLM\B` needs one of `reg`, `hive` and `wine-prefix`; write { reg = "file.reg" }, { hive = "SOFTWARE" } or { wine-prefix = "/srv/wine" }
    11:12: `HKLM\C` needs one of `reg`, `hive` and `wine-prefix`; write { reg = "file.reg" }, { hive = "SOFTWARE" } or { wine-prefix = "/srv/wine" }
    11:14: unknown key `hives` in `HKLM\C`; did you mean `hive`?
    12:1: `HKEY_CLASSES_ROOT\D` lies in no file of a Wine prefix; name a key below HKLM, HKCU or HKEY_USERS\.Default
    "#);
}

fn check_round_trip(site: &NewSite) -> SiteConfig {
    let text = to_toml(site).expect("Unicode");
    let config = parsed(&text);
    assert_eq!(config.code, site.code);
    assert_eq!(*config.task.destination.site_folder(), site.destination);
    assert_eq!((&config.kind, &config.install_dir), (&site.kind, &site.install_dir));
    assert_eq!((&config.files.include, &config.files.exclude), (&site.include, &site.exclude));
    assert!(site.control_file.is_none() || config.control_file == site.control_file);
    assert_eq!((&config.paths, &config.task.schedule), (&site.paths, &site.schedule));
    let database = site.database.clone().map(|database| match database {
        NewDatabase::Sqlite(path) => DatabaseConfig::sqlite(path),
        NewDatabase::SqlServer { .. } => unreachable!("the cases have none"),
    });
    assert_eq!(config.database, database);
    assert_eq!(config.registry, site.registry);
    config
}

fn new_site() -> NewSite {
    NewSite {
        database: Some(NewDatabase::Sqlite(path("/srv/it's \"new\"\n/größe.db"))),
        registry: vec![
            root(r#"HKLM\SOFTWARE\A "b" {c}"#, RegistryStore::Reg(path(r"/srv/a\b.reg"))),
            root(r"HKLM\SYSTEM", RegistryStore::Hive(path("/srv/SYSTEM"))),
            root(r"HKU\.Default\Software", RegistryStore::WinePrefix(path("/srv/wine"))),
        ],
        ..NewSite::new("APP".parse().expect("a code"), path("/backup"))
    }
}

#[test]
fn a_new_configuration_is_read_as_it_was_meant() {
    let include = vec![path("/srv/it's \"new\""), path("/srv/a\tb\\c"), path("/srv/größe #1")];
    check_round_trip(&NewSite { include, exclude: vec!["**/*.\"tmp".to_owned()], ..new_site() });
    let schedule = Schedule {
        days: vec![Weekday::Sunday, Weekday::Wednesday],
        begin: time(22, 30, 0, 0),
        latest_begin: time(1, 30, 0, 0),
        ..Schedule::default()
    };
    let installed = NewSite {
        kind: SiteKind::Primary { parent: Some("CAS".parse().expect("a code")) },
        install_dir: Some(path("/srv/site")),
        control_file: Some(path("/srv/site/own.ctl")),
        paths: vec![(path(r"C:\SMS"), path("/srv/site"))],
        schedule,
        ..new_site()
    };
    check_round_trip(&installed);
    let network = NewSite {
        kind: SiteKind::CentralAdministration,
        install_dir: Some(path("/srv/site")),
        ..NewSite::new("CAS".parse().expect("a code"), path(r"\\server\share\folder"))
    };
    let config = check_round_trip(&network);
    assert!(matches!(config.task.destination, DestinationOption::Network(_)));
}

#[test]
fn what_is_commented_out_is_right_too() {
    let include = vec![path("/srv/app")];
    let site = NewSite { database: None, registry: Vec::new(), include, ..new_site() };
    let text = to_toml(&site).expect("Unicode");
    let mut shown = String::new();
    for line in text.lines().skip(1) {
        // An alternative value is followed by words, a line to be taken over is not.
        let taken = line.strip_prefix("# ").filter(|line| !line.contains("   ")).unwrap_or(line);
        shown.push_str(taken);
        shown.push('\n');
    }
    let config = parsed(&shown);
    assert_eq!((config.services.len(), config.writers.len(), config.files.exclude.len()), (1, 1, 1));
    assert!(config.alert_command.is_some());
}

#[test]
fn a_path_that_toml_cannot_hold_is_named() {
    let odd = SitePath::parse(b"/srv/\xff").expect("absolute");
    let error = to_toml(&NewSite { include: vec![odd], ..new_site() }).expect_err("it is not Unicode");
    assert!(error.to_string().contains("is not Unicode"), "{error}");
}

#[test]
fn a_kept_configuration_holds_no_alert_arguments() {
    let kept = without_secrets(EXAMPLE);
    let expect = EXAMPLE.replace(r#""-s", "failed", "admin@example.com""#, r#""***", "***", "***""#);
    assert_eq!(kept, expect);
    parsed(&kept);
    assert_eq!(without_secrets("# nothing to hide\n"), "# nothing to hide\n");
    assert!(!without_secrets("alerts.command = ['a', 'secret").contains("secret"));
}

#[test]
fn a_file_is_loaded_with_its_folder() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = folder.path().join("site.toml");
    let text = EXAMPLE.replace("\"/backup\"", "\"snapshots\"");
    // Each platform's paths have a root of its own.
    let text = if cfg!(windows) { text.replace("\"/", "\"C:/") } else { text };
    fs::write(&file, text).expect("written");
    let loaded = load(&file).expect("it is good");
    let place = super::absolute(folder.path()).expect("it exists");
    assert_eq!(loaded.path, place.join("site.toml"));
    assert_eq!(loaded.config.task.destination.site_folder().to_string(), place.join("snapshots").display().to_string());
    assert!(matches!(load(&folder.path().join("none.toml")), Err(LoadError::Read { .. })));
    fs::write(&file, "version = 1\n").expect("written");
    let error = load(&file).expect_err("it has problems");
    assert!(error.to_string().ends_with("site.toml` has 2 problems"), "{error}");
}

#[test]
fn a_task_says_how_it_images_and_how_often_it_tries() {
    let text = |task: &str| {
        format!("version = 1\n[site]\ncode='P01'\ninstall-dir='/x'\n[task]\ndestination={{local='/b'}}\n{task}")
    };
    let config = parsed(&text("shadow-copy='btrfs'\nwork-dir='/w'\nretry={times=1, pause='30s'}\n"));
    assert_eq!((config.task.shadow_copy, config.task.work_dir), (ProviderChoice::Btrfs, Some(path("/w"))));
    assert_eq!((config.task.retry.times, config.task.retry.pause.as_secs()), (1, 30));
    let config = parsed(&text("shadow-copy='vss'\n"));
    assert_eq!(
        config.task.shadow_copy,
        ProviderChoice::Vss,
        "it is read wherever, as from the snapshot of a site on Windows"
    );
    assert_snapshot!(problems(&text("shadow-copy='btrfs'\nretry={times=-1}\n")), @r#"
    5:1: `work-dir` is missing in [task]; write work-dir = "/srv/.sitebackup"
    8:14: `times` is no number of retries; write times = 3
    "#);
}
