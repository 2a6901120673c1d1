//! The configuration file `site.toml`: read with all its problems at once, and written for a new site.
//!
//! Everything that the file says is used or refused; nothing is silently passed over. Relative paths start at the file's own folder.
//! The file holds no secrets. What only the machine can tell (whether a time zone or a folder exists) is not judged here.
//!
//! ```
//! use backup_core::path::SitePath;
//!
//! let folder = SitePath::parse("/etc/site")?;
//! let text = "version = 1\n[site]\ncode = 'P01'\n[files]\ninclud = ['/srv/app']\n[task]\ndestination = { local = '/backup' }";
//! let errors = host::site_toml::parse(text, &folder).unwrap_err();
//! assert_eq!(errors[1].to_string(), "5:1: unknown key `includ` in [files]; did you mean `include`?");
//! # Ok::<(), backup_core::path::PathError>(())
//! ```

mod archive;
mod database;
mod read;
mod services;
mod table;
#[cfg(test)]
mod tests;
mod values;
mod write;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use backup_core::config::SiteConfig;
use backup_core::path::SitePath;
use toml::de::DeTable;

pub use table::ConfigError;
use table::{Section, Source};
pub use write::{NewDatabase, NewSite, NotUnicode, to_toml, without_secrets};

/// Reads a configuration; `file_dir` is the folder that relative paths start from.
///
/// # Errors
/// All problems in the order of the text. A text that is no TOML, or of another version, has no other problems.
pub fn parse(text: &str, file_dir: &SitePath) -> Result<SiteConfig, Vec<ConfigError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source::new(text);
    let (table, syntax_errors) = DeTable::parse_recoverable(text);
    for error in &syntax_errors {
        let at = error.span().map_or(0, |span| span.start);
        source.report(at, format!("this is not TOML: {}", error.message()), None);
    }
    let config = if syntax_errors.is_empty() {
        read::site_config(Section::root(&source, table.get_ref()), file_dir)
    } else {
        None
    };
    match (config, source.into_errors()) {
        (Some(config), errors) if errors.is_empty() => Ok(config),
        (_, errors) => Err(errors),
    }
}

/// A configuration file that was read.
#[derive(Debug, Clone)]
pub struct LoadedSite {
    /// What it says.
    pub config: SiteConfig,
    /// The file, with its folder made absolute.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It has problems.
    #[error("`{path}` has {} problem{}", .errors.len(), if .errors.len() == 1 { "" } else { "s" })]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All of them, in the order of the text.
        errors: Vec<ConfigError>,
    },
}

/// Reads the configuration file `path`.
///
/// # Errors
/// [`LoadError`] when the file cannot be read or has problems.
pub fn load(path: &Path) -> Result<LoadedSite, LoadError> {
    let unreadable = |source: io::Error| LoadError::Read { path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let name = path.file_name().ok_or_else(|| unreadable(io::ErrorKind::IsADirectory.into()))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = absolute(folder).map_err(unreadable)?;
    let site_folder = SitePath::parse(folder.as_os_str().as_encoded_bytes())
        .map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidFilename, error)))?;
    let config = parse(&text, &site_folder).map_err(|errors| LoadError::Invalid { path: path.to_owned(), errors })?;
    Ok(LoadedSite { config, path: folder.join(name), text })
}

#[cfg(not(windows))]
fn absolute(folder: &Path) -> io::Result<PathBuf> {
    folder.canonicalize()
}

/// Windows canonicalises to `\\?\` paths, which nothing else in a configuration is written as.
#[cfg(windows)]
fn absolute(folder: &Path) -> io::Result<PathBuf> {
    std::path::absolute(folder)
}
