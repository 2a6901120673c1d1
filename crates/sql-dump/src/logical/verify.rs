//! Judging a dump by itself: every file against its hash, every row against the sums.

use std::io::Read;
use std::sync::Mutex;

use backup_core::cancel::Cancel;

use super::catalog::Catalog;
use super::chunk::Total;
use super::error::LogicalError;
use super::format::{CATALOG, Chunk, FileEntry, Manifest};
use super::rows::{ChunkReader, damaged};
use super::store::{DumpSource, MANIFEST};
use super::work::{Stop, in_parallel};

/// No dump has a manifest or a catalog larger than this; a longer one is not read.
pub(crate) const LONGEST: u64 = 1 << 30;

/// Reads all of a dump and returns its manifest when nothing in it is missing or altered; ends early, with [`LogicalError::Stopped`], when
/// `cancel` says so.
pub fn verify(source: &dyn DumpSource, cancel: &Cancel) -> Result<Manifest, LogicalError> {
    let manifest = read_manifest(source)?;
    read_catalog(source, &manifest)?;
    for file in manifest.files.iter().filter(|file| file.file != CATALOG) {
        read_file(source, file)?;
    }
    let stop = Stop::new(cancel);
    let jobs: Vec<(usize, &Chunk)> = manifest
        .tables
        .iter()
        .enumerate()
        .flat_map(|(place, table)| table.chunks.iter().map(move |c| (place, c)))
        .collect();
    let sums: Vec<Mutex<Total>> = manifest.tables.iter().map(|_| Mutex::default()).collect();
    in_parallel(vec![(), ()], jobs, &stop, |(), (place, chunk)| {
        let total = ChunkReader::open(source, chunk, &manifest.compression)?.sum()?;
        if total != (Total { rows: chunk.rows, row_hash: chunk.row_hash }) {
            return Err(damaged(chunk, "its rows do not have the sum in the manifest"));
        }
        sums[place].lock().expect("no thread panics while it adds up").add(total);
        Ok(())
    })?;
    for (table, sum) in manifest.tables.iter().zip(sums) {
        let sum = sum.into_inner().expect("no thread panics while it adds up");
        if sum != (Total { rows: table.rows, row_hash: table.row_hash }) {
            let fault = format!("the chunks of `{}` do not add up", table.name);
            return Err(LogicalError::Damaged { file: MANIFEST.to_owned(), fault });
        }
    }
    Ok(manifest)
}

pub(super) fn read_manifest(source: &dyn DumpSource) -> Result<Manifest, LogicalError> {
    let text = match source.open(MANIFEST) {
        Ok(file) => read_limited(file, MANIFEST)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(LogicalError::Incomplete),
        Err(source) => return Err(LogicalError::Read { file: MANIFEST.to_owned(), source }),
    };
    Manifest::parse(&text)
}

pub(super) fn read_catalog(source: &dyn DumpSource, manifest: &Manifest) -> Result<Catalog, LogicalError> {
    let damaged = |fault: String| LogicalError::Damaged { file: CATALOG.to_owned(), fault };
    let entry = manifest.files.iter().find(|file| file.file == CATALOG);
    let text = read_file(source, entry.ok_or_else(|| damaged("the manifest does not name it".to_owned()))?)?;
    let catalog: Catalog = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    let names = catalog.tables.iter().map(super::catalog::Table::title);
    if !names.eq(manifest.tables.iter().map(|table| table.name.clone())) {
        return Err(damaged("it names other tables than the manifest".to_owned()));
    }
    Ok(catalog)
}

fn read_file(source: &dyn DumpSource, entry: &FileEntry) -> Result<Vec<u8>, LogicalError> {
    let damaged = |fault: &str| LogicalError::Damaged { file: entry.file.clone(), fault: fault.to_owned() };
    let file = source.open(&entry.file).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => damaged("it is not there"),
        _ => LogicalError::Read { file: entry.file.clone(), source },
    })?;
    let text = read_limited(file, &entry.file)?;
    let same = blake3::hash(&text).to_hex().as_str() == entry.blake3;
    if same { Ok(text) } else { Err(damaged("it does not have the hash in the manifest")) }
}

fn read_limited(file: Box<dyn Read + Send>, name: &str) -> Result<Vec<u8>, LogicalError> {
    let mut text = Vec::new();
    let failed = |source| LogicalError::Read { file: name.to_owned(), source };
    file.take(LONGEST).read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}
