//! Turns a hive into `.reg` text, and `.reg` text into a hive:
//! `cargo run -p registry --example convert -- SMSbkSiteRegSMS.dat 'HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS' sms.reg`
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::error::Error;
use std::fs;

use registry::{Encoding, Key, KeyPath, reg_text, regf};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [from, key, to] = args.as_slice() else {
        return Err("usage: convert FROM KEY TO".into());
    };
    let (bytes, key): (_, KeyPath) = (fs::read(from)?, key.parse()?);
    let (root, converted) = if regf::is_hive(&bytes) {
        let root = lenient(&bytes)?;
        let text = reg_text::write(&root, &key, Encoding::Utf16Le)?;
        (root, text)
    } else {
        let root = reg_text::read(&bytes)?.into_tree().remove(&key).ok_or("the text does not hold the key")?;
        let hive = regf::write(&root, &regf::Header::default())?;
        (root, hive)
    };
    fs::write(to, converted)?;
    println!("{} keys", root.count());
    Ok(())
}

/// Reads what there is, and tells what there is not.
fn lenient(bytes: &[u8]) -> Result<Key, regf::Fault> {
    let (hive, losses) = regf::salvage(bytes)?;
    losses.faults.iter().for_each(|fault| println!("lost: {fault}"));
    Ok(hive.root)
}
