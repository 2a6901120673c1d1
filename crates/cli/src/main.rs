//! The sitebackup program.
fn main() {}
