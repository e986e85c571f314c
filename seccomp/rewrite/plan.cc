// plan.cc - see plan.h
#include "seccomp/rewrite/plan.h"

#include <Zydis/Zydis.h>

#include "runtime/base/memory.h"

namespace ocrun {

namespace {

constexpr u32 kMaxInstruction = 15;
// Offsets reached from at least this share of the starts are instructions, those below the other are not; in between
// nothing is certain.
constexpr u32 kSurePercent = 90, kNeverPercent = 50;
// Starts have this many bytes to fall into step before their votes count.
constexpr u32 kSettleBytes = 48;
constexpr u32 kLeastBefore = 12;

u32 instruction_length(const ZydisDecoder& decoder, const u8* code, u32 room, ZydisDecodedInstruction* out) {
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, nullptr, code, room < kMaxInstruction ? room : kMaxInstruction, out))) return 0;
    return out->length;
}

struct Boundaries {
    bool at[kWindowBefore + 1];
    const char* doubt;
};

// Which offsets of code[0, before] begin an instruction, given that `before` does.
void find_boundaries(const ZydisDecoder& decoder, const u8* code, u32 before, Boundaries* b) {
    u8 length[kWindowBefore];
    u16 votes[kWindowBefore + 1];
    ZydisDecodedInstruction z;
    for (u32 i = 0; i < before; i++) length[i] = u8(instruction_length(decoder, code + i, before + 2 - i, &z));
    memset(votes, 0, sizeof votes);
    u32 starts = before > kSettleBytes ? before - kSettleBytes : before / 2 + 1;
    for (u32 s = 0; s < starts; s++)
        for (u32 i = s; i <= before;) {
            votes[i]++;
            if (i == before) break;
            i += length[i] ? length[i] : 1;
        }
    b->doubt = nullptr;
    // From the start of what counts only those starts can be told that lie before it.
    for (u32 i = 0; i <= before; i++) {
        u32 could = i < starts ? i + 1 : starts, share = votes[i] * 100 / could;
        b->at[i] = share >= kSurePercent;
    }
    if (!b->at[before]) b->doubt = "the instructions before it cannot be told apart";
    b->at[before] = true;
    // Nothing uncertain in the part that will be used: behind the last sure boundaries votes are checked by the caller.
    for (u32 i = before; i-- > starts;) {
        u32 share = votes[i] * 100 / starts;
        if (share >= kNeverPercent && share < kSurePercent) {
            // Whatever lies before an uncertain one is not used.
            for (u32 k = 0; k <= i; k++) b->at[k] = false;
            return;
        }
    }
    for (u32 i = 0; i < starts; i++) b->at[i] = false;
}

// Can a copy of it run elsewhere? Fills what emit_stub must know.
bool relocatable(const ZydisDecodedInstruction& z, MovedInstruction* m) {
    m->length = z.length;
    m->displacement_at = 0;
    m->condition = 0;
    m->relative = 0;
    switch (z.meta.category) {
        case ZYDIS_CATEGORY_CALL:
        case ZYDIS_CATEGORY_RET:
        case ZYDIS_CATEGORY_UNCOND_BR:
        case ZYDIS_CATEGORY_INTERRUPT:
        case ZYDIS_CATEGORY_SYSCALL:
        case ZYDIS_CATEGORY_SYSRET:
        case ZYDIS_CATEGORY_SYSTEM:
            return false;
        default:
            break;
    }
    if (z.raw.imm[0].is_relative) {
        if (z.meta.category != ZYDIS_CATEGORY_COND_BR) return false;
        // Only the jcc forms; loop and jrcxz have no long one.
        if (z.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (z.opcode & 0xf0) == 0x70)
            m->condition = u8(0x80 | (z.opcode & 15));
        else if (z.opcode_map == ZYDIS_OPCODE_MAP_0F && (z.opcode & 0xf0) == 0x80)
            m->condition = u8(0x80 | (z.opcode & 15));
        else
            return false;
        m->relative = i32(z.raw.imm[0].value.s);
        return true;
    }
    if ((z.attributes & ZYDIS_ATTRIB_HAS_MODRM) && z.raw.modrm.mod == 0 && z.raw.modrm.rm == 5) {
        if (z.raw.disp.size != 32 || (z.attributes & ZYDIS_ATTRIB_HAS_ADDRESSSIZE)) return false;
        m->displacement_at = z.raw.disp.offset;
        m->relative = i32(z.raw.disp.value);
    }
    return true;
}

bool is_padding(const ZydisDecodedInstruction& z) {
    return z.meta.category == ZYDIS_CATEGORY_NOP || z.meta.category == ZYDIS_CATEGORY_WIDENOP || z.mnemonic == ZYDIS_MNEMONIC_NOP;
}

// `mov $imm32,%eax`
bool loads_number(const u8* code, u32 length) { return length == 5 && code[0] == 0xb8; }

}  // namespace

SitePlan plan_site(const u8* code, u32 before, u64 site, u64 number) {
    SitePlan plan{};
    plan.site = site;
    auto refuse = [&](const char* why) {
        plan.tactic = Tactic::none;
        plan.refused = why;
        return plan;
    };
    if (code[before] != 0x0f || code[before + 1] != 0x05) return refuse("it is no `syscall` instruction");
    if (before > kWindowBefore) {
        code += before - kWindowBefore;
        before = kWindowBefore;
    }
    if (before < kLeastBefore) return refuse("its mapping begins too close before it");
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    Boundaries b;
    find_boundaries(decoder, code, before, &b);
    if (b.doubt) return refuse(b.doubt);

    // Walk back over relocatable instructions; moved[] is filled from its end.
    MovedInstruction back[kMaxMoved];
    u32 n = 0, at = before;
    u32 window = 0;  // instructions of the smallest window of five bytes, once found
    while (n < kMaxMoved) {
        u32 start = at;
        while (start > 0 && at - start < kMaxInstruction && !b.at[start - 1]) start--;
        if (start == 0 || !b.at[--start]) break;
        ZydisDecodedInstruction z;
        if (instruction_length(decoder, code + start, at - start, &z) != at - start) break;
        MovedInstruction m{};
        if (!relocatable(z, &m)) break;
        m.offset = u8(before - start);  // from the site backwards, for now
        if (loads_number(code + start, m.length) && n == 0) {
            u32 immediate;
            memcpy(&immediate, code + start + 1, 4);
            if (immediate != number) return refuse("its number is not the one that stands before it");
        }
        back[n++] = m;
        at = start;
        if (m.length >= kJumpBytes && !is_padding(z)) {
            plan.tactic = n == 1 && loads_number(code + start, m.length) ? Tactic::mov_imm : Tactic::upstream;
            break;
        }
        if (!window && before - start >= kJumpBytes) window = n;
    }
    if (plan.tactic == Tactic::none) {
        if (!window) return refuse("no instruction before it can be moved");
        plan.tactic = Tactic::window;
        n = window;
        // Inner boundaries inside the jump have to be invalid opcodes.
        u32 first = back[n - 1].offset;
        for (u32 i = 0; i + 1 < n; i++)
            if (u32 inner = first - back[i].offset; inner < kJumpBytes) plan.pun_mask |= u8(1u << inner);
    }
    u32 first = back[n - 1].offset;
    plan.patch_at = site - first;
    plan.count = u8(n);
    for (u32 i = 0; i < n; i++) {
        plan.moved[i] = back[n - 1 - i];
        plan.moved[i].offset = u8(first - plan.moved[i].offset);
    }
    return plan;
}

}  // namespace ocrun
