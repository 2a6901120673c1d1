//! What the product's registry keys say of its site.
//!
//! `Identification`, `Setup` and `SQL Server` below `HKLM\SOFTWARE\Microsoft\SMS` are read by many published scripts, and so are
//! the numbers of `Type`; no page of the vendor promises them.

use std::path::Path;

use backup_core::copy::chain;
use backup_core::path::SitePath;
use backup_core::ports::registry::RegistryKey;
use backup_core::site::{SiteCode, SiteKind};
use registry::{Key, KeyPath, Value};

use crate::error::CommandError;
use crate::exit::Exit;

/// The product's key, and where it is in a hive of `SOFTWARE`.
const SMS: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS";
const IN_SOFTWARE: &str = r"Microsoft\SMS";

/// A site as its own registry describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProductSite {
    pub(super) code: SiteCode,
    pub(super) kind: SiteKind,
    pub(super) install_dir: Option<SitePath>,
    /// The server with the site database, and its name there.
    pub(super) database: Option<(String, String)>,
    /// The site server.
    pub(super) site_server: Option<String>,
    /// The site's version.
    pub(super) version: Option<String>,
}

/// Reads the keys from a file, or else from the registry of this machine.
pub(super) fn read(file: Option<&Path>) -> Result<ProductSite, CommandError> {
    let Some(file) = file else { return live() };
    let read = registry::read_key_file(file, &KeyPath::default(), false);
    let read = read.map_err(|error| CommandError::new(Exit::REGISTRY, error))?;
    let found = [SMS, IN_SOFTWARE].into_iter().find_map(|path| read.root.get(&path.parse().expect("a path of a key")));
    site(found.unwrap_or(&read.root)).map_err(|error| {
        let hint = format!("`{}` must hold the key `{SMS}`, as a file of the product's backup does", file.display());
        CommandError::usage(error).hint(hint)
    })
}

/// Whether a key is the one that tells of the site.
pub(super) fn is_key(key: &RegistryKey) -> bool {
    *key == RegistryKey::new(SMS)
}

/// Reads an export of that key.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read_export(export: &[u8]) -> Result<ProductSite, String> {
    let key = SMS.parse().expect("a path of a key");
    site(&registry::read_export(&key, export).map_err(|error| chain(&error))?)
}

#[cfg(windows)]
fn live() -> Result<ProductSite, CommandError> {
    let sms = registry::LiveKeys::new().read(&SMS.parse().expect("a path of a key"));
    let sms = sms.map_err(|error| CommandError::new(Exit::REGISTRY, error))?;
    site(&sms).map_err(|error| CommandError::usage(error).hint("name a file: --from-registry SMSbkSiteRegSMS.dat"))
}

#[cfg(not(windows))]
fn live() -> Result<ProductSite, CommandError> {
    let message = "this machine has no registry";
    Err(CommandError::usage(message).hint("name a hive or a .reg file: --from-registry SMSbkSiteRegSMS.dat"))
}

fn site(sms: &Key) -> Result<ProductSite, String> {
    let text = |path: &str, name: &str| {
        let key = sms.get(&path.parse().expect("a path of a key"))?;
        key.value(name).and_then(Value::as_string).filter(|text| !text.is_empty())
    };
    let code = text("Identification", "Site Code").or_else(|| text("Setup", "Site Code"));
    let code = code.ok_or("the registry names no site code")?;
    let code = code.parse::<SiteCode>().map_err(|error| error.to_string())?;
    let install_dir =
        text("Setup", "Installation Directory").or_else(|| text("Identification", "Installation Directory"));
    let account = r"SQL Server\Site System SQL Account";
    let of_database = |name: &str| text("SQL Server", name).or_else(|| text(account, name));
    Ok(ProductSite {
        kind: kind(sms, &code, text("Identification", "Parent Site Code").as_deref())?,
        code,
        install_dir: install_dir.and_then(|path| SitePath::parse(path).ok()),
        database: of_database("Server").zip(of_database("Database Name")),
        site_server: text("Identification", "Site Server"),
        version: text("Setup", "Full Version"),
    })
}

fn kind(sms: &Key, code: &SiteCode, parent: Option<&str>) -> Result<SiteKind, String> {
    let setup = sms.get(&"Setup".parse().expect("a path of a key"));
    match setup.and_then(|setup| setup.value("Type")).and_then(Value::as_dword) {
        Some(2) => Ok(SiteKind::Secondary),
        Some(8) => Ok(SiteKind::CentralAdministration),
        Some(1) | None => {
            let parent =
                parent.map(|parent| parent.parse::<SiteCode>().map_err(|error| error.to_string())).transpose()?;
            Ok(SiteKind::Primary { parent: parent.filter(|parent| parent != code) })
        }
        Some(other) => Err(format!("the registry gives the site the type {other}, which this program does not know")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[(&str, &str, Value)], expect: &str) {
        let mut sms = Key::default();
        for (key, name, value) in values {
            sms.create(&key.parse().expect("a path")).set_value(*name, value.clone());
        }
        let shown = match site(&sms) {
            Ok(site) => {
                let folder = site.install_dir.map(|path| path.to_string());
                format!("{} {:?} {folder:?} {:?}", site.code, site.kind, site.database)
            }
            Err(error) => error,
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn the_keys_describe_the_site() {
        let text = Value::string;
        check(
            &[
                ("Identification", "Site Code", text("P01")),
                ("Identification", "Parent Site Code", text("CAS")),
                ("Setup", "Type", Value::dword(1)),
                ("Setup", "Installation Directory", text(r"D:\ConfigMgr")),
                ("SQL Server", "Server", text("SQL1.corp.example")),
                ("SQL Server", "Database Name", text(r"INST\CM_P01")),
            ],
            r#"P01 Primary { parent: Some(SiteCode("CAS")) } Some("D:\\ConfigMgr") Some(("SQL1.corp.example", "INST\\CM_P01"))"#,
        );
        let code = |code: &str| ("Identification", "Site Code", text(code));
        check(
            &[code("CAS"), ("Setup", "Type", Value::dword(8)), ("Identification", "Parent Site Code", text(""))],
            "CAS CentralAdministration None None",
        );
        check(&[code("S01"), ("Setup", "Type", Value::dword(2))], "S01 Secondary None None");
        check(&[code("P01")], "P01 Primary { parent: None } None None");
        check(
            &[code("P01"), ("Setup", "Type", Value::dword(7))],
            "the registry gives the site the type 7, which this program does not know",
        );
        check(&[], "the registry names no site code");
    }
}
