//! `vss-selftest`: one backup through Windows' Volume Shadow Copy Service that keeps nothing, call by call.

#[cfg(windows)]
mod report;

use super::Session;
use crate::args::VssSelftestArgs;
use crate::error::CommandError;
use crate::output::Answer;

#[cfg(windows)]
pub(super) async fn run(session: &Session, args: &VssSelftestArgs) -> Result<Answer, CommandError> {
    use vss::{ComponentSelection, VssOptions, VssProvider};

    let components = match args.components {
        true => ComponentSelection::SmsWriter,
        false => ComponentSelection::These(Vec::new()),
    };
    let provider = VssProvider::new(VssOptions { components, ..VssOptions::default() });
    judge(&provider, session, &args.volumes).await
}

/// There is nobody to ask.
#[cfg(not(windows))]
#[expect(clippy::unused_async, reason = "on Windows it waits")]
pub(super) async fn run(_session: &Session, _args: &VssSelftestArgs) -> Result<Answer, CommandError> {
    let message = format!("the Volume Shadow Copy Service is Windows' own, and this is {}", std::env::consts::OS);
    Err(CommandError::usage(message).hint("run it on the site server"))
}

#[cfg(windows)]
pub(super) async fn judge(
    provider: &vss::VssProvider,
    session: &Session,
    volumes: &[std::path::PathBuf],
) -> Result<Answer, CommandError> {
    let places = match volumes {
        [] => vec![crate::site::site_path(&system_volume())?],
        volumes => volumes.iter().map(|volume| crate::site::site_path(&root(volume))).collect::<Result<_, _>>()?,
    };
    let files = std::sync::Arc::new(host::files::LocalSiteFiles::new());
    let test = provider.self_test(places.clone(), files, session.cancel.clone()).await;
    Ok(report::answer(&test, &places))
}

/// A drive's letter alone means its current folder, which nobody means here.
#[cfg(windows)]
fn root(volume: &std::path::Path) -> std::path::PathBuf {
    match volume.to_str() {
        Some(drive) if drive.ends_with(':') => format!("{drive}\\").into(),
        _ => volume.to_owned(),
    }
}

/// Windows sets the variable for every process.
#[cfg(windows)]
fn system_volume() -> std::path::PathBuf {
    let drive = std::env::var_os("SystemDrive").unwrap_or_else(|| "C:".into());
    root(std::path::Path::new(&drive))
}
