//! A server as a child process: started as an unprivileged user, ended when the test is over.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::poll_until;

/// How long a server may take to answer after its start.
const START_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(30);

/// A scratch folder and who owns it.
#[derive(Debug)]
pub(super) struct Place {
    folder: TempDir,
    owner: Option<(u32, u32)>,
}

impl Place {
    /// A new folder. Servers refuse to run as root, so root hands it to `user`.
    pub(super) fn new(user: &str) -> Self {
        let folder = TempDir::new().expect("a scratch folder");
        let owner = rustix::process::geteuid().is_root().then(|| ids(user));
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).expect("root gives the folder away");
        }
        Self { folder, owner }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `program` as the owner of the folder, in it.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // MariaDB removes what it takes for leftovers in the folder for temporary files when it starts: another server's.
        command.current_dir(self.path()).env("LC_ALL", "C").env("TMPDIR", self.path()).stdin(Stdio::null());
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
        command
    }

    pub(super) fn run(&self, mut command: Command) {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// User and group of a name in /etc/passwd, or those of `nobody`.
fn ids(user: &str) -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd is there");
    let of = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of(user).or_else(|| of("nobody")).expect("there is a user without privileges")
}

/// The first of the paths that there is.
pub(super) fn program(package: &str, paths: &[PathBuf]) -> PathBuf {
    let found = paths.iter().find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("none of {paths:?} is there: apt-get install {package}")).clone()
}

/// A port of the loopback that nobody uses now.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback is there");
    listener.local_addr().expect("it is bound").port()
}

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
}

impl Server {
    /// Starts it and waits until `ready` says so.
    pub(super) fn start(place: &Place, mut command: Command, ready: impl Fn() -> bool) -> Self {
        let log = fs::File::create(place.path().join("server.log")).expect("a log");
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        let mut server = Self { child };
        let answered = poll_until(START_LIMIT, || {
            let ended = server.child.try_wait().expect("our own child").is_some();
            (ended || ready()).then_some(!ended)
        });
        let log = || fs::read_to_string(place.path().join("server.log")).unwrap_or_default();
        assert_eq!(answered, Some(true), "the server does not answer: {}", log());
        server
    }

    /// Ends it at once, as a crash would.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends it with a signal, and by force when it does not listen.
    pub(super) fn end(&mut self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = rustix::process::kill_process(pid, signal);
            if poll_until(END_LIMIT, || self.child.try_wait().ok().flatten()).is_none() {
                self.kill();
            }
        }
    }
}

/// Runs a client with `input`; returns what it prints. A client that fails is the test's fault.
pub(super) fn feed(mut command: Command, input: &str) -> String {
    use std::io::Write;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    // A thread of its own: a client that prints while it reads must not wait for us.
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("our own child");
    let fed = feeder.join().expect("it does not panic");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    fed.expect("the client reads all of it");
    String::from_utf8(output.stdout).expect("the client prints UTF-8")
}
