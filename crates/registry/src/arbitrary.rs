//! Trees for property tests: every kind of name and value, mostly short and mostly odd.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::name::{KeyPath, Name};
use crate::tree::Key;
use crate::value::{Value, ValueType};

fn units() -> impl Strategy<Value = Vec<u16>> {
    let special = prop::sample::select("\"\\[]-;=@,:% \té😀İıß\u{feff}\u{2028}".chars().collect::<Vec<_>>());
    vec(prop_oneof![special, any::<char>()], 1..6)
        .prop_map(|chars| chars.into_iter().collect::<String>().encode_utf16().collect())
}

fn value_name() -> impl Strategy<Value = Name> {
    prop_oneof![Just(Vec::new()), units(), vec(prop::sample::select(vec![0u16, 0x0a, 0x0d, 0x61]), 1..4)]
        .prop_map(Name::from_iter)
}

fn key_name() -> impl Strategy<Value = Name> {
    units().prop_map(|units| {
        let kept = units.into_iter().filter(|unit| ![0, 0x0a, 0x0d, 0x5c].contains(unit));
        // The letter in front keeps the name from being empty and from looking like a deletion.
        [0x6b].into_iter().chain(kept).collect()
    })
}

fn value() -> impl Strategy<Value = Value> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..40),
        vec(any::<u8>(), 4),
        units().prop_map(|units| Value::terminated(units).data().to_vec()),
        vec(any::<u16>(), 0..5).prop_map(|units| Value::terminated(units).data().to_vec()),
    ];
    (prop_oneof![0u32..13, any::<u32>()], bytes).prop_map(|(kind, data)| Value::new(ValueType(kind), data))
}

pub(crate) fn tree() -> impl Strategy<Value = Key> {
    let key = (vec(key_name(), 1..5), vec((value_name(), value()), 0..5));
    vec(key, 0..6).prop_map(|keys| {
        let mut root = Key::default();
        for (names, values) in keys {
            let path = names.into_iter().try_fold(KeyPath::default(), KeyPath::child).unwrap();
            let key = root.create(&path);
            values.into_iter().for_each(|(name, value)| key.set_value(name, value));
        }
        root
    })
}

/// A tree with all that text cannot hold.
pub(crate) fn full_tree() -> impl Strategy<Value = Key> {
    let security = prop::sample::select(vec![Arc::from([1, 0]), Arc::from(vec![7; 300])]);
    let about = (option::of(value_name()), option::of(any::<u64>()), option::of(security));
    let more = (key_name(), about, vec((value_name(), long_value()), 0..2));
    (tree(), vec(more, 0..4)).prop_map(|(mut root, more)| {
        for (name, (class, time, security), values) in more {
            let key = root.create(&KeyPath::default().child(name).unwrap());
            key.set_class(class);
            key.set_last_write(time);
            key.set_security(security);
            values.into_iter().for_each(|(name, value)| key.set_value(name, value));
        }
        root
    })
}

/// Around the lengths at which data are stored in another way.
fn long_value() -> impl Strategy<Value = Value> {
    let length = prop_oneof![16_340usize..16_350, 32_680usize..32_700, 0usize..50_000];
    (any::<u32>(), length, any::<u8>()).prop_map(|(kind, length, byte)| Value::new(ValueType(kind), vec![byte; length]))
}
