// wait_set.cc - see wait_set.h
#include "runtime/syscalls/wait_set.h"

namespace ocrun {

bool WaitSet::park(Coroutine* c, u64 deadline_ns, const char* what, WakeReason* why) {
    u64 token = wait_begin(c, true);
    bool moved = false, possible = true;
    u64 linked = 0;
    for (; linked < used_ && !moved && possible; linked++) {
        FdWaiter& w = entries_[linked].w;
        w.c = c;
        w.token = token;
        switch (fd_link(&w, entries_[linked].seen)) {
            case 0:
                break;
            case -EPERM:
                break;  // a regular file: what is not ready now never will be
            case 1:
            case -EBADF:
                moved = true;
                break;
            default:
                possible = false;
        }
    }
    if (moved || !possible) wake(c, token, WakeReason::woken);
    *why = wait_park(c, deadline_ns, what, used_);
    for (u64 i = 0; i < linked; i++) fd_unlink(&entries_[i].w);
    return possible;
}

long read_mask(u64 guest, u64 bytes, Mask* m) {
    constexpr u64 kMaskBytes = 8;
    if (!guest) return 0;
    if (bytes != kMaskBytes) return -EINVAL;
    m->given = true;
    return get_guest(&m->set, (void*)guest);
}

long leave_mask(Coroutine* c, long r) {
    if (!is_restart(r) && c->restore_mask) {
        c->restore_mask = false;
        signal_set_mask(c, c->saved_mask);
    }
    return r;
}

long read_timeout(u64 guest, Timeout* t) {
    if (!guest) return 0;
    if (get_guest(&t->asked, (void*)guest)) return -EFAULT;
    return deadline_from(t->asked, &t->deadline_ns);
}

Timespec64 rest_of(const Timespec64& asked, u64 deadline_ns) {
    Timespec64 left = remaining(deadline_ns);
    bool more = left.tv_sec > asked.tv_sec || (left.tv_sec == asked.tv_sec && left.tv_nsec > asked.tv_nsec);
    return more ? asked : left;
}

long finish_timeout(u64 guest, const Timeout& t, long r) {
    if (guest && (t.asked.tv_sec || t.asked.tv_nsec) && put_guest((void*)guest, rest_of(t.asked, t.deadline_ns)) &&
        r == kRestartNoHand)
        return -EINTR;
    return r;
}

}  // namespace ocrun
