//! PostgreSQL by its own protocol: one exported snapshot for all connections, rows by COPY in both directions.
//! Where that cannot be (a server that asks for TLS), rows come and go through the ODBC driver.

mod address;
mod catalog;
mod code;
mod driver;
mod not_covered;
mod origin;
mod server;
mod server_error;
mod session;
mod tables;
mod target;
mod wire;

pub(crate) use address::PostgresAddress;
pub(crate) use driver::{origin as odbc_origin, refusal, target as odbc_target};
pub(crate) use origin::origin;
pub(crate) use server::{inspect, odbc_inspect, odbc_server, server};
pub(crate) use target::target;
