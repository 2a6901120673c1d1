//! A PostgreSQL server.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::process::{Place, Server, free_port, program};

/// A PostgreSQL server with the user `site` and the password in [`Postgres::PASSWORD`]; databases as a test makes them.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    place: Place,
    port: u16,
}

impl Postgres {
    /// The password of the user `site`, with signs that an address and a connection string must quote.
    pub const PASSWORD: &str = "s3cret;}{@ word";

    /// Starts a new server.
    pub fn start() -> Self {
        let place = Place::new("postgres");
        let password = place.path().join("password");
        std::fs::write(&password, Self::PASSWORD).expect("the password file is written");
        std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("readable");
        let mut init = place.command(&tool("initdb"));
        init.args(["-D", "data", "-U", "site", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256", "--no-sync"]);
        init.arg("--pwfile").arg(&password);
        place.run(init);
        let port = free_port();
        let server = serve(&place, port);
        Self { server, place, port }
    }

    /// Kills it and starts it again on the same files.
    pub fn crash(&mut self) {
        // SIGQUIT makes the postmaster end its children at once, without a checkpoint; killed itself it would leave them.
        self.server.end(Signal::QUIT);
    }

    /// Starts it again after [`crash`](Self::crash).
    pub fn start_again(&mut self) {
        self.server = serve(&self.place, self.port);
    }

    /// The address of a database, with user and password.
    pub fn address(&self, database: &str) -> String {
        let quoted = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        format!("postgresql://site:{}@127.0.0.1:{}/{}", quoted(Self::PASSWORD), self.port, quoted(database))
    }

    /// The address of a database, without the password.
    pub fn address_alone(&self, database: &str) -> String {
        format!("postgresql://site@127.0.0.1:{}/{database}", self.port)
    }

    /// An ODBC connection string for a database.
    pub fn odbc(&self, driver: &str, database: &str) -> String {
        let password = Self::PASSWORD.replace('}', "}}");
        format!(
            "Driver={{{driver}}};Server=127.0.0.1;Port={};Database={database};Uid=site;Pwd={{{password}}}",
            self.port
        )
    }

    /// Runs statements with psql; returns what it prints, without alignment.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = self.client("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"]);
        super::process::feed(psql, sql)
    }

    /// A client program of the server's own version, with what it needs to log in.
    pub fn client(&self, name: &str) -> Command {
        let mut command = Command::new(tool(name));
        command.env("PGPASSWORD", Self::PASSWORD).env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        command.env("PGUSER", "site").env("PGCLIENTENCODING", "UTF8").env("PGTZ", "UTC");
        command
    }

    /// Makes an empty database.
    pub fn create(&self, database: &str) {
        self.sql("postgres", &format!("CREATE DATABASE \"{database}\""));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.server.end(Signal::INT);
    }
}

fn serve(place: &Place, port: u16) -> Server {
    let mut command = place.command(&tool("postgres"));
    command.args(["-D", "data", "-h", "127.0.0.1", "-k"]).arg(place.path()).args(["-p", &port.to_string()]);
    for setting in ["fsync=off", "log_min_messages=warning", "max_wal_size=4GB", "shared_buffers=256MB"] {
        command.args(["-c", setting]);
    }
    let ready = || {
        let mut ask = Command::new(tool("pg_isready"));
        ask.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
        ask.status().is_ok_and(|status| status.success())
    };
    Server::start(place, command, ready)
}

/// The newest version that Debian put there.
fn tool(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|folders| folders.flatten().map(|folder| folder.path().join("bin").join(name)).collect())
        .unwrap_or_default();
    versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
    program("postgresql", &versions)
}

fn version(path: &Path) -> u32 {
    let folder = path.ancestors().nth(2).and_then(Path::file_name).and_then(|name| name.to_str());
    folder.and_then(|name| name.parse().ok()).unwrap_or(0)
}
