// some_waits_are_never_restarted.c - poll, select, epoll_wait, nanosleep, sigtimedwait, pause, semop, msgrcv…: EINTR
// with SA_RESTART.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>

#include "check.h"

static int fds[2], epoll_fd, queue, semaphore;

static long call(int which) {
    struct pollfd p = {fds[0], POLLIN, 0};
    struct timespec t = {100, 0};
    struct timeval tv = {100, 0};
    struct epoll_event event;
    sigset_t set = signal_set(SIGUSR2, 0), empty = signal_set(0, 0);
    struct sembuf op = {0, -1, 0};
    struct {
        long type;
        char text[8];
    } m;
    switch (which) {
        case 0:
            return poll(&p, 1, -1);
        case 1:
            return ppoll(&p, 1, &t, NULL);
        case 2:
            return select(0, NULL, NULL, NULL, &tv);
        case 3:
            return pselect(0, NULL, NULL, NULL, &t, &empty);
        case 4:
            return epoll_wait(epoll_fd, &event, 1, 100000);
        case 5:
            return nanosleep(&t, NULL);
        case 6:
            return errno = clock_nanosleep(CLOCK_REALTIME, 0, &t, NULL), errno ? -1 : 0;
        case 7:
            return sigtimedwait(&set, NULL, &t);
        case 8:
            return sigwaitinfo(&set, NULL);
        case 9:
            return pause();
        case 10:
            return sigsuspend(&empty);
        case 11:
            return semop(semaphore, &op, 1);
        case 12:
            return msgrcv(queue, &m, sizeof m.text, 0, 0);
        case 13:
            return poll(NULL, 0, 100000);
    }
    return -2;
}

static _Atomic int done;

static void* all(void* arg) {
    static const char* names[] = {"poll",       "ppoll",           "select",       "pselect",        "epoll_wait",
                                  "nanosleep",  "clock_nanosleep", "sigtimedwait", "sigwaitinfo",    "pause",
                                  "sigsuspend", "semop",           "msgrcv",       "poll of nothing"};
    for (int i = 0; i < 14; i++) {
        errno = 0;
        long r = call(i);
        say("%s: %ld %s", names[i], r, strerrorname_np(errno));
    }
    done = 1;
    while (done == 1) sleep_ms(1);
    return NULL;
}

int main(void) {
    struct pester p;
    make_pipe(fds);
    CHECK_OK(epoll_fd = epoll_create1(0));
    CHECK_OK(queue = msgget(IPC_PRIVATE, 0600));
    CHECK_OK(semaphore = semget(IPC_PRIVATE, 1, 0600));
    handle(SIGUSR1, ignore_signal_number, SA_RESTART);
    pthread_t t = start(all, NULL);
    pester_start(&p, t, SIGUSR1);
    while (!done) sleep_ms(1);
    pester_stop(&p);
    done = 2;
    finish(t);
    CHECK_OK(msgctl(queue, IPC_RMID, NULL));
    CHECK_OK(semctl(semaphore, 0, IPC_RMID));
}
