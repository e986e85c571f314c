// hidden_fds.cc - see hidden_fds.h
#include "runtime/base/hidden_fds.h"

#include <asm/errno.h>
#include <fcntl.h>
#include <sys/resource.h>

namespace ocrun {

namespace {
constexpr int kHighestBase = 4080;
int g_base = kHighestBase;

struct Limit {
    u64 soft, hard;
};
}  // namespace

int hidden_fd_base() { return g_base; }
void hidden_fd_set_base(int base) { g_base = base; }

int hidden_fd_choose_base() {
    Limit limit{};
    sys(__NR_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
    if (limit.soft < u64(kHighestBase)) return int(limit.soft);
    return kHighestBase;
}

long hidden_fd_place(int fd, HiddenFd which, bool cloexec) {
    int to = hidden_fd(which);
    if (fd == to) {
        if (cloexec) sys(__NR_fcntl, fd, F_SETFD, FD_CLOEXEC);
        return 0;
    }
    Limit limit{};
    sys(__NR_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
    bool raise = limit.soft <= u64(to);
    if (raise) {
        Limit higher{u64(to) + 1, limit.hard > u64(to) ? limit.hard : u64(to) + 1};
        if (is_error(sys(__NR_prlimit64, 0, RLIMIT_NOFILE, &higher, nullptr))) return -EMFILE;
    }
    long r = sys(__NR_dup3, fd, to, cloexec ? O_CLOEXEC : 0);
    if (raise) sys(__NR_prlimit64, 0, RLIMIT_NOFILE, &limit, nullptr);
    if (is_error(r)) return r;
    sys(__NR_close, fd);
    return 0;
}

}  // namespace ocrun
