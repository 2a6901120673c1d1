//! Package sources, and the content library that holds each of their files once, by hash.
//!
//! The product's hash is SHA-256; here it is BLAKE3, which has the same length and which this crate has anyway.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::SampleSite;
use super::fill::write_content;
use crate::prng::Prng;

/// A package as the database knows it.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) source: String,
}

const PACKAGES: [(&str, &str); 4] = [
    ("P0100001", "Configuration Manager Client Package"),
    ("P0100002", "Arbeitsplatz Grundausstattung"),
    ("P0100003", "7-Zip 24.08"),
    ("P0100004", "Drivers for laptops"),
];

/// Writes `Sources` and `SCCMContentLib`; returns what the database must list.
pub(super) fn build(site: &SampleSite, prng: &Prng) -> io::Result<Vec<Package>> {
    let mut prng = prng.fork("content");
    let root = site.site_dir();
    // One file is in every package, so that the library holds fewer files than the sources.
    let shared = prng.bytes(20_000);
    let mut users: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (id, _) in PACKAGES {
        let mut files = vec![("install.cmd".to_owned(), shared.clone())];
        for index in 0..3 {
            let len = 10_000 + prng.below(60_000) as usize;
            files.push((format!("payload{index}.cab"), prng.bytes(len)));
        }
        write_package(&root, id, &files, &mut prng)?;
        for (_, content) in &files {
            users.entry(hash_name(content)).or_default().push(id);
        }
    }
    write_users(&root, &users, &mut prng)?;
    Ok(PACKAGES.iter().map(|(id, name)| package(id, name)).collect())
}

fn package(id: &str, name: &str) -> Package {
    Package { id: id.to_owned(), name: name.to_owned(), source: format!(r"\\CM01\Sources\{id}") }
}

/// The name of a content in the library.
pub(crate) fn hash_name(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_uppercase()
}

/// Writes a package's sources, and what the library has of it under `root`.
pub(crate) fn write_package(root: &Path, id: &str, files: &[(String, Vec<u8>)], prng: &mut Prng) -> io::Result<()> {
    let library = root.join("SCCMContentLib");
    let content_id = format!("{id}.1");
    let list = format!("[Packages]\r\n{content_id}=\r\n");
    write_content(&library.join("PkgLib").join(format!("{id}.INI")), list.as_bytes(), prng)?;
    let head = format!("[Content]\r\nID={content_id}\r\n");
    write_content(&library.join("DataLib").join(format!("{content_id}.INI")), head.as_bytes(), prng)?;
    for (name, content) in files {
        let hash = hash_name(content);
        write_content(&root.join("Sources").join(id).join(name), content, prng)?;
        let entry = format!("[File]\r\nSize={}\r\nHash={hash}\r\n", content.len());
        write_content(&library.join("DataLib").join(&content_id).join(format!("{name}.INI")), entry.as_bytes(), prng)?;
        write_content(&library.join("FileLib").join(&hash[..4]).join(&hash), content, prng)?;
    }
    Ok(())
}

/// Writes beside each content of the library which packages need it.
pub(crate) fn write_users(root: &Path, users: &BTreeMap<String, Vec<&str>>, prng: &mut Prng) -> io::Result<()> {
    for (hash, packages) in users {
        let lines: String = packages.iter().map(|id| format!("{id}=\r\n")).collect();
        let path = root.join("SCCMContentLib/FileLib").join(&hash[..4]).join(format!("{hash}.INI"));
        write_content(&path, format!("[Users]\r\n{lines}").as_bytes(), prng)?;
    }
    Ok(())
}
