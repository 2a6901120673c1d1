//! The install folder: what the backup task's control file covers.

use std::fs;
use std::io;
use std::path::Path;

use super::fill::{Fill, sizes, write_content, write_file};
use super::{COUNTER_FILE, COUNTER_LOG, SITE_CODE, SITE_SERVER, SampleSite, SampleSiteOptions, VERSION, control_file};
use crate::prng::Prng;

/// Thousandths of the site's bytes that are in the database; the groups below share the rest.
pub(super) const DATABASE_SHARE: u64 = 100;

struct Group {
    folder: &'static str,
    /// Thousandths of the files and of the bytes.
    files: u64,
    bytes: u64,
    folders: &'static [&'static str],
    extensions: &'static [(&'static str, Fill)],
}

const GROUPS: &[Group] = &[
    Group {
        folder: "inboxes",
        files: 560,
        bytes: 160,
        folders: INBOXES,
        extensions: &[
            ("MIF", Fill::Xml),
            ("SVF", Fill::Program),
            ("DDR", Fill::Xml),
            ("SMX", Fill::Xml),
            ("CCR", Fill::Packed),
        ],
    },
    Group {
        folder: "Logs",
        files: 25,
        bytes: 220,
        folders: &[""],
        extensions: &[("log", Fill::Log), ("lo_", Fill::Log)],
    },
    Group {
        folder: "data",
        files: 110,
        bytes: 80,
        folders: &["hinvarchive", "definitions", "BoundaryGroups", "SqmData"],
        extensions: &[("bin", Fill::Packed), ("xml", Fill::Xml)],
    },
    Group { folder: "srvacct", files: 5, bytes: 1, folders: &[""], extensions: &[("key", Fill::Packed)] },
    Group {
        folder: "CD.Latest",
        files: 300,
        bytes: 439,
        folders: SETUP_FOLDERS,
        extensions: &[
            ("dll", Fill::Program),
            ("cab", Fill::Packed),
            ("xml", Fill::Xml),
            ("msi", Fill::Packed),
            ("exe", Fill::Program),
        ],
    },
];

const INBOXES: &[&str] = &[
    "auth/dataldr.box",
    "auth/ddm.box",
    "auth/sinv.box",
    "auth/statesys.box/incoming",
    "bgb.box",
    "ccr.box",
    "certmgr.box",
    "clifiles.src/i386",
    "COLLEVAL.box",
    "compmon.box",
    "compsumm.box/repl",
    "dataldr.box",
    "despoolr.box/receive",
    "distmgr.box/INCOMING",
    "hman.box/pubkey",
    "inventry.box",
    "notictrl.box",
    "objmgr.box",
    "offerinf.box",
    "OfferMgr.box",
    "policypv.box",
    "rcm.box",
    "replmgr.box/outbound/normal",
    "schedule.box/outboxes/LAN",
    "sitestat.box",
    "statmgr.box/statmsgs",
    "swmproc.box/usage",
    "wsyncmgr.box",
];

const SETUP_FOLDERS: &[&str] = &[
    "SMSSETUP/BIN/X64",
    "SMSSETUP/BIN/I386",
    "SMSSETUP/CLIENT/X64",
    "SMSSETUP/OSD/bin/x64",
    "SMSSETUP/TOOLS/CMUpdateReset",
    "SMSSETUP/LANGPACK/ENU",
    "redist",
    "redist/languagepack",
];

/// Fills the install folder.
pub(super) fn build(site: &SampleSite, options: &SampleSiteOptions, prng: &Prng) -> io::Result<()> {
    let install_dir = site.install_dir();
    for group in GROUPS {
        build_group(&install_dir, group, options, &mut prng.fork(group.folder))?;
    }
    build_fixed(&install_dir, &mut prng.fork("fixed"))?;
    let control_file = control_file::text(options.start_sleep);
    write_content(&site.control_file(), control_file.as_bytes(), &mut prng.fork("control file"))
}

fn build_group(install_dir: &Path, group: &Group, options: &SampleSiteOptions, prng: &mut Prng) -> io::Result<()> {
    let n_files = (u64::from(options.size.files) * group.files / 1000).max(3) as u32;
    let n_bytes = options.size.bytes * group.bytes / 1000;
    let root = install_dir.join(group.folder);
    for folder in group.folders {
        fs::create_dir_all(root.join(folder))?;
    }
    for (index, size) in sizes(n_bytes, n_files, prng).into_iter().enumerate() {
        let folder = group.folders[index % group.folders.len()];
        let (extension, fill) = group.extensions[prng.below(group.extensions.len() as u64) as usize];
        let name = format!("{}{index:05}.{extension}", stem(group.folder, prng));
        write_file(&root.join(folder).join(name), fill, size, prng)?;
    }
    Ok(())
}

fn stem(folder: &str, prng: &mut Prng) -> String {
    const LOGS: [&str; 6] = ["smsexec-", "sitecomp-", "hman-", "distmgr-", "dataldr-", "statesys-"];
    match folder {
        "Logs" => LOGS[prng.below(6) as usize].to_owned(),
        "inboxes" => format!("{:08X}_", prng.next_u64() >> 32),
        _ => String::new(),
    }
}

/// Files that the product always has and that something looks for by name.
fn build_fixed(install_dir: &Path, prng: &mut Prng) -> io::Result<()> {
    let version = format!("[Version]\r\nFullVersion={VERSION}\r\nBuild=9122\r\nCDVersion=1\r\n");
    let identity = format!("SITE_CODE={SITE_CODE}\r\nSITE_SERVER={SITE_SERVER}\r\nFULL_VERSION={VERSION}\r\n");
    let fixed: &[(&str, &[u8])] = &[
        ("CD.Latest/SMSSETUP/version.ini", version.as_bytes()),
        ("CD.Latest/splash.hta", b"<html><body>Configuration Manager Setup</body></html>\r\n"),
        ("CD.Latest/SMSSETUP/BIN/X64/setup.exe", b"MZ not a program"),
        ("inboxes/sitectrl.box/sitectrl.ct0", identity.as_bytes()),
        ("Logs/empty.log", b""),
        (COUNTER_FILE, b"number=00000000000000000000\r\n"),
        (COUNTER_LOG, b"number=0~  $$<SMS_EXECUTIVE>\r\n"),
    ];
    for (path, content) in fixed {
        write_content(&install_dir.join(path), content, prng)?;
    }
    Ok(())
}
