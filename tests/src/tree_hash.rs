//! One hash over a folder: names, kinds, content, link targets and write protection. Times and owners are left out.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Hashes everything under `root` in an order that depends on names alone; equal trees give equal hashes.
pub fn tree_hash(root: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hash_folder(&mut hasher, root, Path::new(""))?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn hash_folder(hasher: &mut blake3::Hasher, root: &Path, relative: &Path) -> io::Result<()> {
    for path in sorted_entries(root, relative)? {
        let name = path.as_os_str().as_encoded_bytes();
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name);
        hash_entry(hasher, root, &path)?;
    }
    Ok(())
}

fn sorted_entries(root: &Path, relative: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(root.join(relative))?
        .map(|entry| Ok(relative.join(entry?.file_name())))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn hash_entry(hasher: &mut blake3::Hasher, root: &Path, relative: &Path) -> io::Result<()> {
    let path = root.join(relative);
    let metadata = path.symlink_metadata()?;
    if metadata.is_symlink() {
        hasher.update(b"l").update(fs::read_link(&path)?.as_os_str().as_encoded_bytes());
        Ok(())
    } else if metadata.is_dir() {
        hasher.update(b"d");
        hash_folder(hasher, root, relative)?;
        hasher.update(b"e");
        Ok(())
    } else {
        hasher.update(if metadata.permissions().readonly() { b"r" } else { b"f" });
        hasher.update(&metadata.len().to_le_bytes());
        hasher.update_reader(File::open(&path)?).map(drop)
    }
}
