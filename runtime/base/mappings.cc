// mappings.cc - see mappings.h
#include "runtime/base/mappings.h"

#include <asm/errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "runtime/base/memory.h"

namespace ocrun {

namespace {

// Linux 6.11: the mapping that covers an address (include/uapi/linux/fs.h, PROCMAP_QUERY).
struct ProcmapQuery {
    u64 size, query_flags, query_addr, vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
    u32 dev_major, dev_minor, vma_name_size, build_id_size;
    u64 vma_name_addr, build_id_addr;
};
constexpr unsigned long kProcmapQuery = _IOWR('f', 17, ProcmapQuery);
constexpr u64 kVmaReadable = 1, kVmaWritable = 2, kVmaExecutable = 4, kVmaShared = 8;

// A number in the given base; *p goes behind it.
u64 number(const char** p, u32 base) {
    u64 value = 0;
    for (;; ++*p) {
        char c = **p;
        u32 digit = c >= '0' && c <= '9' ? u32(c - '0') : c >= 'a' && c <= 'f' ? u32(c - 'a' + 10) : 99;
        if (digit >= base) return value;
        value = value * base + digit;
    }
}

// One line: START-END PERMISSIONS OFFSET MAJOR:MINOR INODE PATH
Mapping parse(const char* p) {
    Mapping m{};
    m.start = number(&p, 16);
    m.end = number(&++p, 16);
    p++;
    m.readable = p[0] == 'r';
    m.writable = p[1] == 'w';
    m.executable = p[2] == 'x';
    m.shared = p[3] == 's';
    p += 5;
    number(&p, 16);
    number(&++p, 16);
    number(&++p, 16);
    m.of_file = number(&++p, 10) != 0;
    return m;
}

long find_in_text(long fd, u64 address, Mapping* out) {
    char line[4096 + 128];
    size_t have = 0;
    for (;;) {
        long n = sys(__NR_read, fd, line + have, sizeof line - have);
        if (n <= 0) return n ? n : -ENOENT;
        have += size_t(n);
        size_t start = 0;
        for (size_t i = 0; i < have; i++) {
            if (line[i] != '\n') continue;
            Mapping m = parse(line + start);
            if (address >= m.start && address < m.end) {
                *out = m;
                return 0;
            }
            start = i + 1;
        }
        if (start == 0 && have == sizeof line) return -ENOENT;
        memmove(line, line + start, have - start);
        have -= start;
    }
}

// No descriptor to spare, no /proc: mremap duplicates a mapping when the old size is 0, but only a shared one; any other is
// EINVAL before anything else is looked at (mm/mremap.c, check_prep_vma). Not the first choice: the kernel logs the first
// refusal, and the copy takes the mappings' lock for writing.
bool shared_by_mremap(u64 address) {
    long copy = sys(__NR_mremap, page_down(address), 0, kPageBytes, MREMAP_MAYMOVE);
    if (copy == -EINVAL || copy == -EFAULT) return false;
    if (!is_error(copy)) sys(__NR_munmap, copy, kPageBytes);
    return true;
}

}  // namespace

long mapping_at(u64 address, Mapping* out) {
    long fd = sys(__NR_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (is_error(fd)) return fd == -ENOENT ? -ENOSYS : fd;
    ProcmapQuery q{};
    q.size = sizeof q;
    q.query_addr = address;
    long r = sys(__NR_ioctl, fd, kProcmapQuery, &q);
    if (!is_error(r)) {
        *out = {q.vma_start,
                q.vma_end,
                (q.vma_flags & kVmaReadable) != 0,
                (q.vma_flags & kVmaWritable) != 0,
                (q.vma_flags & kVmaExecutable) != 0,
                (q.vma_flags & kVmaShared) != 0,
                q.inode != 0};
        r = 0;
    } else if (r != -ENOENT) {
        r = find_in_text(fd, address, out);
    }
    sys(__NR_close, fd);
    return r;
}

bool mapping_is_shared(u64 address) {
    Mapping m;
    long r = mapping_at(address, &m);
    if (r == -ENOENT) return false;
    return r ? shared_by_mremap(address) : m.shared;
}

}  // namespace ocrun
