//! Sorts numbers by keys. Everything that the page sorts goes through one function, because every other sort would
//! be compiled once more.

/// Sorts pairs of a key and a number, by key and then by number. Returns the numbers.
pub fn by_key(pairs: impl Iterator<Item = (u32, u32)>) -> Vec<u32> {
    // Sorting integers that pack both is several times faster than sorting pairs.
    let mut packed: Vec<u64> = pairs.map(|(key, number)| u64::from(key) << 32 | u64::from(number)).collect();
    packed.sort_unstable();
    packed.into_iter().map(|packed| packed as u32).collect()
}

/// A key that sorts like the value, with NaN last. −0 counts as 0.
pub fn ascending(value: f32) -> u32 {
    // All NaNs are the same.
    lanes::ascending(if value.is_nan() { f32::NAN } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_like_values_and_ties_by_number() {
        let values = [f32::NAN, 2.0, -1.0, 0.0, -0.0, f32::INFINITY, -1.5];
        assert_eq!(by_key(values.into_iter().map(ascending).zip(0..)), [6, 2, 3, 4, 1, 5, 0]);
    }
}
