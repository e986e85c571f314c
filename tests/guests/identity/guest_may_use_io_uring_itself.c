// guest_may_use_io_uring_itself.c - a program with its own ring: nops, reads, a time-out, waiting in io_uring_enter
// beside threads; and what cannot be submitted.
// TEST: libs=uring
#include <liburing.h>

#include "check.h"

static int fds[2];

static void* feed(void* arg) {
    sleep_ms(30);
    CHECK_EQ(write(fds[1], "hello", 5), 5);
    return NULL;
}

// What cannot be submitted ends the call at once: nobody waits for what comes behind it.
static void* submit_nonsense(void* arg) {
    struct io_uring* ring = arg;
    struct io_uring_cqe* cqe;
    struct io_uring_sqe* sqe = io_uring_get_sqe(ring);
    io_uring_prep_nop(sqe);
    sqe->opcode = 255;
    io_uring_prep_nop(io_uring_get_sqe(ring));
    CHECK_EQ(io_uring_submit_and_wait(ring, 2), 1);
    CHECK_0(io_uring_wait_cqe(ring, &cqe));
    CHECK_EQ(cqe->res, -EINVAL);
    io_uring_cqe_seen(ring, cqe);
    CHECK_EQ(io_uring_submit_and_wait(ring, 1), 1);
    CHECK_0(io_uring_wait_cqe(ring, &cqe));
    CHECK_EQ(cqe->res, 0);
    io_uring_cqe_seen(ring, cqe);
    return NULL;
}

int main(void) {
    struct io_uring ring;
    struct io_uring_cqe* cqe;
    char text[16];
    int e = io_uring_queue_init(8, &ring, 0);
    if (e == -EPERM || e == -ENOSYS) {  // refused by the machine: the same answer under ocrun
        say("no io_uring: %s", strerrorname_np(-e));
        return 0;
    }
    CHECK_EQ(e, 0);
    for (int i = 0; i < 5; i++) io_uring_prep_nop(io_uring_get_sqe(&ring));
    CHECK_EQ(io_uring_submit_and_wait(&ring, 5), 5);
    for (int i = 0; i < 5; i++) {
        CHECK_0(io_uring_wait_cqe(&ring, &cqe));
        io_uring_cqe_seen(&ring, cqe);
    }
    make_pipe(fds);
    pthread_t t = start(feed, NULL);
    struct io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    io_uring_prep_read(sqe, fds[0], text, sizeof text, 0);
    CHECK_EQ(io_uring_submit(&ring), 1);
    CHECK_0(io_uring_wait_cqe(&ring, &cqe));
    CHECK_EQ(cqe->res, 5);
    io_uring_cqe_seen(&ring, cqe);
    finish(t);
    struct __kernel_timespec ts = {0, 30000000};
    long long begin = now_ns();
    CHECK_EQ(io_uring_wait_cqe_timeout(&ring, &cqe, &ts), -ETIME);
    CHECK(now_ns() - begin >= ms(29));
    finish(start(submit_nonsense, &ring));
    submit_nonsense(&ring);
    io_uring_queue_exit(&ring);
    say("ok");
}
