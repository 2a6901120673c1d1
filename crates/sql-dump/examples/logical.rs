//! `logical dump ADDRESS FOLDER [plain] [CONNECTIONS]`, `logical restore FOLDER ADDRESS`, `logical verify FOLDER`: the library as a program.
#![expect(clippy::print_stdout, reason = "its result goes to standard output")]

use std::error::Error;

use backup_core::cancel::Cancel;
use sql_dump::logical::{Address, Compression, DumpOptions, FolderDump, RestoreOptions, dump, restore, verify};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["dump", address, folder, ref how @ ..] => {
            let mut options = DumpOptions::default();
            if how.contains(&"plain") {
                options.compression = Compression::None;
            }
            if let Some(connections) = how.iter().find_map(|word| word.parse().ok()) {
                options.connections = connections;
            }
            let report = dump(&Address::parse(address)?, &FolderDump::new(folder), &options)?;
            let rows: u64 = report.manifest.tables.iter().map(|table| table.rows).sum();
            println!("{} tables, {rows} rows; {}", report.manifest.tables.len(), report.manifest.moment.pinned_by);
            report.not_covered.iter().for_each(|line| println!("not in the dump: {line}"));
            report.left_behind.iter().for_each(|line| println!("left on the server: {line}"));
        }
        ["restore", folder, address] => {
            let report = restore(&FolderDump::new(folder), &Address::parse(address)?, &RestoreOptions::default())?;
            println!("{} rows, {} chunks were in before", report.rows, report.chunks_before);
        }
        ["verify", folder] => {
            let manifest = verify(&FolderDump::new(folder), &Cancel::default())?;
            println!("{} tables are whole", manifest.tables.len());
        }
        _ => {
            return Err(
                "logical dump ADDRESS FOLDER [plain] [CONNECTIONS] | restore FOLDER ADDRESS | verify FOLDER".into()
            );
        }
    }
    Ok(())
}
