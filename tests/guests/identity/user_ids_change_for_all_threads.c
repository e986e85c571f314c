// user_ids_change_for_all_threads.c - glibc's setuid family reaches every thread; files are then refused.
// TEST: needs=root
#include <grp.h>
#include <sys/fsuid.h>

#include "check.h"

enum { N = 10 };
static pthread_barrier_t barrier;

static void* watch(void* arg) {
    gid_t groups[8];
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);  // changed by now
    CHECK_EQ(getuid(), 1234);
    CHECK_EQ(geteuid(), 1234);
    CHECK_EQ(getegid(), 4321);
    CHECK_EQ(getgroups(8, groups), 1);
    CHECK_EQ(groups[0], 777);
    CHECK_ERR(open("secret", O_RDONLY), EACCES);
    CHECK_ERR(seteuid(0), EPERM);
    char c;
    int fds[2];
    make_pipe(fds);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_EQ(read(fds[0], &c, 1), 1);
    pthread_barrier_wait(&barrier);
    return NULL;
}

int main(void) {
    CHECK_OK(close(open("secret", O_CREAT | O_WRONLY, 0600)));
    pthread_t t[N];
    pthread_barrier_init(&barrier, NULL, N + 1);
    for (int i = 0; i < N; i++) t[i] = start(watch, NULL);
    pthread_barrier_wait(&barrier);
    gid_t group = 777;
    CHECK_OK(setgroups(1, &group));
    CHECK_OK(setresgid(4321, 4321, 4321));
    CHECK_OK(setresuid(1234, 1234, 1234));
    CHECK_EQ(getuid(), 1234);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < N; i++) finish(t[i]);
    CHECK_ERR(open("secret", O_RDONLY), EACCES);
    CHECK_ERR(setuid(0), EPERM);
    say("ok");
}
