use std::sync::Arc;

use proptest::prelude::*;

use super::layout::{BLOCK, base, checksum, u32_at};
use super::*;
use crate::arbitrary::{full_tree, tree};
use crate::diff::diff;
use crate::name::MAX_DEPTH;
use crate::value::{Value, ValueType};

fn path(text: &str) -> KeyPath {
    text.parse().unwrap()
}

fn header(version: Version) -> Header {
    Header { version, timestamp: 0x01d9_0000_0000_0000, ..Header::default() }
}

fn hive(root: &Key) -> Vec<u8> {
    write(root, &header(Version::V1_5)).unwrap()
}

/// The position of `needle`, which must be there once.
fn find(bytes: &[u8], needle: &[u8]) -> usize {
    let found: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(needle)).collect();
    assert_eq!(found.len(), 1, "{needle:?}");
    found[0]
}

fn set(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// Makes the checksum right again, so that a fault is found where it is.
fn sum(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&bytes);
    set(&mut bytes, base::CHECKSUM, sum);
    bytes
}

fn check_round_trip(root: &Key, version: Version) -> Hive {
    let bytes = write(root, &header(version)).unwrap();
    let back = read(&bytes).unwrap();
    // Equality is blind to the case of names and to times, the debug form is not.
    assert_eq!(format!("{:?}", back.root), format!("{root:?}"));
    assert_eq!(back.header, header(version));
    let (salvaged, losses) = salvage(&bytes).unwrap();
    assert_eq!((&salvaged.root, losses), (root, Losses::default()));
    back
}

#[test]
fn an_empty_hive_is_one_bin() {
    let bytes = hive(&Key::EMPTY);
    assert_eq!(bytes.len(), 2 * BLOCK);
    assert!(is_hive(&bytes) && !is_dirty(&bytes));
    check_round_trip(&Key::EMPTY, Version::V1_5);
    check_round_trip(&Key::EMPTY, Version::V1_3);
}

#[test]
fn many_subkeys_are_in_leaves_below_one_list() {
    for (count, leaves) in [(507, 1), (508, 2), (512, 2), (1015, 3), (5000, 10)] {
        let mut root = Key::default();
        for number in 0..count {
            root.create(&path(&format!("key {number:05}"))).set_value("", Value::dword(number));
        }
        for (version, signature) in [(Version::V1_5, b"lh"), (Version::V1_3, b"lf")] {
            check_round_trip(&root, version);
            let bytes = write(&root, &header(version)).unwrap();
            let cells = bytes.chunks_exact(8).filter(|cell| cell[4..6] == *signature).count();
            assert_eq!(cells, leaves);
        }
    }
}

#[test]
fn long_values_lie_in_segments_since_1_4() {
    for length in [0, 4, 5, 18, 19, 16_344, 16_345, 32_688, 32_689, 1 << 20, (1 << 20) + 1, 3_000_000] {
        let mut root = Key::default();
        root.set_value("long", Value::new(ValueType::BINARY, (0..length).map(|n| n as u8).collect::<Vec<_>>()));
        check_round_trip(&root, Version::V1_5);
        let has_list = hive(&root).chunks_exact(8).any(|cell| cell[4..6] == *b"db");
        assert_eq!(has_list, length > 16_344);
        if length <= 1 << 20 {
            check_round_trip(&root, Version::V1_3);
        }
    }
}

#[test]
fn what_windows_has_no_room_for_is_refused() {
    let refusal = |root: &Key, version| write(root, &header(version)).unwrap_err().to_string();
    let mut long = Key::default();
    long.create(&path("a")).set_value("v", Value::new(ValueType::BINARY, vec![0; (1 << 20) + 1]));
    let mut name = Key::default();
    name.create(&path(&format!("a\\{}", "é".repeat(256))));
    let mut value = Key::default();
    value.set_value(&*"v".repeat(16_384), Value::dword(1));
    let mut deep = Key::default();
    deep.create(&path("a")).replace(&path(&["k"; MAX_DEPTH].join("\\")), Key::default());
    let [name, deep] = [name, deep].map(|root| {
        let text = refusal(&root, Version::V1_5);
        text.replace(&"é".repeat(256), "é…é").replace(&"k\\".repeat(MAX_DEPTH - 1), "…")
    });
    let refusals = [refusal(&long, Version::V1_3), name, refusal(&value, Version::V1_5), deep];
    insta::assert_snapshot!(refusals.join("\n"), @r"
    key `a` cannot be written to a hive: a value is longer than the 1 MiB that version 1.3 has room for
    key `a\é…é` cannot be written to a hive: its name is longer than 255 characters
    key `` cannot be written to a hive: the name of a value is longer than 16383 characters
    key `a\…k` cannot be written to a hive: it is nested deeper than 512 levels
    ");
}

#[test]
fn the_deepest_key_goes_all_the_way() {
    let mut root = Key::default();
    root.create(&path(&["k"; MAX_DEPTH].join("\\"))).set_value("", Value::dword(1));
    check_round_trip(&root, Version::V1_5);
}

/// A hive of one key below the other, which our writer refuses to make: each node leads to the next.
fn deep_hive(levels: usize) -> Vec<u8> {
    let mut root = Key::default();
    let subkey = |number: usize| format!("{number:05}");
    for number in 0..levels {
        root.create(&path(&subkey(number)));
    }
    let mut bytes = hive(&root);
    let nodes: Vec<usize> = (BLOCK..bytes.len()).step_by(8).filter(|&at| bytes[at + 4..].starts_with(b"nk")).collect();
    // All were the root's subkeys; now each has a list with the next one, in cells at the end.
    let mut lists = Vec::new();
    let end = bytes.len() - BLOCK;
    for (number, pair) in nodes.windows(2).enumerate() {
        let list = lists.len() + 32;
        set(&mut bytes, pair[0] + 4 + 20, 1);
        set(&mut bytes, pair[0] + 4 + 28, (end + list) as u32);
        let mut cell = Vec::from((-16i32).to_le_bytes());
        cell.extend(b"li\x01\0");
        cell.extend(((pair[1] - BLOCK) as u32).to_le_bytes());
        cell.extend([0; 4]);
        assert_eq!(cell.len() * number, lists.len());
        lists.extend(cell);
    }
    let size = (32 + lists.len()).next_multiple_of(BLOCK);
    let mut bin = b"hbin".to_vec();
    [end as u32, size as u32, 0, 0, 0, 0, 0].iter().for_each(|word| bin.extend(word.to_le_bytes()));
    bin.extend(lists);
    let left = size - bin.len();
    bin.extend((left as u32).to_le_bytes());
    bin.resize(size, 0);
    bytes.extend(bin);
    set(&mut bytes, base::BINS_SIZE, (end + size) as u32);
    sum(bytes)
}

#[test]
fn deep_nesting_is_refused() {
    let deep = deep_hive(10_000);
    let fault = read(&deep).unwrap_err();
    assert_eq!(fault.reason, "the key is nested deeper than 512 levels");
    assert_eq!(fault.path.names().len(), MAX_DEPTH);
    let (hive, losses) = salvage(&deep).unwrap();
    assert_eq!((hive.root.count(), losses.faults.len()), (1 + MAX_DEPTH, 1));
    assert_eq!(read(&deep_hive(MAX_DEPTH)).unwrap().root.count(), 1 + MAX_DEPTH);
}

#[test]
fn keys_share_descriptors_that_are_equal() {
    let mut root = Key::default();
    for number in 0..3000u32 {
        // Equal bytes in different places.
        root.create(&path(&number.to_string())).set_security(Some(vec![number.is_multiple_of(2) as u8; 50].into()));
    }
    let back = check_round_trip(&root, Version::V1_5);
    let bytes = hive(&root);
    let cells: Vec<_> = (BLOCK..bytes.len()).step_by(8).filter(|&at| bytes[at + 4..].starts_with(b"sk")).collect();
    let number = |at: usize| u32_at(&bytes, at).unwrap();
    let users: Vec<u32> = cells.iter().map(|at| number(at + 16)).collect();
    assert_eq!(users, [1, 1500, 1500]);
    let mut ring = cells.clone();
    for at in &cells {
        let next = BLOCK + number(at + 8) as usize;
        assert_eq!(BLOCK + number(next + 12) as usize, *at, "the next one leads back");
        ring.retain(|other| *other != next);
    }
    assert_eq!(ring, [0; 0], "each is somebody's next");
    let [one, other] = ["0", "2"].map(|name| back.root.get(&path(name)).unwrap().security().unwrap().clone());
    assert!(Arc::ptr_eq(&one, &other));
}

#[test]
fn the_default_descriptor_is_read_back_as_none() {
    let bytes = hive(&Key::EMPTY);
    let at = find(&bytes, &default_security());
    assert_eq!(read(&bytes).unwrap().root.security(), None);
    let mut other = bytes.clone();
    other[at] ^= 2;
    assert!(read(&other).unwrap().root.security().is_some());
}

fn sample() -> Key {
    let mut root = Key::default();
    root.create(&path(r"one\two")).set_value("name", Value::string("more than a few bytes of data"));
    root.create(&path("three")).set_value("number", Value::dword(7));
    root.create(&path("three")).set_security(Some([1; 30][..].into()));
    root.create(&path("three")).set_class(Some("class".into()));
    root
}

/// Bends a sample, and shows what strict and lenient mode say of it.
fn bent(bend: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = hive(&sample());
    bend(&mut bytes);
    let bytes = sum(bytes);
    let strict = read(&bytes).expect_err("the hive is not as it must be").to_string();
    let lenient = match salvage(&bytes) {
        Err(fault) => fault.to_string(),
        Ok((hive, losses)) => {
            assert_eq!(losses.faults[0].to_string(), strict);
            let gone: Vec<_> = diff(&sample(), &hive.root).iter().map(ToString::to_string).collect();
            format!("lost {:?}", gone.iter().map(|line| line.split(" = ").next().unwrap()).collect::<Vec<_>>())
        }
    };
    format!("{strict}\n  {lenient}")
}

/// Where the cell begins that holds the record `needle` begins.
fn node(bytes: &[u8], name: &[u8]) -> usize {
    find(bytes, name) - 76
}

#[test]
fn faults_say_where_and_why() {
    let faults = [
        bent(|bytes| bytes[0] = b'R'),
        bent(|bytes| bytes[base::SEQUENCE_1] += 1),
        bent(|bytes| bytes[base::MINOR] = 2),
        bent(|bytes| bytes[base::FILE_TYPE] = 1),
        bent(|bytes| bytes.truncate(BLOCK + 100)),
        bent(|bytes| bytes.truncate(BLOCK)),
        bent(|bytes| set(bytes, base::BINS_SIZE, 100)),
        bent(|bytes| set(bytes, base::ROOT, 12)),
        bent(|bytes| bytes[BLOCK] = b'H'),
        bent(|bytes| bytes[BLOCK + 9] = 0),
        bent(|bytes| {
            let at = node(bytes, b"two");
            bytes[at] = b'N';
        }),
        bent(|bytes| {
            let at = node(bytes, b"two");
            set(bytes, at - 4, 96);
        }),
        bent(|bytes| {
            let at = node(bytes, b"two");
            set(bytes, at - 4, (-4000i32).cast_unsigned());
        }),
        bent(|bytes| {
            let at = node(bytes, b"two");
            bytes[at + 72] = 200;
        }),
        bent(|bytes| {
            // The subkey of `one` is `one`.
            let (one, two) = (node(bytes, b"one"), node(bytes, b"two"));
            let list = BLOCK + 4 + u32_at(bytes, one + 28).unwrap() as usize;
            assert_eq!(u32_at(bytes, list + 4), Some((two - 4 - BLOCK) as u32));
            set(bytes, list + 4, (one - 4 - BLOCK) as u32);
        }),
        bent(|bytes| {
            let at = node(bytes, b"one");
            set(bytes, at + 20, 2);
        }),
        bent(|bytes| {
            let at = node(bytes, b"three");
            set(bytes, at + 36, 1000);
        }),
        bent(|bytes| {
            let at = node(bytes, b"three");
            bytes[at + 74] = 200;
        }),
        bent(|bytes| {
            let at = node(bytes, b"three");
            set(bytes, at + 44, 33);
        }),
        bent(|bytes| {
            let at = find(bytes, b"name") - 20;
            set(bytes, at + 4, 1_000_000);
        }),
        bent(|bytes| {
            let at = find(bytes, b"number") - 20;
            set(bytes, at + 4, 0x8000_0005);
        }),
        bent(|bytes| {
            let at = find(bytes, b"two");
            bytes[at] = b'\\';
        }),
    ];
    insta::assert_snapshot!(faults.join("\n"), @r#"
    at offset 0x0: expected the signature `regf`
      lost []
    at offset 0x8: the hive was not closed; its transaction logs are needed
      lost []
    at offset 0x14: the version is none of 1.3 to 1.6
      lost []
    at offset 0x1c: the file is none that holds a whole hive
      lost []
    at offset 0x1064: the file ends before the hive does
      at offset 0x24: there is no root key
    at offset 0x1000: the file ends before the hive does
      at offset 0x24: there is no root key
    at offset 0x28: the size of the hive is no multiple of 4096
      lost []
    at offset 0x24: the base block leads to no root key
      lost []
    at offset 0x1000: expected the signature `hbin`
      lost []
    at offset 0x1000: the size of the bin is not right
      lost []
    at offset 0x1150 in key `one`: expected a key node
      lost ["- [one\\two]", "- [one\\two] \"name\""]
    at offset 0x1150 in key `one`: the cell is not in use
      lost ["- [one\\two]", "- [one\\two] \"name\""]
    at offset 0x1150 in key `one`: the cell reaches beyond the end of the hive
      lost ["- [one\\two]", "- [one\\two] \"name\""]
    at offset 0x1150 in key `one`: the name of the key does not fit its cell
      lost ["- [one\\two]", "- [one\\two] \"name\""]
    at offset 0x10f8 in key `one`: the cell is used twice, or overlaps with another
      lost ["- [one\\two]", "- [one\\two] \"name\""]
    at offset 0x10f8 in key `one`: the lists hold another number of subkeys than the key says
      lost []
    at offset 0x12c0 in key `three`: the list of values does not fit its cell
      lost []
    at offset 0x12b0 in key `three`: the class name does not fit its cell
      lost ["- [three] class \"class\""]
    at offset 0x1021 in key `three`: the offset of a cell is no multiple of eight
      lost ["- [three] security descriptor, 30 bytes"]
    at offset 0x11d0 in key `one\two`: the data of the value do not fit their cell
      lost ["- [one\\two] \"name\""]
    at offset 0x12c8 in key `three`: more than four bytes of data in place of their offset
      lost ["- [three] \"number\""]
    at offset 0x1150 in key `one`: backslash in the name of the key
      lost ["- [one\\two]", "- [one\\two] \"name\""]
    "#);
    let mut unsummed = hive(&sample());
    unsummed[100] = 1;
    insta::assert_snapshot!(read(&unsummed).unwrap_err(), @"at offset 0x1fc: the checksum of the base block is not right; transaction logs may mend it");
    assert_eq!(salvage(&unsummed).unwrap().0.root, sample());
    insta::assert_snapshot!(read(b"regf").unwrap_err(), @"at offset 0x4: the file is shorter than the base block of a hive");
}

#[test]
fn no_cell_reaches_into_another_bin_or_a_descriptor() {
    let mut root = sample();
    for number in 0..50 {
        root.create(&path(&format!("z {number}")));
    }
    let reason = |bend: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = hive(&root);
        bend(&mut bytes);
        let fault = read(&sum(bytes.clone())).unwrap_err();
        assert_eq!(salvage(&sum(bytes)).unwrap().1.faults[0], fault);
        fault.reason
    };
    let across = reason(&|bytes| {
        let last = (BLOCK..2 * BLOCK).rev().find(|&at| bytes[at..].starts_with(b"nk")).unwrap();
        set(bytes, last - 4, (-((2 * BLOCK + 32 - (last - 4)) as i32)).cast_unsigned());
    });
    let descriptor = reason(&|bytes| {
        let node = u32_at(bytes, base::ROOT).unwrap() as usize + BLOCK + 4;
        let (security, value) = (u32_at(bytes, node + 44).unwrap(), find(bytes, b"name") - 20);
        set(bytes, value + 4, 40);
        set(bytes, value + 8, security);
    });
    assert_eq!([across, descriptor], ["the cell is used twice, or overlaps with another"; 2]);
}

#[test]
fn losses_are_listed_as_far_as_they_fit() {
    let mut root = Key::default();
    for number in 0..5000 {
        root.create(&path(&format!("{number:05}")));
    }
    let mut bytes = hive(&root);
    let nodes: Vec<_> = (BLOCK..bytes.len()).step_by(8).filter(|&at| bytes[at + 4..].starts_with(b"nk")).collect();
    nodes.iter().skip(1).for_each(|at| bytes[at + 4] = b'N');
    let (hive, losses) = salvage(&bytes).unwrap();
    assert_eq!(hive.root, Key::EMPTY);
    assert!(losses.faults.len() < 2000);
    assert_eq!(losses.faults.len() + losses.unlisted, 5000);
}

#[test]
fn a_link_says_so() {
    let mut root = Key::default();
    root.create(&path("other")).set_value("symboliclinkvalue", Value::new(ValueType::LINK, &b"x\0"[..]));
    let bytes = hive(&root);
    assert_eq!(bytes[node(&bytes, b"other") + 2], 0x30);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_exactly(root in full_tree()) {
        check_round_trip(&root, Version::V1_5);
        check_round_trip(&root, Version::V1_3);
    }

    #[test]
    fn a_hive_that_is_read_is_written_as_it_was(root in full_tree()) {
        let bytes = hive(&root);
        let back = read(&bytes).unwrap();
        prop_assert_eq!(write(&back.root, &back.header).unwrap(), bytes);
    }

    #[test]
    fn bent_hives_are_read_or_refused(
        root in tree(), bends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = hive(&root);
        for (at, byte) in bends {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&sum(bytes.clone())[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(hive) = read(bytes) {
                let (salvaged, losses) = salvage(bytes).unwrap();
                prop_assert!(losses.is_empty());
                prop_assert_eq!(salvaged.root, hive.root);
            }
            drop(salvage(bytes));
        }
    }
}
