// select_ignores_what_is_above_the_table_of_descriptors.c - a bit above all that were ever open is neither an error
// nor looked at nor taken away; one of a descriptor that was closed is EBADF. Alone, then beside another thread.
#include <sys/select.h>

#include "check.h"

static void* wait_here(void* arg) {
    while (sem_wait(arg)) CHECK_EQ(errno, EINTR);
    return NULL;
}

static void look(int n, int bit, int expected) {
    for (int which = 0; which < 6; which++) {
        fd_set sets[3];
        struct timeval limit = {0, 1000};
        struct timespec limit_ns = {0, 1000000};
        for (int i = 0; i < 3; i++) FD_ZERO(&sets[i]);
        FD_SET(bit, &sets[which % 3]);
        errno = 0;
        int r = which < 3 ? select(n, &sets[0], &sets[1], &sets[2], &limit)
                          : pselect(n, &sets[0], &sets[1], &sets[2], &limit_ns, NULL);
        CHECK_EQ(r, expected ? -1 : 0);
        CHECK_EQ(errno, expected);
        CHECK_EQ(FD_ISSET(bit, &sets[which % 3]) != 0, bit < n);
    }
}

static void all(int table) {
    look(FD_SETSIZE, table - 1, EBADF);
    look(table, table - 1, EBADF);
    if (table == FD_SETSIZE) return;
    look(FD_SETSIZE, table, 0);
    look(table + 1, table, 0);
    look(FD_SETSIZE, FD_SETSIZE - 1, 0);
}

static void open_and_close(int fd) {
    CHECK_EQ(dup2(1, fd), fd);
    CHECK_OK(close(fd));
}

// A bit beside that of a descriptor that is ready: that one counts.
static void beside_a_ready_one(void) {
    fd_set set;
    int ends[2];
    make_pipe(ends);
    FD_ZERO(&set);
    FD_SET(ends[1], &set);
    FD_SET(FD_SETSIZE - 1, &set);
    CHECK_EQ(select(FD_SETSIZE, NULL, &set, NULL, NULL), 1);
    CHECK(FD_ISSET(ends[1], &set) && FD_ISSET(FD_SETSIZE - 1, &set));
    CHECK_OK(close(ends[0]));
    CHECK_OK(close(ends[1]));
}

static void with_tables_of(int first, int last) {
    for (int table = first; table <= last; table *= 2) {
        open_and_close(table - 6);
        all(table);
        if (table < FD_SETSIZE) beside_a_ready_one();
    }
}

int main(void) {
    struct rlimit limit;
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = FD_SETSIZE;
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
    sem_t leave;
    sem_init(&leave, 0, 0);
    with_tables_of(256, 256);
    pthread_t waiting = start(wait_here, &leave);
    settle();
    with_tables_of(256, 1024);
    sem_post(&leave);
    finish(waiting);
    all(FD_SETSIZE);
    say("ok");
}
