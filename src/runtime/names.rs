//! The names of threads, on musl.
//!
//! The standard library gives each thread that it starts its name by `pthread_setname_np`, of the thread itself. musl's can
//! name another thread as well, by a file of /proc whose path it prints: 8 kB of `printf` that nothing else here has a use
//! for. Ours is found first by the linker, and names the thread that calls it.

use std::ffi::{CStr, c_char, c_int, c_void};

/// Names the calling thread, whatever `_thread` is.
#[allow(unsafe_code, reason = "the C library's function, under its name")]
// SAFETY: nobody else here defines it, and its signature is that of the C library.
#[unsafe(no_mangle)]
extern "C" fn pthread_setname_np(_thread: *mut c_void, name: *const c_char) -> c_int {
    // SAFETY: the caller's promise, as to the C library's own.
    let name = unsafe { CStr::from_ptr(name) };
    // A thread without a name runs as well.
    nix::sys::prctl::set_name(name).map_or_else(|error| error as c_int, |()| 0)
}
