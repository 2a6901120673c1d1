//! The shadow copy session, in process, and its providers.
