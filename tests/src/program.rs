//! The program under test, as its users run it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// What one call of the program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// The result.
    pub stdout: String,
    /// The rest.
    pub stderr: String,
}

impl Ran {
    /// The result, read as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The ids of the snapshots that the result lists.
    ///
    /// # Panics
    /// When it lists none.
    pub fn snapshot_ids(&self) -> Vec<String> {
        let result = &self.json()["result"]["snapshots"];
        let snapshots = result.as_array().unwrap_or_else(|| panic!("there is no list in {self:?}"));
        snapshots.iter().map(|snapshot| snapshot["id"].as_str().expect("an id").to_owned()).collect()
    }
}

/// The built program.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
}

impl Program {
    /// A program that is built already.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Builds the program once a process, beside the running test.
    ///
    /// # Panics
    /// When it does not build.
    pub fn build() -> Self {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let path = BUILT.get_or_init(|| {
            // Under Wine there is no Cargo; `cargo xtask windows` has built it.
            if cfg!(not(windows)) {
                let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
                let status = Command::new(cargo).args(["build", "--quiet", "--package", "cli"]).status();
                assert!(status.is_ok_and(|status| status.success()), "`cargo build --package cli` failed");
            }
            let test = std::env::current_exe().expect("a test knows where it is");
            let debug = test.parent().and_then(Path::parent).expect("tests lie in target/debug/deps");
            let program = debug.join("sitebackup").with_extension(std::env::consts::EXE_EXTENSION);
            assert!(program.exists(), "`{}` is missing: cargo xtask windows", program.display());
            program
        });
        Self { path: path.clone() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The program with `args`, its streams captured, not started yet.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(&self.path);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("SITEBACKUP_SITE").env("NO_COLOR", "1");
        command
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
        let child = self.command(args).spawn().expect("the program starts");
        finish(child).expect("the program's output can be read")
    }
}

/// Waits for the end of a started program.
///
/// # Errors
/// When its output cannot be read.
pub fn finish(child: Child) -> io::Result<Ran> {
    let output = child.wait_with_output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran { code: exit_code(output.status), stdout: text(output.stdout), stderr: text(output.stderr) })
}

#[cfg(unix)]
fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(-1)
}

#[cfg(not(unix))]
fn exit_code(status: std::process::ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}
