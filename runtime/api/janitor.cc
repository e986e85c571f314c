// janitor.cc - the thread that ends idle carriers, joins dead ones, repeats cancel signals and sees who waits in system calls
#include <errno.h>
#include <signal.h>

#include "runtime/api/cancel.h"
#include "runtime/api/listen.h"
#include "runtime/api/pool_internal.h"

namespace oc {

namespace {

constexpr u64 kPokeAgainNs = 1000000;
constexpr u64 kTryAgainNs = 10000000;  // when no thread could be made

void janitor_trim(Thread& me, Pool& p) {
    p.lock.lock();
    u32 staying = p.carriers - p.leaving, spare = staying > p.least ? staying - p.least : 0;
    u32 out = p.least_idle < spare ? p.least_idle : spare;
    for (; out && p.idle; out--) {
        Carrier* c = p.idle;
        p.idle = c->next;
        p.idle_count--;
        c->leave = true;
        p.leaving++;
        staying--;
        c->idle.store(false, std::memory_order_release);
        unpark(me, *c->thread);
    }
    p.least_idle = p.idle_count;
    p.trim_at = staying > p.least ? now_ns() + p.keep_alive_ns : kForever;
    p.lock.unlock();
}

void janitor_bury(Pool& p) {
    Carrier* c;
    {
        Locked held(p.lock);
        c = p.dead;
        p.dead = nullptr;
    }
    while (c) {
        Carrier* next = c->next;
        pthread_join(c->id, nullptr);
        carrier_free(c);
        c = next;
    }
}

void janitor_cancels(Pool& p) {
    Task* list;
    {
        Locked held(p.lock);
        list = p.cancels;
        p.cancels = nullptr;
    }
    while (list) {
        Task* t = list;
        list = t->next_cancel;
        bool over;
        {
            Locked held(t->lock);
            over = has_ended(t) || t->unwinding || !t->cancel;
            if (over) t->cancel_listed = false;
        }
        if (over) {
            task_release(t);
            continue;
        }
        cancel_poke(t);
        Locked held(p.lock);
        t->next_cancel = p.cancels;
        p.cancels = t;
    }
}

// Which tasks wait in system calls? The runtime can be asked; it does not call back.
void janitor_watch(Thread& me, Pool& p) {
    Locked held(p.lock);
    for (Carrier* c = p.all; c; c = c->next_of_all) {
        if (!c->task || !c->watched.load(std::memory_order_acquire) || !c->thread->self) continue;
        Locked task(c->task->lock);
        if (c->task->carrier != c) continue;
        long call = g_table->waiting_call(me.self, c->thread->self);
        u32 from = call >= 0 ? OC_RUNNING : OC_SYSCALL, to = call >= 0 ? OC_SYSCALL : OC_RUNNING;
        if (c->task->state.compare_exchange_strong(from, to, std::memory_order_relaxed)) tell(c->task, from, to, 0, call >= 0 ? call : -1);
    }
}

void* janitor_main(void*) {
    Pool& p = pool();
    Thread& me = self();
    me.inside = 1;
    {
        Locked held(p.lock);
        p.janitor_thread = &me;
    }
    for (;;) {
        janitor_bury(p);
        janitor_cancels(p);
        bool watch = g_table && g_listeners.load(std::memory_order_relaxed);
        if (watch) janitor_watch(me, p);
        u64 now = now_ns(), due = kForever;
        Successor s;
        bool trim = false, leave;
        {
            Locked held(p.lock);
            leave = p.janitor_leaves && !p.dead && !p.carriers;
            if (p.trim_at != kForever) {
                trim = now >= p.trim_at;
                due = p.trim_at;
            }
            if (p.short_of_threads && p.queued && !p.searching) {
                p.short_of_threads = false;
                s = name_successor(me, p);
                due = now + kTryAgainNs;
            }
            if ((p.cancels || watch) && now + kPokeAgainNs < due) due = now + kPokeAgainNs;
        }
        if (leave) break;
        summon(me, p, s);
        if (trim) {
            janitor_trim(me, p);
            continue;
        }
        park(me, due, OC_PARK_IDLE);
    }
    Locked held(p.lock);
    p.janitor_thread = nullptr;
    return nullptr;
}

}  // namespace

int janitor_start(Pool& p) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&p.janitor, nullptr, janitor_main, nullptr);
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    return -r;
}

}  // namespace oc
