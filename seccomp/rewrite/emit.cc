// emit.cc - the bytes of a stub and of the jump to it (see plan.h)
#include "runtime/base/memory.h"
#include "seccomp/rewrite/plan.h"

namespace ocrun {

namespace {

bool distance(u64 from, u64 to, i32* out) {
    i64 d = i64(to - from);
    *out = i32(d);
    return d == i64(*out);
}

}  // namespace

Stub emit_stub(const SitePlan& plan, const u8* moved_bytes, u64 address, u32 entry_pointer, u8* out) {
    Stub stub{};
    u32 at = 0;
    auto put32 = [&](i32 v) {
        memcpy(out + at, &v, 4);
        at += 4;
    };
    for (u32 i = 0; i < plan.count; i++) {
        const MovedInstruction& m = plan.moved[i];
        stub.copies[i] = u8(at);
        u64 target = plan.patch_at + m.offset + m.length + u64(i64(m.relative));
        if (m.condition) {
            out[at++] = 0x0f;
            out[at++] = u8(0x80 | (m.condition & 15));
            i32 d;
            if (!distance(address + at + 4, target, &d)) return stub;
            put32(d);
        } else {
            memcpy(out + at, moved_bytes + m.offset, m.length);
            if (m.displacement_at) {
                i32 d;
                if (!distance(address + at + m.length, target, &d)) return stub;
                memcpy(out + at + m.displacement_at, &d, 4);
            }
            at += m.length;
        }
    }
    stub.copies[plan.count] = u8(at);
    // lea behind_the_site(%rip),%rcx ; jmp *entry_pointer
    out[at++] = 0x48;
    out[at++] = 0x8d;
    out[at++] = 0x0d;
    i32 d;
    if (!distance(address + at + 4, plan.site + 2, &d)) return stub;
    put32(d);
    out[at++] = 0xff;
    out[at++] = 0x24;
    out[at++] = 0x25;
    put32(i32(entry_pointer));
    stub.bytes = at;
    return stub;
}

bool emit_jump(const SitePlan& plan, u64 stub, u8 out[kJumpBytes]) {
    i32 d;
    if (!distance(plan.patch_at + kJumpBytes, stub, &d)) return false;
    out[0] = 0xe9;
    memcpy(out + 1, &d, 4);
    for (u32 i = 1; i < kJumpBytes; i++)
        if ((plan.pun_mask >> i & 1) && out[i] != kTrapByte) return false;
    return true;
}

}  // namespace ocrun
