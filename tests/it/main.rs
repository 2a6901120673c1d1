//! The one integration binary.

mod consistency;
mod holes;
mod kills;
mod site;
mod workload;
