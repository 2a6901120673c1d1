//! The requestor against a `vssapi.dll` that does what a script tells it, and logs what it hears.

mod failures;
mod order;
mod restore;
mod self_test;
mod sql_server;
mod stand_in;
mod writer;
