//! From a configuration, or an address on the command line, to the adapter of a database, with its password.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use backup_core::cancel::Cancel;
use backup_core::config::{DatabaseConfig, DatabaseMethod, DatabasePlace, NativeBackup, ServerKind};
use backup_core::event::EventSink;
use backup_core::path::SitePath;
use backup_core::ports::database::{DatabaseForm, SiteDatabase};
use backup_core::secret::{PASSWORD_VARIABLE, Secret};
use host::machine::machine_name;
use sql_dump::logical::Address;
use sql_dump::sqlserver::SqlServer;
use sql_dump::{
    ConnectionString, ExternalDatabase, ImagedDatabase, LogicalDatabase, NativeFolder, SqlServerDatabase,
    SqliteDatabase,
};

use crate::error::CommandError;
use crate::exit::Exit;
use crate::site::local;

/// The adapter of a configured database.
pub(crate) fn adapter(
    config: &DatabaseConfig,
    events: &Arc<dyn EventSink>,
) -> Result<Arc<dyn SiteDatabase>, CommandError> {
    match &config.place {
        DatabasePlace::Sqlite(path) => match config.method {
            DatabaseMethod::Logical => {
                Ok(Arc::new(LogicalDatabase::sqlite(path.clone()).map_err(CommandError::usage)?))
            }
            _ => Ok(Arc::new(SqliteDatabase::new(path.clone(), None))),
        },
        DatabasePlace::Server { kind, connection, password_file } => {
            let password = password(password_file.as_ref().map(local).as_deref())?;
            match (&config.method, kind) {
                (DatabaseMethod::Native(folder), ServerKind::SqlServer) => {
                    let (server, name) = sql_server(connection, password.as_ref())?;
                    let database = SqlServerDatabase::new(server, name, native_folder(folder));
                    Ok(Arc::new(database.with_events(Arc::clone(events))))
                }
                (DatabaseMethod::Vss, ServerKind::SqlServer) => {
                    let (server, name) = sql_server(connection, password.as_ref())?;
                    Ok(Arc::new(ImagedDatabase::new(server, name, machine_name())))
                }
                (DatabaseMethod::External { max_age }, ServerKind::SqlServer) => {
                    let (server, name) = sql_server(connection, password.as_ref())?;
                    Ok(Arc::new(ExternalDatabase::new(server, name, *max_age)))
                }
                _ => Ok(Arc::new(LogicalDatabase::new(address(connection, password.as_ref())?))),
            }
        }
    }
}

/// The adapter that puts back what a snapshot holds of a configured database, whatever the next snapshot will hold of it.
pub(crate) fn adapter_for(
    config: &DatabaseConfig,
    form: DatabaseForm,
    events: &Arc<dyn EventSink>,
) -> Result<Arc<dyn SiteDatabase>, CommandError> {
    let method = match form {
        // A file goes where the recovery says, wherever the database is by now.
        DatabaseForm::File => return Ok(nameless()),
        DatabaseForm::Logical => DatabaseMethod::Logical,
        DatabaseForm::Files => return Ok(nameless_files()),
        DatabaseForm::Native | DatabaseForm::External => config.method.clone(),
    };
    adapter(&DatabaseConfig { method, ..config.clone() }, events)
}

fn native_folder(folder: &NativeBackup) -> NativeFolder {
    NativeFolder {
        server: folder.folder.clone(),
        here: folder.here.as_ref().map(local),
        certificate: folder.certificate.clone(),
    }
}

/// A SQL Server, and the database that the connection string names.
pub(crate) fn sql_server(connection: &str, password: Option<&Secret>) -> Result<(SqlServer, String), CommandError> {
    let string = ConnectionString::parse(connection).map_err(CommandError::usage)?;
    let Some(name) = string.database().map(str::to_owned) else {
        let error = CommandError::usage("the connection string names no database");
        return Err(error.hint("add Database=CM_P01, or what it is called"));
    };
    let server = SqlServer::new(string, Cancel::default());
    Ok((password.map_or(server.clone(), |password| server.with_password(password)), name))
}

/// An address with its password.
pub(crate) fn address(text: &str, password: Option<&Secret>) -> Result<Address, CommandError> {
    let address = Address::parse(text).map_err(CommandError::usage)?;
    Ok(password.map_or(address.clone(), |password| address.with_password(password)))
}

/// The password in the environment, or else the first line of `file`.
pub(crate) fn password(file: Option<&Path>) -> Result<Option<Secret>, CommandError> {
    if let Some(password) = std::env::var_os(PASSWORD_VARIABLE).filter(|value| !value.is_empty()) {
        let password = password
            .into_string()
            .map_err(|_| CommandError::usage(format!("the password in {PASSWORD_VARIABLE} is not Unicode")))?;
        return Ok(Some(Secret::new(password)));
    }
    let Some(file) = file else { return Ok(None) };
    let text =
        fs::read_to_string(file).map_err(|error| CommandError::io(Exit::USAGE, "read the password in", file, error))?;
    Ok(Some(Secret::new(text.lines().next().unwrap_or_default())))
}

/// What judges the files of a server's database, whichever server that was: they go where the recovery says.
pub(crate) fn nameless_files() -> Arc<dyn SiteDatabase> {
    Arc::new(ImagedDatabase::serverless())
}

/// What puts a file back where no configuration describes a database: its place comes with the recovery.
pub(crate) fn nameless() -> Arc<dyn SiteDatabase> {
    Arc::new(SqliteDatabase::new(SitePath::parse("/database").expect("absolute"), None))
}
