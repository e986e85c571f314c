// TEST: native=skip ocrun="-c ${ROOT}/tests/guests/identity/offloaded_calls.json"
// A policy that sends calls to helper threads changes who waits, not what is answered: descriptors of the
// runtime, SIGPIPE, EINTR stay the caller's.
#include "../check.h"

static volatile int pipes;
static volatile pid_t other;

static void on_pipe(int sig) {
    pipes++;
}

static void* asks(void* arg) {
    other = (pid_t)syscall(SYS_gettid);
    int fds[2];
    make_pipe(fds);
    close(fds[0]);
    CHECK_ERR(write(fds[1], "x", 1), EPIPE);
    CHECK_EQ(pipes, 1);
    close(fds[1]);
    for (int i = 3; i < 6000; i++) close(i);
    int fd = open("/tmp", O_RDWR | O_TMPFILE, 0600);
    CHECK_OK(fd);
    CHECK_EQ(write(fd, "hello", 5), 5);
    CHECK_EQ(pwrite(fd, "j", 1, 0), 1);
    char text[8];
    CHECK_EQ(pread(fd, text, 8, 0), 5);
    CHECK(memcmp(text, "jello", 5) == 0);
    CHECK_EQ(getppid(), (int)(intptr_t)arg);
    sched_yield();
    return NULL;
}

static void nothing(int sig) {}

int main(void) {
    handle(SIGPIPE, on_pipe, 0);
    handle(SIGUSR1, nothing, 0);
    finish(start(asks, (void*)(intptr_t)getppid()));
    CHECK(other != getpid());
    CHECK_EQ(syscall(SYS_gettid), getpid());
    int fds[2];
    make_pipe(fds);
    struct pester p;
    pester_start(&p, pthread_self(), SIGUSR1);
    char c;
    CHECK_ERR(read(fds[0], &c, 1), EINTR);
    pester_stop(&p);
    pid_t child = fork();
    if (!child) _exit(3);
    CHECK_EXIT(child, 3);
    say("ok");
}
