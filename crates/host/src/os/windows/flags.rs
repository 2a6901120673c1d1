//! What callers ask for, under POSIX's names.

macro_rules! flags {
    ($(#[$about:meta])* $name:ident { $($flag:ident = $value:expr),* $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $name(u32);

        #[allow(dead_code, reason = "the names are POSIX's, whether or not all are asked for on Windows")]
        impl $name {
            $(pub(crate) const $flag: Self = Self($value);)*

            pub(crate) const fn empty() -> Self {
                Self(0)
            }

            pub(crate) const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            pub(crate) const fn difference(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }

            pub(crate) const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }

        impl std::ops::BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                self.union(other)
            }
        }
    };
}

flags! {
    /// How a file is opened. Where Windows has no such thing (a terminal, a child that inherits) the flag says nothing.
    OFlags {
        RDONLY = 0, WRONLY = 1, RDWR = 2, CREATE = 4, EXCL = 8, DIRECTORY = 16, NOFOLLOW = 32, PATH = 64, TMPFILE = 128, LINK = 256,
        CLOEXEC = 0, NONBLOCK = 0, NOCTTY = 0, NOATIME = 0,
    }
}

flags! {
    /// How a name is looked up.
    AtFlags { SYMLINK_NOFOLLOW = 1, REMOVEDIR = 2, EMPTY_PATH = 4 }
}

flags! {
    /// Who may use what is made. Anybody but the owner: by the access rules of the folder that it lies in. Nobody else: by a rule of
    /// its own.
    Mode {
        RUSR = 0o400, WUSR = 0o200, RWXU = 0o700, RWXG = 0o070, RWXO = 0o007,
    }
}

flags! {
    /// What a rename may do to what has the new name.
    RenameFlags { NOREPLACE = 1, EXCHANGE = 2 }
}

flags! {
    /// How room in a file is given and taken.
    FallocateFlags { KEEP_SIZE = 1, PUNCH_HOLE = 2 }
}

impl Mode {
    /// Whether the owner alone may use it.
    pub(super) fn is_private(self) -> bool {
        self != Self::empty() && self.difference(Self::RWXU) == Self::empty()
    }
}
