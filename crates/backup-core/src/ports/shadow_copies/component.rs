//! Components of writers that are the system's own: what they own becomes a part of the image.

use std::fmt;

use uuid::Uuid;

use crate::path::SitePath;

/// A component of one of the system's writers that is to be backed up as such: its files are in the image, and its writer sees to their moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedComponent {
    /// The writer's class.
    pub writer: Uuid,
    /// The writer's name, for people.
    pub writer_name: String,
    /// Where the component stands in the writer's tree. Case does not count, nor does it in the name.
    pub logical_path: String,
    /// Its name.
    pub name: String,
    /// Files that its writer has to name, for it is known that they belong to it. Without one of them it is refused: it would be torn.
    pub known: Vec<SitePath>,
    /// What a person can do where it is not offered.
    pub remedy: String,
}

impl fmt::Display for WantedComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\\{}", self.logical_path, self.name)
    }
}

/// A file of a component on an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagedFile {
    /// Where it is on the site's volumes.
    pub original: SitePath,
    /// Where it is read until the set is released.
    pub place: SitePath,
}
