// memory_calls.cc - mappings: the runtime's window is off limits, stacks go to the arena, shared memory is noted for futexes (mmap(2), shmat(2))
#include <asm/errno.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "runtime/base/text.h"
#include "runtime/memory/arena.h"
#include "runtime/memory/trims.h"
#include "runtime/sched/workers.h"
#include "runtime/sync/futex.h"
#include "runtime/syscalls/call.h"
#include "seccomp/syscall_table.h"

namespace ocrun {

namespace {

bool hits_window(u64 address, u64 bytes) { return address < kWindowEnd && address + bytes > kWindowBegin; }

long arena_or_native(Call& call) {
    long r;
    return arena_call(call.nr, call.a, &r) ? r : native(call);
}

// munmap, mprotect and their like at the runtime itself.
long unless_in_window(Call& call) { return hits_window(call.a[0], call.a[1] ? call.a[1] : 1) ? -EINVAL : arena_or_native(call); }

}  // namespace

long h_mmap(Call& call) {
    u64 flags = call.a[3];
    if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && hits_window(call.a[0], call.a[1])) {
        log_line("a mapping at a fixed address over ocrun's own memory (0x7c000000-0x7e000000) was refused with ENOMEM");
        return -ENOMEM;
    }
    u64 type = flags & MAP_TYPE;
    if (type == MAP_SHARED || type == MAP_SHARED_VALIDATE) futex_note_shared();
    return arena_or_native(call);
}

long h_munmap(Call& call) { return unless_in_window(call); }
long h_mprotect(Call& call) { return unless_in_window(call); }
long h_userfaultfd(Call& call) {
    worker_expect_stuck();
    return native(call);
}
long h_pkey_mprotect(Call& call) { return unless_in_window(call); }
long h_mremap(Call& call) {
    if ((call.a[3] & MREMAP_FIXED) && hits_window(call.a[4], call.a[2] ? call.a[2] : 1)) {
        log_line("a mapping at a fixed address over ocrun's own memory (0x7c000000-0x7e000000) was refused with ENOMEM");
        return -ENOMEM;
    }
    return unless_in_window(call);
}
long h_madvise(Call& call) {
    if (u32(call.a[2]) == MADV_DONTNEED && stack_trim_defer(call.c, call.a[0], call.a[1])) return 0;
    return unless_in_window(call);
}

long h_shmat(Call& call) {
    if (call.a[1] && (call.a[1] < kWindowEnd || arena_holds(call.a[1]))) {
        struct shmid_ds segment {};
        long r = sys(__NR_shmctl, call.a[0], IPC_STAT, &segment);
        if (!is_error(r)) arena_occupied(call.a[1], segment.shm_segsz);
        // Without permission to ask, the least there can be.
        if (hits_window(call.a[1], is_error(r) ? 1 : segment.shm_segsz)) return -EINVAL;
    }
    futex_note_shared();
    return native(call);
}

}  // namespace ocrun
