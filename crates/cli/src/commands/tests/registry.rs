//! `registry` on real files.

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use insta::assert_snapshot;
use tempfile::TempDir;

use super::super::registry;
use super::*;
use crate::args::{Cli, RegistryCommand};

const TEXT: &str = r#"Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS]

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS\Setup]
@="default"
"odd"=hex(64):01,02
"Type"=dword:00000001
"#;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a scratch folder"));
        fs::write(files.path("a.reg"), TEXT).expect("written");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command line in which `@` stands for the folder; what it says has `@` for it too.
    fn run(&self, line: &str) -> String {
        let folder = format!("{}/", self.0.path().display());
        let args = ["sitebackup", "registry"].into_iter().chain(line.split(' ')).map(|arg| arg.replace('@', &folder));
        let command = Cli::parse_from(args).command;
        let name = command.name();
        let Command::Registry(command) = command else { panic!("`{name}` is another command") };
        let answer = match command {
            RegistryCommand::Show(args) => registry::show(&args),
            RegistryCommand::Diff(args) => registry::diff(&args),
            RegistryCommand::Convert(args) => registry::convert(&args),
        };
        let shown = match answer {
            Ok(answer) => {
                assert_documented(name, &answer.result);
                Printer::shown(&format!("registry {line}"), &answer)
            }
            Err(error) => Printer::shown_error(&format!("registry {line}"), &error),
        };
        // What the system says of a file is its own.
        let line = |line: &str| match line.contains("(os error ") {
            true => "  because: [the system]\n".to_owned(),
            false => format!("{line}\n"),
        };
        shown.replace(&folder, "@").lines().map(line).collect()
    }
}

#[test]
fn a_hive_is_made_shown_and_turned_back() {
    let files = Files::new();
    assert_snapshot!(files.run("convert @a.reg @a.dat"), @r"
    $ sitebackup registry convert @a.reg @a.dat
    `@a.dat` is written: 2 keys below `HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS`.
    [done]
    ");
    assert_snapshot!(files.run("show @a.dat"), @r#"
    $ sitebackup registry show @a.dat
    [\] ; the hive calls its root "SMS"

    [Setup]
      @ = REG_SZ "default"
      "odd" = type 0x64 2 bytes 01 02
      "Type" = REG_DWORD 0x00000001 (1)
    [done]
    "#);
    assert_snapshot!(files.run("show @a.dat --details --key Setup"), @r#"
    $ sitebackup registry show @a.dat --details --key Setup
    [Setup]
      @ = REG_SZ "default"
      "odd" = type 0x64 2 bytes 01 02
      "Type" = REG_DWORD 0x00000001 (1)
    [done]
    "#);
    assert_snapshot!(files.run("convert @a.dat @b.reg"), @r"
    $ sitebackup registry convert @a.dat @b.reg
    error: `@a.dat` is a hive, and does not say which key its root is
    hint: name it with --at KEY, such as --at HKLM\SOFTWARE\Microsoft\SMS
    [usage]
    ");
    assert_snapshot!(files.run(r"convert @a.dat @b.reg --utf8 --at HKLM\SOFTWARE\Microsoft\SMS"), @r"
    $ sitebackup registry convert @a.dat @b.reg --utf8 --at HKLM\SOFTWARE\Microsoft\SMS
    `@b.reg` is written: 2 keys below `HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS`.
    [done]
    ");
    assert_eq!(fs::read_to_string(files.path("b.reg")).expect("written").replace("\r\n", "\n"), format!("{TEXT}\n"));
    assert_snapshot!(files.run("convert @a.reg @b.reg"), @r"
    $ sitebackup registry convert @a.reg @b.reg
    error: failed to write `@b.reg`
      because: [the system]
    hint: name another file: one that is there is never replaced
    [usage]
    ");
}

#[test]
fn files_of_different_kinds_are_compared() {
    let files = Files::new();
    files.run("convert @a.reg @SMSbkSiteRegSMS.dat");
    fs::write(files.path("b.reg"), TEXT.replace("00000001", "00000004")).expect("written");
    assert_snapshot!(files.run("diff @SMSbkSiteRegSMS.dat @a.reg"), @r"
    $ sitebackup registry diff @SMSbkSiteRegSMS.dat @a.reg
    The keys are the same.
    [done]
    ");
    assert_snapshot!(files.run("diff @SMSbkSiteRegSMS.dat @b.reg"), @r#"
    $ sitebackup registry diff @SMSbkSiteRegSMS.dat @b.reg
    ~ [HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS\Setup] "Type" = REG_DWORD 0x00000001 (1) → REG_DWORD 0x00000004 (4)
    [incomplete]
    "#);
    fs::rename(files.path("SMSbkSiteRegSMS.dat"), files.path("x")).expect("renamed");
    assert_snapshot!(files.run("diff @x @b.reg"), @r"
    $ sitebackup registry diff @x @b.reg
    error: `@x` is a hive, and does not say which key its root is
    hint: say it with --at KEY, such as --at 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS'
    [usage]
    ");
}

#[test]
fn a_damaged_hive_is_read_as_far_as_it_goes() {
    let files = Files::new();
    files.run("convert @a.reg @a.dat");
    let mut hive = fs::read(files.path("a.dat")).expect("read");
    let at = hive.windows(4).position(|bytes| bytes == b"Type").expect("the value is there");
    // The signature of the value's cell, 20 bytes before its name.
    hive[at - 20] = b'x';
    fs::write(files.path("a.dat"), &hive).expect("written");
    assert_snapshot!(files.run("show @a.dat"), @r"
    $ sitebackup registry show @a.dat
    error: `@a.dat` is damaged, or not in the format that it should be in
      because: at offset 0x11b0 in key `Setup`: expected a key value
    hint: of a damaged hive, --salvage reads what can be read
    [registry]
    ");
    assert_snapshot!(files.run("show @a.dat --salvage"), @r#"
    $ sitebackup registry show @a.dat --salvage
    error: lost in `@a.dat`: at offset 0x11b0 in key `Setup`: expected a key value
    [\] ; the hive calls its root "SMS"

    [Setup]
      @ = REG_SZ "default"
      "odd" = type 0x64 2 bytes 01 02
    [incomplete]
    "#);
    assert_snapshot!(files.run("show @none.dat"), @r"
    $ sitebackup registry show @none.dat
    error: failed to read `@none.dat`
      because: [the system]
    [registry]
    ");
}
