// proc_listings.cc - listings of fd/, fdinfo/ and task/ (see proc_self.h)
#include <asm/errno.h>
#include <dirent.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/process/process.h"
#include "runtime/syscalls/proc_self.h"

namespace ocrun {

namespace {

constexpr long kProcMagic = 0x9fa0;  // PROC_SUPER_MAGIC, linux/magic.h

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
                bool hidden = proc_take_number(&name, &number) && is_hidden_fd(long(number));
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
    if (!proc_take_number(&p, &pid)) return native(call);
    if (text_equal(p, "task")) return pid == g_pid && g_multi ? list_tasks(call) : native(call);
    return pid == g_pid || runs_ocrun(pid) ? list_descriptors(call) : native(call);
}

}  // namespace ocrun
