//! A folder of this machine as destination.
//!
//! What this program keeps lies directly below the root: `<SiteCode>Backup`, the published snapshot; `.sitebackup-<run>`, a staging
//! folder, or a snapshot that is not or no longer the published one; `<SiteCode>Backup.damaged-<run>`, one that was published and is not
//! whole any more; `smsbkup.log`; `.<SiteCode>Backup.lock` while a run works here; `.<SiteCode>Backup.half-recovered` while a recovery of
//! the site is open. A folder is ours by its marker `.sitebackup`
//! alone, and a snapshot by marker, `sitebackup.json` and `files.jsonl.zst` that belong together; names decide nothing. One that was
//! sealed says so in `sitebackup.sealed`, and is told from a staging folder even when its manifest is lost.
//! Folders are made for their owner only (mode 0700, files 0600).

mod begin;
mod folder;
mod hold;
mod locks;
mod names;
mod note;
mod publish;
mod remove;
mod scan;
mod snapshot;
mod stage;
mod staging;
mod tree;
mod update;

use std::io;
use std::sync::Arc;

use crate::os::fd::OwnedFd;
use crate::os::fs::{AtFlags, Mode, OFlags, fstat, fstatvfs, open, openat, statat, unlinkat};
use crate::os::io::Errno;
use async_trait::async_trait;
use backup_core::manifest::{MANIFEST_NAME, Manifest};
use backup_core::own_files::{LOG_NAME, temp_name};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::{
    DamagedSnapshot, Destination, DestinationError, DestinationFacts, DestinationHold, Holder, SnapshotFiles, Staging,
    StoredSnapshot,
};
use backup_core::ports::journal::UnendedRecovery;
use backup_core::site::SiteCode;
use backup_core::snapshot::RunId;

use self::folder::{Folder, Marker};
use self::names::failed;
use crate::blocking::blocking;
use crate::files::local;
use crate::files::stat::id_of;

pub use self::snapshot::LocalSnapshot;
pub(crate) use self::snapshot::unreadable;
pub(crate) use self::stage::write_all_at;

/// A folder of this machine, with the snapshots of one site.
///
/// Snapshots of other sites below the same root are neither listed nor changed. Processes that begin, publish and sweep below the same
/// root wait for each other, where the file system has locks.
#[derive(Debug, Clone)]
pub struct LocalDestination {
    root: SitePath,
    site: SiteCode,
    /// Whether names are exchanged in one step where the file system can.
    exchange: bool,
    /// Whether the root is made by the first run that holds it.
    made_at_need: bool,
}

impl LocalDestination {
    /// The folder `root` for snapshots of `site`; touches nothing. The folder must exist when it is used: neither the product nor
    /// this program makes it, for a missing one mostly is a drive that is not mounted.
    pub fn new(root: SitePath, site: SiteCode) -> Self {
        Self { root, site, exchange: true, made_at_need: false }
    }

    /// The folder `root`, which the first run that holds it makes for its owner only. Where it is not there, nothing is listed.
    pub fn made_at_need(root: SitePath, site: SiteCode) -> Self {
        Self { made_at_need: true, ..Self::new(root, site) }
    }

    fn open_root(&self) -> Result<OwnedFd, DestinationError> {
        let place = local(&self.root).map_err(failed("open", &self.root))?;
        let opened = open(place, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        opened.map_err(|error| match error {
            Errno::NOENT => {
                let reason = "the folder does not exist: create it, or mount its drive";
                failed("open", &self.root)(io::Error::new(io::ErrorKind::NotFound, reason))
            }
            error => failed("open", &self.root)(error),
        })
    }

    /// The root, where it is or must be there.
    fn root_if_there(&self) -> Result<Option<OwnedFd>, DestinationError> {
        let is_missing = || local(&self.root).is_ok_and(|root| matches!(root.try_exists(), Ok(false)));
        match self.open_root() {
            Err(_) if self.made_at_need && is_missing() => Ok(None),
            root => root.map(Some),
        }
    }

    /// Opens the root and keeps other processes from changing names in it until the result is dropped.
    fn lock_root(&self) -> Result<locks::LockedRoot, DestinationError> {
        locks::lock_root(self.open_root()?).map_err(failed("lock", &self.root))
    }

    /// The folders with a marker of this site.
    fn ours(&self, root: &OwnedFd) -> Result<Vec<(Folder, Marker)>, DestinationError> {
        let folders = scan::marked_folders(root, &self.root).map_err(failed("list", &self.root))?;
        let marked = folders.into_iter().filter_map(|folder| folder.marker().map(|marker| (folder, marker)));
        Ok(marked.filter(|(_, marker)| marker.site == self.site.as_str()).collect())
    }

    fn is_published(&self, folder: &Folder) -> bool {
        folder.name() == self.site.snapshot_folder().as_bytes()
    }

    /// The whole snapshot of `run`. Of several copies it is the published one, else the first by name.
    fn find(&self, root: &OwnedFd, run: RunId) -> Result<(Folder, Manifest), DestinationError> {
        let mut copies = self.ours(root)?;
        copies.retain(|(_, marker)| marker.run == run);
        copies.sort_by_key(|(folder, _)| !self.is_published(folder));
        let whole = copies.into_iter().find_map(|(folder, _)| folder.whole().map(|manifest| (folder, manifest)));
        whole.ok_or(DestinationError::NoSnapshot(run))
    }

    fn stored(&self, folder: &Folder, manifest: Manifest) -> StoredSnapshot {
        let published = self.is_published(folder);
        StoredSnapshot { run: manifest.run, folder: folder.path.clone(), manifest, published }
    }

    fn inspect_now(&self) -> Result<DestinationFacts, DestinationError> {
        let root = self.open_root()?;
        let stat = fstat(&root).map_err(failed("examine", &self.root))?;
        let room = fstatvfs(&root).map_err(failed("examine", &self.root))?;
        let foreign = self.final_path();
        let standing = publish::standing(&root, &self.root, &self.site).map_err(failed("examine", &foreign))?;
        Ok(DestinationFacts {
            root: self.root.clone(),
            free: room.f_bavail.saturating_mul(room.f_frsize),
            device: id_of(&stat).device,
            writable: is_writable(&root),
            foreign: matches!(standing, publish::Standing::Foreign).then_some(foreign),
            other_task: folder::other_task(&root),
        })
    }

    fn final_path(&self) -> SitePath {
        self.root.join(&RelPath::parse(self.site.snapshot_folder()).expect("a site code is plain"))
    }

    fn list_now(&self) -> Result<Vec<StoredSnapshot>, DestinationError> {
        let mut list = Vec::new();
        let Some(root) = self.root_if_there()? else { return Ok(list) };
        for (folder, _) in self.ours(&root)? {
            list.extend(folder.whole().map(|manifest| self.stored(&folder, manifest)));
        }
        list.sort_by_key(|snapshot| (snapshot.run, !snapshot.published));
        // An administrator's copy of a snapshot is no second one.
        list.dedup_by_key(|snapshot| snapshot.run);
        Ok(list)
    }

    fn damaged_now(&self) -> Result<Vec<DamagedSnapshot>, DestinationError> {
        let mut list = Vec::new();
        let Some(root) = self.root_if_there()? else { return Ok(list) };
        for (folder, marker) in self.ours(&root)? {
            let Err(reason) = folder.judge(&marker) else { continue };
            // What is staged now, or removed by now, is not damaged: a removal begins with the manifest's name, and then the folder's.
            if !remove::is_leftover(&folder, &marker) && folder.is_in_place(&root, &self.root) {
                list.push(DamagedSnapshot { run: marker.run, folder: folder.path, reason });
            }
        }
        list.sort_by_key(|damaged| damaged.run);
        Ok(list)
    }

    fn amend_now(&self, manifest: &Manifest) -> Result<(), DestinationError> {
        let root = self.lock_root()?;
        let (folder, stands) = self.find(&root, manifest.run)?;
        if (&manifest.site, manifest.list) != (&stands.site, stands.list) {
            let reason = "the new manifest names another site or another list of files".to_owned();
            return Err(DestinationError::Damaged { path: folder.path, reason });
        }
        folder.replace(MANIFEST_NAME, &manifest.to_json()).map_err(failed("write the manifest of", &folder.path))?;
        folder.date(manifest.started).map_err(failed("date", &folder.path))
    }

    fn keep_log_now(&self, run: Option<RunId>, log: &[u8]) -> Result<(), DestinationError> {
        let root = self.lock_root()?;
        folder::replace(&root, LOG_NAME, log).map_err(failed("write the log in", &self.root))?;
        if let Some(run) = run {
            let (folder, manifest) = self.find(&root, run)?;
            folder.replace(LOG_NAME, log).map_err(failed("write the log in", &folder.path))?;
            folder.date(manifest.started).map_err(failed("date", &folder.path))?;
        }
        Ok(())
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce(&Self) -> T + Send + 'static) -> T {
        let this = self.clone();
        blocking(move || work(&this)).await
    }
}

/// Makes a file without a name, or where that cannot be, one with a name that is removed at once.
fn is_writable(root: &OwnedFd) -> bool {
    let mode = Mode::RUSR | Mode::WUSR;
    match openat(root, ".", OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode) {
        Ok(_) => return true,
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {}
        Err(_) => return false,
    }
    let name = temp_name("probe");
    let made = openat(root, &name, OFlags::CREATE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, mode);
    made.is_ok() && unlinkat(root, &name, AtFlags::empty()).is_ok()
}

/// Whether something has the name, a link included.
fn stands(root: &OwnedFd, name: &str) -> Result<bool, Errno> {
    match statat(root, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Destination for LocalDestination {
    async fn hold(&self, holder: Holder) -> Result<Box<dyn DestinationHold>, DestinationError> {
        Ok(Box::new(self.work(move |this| this.hold_now(holder)).await?))
    }

    async fn half_recovered(&self) -> Result<Option<UnendedRecovery>, DestinationError> {
        self.work(Self::half_recovered_now).await
    }

    async fn note_half_recovered(&self, open: Option<&UnendedRecovery>) -> Result<(), DestinationError> {
        let open = open.cloned();
        self.work(move |this| this.note_half_recovered_now(open.as_ref())).await
    }

    async fn inspect(&self) -> Result<DestinationFacts, DestinationError> {
        self.work(Self::inspect_now).await
    }

    async fn list(&self) -> Result<Vec<StoredSnapshot>, DestinationError> {
        self.work(Self::list_now).await
    }

    async fn damaged(&self) -> Result<Vec<DamagedSnapshot>, DestinationError> {
        self.work(Self::damaged_now).await
    }

    async fn begin(&self, run: RunId, previous: Option<RunId>) -> Result<Arc<dyn Staging>, DestinationError> {
        let staging = self.work(move |this| this.begin_now(run, previous)).await?;
        Ok(Arc::new(staging))
    }

    async fn publish(&self, run: RunId) -> Result<StoredSnapshot, DestinationError> {
        self.work(move |this| this.publish_now(run)).await
    }

    async fn amend(&self, manifest: &Manifest) -> Result<(), DestinationError> {
        let manifest = manifest.clone();
        self.work(move |this| this.amend_now(&manifest)).await
    }

    async fn open(&self, run: RunId) -> Result<Arc<dyn SnapshotFiles>, DestinationError> {
        let found = self.work(move |this| this.find(&this.open_root()?, run)).await?;
        Ok(Arc::new(LocalSnapshot::of(found.0)))
    }

    async fn remove(&self, run: RunId) -> Result<(), DestinationError> {
        self.work(move |this| this.remove_now(run)).await
    }

    async fn sweep(&self) -> Result<usize, DestinationError> {
        self.work(Self::sweep_now).await
    }

    async fn keep_log(&self, run: Option<RunId>, log: &[u8]) -> Result<(), DestinationError> {
        let log = log.to_vec();
        self.work(move |this| this.keep_log_now(run, &log)).await
    }
}

#[cfg(all(test, unix))]
mod tests;
