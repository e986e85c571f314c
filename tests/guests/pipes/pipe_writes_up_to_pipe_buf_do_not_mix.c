// pipe_writes_up_to_pipe_buf_do_not_mix.c - 8 threads and 4 processes write records of PIPE_BUF bytes into a full
// pipe.
#include "check.h"

enum { WRITERS = 8, CHILDREN = 4, EACH = 25 };
static int fds[2];

static void* writer(void* arg) {
    char record[PIPE_BUF];
    memset(record, 'a' + (long)arg, sizeof record);
    for (int i = 0; i < EACH; i++) CHECK_EQ(write(fds[1], record, sizeof record), PIPE_BUF);
    return NULL;
}

int main(void) {
    pthread_t t[WRITERS];
    pid_t children[CHILDREN];
    int counts[26] = {0};
    make_pipe(fds);
    for (long i = 0; i < CHILDREN; i++) {
        CHECK_OK(children[i] = fork());
        if (children[i] == 0) {
            close(fds[0]);
            writer((void*)(WRITERS + i));
            _exit(0);
        }
    }
    for (long i = 0; i < WRITERS; i++) t[i] = start(writer, (void*)i);
    settle();
    for (int i = 0; i < (WRITERS + CHILDREN) * EACH; i++) {
        char record[PIPE_BUF];
        CHECK_EQ(read_all(fds[0], record, sizeof record), PIPE_BUF);
        for (int j = 1; j < PIPE_BUF; j++) CHECK_EQ(record[j], record[0]);
        counts[record[0] - 'a']++;
    }
    for (int i = 0; i < WRITERS; i++) finish(t[i]);
    for (int i = 0; i < CHILDREN; i++) CHECK_EXIT(children[i], 0);
    for (int i = 0; i < WRITERS + CHILDREN; i++) CHECK_EQ(counts[i], EACH);
    say("ok");
}
