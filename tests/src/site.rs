//! The sample site: the layout of a site server in one folder, the same bytes for the same options.
//!
//! ```text
//! <dir>/site.toml                 the configuration that backs it up
//! <dir>/site/configmgr            the install folder: inboxes, Logs, data, srvacct, CD.Latest
//! <dir>/site/db/CM_P01.db         the site database
//! <dir>/site/registry/SMS.reg     HKLM\SOFTWARE\Microsoft\SMS and \NAL as .reg text
//! <dir>/site/…                    what the product's task leaves out: content library, package sources, SCUP, USMT, SSRS
//! <dir>/backup, state, control    the destination, the state folder, the workload's own files
//! ```

pub(crate) mod content;
mod control_file;
mod database;
pub(crate) mod fill;
mod install;
pub mod nasty;
mod registry;
mod site_toml;
mod supplements;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::counters::{Counters, read_counters, read_live_counters};
use crate::prng::Prng;
use crate::workload::CLIENT_FILE;

pub(crate) use registry::encode as encode_reg_text;
pub use site_toml::SERVICE_LIMIT;

/// The code of every sample site.
pub const SITE_CODE: &str = "P01";
pub(crate) const SITE_SERVER: &str = "CM01.corp.example";
pub(crate) const VERSION: &str = "5.00.9122.1000";
pub(crate) const WINDOWS_INSTALL_DIR: &str = r"C:\Program Files\Microsoft Configuration Manager";
pub(crate) const COUNTER_FILE: &str = "inboxes/counter.txt";
pub(crate) const COUNTER_LOG: &str = "Logs/counter.log";
pub(crate) const COUNTER_LOG_ROLLED: &str = "Logs/counter.lo_";

/// How the site database keeps its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalMode {
    /// A write-ahead log beside the database.
    Wal,
    /// A rollback journal that is deleted at each commit.
    Delete,
}

/// How much the backup task covers: the folders of the control file and the database together.
///
/// The parts that the task leaves out come on top; they are about 50 files and 1 MB at any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteSize {
    /// Number of files, to within a dozen or so that every site has.
    pub files: u32,
    /// Bytes in them, to within one per cent.
    pub bytes: u64,
}

impl SiteSize {
    /// For suites: built in a fraction of a second.
    pub const SMALL: Self = Self { files: 200, bytes: 4_000_000 };
    /// For measurements: 1.3 GB in 22,000 files.
    pub const BENCH: Self = Self { files: 22_000, bytes: 1_300_000_000 };
}

/// What [`SampleSite::build`] makes.
#[derive(Debug, Clone)]
pub struct SampleSiteOptions {
    /// Same seed, same site.
    pub seed: u64,
    /// How much of it there is.
    pub size: SiteSize,
    /// How the database keeps its transactions.
    pub journal_mode: JournalMode,
    /// The workload program that site.toml calls to stop, start and question the services.
    pub workload: PathBuf,
    /// How many other files the workload appends to, in turn.
    pub extra_files: u32,
    /// Seconds that the control file sleeps after a service was started; 0 leaves the command out.
    pub start_sleep: u32,
    /// Whether links, holes, odd names and the like are in it.
    pub nasty: bool,
    /// The server that has the site database, instead of the file.
    pub served: Option<ServedDatabase>,
    /// More lines of site.toml's `[task]`.
    pub task: String,
}

/// A site database on a server: a table `workload` with the number in its only column, `counter`.
#[derive(Debug, Clone)]
pub struct ServedDatabase {
    /// The table `[database]` of site.toml, without its header.
    pub toml: String,
    /// A client that reads statements, and prints the rows of a query at once and bare.
    pub client: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, with the password.
    pub env: Vec<(String, String)>,
}

impl Default for SampleSiteOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            size: SiteSize::SMALL,
            journal_mode: JournalMode::Wal,
            workload: PathBuf::from("workload"),
            extra_files: 0,
            start_sleep: 0,
            nasty: true,
            served: None,
            task: String::new(),
        }
    }
}

/// A sample site on disk, and where its parts lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleSite {
    dir: PathBuf,
}

impl SampleSite {
    /// Builds a site in `dir`, which must not hold one yet, and writes its site.toml beside it.
    pub fn build(dir: &Path, options: &SampleSiteOptions) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        // Services are started from anywhere, so site.toml holds absolute paths only.
        // Windows canonicalises to `\\?\` paths, which nobody writes into a configuration.
        let dir = if cfg!(windows) { std::path::absolute(dir) } else { fs::canonicalize(dir) };
        let site = Self::at(&dir?);
        fs::create_dir(site.site_dir())?;
        for folder in [site.install_dir(), site.destination(), site.state_dir(), site.control_dir()] {
            fs::create_dir(folder)?;
        }
        let prng = Prng::new(options.seed);
        install::build(&site, options, &prng)?;
        registry::build(&site.registry_file(), &prng)?;
        let packages = content::build(&site, &prng)?;
        supplements::build(&site, &prng)?;
        database::build(&site.database(), options, &packages, &prng)?;
        if options.nasty {
            nasty::build(&site, &prng)?;
        }
        if let Some(served) = &options.served {
            let env: serde_json::Map<_, _> =
                served.env.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
            let client = serde_json::json!({ "program": served.client, "args": served.args, "env": env });
            fs::write(site.control_dir().join(CLIENT_FILE), client.to_string())?;
        }
        site_toml::build(&site, options)?;
        Ok(site)
    }

    /// The site that was built in `dir` earlier; nothing is read.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The folder that everything below lies in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What belongs to the site itself, without configuration, destination and state.
    pub fn site_dir(&self) -> PathBuf {
        self.dir.join("site")
    }

    /// The install folder of the product.
    pub fn install_dir(&self) -> PathBuf {
        self.site_dir().join("configmgr")
    }

    /// The site database.
    pub fn database(&self) -> PathBuf {
        self.site_dir().join("db").join(format!("CM_{SITE_CODE}.db"))
    }

    /// The registry as .reg text, UTF-16LE.
    pub fn registry_file(&self) -> PathBuf {
        self.site_dir().join("registry/SMS.reg")
    }

    /// The backup control file.
    pub fn control_file(&self) -> PathBuf {
        self.install_dir().join("inboxes/smsbkup.box/smsbkup.ctl")
    }

    /// The configuration that backs this site up.
    pub fn site_toml(&self) -> PathBuf {
        self.dir.join("site.toml")
    }

    /// The destination of the backup task; exists and is empty after a build.
    pub fn destination(&self) -> PathBuf {
        self.dir.join("backup")
    }

    /// The state folder named in site.toml.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// Where the workload keeps process files and logs, and looks for faults; no part of the site.
    pub fn control_dir(&self) -> PathBuf {
        self.dir.join("control")
    }

    /// The numbers of a site at rest; see [`read_counters`].
    pub fn counters(&self) -> io::Result<Counters> {
        read_counters(&self.install_dir(), &self.database(), &self.registry_file())
    }

    /// The numbers while the workload runs; see [`read_live_counters`].
    pub fn live_counters(&self) -> io::Result<Counters> {
        read_live_counters(&self.install_dir(), &self.database(), &self.registry_file())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{JournalMode, SampleSite, SampleSiteOptions};
    use crate::counters::{Counters, decode_reg_text};
    use crate::tree_hash::tree_hash;

    fn hash_of(options: &SampleSiteOptions) -> String {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let site = SampleSite::build(dir.path(), options).expect("the site is built");
        tree_hash(&site.site_dir()).expect("the tree can be read")
    }

    #[test]
    fn same_options_give_the_same_tree() {
        for journal_mode in [JournalMode::Wal, JournalMode::Delete] {
            let options = SampleSiteOptions { journal_mode, ..SampleSiteOptions::default() };
            assert_eq!(hash_of(&options), hash_of(&options), "{journal_mode:?}");
        }
    }

    #[test]
    fn another_seed_gives_another_tree() {
        let options = SampleSiteOptions::default();
        assert_ne!(hash_of(&options), hash_of(&SampleSiteOptions { seed: 2, ..options.clone() }));
    }

    #[test]
    fn a_new_site_is_at_zero_everywhere() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let site = SampleSite::build(dir.path(), &SampleSiteOptions::default()).expect("the site is built");
        let zero = Counters { db: 0, file: 0, log: 0, registry: 0 };
        assert_eq!(site.counters().expect("numbers"), zero);
        assert_eq!(site.live_counters().expect("numbers"), zero);
    }

    #[test]
    fn registry_and_control_file_name_what_the_product_names() {
        let dir = tempfile::tempdir().expect("a scratch folder");
        let site = SampleSite::build(dir.path(), &SampleSiteOptions::default()).expect("the site is built");
        let registry = decode_reg_text(&fs::read(site.registry_file()).expect("registry"));
        assert!(registry.starts_with("Windows Registry Editor Version 5.00\r\n"));
        assert!(registry.contains("[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\NAL]"));
        assert!(
            registry.contains("\"Installation Directory\"=\"C:\\\\Program Files\\\\Microsoft Configuration Manager\"")
        );
        let control_file = fs::read_to_string(site.control_file()).expect("control file");
        for section in ["[Tokens]", "[Stop]", "[Tasks]", "[Start]"] {
            assert!(control_file.contains(section), "{section}");
        }
    }
}
