//! What a dialect does for a dump and a restore. Blocking; each connection belongs to one thread at a time.

use std::collections::BTreeSet;

use super::catalog::{Catalog, Statement, Table};
use super::chunk::RowWriter;
use super::error::LogicalError;
use super::format::Moment;
use super::rows::ChunkReader;

type Result<T> = std::result::Result<T, LogicalError>;

/// A database that is about to be dumped. Its connections stand, nothing is pinned.
pub(crate) trait Origin: Send {
    fn facts(&self) -> Facts;
    /// Lets every connection see the present moment, and only it. In the freeze window: as little as the server allows.
    fn pin(&mut self) -> Result<Moment>;
    /// What the database consists of at the pinned moment. Tables that it names cannot be dropped or altered unnoticed any more.
    fn catalog(&mut self) -> Result<Catalog>;
    /// Cuts a table for several connections, where the server can read a part of it without reading all.
    fn parts(&mut self, table: &Table, wanted: usize) -> Result<Vec<Part>>;
    /// What holds the moment beyond the connections, if anything does. It is let go of when no connection reads any more.
    fn held(&mut self) -> Option<Box<dyn Held>> {
        None
    }
    /// All connections, for reading rows.
    fn readers(self: Box<Self>) -> Vec<Box<dyn RowReader>>;
}

/// Something on the server that holds a moment. Dropping it lets go too, but cannot say when that fails.
pub(crate) trait Held: Send {
    fn release(self: Box<Self>) -> Result<()>;
}

/// What a manifest says about a database.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) dialect: &'static str,
    pub(crate) server: String,
    pub(crate) transport: String,
    pub(crate) address: String,
}

/// A server, asked by way of one of its databases. Nothing of that database is changed.
pub(crate) trait Server {
    /// Makes an empty database with the encoding and collation of the one that is asked.
    fn create_database(&mut self, name: &str) -> Result<()>;
    /// Drops a database; one that is not there is no error.
    fn drop_database(&mut self, name: &str) -> Result<()>;
}

/// A part of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// Pages of storage, the second one excluded; none: to the end.
    Pages(u64, Option<u64>),
    /// Values of the first column of its key, the second one excluded; none: from the beginning, to the end.
    Keys(Option<i64>, Option<i64>),
}

impl Part {
    /// Ranges of a key of whole numbers from `low` to `high`, open at both ends: rows may lie there that nobody has seen yet.
    pub(crate) fn ranges(low: i64, high: i64, wanted: usize) -> Vec<Self> {
        let step = (i128::from(high) - i128::from(low)) / wanted as i128;
        let border = |n: usize| i64::try_from(i128::from(low) + step * n as i128).ok();
        let part = |n: usize| {
            Self::Keys(if n == 0 { None } else { border(n) }, if n + 1 < wanted { border(n + 1) } else { None })
        };
        if step == 0 { vec![Self::Whole] } else { (0..wanted).map(part).collect() }
    }
}

/// A connection that reads rows.
pub(crate) trait RowReader: Send {
    fn read(&mut self, table: &Table, part: Part, rows: &mut RowWriter<'_>) -> Result<()>;
}

/// A database that is restored into.
pub(crate) trait Target: Send {
    fn facts(&self) -> Facts;
    /// What the restore of the dump with this hash finds. Changes nothing.
    fn standing(&mut self, dump: &str) -> Result<Found>;
    /// Begins the restore of the dump with this hash in a database that was found empty.
    fn begin(&mut self, dump: &str) -> Result<()>;
    /// Goes on with a restore that was found begun.
    fn go_on(&mut self) {}
    /// Executes a statement of the catalog and notes the step as done. A statement that may have run when an earlier attempt was cut
    /// off is made to run again.
    fn run(&mut self, statement: &Statement, step: &str) -> Result<()>;
    /// Cuts a table as [`Origin::parts`] does.
    fn parts(&mut self, table: &Table, wanted: usize) -> Result<Vec<Part>>;
    /// Opens connections for loading and reading rows.
    fn loaders(&mut self, wanted: usize) -> Result<Vec<Box<dyn RowLoader>>>;
    /// Forgets what is done: the restore is complete.
    fn end(&mut self) -> Result<()>;
}

/// What a restore finds.
pub(crate) enum Found {
    Empty,
    /// The same dump, restored in part.
    Begun(Progress),
    /// Something else, an example of it.
    Holds(String),
}

impl Found {
    /// By the steps in a database's table of what is done.
    pub(crate) fn by_steps(done: BTreeSet<String>, mark: &str) -> Self {
        let other = || Self::Holds("an unfinished restore of another dump".to_owned());
        if done.contains(mark) { Self::Begun(Progress { done }) } else { other() }
    }

    /// By an example of what is in a database without such a table.
    pub(crate) fn by_contents(found: String) -> Self {
        if found.is_empty() { Self::Empty } else { Self::Holds(found) }
    }
}

/// What marks the table of what is done as that of one dump.
pub(crate) fn mark(dump: &str) -> String {
    format!("dump {dump}")
}

/// The steps that earlier attempts have done.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) done: BTreeSet<String>,
}

/// A connection that loads rows.
pub(crate) trait RowLoader: RowReader {
    /// Loads a chunk and notes the step as done, all or nothing. The chunk has been judged before anything is committed.
    fn load(&mut self, table: &Table, chunk: ChunkReader<'_>, step: &str) -> Result<()>;
}
