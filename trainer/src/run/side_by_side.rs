//! Two trainings at the same time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::interrupt::Interrupted;

/// Does both at the same time. When one fails or panics, `stop` asks the other to stop too, and to write a checkpoint.
pub(super) fn side_by_side<A: Send, B: Send>(
    main: impl FnOnce() -> Result<A>,
    threshold: impl FnOnce() -> Result<B> + Send,
    stop: impl Fn() + Sync,
) -> Result<(A, B)> {
    let (main, threshold) = thread::scope(|scope| {
        // The main run stays on this thread, which belongs to the thread pool that computes for both.
        let threshold = scope.spawn(|| or_stop(threshold, &stop));
        let main = or_stop(main, &stop);
        // This thread may be the only one of the pool, so it must go on computing for the other training.
        while !threshold.is_finished() {
            if rayon::yield_now() != Some(rayon::Yield::Executed) {
                thread::sleep(Duration::from_millis(1));
            }
        }
        (main, threshold.join().unwrap_or_else(Err))
    });
    let main = main.unwrap_or_else(|panic| resume_unwind(panic));
    let threshold = threshold.unwrap_or_else(|panic| resume_unwind(panic));
    match (main, threshold) {
        (Ok(main), Ok(threshold)) => Ok((main, threshold)),
        // Return the error that caused the other one.
        (Err(error), Ok(_)) => Err(error),
        (Err(main), Err(error)) if !main.is::<Interrupted>() || error.is::<Interrupted>() => Err(main),
        (_, Err(error)) => Err(error),
    }
}

/// Does work, and calls `stop` if it fails or panics. A panic is returned.
fn or_stop<T>(work: impl FnOnce() -> Result<T>, stop: &impl Fn()) -> thread::Result<Result<T>> {
    // The panic goes on later, so nobody sees what the work has left half done.
    let done = catch_unwind(AssertUnwindSafe(work));
    if !matches!(done, Ok(Ok(_))) {
        stop();
    }
    done
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use anyhow::bail;

    use super::*;

    fn until<T>(is_stopped: impl Fn() -> bool) -> Result<T> {
        while !is_stopped() {}
        Err(Interrupted.into())
    }

    /// Does both on a pool of one thread. Each gets a function that computes on the pool until it is asked to stop.
    fn both<A: Send, B: Send>(
        main: impl FnOnce(&dyn Fn() -> Result<A>) -> Result<A> + Send,
        threshold: impl FnOnce(&dyn Fn() -> Result<B>) -> Result<B> + Send,
    ) -> Result<(A, B)> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
        let stopped = AtomicBool::new(false);
        let step = || pool.install(|| stopped.load(Ordering::Relaxed));
        let main = || main(&|| until(step));
        let threshold = || threshold(&|| until(step));
        pool.install(|| side_by_side(main, threshold, || stopped.store(true, Ordering::Relaxed)))
    }

    #[test]
    fn both_results_are_returned() {
        assert_eq!(both(|_| Ok(1), |_| Ok("a")).unwrap(), (1, "a"));
    }

    #[test]
    fn the_error_of_either_stops_the_other() {
        let error = both::<(), ()>(|_| bail!("main"), |until_stopped| until_stopped()).unwrap_err();
        assert_eq!(error.to_string(), "main");
        // This main run computes on its own thread, which is the pool's: the other can do nothing meanwhile.
        let error = both::<(), ()>(|until_stopped| until_stopped(), |_| bail!("threshold")).unwrap_err();
        assert_eq!(error.to_string(), "threshold");
    }

    #[test]
    fn a_panic_of_either_stops_the_other_and_goes_on() {
        let panic = |work: &(dyn Fn() -> Result<((), ())> + Sync)| {
            let panic = catch_unwind(AssertUnwindSafe(work)).unwrap_err();
            panic.downcast_ref::<&str>().copied().unwrap_or_default().to_owned()
        };
        assert_eq!(panic(&|| both(|_| panic!("main"), |until_stopped| until_stopped())), "main");
        assert_eq!(panic(&|| both(|until_stopped| until_stopped(), |_| panic!("threshold"))), "threshold");
    }
}
