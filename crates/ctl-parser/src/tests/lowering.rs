//! What a control file becomes on a machine whose paths are not Windows paths.

use std::path::Path;

use backup_core::config::{DatabaseConfig, SiteConfig};
use backup_core::destination::DestinationOption;
use backup_core::path::SitePath;
use backup_core::plan::{ServiceStep, Tasks};

use crate::{Diagnostic, check, lower, predefined_tokens};

fn path(text: &str) -> SitePath {
    SitePath::parse(text).expect("an absolute path")
}

fn config() -> SiteConfig {
    let destination = DestinationOption::Local(path("/backup"));
    SiteConfig {
        install_dir: Some(path("/srv/configmgr")),
        paths: vec![(path(r"C:\Program Files\Microsoft Configuration Manager"), path("/srv/configmgr"))],
        database: Some(DatabaseConfig::sqlite(path("/srv/db/CM_P01.db"))),
        ..SiteConfig::new("P01".parse().expect("a site code"), destination, path("/var/lib/sitebackup"))
    }
}

fn lowered(text: &str) -> (Tasks, Vec<Diagnostic>) {
    let config = config();
    let tokens = predefined_tokens(&config, "srv1.example.org");
    let (file, resolved, mut found) = check(text.as_bytes(), &tokens, &|_| None);
    let (tasks, diagnostics) = lower(&file, &resolved, &config, &tokens);
    found.extend(diagnostics);
    (tasks, found)
}

#[test]
fn the_default_control_file_becomes_tasks() {
    let (tasks, found) = lowered(&crate::default_control_file());
    assert_eq!(found, [], "nothing to find");
    let files: Vec<String> = tasks.files.iter().map(|(source, place)| format!("{source} -> {place}")).collect();
    insta::assert_snapshot!(files.join("\n"), @"
    /srv/configmgr/inboxes -> SiteServer/SMSServer/inboxes
    /srv/configmgr/Logs -> SiteServer/SMSServer/Logs
    /srv/configmgr/data -> SiteServer/SMSServer/data
    /srv/configmgr/srvacct -> SiteServer/SMSServer/srvacct
    /srv/configmgr/CD.Latest -> CD.Latest
    ");
    let registry: Vec<String> = tasks.registry.iter().map(|task| format!("{} -> {}", task.key, task.place)).collect();
    insta::assert_snapshot!(registry.join("\n"), @r"
    HKEY_LOCAL_MACHINE\Software\Microsoft\NAL -> SiteServer/SMSbkSiteRegNAL.dat
    HKEY_LOCAL_MACHINE\Software\Microsoft\SMS -> SiteServer/SMSbkSiteRegSMS.dat
    ");
    assert_eq!(tasks.database.map(|folder| folder.to_string()).as_deref(), Some("SiteDBServer"));
    assert_eq!(tasks.stop[0], ServiceStep::Service("SMS_SITE_COMPONENT_MANAGER".into()));
}

fn finds(tasks: &str, expect: &str) {
    let text =
        format!("[Tokens]\r\nSITE_BACKUP_DESTINATION=BACKUP_DEST_DIR\\SITE_CODEBackup\r\n[Tasks]\r\n{tasks}\r\n");
    let (_, found) = lowered(&text);
    let codes: Vec<&str> = found.iter().map(|found| found.code.as_str()).collect();
    assert_eq!(codes.join(" "), expect, "{tasks}");
}

#[test]
fn what_this_machine_cannot_do_is_said_at_its_place() {
    finds(r"file D:\elsewhere %SITE_BACKUP_DESTINATION%\SiteServer\x", "unmapped-path");
    finds(r"file %SITE_SERVER_ROOT_DIR%\*.box %SITE_BACKUP_DESTINATION%\SiteServer\x", "not-supported");
    finds(r"file %SITE_SERVER_ROOT_DIR%\* %SITE_BACKUP_DESTINATION%\SiteServer\x", "");
    finds(r"meteringdbdump x %SITE_BACKUP_DESTINATION%\MeteringDBServer\SMSbkMeterDBmeter.dat", "not-supported");
    finds(r"reg \\OTHER\HKLM\Software\X %SITE_BACKUP_DESTINATION%\SMSbkSiteRegX.dat", "other-machine");
    finds(r"reg \\SRV1\HKLM\Software\X %SITE_BACKUP_DESTINATION%\SMSbkSiteRegX.dat", "");
    finds(r"rmdir %SITE_BACKUP_DESTINATION%", "nothing-to-back-up");
}

#[test]
fn a_command_keeps_its_output_in_the_snapshot() {
    let text = "[Tokens]\r\nSITE_BACKUP_DESTINATION=BACKUP_DEST_DIR\\SITE_CODEBackup\r\n[Tasks]\r\ncmd `echo SITE_CODE` %SITE_BACKUP_DESTINATION%\\SMSbkSiteConfigNTcode.txt\r\n";
    let (tasks, found) = lowered(text);
    assert_eq!(found, []);
    assert_eq!(tasks.commands[0].line, "echo P01");
    assert_eq!(
        tasks.commands[0].output.as_ref().map(|place| Path::new(&place.to_string()).to_owned()),
        Some("SMSbkSiteConfigNTcode.txt".into())
    );
}

#[test]
fn an_emptied_file_is_no_backup() {
    for text in ["", "[Tokens]\r\n[Tasks]\r\n", "[Tasks]\r\n#stop\r\nfile a b\r\n#start\r\n"] {
        let (_, found) = lowered(text);
        assert!(found.iter().any(|found| found.code == crate::Code::NothingToBackUp), "{text:?}: {found:?}");
    }
}
