//! Which provider a task gets. A demand is met or is an error; `auto` alone may be answered with a lesser one.

use std::sync::Arc;

use backup_core::config::{DatabaseConfig, DatabaseMethod, ProviderChoice, TaskConfig};
use backup_core::ports::Source;
use backup_core::ports::restores::RestoreWriter;

use super::{Best, PreCopy, Provider};
#[cfg(target_os = "linux")]
use super::{Btrfs, Reflink};
#[cfg(windows)]
use crate::{SystemRestoreWriter, VssOptions, VssProvider};

/// A demand of site.toml that this system cannot meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unmet {
    /// Snapshots or clones, elsewhere than on Linux.
    #[error("`shadow-copy = \"{0}\"` in site.toml cannot be met on {system}: it takes a file system of Linux", system = system())]
    Linux(&'static str),
    /// Snapshots or clones, without a place for them.
    #[error("`shadow-copy = \"{0}\"` in site.toml cannot be met: there is no `work-dir` for what it makes")]
    WorkDir(&'static str),
    /// Windows' Volume Shadow Copy Service, elsewhere than on Windows.
    #[error(
        "`shadow-copy = \"vss\"` in site.toml cannot be met on {}: the Volume Shadow Copy Service is Windows' own",
        system()
    )]
    Vss,
    /// The files of SQL Server's database from a shadow copy, elsewhere than on Windows.
    #[error(
        "`method = \"vss\"` in [database] of site.toml cannot be met on {}: SQL Server's writer is Windows' own",
        system()
    )]
    Database,
    /// The same beside a provider that SQL Server's writer has nothing to do with.
    #[error(
        "`method = \"vss\"` in [database] of site.toml cannot be met: `shadow-copy = \"{0}\"` makes no shadow copy in which SQL Server's writer takes part"
    )]
    DatabaseProvider(&'static str),
}

impl Unmet {
    /// What to write instead.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Database => r#"write method = "native", or "external" where others back it up"#,
            Self::DatabaseProvider(_) => r#"write shadow-copy = "vss" or "auto", or another method of [database]"#,
            Self::WorkDir(_) => "write work-dir = \"/srv/.sitebackup\", on the file system of the sources",
            _ if cfg!(target_os = "linux") => r#"write "auto", "btrfs", "reflink" or "pre-copy""#,
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

/// What makes images on this system for a task, the best first.
fn images(task: &TaskConfig) -> Vec<Arc<dyn Provider>> {
    match &task.work_dir {
        #[cfg(target_os = "linux")]
        Some(work_dir) => vec![Arc::new(Btrfs::new(work_dir.clone())), Arc::new(Reflink::new(work_dir))],
        // VSS keeps its images where it wants to.
        #[cfg(windows)]
        _ => vec![Arc::new(VssProvider::new(VssOptions::default()))],
        #[cfg(not(windows))]
        _ => Vec::new(),
    }
}

/// The provider that a task asks for, and that takes the database of its site as it is to be taken.
///
/// # Errors
/// [`Unmet`] when the task or the database demands one that this system does not have: an error of the configuration. Whether the volumes of the
/// sources allow it, the provider finds out itself.
pub fn choose(task: &TaskConfig, database: Option<&DatabaseConfig>) -> Result<Arc<dyn Provider>, Unmet> {
    if database.is_some_and(|database| database.method == DatabaseMethod::Vss) {
        match task.shadow_copy {
            _ if !cfg!(windows) => return Err(Unmet::Database),
            ProviderChoice::PreCopy => return Err(Unmet::DatabaseProvider("pre-copy")),
            _ => {}
        }
    }
    let images = images(task);
    let of_linux = |name| if cfg!(target_os = "linux") { Unmet::WorkDir(name) } else { Unmet::Linux(name) };
    let (name, unmet) = match task.shadow_copy {
        ProviderChoice::PreCopy => return Ok(Arc::new(PreCopy)),
        ProviderChoice::Auto if images.is_empty() => return Ok(Arc::new(PreCopy)),
        ProviderChoice::Auto => return Ok(Arc::new(Best::new(images))),
        ProviderChoice::Btrfs => ("btrfs", of_linux("btrfs")),
        ProviderChoice::Reflink => ("reflink", of_linux("reflink")),
        ProviderChoice::Vss => ("vss", Unmet::Vss),
    };
    images.into_iter().find(|image| image.name() == name).ok_or(unmet)
}

/// Who tells the system's own writers of a restore, of what their document in a snapshot says, whose image `provider` made; none where that was not
/// the system's service, or the system has none.
///
/// The document is read when the writers are told, and not before: a recovery elsewhere has nobody to tell. One that cannot be read is a veto.
pub fn system_restore_writer(
    provider: &str,
    document: impl Fn() -> Result<Vec<u8>, Source> + Send + Sync + 'static,
) -> Option<Arc<dyn RestoreWriter>> {
    #[cfg(windows)]
    let writer = (provider == "vss").then(|| Arc::new(SystemRestoreWriter::new(document)) as _);
    #[cfg(not(windows))]
    let writer = Some((provider, document)).and(None);
    writer
}

/// Lets go of the images of every provider that a task may have had, whatever it asks for now. It makes images, too, as `auto` does.
pub fn releasing(task: &TaskConfig) -> Arc<dyn Provider> {
    Arc::new(Best::new(images(task)))
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
        choose(&task, None).map(|provider| provider.name())
    }

    fn beside_sql_server(shadow_copy: ProviderChoice) -> Result<&'static str, Unmet> {
        let path = SitePath::parse("/state").expect("absolute");
        let destination = DestinationOption::Local(path.clone());
        let config = SiteConfig::new("P01".parse().expect("a site code"), destination, path.clone());
        let task = TaskConfig { shadow_copy, ..config.task };
        let database = DatabaseConfig { method: DatabaseMethod::Vss, ..DatabaseConfig::sqlite(path) };
        choose(&task, Some(&database)).map(|provider| provider.name())
    }

    #[test]
    fn copies_are_made_everywhere() {
        assert_eq!(chosen(ProviderChoice::PreCopy, Some("/work")), Ok("pre-copy"));
    }

    #[cfg(not(windows))]
    #[test]
    fn files_of_sql_server_are_taken_on_windows_alone() {
        let unmet = beside_sql_server(ProviderChoice::Auto).expect_err("there is no such writer");
        assert_eq!(unmet, Unmet::Database);
        let said = unmet.to_string();
        assert!(said.contains("`method = \"vss\"` in [database] of site.toml cannot be met on Linux"), "{said}");
        assert!(unmet.remedy().contains("native"));
    }

    #[cfg(windows)]
    #[test]
    fn files_of_sql_server_are_taken_by_vss_alone() {
        assert_eq!(beside_sql_server(ProviderChoice::Auto), Ok("auto"));
        assert_eq!(beside_sql_server(ProviderChoice::Vss), Ok("vss"));
        assert_eq!(beside_sql_server(ProviderChoice::PreCopy), Err(Unmet::DatabaseProvider("pre-copy")));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_has_snapshots_and_clones() {
        assert_eq!(chosen(ProviderChoice::Auto, None), Ok("pre-copy"));
        assert_eq!(chosen(ProviderChoice::Auto, Some("/work")), Ok("auto"));
        assert_eq!(chosen(ProviderChoice::Btrfs, Some("/work")), Ok("btrfs"));
        assert_eq!(chosen(ProviderChoice::Btrfs, None), Err(Unmet::WorkDir("btrfs")));
        assert_eq!(chosen(ProviderChoice::Reflink, Some("/work")), Ok("reflink"));
        assert_eq!(chosen(ProviderChoice::Reflink, None), Err(Unmet::WorkDir("reflink")));
        let unmet = chosen(ProviderChoice::Vss, Some("/work")).expect_err("it is Windows' own");
        let reason = "the Volume Shadow Copy Service is Windows' own";
        assert_eq!(unmet.to_string(), format!("`shadow-copy = \"vss\"` in site.toml cannot be met on Linux: {reason}"));
        assert_eq!(unmet.remedy(), r#"write "auto", "btrfs", "reflink" or "pre-copy""#);
    }

    #[cfg(windows)]
    #[test]
    fn windows_has_vss() {
        assert_eq!(chosen(ProviderChoice::Vss, None), Ok("vss"));
        assert_eq!(chosen(ProviderChoice::Auto, None), Ok("auto"));
        let unmet = chosen(ProviderChoice::Btrfs, Some(r"C:\work")).expect_err("it is Linux' own");
        let reason = "it takes a file system of Linux";
        assert_eq!(
            unmet.to_string(),
            format!("`shadow-copy = \"btrfs\"` in site.toml cannot be met on Windows: {reason}")
        );
        assert_eq!(unmet.remedy(), r#"write "auto", "vss" or "pre-copy""#);
    }
}
