// hidden_fds.cc - see hidden_fds.h
#include "runtime/base/hidden_fds.h"

#include <asm/errno.h>
#include <fcntl.h>
#include <sys/resource.h>

namespace ocrun {

namespace {

int g_base = kUsualHiddenBase;
int g_numbers[kHiddenFdCount] = {-1, -1, -1, -1, -1, -1};

struct Limit {
    u64 soft, hard;
};

}  // namespace

void hidden_fd_set_base(int base) { g_base = base; }
int hidden_fd_base() { return g_base; }
int hidden_fd(HiddenFd which) { return g_numbers[which]; }
void hidden_fd_adopt(HiddenFd which, int fd) { g_numbers[which] = fd; }

bool is_hidden_fd(long fd) {
    if (fd < 0) return false;
    for (int number : g_numbers)
        if (number == fd) return true;
    return false;
}

int hidden_fd_choose_base() {
    Limit limit{};
    sys(__NR_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
    if (limit.soft < u64(kUsualHiddenBase)) return int(limit.soft);
    return kUsualHiddenBase;
}

long hidden_fd_place(int fd, HiddenFd which, bool cloexec, bool below_limit) {
    int to = g_base + which;
    if (fd < to) {
        // The lowest free number from there, unless the limit is smaller: never one that the guest uses already.
        long r = sys(__NR_fcntl, fd, cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, to);
        if (!is_error(r)) {
            sys(__NR_close, fd);
            g_numbers[which] = int(r);
            return 0;
        }
    }
    Limit limit{};
    sys(__NR_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
    bool raised = false;
    // The guest may have this number in use already: never take it away.
    while (to != fd && sys(__NR_fcntl, to, F_GETFD) != -EBADF) to++;
    if (limit.soft <= u64(to)) {
        Limit higher{u64(to) + 1, limit.hard > u64(to) ? limit.hard : u64(to) + 1};
        raised = !is_error(sys(__NR_prlimit64, 0, RLIMIT_NOFILE, &higher, nullptr));
        if (!raised) {
            if (!below_limit) return -EMFILE;
            // No room above the limit: the highest free number below it.
            to = limit.soft > 0x7fffffff ? 0x7fffffff : int(limit.soft) - 1;
            while (to > fd && sys(__NR_fcntl, to, F_GETFD) != -EBADF) to--;
        }
    }
    long r = fd == to ? sys(__NR_fcntl, fd, F_SETFD, cloexec ? FD_CLOEXEC : 0) : sys(__NR_dup3, fd, to, cloexec ? O_CLOEXEC : 0);
    if (raised) sys(__NR_prlimit64, 0, RLIMIT_NOFILE, &limit, nullptr);
    if (is_error(r)) return r;
    if (fd != to) sys(__NR_close, fd);
    g_numbers[which] = to;
    return 0;
}

void hidden_fd_close(HiddenFd which) {
    if (g_numbers[which] >= 0) sys(__NR_close, g_numbers[which]);
    g_numbers[which] = -1;
}

long hidden_fds_close_range(u32 first, u32 last, u64 flags) {
    if (first > last) return sys(__NR_close_range, first, last, flags);
    for (;;) {
        // Up to the next hidden number, then from behind it.
        i64 next = -1;
        for (int number : g_numbers)
            if (number >= 0 && u32(number) >= first && u32(number) <= last && (next < 0 || number < next)) next = number;
        if (next < 0) return sys(__NR_close_range, first, last, flags);
        if (u32(next) > first) {
            long r = sys(__NR_close_range, first, u32(next) - 1, flags);
            if (is_error(r)) return r;
        }
        if (u32(next) == last) return 0;
        first = u32(next) + 1;
    }
}

}  // namespace ocrun
