//! The fields of what `archive` answers.

use super::Fields;

/// As [`FIELDS`](super::FIELDS).
pub(super) const FIELDS: &[Fields] = &[
    (
        "archive init",
        &[
            ("repository", "where it is"),
            ("id", "its id"),
            ("keys[]", "the `id` of each key, and what it is `opened_by`: a passphrase or a recipient"),
        ],
    ),
    (
        "archive store",
        &[
            ("snapshot", "what was archived, as in `archive snapshots`"),
            ("repository", "where it is now"),
            ("damaged[]", "packs that cannot be read; what they held was stored anew where it was needed"),
        ],
    ),
    (
        "archive snapshots",
        &[
            ("snapshots[].id, snapshots[].short", "the snapshot's id, and its beginning"),
            ("snapshots[].site", "the site code"),
            ("snapshots[].run", "the run that made the folder, null where another program did"),
            ("snapshots[].folder", "the name that the folder had"),
            ("snapshots[].moment", "of what moment it is"),
            ("snapshots[].stored", "when it was archived"),
            ("snapshots[].good", "whether it is as consistent as was asked for"),
            ("snapshots[].pinned", "whether it is kept until it is unpinned"),
            ("snapshots[].entries, snapshots[].bytes", "what is in it"),
            ("snapshots[].added", "bytes that the repository grew by"),
            ("damaged[]", "snapshots that cannot be read, and why"),
        ],
    ),
    ("archive show", &[("snapshot", "as in `archive snapshots`")]),
    ("archive files", &[("files[]", "as in `files`")]),
    (
        "archive diff",
        &[
            ("changes[].change", "`added`, `removed`, `content` or `metadata`"),
            ("changes[].path", "the path in the snapshots"),
        ],
    ),
    (
        "archive restore",
        &[
            ("id", "the snapshot's id"),
            ("to", "the folder"),
            ("whole", "whether all that was asked for is there"),
            ("written", "entries written"),
            ("already", "entries that were right already"),
            ("bytes", "bytes written"),
        ],
    ),
    (
        "archive verify",
        &[
            ("whole[]", "the ids of snapshots of which nothing is missing"),
            ("broken[]", "the ids of those that cannot be restored whole"),
            ("packs", "packs read whole; 0 without --read-data"),
            ("bytes", "their bytes"),
        ],
    ),
    ("archive forget", &[("id", "the snapshot that is gone")]),
    (
        "archive expire",
        &[
            ("site", "the site code"),
            (
                "snapshots[].id, snapshots[].moment, snapshots[].good",
                "each snapshot of the site, as in `archive snapshots`",
            ),
            ("snapshots[].stays", "whether the policy keeps it"),
            ("snapshots[].reasons[]", "why it stays or goes"),
            ("forgotten[]", "the ids of those that are gone; none with --dry-run"),
            ("frees", "with --dry-run what a prune would free then, in fields of `archive prune`; else null"),
        ],
    ),
    ("archive pin", &[("id", "the snapshot")]),
    ("archive unpin", &[("id", "the snapshot")]),
    (
        "archive prune",
        &[
            ("dead_packs", "packs that no snapshot needs"),
            ("dead_bytes", "their bytes"),
            ("repacked", "packs of which more than an eighth is not needed"),
            ("repacked_bytes", "bytes of the packs to which that was copied"),
            ("kept", "packs of which snapshots need seven eighths or more"),
            ("deleted_bytes", "bytes that are free now"),
            ("waits_for[]", "leases for whose sake something stays, as in `archive leases`"),
        ],
    ),
    (
        "archive leases",
        &[
            ("leases[].id", "the lease"),
            ("leases[].purpose", "`store` or `prune`"),
            ("leases[].holder", "the process, its machine and since when, in its own words"),
        ],
    ),
    ("archive unlock", &[("id", "the lease that is gone")]),
    (
        "archive keys list",
        &[
            ("keys[].id", "the key"),
            ("keys[].holds", "`read`, which is everything, or `write`; null where it cannot be read"),
            ("keys[].recipient", "who can open it; null for whoever knows its passphrase"),
            ("keys[].label", "what was noted about it"),
        ],
    ),
    ("archive keys add", &[("id", "the new key")]),
    ("archive keys passphrase", &[("id", "the new key"), ("removed", "the old one")]),
    ("archive keys remove", &[("id", "the key that is gone")]),
    ("archive keys identity", &[("recipient", "to whom keys can be given now"), ("file", "the identity's file")]),
];
