//! The vector registers: whatever was copied last stays in them, up to a kilobyte of it, until something else is. A
//! core has them.

/// Overwrites this thread's vector registers.
pub fn wipe_registers() {
    wipe();
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "no safe code names a register")]
fn wipe() {
    use std::arch::asm;
    let kept = kept();
    // SAFETY: registers only, which are declared as overwritten; each instruction is one that this processor has.
    unsafe {
        if kept & ZMM == ZMM {
            asm!(
                "vpxord zmm16, zmm16, zmm16", "vpxord zmm17, zmm17, zmm17", "vpxord zmm18, zmm18, zmm18",
                "vpxord zmm19, zmm19, zmm19", "vpxord zmm20, zmm20, zmm20", "vpxord zmm21, zmm21, zmm21",
                "vpxord zmm22, zmm22, zmm22", "vpxord zmm23, zmm23, zmm23", "vpxord zmm24, zmm24, zmm24",
                "vpxord zmm25, zmm25, zmm25", "vpxord zmm26, zmm26, zmm26", "vpxord zmm27, zmm27, zmm27",
                "vpxord zmm28, zmm28, zmm28", "vpxord zmm29, zmm29, zmm29", "vpxord zmm30, zmm30, zmm30",
                "vpxord zmm31, zmm31, zmm31",
                out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _,
                out("zmm22") _, out("zmm23") _, out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _,
                out("zmm28") _, out("zmm29") _, out("zmm30") _, out("zmm31") _,
                options(nomem, nostack, preserves_flags),
            );
        }
        if kept & YMM == YMM {
            asm!(
                "vzeroall",
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(nomem, nostack, preserves_flags),
            );
        } else {
            asm!(
                "xorps xmm0, xmm0", "xorps xmm1, xmm1", "xorps xmm2, xmm2", "xorps xmm3, xmm3",
                "xorps xmm4, xmm4", "xorps xmm5, xmm5", "xorps xmm6, xmm6", "xorps xmm7, xmm7",
                "xorps xmm8, xmm8", "xorps xmm9, xmm9", "xorps xmm10, xmm10", "xorps xmm11, xmm11",
                "xorps xmm12, xmm12", "xorps xmm13, xmm13", "xorps xmm14, xmm14", "xorps xmm15, xmm15",
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(nomem, nostack, preserves_flags),
            );
        }
    }
}

/// SSE and AVX, in XCR0.
#[cfg(target_arch = "x86_64")]
const YMM: u64 = 0b110;
/// As [`YMM`], and all three states of AVX-512, which Linux enables only where the processor has its instructions.
#[cfg(target_arch = "x86_64")]
const ZMM: u64 = YMM | 0b1110_0000;

/// Which registers the system keeps for us: XCR0 (Intel SDM, volume 1, sections 13.2 and 13.3). It costs one CPUID; the
/// standard library's detection asks for everything, and in a virtual machine each CPUID is an exit to its host.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "XGETBV is an instruction of its own")]
#[allow(unused_unsafe, reason = "CPUID is safe to newer compilers only")]
fn kept() -> u64 {
    use std::arch::x86_64::{__cpuid, _xgetbv};
    const OSXSAVE: u32 = 1 << 27;

    #[target_feature(enable = "xsave")]
    fn xcr0() -> u64 {
        // SAFETY: register 0 is there wherever XGETBV is.
        unsafe { _xgetbv(0) }
    }
    // SAFETY: every processor of 64 bits has it.
    let has_xsave = unsafe { __cpuid(1) }.ecx & OSXSAVE != 0;
    // SAFETY: by OSXSAVE the processor has XSAVE, and the system has enabled XGETBV.
    if has_xsave { unsafe { xcr0() } } else { 0 }
}

/// Elsewhere the next copy overwrites them.
#[cfg(not(target_arch = "x86_64"))]
fn wipe() {}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use std::arch::is_x86_feature_detected;

    use super::*;

    #[test]
    fn what_is_kept_is_what_the_standard_library_detects() {
        assert_eq!(kept() & YMM == YMM, is_x86_feature_detected!("avx"));
        assert_eq!(kept() & ZMM == ZMM, is_x86_feature_detected!("avx512f"));
    }
}
