//! The system's allocator, with large blocks in huge pages: scrypt reads its 128 MiB in no order, and with pages of 4 KiB a
//! sixth of its time is the way through the page tables. Knows no secret.

use std::alloc::{GlobalAlloc, Layout, System};

use rustix::mm::{Advice, madvise};

use crate::LARGE;

/// The size of a huge page; where a machine's have another size, a block begins with some small ones.
const HUGE_PAGE: usize = 2 << 20;

/// As [`System`], but for blocks of at least [`LARGE`] bytes that are zero at first.
pub struct HugePages;

// SAFETY: every block is the system's.
#[allow(unsafe_code, reason = "an allocator is unsafe to implement, and no crate has this one")]
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        let block = unsafe { System.alloc_zeroed(layout) };
        if layout.size() >= LARGE && !block.is_null() {
            let before = block.align_offset(HUGE_PAGE);
            let inside = layout.size().saturating_sub(before);
            // Where the kernel will not, the pages are small.
            // SAFETY: the range lies in the block, whose pages stay as they are and what they are.
            let _ = unsafe { madvise(block.wrapping_add(before).cast(), inside, Advice::LinuxHugepage) };
        }
        block
    }
}

#[cfg(test)]
#[allow(unsafe_code, reason = "an allocator is unsafe to use")]
mod tests {
    use super::*;

    #[test]
    fn a_large_block_is_zero_to_its_last_byte() {
        let layout = Layout::from_size_align(LARGE + 12345, 8).unwrap();
        // SAFETY: the layout has a size, the block is not used after it is freed.
        unsafe {
            let block = HugePages.alloc_zeroed(layout);
            assert!(!block.is_null());
            let bytes = std::slice::from_raw_parts_mut(block, layout.size());
            assert!(bytes.iter().all(|byte| *byte == 0));
            bytes.fill(1);
            HugePages.dealloc(block, layout);
        }
    }
}
