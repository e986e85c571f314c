// proc_texts.cc - comm, stat and status of the guest's threads (see proc_self.h)
#include <asm/errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/process/process.h"
#include "runtime/signal/host_signals.h"
#include "runtime/syscalls/proc_self.h"

namespace ocrun {

namespace {

// Open comm files by which threads may be named.
struct NamedFile {
    int fd;
    u32 tid;
    u64 inode;
};
constexpr u32 kNamedFiles = 16;
Lock g_named_lock;
NamedFile g_named[kNamedFiles];
std::atomic<u32> g_named_count{0};

u64 inode_of(int fd) {
    struct stat st;
    return is_error(sys(__NR_fstat, fd, &st)) ? 0 : st.st_ino;
}

void remember(int fd, u32 tid) {
    u64 inode = inode_of(fd);
    Locked held(g_named_lock);
    u32 n = g_named_count.load(std::memory_order_relaxed);
    if (n == kNamedFiles) {
        for (u32 i = 1; i < n; i++) g_named[i - 1] = g_named[i];
        n--;
    }
    g_named[n] = {fd, tid, inode};
    g_named_count.store(n + 1, std::memory_order_release);
}

long read_file(const char* path, char* to, size_t size) {
    long fd = sys(__NR_open, path, O_RDONLY | O_CLOEXEC);
    if (is_error(fd)) return fd;
    size_t n = 0;
    for (long r; n < size - 1 && (r = sys(__NR_read, fd, to + n, size - 1 - n)) > 0;) n += size_t(r);
    sys(__NR_close, fd);
    to[n] = 0;
    return long(n);
}

struct ThreadFacts {
    bool found = false, waits = false;
    char name[16];
    u64 mask = 0, pending = 0;
    u64 threads = 1;
};

ThreadFacts facts_of(u32 tid) {
    ThreadFacts f;
    Locked signals(g_signal_lock);
    Locked held(g_registry_lock);
    f.threads = registry().size();
    if (Coroutine* c = registry_find(tid)) {
        f.found = true;
        f.waits = c->waits_for != nullptr;
        memcpy(f.name, c->name, sizeof f.name);
        f.name[15] = 0;
        f.mask = c->mask;
        f.pending = c->pending.bits;
    }
    return f;
}

void hex16(Text& text, u64 value) {
    char digits[17];
    for (int i = 0; i < 16; i++) digits[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
    digits[16] = 0;
    text.add(digits);
}

u64 parse_hex(const char* s) {
    u64 v = 0;
    for (;; s++) {
        if (*s >= '0' && *s <= '9')
            v = v << 4 | u64(*s - '0');
        else if (*s >= 'a' && *s <= 'f')
            v = v << 4 | u64(*s - 'a' + 10);
        else
            return v;
    }
}

void stat_text(const ProcPath& p, const ThreadFacts& f, const char* kernel, Text& out) {
    // "pid (comm) S ...": the name may hold anything, the last ')' ends it.
    const char* end = kernel;
    for (const char* s = kernel; *s; s++)
        if (*s == ')') end = s;
    out.dec(p.tid).add(" (").add(f.name).add(") ").add(f.waits ? "S" : "R");
    if (*end && end[1] && end[2]) out.add(end + 3);
}

void status_text(const ProcPath& p, const ThreadFacts& f, const char* kernel, Text& out) {
    bool leader = p.tid == g_pid;
    u64 ignored = 0, caught = 0;
    for (int sig = 1; sig <= kSignals; sig++) {
        if (g_actions[sig].handler == (u64)SIG_IGN) ignored |= signal_bit(sig);
        if (g_actions[sig].handler > 1) caught |= signal_bit(sig);
    }
    while (*kernel) {
        const char* end = kernel;
        while (*end && *end != '\n') end++;
        const char* value = kernel;
        while (value < end && *value != ':') value++;
        while (value < end && (*value == ':' || *value == '\t' || *value == ' ')) value++;
        size_t key = size_t(value - kernel);
        auto is = [&](const char* name) { return text_starts_with(kernel, name); };
        if (is("Name:") && !leader) {
            out.add(kernel, key).add(f.name);
        } else if (is("State:") && !leader) {
            out.add(kernel, key).add(f.waits ? "S (sleeping)" : "R (running)");
        } else if ((is("Pid:") || is("NSpid:")) && !leader) {
            out.add(kernel, key).dec(p.tid);
        } else if (is("Threads:")) {
            out.add(kernel, key).dec(i64(f.threads));
        } else if (is("SigPnd:")) {
            out.add(kernel, key);
            hex16(out, (leader ? parse_hex(value) : 0) | f.pending);
        } else if (is("ShdPnd:")) {
            out.add(kernel, key);
            hex16(out, parse_hex(value) | g_shared_pending_bits.load(std::memory_order_relaxed));
        } else if (is("SigBlk:")) {
            out.add(kernel, key);
            hex16(out, f.mask);
        } else if (is("SigIgn:")) {
            out.add(kernel, key);
            hex16(out, ignored);
        } else if (is("SigCgt:")) {
            out.add(kernel, key);
            hex16(out, caught);
        } else {
            out.add(kernel, size_t(end - kernel));
        }
        out.add("\n");
        kernel = *end ? end + 1 : end;
    }
}

}  // namespace

long proc_open_text(Coroutine* c, const ProcPath& p, u64 flags) {
    constexpr size_t kBytes = 32 * 1024;  // the groups line of status can be long
    ThreadFacts f = facts_of(p.tid);
    if (!f.found) return -ENOENT;
    if (p.tid == c->tid) f.waits = false;
    if ((flags & O_ACCMODE) != O_RDONLY && p.kind != ProcKind::thread_comm) return -EACCES;
    char* pages = (char*)pages_alloc(2 * kBytes);
    if (!pages) return -ENOMEM;
    Text out(pages + kBytes, kBytes);
    long r = 0;
    const char* name = "comm";
    if (p.kind == ProcKind::thread_comm) {
        out.add(f.name).add("\n");
    } else {
        r = read_file(p.instead, pages, kBytes);
        name = p.kind == ProcKind::status ? "status" : "stat";
        if (r >= 0 && p.kind == ProcKind::status) status_text(p, f, pages, out);
        if (r >= 0 && p.kind == ProcKind::thread_stat) stat_text(p, f, pages, out);
    }
    if (r >= 0) r = sys(__NR_memfd_create, name, flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
    if (r >= 0) {
        sys(__NR_pwrite64, r, out.c_str(), out.size(), 0);
        if ((flags & O_ACCMODE) != O_RDONLY) remember(int(r), p.tid);
    }
    pages_free(pages, 2 * kBytes);
    return r;
}

bool proc_write(Call& call, long* result) {
    if (!g_named_count.load(std::memory_order_acquire)) return false;
    int fd = int(call.a[0]);
    u32 tid = 0;
    {
        Locked held(g_named_lock);
        for (u32 i = 0; i < g_named_count.load(std::memory_order_relaxed); i++)
            if (g_named[i].fd == fd && g_named[i].inode == inode_of(fd)) tid = g_named[i].tid;
    }
    if (!tid) return false;
    char name[16];
    memset(name, 0, sizeof name);
    u64 n = call.a[2] < sizeof name - 1 ? call.a[2] : sizeof name - 1;
    *result = -EFAULT;
    if (copy_from_guest(name, (void*)call.a[1], n)) return true;
    if (n && name[n - 1] == '\n') name[n - 1] = 0;
    Locked held(g_registry_lock);
    Coroutine* c = registry_find(tid);
    *result = c ? long(call.a[2]) : -ESRCH;
    if (c) memcpy(c->name, name, sizeof name);
    return true;
}

void proc_forget(int fd) {
    if (!g_named_count.load(std::memory_order_acquire)) return;
    Locked held(g_named_lock);
    u32 n = g_named_count.load(std::memory_order_relaxed), kept = 0;
    for (u32 i = 0; i < n; i++)
        if (g_named[i].fd != fd) g_named[kept++] = g_named[i];
    g_named_count.store(kept, std::memory_order_release);
}

}  // namespace ocrun
