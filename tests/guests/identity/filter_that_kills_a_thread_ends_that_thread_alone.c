// filter_that_kills_a_thread_ends_that_thread_alone.c - SECCOMP_RET_KILL_THREAD: the thread can be joined and the others
// go on; the last thread takes the process with it.
// TEST: needs=guest-seccomp
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "check.h"

// computed: the action is in the accumulator, not in the instruction
static void kill_at(int nr, int computed) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 2),
        BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_KILL_THREAD | 5),
        computed ? (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0)
                 : (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
        BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    struct sock_fprog program = {6, f};
    CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    CHECK_OK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

struct way {
    int nr, computed;
};

static void* dies(void* arg) {
    struct way* way = (struct way*)arg;
    kill_at(way->nr, way->computed);
    syscall(way->nr, -1, 0, 0);
    say("came back");
    return NULL;
}

static pthread_t main_thread;

static void* outlives_main(void* arg) {
    (void)arg;
    finish(main_thread);
    CHECK_OK(syscall(SYS_getppid));
    _exit(9);
}

int main(void) {
    for (int computed = 0; computed < 2; computed++) {
        // the kernel's own calls, and one that the runtime answers
        struct way ways[] = {{SYS_getppid, computed}, {SYS_dup2, computed}};
        for (int i = 0; i < 2; i++) {
            finish(start(dies, &ways[i]));
            CHECK_OK(syscall(SYS_getppid));
            CHECK_ERR(syscall(SYS_dup2, -1, 0), EBADF);

            pid_t p = fork();
            if (p == 0) {
                dies(&ways[i]);
                _exit(1);
            }
            CHECK_KILLED(p, SIGSYS);
            p = fork();
            if (p == 0) {
                main_thread = pthread_self();
                start(outlives_main, NULL);
                dies(&ways[i]);
                _exit(1);
            }
            CHECK_EXIT(p, 9);
        }
    }
    say("ok");
}
