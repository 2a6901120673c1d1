//! Databases for rehearsals, made and dropped on the server of the database that they stand in for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::address::{Address, Kind, beside};
use super::error::LogicalError;
use super::seam::Server;
use super::store::new_file;
use crate::scratch::is_scratch;
use crate::{odbc, postgres};

/// What SQLite keeps beside a database's file.
const BESIDE: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// Makes an empty database on the server of `address`, with the encoding and collation of the one there. [`Address::scratch`] leads to it.
///
/// `name` is a [`scratch_name`](super::scratch_name). For SQLite it is a file beside the other one; a dump brings its encoding along.
pub fn create_database(address: &Address, name: &str) -> Result<(), LogicalError> {
    ours(name, "made")?;
    match place(address, name)? {
        Place::Server(mut server) => server.create_database(name),
        Place::File(file) => new_file().open(file).map(drop).map_err(|source| failed("create", name, source)),
    }
}

/// Drops a database that [`create_database`] made, whoever is connected to it. One that is not there is no error; one of another name is refused.
pub fn drop_database(address: &Address, name: &str) -> Result<(), LogicalError> {
    ours(name, "dropped")?;
    match place(address, name)? {
        Place::Server(mut server) => server.drop_database(name),
        Place::File(file) => remove(&file).map_err(|source| failed("drop", name, source)),
    }
}

/// Where a database for a rehearsal is.
enum Place {
    Server(Box<dyn Server>),
    File(PathBuf),
}

fn place(address: &Address, name: &str) -> Result<Place, LogicalError> {
    Ok(match &address.0 {
        Kind::Postgres(address) => Place::Server(postgres::server(address)?),
        Kind::Odbc(string) => Place::Server(odbc::server(string)?),
        Kind::Sqlite(file) => Place::File(beside(file, name)),
    })
}

fn ours(name: &str, done: &str) -> Result<(), LogicalError> {
    let refused = || LogicalError::Unsupported(format!("`{name}` is no name of a rehearsal, so it is not {done}"));
    if is_scratch(name) { Ok(()) } else { Err(refused()) }
}

fn failed(verb: &str, name: &str, source: io::Error) -> LogicalError {
    LogicalError::Failed { action: format!("{verb} `{name}`"), source: Box::new(source) }
}

/// The main file goes first: what is left beside it when this is cut off belongs to nothing.
fn remove(file: &Path) -> io::Result<()> {
    for end in BESIDE {
        let mut path = file.as_os_str().to_owned();
        path.push(end);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::scratch_name;

    #[test]
    fn files_stand_beside_the_database() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let site = folder.path().join("site.sqlite");
        fs::write(&site, "").expect("it is written");
        let address = Address::parse(&format!("sqlite:{}", site.display())).expect("an address");
        let (name, place) = (scratch_name("1"), folder.path().join("sitebackup_rehearsal_1.sqlite"));
        create_database(&address, &name).expect("it is made");
        assert_eq!(address.scratch(&name).to_string(), format!("sqlite:{}", place.display()));
        create_database(&address, &name).expect_err("it is there");
        fs::write(folder.path().join("sitebackup_rehearsal_1.sqlite-wal"), "").expect("it is written");
        drop_database(&address, &name).expect("it is dropped");
        drop_database(&address, &name).expect("it is gone already");
        for other in ["site", "../x", "sitebackup_rehearsal_a/b"] {
            assert!(matches!(drop_database(&address, other), Err(LogicalError::Unsupported(_))), "{other}");
            assert!(matches!(create_database(&address, other), Err(LogicalError::Unsupported(_))), "{other}");
        }
        let left: Vec<_> =
            fs::read_dir(folder.path()).expect("it is there").flatten().map(|entry| entry.path()).collect();
        assert_eq!(left, [site]);
    }
}
