//! Products with `tdpbf16ps` of AMX: each instruction adds, to sixteen rows and columns of float32 sums, the products
//! of 32 bfloat16 numbers each.
//!
//! Two tiles of rows and the two tiles of a panel are four tiles of sums; the other four hold a step of each. All of k
//! goes through before a sum is stored. Intrinsics and detection are unstable in Rust, so that both are written in
//! assembly here. The state of tiles belongs to a thread: it is configured and released within a task.

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(super) use elsewhere::{is_available, multiply_panels};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(super) use linux::{is_available, multiply_panels};

/// Rows of a tile.
pub(super) const TILE: usize = 16;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[allow(unsafe_code)]
mod linux {
    use std::arch::asm;
    use std::arch::x86_64::__cpuid_count;
    use std::marker::PhantomData;
    use std::sync::OnceLock;

    use super::TILE;
    use crate::flex::packed::{LINES, Line, STEP};

    /// Rows whose sums are in tiles together.
    const TOGETHER: usize = 2 * TILE;
    /// Bytes of a tile of operands or of sums.
    const BYTES: usize = 1024;

    /// Whether the processor has the instructions, the system saves their registers and lets this process use them.
    pub(in crate::flex) fn is_available() -> bool {
        static AVAILABLE: OnceLock<bool> = OnceLock::new();
        *AVAILABLE.get_or_init(|| has_instructions() && saves_tiles() && is_permitted())
    }

    /// CPUID leaf 7: AMX-BF16 is bit 22 of EDX, AMX-TILE bit 24.
    fn has_instructions() -> bool {
        let wanted = 1 << 22 | 1 << 24;
        __cpuid_count(0, 0).eax >= 7 && __cpuid_count(7, 0).edx & wanted == wanted
    }

    /// The system has enabled both parts of the tiles' state, bits 17 and 18 of XCR0, which can be read if bit 27 of
    /// ECX is set in leaf 1 (OSXSAVE).
    fn saves_tiles() -> bool {
        if __cpuid_count(1, 0).ecx & 1 << 27 == 0 {
            return false;
        }
        let low: u32;
        // SAFETY: OSXSAVE says that the instruction may be used; it only writes EDX and EAX.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") _, options(nomem, nostack, preserves_flags));
        }
        let wanted = 1 << 17 | 1 << 18;
        low & wanted == wanted
    }

    /// Asks Linux for the larger state, once for all threads of the process.
    fn is_permitted() -> bool {
        const ARCH_PRCTL: usize = 158;
        const REQUEST: usize = 0x1023;
        const TILE_DATA: usize = 18;
        let status: isize;
        // SAFETY: a system call that reads and writes no memory of this process; `syscall` overwrites RCX and R11.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => status,
                in("rdi") REQUEST,
                in("rsi") TILE_DATA,
                out("rcx") _,
                out("r11") _,
                options(nostack),
            );
        }
        status == 0
    }

    /// Shapes of the eight tiles, as `ldtilecfg` reads them.
    #[repr(C, align(64))]
    struct Shapes {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes_a_row: [u16; 16],
        rows: [u8; 16],
    }

    /// The tiles of this thread, configured until it is dropped.
    struct Tiles {
        /// Not to be sent to another thread.
        thread: PhantomData<*const ()>,
    }

    impl Tiles {
        /// Tiles 0 to 3 are sums, 4 and 5 hold rows, 6 and 7 a panel. The first tile of rows and its sums have `rows`
        /// rows.
        fn new(rows: usize) -> Self {
            assert!(is_available(), "multiply_panels: no AMX here");
            assert!((1..=TILE).contains(&rows), "a tile of {rows} rows");
            let mut shapes = Shapes {
                palette: 1,
                start_row: 0,
                reserved: [0; 14],
                bytes_a_row: [0; 16],
                rows: [0; 16],
            };
            shapes.bytes_a_row[..8].fill(64);
            shapes.rows[..8].fill(TILE as u8);
            for tile in [0, 1, 4] {
                shapes.rows[tile] = rows as u8;
            }
            // SAFETY: the process may use the instructions, and these are the 64 bytes that it reads.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shapes, options(nostack, preserves_flags, readonly)) };
            Self { thread: PhantomData }
        }
    }

    impl Drop for Tiles {
        fn drop(&mut self) {
            // SAFETY: only made where the instructions may be used.
            unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) };
        }
    }

    /// Sums of up to 32 rows and 32 columns.
    #[repr(C, align(64))]
    struct Sums([[f32; STEP]; TOGETHER]);

    /// Writes the products of all rows with some panels to `out`, a piece of columns for each row; columns beyond a
    /// piece's end are left out. Operands have `parts` parts. `left` holds sixteen rows after sixteen rows: of each
    /// step and of each part a line of every row; what it has beyond the last row may be anything.
    pub(in crate::flex) fn multiply_panels(left: &[Line], panels: &[Line], parts: usize, out: &mut [&mut [f32]]) {
        let Some(width) = out.first().map(|out| out.len()) else {
            return;
        };
        let tiles = out.len().div_ceil(TILE);
        let count = width.div_ceil(STEP);
        // A step's lines of a tile of rows, and of a panel.
        let (rows_step, panel_step) = (parts * TILE, parts * LINES);
        let steps = left.len() / (tiles * rows_step);
        assert!(
            matches!(parts, 1 | 2)
                && left.len() == tiles * steps * rows_step
                && panels.len() == count * steps * panel_step,
            "multiply_panels: {} lines of {} rows with {} lines of {count} panels, {parts} parts",
            left.len(),
            out.len(),
            panels.len()
        );
        let first = out.len().min(TILE);
        let _tiles = Tiles::new(first);
        let mut sums = Sums([[0.0; STEP]; TOGETHER]);
        for (number, panel) in panels.chunks_exact(steps * panel_step).enumerate() {
            // The lines of the next panel that are fetched beside this one's: all of them in eight blocks of rows.
            let next = panel.as_ptr_range().end;
            let blocks = left.chunks(2 * steps * rows_step).zip(out.chunks_mut(TOGETHER));
            for (block, (rows, out)) in blocks.enumerate() {
                let next = next.wrapping_add(4 * block % panel_step);
                let first = rows.as_ptr();
                let is_one = out.len() <= TILE;
                let second = if is_one {
                    first
                } else {
                    rows[steps * rows_step..].as_ptr()
                };
                let operands = Operands {
                    rows: [first, second],
                    panel: panel.as_ptr(),
                    next,
                    steps,
                };
                // SAFETY: tiles are configured; the rows have `steps` steps of each part for one tile or for two, the
                // panel as many; nothing but a hint is made of `next`.
                unsafe {
                    match (parts, is_one) {
                        (1, true) => one_tile(operands, &mut sums),
                        (1, false) => two_tiles(operands, &mut sums),
                        (_, true) => one_split_tile(operands, &mut sums),
                        (_, false) => two_split_tiles(operands, &mut sums),
                    }
                }
                let from = number * STEP;
                for (out, sums) in out.iter_mut().zip(&sums.0) {
                    let end = out.len().min(from + STEP);
                    out[from..end].copy_from_slice(&sums[..end - from]);
                }
            }
        }
    }

    /// Where a block's operands lie.
    #[derive(Clone, Copy)]
    struct Operands {
        /// Steps of the first tile of rows, and of the second one, which may be the first again where it is not read.
        rows: [*const Line; 2],
        /// Steps of the panel.
        panel: *const Line,
        /// What is fetched beside them.
        next: *const Line,
        steps: usize,
    }

    /// A function that adds up all steps of a block, with the instructions of one step and those that store the sums.
    macro_rules! block {
        ($name:ident, $parts:literal parts: $($step:literal)*; $($store:literal)*) => {
            /// # Safety
            /// Tiles are configured; of `rows` those that it reads have a tile for each step and each part, and `panel`
            /// two.
            unsafe fn $name(operands: Operands, sums: &mut Sums) {
                // SAFETY: reads what the caller warrants, writes the sums.
                unsafe {
                    asm!(
                        "tilezero tmm0",
                        "tilezero tmm1",
                        "tilezero tmm2",
                        "tilezero tmm3",
                        "2:",
                        $($step,)*
                        "prefetcht1 [{next}]",
                        "prefetcht1 [{next} + 64]",
                        "prefetcht1 [{next} + 128]",
                        "prefetcht1 [{next} + 192]",
                        "add {first}, {rows_step}",
                        "add {second}, {rows_step}",
                        "add {panel}, {panel_step}",
                        "add {next}, {panel_step}",
                        "dec {steps}",
                        "jnz 2b",
                        "add {line}, {line}",
                        $($store,)*
                        first = inout(reg) operands.rows[0] => _,
                        second = inout(reg) operands.rows[1] => _,
                        panel = inout(reg) operands.panel => _,
                        next = inout(reg) operands.next => _,
                        steps = inout(reg) operands.steps => _,
                        line = inout(reg) size_of::<Line>() => _,
                        sums = in(reg) sums,
                        tile = const BYTES,
                        rows_step = const $parts * BYTES,
                        panel_step = const $parts * 2 * BYTES,
                        options(nostack),
                    );
                }
            }
        };
    }

    block!(two_tiles, 1 parts:
        "tileloadd tmm4, [{first} + {line}*1]"
        "tileloadd tmm6, [{panel} + {line}*1]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm7, [{panel} + {line}*1 + {tile}]"
        "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm5, [{second} + {line}*1]"
        "tdpbf16ps tmm2, tmm5, tmm6"
        "tdpbf16ps tmm3, tmm5, tmm7";
        "tilestored [{sums} + {line}*1], tmm0"
        "tilestored [{sums} + {line}*1 + 64], tmm1"
        "tilestored [{sums} + {line}*1 + 2*{tile}], tmm2"
        "tilestored [{sums} + {line}*1 + 2*{tile} + 64], tmm3");

    block!(one_tile, 1 parts:
        "tileloadd tmm4, [{first} + {line}*1]"
        "tileloadd tmm6, [{panel} + {line}*1]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm7, [{panel} + {line}*1 + {tile}]"
        "tdpbf16ps tmm1, tmm4, tmm7";
        "tilestored [{sums} + {line}*1], tmm0"
        "tilestored [{sums} + {line}*1 + 64], tmm1");

    // Low parts of rows with high parts of the panel, high ones with high ones, high ones with low ones.
    block!(two_split_tiles, 2 parts:
        "tileloadd tmm4, [{first} + {line}*1 + {tile}]"
        "tileloadd tmm6, [{panel} + {line}*1]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm7, [{panel} + {line}*1 + {tile}]"
        "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm5, [{second} + {line}*1 + {tile}]"
        "tdpbf16ps tmm2, tmm5, tmm6"
        "tdpbf16ps tmm3, tmm5, tmm7"
        "tileloadd tmm4, [{first} + {line}*1]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm5, [{second} + {line}*1]"
        "tdpbf16ps tmm2, tmm5, tmm6"
        "tdpbf16ps tmm3, tmm5, tmm7"
        "tileloadd tmm6, [{panel} + {line}*1 + 2*{tile}]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tdpbf16ps tmm2, tmm5, tmm6"
        "tileloadd tmm7, [{panel} + {line}*1 + 3*{tile}]"
        "tdpbf16ps tmm1, tmm4, tmm7"
        "tdpbf16ps tmm3, tmm5, tmm7";
        "tilestored [{sums} + {line}*1], tmm0"
        "tilestored [{sums} + {line}*1 + 64], tmm1"
        "tilestored [{sums} + {line}*1 + 2*{tile}], tmm2"
        "tilestored [{sums} + {line}*1 + 2*{tile} + 64], tmm3");

    block!(one_split_tile, 2 parts:
        "tileloadd tmm4, [{first} + {line}*1 + {tile}]"
        "tileloadd tmm6, [{panel} + {line}*1]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm7, [{panel} + {line}*1 + {tile}]"
        "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm4, [{first} + {line}*1]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tdpbf16ps tmm1, tmm4, tmm7"
        "tileloadd tmm6, [{panel} + {line}*1 + 2*{tile}]"
        "tdpbf16ps tmm0, tmm4, tmm6"
        "tileloadd tmm7, [{panel} + {line}*1 + 3*{tile}]"
        "tdpbf16ps tmm1, tmm4, tmm7";
        "tilestored [{sums} + {line}*1], tmm0"
        "tilestored [{sums} + {line}*1 + 64], tmm1");
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod elsewhere {
    use crate::flex::packed::Line;

    pub(in crate::flex) fn is_available() -> bool {
        false
    }

    pub(in crate::flex) fn multiply_panels(_: &[Line], _: &[Line], _: usize, _: &mut [&mut [f32]]) {
        unreachable!("only used where it is available")
    }
}
