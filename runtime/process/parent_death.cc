// parent_death.cc - PR_SET_PDEATHSIG where the thread that forked was a coroutine (prctl(2), kernel/exit.c: forget_original_parent)
//
// The kernel sends the signal when the kernel thread that forked ends. A worker lasts as long as its process, so the end of the
// process is the kernel's business, and that of a thread is told by the parent itself: a child that sets the signal enters itself in
// a table that the whole process tree shares, and a thread that ends looks for its children there. As natively, a child then
// belongs to another thread of the process, whose end it is told too.
#include <asm/errno.h>
#include <sys/wait.h>

#include "runtime/base/memory.h"
#include "runtime/host/handoff.h"
#include "runtime/process/process.h"

namespace ocrun {

namespace {

ForkedBy g_forked_by;

u32 load(const u32* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
void store(u32* p, u32 value) { __atomic_store_n(p, value, __ATOMIC_RELEASE); }

bool gone(u32 pid) { return sys(__NR_kill, pid, 0) == -ESRCH; }

// An entry is whoever's child it holds; kClaimed while it is being filled in.
constexpr u32 kClaimed = ~0u;

bool claim(ParentDeath* e) {
    u32 child = load(&e->child);
    // Killed without a word: nobody will remove it.
    if (child && (child == kClaimed || !gone(child))) return false;
    return __atomic_compare_exchange_n(&e->child, &child, kClaimed, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool running_child(u32 pid) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    return sys(__NR_waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL, nullptr) == 0 && !info.si_pid;
}

// Whom the kernel would make the parent: the leader while it lives, else any thread.
u32 heir(const Coroutine* ended) {
    Locked walk(g_registry_lock);
    u32 any = 0;
    for (const Coroutine& c : registry()) {
        if (&c == ended) continue;
        if (c.is_main) return c.tid;
        if (!any) any = c.tid;
    }
    return any;
}

}  // namespace

ForkedBy forked_by(const Coroutine* c) {
    // The child of a vfork shares its parent's variables; what it is to remember lies in its coroutine.
    return c->direct ? ForkedBy{c->forked_by_pid, c->forked_by_thread} : g_forked_by;
}

void set_forked_by(const ForkedBy& by) { g_forked_by = by; }

void parent_death_asked(Coroutine* c, u32 sig) {
    const ForkedBy by = forked_by(c);
    u32 pid = c->direct ? c->tid : g_pid;
    Shared* shared = tree_shared();
    for (ParentDeath& e : shared->parent_deaths) {
        if (load(&e.child) != pid) continue;
        store(&e.signal, sig);
        if (!sig) store(&e.child, 0);
        return;
    }
    if (!sig || !by.thread || u32(sys(__NR_getppid)) != by.pid) return;
    for (ParentDeath& e : shared->parent_deaths) {
        if (!claim(&e)) continue;
        store(&e.parent, by.pid);
        store(&e.thread, by.thread);
        store(&e.signal, sig);
        store(&e.child, pid);
        store(&shared->parent_deaths_used, 1);
        return;
    }
}

void parent_death_thread_ends(const Coroutine* c) {
    Shared* shared = tree_shared();
    if (!load(&shared->parent_deaths_used)) return;
    for (ParentDeath& e : shared->parent_deaths) {
        u32 child = load(&e.child);
        if (!child || child == kClaimed || load(&e.parent) != g_pid || load(&e.thread) != c->tid) continue;
        u32 next = heir(c);
        if (!next || !running_child(child)) {
            store(&e.child, 0);
            continue;
        }
        store(&e.thread, next);
        sys(__NR_kill, child, load(&e.signal));
    }
}

void parent_death_forget() {
    Shared* shared = tree_shared();
    if (!load(&shared->parent_deaths_used)) return;
    for (ParentDeath& e : shared->parent_deaths)
        if (load(&e.child) == g_pid) store(&e.child, 0);
}

}  // namespace ocrun
