// a_programs_own_fault_handler_is_asked.c - a handler installed before oc_init still gets the faults of ordinary threads
// TEST: libs=ocrun_shared
#include <setjmp.h>

#include "api.h"

static sigjmp_buf back;
static void on_fault(int sig, siginfo_t* info, void* context) { siglongjmp(back, 1); }
__attribute__((noinline)) static void* faults(void* place) {
    *(volatile int*)place = 1;
    return NULL;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    CHECK_OK(sigaction(SIGSEGV, &action, NULL));
    api_start();
    for (int i = 0; i < 3; i++) {
        if (!sigsetjmp(back, 1)) {
            faults(NULL);
            CHECK(0);
        }
        finished(oc_task_create(faults, NULL, 0), -EFAULT);
    }
    api_end();
    say("ok");
    return 0;
}
