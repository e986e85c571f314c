// filter_eval.cc - checking and running classic BPF (see filter_eval.h)
#include "seccomp/filter_eval.h"

#include <linux/bpf_common.h>

namespace ocrun {
namespace {

constexpr unsigned kScratchWords = BPF_MEMWORDS;
constexpr u32 kDataBytes = sizeof(seccomp_data);
static_assert(kScratchWords == 16, "the set of written words is a u16");

// The opcodes of seccomp's own list; everything else, also what socket filters may use, is refused.
bool opcode_allowed(u16 code) {
    switch (code) {
        case BPF_LD | BPF_W | BPF_ABS:
        case BPF_LD | BPF_W | BPF_LEN:
        case BPF_LDX | BPF_W | BPF_LEN:
        case BPF_LD | BPF_IMM:
        case BPF_LDX | BPF_IMM:
        case BPF_LD | BPF_MEM:
        case BPF_LDX | BPF_MEM:
        case BPF_ST:
        case BPF_STX:
        case BPF_MISC | BPF_TAX:
        case BPF_MISC | BPF_TXA:
        case BPF_RET | BPF_K:
        case BPF_RET | BPF_A:
        case BPF_ALU | BPF_NEG:
        case BPF_JMP | BPF_JA:
            return true;
    }
    if (code > 0xff) return false;
    switch (code & ~u16(BPF_X)) {
        case BPF_JMP | BPF_JEQ:
        case BPF_JMP | BPF_JGT:
        case BPF_JMP | BPF_JGE:
        case BPF_JMP | BPF_JSET:
        case BPF_ALU | BPF_ADD:
        case BPF_ALU | BPF_SUB:
        case BPF_ALU | BPF_MUL:
        case BPF_ALU | BPF_DIV:
        case BPF_ALU | BPF_AND:
        case BPF_ALU | BPF_OR:
        case BPF_ALU | BPF_XOR:
        case BPF_ALU | BPF_LSH:
        case BPF_ALU | BPF_RSH:
            return true;
    }
    return false;
}

bool operand_allowed(const sock_filter& insn, unsigned left) {
    switch (insn.code) {
        case BPF_LD | BPF_W | BPF_ABS:
            return insn.k < kDataBytes && (insn.k & 3) == 0;
        case BPF_LD | BPF_MEM:
        case BPF_LDX | BPF_MEM:
        case BPF_ST:
        case BPF_STX:
            return insn.k < kScratchWords;
        case BPF_ALU | BPF_DIV | BPF_K:
            return insn.k != 0;
        case BPF_ALU | BPF_LSH | BPF_K:
        case BPF_ALU | BPF_RSH | BPF_K:
            return insn.k < 32;
        case BPF_JMP | BPF_JA:
            return insn.k < left;
    }
    if (BPF_CLASS(insn.code) == BPF_JMP) return insn.jt < left && insn.jf < left;
    return true;
}

// One forward pass suffices because no jump goes back: `written` is what every path to here has stored.
bool scratch_written_before_read(const sock_filter* program, unsigned n) {
    u16 at_entry[BPF_MAXINSNS];
    for (unsigned i = 0; i < n; i++) at_entry[i] = 0xffff;
    u16 written = 0;
    for (unsigned pc = 0; pc < n; pc++) {
        const sock_filter& insn = program[pc];
        written &= at_entry[pc];
        switch (BPF_CLASS(insn.code)) {
            case BPF_ST:
            case BPF_STX:
                written |= u16(1u << insn.k);
                break;
            case BPF_LD:
            case BPF_LDX:
                if (BPF_MODE(insn.code) == BPF_MEM && !(written >> insn.k & 1)) return false;
                break;
            case BPF_JMP:
                if (insn.code == (BPF_JMP | BPF_JA)) {
                    at_entry[pc + 1 + insn.k] &= written;
                } else {
                    at_entry[pc + 1 + insn.jt] &= written;
                    at_entry[pc + 1 + insn.jf] &= written;
                }
                written = 0xffff;  // the next instruction is reached by jumps only, whose sets it has already
                break;
        }
    }
    return true;
}

u32 data_word(const seccomp_data& data, u32 offset) {
    // The struct is plain words; the offset was checked to be aligned and inside.
    return *(const volatile u32*)((const char*)&data + offset);
}

}  // namespace

bool filter_valid(const sock_filter* program, unsigned n) {
    if (n == 0 || n > BPF_MAXINSNS) return false;
    for (unsigned pc = 0; pc < n; pc++)
        if (!opcode_allowed(program[pc].code) || !operand_allowed(program[pc], n - pc - 1)) return false;
    if (BPF_CLASS(program[n - 1].code) != BPF_RET) return false;
    return scratch_written_before_read(program, n);
}

u32 filter_eval(const sock_filter* program, unsigned n, const seccomp_data& data) {
    u32 a = 0, x = 0;
    u32 scratch[kScratchWords];
    for (u32& word : scratch) word = 0;
    for (unsigned pc = 0; pc < n; pc++) {
        const sock_filter& insn = program[pc];
        const u32 k = insn.k;
        const u32 operand = BPF_SRC(insn.code) == BPF_X ? x : k;
        switch (BPF_CLASS(insn.code)) {
            case BPF_LD:
            case BPF_LDX: {
                u32 value = k;
                if (BPF_MODE(insn.code) == BPF_ABS) value = data_word(data, k);
                if (BPF_MODE(insn.code) == BPF_LEN) value = kDataBytes;
                if (BPF_MODE(insn.code) == BPF_MEM) value = scratch[k];
                (BPF_CLASS(insn.code) == BPF_LD ? a : x) = value;
                break;
            }
            case BPF_ST:
                scratch[k] = a;
                break;
            case BPF_STX:
                scratch[k] = x;
                break;
            case BPF_MISC:
                if (BPF_MISCOP(insn.code) == BPF_TAX)
                    x = a;
                else
                    a = x;
                break;
            case BPF_RET:
                return BPF_RVAL(insn.code) == BPF_A ? a : k;
            case BPF_ALU:
                switch (BPF_OP(insn.code)) {
                    case BPF_ADD:
                        a += operand;
                        break;
                    case BPF_SUB:
                        a -= operand;
                        break;
                    case BPF_MUL:
                        a *= operand;
                        break;
                    case BPF_DIV:
                        if (operand == 0) return SECCOMP_RET_KILL_THREAD;
                        a /= operand;
                        break;
                    case BPF_AND:
                        a &= operand;
                        break;
                    case BPF_OR:
                        a |= operand;
                        break;
                    case BPF_XOR:
                        a ^= operand;
                        break;
                    // The kernel's translation shifts 32-bit registers: only the low five bits count.
                    case BPF_LSH:
                        a <<= operand & 31;
                        break;
                    case BPF_RSH:
                        a >>= operand & 31;
                        break;
                    case BPF_NEG:
                        a = 0 - a;
                        break;
                }
                break;
            case BPF_JMP: {
                if (BPF_OP(insn.code) == BPF_JA) {
                    pc += k;
                    break;
                }
                bool taken = false;
                switch (BPF_OP(insn.code)) {
                    case BPF_JEQ:
                        taken = a == operand;
                        break;
                    case BPF_JGT:
                        taken = a > operand;
                        break;
                    case BPF_JGE:
                        taken = a >= operand;
                        break;
                    case BPF_JSET:
                        taken = (a & operand) != 0;
                        break;
                }
                pc += taken ? insn.jt : insn.jf;
                break;
            }
        }
    }
    return SECCOMP_RET_KILL_THREAD;  // only a program that filter_valid() refuses gets here
}

}  // namespace ocrun
