// tid_blocks.cc - blocks of thread ids in the memory that the tree shares (see tid_blocks.h)
#include "runtime/process/tid_blocks.h"

#include <asm/errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/lock.h"
#include "runtime/base/memory.h"
#include "runtime/process/process.h"
#include "seccomp/syscall_table.h"

namespace ocrun {
namespace {

Lock g_tid_lock;
u32 g_tid_next, g_tid_left;
std::atomic<u32> g_namespace{0};  // inode of the pid namespace, 0: not yet known

// "pid:[4026531836]"; a pid of another namespace means nothing here.
u32 pid_namespace() {
    if (u32 known = g_namespace.load(std::memory_order_relaxed)) return known;
    char text[32];
    long n = sys(__NR_readlink, "/proc/self/ns/pid", text, sizeof text);
    u32 inode = 0;
    for (long i = 0; i < n; i++)
        if (text[i] >= '0' && text[i] <= '9') inode = inode * 10 + u32(text[i] - '0');
    g_namespace.store(inode, std::memory_order_relaxed);
    return inode;
}

// The entry of a block: pid, and its namespace above. Mapped for the moment: it is looked at rarely.
class Entry {
public:
    explicit Entry(u32 block) {
        const u64 at = kTidBlocksOffset + u64(block) * sizeof(u64), page = at & ~(kPageBytes - 1);
        page_ = sys(__NR_mmap, nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, hidden_fd(kHiddenPolicy), page);
        word_ = is_error(page_) ? nullptr : (u64*)(page_ + long(at - page));
    }
    ~Entry() {
        if (word_) sys(__NR_munmap, page_, kPageBytes);
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    u64 get() const { return word_ ? __atomic_load_n(word_, __ATOMIC_RELAXED) : 0; }
    void set(u64 value) {
        if (word_) __atomic_store_n(word_, value, __ATOMIC_RELAXED);
    }

private:
    long page_;
    u64* word_;
};

}  // namespace

u32 tid_allocate() {
    Locked held(g_tid_lock);
    if (!g_tid_left) {
        const u32 block = __atomic_fetch_add(&tree_shared()->next_tid_block, 1, __ATOMIC_RELAXED) % kTidBlocks;
        Entry(block).set(u64(pid_namespace()) << 32 | g_pid);
        g_tid_next = kFirstThreadId + block * kTidBlock;
        g_tid_left = kTidBlock;
    }
    g_tid_left--;
    return g_tid_next++;
}

void tid_blocks_after_fork() {
    g_tid_left = 0;
    g_tid_lock.reset();
    g_namespace.store(0, std::memory_order_relaxed);
}

bool tid_of_ended_process(u32 tid) {
    if (tid < kFirstThreadId || tid >= kThreadIdEnd) return false;
    const u64 entry = Entry((tid - kFirstThreadId) / kTidBlock).get();
    const u32 pid = u32(entry), space = u32(entry >> 32);
    if (!pid || pid == g_pid || !space || space != pid_namespace()) return false;
    // ESRCH also of a process that nobody has waited for yet: it has no memory any more (mm_access). Needs no descriptor.
    char byte;
    const iovec to{&byte, 1}, from{nullptr, 1};
    return sys(__NR_process_vm_readv, pid, &to, 1, &from, 1, 0) == -ESRCH;
}

}  // namespace ocrun
