// proc_self.cc - see proc_self.h
#include "runtime/syscalls/proc_self.h"

#include <asm/errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/process/process.h"
#include "runtime/signal/host_signals.h"

namespace ocrun {

namespace {

constexpr long kProcMagic = 0x9fa0;  // PROC_SUPER_MAGIC, linux/magic.h

bool is_thread(u64 tid) {
    Locked held(g_registry_lock);
    return tid && tid < ~0u && registry_find(u32(tid));
}

// Takes one component off the path: true when it is `word`.
bool take(const char** p, const char* word) {
    size_t n = text_length(word);
    if (!text_starts_with(*p, word) || ((*p)[n] && (*p)[n] != '/')) return false;
    *p += n;
    while (**p == '/') ++*p;
    return true;
}

bool take_number(const char** p, u64* value) {
    const char* at = *p;
    if (!text_parse_u64(&at, value) || (*at && *at != '/')) return false;
    while (*at == '/') at++;
    *p = at;
    return true;
}

// The program's file by the descriptor that the runtime keeps of it, which is right for a memfd and after a deletion
// too; by its path when there is none.
const char* exe_path(char* buffer, size_t size) {
    if (hidden_fd(kHiddenTarget) < 0) return g_exe_path;
    Text text(buffer, size);
    text.add("/proc/self/fd/").dec(hidden_fd(kHiddenTarget));
    return is_error(sys(__NR_access, buffer, 0)) ? g_exe_path : buffer;
}

}  // namespace

void proc_path(Coroutine* c, u64 guest_path, ProcPath* out) {
    char* const text = out->path;
    constexpr size_t kHead = 7;  // "/proc/" and NUL
    if (copy_text_from_guest(text, (const char*)guest_path, kHead) == -EFAULT) return;
    if (memcmp(text, "/proc/", kHead - 1) != 0) return;
    if (copy_text_from_guest(text, (const char*)guest_path, 128) < 0) return;

    char rest[128];
    text_copy(rest, sizeof rest, text);
    const char* p = rest + kHead - 1;
    while (*p == '/') p++;
    u32 tid = g_pid;
    u64 number;
    bool by_thread = false;  // the path names one thread
    bool slash = text_ends_with(rest, "/");
    if (take(&p, "self")) {
    } else if (take(&p, "thread-self")) {
        tid = c->tid;
        by_thread = true;
        if (!*p && !slash) {
            out->kind = ProcKind::thread_self;
            out->tid = tid;
            if (!g_multi) out->kind = ProcKind::none;
            return;
        }
    } else if (take_number(&p, &number)) {
        if (number != g_pid) {
            if (!is_thread(number)) return;
            tid = u32(number);
            by_thread = true;
        }
    } else {
        return;
    }
    const char* below = p;
    if (take(&below, "task") && take_number(&below, &number)) {
        if (!is_thread(number)) return;
        tid = u32(number);
        by_thread = true;
        p = below;
    }
    out->tid = tid;
    ProcKind kind = by_thread && g_multi ? ProcKind::thread : ProcKind::none;
    if (text_equal(p, "exe")) {
        out->kind = ProcKind::exe;
        out->instead = exe_path(out->path, sizeof out->path);
        return;
    }
    if (text_equal(p, "status")) {
        kind = ProcKind::status;
    } else if (text_equal(p, "comm") && tid != g_pid) {
        kind = ProcKind::thread_comm;
    } else if (text_equal(p, "stat") && tid != g_pid) {
        kind = ProcKind::thread_stat;
    } else {
        const char* name = p;
        if ((take(&name, "fd") || take(&name, "fdinfo")) && take_number(&name, &number) && !*name &&
            is_hidden_fd(long(number))) {
            out->kind = ProcKind::absent;
            return;
        }
    }
    out->kind = kind;
    if (kind == ProcKind::none) return;
    Text path(out->path, sizeof out->path);
    path.add("/proc/self/task/").dec(g_pid).add("/").add(p);
    out->instead = out->path;
}

// ---- texts
// -----------------------------------------------------------------------------------------------------------

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

// ---- listings
// --------------------------------------------------------------------------------------------------------

namespace {

// Heads of struct linux_dirent64 and of the older struct linux_dirent, whose type is the last byte of the record.
constexpr size_t kName64 = 19, kNameOld = 18;

size_t name_offset(const Call& call) {
    return call.nr == __NR_getdents64 ? kName64 : kNameOld;
}

u16 record_bytes(const char* record) {
    u16 n;
    memcpy(&n, record + 16, sizeof n);
    return n;
}

// Native listing without the runtime's descriptors.
long list_descriptors(Call& call) {
    for (;;) {
        long n = native(call);
        if (n <= 0) return n;
        char* copy = (char*)pages_alloc(size_t(n));
        if (!copy) return n;
        long kept = 0;
        if (copy_from_guest(copy, (void*)call.a[1], size_t(n)) == 0) {
            for (long at = 0; at < n;) {
                char* record = copy + at;
                u16 size = record_bytes(record);
                if (!size) break;
                const char* name = record + name_offset(call);
                u64 number;
                bool hidden = take_number(&name, &number) && is_hidden_fd(long(number));
                if (!hidden) {
                    memmove(copy + kept, record, size);
                    kept += size;
                }
                at += size;
            }
            copy_to_guest((void*)call.a[1], copy, size_t(kept));
        }
        pages_free(copy, size_t(n));
        // Nothing left is not the end of the directory.
        if (kept) return kept;
    }
}

void sift_down(u32* heap, size_t i, size_t n) {
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) return;
        if (child + 1 < n && heap[child + 1] > heap[child]) child++;
        if (heap[i] >= heap[child]) return;
        u32 swap = heap[i];
        heap[i] = heap[child];
        heap[child] = swap;
        i = child;
    }
}

void sort(u32* v, size_t n) {
    for (size_t i = n / 2; i-- > 0;) sift_down(v, i, n);
    for (size_t end = n; end-- > 1;) {
        u32 swap = v[0];
        v[0] = v[end];
        v[end] = swap;
        sift_down(v, 0, end);
    }
}

// One directory a coroutine. The description's own offset is the place in the listing: 0 and 1 for "." and "..", then
// the last thread id given plus one, so threads may come and go meanwhile and rewinddir works.
long list_tasks(Call& call) {
    int fd = int(call.a[0]);
    long position = sys(__NR_lseek, fd, 0, SEEK_CUR);
    if (position < 0) return position;
    size_t capacity, count = 0;
    {
        Locked held(g_registry_lock);
        capacity = registry().size() + 64;
    }
    u32* tids = (u32*)pages_alloc(capacity * sizeof(u32));
    if (!tids) return -ENOMEM;
    {
        Locked held(g_registry_lock);
        for (Coroutine& c : registry())
            if (count < capacity && long(c.tid) >= position) tids[count++] = c.tid;
    }
    sort(tids, count);
    size_t head = name_offset(call), room = u32(call.a[2]), used = 0, next = 0;
    long r = 0;
    for (;;) {
        TextBuffer<24> name;
        u64 inode = 1;
        if (position < 2) {
            name.add(position == 0 ? "." : "..");
        } else if (next < count) {
            inode = tids[next];
            name.dec(tids[next]);
        } else {
            break;
        }
        size_t size = (head + name.size() + 1 + (head == kNameOld ? 1 : 0) + 7) & ~7ul;
        if (used + size > room) {
            r = used ? 0 : -EINVAL;
            break;
        }
        long after = position < 2 ? position + 1 : long(tids[next++]) + 1;
        char record[64];
        memset(record, 0, sizeof record);
        memcpy(record, &inode, 8);
        memcpy(record + 8, &after, 8);
        u16 bytes = u16(size);
        memcpy(record + 16, &bytes, 2);
        memcpy(record + head, name.c_str(), name.size());
        record[head == kName64 ? 18 : size - 1] = DT_DIR;
        if (copy_to_guest((char*)call.a[1] + used, record, size)) {
            r = used ? 0 : -EFAULT;
            break;
        }
        used += size;
        position = after;
    }
    pages_free(tids, capacity * sizeof(u32));
    if (r) return r;
    sys(__NR_lseek, fd, position, SEEK_SET);
    return long(used);
}

// Runs under ocrun too: then its descriptors are numbered as ours, since the base is handed down.
bool runs_ocrun(u64 pid) {
    TextBuffer<48> path;
    path.add("/proc/").dec(i64(pid)).add("/exe");
    struct stat its, ours;
    return !is_error(sys(__NR_stat, path.c_str(), &its)) && !is_error(sys(__NR_stat, "/proc/self/exe", &ours)) &&
           its.st_dev == ours.st_dev && its.st_ino == ours.st_ino;
}

}  // namespace

long proc_getdents(Call& call) {
    struct statfs fs;
    if (is_error(sys(__NR_fstatfs, call.a[0], &fs)) || fs.f_type != kProcMagic) return native(call);
    TextBuffer<48> self;
    self.add("/proc/self/fd/").dec(i32(call.a[0]));
    char link[64];
    long n = sys(__NR_readlink, self.c_str(), link, sizeof link - 1);
    if (n <= 0) return native(call);
    link[n] = 0;
    // The directory's full path; the mount point may be another than /proc, so it is read from its end.
    const char* p = text_ends_with(link, "/task") || text_ends_with(link, "/fd") || text_ends_with(link, "/fdinfo")
                        ? link
                        : nullptr;
    if (!p || !text_starts_with(p, "/proc/")) return native(call);
    p += 6;
    u64 pid;
    if (!take_number(&p, &pid)) return native(call);
    if (text_equal(p, "task")) return pid == g_pid && g_multi ? list_tasks(call) : native(call);
    return pid == g_pid || runs_ocrun(pid) ? list_descriptors(call) : native(call);
}

}  // namespace ocrun
