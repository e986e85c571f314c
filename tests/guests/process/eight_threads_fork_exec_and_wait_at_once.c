// eight_threads_fork_exec_and_wait_at_once.c - each gets the statuses of its own children, by fork+exec, vfork+exec,
// spawn.
// TEST: timeout=60
#include <spawn.h>

#include "check.h"

extern char** environ;
static char self[4096];

static void* work(void* arg) {
    for (int i = 0; i < 9; i++) {
        char code[16];
        int want = ((long)arg * 9 + i) % 100;
        snprintf(code, sizeof code, "%d", want);
        char* argv[] = {self, code, NULL};
        pid_t p;
        switch (i % 3) {
            case 0:
                p = fork();
                if (p == 0) {
                    execv(self, argv);
                    _exit(127);
                }
                break;
            case 1:
                p = vfork();
                if (p == 0) {
                    execv(self, argv);
                    _exit(127);
                }
                break;
            default:
                CHECK_0(posix_spawn(&p, self, NULL, NULL, argv, environ));
        }
        CHECK_OK(p);
        CHECK_EXIT(p, want);
    }
    return NULL;
}

int main(int argc, char** argv) {
    if (argc == 2) return atoi(argv[1]);
    CHECK_OK(readlink("/proc/self/exe", self, sizeof self - 1));
    pthread_t t[8];
    for (long i = 0; i < 8; i++) t[i] = start(work, (void*)i);
    for (int i = 0; i < 8; i++) finish(t[i]);
    CHECK_ERR(wait(NULL), ECHILD);
    say("ok");
}
