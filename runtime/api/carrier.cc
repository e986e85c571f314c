// carrier.cc - see carrier.h
#include "runtime/api/carrier.h"

#include <cxxabi.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#include <exception>
#include <new>
#include <system_error>

#include "runtime/api/cancel.h"
#include "runtime/api/fork.h"
#include "runtime/api/listen.h"
#include "runtime/api/pool.h"
#include "runtime/api/stacks.h"
#include "runtime/api/unwind.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

namespace oc {

namespace {

Stacks g_stacks;
std::size_t g_alt_bytes;

// The handlers look through the unwind tables there.
constexpr std::size_t kHandlerBytes = 24 * 1024;
constexpr std::size_t kLeastStack = 32 * 1024;

void fail(Task* t, std::exception_ptr exception, const char* text) {
    Failure* f = new (std::nothrow) Failure{};
    if (!f) return;
    f->exception = exception;
    snprintf(f->text, sizeof f->text, "%s", text);
    t->failure = f;
}

// The task of this carrier is over.
void finish(Thread& me, Task* t, enum oc_state state, int error, void* value) {
    Inside inside(me);
    if (t->locals.values) locals_end(t->locals);
    if (t->ended) task_ended(t);
    me.task = nullptr;
    {
        Locked held(t->lock);
        task_end_locked(me, t, state, error, value);
    }
}

}  // namespace

void carrier_run(Thread& me, Task* t) {
    if (g_listeners.load(std::memory_order_relaxed)) {
        Locked held(t->lock);
        tell(t, OC_READY, OC_RUNNING);
        me.carrier->watched.store(true, std::memory_order_release);
    }
    if (__builtin_expect(t->priority != me.carrier->priority, 0)) {
        me.carrier->priority = t->priority;
        rank(me, t->priority);
    }
    me.cancel_off = 0;
    me.task = t;
    *me.carrier->errno_at = 0;
    Outcome o = run_task_body(me, t);
    finish(me, t, !o.error ? OC_COMPLETE : o.error == -ECANCELED ? OC_CANCELLED : OC_ERROR, o.error, o.value);
}

namespace {

void work(Thread& me, Carrier* c) {
    if (_setjmp(c->base)) {
        // From the handler of a fault (fault.cc): what the task left on its stack is lost, destructors included.
        me.inside = 0;
        finish(me, me.task, OC_ERROR, -EFAULT, nullptr);
    }
    me.inside = 1;
    pool_work(me, c);
}

struct End {
    Thread& me;
    Carrier* c;
    ~End() {
        me.inside = 1;
        stack_t off{};
        off.ss_flags = SS_DISABLE;
        sigaltstack(&off, nullptr);
        me.carrier = nullptr;
        pool_carrier_ends(me, c);
    }
};

void* carrier_main(void* argument) {
    Carrier* c = (Carrier*)argument;
    Thread& me = self();
    me.inside = 1;
    me.carrier = c;
    me.stack_low = (std::uintptr_t)c->stack;
    c->thread = &me;
    c->errno_at = &errno;
    End end{me, c};
    stack_t alt{};
    alt.ss_sp = (char*)c->stack + g_stacks.bytes() - g_alt_bytes;
    alt.ss_size = g_alt_bytes;
    sigaltstack(&alt, nullptr);
    pool_carrier_begins(c);
    work(me, c);
    return nullptr;
}

}  // namespace

// The lowest frame of the library below a task's own: unwind.cc knows it by its address. A forced unwind is caught as a reference to
// no object at all, which UBSan minds.
__attribute__((noinline, no_sanitize("undefined"))) Outcome run_task_body(Thread& me, Task* t) {
    try {
        me.inside = 0;
        std::atomic_signal_fence(std::memory_order_seq_cst);
        void* value = t->function(t->argument);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        me.inside = 1;
        return {value, 0};
    } catch (abi::__forced_unwind&) {
        // Cancelled, or it called pthread_exit itself. The thread ends with it.
        me.inside = 1;
        finish(me, t, OC_CANCELLED, -ECANCELED, nullptr);
        throw;
    } catch (const std::system_error& e) {
        me.inside = 1;
        if (t->unwinding && e.code().value() == ECANCELED) return {nullptr, -ECANCELED};  // a lock that gave up (unwind.h)
        fail(t, std::current_exception(), e.what());
    } catch (const std::exception& e) {
        me.inside = 1;
        fail(t, std::current_exception(), e.what());
    } catch (...) {
        me.inside = 1;
        fail(t, std::current_exception(), "an exception that is no std::exception");
    }
    return {nullptr, -EPROTO};
}

void carriers_init(u64 stack_bytes) {
    if (g_stacks.bytes()) return;
    reset_in_child([] { g_stacks.after_fork(); });
    g_alt_bytes = page_up(getauxval(AT_MINSIGSTKSZ) + kHandlerBytes);
    std::size_t least = page_up(std::size_t(PTHREAD_STACK_MIN) + kLeastStack);
    g_stacks.set_bytes(page_up(stack_bytes < least ? least : stack_bytes) + g_alt_bytes);
}

int carrier_start(Thread&, Carrier* c) {
    if (!c->stack && !(c->stack = g_stacks.take())) return -ENOMEM;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, c->stack, g_stacks.bytes() - g_alt_bytes);
    // The program's signals go to the program's threads, as far as they can.
    sigset_t all, old;
    sigfillset(&all);
    for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, cancel_signal()}) sigdelset(&all, s);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&c->id, &attributes, carrier_main, c);
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    pthread_attr_destroy(&attributes);
    return -r;
}

void carrier_free(Carrier* c) {
    if (c->stack) g_stacks.give(c->stack);
    delete c;
}

}  // namespace oc
