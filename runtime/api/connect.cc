// connect.cc - oc_connect_timeout: the first address that answers in time
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/api/cancel.h"

namespace oc {

namespace {

struct Socket {
    int fd;
    ~Socket() {
        if (fd >= 0) close(fd);
    }
    int keep() {
        int kept = fd;
        fd = -1;
        return kept;
    }
};

// Until the deadline: 0 or -errno. After it one look without waiting: who gets the CPU late still has the answers that are there.
int finish_connect(int fd, u64 deadline) {
    for (;;) {
        u64 now = now_ns();
        int wait_ms = -1;
        if (deadline != kForever) {
            u64 ms = now >= deadline ? 0 : (deadline - now + 999999) / 1000000;
            wait_ms = ms > 0x7fffffff ? 0x7fffffff : int(ms);
        }
        pollfd p{fd, POLLOUT, 0};
        int n = poll(&p, 1, wait_ms);
        if (n < 0 && errno != EINTR) return -errno;
        if (oc_cancel_point()) return -ECANCELED;
        if (n > 0) break;
        if (n == 0 && wait_ms == 0) return -ETIMEDOUT;
    }
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length)) return -errno;
    return -error;
}

int connect_one(const addrinfo& a, u64 deadline) {
    // Our own description: non-blocking while it connects is nobody else's business.
    Socket s{socket(a.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, a.ai_protocol)};
    if (s.fd < 0) return -errno;
    if (connect(s.fd, a.ai_addr, a.ai_addrlen)) {
        if (errno != EINPROGRESS) return -errno;
        if (int r = finish_connect(s.fd, deadline)) return r;
    }
    if (fcntl(s.fd, F_SETFL, fcntl(s.fd, F_GETFL) & ~O_NONBLOCK)) return -errno;
    return s.keep();
}

int connect_any(const addrinfo* list, u64 deadline) {
    int last = -EHOSTUNREACH;
    u64 left = 0;
    for (const addrinfo* a = list; a; a = a->ai_next) left++;
    for (const addrinfo* a = list; a; a = a->ai_next, left--) {
        u64 until = deadline;
        if (deadline != kForever) {
            u64 now = now_ns();
            until = now >= deadline ? deadline : now + (deadline - now) / left;
        }
        int r = connect_one(*a, until);
        if (r >= 0 || r == -ECANCELED) return r;
        last = r;
    }
    return last;
}

struct Found {
    addrinfo* list = nullptr;
    ~Found() {
        if (list) freeaddrinfo(list);
    }
};

}  // namespace

}  // namespace oc

using namespace oc;

extern "C" {

int oc_connect_addresses(const struct addrinfo* addresses, uint64_t timeout_ns) { return connect_any(addresses, deadline_of(timeout_ns)); }

int oc_connect_timeout(const char* host, const char* service, uint64_t timeout_ns) {
    u64 deadline = deadline_of(timeout_ns);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    Found found;
    int r = getaddrinfo(host, service, &hints, &found.list);
    if (r == EAI_SYSTEM) return -errno;
    if (r == EAI_MEMORY) return -ENOMEM;
    if (r) return -EHOSTUNREACH;
    return connect_any(found.list, deadline);
}

}  // extern "C"
