// socket.cc - connect, accept, send and receive in all their forms
//
// MSG_DONTWAIT makes one call non-blocking; accept and connect have no such form: accept asks poll first, a TCP
// connect is begun by the kernel and waited for by readiness. Sends on a stream go on until everything is taken, as
// the kernel does. Follows connect(2), accept(2), send(2), recv(2), recvmmsg(2), socket(7), tcp(7), unix(7).
#include <asm/errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "runtime/base/memory.h"
#include "runtime/syscalls/io_wait.h"

namespace ocrun {

namespace {

// Receives with these never wait.
constexpr u64 kNeverWaits = MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB;
constexpr u64 kMaxMessages = 1024;  // UIO_MAXIOV

int socket_option(int fd, int option) {
    int value = -1;
    u32 size = sizeof value;
    sys(__NR_getsockopt, fd, SOL_SOCKET, option, &value, &size);
    return value;
}

bool is_stream(int fd) {
    return socket_option(fd, SO_TYPE) == SOCK_STREAM;
}

// An unconnected local datagram waits for room in the receiver's queue, which no poll of the sender's socket reports.
bool waits_for_receiver(int fd, bool has_name) {
    return has_name && socket_option(fd, SO_DOMAIN) == AF_UNIX;
}

}  // namespace

// ---- connections
// -----------------------------------------------------------------------------------------------------

long h_accept4(Call& call) {
    if (blocks_here(call.c)) return blocking_io(call, SO_RCVTIMEO);
    IoWait w(call, 0, EPOLLIN, SO_RCVTIMEO);
    for (;;) {
        w.arm();
        if (!ready_now(w.fd(), POLLIN)) {
            // Not a listener: an error at once.
            if (socket_option(w.fd(), SO_ACCEPTCONN) != 1) return native(call);
            long r = w.block();
            if (r == kNonBlocking) return native(call);
            if (r == kNoReadiness) return blocking_call(call, kRestartSys, "accept");
            if (r) return r;
            continue;
        }
        long r = native_attempt(call);
        if (r == kLookAgain) continue;
        if (r >= 0 && call.nr == __NR_accept4 && (call.a[3] & SOCK_NONBLOCK)) note_nonblocking(int(r));
        return r == -EINTR ? w.interrupted() : r;
    }
}

long h_accept(Call& call) {
    return h_accept4(call);
}

long h_connect(Call& call) {
    if (blocks_here(call.c)) return blocking_io(call, SO_SNDTIMEO);
    int fd = int(call.a[0]);
    IoWait w(call, 0, EPOLLOUT, SO_SNDTIMEO);
    long r = native_attempt(call);
    if (r == -EINTR) return w.interrupted();
    if (r != kLookAgain) return r;
    int family = socket_option(fd, SO_DOMAIN);
    if ((family != AF_INET && family != AF_INET6) || !is_stream(fd)) {
        bool socket;
        bool timed = socket_deadline(fd, SO_SNDTIMEO, &socket) != kNever;
        return blocking_call(call, timed ? -EINTR : kRestartSys, "connect");
    }
    for (;;) {
        w.arm();
        if (ready_now(w.fd(), POLLOUT)) {
            // Done, failed, or not begun: the same call again tells, or begins.
            r = native_attempt(call);
            if (r == kLookAgain) continue;
            return r == -EINTR ? w.interrupted() : r;
        }
        r = w.block();
        if (r == -EAGAIN) return -EINPROGRESS;
        if (r == kNonBlocking) return native(call);
        if (r == kNoReadiness) return blocking_call(call, w.interrupted(), "connect");
        if (r) return r;
    }
}

// ---- sending
// ---------------------------------------------------------------------------------------------------------

namespace {

// Sends all of it, waiting as often as needed. `first` makes the first try (the guest's own arguments).
template <class First>
long send_all(Call& call, bool has_name, u64 flags, IoVector& v, First first) {
    Coroutine* c = call.c;
    IoWait w(call, 0, EPOLLOUT, SO_SNDTIMEO);
    u64 done = 0, total = 0;
    for (;;) {
        w.arm();
        long r;
        if (!done) {
            r = first(w.fd(), flags | MSG_DONTWAIT);
        } else {
            // Name and control data went with the first part. A failure now must not raise SIGPIPE: the part counts.
            msghdr rest{};
            rest.msg_iov = const_cast<iovec*>(v.data());
            rest.msg_iovlen = v.size();
            r = sys(__NR_sendmsg, w.fd(), &rest, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        // A connection that opens with its first data (TCP fast open) is begun instead of waited for.
        if (r == -EAGAIN || (r == -EINPROGRESS && !w.nonblocking())) {
            if (!done && waits_for_receiver(w.fd(), has_name) && !w.nonblocking()) return kNoReadiness;
            long would_block = r;
            r = w.block();
            if (r == 0) {
                if (done && w.error_waits()) return long(done);
                continue;
            }
            if (r == kNonBlocking) r = would_block;
            if (done) return long(done);
            return r;
        }
        if (r < 0) {
            claim_write_signal(c, r);
            return done ? long(done) : r;
        }
        if (!done) {
            total = v.total();
            if (u64(r) >= total) return r;
            if (!is_stream(w.fd())) return r;
        }
        done += u64(r);
        if (r == 0 || done >= total || w.nonblocking() || !v.advance(u64(r))) return long(done);
    }
}

long send_message(Call& call, u64 message, u64 flags) {
    msghdr m;
    if (get_guest(&m, (void*)message)) return -EFAULT;
    IoVector v(u64(m.msg_iov), m.msg_iovlen, 0);
    long r = send_all(call, m.msg_name != nullptr, flags, v,
                      [&](int fd, u64 f) { return hot_sys(__NR_sendmsg, fd, message, f); });
    if (r != kNoReadiness) return r;
    Call by_helper{call.c, __NR_sendmsg, {call.a[0], message, flags, 0, 0, 0}};
    return raise_write_signal(call.c, blocking_call(by_helper, kRestartSys, "send"));
}

}  // namespace

long h_sendto(Call& call) {
    if (blocks_here(call.c)) return blocking_io(call, SO_SNDTIMEO);
    u64 flags = u32(call.a[3]);
    if ((flags & MSG_DONTWAIT) || answers_at_once(int(call.a[0]))) return claim_write_signal(call.c, native(call));
    IoVector v(call.a[1], call.a[2]);
    long r = send_all(call, call.a[4] != 0, flags, v, [&](int fd, u64 f) {
        return hot_sys(__NR_sendto, fd, call.a[1], call.a[2], f, call.a[4], call.a[5]);
    });
    if (r != kNoReadiness) return r;
    return raise_write_signal(call.c, blocking_call(call, kRestartSys, "send"));
}

long h_sendmsg(Call& call) {
    if (blocks_here(call.c)) return blocking_io(call, SO_SNDTIMEO);
    u64 flags = u32(call.a[2]);
    if ((flags & MSG_DONTWAIT) || answers_at_once(int(call.a[0]))) return claim_write_signal(call.c, native(call));
    return send_message(call, call.a[1], flags);
}

long h_sendmmsg(Call& call) {
    if (blocks_here(call.c)) return blocking_io(call, SO_SNDTIMEO);
    int fd = int(call.a[0]);
    u64 flags = u32(call.a[3]), count = u32(call.a[2]);
    if ((flags & MSG_DONTWAIT) || answers_at_once(int(call.a[0]))) return claim_write_signal(call.c, native(call));
    if (count > kMaxMessages) count = kMaxMessages;
    u64 sent = 0;
    // Datagrams are sent whole or not: as many as go at once. A stream's short part must not be followed by the next
    // message.
    if (!is_stream(fd)) {
        long r = sys(__NR_sendmmsg, fd, call.a[1], count, flags | MSG_DONTWAIT);
        if (r != -EAGAIN && r <= 0) return claim_write_signal(call.c, r);
        if (r > 0) sent = u64(r);
    }
    for (; sent < count; sent++) {
        u64 message = call.a[1] + sent * sizeof(mmsghdr);
        long r = send_message(call, message, flags);
        if (r < 0) return sent ? long(sent) : r;
        if (put_guest((void*)(message + offsetof(mmsghdr, msg_len)), u32(r))) return sent ? long(sent) : -EFAULT;
    }
    return long(sent);
}

// ---- receiving
// -------------------------------------------------------------------------------------------------------

long h_setsockopt(Call& call) {
    long r = native(call);
    constexpr u32 kReceiveNew = 66, kSendNew = 67;  // SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW
    u32 option = u32(call.a[2]);
    if (u32(call.a[1]) == SOL_SOCKET && (option == SO_RCVTIMEO || option == SO_SNDTIMEO || option == kReceiveNew || option == kSendNew))
        note_options_changed();
    struct linger l;
    if (u32(call.a[1]) == SOL_SOCKET && option == SO_LINGER && !is_error(r) && get_guest(&l, (const void*)call.a[3]) == 0 && l.l_onoff && l.l_linger)
        __atomic_store_n(&tree_shared()->lingers, 1, __ATOMIC_RELAXED);
    return r;
}

namespace {

long behind_receive(Coroutine* c);

long receive(Call& call, IoWait& w) {
    u64 flags = u32(call.a[3]), done = 0;
    for (;;) {
        w.arm();
        bool empty = !done && w.known_empty();
        long r = empty ? -EAGAIN
                       : hot_sys(__NR_recvfrom, w.fd(), call.a[1] + done, call.a[2] - done, flags | MSG_DONTWAIT, call.a[4], call.a[5]);
        if (r != -EAGAIN) w.succeeded();
        if (r == -EAGAIN) {
            r = w.block(done ? nullptr : behind_receive);
            if (r == kParks) return r;
            if (r == 0) {
                if (done && w.error_waits()) return long(done);
                continue;
            }
            if (done) return long(done);
            if (r == kNonBlocking) return -EAGAIN;
            if (r == kNoReadiness) return blocking_call(call, w.interrupted(), "receive");
            return r;
        }
        if (r < 0) return done ? long(done) : r;
        constexpr u64 kTakesAll = MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC;
        if (r > 0 && u64(r) < call.a[2] - done && !(flags & ~kTakesAll) && reaches_end(call.a[1] + done, call.a[2] - done, u64(r))) w.emptied();
        done += u64(r);
        if (r == 0 || !(flags & MSG_WAITALL) || done >= call.a[2] || !is_stream(w.fd()) || w.nonblocking())
            return long(done);
        // What was only peeked at comes again from its beginning: the kernel counts.
        if (flags & MSG_PEEK) return blocking_call(call, w.interrupted(), "receive");
    }
}

long behind_receive(Coroutine* c) {
    Call call = call_in_progress(c);
    IoWait w(call, 0, EPOLLIN, SO_RCVTIMEO);
    w.behind_park();
    return receive(call, w);
}

}  // namespace

long h_recvfrom(Call& call) {
    u64 flags = u32(call.a[3]);
    if (flags & MSG_OOB) fd_note_urgent(int(call.a[0]));
    if (blocks_here(call.c)) return blocking_io(call, SO_RCVTIMEO);
    if ((flags & kNeverWaits) || answers_at_once(int(call.a[0]))) return kAsItIs;
    IoWait w(call, 0, EPOLLIN, SO_RCVTIMEO);
    w.give_way();
    return receive(call, w);
}

namespace {

// The rest of a MSG_WAITALL receive of which `got` bytes came. `asked` is the header as it was before the first part;
// what the kernel reports with the rest goes to the guest's.
long receive_rest(u64 message, const msghdr& asked, u64 flags, long got, IoWait& w) {
    u64 reported;
    if (get_guest(&reported, (void*)(message + offsetof(msghdr, msg_controllen)))) return got;
    // Control data came with the first part: descriptors end a receive in the kernel too.
    if (reported) return got;
    IoVector v(u64(asked.msg_iov), asked.msg_iovlen, 0);
    u64 total = v.total(), done = u64(got);
    for (u64 step = done; done < total && v.advance(step);) {
        w.arm();
        msghdr rest{};
        rest.msg_iov = const_cast<iovec*>(v.data());
        rest.msg_iovlen = v.size();
        rest.msg_control = asked.msg_control;
        rest.msg_controllen = asked.msg_controllen;
        long r = sys(__NR_recvmsg, w.fd(), &rest, flags | MSG_DONTWAIT);
        step = 0;
        if (r == -EAGAIN) {
            if (w.block() != 0 || w.error_waits()) break;
            continue;
        }
        if (r <= 0) break;
        step = u64(r);
        done += step;
        put_guest((void*)(message + offsetof(msghdr, msg_flags)), rest.msg_flags);
        if (rest.msg_controllen) {
            put_guest((void*)(message + offsetof(msghdr, msg_controllen)), rest.msg_controllen);
            break;
        }
    }
    return long(done);
}

long receive_message(Call& call, u64 message, u64 flags) {
    bool all = (flags & MSG_WAITALL) && !(flags & MSG_PEEK);
    msghdr asked;
    if (all && get_guest(&asked, (void*)message)) return -EFAULT;
    IoWait w(call, 0, EPOLLIN, SO_RCVTIMEO);
    for (;;) {
        w.arm();
        long r = hot_sys(__NR_recvmsg, w.fd(), message, flags | MSG_DONTWAIT);
        if (r > 0 && all && is_stream(w.fd()) && !w.nonblocking()) return receive_rest(message, asked, flags, r, w);
        if (r != -EAGAIN) return r;
        r = w.block();
        if (r == kNonBlocking) return -EAGAIN;
        if (r == kNoReadiness) return blocking_call(call, w.interrupted(), "receive");
        if (r) return r;
    }
}

}  // namespace

long h_recvmsg(Call& call) {
    u64 flags = u32(call.a[2]);
    if (flags & MSG_OOB) fd_note_urgent(int(call.a[0]));
    if (blocks_here(call.c)) return blocking_io(call, SO_RCVTIMEO);
    if ((flags & kNeverWaits) || answers_at_once(int(call.a[0]))) return kAsItIs;
    return receive_message(call, call.a[1], flags);
}

long h_recvmmsg(Call& call) {
    u64 flags = u32(call.a[3]), count = u32(call.a[2]);
    if (flags & MSG_OOB) fd_note_urgent(int(call.a[0]));
    if (blocks_here(call.c)) return blocking_io(call, SO_RCVTIMEO);
    if ((flags & kNeverWaits) || answers_at_once(int(call.a[0]))) return kAsItIs;
    u64 deadline = kNever;
    if (call.a[4]) {
        Timespec64 t;
        if (get_guest(&t, (void*)call.a[4])) return -EFAULT;
        long r = deadline_from(t, &deadline);
        if (r) return r;
    }
    if (count > kMaxMessages) count = kMaxMessages;
    IoWait w(call, 0, EPOLLIN, SO_RCVTIMEO);
    u64 done = 0;
    long r;
    for (;;) {
        w.arm();
        u64 next = call.a[1] + done * sizeof(mmsghdr);
        r = sys(__NR_recvmmsg, w.fd(), next, count - done, flags | MSG_DONTWAIT, nullptr);
        if (r == -EAGAIN) {
            r = w.block();
            if (r == 0) {
                if (done && w.error_waits()) break;
                continue;
            }
            if (r == kNonBlocking) r = -EAGAIN;
            if (r == kNoReadiness && !done) return blocking_call(call, w.interrupted(), "receive");
            break;
        }
        if (r <= 0) break;
        done += u64(r);
        w.begin_again();  // SO_RCVTIMEO counts for each message
        // The call's own time-out is looked at after a message only, as the kernel does (recvmmsg(2), BUGS).
        if (done >= count || (flags & MSG_WAITFORONE) || (deadline != kNever && now_ns() >= deadline)) break;
    }
    if (!done) return r;
    if (deadline != kNever && put_guest((void*)call.a[4], remaining(deadline))) return -EFAULT;
    return long(done);
}

}  // namespace ocrun
