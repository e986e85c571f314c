// plan.h - how one system call site can be rewritten: pure functions over code bytes
//
// The `syscall` instruction itself is never touched. An earlier instruction becomes a 5-byte `jmp` to a stub, which runs
// copies of what stood between and enters the runtime instead of the kernel. So branches to the `syscall`, threads that
// wait in it and the kernel's restarts (RIP - 2) find what they always found, and get there by the trap.
//
//   mov_imm   `mov $number,%eax` directly before the `syscall`
//   upstream  the nearest instruction of at least five bytes, over relocatable ones
//   window    several short instructions together; where one of the inner ones begins inside the jump, the jump's byte
//             there is 0x06, an invalid opcode: whoever goes there faults and is sent to the copy
#pragma once
#include "runtime/base/syscall.h"

namespace ocrun {

enum class Tactic : u8 { none, mov_imm, upstream, window };

inline constexpr u32 kJumpBytes = 5;       // e9 rel32
inline constexpr u8 kTrapByte = 0x06;      // push %es: invalid in 64-bit mode
inline constexpr u32 kMaxMoved = 10;       // instructions a stub copies at most
inline constexpr u32 kWindowBefore = 192;  // bytes before the site that plan_site likes to see
inline constexpr u32 kStubBytes = 128;     // room of one stub

struct MovedInstruction {
    u8 offset;  // from SitePlan::patch_at
    u8 length;
    u8 displacement_at;  // offset of a RIP-relative displacement inside the instruction; 0: none
    u8 condition;        // a conditional jump: its condition code | 0x80; 0: not one
    i32 relative;        // displacement, or the jump's distance, from the end of the instruction
};

struct SitePlan {
    Tactic tactic;
    u8 count;     // moved instructions
    u8 pun_mask;  // bit i: byte i of the jump must be kTrapByte
    u64 site;     // address of the `syscall`
    u64 patch_at;
    MovedInstruction moved[kMaxMoved];
    const char* refused;  // why, when tactic is none: constant text
};

// `code` holds `before` bytes that end where the site begins, and the two of the site. `number` is what rax held when the
// site trapped. Instruction boundaries are found by decoding from many starts: true ones are reached from (nearly) all.
SitePlan plan_site(const u8* code, u32 before, u64 site, u64 number);

struct Stub {
    u32 bytes;  // 0: does not fit, or something is out of reach
    u8 copies[kMaxMoved + 1];  // where each copy begins; last: where the entry code begins
};
// Writes the stub for `address` into `out` (kStubBytes). `entry_pointer` is the address (below 2 GiB) of a pointer to the
// runtime's entry.
Stub emit_stub(const SitePlan& plan, const u8* moved_bytes, u64 address, u32 entry_pointer, u8* out);

// The jump at plan.patch_at to `stub`; false when out of reach or a punned byte does not come out.
bool emit_jump(const SitePlan& plan, u64 stub, u8 out[kJumpBytes]);

}  // namespace ocrun
