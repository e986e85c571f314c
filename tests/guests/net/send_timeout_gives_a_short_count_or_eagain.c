// send_timeout_gives_a_short_count_or_eagain.c - SO_SNDTIMEO on a full socket; a connect that nobody answers:
// EINPROGRESS.
#include "net.h"

static char block[8 << 20];

int main(void) {
    int pair[2];
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    set_timeout(pair[0], SO_SNDTIMEO, ms(60));
    long long begin = now_ns();
    ssize_t n = send(pair[0], block, sizeof block, 0);
    CHECK(n > 0 && n < (ssize_t)sizeof block);
    CHECK(now_ns() - begin >= ms(54));
    begin = now_ns();
    while ((n = send(pair[0], block, 4096, 0)) > 0) begin = now_ns();
    CHECK(n == -1 && errno == EAGAIN);
    CHECK(now_ns() - begin >= ms(54) && now_ns() - begin < ms(8000));
    begin = now_ns();
    CHECK_ERR(write(pair[0], block, 4096), EAGAIN);
    CHECK(now_ns() - begin >= ms(54));
    say("send ok");

    // a listener whose queue is full drops the next SYN
    struct sockaddr_in address;
    int listener = listen_tcp(0, &address), queued[8], full = 0;
    for (int i = 0; i < 8 && !full; i++) {
        queued[i] = socket(AF_INET, SOCK_STREAM, 0);
        set_timeout(queued[i], SO_SNDTIMEO, ms(200));
        begin = now_ns();
        if (connect(queued[i], (struct sockaddr*)&address, sizeof address) == -1) {
            CHECK_EQ(errno, EINPROGRESS);
            CHECK(now_ns() - begin >= ms(194));
            full = 1;
        }
    }
    CHECK(full);
    close(listener);
    say("connect ok");
}
