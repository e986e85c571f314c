// syscall_table.cc - the rows of syscall_table.def, found by number in one step
#include "seccomp/syscall_table.h"

#include "runtime/base/text.h"

namespace ocrun {

// Never defined: a call is no constant expression, so make_index() reaching one is a compile error.
void number_reaches_syscall_limit();
void rows_out_of_order_or_repeated();

namespace {

constexpr SyscallRow kRows[] = {
#define OC_SYSCALL(nr, name, args, groups, hook, condition, can_park, handler, limitation) \
    {name, nr, Hook::hook, Condition::condition, can_park, groups, args, limitation},
#include "seccomp/syscall_table.def"
#undef OC_SYSCALL
};
constexpr unsigned kRowCount = sizeof kRows / sizeof kRows[0];

// Row index + 1 by number; 0 where the kernel has no call (335-423 but for the two trampolines, and above the last).
struct Index {
    u16 row[kSyscallLimit] = {};
};

consteval Index make_index() {
    Index index;
    for (unsigned i = 0; i < kRowCount; i++) {
        if (kRows[i].nr >= kSyscallLimit) number_reaches_syscall_limit();
        if (i > 0 && kRows[i].nr <= kRows[i - 1].nr) rows_out_of_order_or_repeated();
        index.row[kRows[i].nr] = u16(i + 1);
    }
    return index;
}
constexpr Index kIndex = make_index();

}  // namespace

const SyscallRow* syscall_row(unsigned nr) {
    if (nr >= kSyscallLimit || kIndex.row[nr] == 0) return nullptr;
    return &kRows[kIndex.row[nr] - 1];
}

const SyscallRow* syscall_row_by_name(const char* name) {
    for (const SyscallRow& row : kRows)
        if (text_equal(row.name, name)) return &row;
    return nullptr;
}

const char* syscall_name(unsigned nr) {
    const SyscallRow* row = syscall_row(nr);
    return row ? row->name : nullptr;
}

}  // namespace ocrun
