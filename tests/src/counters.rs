//! Reads the workload's number back from each place that it was written to.
//!
//! Registry text and hives are searched, not parsed, by rules that are written down here once more.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::site::{COUNTER_FILE, COUNTER_LOG, COUNTER_LOG_ROLLED};

/// The number as each place has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// The only row of the table `Workload`.
    pub db: u64,
    /// `inboxes/counter.txt`, rewritten in place with the same size.
    pub file: u64,
    /// The last line of `Logs/counter.log`, appended to and rolled over.
    pub log: u64,
    /// The value `Counter` of the SMS key, in a file that is replaced atomically.
    pub registry: u64,
}

impl Counters {
    /// Whether all places stem from one moment.
    pub fn agree(&self) -> bool {
        self.db == self.file && self.file == self.log && self.log == self.registry
    }

    /// The highest of the numbers: where a workload goes on.
    pub fn highest(&self) -> u64 {
        self.db.max(self.file).max(self.log).max(self.registry)
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { db, file, log, registry } = self;
        let verdict = if self.agree() { "agree" } else { "torn" };
        write!(f, "db={db} registry={registry} file={file} log={log} {verdict}")
    }
}

/// Reads a recovered tree and leaves no trace in it: the database is opened as a copy, with its journal or log.
///
/// For trees at rest. A plain copy of a database that this process has open would drop that connection's locks.
pub fn read_counters(install_dir: &Path, db_path: &Path, reg_path: &Path) -> io::Result<Counters> {
    let scratch = tempfile::tempdir()?;
    let copy = copy_database(db_path, scratch.path())?;
    let db = query_counter(&copy)?;
    with_database(db, install_dir, reg_path)
}

/// Reads a site where it stands, also while the workload writes to it (then the numbers need not agree).
pub fn read_live_counters(install_dir: &Path, db_path: &Path, reg_path: &Path) -> io::Result<Counters> {
    let db = query_counter(db_path)?;
    with_database(db, install_dir, reg_path)
}

fn with_database(db: u64, install_dir: &Path, reg_path: &Path) -> io::Result<Counters> {
    Ok(Counters {
        db,
        file: counter_file(&install_dir.join(COUNTER_FILE))?,
        log: counter_log(install_dir)?,
        registry: registry_counter(reg_path)?,
    })
}

/// Copies the database with what SQLite needs to recover it; the shared-memory index is rebuilt.
fn copy_database(db_path: &Path, scratch: &Path) -> io::Result<PathBuf> {
    for suffix in ["", "-wal", "-journal"] {
        let source = with_suffix(db_path, suffix);
        if suffix.is_empty() || source.exists() {
            fs::copy(&source, scratch.join(format!("copy.db{suffix}"))).map_err(|error| named(&source, error))?;
        }
    }
    Ok(scratch.join("copy.db"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn query_counter(db_path: &Path) -> io::Result<u64> {
    let query = || {
        // Not created when missing, but writable: a writer that was killed leaves a journal to roll back.
        let connection = Connection::open_with_flags(db_path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(Duration::from_secs(60))?;
        // A reader must not tidy the log away that the site's own processes left behind.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.query_row("SELECT counter FROM Workload", [], |row| row.get::<_, i64>(0))
    };
    let counter = query().map_err(|error| named(db_path, io::Error::other(error)))?;
    u64::try_from(counter).map_err(|_| malformed(db_path))
}

fn counter_file(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path).map_err(|error| named(path, error))?;
    text.trim_end().strip_prefix("number=").and_then(|digits| digits.parse().ok()).ok_or_else(|| malformed(path))
}

/// A roll-over leaves a moment in which the last number stands in the old file only.
fn counter_log(install_dir: &Path) -> io::Result<u64> {
    let path = install_dir.join(COUNTER_LOG);
    let rolled = install_dir.join(COUNTER_LOG_ROLLED);
    [path.clone(), rolled]
        .iter()
        .find_map(|candidate| last_logged(&fs::read(candidate).ok()?))
        .ok_or_else(|| malformed(&path))
}

fn last_logged(content: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(content);
    let (_, line) = text.rsplit_once("number=")?;
    let digits: String = line.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn registry_counter(path: &Path) -> io::Result<u64> {
    let bytes = fs::read(path).map_err(|error| named(path, error))?;
    let counter =
        if bytes.starts_with(b"regf") { hive_counter(&bytes) } else { counter_value(&decode_reg_text(&bytes)) };
    counter.ok_or_else(|| malformed(path))
}

/// The value's cell says: signature, length of the name, length of the data, where they are, type, flags, name. Data of up
/// to four bytes are where else their place is told.
fn hive_counter(hive: &[u8]) -> Option<u64> {
    const SIGNATURE: &[u8] = b"vk\x07\0";
    let is_counter = |cell: &&[u8]| cell.starts_with(SIGNATURE) && cell.get(20..27) == Some(b"Counter");
    let cell = (0..hive.len()).step_by(4).map(|at| &hive[at..]).find(is_counter)?;
    let number = |at: usize| Some(u32::from_le_bytes(*cell.get(at..)?.first_chunk()?));
    if number(4)? == 0x8000_0004 {
        return number(8).map(u64::from);
    }
    // Behind the first 4096 bytes, and the four that tell the size of a cell.
    let data = hive.get(number(8)? as usize + 4096 + 4..)?;
    (number(4)? == 8).then(|| data.first_chunk().copied().map(u64::from_le_bytes))?
}

/// UTF-16LE when the byte order mark says so, else UTF-8.
pub(crate) fn decode_reg_text(bytes: &[u8]) -> String {
    match bytes {
        [0xff, 0xfe, units @ ..] => {
            let units = units.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn counter_value(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("\"Counter\"=")?;
    let value = rest.lines().next()?.trim();
    if let Some(digits) = value.strip_prefix("dword:") {
        return u64::from_str_radix(digits, 16).ok();
    }
    let bytes = value
        .strip_prefix("hex(b):")?
        .split(',')
        .map(|byte| u8::from_str_radix(byte.trim(), 16).ok())
        .collect::<Option<Vec<u8>>>()?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

pub(crate) fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

fn malformed(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{}` holds no number of the workload", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{Counters, counter_value, decode_reg_text, hive_counter, last_logged};

    #[test]
    fn registry_value_in_both_types() {
        assert_eq!(counter_value("\r\n\"Counter\"=dword:0000002a\r\n"), Some(42));
        assert_eq!(counter_value("\"Counter\"=hex(b):2a,01,00,00,00,00,00,00\r\n\"x\"=\"y\""), Some(298));
        assert_eq!(counter_value("\"Counter\"=hex(b):2a"), None);
        assert_eq!(counter_value("\"Other\"=dword:0000002a"), None);
    }

    #[test]
    fn registry_value_in_a_hive() {
        let hive = |size: u32, place: u32| {
            let mut hive = b"regf".to_vec();
            hive.resize(4096, 0);
            hive.extend([0; 4]);
            hive.extend(b"vk\x07\0");
            [size, place, 4, 1].iter().for_each(|number| hive.extend(number.to_le_bytes()));
            hive.extend(b"Counter\0");
            hive.extend([0; 4]);
            hive.extend(298u64.to_le_bytes());
            hive
        };
        assert_eq!(hive_counter(&hive(8, 32)), Some(298));
        assert_eq!(hive_counter(&hive(0x8000_0004, 42)), Some(42));
        assert_eq!(hive_counter(&hive(8, 4096)), None);
    }

    #[test]
    fn registry_text_in_both_encodings() {
        assert_eq!(decode_reg_text(b"\xff\xfeA\0\xe9\0"), "A\u{e9}");
        assert_eq!(decode_reg_text("\u{e9}".as_bytes()), "\u{e9}");
    }

    #[test]
    fn last_line_of_the_log_counts() {
        assert_eq!(last_logged(b"number=1~\r\nnumber=12~  $$<SMS_EXECUTIVE>\r\n"), Some(12));
        assert_eq!(last_logged(b""), None);
    }

    #[test]
    fn display_names_the_verdict() {
        let torn = Counters { db: 3, file: 3, log: 3, registry: 2 };
        assert_eq!(torn.to_string(), "db=3 registry=2 file=3 log=3 torn");
        assert!(Counters { registry: 3, ..torn }.agree());
    }
}
