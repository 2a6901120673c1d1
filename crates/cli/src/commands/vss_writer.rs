//! `vss-writer`: the site as a writer of Windows' Volume Shadow Copy Service, for other backup programs.

#[cfg(windows)]
mod site;
#[cfg(not(windows))]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(not(windows))]
pub(super) use unix::run;
#[cfg(all(windows, test))]
pub(super) use windows::host;
#[cfg(windows)]
pub(super) use windows::run;
