//! The requestor against a `vssapi.dll` that does what a script tells it, and logs what it hears.

mod failures;
mod order;
mod stand_in;
