//! What the product's backup task leaves out, apart from content: SCUP databases, migrated user states, SSRS.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, params};

use super::SampleSite;
use super::fill::{Fill, write_content, write_file};
use crate::prng::Prng;

const SCUP: &str = "AppData/Local/Microsoft/System Center Updates Publisher 2011/5.00.1727.0000";
const REPORT_SERVER: &str = "SSRS/ReportServer";

/// Writes the supplements.
pub(super) fn build(site: &SampleSite, prng: &Prng) -> io::Result<()> {
    let mut prng = prng.fork("supplements");
    let root = site.site_dir();
    for user in ["administrator", "m\u{fc}ller"] {
        build_publisher(&root.join("Users").join(user).join(SCUP), &mut prng)?;
    }
    for index in 0..3 {
        let store = root.join(format!("SMPStore/{:016X}", prng.next_u64()));
        write_file(&store.join("USMT/USMT.MIG"), Fill::Packed, 20_000 + 1000 * index, &mut prng)?;
    }
    build_reporting(&root, &mut prng)
}

/// The product's file is SQL Server Compact; a real database in its place lets tools look into it.
fn build_publisher(folder: &Path, prng: &mut Prng) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let connection = Connection::open(folder.join("scupdb.sdf")).map_err(io::Error::other)?;
    let mut fill = || {
        connection.execute_batch(
            "PRAGMA synchronous = OFF; CREATE TABLE Updates (Id INTEGER PRIMARY KEY, Title TEXT, Package BLOB)",
        )?;
        for index in 0..20 {
            let title = format!("Update {index}");
            connection.execute("INSERT INTO Updates VALUES (?1, ?2, ?3)", params![index, title, prng.bytes(300)])?;
        }
        Ok(())
    };
    fill().map_err(|error: rusqlite::Error| io::Error::other(error))
}

fn build_reporting(root: &Path, prng: &mut Prng) -> io::Result<()> {
    for name in [
        "rsreportserver.config",
        "rssrvpolicy.config",
        "rsmgrpolicy.config",
        "bin/ReportingServicesService.exe.config",
        "web.config",
    ] {
        let content = format!("<?xml version=\"1.0\"?>\r\n<!-- {name} -->\r\n<Configuration/>\r\n");
        write_content(&root.join(REPORT_SERVER).join(name), content.as_bytes(), prng)?;
    }
    write_file(&root.join("SSRS/keys/encryption.snk"), Fill::Packed, 1024, prng)
}
