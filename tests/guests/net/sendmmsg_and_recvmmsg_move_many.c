// sendmmsg_and_recvmmsg_move_many.c - counts, lengths, MSG_WAITFORONE, the time-out that is looked at after each
// datagram.
#include "net.h"

static int pair[2];
static char texts[8][32];
static struct iovec v[8];
static struct mmsghdr many[8];

static void prepare(void) {
    memset(texts, 0, sizeof texts);
    for (int i = 0; i < 8; i++) {
        v[i] = (struct iovec){texts[i], sizeof texts[i]};
        many[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &v[i], .msg_iovlen = 1}};
    }
}

static void* trickle(void* arg) {
    for (int i = 0; i < 8; i++) {
        sleep_ms(5);
        CHECK_EQ(send(pair[1], "drop", 4, 0), 4);
    }
    return NULL;
}

int main(void) {
    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    prepare();
    for (int i = 0; i < 8; i++) v[i].iov_len = snprintf(texts[i], 32, "message %d", i * i * i);
    CHECK_EQ(sendmmsg(pair[1], many, 8, 0), 8);
    CHECK_EQ(many[5].msg_len, 11);
    prepare();
    CHECK_EQ(recvmmsg(pair[0], many, 5, 0, NULL), 5);
    CHECK_EQ(recvmmsg(pair[0], many + 5, 3, MSG_WAITFORONE, NULL), 3);
    for (int i = 0; i < 8; i++) say("%u %s", many[i].msg_len, texts[i]);
    CHECK_ERR(recvmmsg(pair[0], many, 5, MSG_DONTWAIT, NULL), EAGAIN);
    pthread_t t = start(trickle, NULL);
    prepare();
    CHECK_EQ(recvmmsg(pair[0], many, 8, 0, NULL), 8);  // waits for all
    finish(t);
    t = start(trickle, NULL);
    int n = recvmmsg(pair[0], many, 8, MSG_WAITFORONE, NULL);
    CHECK(n >= 1 && n <= 8);
    finish(t);
    struct timespec limit = timespec_of(ms(20));
    CHECK_EQ(send(pair[1], "x", 1, 0), 1);
    t = start(trickle, NULL);
    int m = recvmmsg(pair[0], many, 8, 0, &limit);
    CHECK(m >= 1 && m <= 8);
    finish(t);
    say("ok");
}
