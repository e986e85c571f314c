// cancel_ends_every_kind_of_wait.c - pthread_cancel interrupts each wait that is a cancellation point; clean-up
// handlers run.
// TEST: timeout=40
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "check.h"

static int pipe_fds[2], full_pipe[2], pair[2], listener, epoll_fd, message_queue;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t sem;
static pid_t child;
static char c;

static void in_read(void) {
    read(pipe_fds[0], &c, 1);
}
static void in_readv(void) {
    struct iovec v = {&c, 1};
    readv(pipe_fds[0], &v, 1);
}
static void in_write(void) {
    write(full_pipe[1], &c, 1);
}
static void in_recv(void) {
    recv(pair[0], &c, 1, 0);
}
static void in_recvmsg(void) {
    struct msghdr m = {0};
    recvmsg(pair[0], &m, 0);
}
static void in_accept(void) {
    accept(listener, NULL, NULL);
}
static void in_nanosleep(void) {
    struct timespec t = {1000, 0};
    nanosleep(&t, NULL);
}
static void in_clock_nanosleep(void) {
    struct timespec t = deadline_in(CLOCK_REALTIME, ms(1000000));
    clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL);
}
static void in_poll(void) {
    struct pollfd p = {pipe_fds[0], POLLIN, 0};
    poll(&p, 1, -1);
}
static void in_select(void) {
    fd_set s;
    FD_ZERO(&s);
    FD_SET(pipe_fds[0], &s);
    select(pipe_fds[0] + 1, &s, NULL, NULL, NULL);
}
static void in_epoll_wait(void) {
    struct epoll_event e;
    epoll_wait(epoll_fd, &e, 1, -1);
}
static void in_pause(void) {
    pause();
}
static void in_sigwait(void) {
    sigset_t s = signal_set(SIGUSR1, 0);
    int sig;
    sigwait(&s, &sig);
}
static void in_sigtimedwait(void) {
    sigset_t s = signal_set(SIGUSR1, 0);
    struct timespec t = {1000, 0};
    sigtimedwait(&s, NULL, &t);
}
static void in_sigsuspend(void) {
    sigset_t s = signal_set(0, 0);
    sigsuspend(&s);
}
static void in_sem_wait(void) {
    sem_wait(&sem);
}
static void in_sem_timedwait(void) {
    struct timespec t = deadline_in(CLOCK_REALTIME, ms(1000000));
    sem_timedwait(&sem, &t);
}
static void unlock(void* m) {
    CHECK_0(pthread_mutex_unlock(m));
}
static void in_cond_wait(void) {
    pthread_mutex_lock(&mutex);
    pthread_cleanup_push(unlock, &mutex);
    for (;;) pthread_cond_wait(&cond, &mutex);
    pthread_cleanup_pop(1);
}
static void in_cond_timedwait(void) {
    struct timespec t = deadline_in(CLOCK_REALTIME, ms(1000000));
    pthread_mutex_lock(&mutex);
    pthread_cleanup_push(unlock, &mutex);
    for (;;) pthread_cond_timedwait(&cond, &mutex, &t);
    pthread_cleanup_pop(1);
}
static void* sleeper(void* arg) {
    in_nanosleep();
    return NULL;
}
static void cancel_and_join(void* t) {
    pthread_cancel(*(pthread_t*)t);
    pthread_join(*(pthread_t*)t, NULL);
}
static void in_join(void) {
    pthread_t t = start(sleeper, NULL);
    pthread_cleanup_push(cancel_and_join, &t);
    pthread_join(t, NULL);
    pthread_cleanup_pop(0);
}
static void in_waitpid(void) {
    waitpid(child, NULL, 0);
}
static void in_waitid(void) {
    siginfo_t info;
    waitid(P_PID, child, &info, WEXITED);
}
static void in_msgrcv(void) {
    struct {
        long type;
        char text[8];
    } m;
    msgrcv(message_queue, &m, sizeof m.text, 0, 0);
}
static void in_open_of_fifo(void) {
    open("fifo", O_RDONLY);
}
static void in_setlkw(void) {
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open("locked", O_RDWR);
    fcntl(fd, F_SETLKW, &l);
}
static void in_testcancel(void) {
    for (;;) {
        sched_yield();
        pthread_testcancel();
    }
}

static int cleaned;
static void clean(void* arg) {
    cleaned++;
}

static void* run(void* arg) {
    pthread_cleanup_push(clean, NULL);
    ((void (*)(void))arg)();
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void) {
    static const struct {
        const char* name;
        void (*wait)(void);
    } waits[] = {
#define WAIT(name) {#name, in_##name}
        WAIT(read),       WAIT(readv),         WAIT(write),           WAIT(recv),           WAIT(recvmsg),
        WAIT(accept),     WAIT(nanosleep),     WAIT(clock_nanosleep), WAIT(poll),           WAIT(select),
        WAIT(epoll_wait), WAIT(pause),         WAIT(sigwait),         WAIT(sigtimedwait),   WAIT(sigsuspend),
        WAIT(sem_wait),   WAIT(sem_timedwait), WAIT(cond_wait),       WAIT(cond_timedwait), WAIT(join),
        WAIT(waitpid),    WAIT(waitid),        WAIT(msgrcv),          WAIT(open_of_fifo),   WAIT(setlkw),
        WAIT(testcancel),
    };
    block_signal(SIGUSR1);
    make_pipe(pipe_fds);
    make_pipe(full_pipe);
    fcntl(full_pipe[1], F_SETFL, O_NONBLOCK);
    while (write(full_pipe[1], &c, 1) == 1) {
    }
    fcntl(full_pipe[1], F_SETFL, 0);
    CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK_OK(listener = socket(AF_UNIX, SOCK_STREAM, 0));
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "socket"};
    CHECK_OK(bind(listener, (struct sockaddr*)&a, sizeof a));
    CHECK_OK(listen(listener, 1));
    CHECK_OK(epoll_fd = epoll_create1(0));
    sem_init(&sem, 0, 0);
    CHECK_OK(message_queue = msgget(IPC_PRIVATE, 0600));
    CHECK_OK(mkfifo("fifo", 0600));
    int ready[2];
    make_pipe(ready);
    CHECK_OK(child = fork());
    if (child == 0) {  // holds a lock and waits
        int fd = open("locked", O_RDWR | O_CREAT, 0600);
        struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        CHECK_OK(fcntl(fd, F_SETLK, &l));
        CHECK_EQ(write(ready[1], "x", 1), 1);
        close(pipe_fds[1]);
        for (;;) pause();
    }
    CHECK_EQ(read(ready[0], &c, 1), 1);
    int failed = 0;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        for (int blocked = 0; blocked < 2; blocked++) {  // cancelled at once, and when (most likely) waiting
            cleaned = 0;
            pthread_t t = start(run, (void*)waits[i].wait);
            if (blocked) settle();
            CHECK_0(pthread_cancel(t));
            void* result;
            struct timespec limit = deadline_in(CLOCK_REALTIME, ms(8000));
            int e = pthread_timedjoin_np(t, &result, &limit);
            if (e || result != PTHREAD_CANCELED || cleaned != 1) {
                say("%s: join %d, cancelled %d, cleaned %d", waits[i].name, e, !e && result == PTHREAD_CANCELED,
                    cleaned);
                failed = 1;
                break;
            }
        }
        if (!failed) say("%s: cancelled", waits[i].name);
    }
    CHECK_0(pthread_mutex_trylock(&mutex));
    CHECK_OK(msgctl(message_queue, IPC_RMID, NULL));
    CHECK_OK(kill(child, SIGKILL));
    CHECK_KILLED(child, SIGKILL);
    return failed;
}
