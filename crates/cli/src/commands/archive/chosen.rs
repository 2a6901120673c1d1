//! A snapshot of the archive for who recovers or rehearses it: one of this program's, and proven before anybody relies on it.

use std::collections::BTreeSet;
use std::sync::Arc;

use archive::{ArchiveError, Listed, Listing};
use backup_core::copy::chain;
use backup_core::report::{Cause, Finding, Gravity};

use super::open::{OpenRepository, open_repository, short};
use crate::args::AccessArgs;
use crate::commands::{Chosen, Session};
use crate::error::CommandError;
use crate::exit::Exit;

/// Opens the snapshot that `id` names, once all that it needs was read and found whole. `latest` is that of `site`, or of the only one.
pub(in crate::commands) fn chosen(
    session: &Session,
    access: &AccessArgs,
    id: &str,
    site: Option<&str>,
) -> Result<Chosen, CommandError> {
    let opened = open_repository(access)?;
    let (listed, findings) = match id.eq_ignore_ascii_case("latest") {
        true => latest(&opened, site)?,
        false => opened.find(id)?,
    };
    if listed.snapshot.about.run.is_none() {
        let message = format!("snapshot {} was made by another program", short(&listed.id));
        let hint = "`sitebackup archive restore` puts its files into a folder, for that program to recover from";
        return Err(CommandError::new(Exit::SNAPSHOT, message).hint(hint));
    }
    session.screen.work("reading the archive");
    let snapshot = opened.repository.open_snapshot(&listed);
    let proven = snapshot.and_then(|snapshot| snapshot.prove(&session.cancel).map(|()| snapshot));
    let files = Arc::new(proven.map_err(|error| opened.failed(error))?);
    Ok(Chosen { files, folder: None, short: short(&listed.id).to_owned(), findings })
}

/// The newest snapshot, with what speaks against it.
fn latest(opened: &OpenRepository, site: Option<&str>) -> Result<(Listed, Vec<Finding>), CommandError> {
    let Listing { mut snapshots, damaged } = opened.repository.snapshots().map_err(|error| opened.failed(error))?;
    match site {
        Some(site) => snapshots.retain(|listed| listed.snapshot.about.site == site),
        None => only_one_site(&snapshots)?,
    }
    let none = || match site {
        None => opened.failed(ArchiveError::Empty),
        Some(site) => CommandError::new(Exit::SNAPSHOT, format!("there is no archived snapshot of site {site}"))
            .hint("of another site's name one by its id: `sitebackup archive snapshots` lists them"),
    };
    let newest = snapshots.pop().ok_or_else(none)?;
    let findings = doubts(&newest, &snapshots, &damaged);
    Ok((newest, findings))
}

/// What speaks against the newest snapshot, of those that can be read beside those that cannot.
pub(super) fn doubts(newest: &Listed, older: &[Listed], damaged: &[ArchiveError]) -> Vec<Finding> {
    let warning = |message: String| Finding::new(Gravity::Warning, Cause::Snapshot, message);
    let unread =
        |error: &ArchiveError| warning(format!("a newer one may be there that cannot be read: {}", chain(error)));
    let mut findings: Vec<Finding> = damaged.iter().map(unread).collect();
    let about = &newest.snapshot.about;
    if !about.good {
        let weaker = warning(format!("snapshot {} is weaker than asked for", short(&newest.id)));
        let is_good = |listed: &&Listed| listed.snapshot.about.good && listed.snapshot.about.site == about.site;
        findings.push(match older.iter().rev().find(is_good) {
            Some(good) => weaker.hint(format!("the last good one is {}", short(&good.id))),
            None => weaker,
        });
    }
    findings
}

/// The latest of all sites is nobody's wish where there are several.
fn only_one_site(snapshots: &[Listed]) -> Result<(), CommandError> {
    let sites: BTreeSet<&str> = snapshots.iter().map(|listed| listed.snapshot.about.site.as_str()).collect();
    if sites.len() < 2 {
        return Ok(());
    }
    let sites = Vec::from_iter(sites).join(", ");
    let message = format!("`latest` may be of any site: the archive holds snapshots of {sites}");
    Err(CommandError::usage(message).hint("name a snapshot by its id: `sitebackup archive snapshots` lists them"))
}
