//! Bootstrap intervals (Efron 1979): how much a figure would vary with other threshold samples.

use crate::random::Stream;

/// Number of resamples per interval.
const RESAMPLES: usize = 100;
/// Share of the resamples below a 90 % interval, and above it.
const TAIL: f64 = 0.05;

/// Counts how often each of `n` items is drawn in one resample: n draws with replacement.
fn resample(stream: &mut Stream, n: usize) -> Vec<u32> {
    let mut times = vec![0u32; n];
    for _ in 0..n {
        if let Some(times) = times.get_mut(stream.below(n)) {
            *times += 1;
        }
    }
    times
}

/// Computes a figure for many resamples of two independent sets of samples with these sizes. `figure` gets how
/// often each sample counts. The resamples are the same in every call.
pub(super) fn replicates<T>(sizes: [usize; 2], mut figure: impl FnMut(&[u32], &[u32]) -> T) -> Vec<T> {
    let mut stream = Stream(0);
    (0..RESAMPLES)
        .map(|_| {
            let first = resample(&mut stream, sizes[0]);
            figure(&first, &resample(&mut stream, sizes[1]))
        })
        .collect()
}

/// The 90 % percentile interval of these values; `None` if there are none.
pub(super) fn interval(mut values: Vec<f32>) -> Option<(f32, f32)> {
    values.sort_by(f32::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |share: f64| values.get((last as f64 * share + 0.5) as usize).copied();
    Some((at(TAIL)?, at(1.0 - TAIL)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resamples_have_the_size_of_the_sample_and_differ() {
        let sums = replicates([50, 0], |a, b| {
            assert_eq!((a.iter().sum::<u32>(), b.len()), (50, 0));
            a.to_vec()
        });
        assert_eq!(sums.len(), RESAMPLES);
        assert!(sums.windows(2).all(|w| w[0] != w[1]));
        // On average a share of e⁻¹ of the samples is left out: 18.4 of 50. The mean of 100 resamples is within 4
        // σ.
        let left_out = sums.iter().flatten().filter(|&&n| n == 0).count() as f64 / RESAMPLES as f64;
        assert!((left_out - 18.2).abs() < 1.0, "{left_out}");
    }

    #[test]
    fn the_interval_of_a_mean_is_its_standard_error_wide() {
        // Mean of 0..100, standard error 28.87 / 10; ±1.645 of it.
        let means = replicates([100, 0], |times, _| {
            let sum: u32 = times.iter().zip(0u32..).map(|(n, i)| n * i).sum();
            sum as f32 / 100.0
        });
        let (low, high) = interval(means).unwrap();
        assert!((low - (49.5 - 4.75)).abs() < 1.5 && (high - (49.5 + 4.75)).abs() < 1.5, "{low} {high}");
        assert_eq!(interval(vec![]), None);
    }
}
