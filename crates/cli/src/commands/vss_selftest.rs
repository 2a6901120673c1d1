//! `vss-selftest`: one backup through Windows' Volume Shadow Copy Service that keeps nothing, call by call.

#[cfg(windows)]
mod report;
#[cfg(not(windows))]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(not(windows))]
pub(super) use unix::run;
#[cfg(all(windows, test))]
pub(super) use windows::judge;
#[cfg(windows)]
pub(super) use windows::run;
