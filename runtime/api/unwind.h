// unwind.h - may the frames of a task be unwound from here?
#pragma once
#include <ucontext.h>

#include "runtime/api/thread.h"

namespace oc {

enum class Verdict {
    here,     // every frame lets an unwind through
    changed,  // the interrupted state was changed so that the task unwinds when it goes on
    later,
};

// Start-up: notes where libc, the loader and the C++ runtime lie.
void unwind_init();
// Of the state that a signal handler on the task's thread was given. `computing`: not in a system call, so code of libc may hold
// locks. Verdict::changed: the innermost frame, whose table has no way to destroy its objects from this instruction, was dropped
// (`may_drop`), as if its caller had called `instead`; or pthread_mutex_lock, which C++ believes to throw nothing, was made to return ECANCELED, which std::mutex and
// its kin throw as a std::system_error.
Verdict unwind_judge(ucontext_t* interrupted, bool computing, bool may_drop, void (*instead)());
// Of the caller.
Verdict unwind_judge_here();

// The frame below which a task's own begin (carrier.cc).
struct Outcome {
    void* value;
    int error;
};
Outcome run_task_body(Thread& me, Task* t);

}  // namespace oc
