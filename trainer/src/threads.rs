//! Number of threads of the numerical libraries.

/// Makes candle use one thread for its elementwise operations.
///
/// With several threads, these operations wait for each other in a spin loop. On a busy machine that is four times
/// slower than one thread. Work here that gains from several threads runs on rayon's threads instead.
///
/// Call this first in `main`. A number that the user has set is kept.
pub fn settle() {
    const VARIABLE: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: changing the environment is unsound only while another thread reads it, and `main` has not
        // started any thread yet.
        #[allow(unsafe_code)]
        unsafe {
            std::env::set_var(VARIABLE, "1");
        }
    }
}
