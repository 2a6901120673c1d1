//! PostgreSQL by its own protocol: one exported snapshot for all connections, rows by COPY in both directions.

mod address;
mod catalog;
mod origin;
mod server_error;
mod session;
mod target;
mod wire;

pub(crate) use address::PostgresAddress;
pub(crate) use origin::origin;
pub(crate) use target::target;
