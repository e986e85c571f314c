// moving_nothing_is_what_the_file_makes_of_it.c - read and write of no bytes: an empty datagram is sent, an eventfd and a timerfd refuse,
// a directory too; of more bytes than there are addresses: EFAULT. Beside another thread.
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "check.h"

static char buffer[16];

static void* wait_here(void* arg) {
    while (sem_wait(arg)) CHECK_EQ(errno, EINTR);
    return NULL;
}

int main(void) {
    sem_t leave;
    int datagrams[2], records[2], stream[2], ends[2];
    sem_init(&leave, 0, 0);
    pthread_t waiting = start(wait_here, &leave);

    CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams));
    CHECK_EQ(write(datagrams[0], buffer, 0), 0);
    CHECK_EQ(write(datagrams[0], "ab", 2), 2);
    CHECK_EQ(recv(datagrams[1], buffer, sizeof buffer, MSG_DONTWAIT), 0);
    CHECK_EQ(read(datagrams[1], buffer, 0), 0);
    CHECK_EQ(recv(datagrams[1], buffer, sizeof buffer, MSG_DONTWAIT), 2);
    CHECK_OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, records));
    CHECK_EQ(write(records[0], buffer, 0), 0);
    CHECK_EQ(recv(records[1], buffer, sizeof buffer, MSG_DONTWAIT), 0);
    CHECK_ERR(recv(records[1], buffer, sizeof buffer, MSG_DONTWAIT), EAGAIN);

    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, stream));
    CHECK_OK(pipe(ends));
    CHECK_EQ(read(stream[0], buffer, 0), 0);
    CHECK_EQ(write(stream[0], buffer, 0), 0);
    CHECK_EQ(read(ends[0], buffer, 0), 0);
    CHECK_EQ(write(ends[1], buffer, 0), 0);
    CHECK_ERR(syscall(SYS_read, stream[0], buffer, -1L), EFAULT);
    CHECK_ERR(syscall(SYS_write, stream[0], buffer, -1L), EFAULT);
    CHECK_ERR(syscall(SYS_read, ends[0], buffer, -1L), EFAULT);
    CHECK_ERR(syscall(SYS_write, ends[1], buffer, -1L), EFAULT);

    int event = eventfd(0, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0), directory = open("/", O_RDONLY | O_DIRECTORY);
    CHECK_ERR(read(event, buffer, 0), EINVAL);
    CHECK_ERR(write(event, buffer, 0), EINVAL);
    CHECK_ERR(read(timer, buffer, 0), EINVAL);
    CHECK_ERR(read(directory, buffer, 0), EISDIR);
    CHECK_ERR(pread(directory, buffer, 0, 0), EISDIR);

    sem_post(&leave);
    finish(waiting);
    say("ok");
}
