// blocking_write_to_a_pipe_is_written_in_full.c - one write of 4 MiB through a 64 KiB pipe, vectors too, with a slow
// reader.
// TEST: link=dynamic,static
#include <sys/uio.h>

#include "check.h"

enum { SIZE = 4 << 20 };
static int fds[2];
static unsigned char out[SIZE], in[SIZE];

static void* writer(void* arg) {
    if (arg) {
        struct iovec v[3] = {{out, 1}, {out + 1, SIZE - 11}, {out + SIZE - 10, 10}};
        CHECK_EQ(writev(fds[1], v, 3), SIZE);
    } else {
        CHECK_EQ(write(fds[1], out, SIZE), SIZE);
    }
    return NULL;
}

int main(void) {
    for (int i = 0; i < SIZE; i++) out[i] = i * 2654435761u >> 24;
    for (long vectors = 0; vectors < 2; vectors++) {
        make_pipe(fds);
        memset(in, 0, SIZE);
        pthread_t t = start(writer, (void*)vectors);
        settle();
        size_t got = 0;
        for (int i = 0; got < SIZE; i++) {
            ssize_t n = read(fds[0], in + got, 10007);
            CHECK(n > 0);
            got += n;
            if (i % 64 == 0) sleep_ms(1);
        }
        finish(t);
        CHECK(memcmp(in, out, SIZE) == 0);
        close(fds[1]);
        CHECK_EQ(read(fds[0], in, 1), 0);
        close(fds[0]);
    }
    say("ok");
}
