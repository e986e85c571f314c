// dump.cc - see dump.h
#include "runtime/process/dump.h"

#include <asm/errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "runtime/base/memory.h"
#include "runtime/base/text.h"
#include "runtime/process/process.h"
#include "runtime/sched/workers.h"
#include "runtime/signal/host_signals.h"
#include "seccomp/rewrite/rewrite.h"
#include "seccomp/syscall_table.h"

namespace ocrun {

namespace {

constexpr int kFrames = 12;
constexpr u32 kMost = 10000;

// What a reader that is slow, stopped or gone may cost the process that is asked, in all.
constexpr u64 kPatienceNs = 1000000000;
constexpr int kSliceMs = 20;
u64 g_deadline_ns;
bool g_socket;  // the descriptor is the asker's socket, else standard error

// Never blocks for long and raises no SIGPIPE. False: the reader is gone or its time is up.
bool tell(int fd, const Text& text) {
    const char* p = text.c_str();
    for (size_t left = text.size(); left;) {
        pollfd ready{fd, POLLOUT, 0};
        long r = 0;
        if (sys(__NR_poll, &ready, 1, kSliceMs) > 0) {
            if (!g_socket && (ready.revents & (POLLERR | POLLHUP | POLLNVAL))) return false;
            r = g_socket ? sys(__NR_sendto, fd, p, left, MSG_NOSIGNAL | MSG_DONTWAIT) : sys(__NR_write, fd, p, left);
            if (r == -EAGAIN || r == -EINTR) r = 0;
            if (r < 0) return false;
        }
        p += r;
        left -= size_t(r);
        if (left && now_ns() > g_deadline_ns) return false;
    }
    return true;
}

bool describe(Coroutine& c, int fd) {
    TextBuffer<1024> line;
    line.add("coroutine tid ").dec(c.tid);
    line.pad_to(26).add("\"");
    // Names are the guest's and may hold anything: only printable characters pass.
    for (char ch : c.name) {
        if (!ch) break;
        char safe = ch >= 32 && ch < 127 ? ch : '?';
        line.add(&safe, 1);
    }
    line.add("\" ");
    const char* waits = c.waits_for;
    u32 state = c.sched_state.load(std::memory_order_relaxed);
    if (waits)
        line.add("parked");
    else if (this_thread()->current == &c)
        line.add("running");
    else
        line.add(state & kSwitchedOut ? "ready" : "ready or running");
    if (c.call_nr != kNoCall) {
        const char* name = syscall_name(c.call_nr);
        line.add(" in ");
        if (name)
            line.add(name);
        else
            line.add("syscall ").dec(c.call_nr);
        line.add("(").hex(c.regs.rdi).add(", ").hex(c.regs.rsi).add(", ").hex(c.regs.rdx).add(")");
    }
    if (waits) {
        line.add(" waits for ").add(waits).add(" ").hex(c.waits_detail);
        if (c.timer_armed) {
            u64 now = now_ns();
            line.add(", at most ").dec(i64(c.timer_deadline_ns > now ? (c.timer_deadline_ns - now) / 1000000 : 0)).add(" ms more");
        }
        line.add(", since ").dec(i64(tsc_to_ns(__builtin_ia32_rdtsc() - c.parked_since_tsc) / 1000000)).add(" ms");
    }
    line.add("\n    mask ").hex(c.mask).add(" pending ").hex(c.pending.bits).add(" switches ").dec(i64(c.switches));
    line.add("\n    at ").hex(c.regs.rip);
    u64 frame = c.regs.rbp;
    for (int i = 0; i < kFrames && frame > kPageBytes; i++) {
        u64 pair[2];
        if (copy_from_guest(pair, (void*)frame, sizeof pair)) break;
        if (!pair[1]) break;
        line.add(" < ").hex(pair[1]);
        if (pair[0] <= frame) break;
        frame = pair[0];
    }
    line.add("\n");
    return tell(fd, line);
}

void on_request(const siginfo_t& info) {
    // Non-blocking: a full backlog refuses at once.
    long fd = sys(__NR_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    Text name(address.sun_path + 1, sizeof address.sun_path - 1);
    name.add("ocrun-dump-").dec(info.si_pid);
    socklen_t length = socklen_t(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    g_socket = !is_error(fd) && !is_error(sys(__NR_connect, fd, &address, length));
    dump_coroutines(g_socket ? int(fd) : 2);
    g_socket = false;
    if (!is_error(fd)) sys(__NR_close, fd);
}

}  // namespace

void dump_init() { g_dump_hook = on_request; }

void dump_coroutines(int fd) {
    g_deadline_ns = now_ns() + kPatienceNs;
    TextBuffer<256> head;
    head.add("ocrun: process ").dec(g_pid).add(g_multi ? ", threads as coroutines: " : ", one thread: ").dec(i64(registry().size()));
    head.add(", shared pending ").hex(g_shared_pending_bits.load(std::memory_order_relaxed)).add(", system calls ").dec(i64(workers_calls())).add("\n");
    if (!tell(fd, head)) return;
    RewriteCounts sites = rewrite_counts();
    head.clear();
    head.add("ocrun: call sites rewritten ").dec(i64(sites.rewritten)).add(" (windows ").dec(i64(sites.windows)).add("), left to the trap ").dec(i64(sites.refused)).add("\n");
    if (!tell(fd, head)) return;
    u32 n = 0;
    for (Coroutine& c : registry()) {
        if (n++ == kMost || !describe(c, fd)) break;
    }
}

}  // namespace ocrun
