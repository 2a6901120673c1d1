//! A dump: prepared before the freeze window, pinned inside it, finished after it.

use std::io::Write;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use backup_core::cancel::Cancel;

use super::address::Address;
use super::catalog::{Catalog, Statement, Table};
use super::chunk::{Compression, RowWriter, TableFiles, Total};
use super::error::LogicalError;
use super::format::{CATALOG, FORMAT, FileEntry, Manifest, Moment, TableEntry};
use super::seam::{Held, Origin, Part, RowReader};
use super::store::{DumpSink, MANIFEST};
use super::work::{Stop, in_parallel};

/// How a dump is made.
#[derive(Debug, Clone)]
pub struct DumpOptions {
    /// Connections that read rows at the same time, 1 to 4.
    pub connections: usize,
    /// Ends the work early, with [`LogicalError::Stopped`].
    pub cancel: Cancel,
    /// How the files of rows are written.
    pub compression: Compression,
    /// False lets every statement see its own moment: for the tests that must see such a dump torn, and for nothing else.
    #[doc(hidden)]
    pub shared_snapshot: bool,
}

impl Default for DumpOptions {
    fn default() -> Self {
        // While one waits for the server's disk, or the driver for a page, another one is at work.
        Self { connections: 4, cancel: Cancel::default(), compression: Compression::Zstd(3), shared_snapshot: true }
    }
}

/// What a dump holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpReport {
    /// The manifest, as it was written.
    pub manifest: Manifest,
    /// Definitions that the database has and the dump has not, one line each.
    pub not_covered: Vec<String>,
    /// Data that the database has and the dump has not, one line each.
    pub lost: Vec<String>,
    /// What the dump could not remove from the server, one line each.
    pub left_behind: Vec<String>,
}

impl DumpReport {
    /// Why the dump is weaker than a whole one of one moment, a line each; none where it is not.
    pub fn weaker(&self) -> Vec<String> {
        let moment = &self.manifest.moment;
        weaker(&moment.exceptions, moment.one_snapshot, &self.lost)
    }
}

/// Why a dump is weaker than asked for: its moment does not hold for some tables, or it lacks data.
pub(crate) fn weaker(exceptions: &[String], one_snapshot: bool, lost: &[String]) -> Vec<String> {
    let outside = |table: &String| format!("table {table} has no part in the moment: it may be older or newer");
    let without = |data: &String| format!("not in the logical dump: {data}");
    let mut weaker: Vec<String> = exceptions.iter().map(outside).chain(lost.iter().map(without)).collect();
    if !one_snapshot {
        weaker.push("the database cannot hold one moment for all its tables".to_owned());
    }
    weaker
}

/// A dump whose connections stand.
pub struct PreparedDump {
    origin: Box<dyn Origin>,
    options: DumpOptions,
}

/// A dump whose moment is held. Dropping it gives the moment up.
pub struct PinnedDump {
    origin: Box<dyn Origin>,
    options: DumpOptions,
    moment: Moment,
}

impl std::fmt::Debug for PreparedDump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedDump").field("of", &self.origin.facts()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PinnedDump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinnedDump").field("moment", &self.moment).finish_non_exhaustive()
    }
}

/// Connects, and does all that can be done before the freeze window.
pub fn prepare(address: &Address, options: &DumpOptions) -> Result<PreparedDump, LogicalError> {
    let origin = address.origin(options)?;
    Ok(PreparedDump { origin, options: options.clone() })
}

/// Dumps the database at `address` as of now.
pub fn dump(address: &Address, sink: &dyn DumpSink, options: &DumpOptions) -> Result<DumpReport, LogicalError> {
    prepare(address, options)?.pin()?.finish(sink)
}

impl PreparedDump {
    /// Holds the present moment for all connections. Milliseconds, where nobody else's lock is waited for.
    pub fn pin(mut self) -> Result<PinnedDump, LogicalError> {
        if self.options.cancel.is_cancelled() {
            return Err(LogicalError::Stopped);
        }
        let mut moment = self.origin.pin()?;
        moment.unix_seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(PinnedDump { origin: self.origin, options: self.options, moment })
    }
}

impl PinnedDump {
    /// The moment that is held.
    pub fn moment(&self) -> &Moment {
        &self.moment
    }

    /// Writes the moment that is held, whole, and gives it up. Until `manifest.json` is there, it is no dump.
    pub fn finish(mut self, sink: &dyn DumpSink) -> Result<DumpReport, LogicalError> {
        let facts = self.origin.facts();
        let catalog = self.origin.catalog()?;
        let work = cut(&mut *self.origin, &catalog.tables, self.options.connections)?;
        let held = self.origin.held();
        let tables = read_all(
            self.origin.readers(),
            &catalog.tables,
            work,
            sink,
            self.options.compression,
            &self.options.cancel,
        )?;
        let released = held.map_or(Ok(()), <dyn Held>::release);
        let files = write_catalog(sink, &catalog)?;
        let manifest = Manifest {
            format: FORMAT,
            tool: concat!("sitebackup ", env!("CARGO_PKG_VERSION")).to_owned(),
            dialect: facts.dialect.to_owned(),
            server: facts.server,
            transport: facts.transport,
            address: facts.address,
            moment: self.moment,
            compression: self.options.compression.name().to_owned(),
            files,
            tables,
        };
        let failed = |source| LogicalError::Write { file: MANIFEST.to_owned(), source };
        sink.seal(&manifest.clone().seal()).map_err(failed)?;
        let left_behind = released.err().map(|error| with_reason(&error)).into_iter().collect();
        Ok(DumpReport { manifest, not_covered: catalog.not_covered, lost: catalog.lost, left_behind })
    }
}

fn with_reason(error: &LogicalError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// A table and a part of it.
type Job = (usize, Part);

/// Tables smaller than this are read by one connection.
const WORTH_CUTTING: u64 = 32 << 20;

/// The jobs, largest tables first, so that no connection ends up alone with the largest one.
pub(super) fn cut(origin: &mut dyn Origin, tables: &[Table], connections: usize) -> Result<Vec<Job>, LogicalError> {
    jobs(tables, connections, |table, wanted| origin.parts(table, wanted))
}

pub(super) fn jobs(
    tables: &[Table],
    connections: usize,
    mut parts: impl FnMut(&Table, usize) -> Result<Vec<Part>, LogicalError>,
) -> Result<Vec<Job>, LogicalError> {
    let mut order: Vec<usize> = (0..tables.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(tables[*place].size));
    let mut jobs = Vec::new();
    for place in order {
        let table = &tables[place];
        let large = connections > 1 && table.size >= WORTH_CUTTING;
        let parts = if large { parts(table, connections * 4)? } else { vec![Part::Whole] };
        jobs.extend(parts.into_iter().map(|part| (place, part)));
    }
    Ok(jobs)
}

fn read_all(
    readers: Vec<Box<dyn RowReader>>,
    tables: &[Table],
    work: Vec<Job>,
    sink: &dyn DumpSink,
    compression: Compression,
    cancel: &Cancel,
) -> Result<Vec<TableEntry>, LogicalError> {
    let stop = Stop::new(cancel);
    let files = |(place, table): (usize, &Table)| TableFiles::new(sink, compression, place, &table.title(), &stop);
    let files: Vec<TableFiles<'_>> = tables.iter().enumerate().map(files).collect();
    let totals: Vec<Mutex<Total>> = tables.iter().map(|_| Mutex::default()).collect();
    in_parallel(readers, work, &stop, |reader, (place, part)| {
        let mut rows = RowWriter::new(&files[place]);
        reader.read(&tables[place], part, &mut rows)?;
        totals[place].lock().expect("no thread panics while it adds up").add(rows.finish()?);
        Ok(())
    })?;
    let entry = |((table, total), files): ((&Table, Mutex<Total>), TableFiles<'_>)| {
        let total = total.into_inner().expect("no thread panics while it adds up");
        Ok(TableEntry { name: table.title(), rows: total.rows, row_hash: total.row_hash, chunks: files.finish()? })
    };
    tables.iter().zip(totals).zip(files).map(entry).collect()
}

/// The catalog as data, which a restore reads, and as two scripts, for people and native tools.
fn write_catalog(sink: &dyn DumpSink, catalog: &Catalog) -> Result<Vec<FileEntry>, LogicalError> {
    let data = serde_json::to_vec_pretty(catalog).expect("plain data becomes JSON");
    let files = [(CATALOG, data), ("schema/pre.sql", script(&catalog.pre)), ("schema/post.sql", script(&catalog.post))];
    files.into_iter().map(|(file, text)| write_file(sink, file, &text)).collect()
}

fn script(statements: &[Statement]) -> Vec<u8> {
    statements.iter().map(|statement| format!("{};\n\n", statement.sql)).collect::<String>().into_bytes()
}

fn write_file(sink: &dyn DumpSink, file: &str, text: &[u8]) -> Result<FileEntry, LogicalError> {
    let write = || {
        let mut open = sink.create(file)?;
        open.write_all(text)?;
        open.finish()
    };
    write().map_err(|source| LogicalError::Write { file: file.to_owned(), source })?;
    let blake3 = blake3::hash(text).to_hex().to_string();
    Ok(FileEntry { file: file.to_owned(), bytes: text.len() as u64, blake3 })
}
