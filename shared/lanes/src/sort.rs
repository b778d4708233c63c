//! Sorts ids by a column of values.

/// Number of key bits that select a bucket. It is small enough that all write positions stay in the cache, and
/// large enough that each bucket does so too.
const BUCKET_BITS: u32 = 16;
/// Buckets with at most this many ids use insertion sort.
const FEW: usize = 64;
/// Buckets with more ids are split first, which is slower. Nearly all spans of a corpus can be in one bucket, and
/// pairs of key and id for all of them would take four times the memory of the result.
const LONG: usize = if cfg!(test) { 1_000 } else { 1 << 24 };

/// Sorts ids by (value, id) in ascending order. Ids whose value is missing or NaN are left out. `ids` must be in
/// ascending order. −0 counts as 0. Besides `ids`, it needs memory for two lists of ids.
pub fn ranked(ids: Vec<u32>, values: &[f32]) -> Vec<u32> {
    let key = |id: u32| values.get(id as usize).filter(|value| !value.is_nan()).map(|&value| ascending(value));
    let bucket = |key: u32| (key >> (32 - BUCKET_BITS)) as usize;
    let mut ends = vec![0u32; 1 << BUCKET_BITS];
    for &id in &ids {
        if let Some(key) = key(id) {
            ends[bucket(key)] += 1;
        }
    }
    let mut sum = 0;
    for end in &mut ends {
        // At first this is the start of the bucket. Each id moves it on, until it is the end.
        sum += std::mem::replace(end, sum);
    }
    let mut ranked = vec![0u32; sum as usize];
    for &id in &ids {
        if let Some(key) = key(id) {
            let next = &mut ends[bucket(key)];
            ranked[*next as usize] = id;
            *next += 1;
        }
    }
    drop(ids);
    let low = |id: u32| key(id).unwrap_or(0) & ((1 << (32 - BUCKET_BITS)) - 1);
    let (mut start, mut room) = (0, Room::default());
    for end in ends {
        let end = end as usize;
        let bucket = &mut ranked[start..end];
        if bucket.len() <= FEW {
            insert(bucket, low);
        } else {
            room.sort(bucket, low);
        }
        start = end;
    }
    ranked
}

/// A key that sorts like the value, if that is a number. −0 counts as 0.
pub fn ascending(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// Sorts a few ids by their keys. Ties keep their order.
#[inline(always)]
fn insert(ids: &mut [u32], key: impl Fn(u32) -> u32) {
    for at in 1..ids.len() {
        let (id, mut to) = (ids[at], at);
        while to > 0 && key(ids[to - 1]) > key(id) {
            ids[to] = ids[to - 1];
            to -= 1;
        }
        ids[to] = id;
    }
}

/// Memory for sorting longer buckets.
#[derive(Default)]
struct Room {
    keys: Vec<u64>,
    sorted: Vec<u64>,
}

impl Room {
    /// Sorts ascending ids by keys of 16 bits. Ties keep their order.
    #[inline(always)]
    fn sort(&mut self, ids: &mut [u32], key: impl Fn(u32) -> u32) {
        // Without a split, the first part is everything and the others are empty.
        let is_long = ids.len() > LONG;
        let ends = if is_long { split(ids, |id| key(id) >> 8) } else { [ids.len() as u32; 256] };
        let mut start = 0;
        for end in ends {
            let part = &mut ids[start..end as usize];
            start = end as usize;
            match part.len() {
                0 | 1 => {}
                n if n > LONG => _ = split(part, |id| key(id) & 0xff),
                _ => self.sort_pairs(part, &key),
            }
        }
    }

    /// Sorts ascending ids by keys of 16 bits. This is a radix sort, so ties keep their order. It reads each key once,
    /// and takes four times the memory of the ids.
    #[inline(always)]
    fn sort_pairs(&mut self, ids: &mut [u32], key: impl Fn(u32) -> u32) {
        let Self { keys, sorted } = self;
        keys.clear();
        keys.extend(ids.iter().map(|&id| u64::from(key(id)) << 32 | u64::from(id)));
        sorted.resize(keys.len(), 0);
        let digit = |key: u64, place: usize| (key >> (32 + 8 * place)) as usize & 0xff;
        let mut counts = [[0u32; 256]; 2];
        for &key in keys.iter() {
            for (place, counts) in counts.iter_mut().enumerate() {
                counts[digit(key, place)] += 1;
            }
        }
        for (place, mut next) in counts.into_iter().enumerate() {
            let mut sum = 0;
            for next in &mut next {
                sum += std::mem::replace(next, sum);
            }
            for &key in keys.iter() {
                let next = &mut next[digit(key, place)];
                sorted[*next as usize] = key;
                *next += 1;
            }
            std::mem::swap(keys, sorted);
        }
        for (id, &key) in ids.iter_mut().zip(keys.iter()) {
            *id = key as u32;
        }
    }
}

/// Sorts ids by keys of 8 bits, and returns where each key ends. Ties keep their order. This takes the memory of
/// one copy of the ids.
#[inline(always)]
fn split(ids: &mut [u32], key: impl Fn(u32) -> u32) -> [u32; 256] {
    let before = ids.to_vec();
    let mut ends = [0u32; 256];
    for &id in &before {
        ends[key(id) as usize] += 1;
    }
    let mut sum = 0;
    for end in &mut ends {
        sum += std::mem::replace(end, sum);
    }
    for &id in &before {
        let next = &mut ends[key(id) as usize];
        ids[*next as usize] = id;
        *next += 1;
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_as_comparing_does() {
        for n in [0, 1, FEW, 200, 5_000, 300_000] {
            let mut state = 1u32;
            let mut roll = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state >> 8
            };
            for spread in [1.0, 1e-3, 1e-9] {
                let values: Vec<f32> = (0..n)
                    .map(|_| match roll() % 16 {
                        // Ties, and values that are not finite.
                        0 => 0.0,
                        1 => -0.0,
                        2 => f32::NAN,
                        3 => [f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE / 2.0][roll() as usize % 3],
                        _ => (roll() as f32 / (1 << 23) as f32 - 1.0) * spread + 3.0 * (roll() % 3) as f32 - 3.0,
                    })
                    .collect();
                // The last id has no value.
                let ids: Vec<u32> = (0..=n as u32).filter(|id| id % 7 != 3).collect();
                let mut expected: Vec<u32> = ids.clone();
                expected.retain(|&id| values.get(id as usize).is_some_and(|v| !v.is_nan()));
                let value = |id: &u32| values[*id as usize] + 0.0;
                expected.sort_by(|a, b| value(a).total_cmp(&value(b)).then(a.cmp(b)));
                assert!(ranked(ids, &values) == expected, "{n} {spread}");
            }
        }
    }

    #[test]
    fn keys_sort_like_numbers() {
        let values = [f32::NEG_INFINITY, -1e30, -2.5, -1e-40, 0.0, 1e-40, 3.5, 1e30, f32::INFINITY];
        assert!(values.map(ascending).is_sorted());
        assert_eq!(ascending(-0.0), ascending(0.0));
    }
}
