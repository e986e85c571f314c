// posix_spawn_follows_its_actions_and_attributes.c - file actions, mask, default signals, process group, PATH search,
// ENOENT.
#include <spawn.h>

#include "check.h"

extern char** environ;

static int child(char** argv) {
    sigset_t mask;
    struct sigaction usr2;
    char where[4096], text[8] = {0};
    CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &mask));
    CHECK(sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGTERM));
    CHECK_OK(sigaction(SIGUSR2, NULL, &usr2));
    CHECK(usr2.sa_handler == SIG_DFL);
    CHECK_EQ(getpgrp(), getpid());
    CHECK_ERR(fcntl(40, F_GETFD), EBADF);
    CHECK(getcwd(where, sizeof where));
    CHECK(strcmp(strrchr(where, '/'), "/sub") == 0);
    CHECK_EQ(read(0, text, sizeof text), 5);
    say("child read %s, argument %s, %s", text, argv[2], getenv("FROM_PARENT"));
    return 21;
}

static void* spawn(void* arg) {
    char self[4096] = {0};
    CHECK_OK(readlink("/proc/self/exe", self, sizeof self - 1));
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t mask = signal_set(SIGUSR1, 0), defaults = signal_set(SIGUSR2, 0);
    pid_t p;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 30, "input", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 30, 0);
    posix_spawn_file_actions_addclose(&actions, 40);
    posix_spawn_file_actions_addchdir_np(&actions, "sub");
    posix_spawnattr_setsigmask(&attributes, &mask);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    char *argv[] = {self, "child", "one two", NULL}, *env[] = {"FROM_PARENT=environment", NULL};
    CHECK_0(posix_spawn(&p, self, &actions, &attributes, argv, env));
    CHECK_EXIT(p, 21);

    CHECK_EQ(posix_spawn(&p, "/does/not/exist", NULL, NULL, argv, environ), ENOENT);
    CHECK_EQ(posix_spawn(&p, "/", NULL, NULL, argv, environ), EACCES);
    CHECK_EQ(posix_spawnp(&p, "no-such-command-here", NULL, NULL, argv, environ), ENOENT);
    posix_spawn_file_actions_addopen(&actions, 31, "no-such-file", O_RDONLY, 0);
    CHECK_EQ(posix_spawn(&p, self, &actions, NULL, argv, environ), ENOENT);
    char* true_argv[] = {"true", NULL};
    CHECK_0(posix_spawnp(&p, "true", NULL, NULL, true_argv, environ));
    CHECK_EXIT(p, 0);
    CHECK_ERR(waitpid(-1, NULL, 0), ECHILD);  // the failed ones left no zombie
    struct sigaction usr2;
    CHECK_OK(sigaction(SIGUSR2, NULL, &usr2));
    CHECK(usr2.sa_handler == SIG_IGN);
    return NULL;
}

int main(int argc, char** argv) {
    if (argc == 3) return child(argv);
    CHECK_OK(mkdir("sub", 0700));
    int fd = open("input", O_CREAT | O_WRONLY, 0600);
    CHECK_EQ(write(fd, "hello", 5), 5);
    CHECK_EQ(dup2(fd, 40), 40);
    signal(SIGUSR2, SIG_IGN);
    spawn(NULL);
    finish(start(spawn, NULL));
    say("ok");
}
