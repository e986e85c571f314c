// big_blocking_send_is_sent_in_full.c - 8 MiB by send, sendmsg, writev over TCP and unix sockets with a slow
// receiver.
#include <sys/uio.h>

#include "net.h"

enum { SIZE = 8 << 20 };
static unsigned char out[SIZE], in[SIZE];
static int pair[2];

static void* sender(void* arg) {
    struct iovec v[2] = {{out, 12345}, {out + 12345, SIZE - 12345}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
    switch ((long)arg) {
        case 0:
            CHECK_EQ(send(pair[0], out, SIZE, 0), SIZE);
            break;
        case 1:
            CHECK_EQ(sendmsg(pair[0], &m, 0), SIZE);
            break;
        case 2:
            CHECK_EQ(writev(pair[0], v, 2), SIZE);
            break;
        case 3:
            CHECK_EQ(sendto(pair[0], out, SIZE, 0, NULL, 0), SIZE);
            break;
    }
    return NULL;
}

int main(void) {
    for (int i = 0; i < SIZE; i++) out[i] = i * 2654435761u >> 23;
    for (long how = 0; how < 4; how++) {
        if (how % 2) {
            CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
        } else {
            tcp_pair(pair);
        }
        memset(in, 0, SIZE);
        pthread_t t = start(sender, (void*)how);
        settle();
        if (how == 3) {
            CHECK_EQ(recv(pair[1], in, SIZE, MSG_WAITALL), SIZE);
        } else {
            CHECK_EQ(read_all(pair[1], in, SIZE), SIZE);
        }
        finish(t);
        CHECK(memcmp(in, out, SIZE) == 0);
        close(pair[0]);
        close(pair[1]);
    }
    say("ok");
}
