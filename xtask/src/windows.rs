//! Builds the whole workspace for Windows, lints it, and runs its tests under Wine.
//!
//! Debian's own compiler does it with the standard library built from its source, for no toolchain of rustup's has this target here.
//! Everything lies in `target/windows`, apart from the usual build: the compiler is another one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Chore;
use crate::packages;
use crate::shell;

const TARGET: &str = "x86_64-pc-windows-gnu";
const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";
/// A link to the source of one version, `/usr/src/rustc-<version>`.
const RUST_SOURCE: &str = "/usr/lib/rustlib/src/rust";
/// Called directly: the wrapper `wine` complains of a missing 32-bit half on every start.
const WINE: &str = "/usr/lib/wine/wine64";
const MINGW_GCC: &str = "/usr/bin/x86_64-w64-mingw32-gcc";
const MINGW_GXX: &str = "/usr/bin/x86_64-w64-mingw32-g++";
/// Tells the tests of `vss` where the library is that stands in for Windows' shadow copy service. Programs know nothing of it.
const STAND_IN: &str = "SITEBACKUP_FAKE_VSSAPI";

/// Environment variables of the calling Cargo and rustup that say nothing about this build. What names registries, the network and the
/// terminal stays.
const FOREIGN: &[&str] = &["CARGO", "RUST", "CLIPPY", "LD_LIBRARY_PATH", "DYLD_", "DISPLAY", "WINE"];
const KEPT: &[&str] = &["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_TERM_", "RUST_BACKTRACE"];

pub(crate) fn run(args: &[String]) -> Chore {
    let (own, more): (Vec<_>, Vec<_>) = args.iter().partition(|arg| *arg == "--yes");
    packages::ensure("The Windows build", packages::WINDOWS, !own.is_empty())?;
    same_version()?;
    let began = Instant::now();
    let wine = Wine::set_up()?;
    build_stand_in()?;
    let lint = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    shell::run(cargo(&wine).args(lint))?;
    println!("windows: clippy is content after {} s", began.elapsed().as_secs());
    // The integration tests run the program, and under Wine there is no Cargo to build it. With all targets it is built of the same
    // crates as the tests; by itself most of them would be built twice.
    shell::run(cargo(&wine).args(["build", "--quiet", "--workspace", "--all-targets"]))?;
    let tested = match more.is_empty() {
        true => shell::run(cargo(&wine).args(["test", "--workspace", "--no-fail-fast"])),
        false => shell::run(cargo(&wine).arg("test").args(more)),
    };
    println!("windows: took {} s", began.elapsed().as_secs());
    Ok(tested?)
}

/// The standard library must be built from the compiler's own source.
fn same_version() -> Result<(), String> {
    let said = shell::output(Command::new(RUSTC).arg("--version"))?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let compiler = said.split(' ').nth(1).unwrap_or_default();
    let folder = fs::canonicalize(RUST_SOURCE).map_err(|error| format!("{RUST_SOURCE}: {error}"))?;
    let source = folder.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("rustc-"));
    if source == Some(compiler) {
        return Ok(());
    }
    let remedy = "apt-get install rustc-web cargo-web rust-web-src rust-web-clippy";
    let source = source.unwrap_or("unknown");
    Err(format!("{RUSTC} is version {compiler} and {RUST_SOURCE} is version {source}; they must be the same: {remedy}"))
}

/// A Wine prefix of this build's own. Dropped, it ends the processes that run in it, and no others.
struct Wine {
    prefix: PathBuf,
}

impl Wine {
    fn set_up() -> Result<Self, String> {
        let wine = Self { prefix: target_folder().join("wineprefix") };
        let system = wine.prefix.join("drive_c/windows/system32");
        if !system.join("kernel32.dll").exists() {
            fs::create_dir_all(&wine.prefix).map_err(|error| error.to_string())?;
            // It talks at length of what a machine without a screen lacks; what counts is what it has made.
            shell::run(wine.command(WINE).args(["wineboot", "-i"]).stdout(Stdio::null()).stderr(Stdio::null()))?;
        }
        let shim = shell::root().join("xtask/wine-shim/bcryptprimitives.c");
        let library = system.join("bcryptprimitives.dll");
        shell::run(
            Command::new(MINGW_GCC).args(["-shared", "-Os", "-s", "-o"]).arg(library).arg(shim).arg("-ladvapi32"),
        )?;
        wine.lend(&wine.prefix.join("dosdevices/e:"), "drive-e")?;
        wine.lend(&wine.prefix.join("dosdevices/unc/ServerName/ShareName"), "share")?;
        Ok(wine)
    }

    /// Makes a folder the drive or the share that the product's example of AfterBackup names.
    fn lend(&self, link: &Path, folder: &str) -> Result<(), String> {
        let folder = target_folder().join(folder);
        for folder in [folder.as_path(), link.parent().unwrap_or(link)] {
            fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        shell::run(Command::new("ln").arg("-sfn").arg(folder).arg(link))
    }

    /// A command that works in this prefix and hears nothing of the calling Cargo.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let starts = |name: &str, list: &[&str]| list.iter().any(|start| name.starts_with(start));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if starts(&text, FOREIGN) && !starts(&text, KEPT) {
                command.env_remove(&name);
            }
        }
        command.env("WINEPREFIX", &self.prefix).env("WINEARCH", "win64").env("WINEDEBUG", "-all");
        // Wine offers to fetch the first two for programs that want a browser or .NET. The third may be a library of a program's own, as the
        // stand-in is for the tests that put it beside the program; the system's is Wine's all the same.
        command.env("WINEDLLOVERRIDES", "mscoree,mshtml=;vssapi=n,b");
        command
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        // Nothing is left to end where that fails.
        drop(self.command("/usr/bin/wineserver").arg("-k").stderr(Stdio::null()).status());
    }
}

/// Debian's Cargo with all that makes it build for Windows, in the repository's root.
fn cargo(wine: &Wine) -> Command {
    let mut command = wine.command(CARGO);
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian's cargo-clippy and clippy-driver before rustup's of the same names.
    let path = std::iter::once(PathBuf::from("/usr/bin")).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(path).unwrap_or_default());
    command.env("RUSTC", RUSTC).env("RUSTDOC", "/usr/bin/rustdoc");
    // Lets a stable compiler build the standard library. Only here: build scripts of crates look for it and change what they build.
    command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort");
    command.env("CARGO_BUILD_TARGET", TARGET).env("CARGO_TARGET_DIR", target_folder());
    command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", WINE);
    // A snapshot that differs is told, and nothing is written beside the sources.
    command.env("INSTA_UPDATE", "no");
    command.env(STAND_IN, format!("Z:{}", stand_in().display()));
    // With debug information every program is tens of megabytes.
    command.env("CARGO_PROFILE_DEV_DEBUG", "0");
    command.current_dir(shell::root());
    command
}

fn stand_in() -> PathBuf {
    target_folder().join("fake/vssapi.dll")
}

/// Builds the stand-in, unless it is newer than its source.
fn build_stand_in() -> Result<(), String> {
    let folder = shell::root().join("crates/vss/src/windows/fake");
    let sources = ["vssapi.cpp", "vssapi.def", "coordinator.h"].map(|name| folder.join(name));
    let library = stand_in();
    let changed = |path: &PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    if sources.iter().all(|source| changed(&library).is_some_and(|built| changed(source) < Some(built))) {
        return Ok(());
    }
    fs::create_dir_all(target_folder().join("fake")).map_err(|error| error.to_string())?;
    let mut compiler = Command::new(MINGW_GXX);
    compiler.args(["-std=c++17", "-O1", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"]);
    compiler.args(["-shared", "-static", "-s", "-o"]).arg(library).args(&sources[..2]);
    shell::run(compiler.args(["-loleaut32", "-lole32", "-luuid"]))
}

fn target_folder() -> PathBuf {
    Path::new(&shell::root()).join("target/windows")
}
