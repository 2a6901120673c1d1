//! The site.toml that backs the sample site up.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::{SITE_CODE, SampleSite, SampleSiteOptions, WINDOWS_INSTALL_DIR};
use crate::workload::ServiceName;

/// How long one stop or start of a service may take.
pub const SERVICE_LIMIT: Duration = Duration::from_secs(60);

/// Writes site.toml beside the site.
pub(super) fn build(site: &SampleSite, options: &SampleSiteOptions) -> io::Result<()> {
    fs::write(site.site_toml(), text(site, options)?)
}

fn text(site: &SampleSite, options: &SampleSiteOptions) -> io::Result<String> {
    let install_dir = quoted(&site.install_dir())?;
    let registry = quoted(&site.registry_file())?;
    Ok(format!(
        r#"version = 1
state-dir = {state_dir}

[site]
code = "{SITE_CODE}"
kind = "primary"
install-dir = {install_dir}

[paths]
'{WINDOWS_INSTALL_DIR}' = {install_dir}

[database]
{database}

[registry]
"HKLM\\SOFTWARE\\Microsoft\\SMS" = {{ reg = {registry} }}
"HKLM\\SOFTWARE\\Microsoft\\NAL" = {{ reg = {registry} }}

[services]
manager = "commands"
{services}
[task]
enabled = true
destination = {{ local = {destination} }}
days = ["sun", "wed"]
begin = "02:00"
latest-begin = "05:00"
time-zone = "utc"
session-lock = {session_lock}
{task}"#,
        state_dir = quoted(&site.state_dir())?,
        database = database(site, options)?,
        destination = quoted(&site.destination())?,
        services = services(site, options)?,
        // Sites of tests that run side by side have nothing to do with each other.
        session_lock = quoted(&site.state_dir().join("session.lock"))?,
        task = options.task,
    ))
}

fn database(site: &SampleSite, options: &SampleSiteOptions) -> io::Result<String> {
    match &options.served {
        Some(served) => Ok(served.toml.clone()),
        None => Ok(format!("kind = \"sqlite\"\npath = {}", quoted(&site.database())?)),
    }
}

fn services(site: &SampleSite, options: &SampleSiteOptions) -> io::Result<String> {
    let program = quoted(&options.workload)?;
    let dir = quoted(site.dir())?;
    let mut text = String::new();
    for name in ServiceName::IN_STOP_ORDER {
        let command = |verb: &str| format!("[{program}, \"service\", \"{verb}\", \"{name}\", \"--site\", {dir}");
        let (stop, start, state) = (command("stop"), command("start"), command("state"));
        let extra_files = match options.extra_files {
            0 => String::new(),
            n_files => format!(", \"--extra-files\", \"{n_files}\""),
        };
        text.push_str(&format!(
            "{name} = {{ stop = {stop}], start = {start}{extra_files}], state = {state}], timeout = \"{}s\" }}\n",
            SERVICE_LIMIT.as_secs()
        ));
    }
    Ok(text)
}

/// A TOML basic string; JSON escapes the same characters the same way.
fn quoted(path: &Path) -> io::Result<String> {
    let text = path.to_str().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` cannot stand in a TOML file", path.display()))
    })?;
    serde_json::to_string(text).map_err(io::Error::other)
}
