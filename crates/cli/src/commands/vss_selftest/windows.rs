//! The self-test of this system's service.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::files::LocalSiteFiles;
use vss::{ComponentSelection, VssOptions, VssProvider};

use super::report;
use crate::args::VssSelftestArgs;
use crate::commands::Session;
use crate::error::CommandError;
use crate::output::Answer;
use crate::site::site_path;

pub(in super::super) async fn run(session: &Session, args: &VssSelftestArgs) -> Result<Answer, CommandError> {
    let components = match args.components {
        true => ComponentSelection::SmsWriter,
        false => ComponentSelection::These(Vec::new()),
    };
    let provider = VssProvider::new(VssOptions { components, ..VssOptions::default() });
    judge(&provider, session, &args.volumes).await
}

pub(in super::super) async fn judge(
    provider: &VssProvider,
    session: &Session,
    volumes: &[PathBuf],
) -> Result<Answer, CommandError> {
    let places = match volumes {
        [] => vec![site_path(&system_volume())?],
        volumes => volumes.iter().map(|volume| site_path(&root(volume))).collect::<Result<_, _>>()?,
    };
    let files = Arc::new(LocalSiteFiles::new());
    let test = provider.self_test(places.clone(), files, session.cancel.clone()).await;
    Ok(report::answer(&test, &places))
}

/// A drive's letter alone means its current folder, which nobody means here.
fn root(volume: &Path) -> PathBuf {
    match volume.to_str() {
        Some(drive) if drive.ends_with(':') => format!("{drive}\\").into(),
        _ => volume.to_owned(),
    }
}

/// Windows sets the variable for every process.
fn system_volume() -> PathBuf {
    let drive = std::env::var_os("SystemDrive").unwrap_or_else(|| "C:".into());
    root(Path::new(&drive))
}
