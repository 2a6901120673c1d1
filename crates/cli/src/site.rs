//! The configured site, and paths between this system's form and core's.

use std::io;
use std::path::{Component, Path, PathBuf};

use backup_core::config::SiteConfig;
use backup_core::destination::DestinationOption;
use backup_core::path::SitePath;
use backup_core::report::{Cause, Finding};
use host::site_toml::{LoadError, load};

use crate::args::Global;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Notice;

/// The file that is looked for in the current folder.
pub(crate) const SITE_FILE: &str = "site.toml";
/// The variable that names the file where there is none.
pub(crate) const SITE_VARIABLE: &str = "SITEBACKUP_SITE";

/// A site, as its configuration file describes it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// The configuration file, absolute.
    pub(crate) file: PathBuf,
    /// Its text.
    pub(crate) text: String,
    /// What it says.
    pub(crate) config: SiteConfig,
}

impl Site {
    /// Reads the site that the command line, the current folder or the environment names.
    pub(crate) fn load(global: &Global) -> Result<Self, CommandError> {
        let Some(file) = find(global) else {
            let message = format!("no {SITE_FILE} is here, and neither --site nor {SITE_VARIABLE} names one");
            return Err(
                CommandError::usage(message).hint("write one with `sitebackup init`, or name it with --site FILE")
            );
        };
        Self::read(&file)
    }

    /// Reads a site's configuration file.
    pub(crate) fn read(file: &Path) -> Result<Self, CommandError> {
        let loaded = load(file).map_err(load_error)?;
        Ok(Self { file: loaded.path, text: loaded.text, config: with_real_paths(loaded.config) })
    }

    /// The folder that the configuration file lies in.
    pub(crate) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    /// The folder in which AfterBackup is looked for: the control file's, or else the configuration file's.
    pub(crate) fn hook_folder(&self) -> PathBuf {
        let control_file = self.config.control_file.as_ref().and_then(SitePath::parent);
        control_file.map_or_else(|| self.folder().to_owned(), |folder| local(&folder))
    }
}

/// The configuration with every path as the system knows it: whether one lies in another must not depend on how it is spelled.
fn with_real_paths(mut config: SiteConfig) -> SiteConfig {
    let (DestinationOption::Local(destination) | DestinationOption::Network(destination)) =
        &mut config.task.destination
    else {
        return config;
    };
    let include = config.files.include.iter_mut();
    let mapped = config.paths.iter_mut().map(|(_, local)| local);
    let database = config.database.iter_mut().filter_map(|database| database.place.file_mut());
    let archive = config.archive.iter_mut().flat_map(|archive| [&mut archive.repository, archive.key.path_mut()]);
    let paths = include.chain(mapped).chain(database).chain(archive);
    let paths = paths.chain(&mut config.install_dir).chain(&mut config.control_file);
    for path in paths.chain([destination, &mut config.state_dir]) {
        *path = real(path);
    }
    config
}

/// The path as the system knows it; unchanged where it cannot be told.
pub(crate) fn real(path: &SitePath) -> SitePath {
    let found = canonical(&local(path)).ok();
    found.and_then(|found| SitePath::parse(found.as_os_str().as_encoded_bytes()).ok()).unwrap_or_else(|| path.clone())
}

/// The configuration file that is meant, there or not.
pub(crate) fn find(global: &Global) -> Option<PathBuf> {
    let here = || Some(PathBuf::from(SITE_FILE)).filter(|file| file.exists());
    let named = || std::env::var_os(SITE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    global.site.clone().or_else(here).or_else(named)
}

fn load_error(error: LoadError) -> CommandError {
    let LoadError::Invalid { path, errors } = &error else {
        return CommandError::usage(error).hint("name the site's configuration with --site FILE");
    };
    let notice = |error: &host::site_toml::ConfigError| {
        let place = format!("{}:{}:{}", path.display(), error.line, error.column);
        let mut finding = Finding::error(Cause::Configuration, format!("{place}: {}", error.message));
        finding.hint.clone_from(&error.remedy);
        Notice::from(finding)
    };
    let notices = errors.iter().map(notice).collect();
    CommandError::usage(error).with_notices(notices)
}

/// A path of this system as core's.
pub(crate) fn site_path(path: &Path) -> Result<SitePath, CommandError> {
    let absolute = absolute(path).map_err(|error| CommandError::io(Exit::USAGE, "find", path, error))?;
    SitePath::parse(absolute.as_os_str().as_encoded_bytes()).map_err(CommandError::usage)
}

/// An absolute path without `.` and `..`. Links are followed only where a `..` makes it necessary.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    let is_up = |component| matches!(component, Component::ParentDir);
    if path.components().any(is_up) {
        return canonical(path);
    }
    let absolute = std::path::absolute(path)?;
    // Taken apart and put together, a path loses its single dots and its last separator.
    Ok(absolute.components().filter(|part| !matches!(part, Component::CurDir)).collect())
}

/// As the system knows the path, or the folder above it, where it is to be made yet.
fn canonical(path: &Path) -> io::Result<PathBuf> {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            Ok(absolute(parent)?.join(name))
        }
        (result, ..) => result,
    }
}

/// Core's path as this system's.
pub(crate) fn local(path: &SitePath) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        PathBuf::from(std::ffi::OsString::from_vec(path.to_bytes()))
    }
    #[cfg(windows)]
    {
        use std::os::windows::ffi::OsStringExt;
        let wide = |bytes: &[u8]| backup_core::wtf8::to_wide(bytes).unwrap_or_default();
        let plain = wide(&path.to_bytes());
        // Longer paths are understood behind a prefix only, with which no shell can begin in a folder.
        let wide = if plain.len() < LONGEST_PLAIN { plain } else { wide(&path.to_verbatim_bytes()) };
        PathBuf::from(std::ffi::OsString::from_wide(&wide))
    }
}

/// What Windows takes as a folder without a prefix.
#[cfg(windows)]
const LONGEST_PLAIN: usize = 248;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_and_plain() {
        let path = |text: &str| site_path(Path::new(text)).expect("a path").to_string();
        let here = std::env::current_dir().expect("a current folder").display().to_string();
        let slash = std::path::MAIN_SEPARATOR;
        assert_eq!(path("a/./b/"), format!("{here}{slash}a{slash}b"));
        assert_eq!(path("."), here);
        if cfg!(windows) {
            assert_eq!(path(r"C:\x\"), r"C:\x");
            assert_eq!(path(r"\\?\C:\x"), r"C:\x");
            assert_eq!(path(r"c:\windows\..\windows\not there").to_lowercase(), r"c:\windows\not there");
        } else {
            assert_eq!(path("/x/"), "/x");
            assert_eq!(path("/usr/../usr"), "/usr");
            assert_eq!(path("/usr/../usr/not/there"), "/usr/not/there");
        }
        assert!(site_path(Path::new("/no/such/../x")).is_err());
    }

    #[test]
    fn every_problem_of_a_file_is_told_with_its_place() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = folder.path().join("site.toml");
        std::fs::write(&file, "version = 1\n[site]\ncode = \"P001\"\n[tsak]\n").expect("written");
        let error = Site::read(&file).expect_err("there are problems");
        assert_eq!(error.kind, Exit::USAGE);
        let shown = crate::output::Printer::shown_error("check", &error);
        assert!(shown.contains("site.toml:3:8: `P001` is not a site code"), "{shown}");
        assert!(shown.contains("task"), "{shown}");
    }
}
