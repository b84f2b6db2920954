//! Products of tiles with Intel AMX.
//!
//! A block of the product takes four tile registers, two tiles each way, so that every tile read is multiplied twice;
//! `tdpbf16ps` rounds its sums to nearest even and takes subnormals for zeros.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18 (AMX), volume 2
//! (`LDTILECFG`, `TILELOADD`, `TDPBF16PS`); the permission: Linux, `Documentation/arch/x86/xstate.rst`.

use core::arch::asm;
use core::arch::x86_64::__cpuid_count;
use core::marker::PhantomData;

use super::tiles::{BLOCK, Kernel, Step, check_block};
use crate::MatrixMut;

/// Whether this machine has tiles with bf16 products and the operating system lets this process use them.
pub(super) fn available() -> bool {
    const TILE_AND_BF16: u32 = 1 << 24 | 1 << 22;
    let features = __cpuid_count(7, 0).edx;
    features & TILE_AND_BF16 == TILE_AND_BF16 && permitted()
}

/// Asks Linux for the tile registers: `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_PRCTL: isize = 158;
    let result: isize;
    // SAFETY: this call takes two numbers, touches no memory of ours and clobbers what every `syscall` clobbers.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") 0x1023,
            in("rsi") 18,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// The operand of `ldtilecfg`.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    line_bytes: [u16; 16],
    lines: [u8; 16],
}

/// Eight registers of sixteen lines of 64 bytes each.
static WHOLE_TILES: Configuration = Configuration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    line_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    lines: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// The tile registers of this thread, whole tiles all, for as long as this lives.
pub(super) struct Amx(PhantomData<*mut ()>);

impl Amx {
    /// Sets up the tile registers.
    ///
    /// # Safety
    /// [`available`] has returned true, and no other `Amx` of this thread lives.
    pub(super) unsafe fn new() -> Self {
        // SAFETY: the caller has the permission; the operand is a valid configuration of palette 1; the tiles, which
        // this clears, are among the clobbers of a call.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const WHOLE_TILES, clobber_abi("sysv64"), options(nostack)) };
        Self(PhantomData)
    }
}

impl Drop for Amx {
    /// Gives the registers back, so that a switch of threads need not save them.
    fn drop(&mut self) {
        // SAFETY: this value stands for configured tiles, which nothing uses after it.
        unsafe { asm!("tilerelease", clobber_abi("sysv64"), options(nostack)) };
    }
}

/// Has the lines of a block come to this core while its sums are made: a store that misses holds up all after it.
fn fetch_for_writing(out: &mut MatrixMut<'_, f32>) {
    for row in 0..BLOCK {
        let line = out.row(row).as_ptr();
        // SAFETY: a prefetch changes no value and does not fault, whatever the address.
        unsafe { asm!("prefetchw [{0}]", "prefetchw [{0} + 64]", in(reg) line, options(nostack, preserves_flags)) };
    }
}

impl Kernel for Amx {
    fn block(&self, mut out: MatrixMut<'_, f32>, left: &[Step], right: &[Step], accumulate: bool) {
        check_block(&out, left, right);
        fetch_for_writing(&mut out);
        let (stride, out) = (out.stride(), out.as_mut_ptr());
        let line = stride * size_of::<f32>();
        // SAFETY: the tiles are set up while `self` lives. All reads lie in the `left.len()` steps of two tiles of
        // 1 KiB each that both operands have, and all reads and writes of `out` in the 32 rows of 32 values that
        // `check_block` has seen in it.
        unsafe {
            asm!(
                "test {accumulate:e}, {accumulate:e}",
                "jz 2f",
                "tileloadd tmm0, [{top} + {line}]",
                "tileloadd tmm1, [{top} + {line} + 64]",
                "tileloadd tmm2, [{bottom} + {line}]",
                "tileloadd tmm3, [{bottom} + {line} + 64]",
                "jmp 3f",
                "2:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "3:",
                "tileloadd tmm6, [{right} + {packed}]",
                "tileloadd tmm4, [{left} + {packed}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{right} + {packed} + 1024]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{left} + {packed} + 1024]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {left}, 2048",
                "add {right}, 2048",
                "dec {steps}",
                "jnz 3b",
                "tilestored [{top} + {line}], tmm0",
                "tilestored [{top} + {line} + 64], tmm1",
                "tilestored [{bottom} + {line}], tmm2",
                "tilestored [{bottom} + {line} + 64], tmm3",
                accumulate = in(reg) u32::from(accumulate),
                top = in(reg) out,
                bottom = in(reg) out.wrapping_add(BLOCK / 2 * stride),
                line = in(reg) line,
                packed = in(reg) 64_usize,
                left = inout(reg) left.as_ptr() => _,
                right = inout(reg) right.as_ptr() => _,
                steps = inout(reg) left.len() => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}
