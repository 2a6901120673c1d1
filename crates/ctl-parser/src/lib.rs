//! Reads, checks, prints and lowers backup control files.
