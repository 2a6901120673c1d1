//! The words of a writer metadata document. Those that no real document showed stay as they are.

use backup_core::ports::shadow_copies::{DataSource, RestoreWay, WriterRestore, WriterUsage};

/// What a document has a word for.
pub(super) trait Word: Sized {
    fn word(&self) -> &str;
    fn of(word: &str) -> Self;
}

/// Says each word once, for reading and for writing.
macro_rules! words {
    ($($kind:ident { $($variant:ident = $word:literal),+ $(,)? })+) => {$(
        impl Word for $kind {
            fn word(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Unknown(word) => word,
                }
            }

            fn of(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    word => Self::Unknown(word.to_owned()),
                }
            }
        }
    )+};
}

words! {
    WriterUsage {
        BootableSystemState = "BOOTABLE_SYSTEM_STATE",
        SystemService = "SYSTEM_SERVICE",
        UserData = "USER_DATA",
    }
    DataSource { TransactionDatabase = "TRANSACTION_DB", Other = "OTHER" }
    RestoreWay {
        IfReplaceable = "RESTORE_IF_CAN_BE_REPLACED",
        AtReboot = "REPLACE_AT_REBOOT",
        AtRebootIfNotReplaceable = "REPLACE_AT_REBOOT_IF_CANNOT_REPLACE",
    }
    WriterRestore { Never = "never", Always = "always" }
}
