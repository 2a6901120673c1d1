//! Writes one number to every place, and the next, as fast as it goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use super::client::Client;
use crate::counters::{decode_reg_text, named};
use crate::poll::poll_until;
use crate::site::{COUNTER_FILE, COUNTER_LOG, COUNTER_LOG_ROLLED, SITE_CODE, SampleSite, encode_reg_text};

/// The log is rolled over beyond this size.
const LOG_LIMIT: u64 = 2 * 1024 * 1024;
/// What a line of the log begins with, filled up with blanks: so long that the log is rolled over between any two backups or so.
const LOG_TEXT: &str = "Wrote ";
/// A file of the extra load is cut back to its first size after this much growth.
const GROWTH_LIMIT: u64 = 64 * 1024;
/// The table of status messages stops growing at this many of them.
const MESSAGES: u64 = 10_000;

/// How long somebody may read a file that is to be replaced.
const READER: Duration = Duration::from_secs(5);

/// All places that the number is written to.
#[derive(Debug)]
pub(super) struct Writer {
    number: u64,
    database: Database,
    file: File,
    log: RollingLog,
    registry: RegistryFile,
    extra_files: ExtraFiles,
}

impl Writer {
    /// Goes on after the highest number found, so that a writer that was killed in between leaves nothing for good.
    pub(super) fn open(site: &SampleSite, extra_files: u32) -> io::Result<Self> {
        let number = site.live_counters()?.highest();
        let install_dir = site.install_dir();
        let counter_file = install_dir.join(COUNTER_FILE);
        Ok(Self {
            number,
            database: Database::open(site)?,
            file: OpenOptions::new().write(true).open(&counter_file).map_err(|error| named(&counter_file, error))?,
            log: RollingLog::open(&install_dir)?,
            registry: RegistryFile::open(site.registry_file())?,
            extra_files: ExtraFiles::find(&install_dir, extra_files)?,
        })
    }

    pub(super) fn write_next(&mut self) -> io::Result<()> {
        self.number += 1;
        self.database.commit(self.number)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(format!("number={:020}\r\n", self.number).as_bytes())?;
        self.extra_files.append(self.number)?;
        self.registry.replace(self.number)?;
        self.log.append(self.number)
    }
}

/// The site database.
#[derive(Debug)]
enum Database {
    File(Connection),
    Served(Client),
}

impl Database {
    fn open(site: &SampleSite) -> io::Result<Self> {
        match Client::find(site)? {
            Some(client) => Ok(Self::Served(client)),
            None => open_database(&site.database()).map(Self::File).map_err(io::Error::other),
        }
    }

    fn commit(&mut self, number: u64) -> io::Result<()> {
        match self {
            Self::File(connection) => commit(connection, number).map_err(io::Error::other),
            Self::Served(client) => client.commit(number),
        }
    }
}

fn open_database(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // A backup may hold a lock for a while.
    connection.busy_timeout(Duration::from_secs(60))?;
    // No suite cuts the power, and a faster writer is torn more often.
    connection.execute_batch("PRAGMA synchronous = OFF")?;
    // A database server goes on running while the site's services stop: the log stays, with the newest pages in it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

fn commit(database: &mut Connection, number: u64) -> rusqlite::Result<()> {
    let record = 1_000_000 + (number % MESSAGES) as i64;
    let number = number as i64;
    let transaction = database.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.prepare_cached("UPDATE Workload SET counter = ?1")?.execute([number])?;
    transaction
        .prepare_cached("REPLACE INTO StatusMessages VALUES (?1, 'SMS_EXECUTIVE', 1073741824, 500, ?2, NULL, ?3)")?
        .execute(params![record, SITE_CODE, number])?;
    transaction.commit()
}

/// `Logs/counter.log`, renamed to `.lo_` when it has grown enough, as the product does with its logs.
#[derive(Debug)]
struct RollingLog {
    path: PathBuf,
    rolled: PathBuf,
    file: File,
    len: u64,
}

impl RollingLog {
    fn open(install_dir: &Path) -> io::Result<Self> {
        let path = install_dir.join(COUNTER_LOG);
        let file = append_to(&path)?;
        let len = file.metadata()?.len();
        Ok(Self { rolled: install_dir.join(COUNTER_LOG_ROLLED), path, file, len })
    }

    fn append(&mut self, number: u64) -> io::Result<()> {
        if self.len >= LOG_LIMIT {
            rename_over(&self.path, &self.rolled)?;
            self.file = append_to(&self.path)?;
            self.len = 0;
        }
        let line = format!("{LOG_TEXT:2000}number={number}~  $$<SMS_EXECUTIVE>\r\n");
        self.len += line.len() as u64;
        self.file.write_all(line.as_bytes())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path).map_err(|error| named(path, error))
}

/// Wine replaces no file that somebody has open, and readers are soon done. A writer that gave up here would leave the number in some of its
/// places only, as one that is killed does, and a backup that stops the service before it is started again would find it so.
fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
    let renamed = poll_until(READER, || match fs::rename(from, to) {
        Err(error) if cfg!(windows) && error.kind() == io::ErrorKind::PermissionDenied => None,
        renamed => Some(renamed),
    });
    renamed.unwrap_or_else(|| fs::rename(from, to))
}

/// The registry file, written anew beside itself and moved over itself for each number.
#[derive(Debug)]
struct RegistryFile {
    path: PathBuf,
    new: PathBuf,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl RegistryFile {
    /// Keeps what stands before and behind the value; it is the one that must not change meanwhile.
    fn open(path: PathBuf) -> io::Result<Self> {
        let text = decode_reg_text(&fs::read(&path).map_err(|error| named(&path, error))?);
        let text = text.trim_start_matches('\u{feff}');
        let malformed = || named(&path, io::Error::other("no value `Counter`"));
        let (before, rest) = text.split_once("\"Counter\"=").ok_or_else(malformed)?;
        let (_, after) = rest.split_once('\n').ok_or_else(malformed)?;
        let (before, after) = (encode_reg_text(before), encode_reg_text(after).split_off(2));
        Ok(Self { new: path.with_extension("reg.new"), path, before, after })
    }

    fn replace(&self, number: u64) -> io::Result<()> {
        let bytes: Vec<String> = number.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let value = encode_reg_text(&format!("\"Counter\"=hex(b):{}\r\n", bytes.join(","))).split_off(2);
        fs::write(&self.new, [self.before.as_slice(), &value, &self.after].concat())?;
        rename_over(&self.new, &self.path)
    }
}

/// Other files of the inboxes and logs, one of which grows by a line with every number.
#[derive(Debug)]
struct ExtraFiles {
    files: Vec<(PathBuf, u64)>,
}

impl ExtraFiles {
    /// Picks `count` of the files that there are, evenly over all of them.
    fn find(install_dir: &Path, count: u32) -> io::Result<Self> {
        let mut found = Vec::new();
        if count > 0 {
            collect(&install_dir.join("inboxes"), &mut found)?;
            collect(&install_dir.join("Logs"), &mut found)?;
            found.sort();
        }
        let step = (found.len() / (count as usize).max(1)).max(1);
        Ok(Self { files: found.into_iter().step_by(step).take(count as usize).collect() })
    }

    fn append(&mut self, number: u64) -> io::Result<()> {
        let Some(index) = number.checked_rem(self.files.len() as u64) else { return Ok(()) };
        let (path, first_len) = &self.files[index as usize];
        let mut file = OpenOptions::new().append(true).open(path).map_err(|error| named(path, error))?;
        if file.metadata()?.len() > first_len + GROWTH_LIMIT {
            file.set_len(*first_len)?;
        }
        let line =
            format!("Processed item {number:020} without errors, waiting for the next one~  $$<SMS_EXECUTIVE>\r\n");
        file.write_all(line.as_bytes())
    }
}

/// Generated files only: neither the workload's own nor those that must stay as they are.
fn collect(folder: &Path, found: &mut Vec<(PathBuf, u64)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if metadata.is_dir() {
            collect(&entry.path(), found)?;
        } else if metadata.is_file() && name.is_ascii() && !is_kept(&name) {
            found.push((entry.path(), metadata.len()));
        }
    }
    Ok(())
}

fn is_kept(name: &str) -> bool {
    ["counter.", "smsbkup.", "sitectrl.", "linked-", "empty."].iter().any(|kept| name.starts_with(kept))
}
