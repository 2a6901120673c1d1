//! `init` with what the product's registry keys say.

use std::fs;

use clap::Parser;
use tempfile::TempDir;

use super::super::init;
use super::*;
use crate::args::Cli;

const KEYS: &str = r#"Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS\Identification]
"Site Code"="P01"
"Parent Site Code"="CAS"

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS\Setup]
"Installation Directory"="C:\\Program Files\\Microsoft Configuration Manager"
"Type"=dword:00000001

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS\SQL Server]
"Database Name"="CM_P01"
"Server"="SQL1"
"#;

/// Runs `init` with the options of `line`, in which `@` stands for the folder; returns what it says and the file that it writes.
fn run(folder: &TempDir, line: &str) -> (String, Option<String>) {
    let at = format!("{}/", folder.path().display());
    let file = folder.path().join("site.toml");
    let common = format!("sitebackup --site {at}site.toml init --destination @backup");
    let args = common.split(' ').chain(line.split(' ')).map(|arg| arg.replace('@', &at));
    let cli = Cli::try_parse_from(args).expect("a good command line");
    let session = Session { global: cli.global, ..session() };
    let Command::Init(args) = cli.command else { panic!("another command") };
    let shown = match init::run(&session, &args) {
        Ok(answer) => Printer::shown(&format!("init {line}"), &answer),
        Err(error) => Printer::shown_error(&format!("init {line}"), &error),
    };
    (without_folder(&shown, &at), fs::read_to_string(file).ok())
}

/// `@` for the folder, and each path below it as Unix writes it.
fn without_folder(shown: &str, at: &str) -> String {
    let mut plain = String::new();
    let mut pieces = shown.split(at.trim_end_matches('/'));
    plain.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let end = piece.find(|c: char| c.is_whitespace() || matches!(c, '`' | '\'' | ':')).unwrap_or(piece.len());
        plain.push('@');
        plain.push_str(piece[..end].replace('\\', "/").trim_start_matches('/'));
        plain.push_str(&piece[end..]);
    }
    plain
}

fn folder(keys: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a scratch folder");
    fs::write(folder.path().join("keys.reg"), keys).expect("written");
    fs::create_dir_all(folder.path().join("site/inboxes/smsbkup.box")).expect("made");
    fs::create_dir(folder.path().join("backup")).expect("made");
    let control_file = folder.path().join("site/inboxes/smsbkup.box/smsbkup.ctl");
    fs::write(control_file, ctl_parser::default_control_file()).expect("written");
    folder
}

#[test]
fn the_products_keys_describe_the_site() {
    let folder = folder(KEYS);
    let (shown, text) = run(&folder, "--from-registry @keys.reg --install-dir @site");
    insta::assert_snapshot!(shown, @r#"
    $ sitebackup init --from-registry @keys.reg --install-dir @site
    warning: the site's database `CM_P01` on `SQL1` is taken to be backed up by others
    hint: choose method "native" in the file, and snapshots hold a backup of it
    `@site.toml` is written. Next: `sitebackup --site '@site.toml' check`, then `sitebackup --site '@site.toml' backup`.
    [done]
    "#);
    let config = host::site_toml::parse(&text.expect("written"), &path(if cfg!(windows) { "C:/etc" } else { "/etc" }))
        .expect("it can be read");
    assert_eq!(config.code.as_str(), "P01");
    assert_eq!(config.kind, SiteKind::Primary { parent: Some("CAS".parse().expect("a code")) });
    let here = crate::site::site_path(&folder.path().join("site")).expect("absolute");
    let original = path(r"C:\Program Files\Microsoft Configuration Manager");
    assert_eq!((config.install_dir, config.paths), (Some(here.clone()), vec![(original, here)]));
}

#[test]
fn what_the_keys_cannot_say_is_asked_for() {
    if !cfg!(windows) {
        let (shown, text) = run(&folder(KEYS), "--from-registry @keys.reg");
        insta::assert_snapshot!(shown, @r"
        $ sitebackup init --from-registry @keys.reg
        error: the site is installed in `C:\Program Files\Microsoft Configuration Manager`, which is no folder of this machine
        hint: say where it lies here with --install-dir DIR
        [usage]
        ");
        assert_eq!(text, None);
    }
    let secondary = folder(&KEYS.replace("00000001", "00000002"));
    let (shown, text) = run(&secondary, "--from-registry @keys.reg --install-dir @site");
    insta::assert_snapshot!(shown, @r"
    $ sitebackup init --from-registry @keys.reg --install-dir @site
    error: a secondary site has no backup: recover it from its primary site, which reinstalls it (Recover Secondary Site)
    [usage]
    ");
    assert_eq!(text, None);
    let nameless = folder(&KEYS.replace("Site Code", "Other"));
    let (shown, _) = run(&nameless, "--from-registry @keys.reg --install-dir @site");
    insta::assert_snapshot!(shown, @r"
    $ sitebackup init --from-registry @keys.reg --install-dir @site
    error: the registry names no site code
    hint: `@keys.reg` must hold the key `HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS`, as a file of the product's backup does
    [usage]
    ");
}
