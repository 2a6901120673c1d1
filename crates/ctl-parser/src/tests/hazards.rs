//! The mistakes that have cost people their data, by the number of the article that tells of them.

use super::{check_example, environment, example_site_with, listed};
use crate::{Command, ControlFile, Severity, SiteFolders, lint, resolve};

fn check(text: &str) -> String {
    listed(&check_example(text).2)
}

/// Findings about a site whose predefined tokens differ from the example's.
fn check_site(changes: &[(&str, &str)], text: &str) -> String {
    listed(&crate::check(text.as_bytes(), &example_site_with(changes), &environment).2)
}

const KB275612: &str = "[Tokens]\n# Set variables\n\tBACKUP_DESTINATION=BACKUP_DEST_DIR\\SITE_CODE\n\
                        \tSITE_SERVER_DEST=BACKUP_DESTINATION\\SiteServer\n[Tasks]\nrmdir BACKUP_DESTINATION\n";

#[test]
fn kb275612_an_indented_definition_after_a_comment_stops_the_run() {
    insta::assert_snapshot!(check(KB275612), @"3:2: critical error[swallowed-definition]: the product loses this definition of `BACKUP_DESTINATION`: it is indented and follows a comment");
}

#[test]
fn kb275612_the_definition_is_not_lost_here() {
    let (file, resolved, _) = check_example(KB275612);
    assert_eq!(resolved.tokens["BACKUP_DESTINATION"].value, r"E:\Backup\ABC");
    let Command::RemoveFolder { folder } = &resolved.tasks[0].command else { panic!("{resolved:?}") };
    assert_eq!(folder.value, r"E:\Backup\ABC");

    let repaired = String::from_utf8(file.format().to_bytes()).unwrap();
    assert_eq!(check(&repaired), "");
}

#[test]
fn kb275612_spaces_directives_and_blank_lines() {
    assert!(check("[Tokens]\n  # note\n  A=1\n").contains("swallowed-definition"));
    assert!(check("[Tokens]\n#stop\nx\n#start\n\tA=1\n").contains("swallowed-definition"));
    assert_eq!(check("[Tokens]\n# note\nA=1\n"), "");
    assert_eq!(check("[Tokens]\n# note\n\n\tA=1\n\tB=2\n"), "");
}

#[test]
fn kb275612_an_undefined_or_empty_destination_removes_nothing() {
    for definition in ["", "BACKUP_DESTINATION=", "BACKUP_DESTINATION=\"\"", "BACKUP_DESTINATION=%EMPTY%"] {
        let (_, resolved, found) =
            check_example(&format!("[Tokens]\n{definition}\n[Tasks]\nrmdir BACKUP_DESTINATION\n"));
        assert_eq!(resolved.tasks, [], "{definition}");
        assert_eq!(found[0].severity(), Severity::Critical, "{definition}");
    }
    let site = [("BACKUP_DEST_DIR", "")];
    insta::assert_snapshot!(check_site(&site, "[Tokens]\nBACKUP_DESTINATION=BACKUP_DEST_DIR\\SITE_CODE\n[Tasks]\nrmdir BACKUP_DESTINATION\n"), @"
    1:1: critical error[not-absolute]: the backup destination `` is not an absolute path
    2:20: critical error[empty-token]: `BACKUP_DEST_DIR` is empty
    ");
}

#[test]
fn kb275612_the_recipe_for_looking_at_tokens_is_read() {
    let text = "[Tasks]\ncmd `echo BACKUP_DEST_DIR` %SystemDrive%\\Backdest.txt\ncmd `echo SITE_CODE` %SystemDrive%\\Sitecode.txt\n";
    let (_, resolved, found) = check_example(text);
    assert_eq!(listed(&found), "");
    insta::assert_snapshot!(super::meaning(&resolved), @r"
    tasks: run echo E:\Backup -> C:\Backdest.txt
    tasks: run echo ABC -> C:\Sitecode.txt
    ");
}

#[test]
fn kb256586_a_path_with_spaces_is_never_cut() {
    let site = example_site_with(&[("BACKUP_DEST_DIR", r"E:\SMS Backup")]);
    let text = "[Tokens]\nBACKUP_DESTINATION=BACKUP_DEST_DIR\\SITE_CODE\n[Tasks]\nrmdir BACKUP_DESTINATION\n";
    let (_, resolved, found) = crate::check(text.as_bytes(), &site, &environment);
    assert_eq!(listed(&found), "");
    assert_eq!(super::meaning(&resolved), "tasks: remove E:\\SMS Backup\\ABC\n");
}

#[test]
fn kb256586_unquoted_spaces_stop_the_run() {
    insta::assert_snapshot!(check("[Tasks]\nrmdir D:\\SMS Backup\n"), @"2:14: critical error[argument-count]: `rmdir` takes 1 argument, not 2");
    insta::assert_snapshot!(check("[Tasks]\nfile D:\\SMS Backup\\x E:\\Backup\\ABCBackup\\x\n"), @"2:22: critical error[argument-count]: `file` takes 2 arguments, not 3");
    insta::assert_snapshot!(check("[Tasks]\nfile D:\\SMS Backup\n"), @"2:13: critical error[not-absolute]: `Backup` is not an absolute path");
    assert_eq!(check("[Tasks]\nfile \"D:\\SMS Data\" \"E:\\Backup\\ABCBackup\\SMS Data\"\n"), "");
}

#[test]
fn kb310720_a_destination_with_spaces_is_quoted_in_command_lines() {
    let site = [("BACKUP_DEST_DIR", r"E:\SMS Backup")];
    insta::assert_snapshot!(check_site(&site, "[Tasks]\ncmd `echo BACKUP_DEST_DIR`\n"), @"2:11: critical error[unquoted-space]: the value of `BACKUP_DEST_DIR` holds a space and would be cut there");
    assert_eq!(check_site(&site, "[Tasks]\ncmd `echo \"BACKUP_DEST_DIR\\x\" y`\n"), "");
    assert!(check("[Tasks]\ncmd `dir %ProgramFiles%`\n").contains("unquoted-space"));
}

#[test]
fn the_destination_must_be_a_folder_of_its_own() {
    let check_destination = |destination| check_site(&[("BACKUP_DEST_DIR", destination)], "[Tasks]\n");
    insta::assert_snapshot!(check_destination(r"D:\SMS"), @"1:1: critical error[destination-in-system]: the backup destination is in the install folder");
    insta::assert_snapshot!(check_destination(r"d:/sms/inboxes/"), @"1:1: critical error[destination-in-system]: the backup destination is in the install folder");
    insta::assert_snapshot!(check_destination(r"\\sitesrv\D$\SMS\Backup"), @"1:1: critical error[destination-in-system]: the backup destination is in the install folder");
    insta::assert_snapshot!(check_destination(r"E:\"), @"1:1: critical error[destination-root]: the backup destination is the root of a drive");
    insta::assert_snapshot!(check_destination(r"E:\x\.."), @"1:1: critical error[destination-root]: the backup destination is the root of a drive");
    insta::assert_snapshot!(check_destination(r"\\other\E$"), @"1:1: critical error[destination-root]: the backup destination is the root of a drive");
    insta::assert_snapshot!(check_destination(r"C:\Windows\Temp"), @"1:1: critical error[destination-in-system]: the backup destination is in the Windows folder");
    insta::assert_snapshot!(check_destination(r"Backup"), @"1:1: critical error[not-absolute]: the backup destination `Backup` is not an absolute path");
    assert_eq!(check_destination(r"D:\SMS Backup"), "");
    assert_eq!(check_destination(r"\\nas\backup"), "");
}

#[test]
fn the_destination_holds_no_source_and_no_install_folder() {
    let site = [("SITE_SERVER_ROOT_DIR", r"E:\Backup\SMS")];
    insta::assert_snapshot!(check_site(&site, "[Tasks]\n"), @"1:1: critical error[destination-above-source]: the backup destination holds the install folder");
    insta::assert_snapshot!(check("[Tasks]\nfile E:\\Backup\\*.txt E:\\Backup\\ABCBackup\\x\nfile E:\\ E:\\Backup\\ABCBackup\\e\n"), @r"
    2:6: critical error[destination-above-source]: source `E:\Backup\*.txt` is in the backup destination
    3:6: critical error[destination-in-source]: source `E:\` holds the backup destination
    ");
}

#[test]
fn the_snapshot_folder_lies_in_the_destination() {
    let check_token = |value| check(&format!("[Tokens]\nSITE_BACKUP_DESTINATION={value}\n"));
    insta::assert_snapshot!(check_token(r"F:\ABCBackup"), @r"2:25: critical error[outside-destination]: snapshot folder `F:\ABCBackup` is not in the backup destination");
    insta::assert_snapshot!(check_token(r"D:\SMS"), @r"
    2:25: critical error[destination-in-system]: the backup destination is in the install folder
    2:25: critical error[outside-destination]: snapshot folder `D:\SMS` is not in the backup destination
    ");
    insta::assert_snapshot!(check_token(r"BACKUP_DEST_DIR"), @r"2:25: critical error[outside-destination]: snapshot folder `E:\Backup` is not in the backup destination");
    insta::assert_snapshot!(check_token(r"BACKUP_DEST_DIR\.."), @r"
    2:25: critical error[destination-root]: the backup destination is the root of a drive
    2:25: critical error[outside-destination]: snapshot folder `E:\Backup\..` is not in the backup destination
    ");
    assert_eq!(check_token(r"BACKUP_DEST_DIR\SITE_CODE"), "");
}

#[test]
fn rmdir_removes_the_snapshot_folder_and_nothing_else() {
    for folder in [
        r"D:\SMS",
        r"E:\",
        r"E:\Backup",
        r"E:\Backup\ABCBackup\x",
        r"E:\Backup\ABCBackup\..",
        r"\\other\E$\Backup\ABCBackup",
    ] {
        for line in
            [format!("rmdir {folder}"), format!("cmd `rmdir /s /q {folder}`"), format!("cmd `cmd /c rd \"{folder}\"`")]
        {
            let found = check(&format!("[Tasks]\n{line}\n"));
            assert!(found.contains("critical error[removes-other-folder]"), "{line}: {found}");
        }
    }
    assert_eq!(check("[Tasks]\nrmdir e:\\backup\\abcbackup\\\n"), "");
    insta::assert_snapshot!(check("[Tasks]\ncmd `echo x & rd D:\\SMS`\ncmd `del C:\\x.txt`\nrmdir *\nrmdir E:\\Backup\\*\n"), @r"
    2:6: critical error[removes-other-folder]: `rd` as part of a longer command line
    3:6: warning[deleting-command]: `del` in a command line deletes what nobody here can judge
    4:7: critical error[not-absolute]: `*` is not an absolute path
    5:7: critical error[bad-path-character]: `E:\Backup\*` holds '*', which no path can hold there
    ");
}

#[test]
fn output_stays_in_the_snapshot_folder_and_is_named_by_the_convention() {
    let text = "[Tasks]\nfile D:\\SMS\\Logs F:\\x\nreg HKLM\\Software\\x E:\\Backup\\ABCBackup\\nal.dat\n\
                reg HKLM\\Software\\x E:\\Backup\\ABCBackup\\SMSbkSiteRegX.dat\n\
                sitedbdump a E:\\Backup\\ABCBackup\\smsbksiteregx.dat\nsitedbdump a F:\\SMSbkSQLDBsite.dat\n";
    insta::assert_snapshot!(check(text), @r"
    2:18: critical error[outside-destination]: `F:\x` is outside the snapshot folder
    3:21: warning[output-name]: `E:\Backup\ABCBackup\nal.dat` does not follow the naming convention
    5:14: error[duplicate-output]: the command in line 4 writes this file, too
    5:14: warning[output-name]: `E:\Backup\ABCBackup\smsbksiteregx.dat` does not follow the naming convention
    6:14: critical error[outside-destination]: `F:\SMSbkSQLDBsite.dat` is outside the snapshot folder
    ");
}

#[test]
fn the_database_may_go_to_a_destination_of_its_own() {
    let (file, _) = ControlFile::parse(b"[Tasks]\nsitedbdump a F:\\SQL\\SMSbkSQLDBsite.dat\nfile C:\\x F:\\SQL\\x\n");
    let predefined = example_site_with(&[]);
    let (resolved, _) = resolve(&file, &predefined, &environment);
    let mut folders = SiteFolders::from_predefined(&predefined, &environment);
    folders.database_destination = Some(r"F:\SQL".to_owned());
    insta::assert_snapshot!(listed(&lint(&file, &resolved, &folders)), @r"3:11: critical error[outside-destination]: `F:\SQL\x` is outside the snapshot folder");
}
