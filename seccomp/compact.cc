// compact.cc - see compact.h
#include "seccomp/compact.h"

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <cstddef>
#include <map>
#include <set>

namespace ocrun {
namespace {

constexpr u32 kNr = offsetof(seccomp_data, nr), kArch = offsetof(seccomp_data, arch);
constexpr u16 kLoad = BPF_LD | BPF_W | BPF_ABS, kAnd = BPF_ALU | BPF_AND | BPF_K, kJump = BPF_JMP | BPF_JA, kReturn = BPF_RET | BPF_K;
constexpr u16 kEqual = BPF_JMP | BPF_JEQ | BPF_K, kGreater = BPF_JMP | BPF_JGT | BPF_K, kNotLess = BPF_JMP | BPF_JGE | BPF_K;
constexpr size_t kShort = 255;  // the farthest a conditional jump reaches

using Program = std::vector<sock_filter>;

bool is_test(const sock_filter& i) { return i.code == kEqual || i.code == kGreater || i.code == kNotLess; }

bool holds(const sock_filter& test, u32 a) {
    return test.code == kEqual ? a == test.k : test.code == kGreater ? a > test.k : a >= test.k;
}

// Where a call of this architecture and number gets to: a return, or the first look at an argument. -1: not understood.
int fate(const Program& p, u32 arch, u32 nr, std::set<u32>* bounds) {
    u32 a = 0;
    bool of_nr = false;
    for (size_t pc = 0; pc < p.size();) {
        const sock_filter& i = p[pc];
        if (i.code == kReturn) return int(pc);
        if (i.code == kLoad) {
            if (i.k != kNr && i.k != kArch) return int(pc);
            of_nr = i.k == kNr;
            a = of_nr ? nr : arch;
            pc++;
        } else if (i.code == kJump) {
            pc += 1 + i.k;
        } else if (is_test(i)) {
            // A test of the number splits the numbers here.
            if (bounds && of_nr && i.code != kGreater && i.k) bounds->insert(i.k);
            if (bounds && of_nr && i.code != kNotLess && i.k != ~0u) bounds->insert(i.k + 1);
            pc += 1 + (holds(i, a) ? i.jt : i.jf);
        } else {
            return -1;
        }
    }
    return -1;
}

// `ld x; and 0; jeq 0` always jumps. The result may begin with jumps and such tests itself.
size_t skip_idle(const Program& p, size_t pc) {
    for (;;) {
        if (p[pc].code == kJump) {
            pc += 1 + p[pc].k;
        } else if (pc + 2 < p.size() && p[pc].code == kLoad && p[pc + 1].code == kAnd && !p[pc + 1].k && p[pc + 2].code == kEqual && !p[pc + 2].k) {
            size_t to = pc + 3 + p[pc + 2].jt;
            if (p[to].code != kLoad && p[to].code != kReturn && p[to].code != kJump) return pc;  // what follows wants the value
            pc = to;
        } else {
            return pc;
        }
    }
}

// The conditional part: every instruction reachable from `pc`, in the order of the original (jumps go forwards only).
void collect(const Program& p, size_t pc, std::set<size_t>* out) {
    pc = skip_idle(p, pc);
    if (!out->insert(pc).second || p[pc].code == kReturn) return;
    if (is_test(p[pc])) {
        collect(p, pc + 1 + p[pc].jt, out);
        collect(p, pc + 1 + p[pc].jf, out);
    } else {
        collect(p, pc + 1, out);
    }
}

struct Range {
    u32 first;
    size_t fate;  // in the old program: a return, or the first instruction of a conditional part
};

class Writer {
public:
    explicit Writer(const Program& old) : old_(old) {}

    // A tree over ranges [from, to). Returns are reached directly, conditional parts, which lie farther off, by a jump.
    void tree(const std::vector<Range>& ranges, size_t from, size_t to) {
        if (to - from == 1) {
            emit(BPF_STMT(kJump, 0), ranges[from].fate, kNone);
            return;
        }
        size_t middle = (from + to) / 2, at = out_.size();
        bool left = is_leaf(ranges, from, middle), right = is_leaf(ranges, middle, to);
        emit(BPF_JUMP(kNotLess, ranges[middle].first, 0, 0), left ? ranges[from].fate : kNone, right ? ranges[middle].fate : kNone);
        if (!left) tree(ranges, from, middle);
        if (right) return;
        ends_[at].inner_yes = out_.size();
        tree(ranges, middle, to);
    }

    // The old instruction.
    void copy(size_t pc) {
        const sock_filter& i = old_[pc];
        place_[pc] = out_.size();
        if (is_test(i)) emit(i, pc + 1 + i.jf, pc + 1 + i.jt);
        else emit(i, pc + 1, kNone);
    }

    void load(u32 offset) { out_.push_back(BPF_STMT(kLoad, offset)); }
    void test_equal(u32 value, size_t otherwise) { emit(BPF_JUMP(kEqual, value, 0, 0), otherwise, kNone); }

    // Both kinds of return, for what lies before and close enough.
    void returns() {
        for (const sock_filter& i : old_)
            if (i.code == kReturn && (returns_[i.k].empty() || returns_[i.k].back() < round_)) {
                returns_[i.k].push_back(out_.size());
                out_.push_back(i);
            }
        round_ = out_.size();
    }

    // Sets the jumps; false: one would be too far or backwards.
    bool finish(Program* out) {
        for (auto& [at, ends] : ends_) {
            sock_filter& i = out_[at];
            size_t no = ends.no == kNone ? at + 1 : where(ends.no, at);
            size_t yes = ends.inner_yes ? ends.inner_yes : ends.yes == kNone ? at + 1 : where(ends.yes, at);
            if (no <= at || yes <= at) return false;
            no -= at + 1, yes -= at + 1;
            if (i.code == kJump) {
                i.k = u32(no);
            } else if (!is_test(i)) {
                if (no) return false;  // has to be followed by what followed it
            } else {
                if (no > kShort || yes > kShort) return false;
                i.jt = u8(yes), i.jf = u8(no);
            }
        }
        *out = out_;
        return true;
    }

private:
    static constexpr size_t kNone = ~size_t(0);  // the instruction behind
    struct Ends {
        size_t no, yes;  // in the old program
        size_t inner_yes;
    };

    bool is_leaf(const std::vector<Range>& ranges, size_t from, size_t to) const {
        return to - from == 1 && old_[ranges[from].fate].code == kReturn;
    }

    void emit(const sock_filter& i, size_t no, size_t yes) {
        ends_[out_.size()] = {no, yes, 0};
        out_.push_back(i);
    }

    // 0: nowhere behind `from`.
    size_t where(size_t pc, size_t from) const {
        pc = skip_idle(old_, pc);
        if (old_[pc].code == kReturn) {
            for (size_t at : returns_.at(old_[pc].k))
                if (at > from) return at;
            return 0;
        }
        auto found = place_.find(pc);
        return found == place_.end() ? 0 : found->second;
    }

    const Program& old_;
    Program out_;
    size_t round_ = 0;
    std::map<size_t, Ends> ends_;
    std::map<size_t, size_t> place_;
    std::map<u32, std::vector<size_t>> returns_;
};

}  // namespace

Program compact(const Program& p) {
    if (p.size() < 4 || p[0].code != kLoad || p[0].k != kArch || p[1].code != kEqual || p[1].k != AUDIT_ARCH_X86_64 || p[1].jt) return p;
    for (const sock_filter& i : p)
        if (i.code != kReturn && i.code != kLoad && i.code != kAnd && i.code != kJump && !is_test(i)) return p;
    size_t foreign = skip_idle(p, 2 + p[1].jf);
    if (p[foreign].code != kReturn) return p;

    // Every number at which some test of the number changes its answer begins a range. Tests are met on the way of a number only,
    // so numbers are followed until no new bounds appear.
    std::set<u32> bounds{0};
    for (size_t before = 0; before != bounds.size();) {
        before = bounds.size();
        for (u32 nr : std::set<u32>(bounds))
            if (fate(p, AUDIT_ARCH_X86_64, nr, &bounds) < 0) return p;
    }
    std::vector<Range> ranges;
    std::set<size_t> conditional;
    for (u32 nr : bounds) {
        size_t at = skip_idle(p, size_t(fate(p, AUDIT_ARCH_X86_64, nr, nullptr)));
        bool same = !ranges.empty() && (ranges.back().fate == at || (p[at].code == kReturn && p[ranges.back().fate].code == kReturn &&
                                                                     p[at].k == p[ranges.back().fate].k));
        if (!same) ranges.push_back({nr, at});
        if (p[at].code != kReturn) collect(p, at, &conditional);
    }

    Writer writer(p);
    writer.load(kArch);
    writer.test_equal(AUDIT_ARCH_X86_64, foreign);
    writer.load(kNr);
    writer.tree(ranges, 0, ranges.size());
    writer.returns();
    for (size_t pc : conditional)
        if (p[pc].code != kReturn) writer.copy(pc);
    writer.returns();
    Program out;
    return writer.finish(&out) && out.size() < p.size() ? out : p;
}

}  // namespace ocrun
