//! The domain, the ports and the use cases of sitebackup.
