//! AfterBackup.bat, as cmd.exe runs it, and the drive and the share that the product's own example of it names.
//!
//! `cargo xtask windows` gives both to its Wine prefix. Wine's `robocopy` is a stub that copies nothing and ends with 16.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::program::{Program, Ran};

/// The product's page on the backup task has this line.
const EXAMPLE: &str = "Robocopy E:\\ConfigMgr_Backup \\\\ServerName\\ShareName\\ConfigMgr_Backup /MIR\r\n";
const DRIVE: &str = r"E:\";
/// A share that tests may write to.
pub(crate) const SHARE: &str = r"\\ServerName\ShareName";

/// A site of one file, in a folder with a blank in its name.
struct Site {
    program: Program,
    scratch: TempDir,
}

impl Site {
    fn new(destination: &str) -> Self {
        let site = Self { program: Program::build(), scratch: TempDir::new().expect("a scratch folder") };
        fs::create_dir_all(site.folder().join("data")).expect("made");
        fs::write(site.folder().join("data/a file.txt"), "content").expect("written");
        let text = format!(
            "version = 1\n[site]\ncode = \"P01\"\n[files]\ninclude = [\"data\"]\n[task]\n\
             destination = {{ {destination} }}\nafter-backup = {{ success = \"0-7\" }}\nsession-lock = \"session.lock\"\n"
        );
        fs::write(site.folder().join("site.toml"), text).expect("written");
        site
    }

    fn folder(&self) -> PathBuf {
        self.scratch.path().join("Site P01")
    }

    fn hook(&self, name: &str, text: &str) {
        fs::write(self.folder().join(name), text).expect("written");
    }

    fn run(&self, args: &[&str]) -> Ran {
        let site: [OsString; 2] = ["--site".into(), self.folder().join("site.toml").into()];
        self.program.run(site.into_iter().chain(args.iter().map(OsString::from)))
    }

    /// The snapshot in `folder` needs nothing else to come back.
    fn assert_recoverable(&self, folder: &Path) {
        let to = self.scratch.path().join("recovered");
        fs::create_dir(&to).expect("made");
        let ran = self.program.run([
            "recover".as_ref(),
            "--from".as_ref(),
            folder.as_os_str(),
            "--to".as_ref(),
            to.as_os_str(),
        ]);
        assert_eq!(ran.code, 0, "{ran:#?}");
        fs::remove_dir_all(&to).expect("removed");
    }
}

/// Makes an empty folder on the drive or the share. One test has it: the example names one place.
fn emptied(folder: &str) {
    let root = Path::new(folder).parent().expect("it is below a root");
    assert!(root.exists(), "`{}` is missing: cargo xtask windows", root.display());
    drop(fs::remove_dir_all(folder));
    fs::create_dir(folder).expect("made");
}

#[test]
fn a_batch_file_copies_the_snapshot() {
    let site = Site::new("local = \"backups here\"");
    fs::create_dir(site.folder().join("backups here")).expect("made");
    site.hook("AfterBackup.bat", "@xcopy \"%SITEBACKUP_SNAPSHOT%\" \"..\\a copy\\P01Backup\" /E /I /H /Y\r\n");
    let ran = site.run(&["backup"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stdout.contains("succeeded with exit code 0"), "{ran:#?}");
    site.assert_recoverable(&site.scratch.path().join("a copy/P01Backup"));
    // What it ends with never changes the result.
    site.hook("AfterBackup.bat", "@exit /b 8\r\n");
    let ran = site.run(&["backup"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stderr.contains("AfterBackup failed with exit code 8"), "{ran:#?}");
}

#[test]
fn the_example_of_the_product_runs_as_given() {
    let [backups, copy] = [format!("{DRIVE}ConfigMgr_Backup"), format!("{SHARE}\\ConfigMgr_Backup")];
    emptied(&backups);
    emptied(&copy);
    let site = Site::new(&format!("local = '{backups}'"));
    site.hook("AfterBackup.bat", EXAMPLE);
    // In the place of robocopy: the same arguments and, as it does after copying, an end with 1.
    site.hook("Robocopy.cmd", "@if not \"%3\"==\"/MIR\" exit /b 16\r\n@xcopy %1 %2 /E /I /H /Y\r\n@exit /b 1\r\n");
    let ran = site.run(&["backup"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(ran.stdout.contains("succeeded with exit code 1"), "{ran:#?}");
    site.assert_recoverable(&Path::new(&copy).join("P01Backup"));
    let log = fs::read_to_string(Path::new(&backups).join("smsbkup.log")).expect("a log is kept");
    assert!(log.contains("STATMSG: ID=5040") && log.contains("AfterBackup ended with exit code 1."), "{log}");
}

/// The line of docs/archive.md in the place of robocopy: the snapshot goes into an archive on a share, and comes back from there.
#[test]
fn a_line_archives_the_snapshot() {
    let [backups, vault] = [format!("{DRIVE}Archived Backups"), format!("{SHARE}\\vault")];
    emptied(&backups);
    emptied(&vault);
    let site = Site::new(&format!("local = '{backups}'"));
    let passphrase = site.folder().join("archive passphrase.txt");
    fs::write(&passphrase, "correct horse battery staple\r\n").expect("written");
    let [repository, passphrase] = [format!("{vault}\\archive"), passphrase.display().to_string()];
    let archive = |args: &[&str]| {
        let ran = site.program.run([&["archive"], args, &["--passphrase-file", &passphrase]].concat());
        assert_eq!(ran.code, 0, "{ran:#?}");
        ran
    };
    archive(&["init", &repository]);
    let exe = site.program.path().display();
    let line = |folder: &str| {
        format!("\"{exe}\" archive \"{folder}\" --repository {repository} --passphrase-file \"{passphrase}\"\r\n")
    };
    site.hook("AfterBackup.bat", &line("%SITEBACKUP_SNAPSHOT%"));
    for content in ["content", "of another day"] {
        fs::write(site.folder().join("data/a file.txt"), content).expect("written");
        let ran = site.run(&["backup"]);
        assert_eq!(ran.code, 0, "{ran:#?}");
        assert!(ran.stdout.contains("succeeded with exit code 0"), "{ran:#?}");
    }

    // And as the product runs its own hook, on a folder that only the product has made.
    let product = site.scratch.path().join("XYZBackup");
    fs::create_dir_all(product.join("SiteServer")).expect("made");
    fs::write(product.join("SiteServer/a file.txt"), "of the product").expect("written");
    fs::write(product.join("smsbkup.log"), "Backup completed\r\n").expect("written");
    let batch = site.scratch.path().join("AfterBackup.bat");
    fs::write(&batch, line(&product.display().to_string())).expect("written");
    let ended = std::process::Command::new("cmd").arg("/c").arg(&batch).status().expect("cmd.exe starts");
    assert_eq!(ended.code(), Some(0));

    let listed = archive(&["snapshots", "--json", "--repository", &repository]).json();
    let snapshots = listed["result"]["snapshots"].as_array().expect("a list");
    let sites: Vec<_> = snapshots.iter().map(|snapshot| snapshot["site"].as_str().expect("a site")).collect();
    assert_eq!(sites, ["P01", "P01", "XYZ"]);
    let restored = site.scratch.path().join("restored");
    let to = restored.display().to_string();
    let contents = ["data/a file.txt", "data/a file.txt", "SiteServer/a file.txt"];
    for (snapshot, content) in snapshots.iter().zip(["content", "of another day", "of the product"]) {
        let id = snapshot["id"].as_str().expect("an id");
        archive(&["restore", id, "--to", &to, "--repository", &repository]);
        let found = contents.iter().map(|path| restored.join(path)).find(|path| path.exists());
        match found {
            Some(path) => assert_eq!(fs::read_to_string(path).expect("text"), content),
            None => site.assert_recoverable(&restored),
        }
        fs::remove_dir_all(&restored).expect("removed");
    }
    archive(&["verify", "--read-data", "--repository", &repository]);
}
