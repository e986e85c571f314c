// processes.c - fork and exit; fork and exec; posix_spawn: natively a matter of a millisecond, the price of shell scripts
#include <spawn.h>
#include <sys/wait.h>

#include "bench.h"

static void fork_exit(long n) {
    while (n--) {
        pid_t p = fork();
        if (p == 0) _exit(0);
        must(waitpid(p, NULL, 0) == p, "waitpid");
    }
}

static void spawn_true(long n) {
    extern char** environ;
    char* argv[] = {"true", NULL};
    while (n--) {
        pid_t p;
        must(posix_spawn(&p, "/bin/true", NULL, NULL, argv, environ) == 0, "posix_spawn");
        must(waitpid(p, NULL, 0) == p, "waitpid");
    }
}

int main(int argc, char** argv) {
    if (chosen(argc, argv, "fork_exit")) result("fork_exit", per_call(fork_exit) / 1000, "us");
    if (chosen(argc, argv, "spawn_true")) result("spawn_true", per_call(spawn_true) / 1000, "us");
    return 0;
}
