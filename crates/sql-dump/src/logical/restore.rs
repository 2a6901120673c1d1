//! A restore into an empty database: statements, rows, statements, and a look at every row that is there then.

use std::sync::Mutex;

use backup_core::cancel::Cancel;

use super::address::Address;
use super::catalog::{Catalog, Kind, Statement, Table};
use super::chunk::{RowWriter, TableFiles, Total};
use super::dump::jobs;
use super::error::LogicalError;
use super::format::{Chunk, Manifest};
use super::rows::ChunkReader;
use super::seam::{Found, Progress, RowLoader, Target};
use super::store::DumpSource;
use super::verify::{read_catalog, read_manifest};
use super::work::{Stop, in_parallel};

/// How a restore is made.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// Connections that load rows at the same time, 1 to 4.
    pub connections: usize,
    /// Ends the work early, with [`LogicalError::Stopped`]; it can go on.
    pub cancel: Cancel,
    /// Whether all rows are read again at the end and compared with the dump.
    pub compare: bool,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self { connections: 2, cancel: Cancel::default(), compare: true }
    }
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// Rows that the database holds now.
    pub rows: u64,
    /// Chunks that an earlier attempt had loaded.
    pub chunks_before: usize,
    /// Whether all rows were read again and equal the dump.
    pub compared: bool,
    /// What the database had that was dumped, and this one has not; data first.
    pub not_covered: Vec<String>,
}

/// Restores a dump into the empty database at `target`.
///
/// Cut off or failed, it can be called again and goes on with the chunks that are not in yet; until it is done the database holds a table of
/// its own that says so.
pub fn restore(
    source: &dyn DumpSource,
    target: &Address,
    options: &RestoreOptions,
) -> Result<RestoreReport, LogicalError> {
    restore_all(source, target, options).map_err(|error| match error {
        // What is missing here was not altered while it was dumped.
        LogicalError::Changed { table, source } => {
            LogicalError::Failed { action: format!("restore `{table}`"), source }
        }
        error => error,
    })
}

fn restore_all(
    source: &dyn DumpSource,
    target: &Address,
    options: &RestoreOptions,
) -> Result<RestoreReport, LogicalError> {
    let manifest = read_manifest(source)?;
    let catalog = read_catalog(source, &manifest)?;
    if target.is_missing_file() {
        // Nothing is made for a dump that cannot go there.
        fits(&manifest, "sqlite")?;
    }
    let mut target = target.target()?;
    fits(&manifest, target.facts().dialect)?;
    let progress = begin(&mut *target, &manifest.hash())?;
    let left = run_all(&mut *target, "pre", &catalog.pre, &progress, Vec::new(), &options.cancel)?;
    // Tables have to be there before rows come; code and views may need keys.
    let left = refuse(left, |kind| matches!(kind, Kind::Routine | Kind::View))?;
    let loaders = target.loaders(options.connections)?;
    let (loaders, chunks_before) = load_all(source, loaders, &catalog, &manifest, &progress, &options.cancel)?;
    let by_itself = catalog.post.iter().position(|statement| statement.kind == Kind::Event);
    let (post, last) = catalog.post.split_at(by_itself.unwrap_or(catalog.post.len()));
    refuse(run_all(&mut *target, "post", post, &progress, left, &options.cancel)?, |_| false)?;
    if options.compare {
        compare(&mut *target, loaders, &catalog.tables, &manifest, options)?;
    }
    refuse(run_all(&mut *target, "last", last, &progress, Vec::new(), &options.cancel)?, |_| false)?;
    target.end()?;
    let rows = manifest.tables.iter().map(|table| table.rows).sum();
    let not_covered = [catalog.lost, catalog.not_covered].concat();
    Ok(RestoreReport { rows, chunks_before, compared: options.compare, not_covered })
}

/// What a restore of a dump finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: it can begin.
    Empty,
    /// A restore of the same dump that was begun: it goes on.
    Begun,
    /// Something else, an example of it: it is refused.
    Holds(String),
}

/// Tells what [`restore`] of this dump into the database at `target` would find. Changes nothing.
///
/// Fails where the restore would fail at once: there is no dump, nobody answers, the dump is one of another kind of database.
pub fn survey(target: &Address, source: &dyn DumpSource) -> Result<Standing, LogicalError> {
    let manifest = read_manifest(source)?;
    if target.is_missing_file() {
        return fits(&manifest, "sqlite").map(|()| Standing::Empty);
    }
    let mut target = target.target()?;
    fits(&manifest, target.facts().dialect)?;
    Ok(match target.standing(&manifest.hash())? {
        Found::Empty => Standing::Empty,
        Found::Begun(_) => Standing::Begun,
        Found::Holds(found) => Standing::Holds(found),
    })
}

fn fits(manifest: &Manifest, here: &str) -> Result<(), LogicalError> {
    let dump = &manifest.dialect;
    let other = || LogicalError::Unsupported(format!("a dump of {dump} cannot be restored into {here}"));
    if dump == here { Ok(()) } else { Err(other()) }
}

fn begin(target: &mut dyn Target, dump: &str) -> Result<Progress, LogicalError> {
    match target.standing(dump)? {
        Found::Empty => target.begin(dump).map(|()| Progress::default()),
        Found::Begun(progress) => {
            target.go_on();
            Ok(progress)
        }
        Found::Holds(found) => Err(LogicalError::NotEmpty { found }),
    }
}

/// A statement that could not run yet, with the reason.
type Waiting<'a> = ((String, &'a Statement), LogicalError);

/// Runs statements in order. One that fails may need a later one: it waits for the next pass; passes go on while they get something done.
fn run_all<'a>(
    target: &mut dyn Target,
    phase: &str,
    statements: &'a [Statement],
    progress: &Progress,
    before: Vec<Waiting<'a>>,
    cancel: &Cancel,
) -> Result<Vec<Waiting<'a>>, LogicalError> {
    let named = statements.iter().enumerate().map(|(n, statement)| (format!("{phase} {n}"), statement));
    let mut todo: Vec<_> = before.into_iter().map(|(waiting, _)| waiting).chain(named).collect();
    todo.retain(|(step, _)| !progress.done.contains(step));
    loop {
        let (before, mut waiting) = (todo.len(), Vec::new());
        for (step, statement) in todo {
            if cancel.is_cancelled() {
                return Err(LogicalError::Stopped);
            }
            match target.run(statement, &step) {
                Ok(()) => {}
                Err(error @ (LogicalError::Failed { .. } | LogicalError::Changed { .. })) => {
                    waiting.push(((step, statement), error));
                }
                Err(error) => return Err(error),
            }
        }
        if waiting.is_empty() || waiting.len() == before {
            return Ok(waiting);
        }
        todo = waiting.into_iter().map(|(waiting, _)| waiting).collect();
    }
}

/// Fails for the first statement that cannot wait any longer.
fn refuse(mut waiting: Vec<Waiting<'_>>, may_wait: fn(Kind) -> bool) -> Result<Vec<Waiting<'_>>, LogicalError> {
    match waiting.iter().position(|((_, statement), _)| !may_wait(statement.kind)) {
        Some(place) => Err(waiting.swap_remove(place).1),
        None => Ok(waiting),
    }
}

type Loaders = Vec<Box<dyn RowLoader>>;

/// How often a chunk is loaded again that ran into a lock.
const RETRIES: usize = 4;

fn load_all(
    source: &dyn DumpSource,
    loaders: Loaders,
    catalog: &Catalog,
    manifest: &Manifest,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<(Loaders, usize), LogicalError> {
    let all = manifest.tables.iter().enumerate();
    let mut jobs: Vec<(usize, &Chunk)> =
        all.flat_map(|(place, table)| table.chunks.iter().map(move |c| (place, c))).collect();
    let count = jobs.len();
    jobs.retain(|(_, chunk)| !progress.done.contains(&chunk.file));
    let before = count - jobs.len();
    jobs.sort_by_key(|(_, chunk)| std::cmp::Reverse(chunk.raw_bytes));
    let stop = Stop::new(cancel);
    let loaders = in_parallel(loaders, jobs, &stop, |loader, (place, chunk)| {
        let mut load = || {
            let rows = ChunkReader::open(source, chunk, &manifest.compression)?;
            loader.load(&catalog.tables[place], rows, &chunk.file)
        };
        // Connections that load neighbouring rows may lock each other out. The server ends one of them and has it try again; its chunk was taken back whole.
        for _ in 0..RETRIES {
            match load() {
                Err(LogicalError::Busy { .. }) if !stop.is_set() => {}
                loaded => return loaded,
            }
        }
        load()
    })?;
    Ok((loaders, before))
}

fn compare(
    target: &mut dyn Target,
    loaders: Loaders,
    tables: &[Table],
    manifest: &Manifest,
    RestoreOptions { connections, cancel, .. }: &RestoreOptions,
) -> Result<(), LogicalError> {
    let work = jobs(tables, *connections, |table, wanted| target.parts(table, wanted))?;
    let stop = Stop::new(cancel);
    let files = TableFiles::none(&stop);
    let sums: Vec<Mutex<Total>> = tables.iter().map(|_| Mutex::default()).collect();
    in_parallel(loaders, work, &stop, |loader, (place, part)| {
        let mut rows = RowWriter::new(&files);
        loader.read(&tables[place], part, &mut rows)?;
        let total = rows.finish()?;
        sums[place].lock().expect("no thread panics while it adds up").add(total);
        Ok(())
    })?;
    for (entry, sum) in manifest.tables.iter().zip(sums) {
        let sum = sum.into_inner().expect("no thread panics while it adds up");
        let fault = if sum.rows != entry.rows {
            format!("{} rows, not {}", sum.rows, entry.rows)
        } else if sum.row_hash != entry.row_hash {
            "the sum over its rows is another one".to_owned()
        } else {
            continue;
        };
        return Err(LogicalError::Differs { table: entry.name.clone(), fault });
    }
    Ok(())
}
