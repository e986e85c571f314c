// cancel.h - how a task is cancelled
//
// oc_task_cancel sets the task's flag and sends its thread the cancel signal. The handler looks where the task is: in a system call
// that the signal ended without effect, or computing where an unwind is safe: then the task is unwound from there by pthread_exit(3),
// which runs destructors and libc's cleanup handlers, and its pooled thread ends with it. Elsewhere (in the library, in libc, below
// a frame that lets nothing through) the signal is repeated a millisecond later, which also closes the race between a look and the
// call behind it; calls of the library look at the flag themselves.
#pragma once
#include "runtime/api/task.h"

namespace oc {

inline bool cancel_wanted(const Thread& me) {
    return me.task && __builtin_expect(me.task->cancel.load(std::memory_order_relaxed), 0) && !me.cancel_off;
}
// Unwinds the calling task if its frames allow it, else returns -ECANCELED. Not inside an `Inside`.
int cancel_here(Thread& me);
// Installs the handlers of the cancel signal and of faults (fault.cc): 0 or -errno.
int cancel_install(int signal);
int cancel_signal();
// Sends the signal to the task's thread, if it has one.
void cancel_poke(Task* t);

}  // namespace oc
