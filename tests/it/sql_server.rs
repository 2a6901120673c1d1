//! Native backups of SQL Server through real drivers, FreeTDS and Microsoft's, against the scripted server.
//!
//! What SQL Server itself does is not proven here, unless `SITEBACKUP_MSSQL` holds a connection string of one: see [`a_real_server`].

mod a_real_server;
mod adapters;
mod failures;
mod logical;
mod messages;
mod program;
mod sample;
mod types;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use backup_core::cancel::Cancel;
use backup_core::event::ServerProgress;
use sql_dump::ConnectionString;
use sql_dump::sqlserver::{BackupOrder, BackupTaken, SqlServer, SqlServerError};
use tds_server::{Script, TdsServer};

/// A driver that the suites run with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Driver {
    FreeTds,
    Microsoft,
}

const DRIVERS: [Driver; 2] = [Driver::FreeTds, Driver::Microsoft];

/// Where `cargo xtask test` unpacks Microsoft's driver.
fn microsoft_driver() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder");
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    let folder = target.join("mssql-odbc/mssql_python_odbc/libs/linux/debian_ubuntu").join(machine).join("lib");
    let library = |entry: std::fs::DirEntry| {
        entry.file_name().to_string_lossy().starts_with("libmsodbcsql").then(|| entry.path())
    };
    let mut entries = std::fs::read_dir(&folder).into_iter().flatten();
    entries.find_map(|entry| library(entry.ok()?)).unwrap_or_else(|| {
        let target = target.join("mssql-odbc");
        panic!(
            "Microsoft's ODBC driver is missing in {folder}: pip download --no-deps -d {target} mssql-python-odbc && \
             python3 -m zipfile -e {target}/*.whl {target} && apt-get install libkrb5-3 libgssapi-krb5-2 libltdl7 libodbcinst2",
            folder = folder.display(),
            target = target.display()
        )
    })
}

impl Driver {
    fn connection_string(self, server: &TdsServer, password: &str) -> String {
        let port = server.port();
        match self {
            Self::FreeTds => format!(
                "Driver=FreeTDS;Server=127.0.0.1;Port={port};TDS_Version=7.4;ClientCharset=UTF-8;Database=master;UID=sa;PWD={password}"
            ),
            Self::Microsoft => format!(
                "Driver={};Server=127.0.0.1,{port};Encrypt=no;Database=master;UID=sa;PWD={password}",
                microsoft_driver().display()
            ),
        }
    }

    /// For those who connect without looking for the driver's library: Debian keeps FreeTDS in a folder for drivers.
    fn by_library(self, server: &TdsServer) -> String {
        let folders = std::fs::read_dir("/usr/lib").expect("it is there").flatten();
        let library = folders.map(|folder| folder.path().join("odbc/libtdsodbc.so")).find(|library| library.is_file());
        let library = library.expect("FreeTDS is missing: apt-get install tdsodbc").display().to_string();
        self.connection_string(server, Script::PASSWORD).replace("Driver=FreeTDS", &format!("Driver={library}"))
    }

    fn sql_server(self, server: &TdsServer, cancel: &Cancel) -> SqlServer {
        SqlServer::new(connection(&self.connection_string(server, Script::PASSWORD)), cancel.clone())
    }
}

fn connection(text: &str) -> ConnectionString {
    ConnectionString::parse(text).expect("a connection string")
}

/// A scripted server and a driver to reach it.
struct Lab {
    server: TdsServer,
    driver: Driver,
    cancel: Cancel,
}

impl Lab {
    fn new(driver: Driver, script: Script) -> Self {
        let server = TdsServer::start(script).expect("a free port");
        Self { server, driver, cancel: Cancel::default() }
    }

    fn sql_server(&self) -> SqlServer {
        self.driver.sql_server(&self.server, &self.cancel)
    }

    /// Takes the sample's backup; what was heard of its progress comes too.
    fn back_up(&self) -> (Result<BackupTaken, SqlServerError>, Vec<u8>) {
        let heard = Mutex::new(Vec::new());
        let taken = self.back_up_watched(&|progress| heard.lock().expect("no one panicked").push(progress.percent));
        (taken, heard.into_inner().expect("no one panicked"))
    }

    fn back_up_watched(&self, watch: &(dyn Fn(ServerProgress) + Sync)) -> Result<BackupTaken, SqlServerError> {
        self.sql_server().backup(&BackupOrder::new("CM_P01", sample::PLACE, sample::NAME), watch)
    }
}

/// A numbered message of a driver, which names itself in some of them; what it says besides differs.
fn numbers(error: &SqlServerError) -> Vec<i32> {
    let (SqlServerError::Refused { messages, .. } | SqlServerError::Lost { messages, .. }) = error else {
        panic!("{error}");
    };
    messages.iter().filter(|message| message.is_error()).map(|message| message.number).collect()
}
