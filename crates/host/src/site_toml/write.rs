//! A new `site.toml`, ready to be edited, and the copy of one that a snapshot keeps.

use std::fmt::Write;

use backup_core::path::SitePath;
use backup_core::ports::registry::RegistryKey;
use backup_core::site::SiteCode;
use toml::Value;
use toml::de::DeTable;

/// What is known of a site that gets its first configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSite {
    /// The site code.
    pub code: SiteCode,
    /// What to back up.
    pub files: NewFiles,
    /// The database, where there is one.
    pub database: Option<NewDatabase>,
    /// Registry roots and the `.reg` files that hold them.
    pub registry: Vec<(RegistryKey, SitePath)>,
    /// Where snapshots go: a folder of this machine, or a path `\\server\share\folder`.
    pub destination: SitePath,
}

/// Which files a new site has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewFiles {
    /// These files and folders.
    Include(Vec<SitePath>),
    /// What the control file of an installation names.
    Installation {
        /// The installation folder.
        install_dir: SitePath,
        /// The control file, where it is not in its usual place.
        control_file: Option<SitePath>,
    },
}

/// Which database a new site has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewDatabase {
    /// An SQLite database file.
    Sqlite(SitePath),
}

/// A path that TOML cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not Unicode, so it cannot be written into a site.toml: give the folder above it")]
pub struct NotUnicode(pub SitePath);

const SERVICES: &str = r#"
[services]                             # all that writes to the site stops in this order; a control file has its own
manager = "commands"
# MY_APP = { stop = ["systemctl", "stop", "my-app"], start = ["systemctl", "start", "my-app"], state = ["systemctl", "is-active", "-q", "my-app"], timeout = "60s" }
"#;

const TASK_REST: &str = r#"days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
begin = "02:00"
latest-begin = "05:00"
time-zone = "local"                    # local, utc, or a name such as "Europe/Berlin"
# shadow-copy = "auto"                 auto or pre-copy
# alert-on-failure = true              runs the command of [alerts]
# after-backup = { timeout = "1h", success = "0" }     for an executable AfterBackup beside this file; "0-7" for robocopy

# [alerts]
# command = ["/usr/local/bin/tell-the-admin", "the backup has failed"]
"#;

/// The text of a configuration that [`parse`](super::parse) reads, with comments that show what else can be said.
///
/// # Errors
/// [`NotUnicode`] names the first path that TOML cannot hold.
pub fn to_toml(site: &NewSite) -> Result<String, NotUnicode> {
    let mut text = String::from(
        "# The configuration of sitebackup for one site. Relative paths start at this file's folder.\nversion = 1\n",
    );
    text.push_str("# state-dir = \"state\"                   journal, status messages and locks\n\n[site]\n");
    line(&mut text, "code", &Value::from(site.code.as_str()));
    text.push_str("kind = \"primary\"                       # primary, central-administration\n");
    text.push_str("# parent = \"CAS\"                       makes it a child primary site\n");
    files(&mut text, &site.files)?;
    if let Some(NewDatabase::Sqlite(file)) = &site.database {
        text.push_str("\n[database]\nkind = \"sqlite\"\n");
        line(&mut text, "path", &path(file)?);
    }
    if !site.registry.is_empty() {
        text.push_str("\n[registry]\n");
    }
    for (key, file) in &site.registry {
        let _never_fails = writeln!(text, "{} = {{ reg = {} }}", Value::from(key.as_str()), path(file)?);
    }
    text.push_str(SERVICES);
    let option = if site.destination.to_bytes().starts_with(b"\\\\") { "network" } else { "local" };
    let _never_fails = write!(text, "\n[task]\ndestination = {{ {option} = {} }}\n", path(&site.destination)?);
    text.push_str(TASK_REST);
    Ok(text)
}

fn files(text: &mut String, files: &NewFiles) -> Result<(), NotUnicode> {
    match files {
        NewFiles::Include(include) => {
            let include = include.iter().map(path).collect::<Result<Vec<_>, _>>()?;
            text.push_str("\n[files]\n");
            line(text, "include", &Value::Array(include));
            text.push_str("# exclude = [\"**/*.tmp\"]\n");
        }
        NewFiles::Installation { install_dir, control_file } => {
            line(text, "install-dir", &path(install_dir)?);
            if let Some(control_file) = control_file {
                line(text, "control-file", &path(control_file)?);
            }
            text.push_str(
                "\n# [paths]                              where the control file's Windows paths lie on this machine\n",
            );
            text.push_str("# 'C:\\Program Files\\Microsoft Configuration Manager' = \"/srv/configmgr\"\n");
        }
    }
    Ok(())
}

fn line(text: &mut String, key: &str, value: &Value) {
    let _never_fails = writeln!(text, "{key} = {value}");
}

fn path(path: &SitePath) -> Result<Value, NotUnicode> {
    String::from_utf8(path.to_bytes()).map(Value::from).map_err(|_| NotUnicode(path.clone()))
}

/// The text as each snapshot keeps it: without what could be a secret.
///
/// A `site.toml` holds no passwords by design. Only the arguments of the alert command, which may hold a token or an address, become
/// `***`; everything else stays byte for byte, comments too. A text that is no TOML is kept out as a whole.
pub fn without_secrets(text: &str) -> String {
    let Ok(document) = DeTable::parse(text) else {
        return "# The configuration could not be read, so it is not kept here.\n".to_owned();
    };
    let command = document.get_ref().get("alerts").and_then(|alerts| alerts.get_ref().get("command"));
    let arguments = command.and_then(|command| command.get_ref().as_array()).into_iter().flatten().skip(1);
    let mut kept = String::new();
    let mut copied = 0;
    for argument in arguments {
        let span = argument.span();
        kept.push_str(&text[copied..span.start]);
        kept.push_str("\"***\"");
        copied = span.end;
    }
    kept.push_str(&text[copied..]);
    kept
}
