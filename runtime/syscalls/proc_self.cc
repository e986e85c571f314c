// proc_self.cc - which paths below /proc speak of the guest (see proc_self.h)
#include "runtime/syscalls/proc_self.h"

#include <asm/errno.h>
#include <sys/stat.h>

#include "runtime/base/hidden_fds.h"
#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/process/process.h"

namespace ocrun {

namespace {

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

// The program's file by the descriptor that the runtime keeps of it, which is right for a memfd and after a deletion
// too; by its path when there is none.
const char* exe_path(char* buffer, size_t size) {
    if (hidden_fd(kHiddenTarget) < 0) return g_exe_path;
    Text text(buffer, size);
    text.add("/proc/self/fd/").dec(hidden_fd(kHiddenTarget));
    return is_error(sys(__NR_access, buffer, 0)) ? g_exe_path : buffer;
}

bool same_file(const struct stat& a, const struct stat& b) {
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// The program of another process that runs under ocrun: by its own descriptor of it, which the kernel shows to whom
// it shows exe. A tree mostly has its hidden descriptors in one place.
bool exe_of_other(u64 pid, char* buffer, size_t size) {
    struct stat ocrun, other;
    if (is_error(sys(__NR_fstat, hidden_fd(kHiddenExe), &ocrun))) return false;
    auto file = [&](const char* below, i64 fd) -> const char* {
        Text text(buffer, size);
        text.add("/proc/").dec(i64(pid)).add(below);
        if (fd >= 0) text.dec(fd);
        return buffer;
    };
    auto is_ours = [&](const char* path) {
        return !is_error(sys(__NR_stat, path, &other)) && same_file(other, ocrun);
    };
    if (!is_ours(file("/exe", -1))) return false;
    for (int base : {hidden_fd_base(), kUsualHiddenBase})
        if (is_ours(file("/fd/", base + kHiddenExe)) &&
            !is_error(sys(__NR_access, file("/fd/", base + kHiddenTarget), 0)))
            return true;
    return false;
}

}  // namespace

bool proc_take_number(const char** p, u64* value) {
    const char* at = *p;
    if (!text_parse_u64(&at, value) || (*at && *at != '/')) return false;
    while (*at == '/') at++;
    *p = at;
    return true;
}

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
        if (c->direct && !text_equal(p, "exe")) return;  // a process of its own
    } else if (take(&p, "thread-self")) {
        if (c->direct) return;
        tid = c->tid;
        by_thread = true;
        if (!*p && !slash) {
            out->kind = ProcKind::thread_self;
            out->tid = tid;
            if (!g_multi) out->kind = ProcKind::none;
            return;
        }
    } else if (proc_take_number(&p, &number)) {
        if (number != g_pid) {
            if (!is_thread(number)) {
                if (!text_equal(p, "exe") || !exe_of_other(number, out->path, sizeof out->path)) return;
                out->kind = ProcKind::exe;
                out->instead = out->path;
                return;
            }
            tid = u32(number);
            by_thread = true;
        }
    } else {
        return;
    }
    const char* below = p;
    if (take(&below, "task") && proc_take_number(&below, &number)) {
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
        if ((take(&name, "fd") || take(&name, "fdinfo")) && proc_take_number(&name, &number) && !*name &&
            is_hidden_fd(long(number))) {
            out->kind = ProcKind::absent;
            return;
        }
    }
    out->kind = kind;
    if (kind == ProcKind::none) return;
    Text path(out->path, sizeof out->path);
    path.add("/proc/");
    if (c->direct)
        path.dec(g_pid);
    else
        path.add("self");
    path.add("/task/").dec(g_pid).add("/").add(p);
    out->instead = out->path;
}

}  // namespace ocrun
