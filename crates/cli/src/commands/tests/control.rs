//! A control file that cannot be used stops everything before anything is touched.

use super::*;
use crate::control;

fn judged(text: &str, paths: Vec<(SitePath, SitePath)>) -> Result<usize, String> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = folder.path().join("smsbkup.ctl");
    std::fs::write(&file, text).expect("written");
    let control_file = crate::site::site_path(&file).expect("absolute");
    let config = SiteConfig { install_dir: Some(path("/srv/cm")), control_file: Some(control_file), paths, ..alone() };
    let shown = |error| Printer::shown_error("backup", &error).replace(&file.display().to_string(), "smsbkup.ctl");
    control::tasks(&config).map(|tasks| tasks.map_or(0, |(tasks, _)| tasks.files.len())).map_err(shown)
}

#[test]
fn every_error_is_told_with_its_line() {
    let text = "[Tasks]\nfiel C:\\a E:\\b\nfile %NOTHING% %BACKUP_DEST_DIR%\\P01Backup\\x\n";
    insta::assert_snapshot!(judged(text, vec![(path(r"C:\SMS"), path("/srv/cm"))]).expect_err("wrong"), @r"
    $ sitebackup backup
    critical error[unknown-verb]: unknown verb `fiel`
     --> smsbkup.ctl:2:1
      |
    2 | fiel C:\a E:\b
      | ^^^^
      = help: did you mean `file`? Put `#` before the line to leave it out; the verbs are file, reg, sitedbdump, meteringdbdump, cmd, rmdir, service, sleep. If the product wrote it, please share the output of `sitebackup control-file check --redact`, so that the verb can be added
    critical error[undefined-token]: `NOTHING` is neither a token nor an environment variable
     --> smsbkup.ctl:3:6
      |
    3 | file %NOTHING% %BACKUP_DEST_DIR%\P01Backup\x
      |      ^^^^^^^^^
      = help: define `NOTHING` in [Tokens], or write its value out
    error: `smsbkup.ctl` has 2 critical errors: nothing was touched
    [usage]
    ");
}

#[test]
fn paths_that_lie_nowhere_share_a_hint() {
    let text = "[Tasks]\nfile %SITE_SERVER_ROOT_DIR%\\data %BACKUP_DEST_DIR%\\P01Backup\\data\n";
    insta::assert_snapshot!(judged(text, Vec::new()).expect_err("wrong"), @r#"
    $ sitebackup backup
    critical error[not-absolute]: `/srv/cm\data` is not an absolute path
     --> smsbkup.ctl:2:6
      |
    2 | file %SITE_SERVER_ROOT_DIR%\data %BACKUP_DEST_DIR%\P01Backup\data
      |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: begin with a drive or a share; a path with spaces needs double quotes (KB256586)
    error: `smsbkup.ctl` has a critical error: nothing was touched
    hint: say under [paths] in site.toml where the control file's paths lie: 'C:\Program Files\Microsoft Configuration Manager' = "/srv/cm"
    [usage]
    "#);
    assert_eq!(judged(text, vec![(path(r"C:\SMS"), path("/srv/cm"))]), Ok(1));
}
