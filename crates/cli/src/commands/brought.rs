//! A snapshot that is brought to a recovery from elsewhere than the destination: a bare folder, or one of the archive.

use std::sync::Arc;

use backup_core::manifest::Manifest;
use backup_core::path::SitePath;
use backup_core::ports::Source;
use backup_core::ports::destination::SnapshotFiles;
use backup_core::report::{Cause, Finding, Gravity};
use backup_core::verify::SnapshotError;
use host::destination::LocalSnapshot;

use super::{Chosen, Session, archive};
use crate::args::{AccessArgs, Global};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::site::{self, Site};

/// The snapshot, and what this machine knows of its site.
pub(super) struct Brought {
    pub(super) chosen: Chosen,
    pub(super) manifest: Manifest,
    /// The site that is configured here, if the snapshot is of it: its timer must not back it up in between.
    pub(super) here: Option<Site>,
}

impl Brought {
    /// Opens a bare snapshot folder.
    pub(super) async fn from_folder(session: &Session, folder: &SitePath) -> Result<Self, CommandError> {
        let files: Arc<dyn SnapshotFiles> = Arc::new(LocalSnapshot::open(folder).map_err(no_snapshot)?);
        let manifest = Manifest::parse(&files.manifest().await.map_err(no_snapshot)?).map_err(no_snapshot)?;
        let (here, findings) = configured_here(&session.global);
        let chosen = Chosen {
            files,
            folder: Some(folder.clone()),
            short: String::new(),
            findings: findings.into_iter().collect(),
        };
        Ok(Self::of(chosen, manifest, here))
    }

    /// Takes a snapshot of the archive that is whole: nothing has to be written to find out that it is not.
    pub(super) async fn from_archive(session: &Session, access: &AccessArgs, id: &str) -> Result<Self, CommandError> {
        let (here, unread) = configured_here(&session.global);
        let site = here.as_ref().map(|site| site.config.code.as_str());
        let archive = here.as_ref().and_then(|site| site.config.archive.as_ref());
        let mut chosen = archive::chosen(session, &archive::completed(access, archive), id, site)?;
        let manifest = Manifest::parse(&chosen.files.manifest().await?).map_err(SnapshotError::from)?;
        chosen.findings.extend(unread);
        Ok(Self::of(chosen, manifest, here))
    }

    fn of(chosen: Chosen, manifest: Manifest, here: Option<Site>) -> Self {
        let here = here.filter(|site| site.config.code.as_str() == manifest.site);
        Self { chosen, manifest, here }
    }
}

/// Refuses options of the archive where nothing is taken from it.
pub(super) fn refuse_access(access: &AccessArgs) -> Result<(), CommandError> {
    let given = [&access.repository, &access.passphrase_file, &access.identity_file];
    match given.iter().any(|option| option.is_some()) {
        false => Ok(()),
        true => {
            let message = "an archive repository is given, and no snapshot of it";
            Err(CommandError::usage(message)
                .hint("name one with --from-archive: `sitebackup archive snapshots` lists them"))
        }
    }
}

/// The site that is configured on this machine; where its site.toml is of no use, that is told, for its runs are not kept away then.
pub(super) fn configured_here(global: &Global) -> (Option<Site>, Option<Finding>) {
    let Some(file) = site::find(global).filter(|file| file.exists()) else { return (None, None) };
    match Site::read(&file) {
        Ok(site) => (Some(site), None),
        Err(error) => {
            let message = format!("the site.toml of this machine is of no use: {}", error.finding().message);
            let finding = Finding::new(Gravity::Warning, Cause::Configuration, message);
            (None, Some(finding.hint("if it is this site's, let no backup begin before the recovery has ended")))
        }
    }
}

fn no_snapshot(error: impl Into<Source>) -> CommandError {
    let hint = "name the folder of a backup snapshot, the one with `sitebackup.json` in it";
    CommandError::new(Exit::SNAPSHOT, error).hint(hint)
}
