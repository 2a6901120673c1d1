//! `recover --unattended` on a real snapshot: the script for the product's Setup.

use std::fs;
use std::path::PathBuf;

use tests::JournalMode;
use tests::program::Ran;

use crate::site::TestSite;

struct Bench {
    test: TestSite,
}

/// What the sample site's snapshot does not tell.
const ANSWERS: &str =
    r"--database manual --evaluation --sms-provider CM01.corp.example --prerequisites D:\CD.Latest\Redist";
/// Where the machine that runs Setup has the snapshot.
const SET: &str = r"--backup-set E:\P01Backup";

impl Bench {
    fn new() -> Self {
        let test = TestSite::running(JournalMode::Wal, 0);
        test.backup(0);
        Self { test }
    }

    fn script(&self, name: &str) -> PathBuf {
        self.test.site.dir().join(name)
    }

    fn run(&self, name: &str, options: &str) -> Ran {
        let script = self.script(name);
        let mut args = vec!["recover", "--unattended", script.to_str().expect("a Unicode path")];
        args.extend(options.split(' ').filter(|option| !option.is_empty()));
        self.test.run(&args)
    }

    #[track_caller]
    fn refused(&self, name: &str, options: &str, parts: &[&str]) {
        let before = fs::read(self.script(name)).ok();
        let ran = self.run(name, options);
        assert_eq!(ran.code, 2, "{ran:#?}");
        parts.iter().for_each(|part| assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr));
        assert_eq!(fs::read(self.script(name)).ok(), before, "nothing is written");
    }
}

#[test]
fn a_script_is_written_for_setup() {
    let bench = Bench::new();
    let ran = bench.run("P01.ini", &format!("{SET} {ANSWERS}"));
    assert_eq!(ran.code, 0, "{ran:#?}");
    let text = fs::read_to_string(bench.script("P01.ini")).expect("it is written");
    let expect = r"[Identification]
Action=RecoverPrimarySite
CDLatest=1

[RecoveryOptions]
ServerRecoveryOptions=1
DatabaseRecoveryOptions=20
SiteServerBackupLocation=E:\P01Backup

[Options]
ProductID=Eval
SiteCode=P01
SMSInstallDir=C:\Program Files\Microsoft Configuration Manager
SDKServer=CM01.corp.example
PrerequisiteComp=1
PrerequisitePath=D:\CD.Latest\Redist
AdminConsole=1
JoinCEIP=0

[SQLConfigOptions]
SQLServerName=CM01.corp.example
DatabaseName=CM_P01
SQLSSBPort=4022

[CloudConnectorOptions]
CloudConnector=0
";
    assert_eq!(text, expect.replace('\n', "\r\n"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(bench.script("P01.ini")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    for part in [
        "a stand-alone primary site",
        "changes since the backup are lost",
        "setup.exe /script",
        "ConfigMgrPostRecoveryActions",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let taken = r"the registry in the snapshot says: SMSInstallDir `C:\Program Files\Microsoft Configuration Manager`, SQLServerName `CM01.corp.example`";
    assert!(ran.stderr.contains(taken), "{}", ran.stderr);

    bench.refused("P01.ini", &format!("{SET} {ANSWERS}"), &["P01.ini", "one that is there is never replaced"]);
    bench.refused("P01.txt", &format!("{SET} {ANSWERS}"), &["does not end in .ini"]);
    bench.refused(
        "other.ini",
        SET,
        &[
            "DatabaseRecoveryOptions: SQLite",
            "--database: ",
            "SDKServer: is missing",
            "--sms-provider: ",
            "--product-key-file or --evaluation: ",
        ],
    );
    // What was lost with the site server is not skipped.
    let skip = format!("{SET} {}", ANSWERS.replace("manual", "skip"));
    bench.refused("other.ini", &skip, &["the database is on the site server `CM01.corp.example`"]);
    let elsewhere = bench.run("other.ini", &format!("{skip} --sql-server SQL1.corp.example"));
    assert_eq!(elsewhere.code, 0, "{elsewhere:#?}");
}

#[test]
fn a_bare_machine_needs_nothing_but_the_folder() {
    let bench = Bench::new();
    let key = bench.script("key.txt");
    fs::write(&key, "ABCDE-12345-ABCDE-12345-ABCDE\n").expect("written");
    let (script, folder) = (bench.script("bare.ini"), bench.test.site.destination().join("P01Backup"));
    let words = [
        "--json",
        "recover",
        "--from",
        folder.to_str().expect("Unicode"),
        "--unattended",
        script.to_str().expect("Unicode"),
        "--product-key-file",
        key.to_str().expect("Unicode"),
    ];
    let answers = format!("{SET} {}", ANSWERS.replace(" --evaluation", ""));
    let ran = bench.test.program.run(words.into_iter().chain(answers.split(' ')));
    assert_eq!(ran.code, 0, "{ran:#?}");
    let json = ran.json();
    assert_eq!(json["command"], "recover --unattended");
    let result = &json["result"];
    assert_eq!(result["sections"]["Options"]["ProductID"], "***");
    assert_eq!((&result["kind"], &result["parent"]), (&"primary".into(), &serde_json::Value::Null));
    assert_eq!(result["cd_latest"]["version"], "5.00.9122.1000");
    assert!(!ran.stdout.contains("ABCDE") && !ran.stderr.contains("ABCDE"), "{ran:#?}");
    let text = fs::read_to_string(&script).expect("it is written");
    assert!(text.contains("ProductID=ABCDE-12345-ABCDE-12345-ABCDE\r\n"), "{text}");
}

#[test]
fn the_archive_tells_what_the_folder_tells() {
    let bench = Bench::new();
    let at = |name: &str| bench.script(name).to_str().expect("Unicode").to_owned();
    let (folder, repository, passphrase) =
        (bench.test.site.destination().join("P01Backup"), at("repository"), at("pass"));
    fs::write(&passphrase, "correct horse battery staple\n").expect("written");
    let access = ["--repository", &repository, "--passphrase-file", &passphrase];
    let run = |words: &[&str]| {
        let ran = bench.test.program.run([words, &access].concat());
        assert_eq!(ran.code, 0, "{ran:#?}");
        ran
    };
    run(&["archive", "init", &repository]);
    run(&["archive", folder.to_str().expect("Unicode")]);
    let answers = format!("{SET} {ANSWERS}");
    let answers: Vec<&str> = answers.split(' ').collect();
    let script = |name: &str, from: &[&str]| {
        let ran = bench.test.program.run([&["--json", "recover", "--unattended", &at(name)], from, &answers].concat());
        assert_eq!(ran.code, 0, "{ran:#?}");
        (ran.json()["result"]["cd_latest"].clone(), fs::read(bench.script(name)).expect("it is written"))
    };
    let of_folder = script("folder.ini", &["--from", folder.to_str().expect("Unicode")]);
    let of_archive = script("archive.ini", &[&["--from-archive", "latest"], &access[..]].concat());
    assert_eq!(of_archive, of_folder);
    assert_eq!(of_archive.0["version"], "5.00.9122.1000");
}

#[test]
fn a_damaged_cd_latest_is_loud_and_claims_nothing() {
    let bench = Bench::new();
    let setup = bench.test.site.destination().join("P01Backup/CD.Latest/SMSSETUP/BIN/X64/setup.exe");
    fs::remove_file(setup).expect("removed");
    let ran = bench.run("P01.ini", &format!("{SET} {ANSWERS}"));
    assert_eq!(ran.code, 3, "{ran:#?}");
    let loud = "error: `CD.Latest` in the snapshot is of no use: `CD.Latest/SMSSETUP/BIN/X64/setup.exe` is missing";
    assert!(ran.stderr.contains(loud) && ran.stderr.contains("the script has no CDLatest=1"), "{}", ran.stderr);
    let text = fs::read_to_string(bench.script("P01.ini")).expect("it is written all the same");
    assert!(text.contains("Action=RecoverPrimarySite") && !text.contains("CDLatest"), "{text}");
}

#[test]
fn the_kind_of_the_site_is_beyond_doubt() {
    let bench = Bench::new();
    let site_toml = bench.test.site.site_toml();
    let text = fs::read_to_string(&site_toml).expect("site.toml");
    let child = text.replace("kind = \"primary\"", "kind = \"primary\"\nparent = \"CAS\"");
    fs::write(&site_toml, child).expect("written");
    let doubt = "site.toml says that the site is a child primary site of CAS, the registry in the snapshot that it is a stand-alone primary site";
    bench.refused("P01.ini", &format!("{SET} {ANSWERS}"), &[doubt, "site.parent"]);
}
