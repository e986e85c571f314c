// select_looks_at_no_more_descriptors_than_there_are.c - a number of descriptors far above those of an fd_set, as getdtablesize() gives it,
// makes select neither read nor write behind the sets. Alone, then beside another thread.
#include <sys/select.h>

#include "check.h"

static struct {
    fd_set set;
    unsigned char behind[1 << 17];
} asked;

static void* wait_here(void* arg) {
    while (sem_wait(arg)) CHECK_EQ(errno, EINTR);
    return NULL;
}

static void look(int descriptors) {
    int ends[2];
    struct timeval limit = {10, 0};
    CHECK_OK(pipe(ends));
    memset(&asked, 0xff, sizeof asked);
    FD_ZERO(&asked.set);
    FD_SET(ends[0], &asked.set);
    FD_SET(ends[1], &asked.set);
    CHECK_EQ(select(descriptors, NULL, &asked.set, NULL, &limit), 1);
    CHECK(!FD_ISSET(ends[0], &asked.set) && FD_ISSET(ends[1], &asked.set));
    for (size_t i = 0; i < sizeof asked.behind; i++) CHECK_EQ(asked.behind[i], 0xff);
    CHECK_OK(close(ends[0]));
    CHECK_OK(close(ends[1]));
}

static void all(void) {
    look(FD_SETSIZE);
    look(FD_SETSIZE + 1);
    look(100000);
    look(INT_MAX);
}

int main(void) {
    sem_t leave;
    all();
    sem_init(&leave, 0, 0);
    pthread_t waiting = start(wait_here, &leave);
    all();
    sem_post(&leave);
    finish(waiting);
    say("ok");
}
