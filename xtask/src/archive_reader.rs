//! What the script that reads archives imports: installed by pip into a folder of its own in the target folder.

use std::path::Path;
use std::process::Command;

use crate::packages::asked;
use crate::shell::run;

/// What pip calls them.
const PACKAGES: [&str; 3] = ["PyNaCl", "blake3", "zstandard"];

/// Installs them into the target folder unless they are there, after asking unless `yes`.
pub(crate) fn ensure(target: &Path, yes: bool) -> Result<(), String> {
    let folder = target.join("archive-reader");
    let python = folder.join("bin/python3");
    if python.exists() && run(Command::new(&python).args(["-c", "import blake3, nacl, zstandard"])).is_ok() {
        return Ok(());
    }
    let place = folder.display();
    let packages = PACKAGES.join(" ");
    println!("The reader of archives imports {packages} (from pip, about 56 MB with an environment of their own).");
    let by_hand = format!(
        "python3 -m venv {place} && {place}/bin/pip install {packages} (python3-venv is the Debian package of the first)"
    );
    if !yes && !asked(&by_hand)? {
        return Err(format!("install them first: {by_hand}"));
    }
    let failed = |error: String| format!("{error}; by hand: {by_hand}");
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).map_err(failed)?;
    let mut pip = Command::new(&python);
    run(pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES)).map_err(failed)
}
