//! The one integration binary.

mod workload;
