// child.h - runs a function in a forked child and reports how the child ended, for tests that install filters
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/syscall.h"

namespace ocrun {

// Returns the wait status. Once its filter is in place the function must use raw calls only; its result is the
// exit status.
template <class F>
int in_child(F&& function) {
    // Raw: ThreadSanitizer's own fork starts a helper thread in the child, which would outlive a killed thread.
    auto pid = pid_t(sys(__NR_fork));
    if (pid == 0) {
        int status = function();
        for (;;) sys(__NR_exit_group, status);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
}

inline bool exited_with(int status, int code) {
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

}  // namespace ocrun
