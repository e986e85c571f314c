// thread_names_are_per_thread.c - pthread_setname_np, PR_SET_NAME and /proc/self/task/TID/comm agree for every
// thread.
#include <sys/prctl.h>

#include "check.h"

static pthread_barrier_t barrier;

static void* named(void* arg) {
    char want[16], got[17], path[64];
    snprintf(want, sizeof want, "thread-%ld", (long)arg);
    if ((long)arg % 2) {
        CHECK_0(pthread_setname_np(pthread_self(), want));
    } else {
        CHECK_OK(prctl(PR_SET_NAME, want));
    }
    pthread_barrier_wait(&barrier);  // all have set theirs
    CHECK_0(pthread_getname_np(pthread_self(), got, sizeof got));
    CHECK(strcmp(got, want) == 0);
    memset(got, 0, sizeof got);
    CHECK_OK(prctl(PR_GET_NAME, got));
    CHECK(strcmp(got, want) == 0);
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", gettid());
    int fd = open(path, O_RDONLY);
    CHECK_OK(fd);
    ssize_t n = read(fd, got, 16);
    CHECK(n > 0 && got[n - 1] == '\n');
    got[n - 1] = 0;
    CHECK(strcmp(got, want) == 0);
    close(fd);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

int main(void) {
    enum { N = 20 };
    pthread_t t[N];
    char got[17];
    pthread_barrier_init(&barrier, NULL, N + 1);
    CHECK_0(pthread_setname_np(pthread_self(), "the-main-one"));
    for (long i = 0; i < N; i++) t[i] = start(named, (void*)i);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    CHECK_0(pthread_getname_np(t[7], got, sizeof got));  // through /proc/self/task/TID/comm
    say("%s", got);
    CHECK_0(pthread_setname_np(t[8], "by-another"));
    CHECK_0(pthread_getname_np(t[8], got, sizeof got));
    say("%s", got);
    CHECK_0(pthread_getname_np(pthread_self(), got, sizeof got));
    say("%s", got);
    CHECK_EQ(pthread_setname_np(pthread_self(), "much-too-long-a-name"), ERANGE);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < N; i++) finish(t[i]);
    memset(got, 0, sizeof got);
    int fd = open("/proc/self/comm", O_RDONLY);
    CHECK(read(fd, got, 16) > 0);
    say("%s", got);
}
