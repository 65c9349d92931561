//! Keeps secrets from outliving their use in this process's memory and registers (contract, section 4, "Memory").
//! Knows no secret.

mod huge_pages;
mod registers;

use std::hint::black_box;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use zeroizing_alloc::ZeroAlloc;

use huge_pages::HugePages;
pub use registers::wipe_registers;

/// Wipes everything on the heap as it is freed. Each program declares one as its `#[global_allocator]`.
pub type WipingAllocator = ZeroAlloc<HugePages>;

/// The allocator's only value.
pub const WIPING_ALLOCATOR: WipingAllocator = ZeroAlloc(HugePages);

/// How deep a worker's stack is wiped: scrypt, age and JSON together use less.
const WIPED_STACK: usize = 256 * 1024;

/// Blocks of at least so many bytes are mapped, and given back as they are freed: those of scrypt, and of hardly anything
/// else. The most that glibc takes.
const LARGE: usize = 32 << 20;

/// Closes this process to core dumps and to other processes of the user.
///
/// # Errors
/// The kernel refused; a process that can be dumped must not hold secrets.
pub fn close() -> std::io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// [`close`], and keeps the heap in one arena, and what is freed there until [`trim`]. To be called before a second thread
/// starts.
///
/// # Errors
/// As of [`close`].
pub fn harden() -> std::io::Result<()> {
    close()?;
    keep_heap();
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

/// Gives back to the system what this process has in memory and does not need there: freed heap, and code.
pub fn give_back() {
    trim();
    release_code();
}

/// Gives back freed heap alone.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "malloc_trim is wrapped by no crate")]
pub fn trim() {
    // SAFETY: takes no pointer; glibc documents it as thread-safe.
    unsafe { libc::malloc_trim(0) };
}

/// Gives back freed heap, which other C libraries do by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn trim() {}

/// Lets go of what is mapped of the program and its libraries: it is in the page cache, or on the disk, and comes back
/// when it is used. Of what only a start or a key needs nothing does.
#[allow(unsafe_code, reason = "madvise is safe in no crate")]
fn release_code() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, length) in maps.lines().filter_map(constant) {
        // SAFETY: the pages are a file's, mapped without the right to write, and nobody has ever written to them: the
        // kernel reads the same bytes again.
        let _ = unsafe { rustix::mm::madvise(start as *mut _, length, rustix::mm::Advice::LinuxDontNeed) };
    }
}

/// The start and the length of a mapping that is as its file is, where a line of /proc/PID/maps (proc(5)) is of one: code,
/// and the constants that a file begins with. Other constants hold addresses, which the loader wrote.
fn constant(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (range, rights, offset) = (words.next()?, words.next()?, words.next()?);
    let is_file = words.nth(2).is_some_and(|path| path.starts_with('/'));
    let is_constant = rights == "r-xp" || rights == "r--p" && offset.bytes().all(|digit| digit == b'0');
    let (start, end) = range.split_once('-')?;
    let address = |hex| usize::from_str_radix(hex, 16).ok();
    let (start, end) = (address(start)?, address(end)?);
    (is_constant && is_file).then(|| (start, end.saturating_sub(start)))
}

/// What glibc would give back by itself after each write of a vault, the next one would have to ask for again, page by page.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "mallopt is wrapped by no crate")]
fn keep_heap() {
    // SAFETY: takes no pointer; called before a second thread starts.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE as libc::c_int);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * LARGE as libc::c_int);
    }
}

#[cfg(not(target_env = "gnu"))]
fn keep_heap() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_its_file_is_is_let_go_of() {
        for let_go in ["1000-3000 r-xp 00001000 fd:01 42  /usr/bin/x", "1000-3000 r--p 00000000 fd:01 42  /usr/bin/x"] {
            assert_eq!(constant(let_go), Some((0x1000, 0x2000)), "{let_go}");
        }
        for kept in [
            "1000-3000 r--p 00001000 fd:01 42  /usr/bin/x",
            "1000-3000 rw-p 00000000 fd:01 42  /usr/bin/x",
            "1000-3000 rwxp 00001000 fd:01 42  /usr/bin/x",
            "1000-3000 r-xp 00000000 00:00 0  [vdso]",
            "1000-3000 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(constant(kept), None, "{kept}");
        }
    }

    #[test]
    fn a_program_goes_on_without_its_code_in_memory() {
        give_back();
        assert_eq!((1..=10).product::<u64>(), 3_628_800);
    }
}
