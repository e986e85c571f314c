// pipes.cc - see pipes.h
#include "runtime/io/pipes.h"

#include <sys/epoll.h>

#include "runtime/base/memory.h"
#include "runtime/io/readiness.h"

namespace ocrun {

namespace {

constexpr u32 kGroups = 64, kGroup = 8;
OC_APART Pipe g_pipes[kGroups * kGroup];
Lock g_table_lock;
bool g_used;  // the table: most processes never touch it

void wake_waiters(Pipe* p, u32 events) {
    if (!p->waiting.load(std::memory_order_seq_cst)) return;
    Locked held(p->lock);
    for (FdWaiter* w = p->waiters; w; w = w->next_in_pipe)
        if (w->events & events) wake(w->c, w->token, WakeReason::woken);
}

}  // namespace

Pipe* pipe_attach(u64 inode, i64 inside) {
    Pipe* group = &g_pipes[((inode * 0x9e3779b97f4a7c15ul) >> 58) % kGroups * kGroup];
    Pipe* free = nullptr;
    Locked held(g_table_lock);
    for (Pipe* p = group; p < group + kGroup; p++) {
        if (p->users && p->inode == inode) {
            p->users++;
            return p;
        }
        if (!p->users && !free) free = p;
    }
    if (!free) return nullptr;
    g_used = true;
    free->inode = inode;
    free->users = 1;
    free->waiters = nullptr;
    free->waiting.store(0, std::memory_order_relaxed);
    free->balance.store(inside, std::memory_order_relaxed);
    return free;
}

void pipe_detach(Pipe* p) {
    Locked held(g_table_lock);
    p->users--;
}

void pipe_join(Pipe* p, FdWaiter* w) {
    {
        Locked held(g_table_lock);
        p->users++;
    }
    Locked held(p->lock);
    w->next_in_pipe = p->waiters;
    p->waiters = w;
    p->waiting.fetch_add(1, std::memory_order_seq_cst);
}

void pipe_leave(Pipe* p, FdWaiter* w) {
    {
        Locked held(p->lock);
        for (FdWaiter** at = &p->waiters; *at; at = &(*at)->next_in_pipe)
            if (*at == w) {
                *at = w->next_in_pipe;
                break;
            }
        p->waiting.fetch_sub(1, std::memory_order_relaxed);
    }
    pipe_detach(p);
}

void pipe_wrote(Pipe* p, u64 bytes) {
    p->balance.fetch_add(i64(bytes), std::memory_order_relaxed);
    p->activity.fetch_add(1, std::memory_order_seq_cst);
    wake_waiters(p, EPOLLIN);
}

void pipe_took(Pipe* p, u64 bytes) {
    p->balance.fetch_sub(i64(bytes), std::memory_order_seq_cst);
    wake_waiters(p, EPOLLOUT);
}

void pipes_after_fork() {
    g_table_lock.reset();
    if (!g_used) return;
    // Now two processes use them.
    for (Pipe& p : g_pipes) {
        if (!p.users) continue;
        p.lock.reset();
        p.waiters = nullptr;
        p.waiting.store(0, std::memory_order_relaxed);
        p.users = 0;
    }
}

}  // namespace ocrun
