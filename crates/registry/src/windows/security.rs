//! Security descriptors as far as two of them must be told apart, and hostile ones from whole ones.

/// Bits of the control word: the descriptor is in one piece; it has a list of rules; no rule comes from above.
const SELF_RELATIVE: u16 = 0x8000;
const HAS_RULES: u16 = 0x0004;
const PROTECTED: u16 = 0x1000;
/// The length of the fixed part.
const HEAD: usize = 20;

/// What a descriptor says, wherever in it that stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    owner: &'a [u8],
    group: &'a [u8],
    rules: &'a [u8],
    protected: bool,
}

/// The parts of a self-relative descriptor; `None` where one is missing or does not lie in it.
pub(super) fn parts(descriptor: &[u8]) -> Option<Parts<'_>> {
    let short = |at: usize| Some(u16::from_le_bytes(descriptor.get(at..at + 2)?.try_into().ok()?));
    let place = |at: usize| {
        let place = u32::from_le_bytes(descriptor.get(at..at + 4)?.try_into().ok()?) as usize;
        (place >= HEAD && place.is_multiple_of(4)).then_some(place)
    };
    let sid = |at: usize| {
        let count = usize::from(*descriptor.get(at + 1)?);
        (count <= 15).then(|| descriptor.get(at..at + 8 + count * 4)).flatten()
    };
    let control = short(2)?;
    if *descriptor.first()? != 1 || control & SELF_RELATIVE == 0 || control & HAS_RULES == 0 {
        return None;
    }
    let rules = place(16)?;
    let rules = descriptor.get(rules..rules + usize::from(short(rules + 2)?))?;
    are_whole(rules).then_some(())?;
    Some(Parts { owner: sid(place(4)?)?, group: sid(place(8)?)?, rules, protected: control & PROTECTED != 0 })
}

fn are_whole(rules: &[u8]) -> bool {
    let Some([_, _, _, _, low, high, _, _]) = rules.first_chunk::<8>() else { return false };
    let mut at = 8;
    (0..u16::from_le_bytes([*low, *high])).all(|_| {
        let Some([_, _, low, high]) = rules.get(at..at + 4) else { return false };
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        at += length;
        length >= 8 && length.is_multiple_of(4) && at <= rules.len()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Owner and group S-1-5-18, one rule that lets it do everything.
    fn descriptor(group_first: bool) -> Vec<u8> {
        let sid = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
        let (owner, group) = if group_first { (32, 20) } else { (20, 32) };
        let head = [1, 0, 4, 0x80, owner, 0, 0, 0, group, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0];
        let acl = [2, 0, 28, 0, 1, 0, 0, 0, 0, 2, 20, 0, 0x3F, 0, 0x0F, 0];
        [&head[..], &sid, &sid, &acl, &sid].concat()
    }

    #[test]
    fn the_order_of_the_parts_says_nothing() {
        assert!(parts(&descriptor(false)).is_some());
        assert_eq!(parts(&descriptor(false)), parts(&descriptor(true)));
    }

    #[test]
    fn what_is_not_whole_has_no_parts() {
        let good = descriptor(false);
        for length in 0..good.len() {
            assert_eq!(parts(&good[..length]), None, "{length}");
        }
        for (at, value) in [(0, 2), (3, 0), (4, 0), (4, 200), (16, 45), (48, 200), (54, 40)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(parts(&bad), None, "byte {at}");
        }
    }
}
