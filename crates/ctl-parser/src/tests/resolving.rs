use super::{check_example, environment, example_site_with, listed, meaning};
use crate::{default_control_file, resolve};

fn check_tokens(definitions: &str, expect: &[(&str, &str)]) {
    let (_, resolved, found) = check_example(&format!("[Tokens]\n{definitions}\n"));
    assert_eq!(listed(&found), "");
    let tokens: Vec<_> = resolved.tokens.iter().map(|(name, token)| (name.as_str(), token.value.as_str())).collect();
    assert_eq!(tokens, expect);
}

/// Findings about definitions.
fn check_errors(definitions: &str) -> String {
    listed(&check_example(&format!("[Tokens]\n{definitions}\n")).2)
}

#[test]
fn the_default_control_file() {
    let (_, resolved, found) = check_example(&default_control_file());
    assert_eq!(listed(&found), "");
    insta::assert_snapshot!(meaning(&resolved), @r"
    stop: service SMS_SITE_COMPONENT_MANAGER on SITESRV
    stop: service SMS_EXECUTIVE on SITESRV
    tasks: file D:\SMS\inboxes -> E:\Backup\ABCBackup\SiteServer\SMSServer\inboxes
    tasks: file D:\SMS\Logs -> E:\Backup\ABCBackup\SiteServer\SMSServer\Logs
    tasks: file D:\SMS\data -> E:\Backup\ABCBackup\SiteServer\SMSServer\data
    tasks: file D:\SMS\srvacct -> E:\Backup\ABCBackup\SiteServer\SMSServer\srvacct
    tasks: file D:\SMS\CD.Latest -> E:\Backup\ABCBackup\CD.Latest
    tasks: reg HKEY_LOCAL_MACHINE\Software\Microsoft\NAL on SITESRV -> E:\Backup\ABCBackup\SiteServer\SMSbkSiteRegNAL.dat
    tasks: reg HKEY_LOCAL_MACHINE\Software\Microsoft\SMS on SITESRV -> E:\Backup\ABCBackup\SiteServer\SMSbkSiteRegSMS.dat
    tasks: site database CM_ABC -> E:\Backup\ABCBackup\SiteDBServer\SMSbkSQLDBsite.dat
    start: service SMS_EXECUTIVE on SITESRV
    start: service SMS_SITE_COMPONENT_MANAGER on SITESRV
    ");
}

#[test]
fn every_verb() {
    let text = "[Tasks]\nfile D:\\SMS\\*.log E:\\Backup\\ABCBackup\\logs\nreg HKLM\\Software\\x E:\\Backup\\ABCBackup\\SMSbkSiteRegx.dat\n\
                meteringdbdump M E:\\Backup\\ABCBackup\\SMSbkMeterDBmeter.dat\ncmd `MACHINFO.BAT SITE_SERVER \"SITE_CODEx\"`\n\
                cmd `rmdir E:\\Backup\\ABCBackup`\nsleep 060\n[Start]\nservice \"A service\"\nservice \\\\SITE_SERVER\\x\n";
    let (_, resolved, found) = check_example(text);
    assert_eq!(listed(&found), "");
    insta::assert_snapshot!(meaning(&resolved), @r#"
    tasks: file D:\SMS\*.log -> E:\Backup\ABCBackup\logs
    tasks: reg HKEY_LOCAL_MACHINE\Software\x -> E:\Backup\ABCBackup\SMSbkSiteRegx.dat
    tasks: metering database M -> E:\Backup\ABCBackup\SMSbkMeterDBmeter.dat
    tasks: run MACHINFO.BAT SITESRV "ABCx"
    tasks: remove E:\Backup\ABCBackup
    tasks: sleep 60
    start: service A service
    start: service x on SITESRV
    "#);
    assert_eq!(resolved.tasks[5].original, "sleep 060");
    assert_eq!((resolved.tasks[5].span.line, resolved.tasks[5].span.column), (7, 1));
}

#[test]
fn references() {
    check_tokens(r"A=BACKUP_DEST_DIR\SITE_CODEBackup", &[("A", r"E:\Backup\ABCBackup")]);
    check_tokens("MINE=MY_SITE_CODES", &[("MINE", "MY_SITE_CODES")]);
    check_tokens("MINE = %site_code% %%x ", &[("MINE", "ABC %x")]);
    check_tokens("LATER=%FIRST%x\nFIRST=%SystemDrive%", &[("FIRST", "C:"), ("LATER", "C:x")]);
    check_tokens("Q=\"C:\\a b\"", &[("Q", r"C:\a b")]);
}

#[test]
fn values_from_outside_are_not_searched_for_references() {
    let site = example_site_with(&[("BACKUP_DEST_DIR", r"E:\SITE_CODE%x%")]);
    let (file, _) = crate::ControlFile::parse(b"[Tokens]\nA=BACKUP_DEST_DIR\n");
    let (resolved, found) = resolve(&file, &site, &environment);
    assert_eq!((resolved.tokens["A"].value.as_str(), found.len()), (r"E:\SITE_CODE%x%", 0));
}

#[test]
fn tokens_that_fail() {
    insta::assert_snapshot!(check_errors("A=%NOPE%\nB=%A%\nC=SITE_SERVER_DEST\\x\nD=SITE_SERVER_ROOT\nE=100%\nF=%a b%"), @"
    2:3: critical error[undefined-token]: `NOPE` is neither a token nor an environment variable
    4:3: critical error[undefined-token]: `SITE_SERVER_DEST` has no value
    5:3: critical error[undefined-token]: `SITE_SERVER_ROOT` looks like a token and is none
    6:6: critical error[bad-reference]: percent sign that belongs to no reference
    7:3: critical error[bad-reference]: percent sign that belongs to no reference
    7:7: critical error[bad-reference]: percent sign that belongs to no reference
    ");
    insta::assert_snapshot!(check_errors("A=\nB=%EMPTY%\nC=\"  \"\nD=%A%%B%%C%"), @"
    2:3: critical error[empty-token]: `A` is empty
    3:3: critical error[empty-token]: `EMPTY` is empty
    4:4: critical error[empty-token]: `C` is empty
    ");
    insta::assert_snapshot!(check_errors("A=%A%\nP=%Q%\nQ=%R%\nR=x%P%"), @"
    2:3: critical error[cyclic-token]: `A` is defined by itself
    5:4: critical error[cyclic-token]: `P` is defined by itself
    ");
    insta::assert_snapshot!(check_errors("A=1\na=2\nSITE_CODE=XYZ\nsite_Server=x"), @"
    3:1: critical error[redefined-token]: `a` is already defined in line 2
    4:1: critical error[reserved-token]: `SITE_CODE` is set by the product
    5:1: critical error[reserved-token]: `site_Server` is set by the product
    ");
}

#[test]
fn a_bare_name_without_a_definition_is_not_a_folder() {
    let (_, resolved, found) = check_example("[Tasks]\nfile D:\\SMS\\Logs SITE_SERVER_DEST\\Logs\nfile %X% %Y%\n");
    insta::assert_snapshot!(listed(&found), @"
    2:18: critical error[undefined-token]: `SITE_SERVER_DEST` has no value
    3:6: critical error[undefined-token]: `X` is neither a token nor an environment variable
    3:10: critical error[undefined-token]: `Y` is neither a token nor an environment variable
    ");
    assert_eq!(resolved.tasks, []);
}

#[test]
fn tokens_that_multiply_are_stopped() {
    let mut text = "T0=0123456789\n".to_owned();
    for level in 1..40 {
        let below = level - 1;
        text += &format!("T{level}=%T{below}%%T{below}%\n");
    }
    insta::assert_snapshot!(check_errors(&text), @"14:5: critical error[runaway-token]: longer than 32767 bytes once its tokens are replaced");
}

#[test]
fn deep_nesting_is_stopped() {
    let chain = |length: usize| -> String {
        (0..length).map(|at| format!("T{at}_=%T{}_%\n", at + 1)).chain([format!("T{length}_=x\n")]).collect()
    };
    assert_eq!(check_errors(&chain(63)), "");
    insta::assert_snapshot!(check_errors(&chain(64)), @"65:6: critical error[runaway-token]: more than 64 tokens refer to each other in a row");
}

#[test]
fn arguments_of_the_wrong_form() {
    let text = "[Tasks]\nreg SOFTWARE\\x E:\\a\nreg HKLM E:\\a\nreg \\\\host E:\\a\nreg HKLM\\a\\\\b E:\\a\nsleep -1\nsleep +1\nsleep 1.5\n\
                sleep 99999999999\nsleep 86401\nsleep \"\"\n[Start]\nservice \\\\x\nservice a\\b\n";
    insta::assert_snapshot!(listed(&check_example(text).2), @r"
    2:5: critical error[bad-registry-key]: `SOFTWARE\x` is not a registry key
    3:5: critical error[bad-registry-key]: `HKLM` is not a registry key
    4:5: critical error[bad-registry-key]: `\\host` is not a registry key
    5:5: critical error[bad-registry-key]: `HKLM\a\\b` is not a registry key
    6:7: critical error[bad-number]: `-1` is not a number of seconds
    7:7: critical error[bad-number]: `+1` is not a number of seconds
    8:7: critical error[bad-number]: `1.5` is not a number of seconds
    9:7: critical error[bad-number]: `99999999999` is not a number of seconds
    10:7: critical error[bad-number]: `86401` is not a number of seconds
    11:8: critical error[empty-token]: argument is empty
    13:9: critical error[bad-service-name]: `\\x` is not a service
    14:9: critical error[bad-service-name]: `a\b` is not a service
    ");
}

#[test]
fn paths_of_the_wrong_form() {
    let text = "[Tasks]\nfile Logs E:\\Backup\\ABCBackup\\x\nfile D:\\*\\x E:\\Backup\\ABCBackup\\x\nfile D:\\x E:\\Backup\\ABCBackup\\*\n\
                cmd `x` out.txt\nfile D:x E:\\Backup\\ABCBackup\\x\n";
    insta::assert_snapshot!(listed(&check_example(text).2), @r"
    2:6: critical error[not-absolute]: `Logs` is not an absolute path
    3:6: critical error[bad-path-character]: `D:\*\x` holds '*', which no path can hold there
    4:11: critical error[bad-path-character]: `E:\Backup\ABCBackup\*` holds '*', which no path can hold there
    5:9: critical error[not-absolute]: `out.txt` is not an absolute path
    6:6: critical error[not-absolute]: `D:x` is not an absolute path
    ");
}
