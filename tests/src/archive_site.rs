//! What an archive is measured by: a day of a site, and what the next one changes, the same bytes at any time and place.
//!
//! ```text
//! <dir>/SiteDBServer/CM_P01.mdf       700 MiB of pages: 62 % rows, 18 % index, 10 % BLOBs, 10 % free
//! <dir>/SiteDBServer/CM_P01_log.ldf   64 MiB
//! <dir>/Sources, SCCMContentLib       packages, 337 MiB together; each file is in both, and some in several packages
//! <dir>/SiteServer/…                  20,000 small files, 124 MB
//! ```

mod log_file;
mod page_file;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::prng::Prng;
use crate::site::content::{hash_name, write_package, write_users};
use crate::site::fill::{Fill, fill_block, sizes, write_file};

use log_file::LogFile;
use page_file::PageFile;
pub use page_file::shifted_dump;

/// At scale 1. Pages come in whole extents of eight.
const EXTENTS: u32 = 11_200;
const CHANGED_PAGES: u32 = 812;
const APPENDED_EXTENTS: u32 = 56;
const LOG_BLOCKS: u32 = 1024;
/// 19 MiB.
const REWRITTEN_BLOCKS: u32 = 304;
const PACKAGES: u32 = 24;
const PACKAGE_BYTES: u64 = 7_300_000;
const PACKAGE_FILES: u32 = 21;
const SMALL_FILES: u32 = 20_000;
const SMALL_BYTES: u64 = 124_000_000;
const CHANGED_FILES: u32 = 100;
/// Folders that the small files are spread over.
const FOLDERS: [&str; 8] =
    ["inboxes/auth", "inboxes/ddm", "inboxes/policypv", "inboxes/statmgr", "Logs", "data", "hinv", "CD.Latest/SETUP"];

/// A generated site in a folder.
#[derive(Debug)]
pub struct ArchiveSite {
    dir: PathBuf,
    scale: f64,
    prng: Prng,
}

impl ArchiveSite {
    /// Builds the first day in `dir`, with so much of everything; 1 is the size that the tables of docs/performance.md are for.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn build(dir: &Path, scale: f64) -> io::Result<Self> {
        let site = Self { dir: dir.to_owned(), scale, prng: Prng::new(1) };
        PageFile::new(&site.prng).write(&site.page_file(), site.pages())?;
        LogFile::new(&site.prng).write(&site.log_file(), site.scaled(LOG_BLOCKS))?;
        site.build_packages()?;
        site.build_small_files()?;
        Ok(site)
    }

    /// Makes the first day the second one: 1 % of the pages change and some are new, the log goes on in its ring, a package is added, a
    /// few small files change.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn day_two(&self) -> io::Result<()> {
        let (changed, appended) = (self.scaled(CHANGED_PAGES), 8 * self.scaled(APPENDED_EXTENTS));
        PageFile::new(&self.prng).pass_a_day(&self.page_file(), self.pages(), changed, appended)?;
        let (all, rewritten) = (self.scaled(LOG_BLOCKS), self.scaled(REWRITTEN_BLOCKS));
        let first = (all - rewritten) / 2;
        LogFile::new(&self.prng).pass_a_day(&self.log_file(), first..first + rewritten)?;
        self.build_package("P01N0001", PACKAGE_BYTES / 2, PACKAGE_FILES / 2, &mut BTreeMap::new())?;
        self.change_small_files()
    }

    /// The folder that is archived.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The database's data file.
    pub fn page_file(&self) -> PathBuf {
        self.dir.join("SiteDBServer/CM_P01.mdf")
    }

    /// The database's log.
    pub fn log_file(&self) -> PathBuf {
        self.dir.join("SiteDBServer/CM_P01_log.ldf")
    }

    fn pages(&self) -> u32 {
        8 * self.scaled(EXTENTS)
    }

    /// So many at this scale, at least one.
    fn scaled(&self, count: u32) -> u32 {
        ((f64::from(count) * self.scale) as u32).max(1)
    }

    fn build_packages(&self) -> io::Result<()> {
        let mut users = BTreeMap::new();
        let ids: Vec<String> = (1..=self.scaled(PACKAGES)).map(|number| format!("P01{number:05}")).collect();
        for id in &ids {
            self.build_package(id, PACKAGE_BYTES, PACKAGE_FILES, &mut users)?;
        }
        write_users(&self.dir, &users, &mut self.prng.fork("users"))
    }

    /// Writes a package; who needs its files is added to `users`.
    fn build_package<'a>(
        &self,
        id: &'a str,
        bytes: u64,
        count: u32,
        users: &mut BTreeMap<String, Vec<&'a str>>,
    ) -> io::Result<()> {
        let mut prng = self.prng.fork(id);
        let mut files = vec![("install.cmd".to_owned(), self.prng.fork("install.cmd").bytes(100_000))];
        for (index, size) in sizes(bytes, count, &mut prng).into_iter().enumerate() {
            let (extension, fill) = if index % 4 == 3 { ("cab", Fill::Packed) } else { ("dll", Fill::Program) };
            let mut content = Vec::new();
            fill_block(&mut content, fill, size as usize, &mut prng);
            files.push((format!("payload{index:02}.{extension}"), content));
        }
        write_package(&self.dir, id, &files, &mut prng)?;
        for (_, content) in &files {
            users.entry(hash_name(content)).or_default().push(id);
        }
        Ok(())
    }

    fn build_small_files(&self) -> io::Result<()> {
        let mut prng = self.prng.fork("small files");
        let bytes = (SMALL_BYTES as f64 * self.scale) as u64;
        let sizes = sizes(bytes, self.scaled(SMALL_FILES), &mut prng);
        for (index, size) in (0..).zip(sizes) {
            // Of 20 files 9 are text, 8 like programs and 3 packed.
            let fill = match index % 20 {
                0..5 => Fill::Xml,
                5..9 => Fill::Log,
                9..17 => Fill::Program,
                _ => Fill::Packed,
            };
            write_file(&self.small_file(index), fill, size, &mut prng)?;
        }
        Ok(())
    }

    fn small_file(&self, index: u32) -> PathBuf {
        let folder = FOLDERS[index as usize % FOLDERS.len()];
        self.dir.join("SiteServer").join(folder).join(format!("{}/{index:05}.dat", index / 1000))
    }

    /// Some get longer and some are written anew.
    fn change_small_files(&self) -> io::Result<()> {
        let mut prng = self.prng.fork("changed files");
        let (all, changed) = (self.scaled(SMALL_FILES), self.scaled(CHANGED_FILES));
        for (n, index) in (0..all).step_by((all / changed) as usize).enumerate() {
            if n % 2 == 0 {
                OpenOptions::new().append(true).open(self.small_file(index))?.write_all(&prng.bytes(200))?;
            } else {
                fs::write(self.small_file(index), prng.bytes(6_000))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::page_file::PAGE;
    use super::{ArchiveSite, shifted_dump};
    use crate::tree_hash::tree_hash;

    const SCALE: f64 = 0.01;

    fn built(dir: &Path) -> ArchiveSite {
        ArchiveSite::build(dir, SCALE).expect("the site is built")
    }

    fn hash(site: &ArchiveSite) -> String {
        tree_hash(site.dir()).expect("the tree can be read")
    }

    #[test]
    fn the_same_days_at_another_place() {
        let dirs = [(), ()].map(|()| tempfile::tempdir().expect("a scratch folder"));
        let sites = dirs.each_ref().map(|dir| built(dir.path()));
        let first_days = sites.each_ref().map(hash);
        assert_eq!(first_days[0], first_days[1]);
        for site in &sites {
            site.day_two().expect("a day passes");
        }
        let second_days = sites.each_ref().map(hash);
        assert_eq!(second_days[0], second_days[1]);
        assert_ne!(first_days[0], second_days[0]);
    }

    #[test]
    fn one_page_in_a_hundred_changes_and_keeps_its_number() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let site = built(dir.path());
        let old = fs::read(site.page_file()).expect("the first day's pages");
        site.day_two().expect("a day passes");
        let new = fs::read(site.page_file()).expect("the second day's pages");
        let pages = || old.chunks(PAGE).zip(new.chunks(PAGE));
        assert_eq!(pages().filter(|(old, new)| old != new).count(), 8);
        assert_eq!(new.len() - old.len(), 8 * PAGE);
        for (number, page) in (0_u32..).zip(new.chunks(PAGE)) {
            assert_eq!(
                (page[0], &page[32..38]),
                (1, &[&number.to_le_bytes()[..], &[1, 0]].concat()[..]),
                "page {number}"
            );
        }
    }

    #[test]
    fn a_dump_has_the_extents_in_use_behind_its_header() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let site = built(dir.path());
        let dumps = [0, 1536].map(|extra| {
            let to = dir.path().join(format!("{extra}.bak"));
            shifted_dump(&site.page_file(), &to, extra).expect("a dump is written");
            fs::read(to).expect("the dump")
        });
        assert_eq!(dumps[0][4096..], dumps[1][4096 + 1536..]);
        assert_ne!(dumps[0][4..4096], dumps[1][4..4096]);
        let file = fs::read(site.page_file()).expect("the pages");
        let extents: BTreeSet<&[u8]> = file.chunks(8 * PAGE).collect();
        assert!(dumps[0][4096..].chunks(8 * PAGE).all(|extent| extents.contains(extent)));
        let share = (dumps[0].len() - 4096) as f64 / file.len() as f64;
        assert!((0.8..0.98).contains(&share), "{share} of the extents are in use");
    }
}
