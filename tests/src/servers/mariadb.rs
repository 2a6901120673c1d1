//! A MariaDB server.

use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;

use super::process::{Place, Server, feed, free_port, program};

/// A MariaDB server with the user `site` and the password in [`MariaDb::PASSWORD`]; databases as a test makes them.
#[derive(Debug)]
pub struct MariaDb {
    server: Server,
    place: Place,
    port: u16,
}

impl MariaDb {
    /// The password of the user `site`, with signs that a connection string must quote.
    pub const PASSWORD: &str = "s3cret;}{ word";

    /// Starts a new server.
    pub fn start() -> Self {
        let place = Place::new("mysql");
        let mut install = place.command(&program("mariadb-server", &[PathBuf::from("/usr/bin/mariadb-install-db")]));
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.arg(format!("--datadir={}", place.path().join("data").display()));
        place.run(install);
        let port = free_port();
        let server = serve(&place, port);
        let started = Self { server, place, port };
        let login = format!(
            "CREATE USER site@'127.0.0.1' IDENTIFIED BY '{}'; GRANT ALL ON *.* TO site@'127.0.0.1' WITH GRANT OPTION",
            Self::PASSWORD
        );
        feed(started.root(), &login);
        started
    }

    /// Kills it, as a crash would.
    pub fn crash(&mut self) {
        self.server.kill();
    }

    /// Starts it again after [`crash`](Self::crash).
    pub fn start_again(&mut self) {
        self.server = serve(&self.place, self.port);
    }

    /// An ODBC connection string for a database.
    pub fn odbc(&self, database: &str) -> String {
        let password = Self::PASSWORD.replace('}', "}}");
        format!("{};Pwd={{{password}}}", self.odbc_alone(database))
    }

    /// The same for another user with the same password.
    pub fn odbc_of(&self, user: &str, database: &str) -> String {
        self.odbc(database).replace("Uid=site", &format!("Uid={user}"))
    }

    /// The same without the password.
    pub fn odbc_alone(&self, database: &str) -> String {
        format!("Driver={{MariaDB Unicode}};Server=127.0.0.1;Port={};Database={database};Uid=site", self.port)
    }

    /// Runs statements with the stock client; returns what it prints.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut client = self.client("mariadb");
        client.args(["-N", "-B", "--default-character-set=utf8mb4", database]);
        feed(client, sql)
    }

    /// A client program, with what it needs to log in.
    pub fn client(&self, name: &str) -> Command {
        let mut command = Command::new(program("mariadb-client", &[PathBuf::from("/usr/bin").join(name)]));
        command.args(["--no-defaults", "--host=127.0.0.1", "--user=site"]);
        command.arg(format!("--port={}", self.port)).env("MYSQL_PWD", Self::PASSWORD);
        command
    }

    /// Makes an empty database.
    pub fn create(&self, database: &str) {
        feed(self.root(), &format!("CREATE DATABASE `{database}` CHARACTER SET utf8mb4"));
    }

    fn root(&self) -> Command {
        let mut command = Command::new(program("mariadb-client", &[PathBuf::from("/usr/bin/mariadb")]));
        command.args(["--no-defaults", "--user=root"]);
        command.arg(format!("--socket={}", self.place.path().join("socket").display()));
        command
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.server.end(Signal::TERM);
    }
}

fn serve(place: &Place, port: u16) -> Server {
    let mut command = place.command(&program("mariadb-server", &[PathBuf::from("/usr/sbin/mariadbd")]));
    command.args([
        "--no-defaults",
        "--bind-address=127.0.0.1",
        "--innodb-flush-log-at-trx-commit=0",
        "--skip-name-resolve",
    ]);
    command.args(["--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M", "--max-allowed-packet=64M"]);
    command.arg(format!("--datadir={}", place.path().join("data").display()));
    let socket = place.path().join("socket");
    command.arg(format!("--socket={}", socket.display())).arg(format!("--port={port}"));
    let ready = || {
        let mut ask = Command::new("/usr/bin/mariadb-admin");
        ask.args(["--no-defaults", "--user=root", "--silent", "ping"]).arg(format!("--socket={}", socket.display()));
        ask.output().is_ok_and(|output| output.status.success())
    };
    Server::start(place, command, ready)
}
