//! Keeps secrets from outliving their use in this process's memory and registers (contract, section 4, "Memory").
//! Knows no secret.

mod registers;

use std::{alloc::System, hint::black_box};

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use zeroizing_alloc::ZeroAlloc;

pub use registers::wipe_registers;

/// Wipes everything on the heap as it is freed. Each program declares one as its `#[global_allocator]`.
pub type WipingAllocator = ZeroAlloc<System>;

/// The allocator's only value.
pub const WIPING_ALLOCATOR: WipingAllocator = ZeroAlloc(System);

/// How deep a worker's stack is wiped: scrypt, age and JSON together use less.
const WIPED_STACK: usize = 256 * 1024;

/// Closes this process to core dumps and to other processes of the user.
///
/// # Errors
/// The kernel refused; a process that can be dumped must not hold secrets.
pub fn close() -> std::io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// [`close`], and keeps the heap in one arena, so that [`trim`] reaches all of it. To be called before a second
/// thread starts.
///
/// # Errors
/// As of [`close`].
pub fn harden() -> std::io::Result<()> {
    close()?;
    one_arena();
    Ok(())
}

/// Runs `work` and then wipes the part of this thread's stack that it used, and the registers.
pub fn with_wiped_stack<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    wipe_stack();
    wipe_registers();
    result
}

/// Not inlined: `work`'s frames then lie where [`wipe_stack`]'s frame will lie.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe_stack() {
    black_box(&mut [0_u8; WIPED_STACK]);
}

/// Gives freed heap back to the system.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "malloc_trim is wrapped by no crate")]
pub fn trim() {
    // SAFETY: takes no pointer; glibc documents it as thread-safe.
    unsafe { libc::malloc_trim(0) };
}

/// Gives freed heap back to the system, which other C libraries do by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn trim() {}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "mallopt is wrapped by no crate")]
fn one_arena() {
    // SAFETY: takes no pointer; called before a second thread starts.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

#[cfg(not(target_env = "gnu"))]
fn one_arena() {}
