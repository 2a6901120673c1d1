//! The site database: the product's table and view names, in SQLite.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, Transaction, params};

use super::content::Package;
use super::install::DATABASE_SHARE;
use super::{JournalMode, SITE_CODE, SITE_SERVER, SampleSiteOptions, VERSION};
use crate::prng::Prng;

const SCHEMA: &str = "
CREATE TABLE Sites (SiteKey INTEGER PRIMARY KEY, SiteCode TEXT NOT NULL UNIQUE, SiteName TEXT, SiteServer TEXT NOT NULL,
    Version TEXT NOT NULL, SiteType INTEGER NOT NULL, ParentSiteCode TEXT);
CREATE VIEW v_Site AS SELECT SiteCode, SiteName, SiteServer AS ServerName, Version, SiteType AS Type FROM Sites;
CREATE TABLE SMSPackages_G (PkgID TEXT PRIMARY KEY, Name TEXT NOT NULL, Source TEXT, SourceVersion INTEGER NOT NULL,
    SourceSite TEXT NOT NULL, Icon BLOB) WITHOUT ROWID;
CREATE VIEW v_Package AS SELECT PkgID AS PackageID, Name, Source AS PkgSourcePath, SourceVersion, SourceSite FROM SMSPackages_G;
CREATE TABLE StatusMessages (RecordID INTEGER PRIMARY KEY, Component TEXT NOT NULL, Severity INTEGER NOT NULL,
    MessageID INTEGER NOT NULL, SiteCode TEXT NOT NULL, Time TEXT, Number INTEGER);
CREATE INDEX StatusMessages_Component ON StatusMessages (Component, MessageID);
CREATE TABLE StatusMessageInsStrs (RecordID INTEGER NOT NULL REFERENCES StatusMessages, InsStrIndex INTEGER NOT NULL,
    InsStrValue TEXT, PRIMARY KEY (RecordID, InsStrIndex));
CREATE VIEW v_StatusMessage AS SELECT RecordID, Component, Severity, MessageID, SiteCode, Time FROM StatusMessages;
CREATE TABLE System_DISC (ItemKey INTEGER PRIMARY KEY AUTOINCREMENT, Name0 TEXT NOT NULL, SMS_Unique_Identifier0 TEXT,
    Client0 INTEGER, Free_Memory0 REAL, SID0 BLOB);
CREATE VIEW v_R_System AS SELECT ItemKey AS ResourceID, Name0, SMS_Unique_Identifier0, Client0 FROM System_DISC;
CREATE TABLE Collections_G (CollectionID INTEGER PRIMARY KEY, SiteID TEXT NOT NULL UNIQUE, CollectionName TEXT NOT NULL);
CREATE VIEW v_Collection AS SELECT SiteID AS CollectionID, CollectionName AS Name FROM Collections_G;
CREATE TABLE SC_SQL_Task (TaskName TEXT PRIMARY KEY, IsEnabled INTEGER NOT NULL, DaysOfWeek INTEGER NOT NULL, DeviceName TEXT);
CREATE TABLE CI_DocumentStore (Document_ID INTEGER PRIMARY KEY, DocumentIdentifier TEXT NOT NULL, Body BLOB NOT NULL);
CREATE TABLE Workload (counter INTEGER NOT NULL);
INSERT INTO Workload VALUES (0);
";

/// Bytes of one row of the table that gives the database its size.
const DOCUMENT: u64 = 3_800;

/// Writes the database and leaves it closed, without a journal or log beside it.
pub(super) fn build(path: &Path, options: &SampleSiteOptions, packages: &[Package], prng: &Prng) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let documents = options.size.bytes * DATABASE_SHARE / 1000 / (DOCUMENT + 200);
    let prng = &mut prng.fork("database");
    fill(path, options.journal_mode, packages, documents, prng).map_err(io::Error::other)
}

fn fill(
    path: &Path,
    journal_mode: JournalMode,
    packages: &[Package],
    documents: u64,
    prng: &mut Prng,
) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA page_size = 4096;")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    insert_site(&transaction, packages, prng)?;
    insert_systems(&transaction, prng)?;
    insert_messages(&transaction, prng)?;
    insert_documents(&transaction, documents, prng)?;
    transaction.commit()?;
    let mode = match journal_mode {
        JournalMode::Wal => "WAL",
        JournalMode::Delete => "DELETE",
    };
    connection.execute_batch(&format!("PRAGMA journal_mode = {mode}"))
}

fn insert_site(transaction: &Transaction<'_>, packages: &[Package], prng: &mut Prng) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO Sites VALUES (1, ?1, 'Musterstandort Z\u{fc}rich', ?2, ?3, 2, NULL)",
        params![SITE_CODE, SITE_SERVER, VERSION],
    )?;
    transaction.execute("INSERT INTO SC_SQL_Task VALUES ('Backup SMS Site Server', 1, 9, 'D:\\Backup')", [])?;
    for (index, name) in ["All Systems", "All Users", "Pilot \u{1f600}"].iter().enumerate() {
        let key = index as i64 + 1;
        let id = format!("SMS{key:05}");
        transaction.execute("INSERT INTO Collections_G VALUES (?1, ?2, ?3)", params![key, id, name])?;
    }
    for package in packages {
        transaction.execute(
            "INSERT INTO SMSPackages_G VALUES (?1, ?2, ?3, 1, ?4, ?5)",
            params![package.id, package.name, package.source, SITE_CODE, prng.bytes(64)],
        )?;
    }
    Ok(())
}

fn insert_systems(transaction: &Transaction<'_>, prng: &mut Prng) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare(
        "INSERT INTO System_DISC (Name0, SMS_Unique_Identifier0, Client0, Free_Memory0, SID0) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for index in 0..250 {
        let guid = (index % 7 != 0).then(|| format!("GUID:{:016X}", prng.next_u64()));
        let memory = prng.below(1_000_000) as f64 / 7.0;
        insert.execute(params![format!("PC{index:05}"), guid, prng.below(2) as i64, memory, prng.bytes(28)])?;
    }
    Ok(())
}

fn insert_messages(transaction: &Transaction<'_>, prng: &mut Prng) -> rusqlite::Result<()> {
    let mut message = transaction
        .prepare("INSERT INTO StatusMessages VALUES (?1, ?2, ?3, ?4, ?5, '2025-12-31 23:59:58.123', NULL)")?;
    let mut insertion = transaction.prepare("INSERT INTO StatusMessageInsStrs VALUES (?1, 0, ?2)")?;
    for record in 1..=500_i64 {
        let id = 500 + prng.below(5000) as i64;
        message.execute(params![record, "SMS_SITE_BACKUP", 0x4000_0000_i64, id, SITE_CODE])?;
        insertion.execute(params![record, format!("Text \u{e4}\u{f6}\u{fc} {id}")])?;
    }
    Ok(())
}

fn insert_documents(transaction: &Transaction<'_>, documents: u64, prng: &mut Prng) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare("INSERT INTO CI_DocumentStore VALUES (?1, ?2, ?3)")?;
    for document in 1..=documents as i64 {
        let name = format!("{SITE_CODE}/Document/{document}");
        insert.execute(params![document, name, prng.bytes(DOCUMENT as usize)])?;
    }
    Ok(())
}
