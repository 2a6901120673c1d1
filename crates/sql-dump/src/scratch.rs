//! The names of databases that rehearsals make. Only such a database is ever dropped: its name is its marker.

const PREFIX: &str = "sitebackup_rehearsal_";

/// The longest name that every server keeps whole.
const LONGEST: usize = 63;

/// The name of a database for a rehearsal, made of the run's own name: letters, digits, `_` and `-`.
pub fn scratch_name(run: &str) -> String {
    format!("{PREFIX}{run}")
}

/// Whether a rehearsal may make and drop a database of this name.
pub(crate) fn is_scratch(database: &str) -> bool {
    let plain = |run: &str| run.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    database.len() <= LONGEST && database.strip_prefix(PREFIX).is_some_and(|run| !run.is_empty() && plain(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours() {
        for run in ["1", "01a2", "0192f3c4-5d6e-7f80-9a0b-1c2d3e4f5061", "A_b"] {
            assert!(is_scratch(&scratch_name(run)), "{run}");
        }
        for name in ["", "site", "sitebackup_rehearsal", "sitebackup_rehearsal_", "my sitebackup_rehearsal_1"] {
            assert!(!is_scratch(name), "{name}");
        }
        for run in ["a/../b", "a b", "a`b", "a.db", "ä", &"x".repeat(43)] {
            assert!(!is_scratch(&scratch_name(run)), "{run}");
        }
    }
}
