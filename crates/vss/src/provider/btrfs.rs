//! The `btrfs` provider: a read-only snapshot of each subvolume that sources lie on.
//!
//! A snapshot is atomic, takes milliseconds whatever the subvolume holds, and keeps inode numbers and times, so that the next backup takes over
//! what did not change. What a program that nobody froze had written and not synced may be in it in any order, as after a power cut. It does not reach into other subvolumes or mounted volumes below: a source with one in it is refused. Snapshots lie in
//! `sitebackup-images/<set>` of the working folder, and nothing but that is ever removed. The program `btrfs` makes and deletes them, which is
//! root's to do.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::path::SitePath;
use backup_core::ports::Source;
use backup_core::ports::shadow_copies::{
    Consistency, Image, ImageSource, ShadowCopyError, ShadowCopySetId, WantedComponent,
};
use backup_core::ports::site_files::{SiteFiles, SiteFilesError};

use super::local::{blocking, local, told};
use super::{Committed, ImageRequest, Preparation, Provider, Taken};

/// The provider's name.
const NAME: &str = "btrfs";
const FIND: &str = "find the subvolume of a source";
/// The folder in the working folder that is ours alone.
const IMAGES: &str = "sitebackup-images";
/// The inode of every subvolume's root (BTRFS_FIRST_FREE_OBJECTID in linux/btrfs_tree.h). On other file systems it is some inode, and `btrfs` says so.
const SUBVOLUME_ROOT: u64 = 256;

/// Snapshots of btrfs subvolumes. See the module.
#[derive(Debug, Clone)]
pub struct Btrfs {
    images: PathBuf,
}

impl Btrfs {
    /// Keeps snapshots in `work_dir`, which lies on the file system of the sources, and is made if it is not there.
    pub fn new(work_dir: SitePath) -> Self {
        Self { images: local(&work_dir).join(IMAGES) }
    }

    fn folder(&self, set: ShadowCopySetId) -> PathBuf {
        self.images.join(set.0.to_string())
    }
}

fn failed(action: &'static str, source: impl Into<Source>) -> ShadowCopyError {
    ShadowCopyError::Provider { provider: NAME, action, source: source.into(), is_retryable: false }
}

#[async_trait]
impl Provider for Btrfs {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Looks for the subvolumes; what lies below a source the run finds out.
    async fn inspect(
        &self,
        samples: &[SitePath],
        _components: &[WantedComponent],
        _files: &Arc<dyn SiteFiles>,
    ) -> Result<Vec<String>, ShadowCopyError> {
        let samples: Vec<PathBuf> = samples.iter().map(local).collect();
        let look = move || samples.iter().try_for_each(|sample| subvolume(sample).map(drop));
        blocking(move || look().map_err(|error| failed(FIND, error))).await.map(|()| Vec::new())
    }

    async fn prepare(&self, request: ImageRequest) -> Result<Box<dyn Preparation>, ShadowCopyError> {
        for source in &request.sources {
            whole(&request, source).await?;
        }
        let (folder, sources) = (self.folder(request.set), request.sources.clone());
        let images = blocking(move || place(&folder, &sources)).await?;
        Ok(Box::new(Snapshots { request, images }))
    }

    async fn release(&self, set: ShadowCopySetId) -> Result<(), ShadowCopyError> {
        let folder = self.folder(set);
        blocking(move || remove(&folder)).await
    }
}

/// Refuses a source of which a part lies on another volume: its snapshot would be empty there.
async fn whole(request: &ImageRequest, source: &ImageSource) -> Result<(), ShadowCopyError> {
    if request.cancel.is_cancelled() {
        return Err(ShadowCopyError::Cancelled);
    }
    let root = &source.source.root;
    let walk = match request.files.walk(&source.source).await {
        // The copy tells that it is gone.
        Err(SiteFilesError::Missing(_)) => return Ok(()),
        walk => walk.map_err(|error| failed("look at the sources", error))?,
    };
    let Some(volume) = walk.entries.first().map(|entry| entry.stat.id.device) else { return Ok(()) };
    match walk.entries.iter().find(|entry| entry.stat.id.device != volume) {
        Some(other) => Err(failed(
            "image the sources",
            format!(
                "`{}` is another volume or subvolume than `{root}`: make it a source of its own",
                root.join(&other.path)
            ),
        )),
        None => Ok(()),
    }
}

/// A subvolume to snapshot, and where to.
#[derive(Debug, Clone)]
struct Snapshot {
    subvolume: PathBuf,
    image: PathBuf,
}

/// What to snapshot, and where each source will be found then.
#[derive(Debug, Clone)]
struct Images {
    snapshots: Vec<Snapshot>,
    roots: Vec<SitePath>,
}

/// Finds the subvolumes of the sources, and tries whether each can be snapshotted into `folder`.
fn place(folder: &Path, sources: &[ImageSource]) -> Result<Images, ShadowCopyError> {
    let mut images = Images { snapshots: Vec::new(), roots: Vec::new() };
    for source in sources {
        let root = local(&source.source.root);
        let (subvolume, below) = subvolume(&root).map_err(|error| failed(FIND, error))?;
        let number = images.snapshots.iter().position(|snapshot| snapshot.subvolume == subvolume);
        let number = number.unwrap_or(images.snapshots.len());
        let image = folder.join(number.to_string());
        let place = SitePath::parse(image.join(below).as_os_str().as_bytes());
        images.roots.push(place.map_err(|error| failed("place the images", error))?);
        if number == images.snapshots.len() {
            images.snapshots.push(Snapshot { subvolume, image });
        }
    }
    fs::create_dir_all(folder).map_err(|error| failed("make the working folder", told(folder, &error)))?;
    for snapshot in &images.snapshots {
        snapshot.take()?;
        delete(&snapshot.image)?;
    }
    Ok(images)
}

/// The root of the subvolume that a path lies on, and the path below it.
fn subvolume(path: &Path) -> Result<(PathBuf, PathBuf), String> {
    let path = fs::canonicalize(path).map_err(|error| told(path, &error))?;
    for above in path.ancestors() {
        if fs::symlink_metadata(above).map_err(|error| told(above, &error))?.ino() == SUBVOLUME_ROOT {
            let below = path.strip_prefix(above).map(Path::to_owned).unwrap_or_default();
            return Ok((above.to_owned(), below));
        }
    }
    Err(format!("`{}` lies on no subvolume of btrfs", path.display()))
}

impl Snapshot {
    fn take(&self) -> Result<(), ShadowCopyError> {
        let args = [OsStr::new("snapshot"), OsStr::new("-r"), self.subvolume.as_os_str(), self.image.as_os_str()];
        btrfs(&args).map_err(|error| failed("take a snapshot", error))
    }
}

fn delete(image: &Path) -> Result<(), ShadowCopyError> {
    btrfs(&[OsStr::new("delete"), image.as_os_str()]).map_err(|error| failed("delete a snapshot", error))
}

/// Runs `btrfs subvolume`.
fn btrfs(args: &[&OsStr]) -> Result<(), String> {
    let ran = Command::new("btrfs").arg("subvolume").args(args).output();
    let output = ran.map_err(|error| format!("`btrfs` cannot be run: {error}; install btrfs-progs"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// Removes the snapshots in a set's folder, and the folder.
fn remove(folder: &Path) -> Result<(), ShadowCopyError> {
    let broken = |error: io::Error| failed("remove the images", told(folder, &error));
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(broken)?,
    };
    for entry in entries {
        delete(&entry.map_err(broken)?.path())?;
    }
    fs::remove_dir(folder).map_err(broken)
}

/// Snapshots that can be taken.
#[derive(Debug)]
struct Snapshots {
    request: ImageRequest,
    images: Images,
}

#[async_trait]
impl Preparation for Snapshots {
    fn provider(&self) -> &'static str {
        NAME
    }

    /// A snapshot writes what is not on the disk yet; what is written now, the window need not wait for.
    async fn settle(&mut self) -> Result<(), ShadowCopyError> {
        let roots: Vec<SitePath> = self.request.sources.iter().map(|source| source.source.root.clone()).collect();
        self.request.files.sync(&roots).await.map_err(|error| failed("sync the sources", error))
    }

    async fn commit(self: Box<Self>) -> Result<Box<dyn Committed>, ShadowCopyError> {
        let Images { snapshots, roots } = self.images;
        blocking(move || snapshots.iter().try_for_each(Snapshot::take)).await?;
        Ok(Box::new(Taken {
            consistency: Consistency::Application,
            weaker: Vec::new(),
            remarks: Vec::new(),
            image: Image::Borrowed(roots),
            components: Vec::new(),
            documents: Vec::new(),
        }))
    }
}
