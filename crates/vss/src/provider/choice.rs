//! Which provider a task gets. A demand is met or is an error; `auto` alone may be answered with a lesser one.

use std::sync::Arc;

use backup_core::config::{ProviderChoice, TaskConfig};

#[cfg(target_os = "linux")]
use super::Btrfs;
use super::{Best, PreCopy, Provider};
#[cfg(windows)]
use crate::{VssOptions, VssProvider};

/// A demand of site.toml that this system cannot meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// Snapshots of btrfs, elsewhere than on Linux.
    #[error("`shadow-copy = \"btrfs\"` in site.toml cannot be met on {}: btrfs is a file system of Linux", system())]
    Btrfs,
    /// Snapshots of btrfs, without a place for them.
    #[error("`shadow-copy = \"btrfs\"` in site.toml cannot be met: there is no `work-dir` for the snapshots")]
    WorkDir,
    /// Windows' Volume Shadow Copy Service, elsewhere than on Windows.
    #[error(
        "`shadow-copy = \"vss\"` in site.toml cannot be met on {}: the Volume Shadow Copy Service is Windows' own",
        system()
    )]
    Vss,
}

impl Unmet {
    /// What to write instead.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::WorkDir => "write work-dir = \"/srv/.sitebackup\", on the file system of the sources",
            _ if cfg!(target_os = "linux") => r#"write "auto", "btrfs" or "pre-copy""#,
            _ if cfg!(windows) => r#"write "auto", "vss" or "pre-copy""#,
            _ => r#"write "auto" or "pre-copy""#,
        }
    }
}

fn system() -> &'static str {
    match std::env::consts::OS {
        "linux" => "Linux",
        "windows" => "Windows",
        other => other,
    }
}

/// What makes images on this system for a task, where something does.
#[cfg_attr(windows, expect(clippy::unnecessary_wraps, reason = "other systems may have none"))]
fn image(task: &TaskConfig) -> Option<Arc<dyn Provider>> {
    match &task.work_dir {
        #[cfg(target_os = "linux")]
        Some(work_dir) => Some(Arc::new(Btrfs::new(work_dir.clone()))),
        // VSS keeps its images where it wants to.
        #[cfg(windows)]
        _ => Some(Arc::new(VssProvider::new(VssOptions::default()))),
        #[cfg(not(windows))]
        _ => None,
    }
}

/// The provider that a task asks for.
///
/// # Errors
/// [`Unmet`] when the task demands one that this system does not have: an error of the configuration. Whether the volumes of the sources
/// allow it, the provider finds out itself.
pub fn choose(task: &TaskConfig) -> Result<Arc<dyn Provider>, Unmet> {
    match (task.shadow_copy, image(task)) {
        (ProviderChoice::PreCopy, _) | (ProviderChoice::Auto, None) => Ok(Arc::new(PreCopy)),
        (ProviderChoice::Auto, Some(image)) => Ok(Arc::new(Best::new(image))),
        (ProviderChoice::Btrfs, Some(image)) if cfg!(target_os = "linux") => Ok(image),
        (ProviderChoice::Btrfs, _) if cfg!(target_os = "linux") => Err(Unmet::WorkDir),
        (ProviderChoice::Btrfs, _) => Err(Unmet::Btrfs),
        (ProviderChoice::Vss, Some(image)) if cfg!(windows) => Ok(image),
        (ProviderChoice::Vss, _) => Err(Unmet::Vss),
    }
}

#[cfg(test)]
mod tests {
    use backup_core::config::SiteConfig;
    use backup_core::destination::DestinationOption;
    use backup_core::path::SitePath;

    use super::*;

    fn chosen(shadow_copy: ProviderChoice, work_dir: Option<&str>) -> Result<&'static str, Unmet> {
        let path = |text| SitePath::parse(text).expect("absolute");
        let destination = DestinationOption::Local(path("/backup"));
        let config = SiteConfig::new("P01".parse().expect("a site code"), destination, path("/state"));
        let task = TaskConfig { shadow_copy, work_dir: work_dir.map(path), ..config.task };
        choose(&task).map(|provider| provider.name())
    }

    #[test]
    fn copies_are_made_everywhere() {
        assert_eq!(chosen(ProviderChoice::PreCopy, Some("/work")), Ok("pre-copy"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_has_btrfs() {
        assert_eq!(chosen(ProviderChoice::Auto, None), Ok("pre-copy"));
        assert_eq!(chosen(ProviderChoice::Auto, Some("/work")), Ok("auto"));
        assert_eq!(chosen(ProviderChoice::Btrfs, Some("/work")), Ok("btrfs"));
        assert_eq!(chosen(ProviderChoice::Btrfs, None), Err(Unmet::WorkDir));
        let unmet = chosen(ProviderChoice::Vss, Some("/work")).expect_err("it is Windows' own");
        let reason = "the Volume Shadow Copy Service is Windows' own";
        assert_eq!(unmet.to_string(), format!("`shadow-copy = \"vss\"` in site.toml cannot be met on Linux: {reason}"));
        assert_eq!(unmet.remedy(), r#"write "auto", "btrfs" or "pre-copy""#);
    }

    #[cfg(windows)]
    #[test]
    fn windows_has_vss() {
        assert_eq!(chosen(ProviderChoice::Vss, None), Ok("vss"));
        assert_eq!(chosen(ProviderChoice::Auto, None), Ok("auto"));
        let unmet = chosen(ProviderChoice::Btrfs, Some(r"C:\work")).expect_err("it is Linux' own");
        let reason = "btrfs is a file system of Linux";
        assert_eq!(
            unmet.to_string(),
            format!("`shadow-copy = \"btrfs\"` in site.toml cannot be met on Windows: {reason}")
        );
        assert_eq!(unmet.remedy(), r#"write "auto", "vss" or "pre-copy""#);
    }
}
