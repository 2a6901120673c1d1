//! Real database servers on loopback, each in a scratch folder of its own, ended by its process id.
//!
//! A server that cannot be started fails the test and names the package that brings it.

mod mariadb;
mod postgres;
mod process;

pub use mariadb::MariaDb;
pub use postgres::Postgres;
