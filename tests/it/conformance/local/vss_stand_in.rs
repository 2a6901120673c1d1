//! A site whose images VSS makes: the library that stands in for Windows' copies the site where Windows would keep its blocks.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use vss::{VssOptions, VssProvider};

use super::Local;

/// Where `cargo xtask windows` has put the library.
const PLACE: &str = "SITEBACKUP_FAKE_VSSAPI";

impl Local {
    /// One at a time: the library has one script.
    pub(in super::super) fn with_vss() -> Self {
        let place = std::env::var(PLACE).unwrap_or_else(|_| panic!("{PLACE} is not set: run `cargo xtask windows`"));
        let original = PathBuf::from(place.replace('/', "\\"));
        let library = original.with_file_name("conformance.dll");
        if !library.exists() || fs::read(&library).ok() != fs::read(&original).ok() {
            fs::copy(&original, &library).expect("the library is copied");
        }
        let local = Self::new();
        let device = local.folder.join("HarddiskVolumeShadowCopy");
        let script = format!("image {} {}", local.site().display(), device.display());
        fs::write(library.with_extension("dll.script"), script).expect("the script is written");
        Self { provider: Arc::new(VssProvider::with_library(VssOptions::default(), library)), ..local }
    }
}
