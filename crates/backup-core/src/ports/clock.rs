//! Time, zones and ids, so that core reads no clock and has no entropy.

use std::fmt::Debug;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

/// Why a zone cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no time zone is named `{0}`")]
pub struct UnknownZone(pub String);

/// The machine's clock. All but the wait answer at once.
#[async_trait]
pub trait Clock: Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
    /// The machine's own time zone.
    fn local_zone(&self) -> TimeZone;
    /// The zone of an IANA name.
    ///
    /// # Errors
    /// [`UnknownZone`] where the machine's database does not hold it.
    fn zone(&self, name: &str) -> Result<TimeZone, UnknownZone>;
    /// A new id (UUIDv7); later ids sort after earlier ones.
    fn new_id(&self) -> Uuid;
    /// Returns at `moment` or a little later; at once when it has passed.
    async fn sleep_until(&self, moment: Timestamp);
}
