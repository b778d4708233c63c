//! Threads of the numerical libraries.

/// candle's elementwise operations wait for each other in a spin loop: on a busy machine four times
/// slower than one thread alone. What is worth several threads here runs on rayon's.
///
/// To be called first thing in `main`. A number that the user set stays.
pub fn settle() {
    const VARIABLE: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: changing the environment is unsound only while another thread reads it; `main`
        // has started none yet.
        #[allow(unsafe_code)]
        unsafe {
            std::env::set_var(VARIABLE, "1");
        }
    }
}
