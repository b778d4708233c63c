//! Sorting keys of which the high half decides.

/// Fewer than this are sorted by comparing.
const FEW: usize = 4096;
/// Bit at which each digit begins, and how many bits it has: together the high 32.
const DIGITS: [(u32, u32); 3] = [(32, 11), (43, 11), (54, 10)];

/// Sorts keys, whose low halves must be ascending already, by the digits of the high ones (radix sort).
/// Linear in time; needs the memory of the keys once more.
pub fn sort_ascending(keys: &mut Vec<u64>) {
    if keys.len() < FEW || u32::try_from(keys.len()).is_err() {
        return keys.sort_unstable();
    }
    let digit = |key: u64, (start, bits): (u32, u32)| (key >> start) as usize & ((1 << bits) - 1);
    let mut counts = DIGITS.map(|(_, bits)| vec![0u32; 1 << bits]);
    for &key in keys.iter() {
        for (counts, place) in counts.iter_mut().zip(DIGITS) {
            counts[digit(key, place)] += 1;
        }
    }
    let mut sorted = vec![0; keys.len()];
    for (mut next, place) in counts.into_iter().zip(DIGITS) {
        let mut sum = 0;
        for next in &mut next {
            sum += std::mem::replace(next, sum);
        }
        for &key in keys.iter() {
            let next = &mut next[digit(key, place)];
            sorted[*next as usize] = key;
            *next += 1;
        }
        std::mem::swap(keys, &mut sorted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_as_comparing_does() {
        for n in [0, 1, FEW - 1, FEW, 50_000] {
            let mut state = 1u32;
            let mut keys: Vec<u64> = (0..n as u64)
                .map(|id| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // Many ties, and both ends of the range.
                    u64::from(if id % 3 == 0 { state } else { (state >> 30).wrapping_sub(2) }) << 32 | id
                })
                .collect();
            let mut expected = keys.clone();
            expected.sort();
            sort_ascending(&mut keys);
            assert_eq!(keys, expected);
        }
    }
}
